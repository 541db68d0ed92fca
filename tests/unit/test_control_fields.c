/* SPDX-License-Identifier: ISC */
/* Fields of entries, and entries that belong to a cut-over. */
#include "tests/unit/control_rig.h"

#define GET_A "{\"op\":\"get\",\"key\":\"a@example.org\"}"

/* What a cut-over has moved nobody moves back by mistake, until it has retired. */
static void test_moved(void **state)
{
    (void)state;
    number(SET("a@example.org", "old"), "generation");
    number(HOLD("a@example.org"), "epoch");
    number(
        "{\"op\":\"flip\",\"key\":\"a@example.org\",\"epoch\":2,\"route\":\"new\",\"id\":\"f-1\"}",
        "epoch");
    expect(GET_A, "{\"entry\":{\"deliver_as\":\"\",\"epoch\":3,\"key\":\"a@example.org\","
                  "\"kind\":\"mailbox\",\"moved_by\":\"f-1\",\"note\":\"\",\"route\":\"new\","
                  "\"state\":\"active\",\"when\":\"1970-01-01T00:16:40Z\",\"who\":\"tester\"},"
                  "\"ok\":true}");
    static const char *const refused[] = {SET("a@example.org", "old"),
        "{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{\"kind\":\"reject\"}}",
        "{\"op\":\"del\",\"key\":\"a@example.org\"}",
        "{\"op\":\"apply\",\"changes\":[{\"key\":\"a@example.org\",\"set\":{\"route\":\"old\"}}]}"};
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        expect_error(refused[i], 1, "was moved to new by the cut-over f-1: nothing is changed");
    assert_int_equal(store_generation(control.store), 3);
    /* The rest of it is anybody's, and another cut-over has a hold to show. */
    number("{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{\"note\":\"n\",\"route\":\"new\"}}",
        "generation");
    number(HOLD("a@example.org"), "epoch");
    number(
        "{\"op\":\"flip\",\"key\":\"a@example.org\",\"epoch\":5,\"route\":\"old\",\"id\":\"f-2\"}",
        "epoch");
    expect_error(SET("a@example.org", "new"), 1, "was moved to old by the cut-over f-2");

    expect_error("{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{\"route\":\"new\"},"
                 "\"force\":true}",
        EX_USAGE, "force needs a why");
    number("{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{\"route\":\"new\"},"
           "\"force\":true,\"why\":\"w\"}",
        "generation");
    assert_string_equal(route_of("a@example.org"), "new");
    expect_error(SET("a@example.org", "old"), 1, "cut-over f-2");
    /* The epoch stays: mail does not see it. */
    assert_int_equal(number("{\"op\":\"retire\",\"key\":\"a@example.org\"}", "epoch"), 7);
    assert_int_equal(number("{\"op\":\"retire\",\"key\":\"a@example.org\"}", "generation"), 8);
    number(SET("a@example.org", "old"), "generation");
    expect_error("{\"op\":\"retire\",\"key\":\"b@example.org\"}", 1, "no entry");
}

static void test_fields(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        const char *part;
    } rows[] = {
        {"\"kind\":\"alias\",\"to\":\"nobody\"", "to nobody is not an address"},
        {"\"kind\":\"alias\",\"to\":\"b@[127.0.0.1]\"", "is not an address"},
        {"\"kind\":\"alias\",\"to\":\"b@example.org c@example.org\"", "is not an address"},
        {"\"kind\":\"alias\",\"to\":[7]", "has to hold strings"},
        {"\"owner\":\"b@example.org,c@example.org\"", "one address gets the errors"},
        {"\"senders\":\"friends\"", "senders friends is not an address"},
        {"\"senders\":\"@bad_domain-.org\"", "is not a domain"},
        {"\"code\":\"399\"", "a number from 400 to 599"},
        {"\"code\":\"600\"", "a number from 400 to 599"},
        {"\"code\":\"x\"", "a number from 400 to 599"},
        {"\"code\":-550", "a number from 400 to 599"},
        {"\"text\":\"M\u00fcller\"", "printable ASCII only"},
        {"\"also\":\"mars\"", "no server \"mars\""},
        {"\"until\":\"20261231\"", "until 20261231 is neither"},
        {"\"until\":\"tomorrow\"", "until tomorrow is neither"},
        {"\"until\":\"2026-02-30\"", "is neither"},
    };
    char request[512];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(
            fmt_into(request, sizeof request,
                "{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{%s}}", rows[i].fields),
            0);
        json_t *reply = ask(request), *error = json_object_get(reply, "error");
        const char *text = json_string_value(json_object_get(error, "text"));
        if (!text || !strstr(text, rows[i].part))
            fail_msg("%s gave %s", rows[i].fields, text ? text : "(ok)");
        json_decref(reply);
    }
    number(
        SET_A("\"route\":\"old\",\"source\":\"hr\",\"code\":\"\",\"to\":\"\",\"senders\":\"any\""),
        "generation");
    assert_int_equal(number(SET_A("\"source\":\"hr\""), "changed"), 0);
    assert_int_equal(number(SET_A("\"source\":\"\""), "changed"), 1);
}

/* Nothing is accepted that no look-up could use. */
static void test_not_yet(void **state)
{
    (void)state;
    static const char *const requests[] = {
        SET_A("\"kind\":\"alias\",\"to\":\"b@example.org, \\\"c,c\\\"@example.org\""),
        SET_A("\"kind\":\"group\",\"route\":\"old\""),
        SET_A("\"kind\":\"forward\",\"to\":[\"b@example.com\"]"),
        SET_A("\"kind\":\"reject\",\"code\":550"),
        SET_A("\"kind\":\"reject\",\"text\":\"5.1.6 Moved\""),
        SET_A("\"route\":\"old\",\"also\":\"new\",\"until\":\"7d\""),
        SET_A("\"route\":\"old\",\"senders\":\"inside\""),
    };
    for (size_t i = 0; i < COUNT_OF(requests); i++)
        expect_error(requests[i], EX_UNAVAILABLE, "possible yet");
    assert_int_equal(store_generation(control.store), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_moved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_yet, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
