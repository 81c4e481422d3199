/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The JSON of VERSION. What is taken can be printed, and the print is taken again
 * and prints the same.
 */
#include <stdlib.h>
#include <string.h>

#include "wire/caps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vu_caps caps, again;
    char why[128], once[1024], twice[1024];
    int len;

    memset(why, 'x', sizeof(why));
    if (vu_caps_parse(&caps, data, size, why, sizeof(why)) != 0) {
        if (memchr(why, '\0', sizeof(why)) == NULL || why[0] == '\0')
            abort();    /* a refusal without its sentence */
        return 0;
    }
    len = vu_caps_print(&caps, once, sizeof(once));
    if (len <= 0 || once[len - 1] != '\0')
        abort();
    if (vu_caps_parse(&again, once, (size_t)len, NULL, 0) != 0)
        abort();
    if (vu_caps_print(&again, twice, sizeof(twice)) != len || memcmp(once, twice, (size_t)len) != 0)
        abort();
    return 0;
}
