/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making JSON. Without memory it ends the program: json-c's own assertions would.
 */
#include "tools/frame.h"

#include <stdlib.h>

void tool_json_check(bool made)
{
    if (made)
        return;
    tool_complain("out of memory");
    exit(TOOL_FAILED);
}

static struct json_object *checked(struct json_object *made)
{
    tool_json_check(made != NULL);
    return made;
}

struct json_object *tool_json_object(void)
{
    return checked(json_object_new_object());
}

struct json_object *tool_json_array(void)
{
    return checked(json_object_new_array());
}

struct json_object *tool_json_boolean(bool value)
{
    return checked(json_object_new_boolean(value));
}

struct json_object *tool_json_number(uint64_t value)
{
    return checked(json_object_new_uint64(value));
}

struct json_object *tool_json_double(double value)
{
    return checked(json_object_new_double(value));
}

struct json_object *tool_json_double_as(double value, const char *text)
{
    return checked(json_object_new_double_s(value, text));
}

struct json_object *tool_json_string(const char *text)
{
    return checked(json_object_new_string(text));
}

struct json_object *tool_json_string_len(const char *text, size_t len)
{
    return checked(json_object_new_string_len(text, (int)len));
}

struct json_object *tool_json_hex(const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *bytes = data;
    struct json_object *string;
    char *text = malloc(2 * len + 1);

    tool_json_check(text != NULL);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 15];
    }
    string = tool_json_string_len(text, 2 * len);
    free(text);
    return string;
}

void tool_json_add(struct json_object *object, const char *key, struct json_object *value)
{
    tool_json_check(json_object_object_add(object, key, value) == 0);
}

void tool_json_append(struct json_object *array, struct json_object *value)
{
    tool_json_check(json_object_array_add(array, value) == 0);
}
