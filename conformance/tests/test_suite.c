/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Suites: what is read of a case, how cases are named and chosen. What a broken suite
 * gets to hear is tested with the program, in test_run.py.
 */
#include "wire/tests/support.h"

#include <errno.h>

#include "conformance/embedded.h"
#include "conformance/suite.h"

struct fixture {
    struct ct_catalogue catalogue;
    struct ct_lua ctx;
    lua_State *L;
    struct ct_suite suite;
};

static int set_up(void **state)
{
    const struct ct_embedded *e = &ct_embedded_catalogue;
    struct fixture *f = calloc(1, sizeof(*f));
    char why[256] = "";

    if (f == NULL || ct_catalogue_load(&f->catalogue, (const char *)e->data, e->len, why,
                                       sizeof(why)) != 0)
        return -1;
    f->ctx.catalogue = &f->catalogue;
    f->L = ct_lua_new(&f->ctx, why, sizeof(why));
    if (f->L == NULL)
        print_error("%s\n", why);
    *state = f;
    return f->L != NULL ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    ct_suite_free(&f->suite);
    lua_close(f->L);
    ct_catalogue_free(&f->catalogue);
    free(f);
    return 0;
}

static void load(struct fixture *f, const char *text)
{
    char why[256] = "";

    if (ct_suite_load(f->L, "test.lua", text, strlen(text), why, sizeof(why)) != 0)
        fail_msg("%s", why);
    assert_int_equal(ct_suite_list(f->L, &f->suite), 0);
}

static void a_case_is_read_with_its_options(void **state)
{
    struct fixture *f = *state;
    const struct ct_case *c;

    load(
        f,
        "case 'HDR-12' { 'a title', needs = { 'dma', 'irq' }, also = { 'REG-01', 'REG-02' },"
        "  timeout = 2.5, stops_server = true, connect = 'raw', function() end }");
    assert_int_equal(f->suite.count, 1);
    c = &f->suite.cases[0];
    assert_string_equal(c->name, "HDR-12");
    assert_string_equal(c->title, "a title");
    assert_string_equal(c->req->id, "HDR-12");
    assert_int_equal(c->req->level, CT_SHOULD);
    assert_int_equal(c->needs,
                     1u << CT_NEED_dma | 1u << CT_NEED_irq | 1u << CT_NEED_spawned);
    assert_int_equal(c->n_also, 2);
    assert_string_equal(c->also[0]->id, "REG-01");
    assert_string_equal(c->also[1]->id, "REG-02");
    assert_true(c->timeout == 2.5);
    assert_true(c->stops_server);
    assert_int_equal(c->ref, 1);
}

static void options_may_be_absent(void **state)
{
    struct fixture *f = *state;
    const struct ct_case *c;

    load(f, "case 'HDR-01' { 'x', function() end }");
    c = &f->suite.cases[0];
    assert_int_equal(c->needs, 0);
    assert_int_equal(c->n_also, 0);
    assert_true(c->timeout == 0);
    assert_false(c->stops_server);
}

static void cases_of_one_id_are_numbered(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = { "HDR-01", "REG-01", "HDR-01.2", "HDR-01.3" };

    load(f, "local function f() end\n"
            "case 'HDR-01' { 'a', f } case 'REG-01' { 'b', f }\n"
            "case 'HDR-01' { 'c', f } case 'HDR-01' { 'd', f }");
    assert_int_equal(f->suite.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(f->suite.cases[i].name, names[i]);
        assert_int_equal(f->suite.cases[i].ref, i + 1);
    }
}

static void patterns_choose_cases(void **state)
{
    struct fixture *f = *state;
    const struct ct_case *c;

    load(f, "local function f() end\n"
            "case 'HDR-01' { 'a', f } case 'HDR-01' { 'b', also = 'CONN-02', f }");
    c = &f->suite.cases[1];
    assert_true(ct_case_matches(c, "HDR-01"));
    assert_true(ct_case_matches(c, "HDR-01.2"));
    assert_true(ct_case_matches(c, "HDR"));
    assert_true(ct_case_matches(c, "HDR-*"));
    assert_true(ct_case_matches(c, "*"));
    assert_true(ct_case_matches(c, "CONN-02"));
    assert_true(ct_case_matches(c, "CONN"));
    assert_false(ct_case_matches(c, "HDR-02"));
    assert_false(ct_case_matches(c, "HD"));
    assert_false(ct_case_matches(c, "HDR-"));
    assert_false(ct_case_matches(c, "REG"));
    assert_false(ct_case_matches(c, ""));
    assert_true(ct_case_matches(&f->suite.cases[0], "HDR-01"));
    assert_false(ct_case_matches(&f->suite.cases[0], "HDR-01.2"));
}

static void a_failed_load_says_where(void **state)
{
    struct fixture *f = *state;
    static const char text[] = "\n\ncase 'NO-01' { 'x', function() end }";
    char why[256] = "";

    assert_int_equal(
        ct_suite_load(f->L, "test.lua", text, strlen(text), why, sizeof(why)), -EINVAL);
    assert_non_null(strstr(why, "test.lua:3: id 'NO-01' is not known"));
    assert_int_equal(lua_gettop(f->L), 0);
}

static void the_suites_that_ship_load(void **state)
{
    struct fixture *f = *state;
    char why[256] = "";

    if (ct_suite_load_embedded(f->L, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    assert_int_equal(ct_suite_list(f->L, &f->suite), 0);
    assert_true(f->suite.count > 0);
}

static void needs_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < CT_N_NEEDS; i++)
        assert_int_equal(ct_need_find(ct_need_name(i)), i);
    assert_int_equal(ct_need_find("money"), -1);
    assert_true(CT_N_NEEDS <= 32); /* the bits of ct_case.needs */
}

#define SUITE_TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    SUITE_TEST(a_case_is_read_with_its_options), SUITE_TEST(options_may_be_absent),
    SUITE_TEST(cases_of_one_id_are_numbered),    SUITE_TEST(patterns_choose_cases),
    SUITE_TEST(a_failed_load_says_where),        SUITE_TEST(the_suites_that_ship_load),
    cmocka_unit_test(needs_have_names),
};

VU_TEST_MAIN(tests)
