/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every unit test needs: cmocka behind its odd includes, a main whose exit
 * status cannot wrap to 0, and a check that no descriptor was left open.
 */
#ifndef VU_TESTS_SUPPORT_H
#define VU_TESTS_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Open descriptors of this process. */
static inline int vu_test_open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    if (dir == NULL)
        abort();
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n - 3;   /* ".", ".." and the directory itself */
}

/* Set-up and tear-down for tests that must leave every descriptor closed:
 * cmocka_unit_test_setup_teardown(test, vu_test_fds_before, vu_test_fds_after) */
static inline int vu_test_fds_before(void **state)
{
    int *count = malloc(sizeof(*count));

    if (count == NULL)
        return -1;
    *count = vu_test_open_fds();
    *state = count;
    return 0;
}

static inline int vu_test_fds_after(void **state)
{
    int before = *(int *)*state;
    int after = vu_test_open_fds();

    free(*state);
    if (before != after)
        print_error("descriptors before the test %d, after it %d\n", before, after);
    return before == after ? 0 : -1;
}

#define VU_FD_TEST(f) \
    cmocka_unit_test_setup_teardown(f, vu_test_fds_before, vu_test_fds_after)

/* cmocka's result is a count: 256 failures would exit with 0. */
#define VU_TEST_MAIN(tests)                                                  \
    int main(void)                                                           \
    {                                                                        \
        return cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL) != 0; \
    }

#endif
