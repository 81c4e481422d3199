/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The catalogue is read strictly, and the one that ships is whole.
 */
#include "wire/tests/support.h"

#include <errno.h>

#include "conformance/catalogue.h"
#include "conformance/embedded.h"

#define ENTRY(id, level)                                            \
    "{\"id\":\"" id "\",\"section\":\"S\",\"level\":\"" level "\"," \
    "\"applies_to\":\"server\",\"requirement\":\"R\",\"test_idea\":\"T\"}"

static int load(struct ct_catalogue *c, const char *json, char *why)
{
    return ct_catalogue_load(c, json, strlen(json), why, 256);
}

static void refused(const char *json, const char *wanted)
{
    struct ct_catalogue c;
    char why[256] = "";

    assert_int_equal(load(&c, json, why), -EINVAL);
    if (strstr(why, wanted) == NULL)
        fail_msg("got '%s', want '%s'", why, wanted);
}

static void entries_are_found_by_id(void **state)
{
    struct ct_catalogue c;
    char why[256];

    (void)state;
    assert_int_equal(load(&c,
                          "[" ENTRY("B-02", "SHOULD") "," ENTRY("B-01", "MAY") "," ENTRY(
                              "AB-10", "MUST") "]",
                          why),
                     0);
    assert_int_equal(c.count, 3);
    assert_int_equal(ct_catalogue_find(&c, "B-01")->level, CT_MAY);
    assert_int_equal(ct_catalogue_find(&c, "B-02")->level, CT_SHOULD);
    assert_string_equal(ct_catalogue_find(&c, "AB-10")->text, "R");
    assert_true(ct_catalogue_find(&c, "AB-10")->for_server);
    assert_null(ct_catalogue_find(&c, "B-03"));
    assert_null(ct_catalogue_find(&c, "B-1"));
    ct_catalogue_free(&c);
}

static void an_empty_catalogue_holds_nothing(void **state)
{
    struct ct_catalogue c;
    char why[256];

    (void)state;
    assert_int_equal(load(&c, "[]", why), 0);
    assert_null(ct_catalogue_find(&c, "A-01"));
    ct_catalogue_free(&c);
}

static void who_it_applies_to_is_kept(void **state)
{
    struct ct_catalogue c;
    char why[256];

    (void)state;
    assert_int_equal(load(&c,
                          "[{\"id\":\"A-01\",\"section\":\"S\",\"level\":\"MUST\","
                          "\"applies_to\":\"client\",\"requirement\":\"R\"},"
                          "{\"id\":\"A-02\",\"section\":\"S\",\"level\":\"MUST\","
                          "\"applies_to\":\"both\",\"requirement\":\"R\"}]",
                          why),
                     0);
    assert_false(ct_catalogue_find(&c, "A-01")->for_server);
    assert_true(ct_catalogue_find(&c, "A-02")->for_server);
    ct_catalogue_free(&c);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    refused("[" ENTRY("A-01", "MUST") "," ENTRY("A-01", "MUST") "]",
            "'A-01' is there twice");
    refused("[" ENTRY("A-01", "MUST") "," ENTRY("A-02", "must") "]", "entry 2: 'level'");
    refused("[" ENTRY("A01", "MUST") "]", "entry 1: 'id'");
    refused("[" ENTRY("a-01", "MUST") "]", "'id'");
    refused("[" ENTRY("A-", "MUST") "]", "'id'");
    refused("[" ENTRY("A-1x", "MUST") "]", "'id'");
    refused("[{\"id\":\"A-01\"}]", "'applies_to'");
    refused("[{\"id\":1,\"section\":\"S\",\"level\":\"MUST\",\"applies_to\":\"both\","
            "\"requirement\":\"R\"}]",
            "'id'");
    refused(
        "[{\"id\":\"A-01\",\"section\":\"\",\"level\":\"MUST\",\"applies_to\":\"both\","
        "\"requirement\":\"R\"}]",
        "'section'");
    refused(
        "[{\"id\":\"A-01\",\"section\":\"S\",\"level\":\"MUST\",\"applies_to\":\"both\"}]",
        "'requirement'");
    refused("[{\"id\":\"A-01\",\"sections\":\"S\"}]", "unknown key 'sections'");
    refused("[{\"id\":\"A-01\",\"needs\":\"dma\"}]", "'needs' is no list");
    refused("[{\"id\":\"A-01\",\"needs\":[1]}]", "'needs' holds");
    refused("[3]", "entry 1: is no object");
    refused("{}", "no list");
    refused("[", "no JSON");
    refused("[]x", "no JSON");
    refused("", "no JSON");
}

static void levels_have_names(void **state)
{
    enum ct_level level;

    (void)state;
    for (int i = CT_MUST; i <= CT_MAY; i++) {
        assert_int_equal(ct_level_parse(ct_level_name(i), &level), 0);
        assert_int_equal(level, i);
    }
    assert_int_equal(ct_level_parse("", &level), -EINVAL);
    assert_int_equal(ct_level_parse("MUSTY", &level), -EINVAL);
}

static void the_catalogue_that_ships_is_whole(void **state)
{
    const struct ct_embedded *e = &ct_embedded_catalogue;
    struct ct_catalogue c;
    char why[256] = "";

    (void)state;
    if (ct_catalogue_load(&c, (const char *)e->data, e->len, why, sizeof(why)) != 0)
        fail_msg("%s", why);
    assert_int_equal(c.count, 427);
    assert_string_equal(ct_catalogue_find(&c, "DMA-03")->section,
                        "VFIO_USER_DMA_MAP / UNMAP / READ / WRITE");
    ct_catalogue_free(&c);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(entries_are_found_by_id),
    cmocka_unit_test(an_empty_catalogue_holds_nothing),
    cmocka_unit_test(who_it_applies_to_is_kept),
    cmocka_unit_test(what_is_wrong_is_named),
    cmocka_unit_test(levels_have_names),
    cmocka_unit_test(the_catalogue_that_ships_is_whole),
};

VU_TEST_MAIN(tests)
