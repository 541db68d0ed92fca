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

#define SET_KEY(key, fields) "{\"op\":\"set\",\"key\":\"" key "@example.org\",\"set\":{" fields "}}"

/* What the entry of a@example.org is, but for what all entries have. */
static void expect_entry(const char *want)
{
    static const char *const usual[] = {"epoch", "key", "when", "who", "note"};
    json_t *reply = ask(GET_A), *entry = json_object_get(reply, "entry");
    for (size_t i = 0; i < COUNT_OF(usual); i++)
        json_object_del(entry, usual[i]);
    char *text = entry ? json_dumps(entry, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (!text || strcmp(text, want) != 0)
        fail_msg("gave %s\n  want %s", text ? text : "nothing", want);
    free(text);
    json_decref(reply);
}

/* Nothing is accepted that nobody could deliver. */
static void test_arrangements(void **state)
{
    (void)state;
    static const char *const wide[] = {
        SET_A("\"kind\":\"alias\",\"to\":\"b@example.org, \\\"c,c\\\"@example.org\""),
        SET_A("\"kind\":\"group\",\"to\":[\"b@example.org\",\"c@example.org\"]"),
        SET_A("\"kind\":\"forward\",\"to\":[\"b@example.com\"]"),
    };
    for (size_t i = 0; i < COUNT_OF(wide); i++)
        expect_error(wide[i], EX_UNAVAILABLE, "which the relay cannot deliver");
    control.conf = &CONF_ALIASES;
    assert_int_equal(store_generation(control.store), 0);
    for (size_t i = 0; i < COUNT_OF(wide); i++)
        assert_int_equal(number(wide[i], "changed"), 1);
    expect_entry("{\"deliver_as\":\"\",\"kind\":\"forward\",\"route\":\"\",\"state\":\"active\","
                 "\"to\":[\"b@example.com\"]}");
}

/* Mail for two servers: never without an end, never for long, never for more than a mailbox; and
 * not at all where nobody keeps a copy until both have it. */
static void test_two_servers(void **state)
{
    (void)state;
    static const struct {
        const char *fields;
        int code;
        const char *part;
    } rows[] = {
        {"\"route\":\"old\",\"also\":\"new\"", EX_DATAERR, "also needs its end"},
        {"\"route\":\"old\",\"until\":\"7d\"", EX_DATAERR, "the end of also=SERVER"},
        {"\"route\":\"old\",\"also\":\"old\",\"until\":\"7d\"", EX_DATAERR, "the same server"},
        {"\"route\":\"old\",\"also\":\"new\",\"until\":\"1209601s\"", EX_DATAERR,
            "more than 14 days ahead"},
        {"\"route\":\"old\",\"also\":\"new\",\"until\":\"14d\"", EX_UNAVAILABLE,
            "need a relay with a spool"},
        {"\"kind\":\"alias\",\"to\":\"b@example.org,c@example.org\",\"also\":\"new\","
         "\"until\":\"7d\"",
            EX_DATAERR, "are for one mailbox"},
        {"\"kind\":\"alias\",\"to\":\"b@example.org\",\"also\":\"new\",\"until\":\"7d\"",
            EX_DATAERR, "are for one mailbox"},
        {"\"kind\":\"group\",\"route\":\"old\",\"also\":\"new\",\"until\":\"7d\"", EX_DATAERR,
            "are for one mailbox"},
        {"\"kind\":\"reject\",\"also\":\"new\",\"until\":\"7d\"", EX_DATAERR,
            "are for one mailbox"},
    };
    char request[512];
    control.conf = &CONF_ALIASES;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(
            fmt_into(request, sizeof request,
                "{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{%s}}", rows[i].fields),
            0);
        expect_error(request, rows[i].code, rows[i].part);
        /* An import is told the same, with the row. */
        json_decref(ask("{\"op\":\"begin\"}"));
        assert_int_equal(fmt_into(request, sizeof request,
                             "{\"op\":\"put\",\"rows\":[{\"key\":\"a@example.org\",\"set\":{%s}}]}",
                             rows[i].fields),
            0);
        json_t *put = ask(request), *commit = ask("{\"op\":\"commit\"}");
        const json_t *bad = json_array_get(json_object_get(commit, "bad"), 0);
        const char *text = json_string_value(json_object_get(bad, "text"));
        assert_row(rows[i].fields, text && strstr(text, rows[i].part));
        json_decref(put);
        json_decref(commit);
    }
    expect_error("{\"op\":\"set\",\"key\":\"@example.org\",\"set\":{\"route\":\"old\","
                 "\"also\":\"new\",\"until\":\"7d\"}}",
        EX_DATAERR, "no domain");
    assert_int_equal(store_generation(control.store), 0);
}

static void test_kinds(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *part;
    } refused[] = {
        {"\"kind\":\"alias\"", "needs its targets"},
        {"\"kind\":\"alias\",\"route\":\"old\",\"to\":\"b@example.org\"", "no route of its own"},
        {"\"kind\":\"alias\",\"deliver_as\":\"x@y.org\",\"to\":\"b@example.org\"",
            "delivered as its targets are"},
        {"\"kind\":\"group\"", "needs the server that expands it"},
        {"\"kind\":\"group\",\"route\":\"old\",\"senders\":\"members\"", "needs the members"},
        {"\"route\":\"old\",\"to\":\"b@example.org\"", "for aliases, groups and forwards"},
        {"\"route\":\"old\",\"senders\":\"inside\"", "for aliases, groups and forwards"},
        {"\"route\":\"old\",\"owner\":\"b@example.org\"", "for aliases, groups and forwards"},
        {"\"route\":\"old\",\"code\":550", "for reject entries"},
        {"\"kind\":\"reject\",\"code\":450,\"text\":\"5.1.6 Moved\"", "another class"},
        {"\"kind\":\"reject\",\"text\":\"4.2.1 Later\"", "another class"},
    };
    char request[512];
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        assert_int_equal(
            fmt_into(request, sizeof request,
                "{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{%s}}", refused[i].fields),
            0);
        expect_error(request, EX_DATAERR, refused[i].part);
    }
    /* From kind to kind: what the new one has no use for is gone. */
    number(SET_A("\"route\":\"old\",\"deliver_as\":\"x@y.org\""), "changed");
    number(SET_A("\"kind\":\"alias\",\"to\":\"B@Example.ORG\",\"owner\":\"o@example.com\""),
        "changed");
    expect_entry(
        "{\"deliver_as\":\"\",\"kind\":\"alias\",\"owner\":\"o@example.com\",\"route\":\"\","
        "\"state\":\"active\",\"to\":[\"b@example.org\"]}");
    number(SET_A("\"kind\":\"reject\",\"code\":\"550\",\"text\":\"5.1.6 Moved\""), "changed");
    expect_entry("{\"code\":550,\"deliver_as\":\"\",\"kind\":\"reject\",\"route\":\"\","
                 "\"state\":\"active\",\"text\":\"5.1.6 Moved\"}");
    number(SET_A("\"kind\":\"group\",\"route\":\"old\",\"to\":[\"b@example.org\"],"
                 "\"senders\":[\"@example.net\",\"C@example.org\"]"),
        "changed");
    expect_entry("{\"deliver_as\":\"\",\"kind\":\"group\",\"route\":\"old\",\"senders\":"
                 "[\"@example.net\",\"c@example.org\"],\"state\":\"active\","
                 "\"to\":[\"b@example.org\"]}");
    number(SET_A("\"senders\":\"members\""), "changed");
    number(SET_A("\"kind\":\"mailbox\""), "changed");
    expect_entry(
        "{\"deliver_as\":\"\",\"kind\":\"mailbox\",\"route\":\"old\",\"state\":\"active\"}");
}

static void test_circles(void **state)
{
    (void)state;
    control.conf = &CONF_ALIASES;
    expect_error(
        SET_KEY("a", "\"kind\":\"alias\",\"to\":\"A+x@example.org\""), EX_DATAERR, "in a circle");
    number(SET_KEY("a", "\"kind\":\"alias\",\"to\":\"b@example.org\""), "changed");
    number(SET_KEY("b", "\"kind\":\"alias\",\"to\":\"c@example.org,d@example.org\""), "changed");
    expect_error(
        SET_KEY("d", "\"kind\":\"group\",\"to\":\"a@example.org\""), EX_DATAERR, "in a circle");
    expect_error("{\"op\":\"set\",\"key\":\"@example.org\",\"set\":{\"kind\":\"alias\","
                 "\"to\":\"nobody@example.org\"}}",
        EX_DATAERR, "in a circle");
    /* In one transaction too. */
    expect_error(
        "{\"op\":\"apply\",\"changes\":["
        "{\"key\":\"x@example.org\",\"set\":{\"kind\":\"alias\",\"to\":\"y@example.org\"}},"
        "{\"key\":\"y@example.org\",\"set\":{\"kind\":\"alias\",\"to\":\"x@example.org\"}}]}",
        EX_DATAERR, "in a circle");
    assert_int_equal(store_generation(control.store), 2);
}

#define ALIAS(to) "\"kind\":\"alias\",\"to\":\"" to "\""

static void set_alias(const char *key, const char *to, const char *refused)
{
    char request[512];
    assert_int_equal(fmt_into(request, sizeof request,
                         "{\"op\":\"set\",\"key\":\"%s@example.org\",\"set\":{\"kind\":\"alias\","
                         "\"to\":\"%s\"}}",
                         key, to),
        0);
    if (refused)
        expect_error(request, EX_DATAERR, refused);
    else
        number(request, "changed");
}

/* n aliases one behind the other, prefix1 first, to the address. */
static void set_chain(const char *prefix, int n, const char *to)
{
    char key[64], next[64];
    for (int i = n; i >= 1; i--) {
        assert_int_equal(fmt_into(key, sizeof key, "%s%d", prefix, i), 0);
        assert_int_equal(fmt_into(next, sizeof next, "%s%d@example.org", prefix, i + 1), 0);
        set_alias(key, i == n ? to : next, NULL);
    }
}

/* One more than the limit is refused at either end of a chain and in the middle, by look-up's own
 * rule, with all of it named. */
static void test_depth(void **state)
{
    (void)state;
    control.conf = &CONF_ALIASES;
    number(SET("end@example.org", "old"), "generation");
    /* From below up: a1 has DECIDE_DEPTH_MAX aliases in front of the mailbox, itself included. */
    set_chain("a", DECIDE_DEPTH_MAX - 1, "end@example.org");
    set_alias("top", "a1@example.org", NULL);
    set_alias("over", "top@example.org",
        "over@example.org: The map leads this recipient through too many aliases: "
        "over@example.org -> top@example.org -> a1@example.org -> a2@example.org -> ");
    /* From above down: whose target comes later. */
    set_chain("b", DECIDE_DEPTH_MAX - 2, "low@example.org");
    set_alias("low", "lower@example.org", NULL); /* limit - 1 */
    set_alias("lower", "end@example.org", NULL); /* limit */
    expect_error(SET_KEY("end", ALIAS("more@example.org")), EX_DATAERR,
        "end@example.org: b1@example.org leads here, and then: The map leads this recipient "
        "through "
        "too many aliases: b1@example.org -> b2@example.org -> ");
    /* In the middle: the part above and the part below are each short enough. */
    set_chain("c", 5, "mid@example.org");
    set_chain("d", 5, "end@example.org");
    set_alias("mid", "d1@example.org", "mid@example.org: c1@example.org leads here, and then");
    set_alias("mid", "d2@example.org", NULL);
    /* A hold on the way hides nothing. */
    number(HOLD("d2@example.org"), "epoch");
    set_alias("mid", "d1@example.org", "mid@example.org: c1@example.org leads here, and then");
    set_alias("mid", "c3@example.org", "in a circle");
}

/* Fan-out grows from below as well. */
static void test_too_many_from_below(void **state)
{
    char to[4096], key[64], request[8192];
    size_t at = 0;
    (void)state;
    control.conf = &CONF_ALIASES;
    for (int i = 0; i < DECIDE_DELIVERIES_MAX; i++) {
        assert_int_equal(fmt_into(key, sizeof key, "m%d@example.org", i), 0);
        assert_int_equal(fmt_into(to + at, sizeof to - at, "%s%s", i ? "," : "", key), 0);
        at += strlen(to + at);
        assert_int_equal(fmt_into(request, sizeof request,
                             "{\"op\":\"set\",\"key\":\"%s\",\"set\":{\"route\":\"old\"}}", key),
            0);
        if (i > 0)
            number(request, "changed");
    }
    assert_int_equal(fmt_into(request, sizeof request, SET_KEY("all", ALIAS("%s")), to), 0);
    number(request, "changed");
    number(SET("x@example.org", "old"), "changed");
    number(SET("y@example.org", "old"), "changed");
    number(SET_KEY("m0", ALIAS("x@example.org")), "changed");
    expect_error(SET_KEY("m0", ALIAS("x@example.org,y@example.org")), EX_DATAERR,
        "m0@example.org: all@example.org leads here, and then: The map leads this recipient to too "
        "many addresses");
}

static void expect_follow(const char *request, const char *want)
{
    json_t *reply = ask(request);
    const char *text = json_string_value(json_object_get(reply, "follow"));
    if (strcmp(text ? text : "", want) != 0)
        fail_msg("%s gave %s", request, text ? text : "nothing");
    json_decref(reply);
}

/* Whoever moves a user is told who goes with him. */
static void test_followers(void **state)
{
    (void)state;
    control.conf = &CONF_ALIASES;
    number(SET("a@example.org", "old"), "generation");
    expect_follow(GET_A, "");
    number(SET_KEY("b", "\"kind\":\"alias\",\"to\":\"a@example.org\""), "changed");
    number(SET_KEY("c", "\"kind\":\"alias\",\"to\":\"a@example.org,z@example.org\""), "changed");
    number(
        SET_KEY("d", "\"kind\":\"group\",\"route\":\"old\",\"to\":\"a@example.org\""), "changed");
    number(SET_KEY("e", "\"kind\":\"group\",\"to\":\"a@example.org\""), "changed");
    /* No prefix of the key is meant. */
    number(SET_KEY("f", "\"kind\":\"alias\",\"to\":\"a@example.org.example.net\""), "changed");
    expect_follow(GET_A, "2 aliases follow; 1 group on old has this member; "
                         "1 group that is expanded here follows");
    expect_follow(HOLD("a@example.org"), "2 aliases follow; 1 group on old has this member; "
                                         "1 group that is expanded here follows");
    number(SET_KEY("c", "\"to\":\"z@example.org\""), "changed");
    number("{\"op\":\"del\",\"key\":\"e@example.org\"}", "changed");
    number(SET_KEY("d", "\"kind\":\"mailbox\""), "changed");
    expect_follow("{\"op\":\"flip\",\"key\":\"a@example.org\",\"epoch\":7,\"route\":\"new\"}",
        "1 alias follows");
    expect_error("{\"op\":\"flip\",\"key\":\"b@example.org\",\"epoch\":7,\"route\":\"new\"}", 1,
        "is not held");
    assert_int_equal(number(HOLD("b@example.org"), "generation"), 12);
    expect_error("{\"op\":\"flip\",\"key\":\"b@example.org\",\"epoch\":12,\"route\":\"new\"}",
        EX_DATAERR, "no route of its own");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_moved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_fields, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_arrangements, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_two_servers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_circles, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_depth, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_too_many_from_below, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_followers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
