/* SPDX-License-Identifier: ISC */
#include "tests/unit/control_rig.h"

static void test_set_get_del(void **state)
{
    (void)state;
    expect(SET("Ann@Example.ORG", "old"),
        "{\"changed\":1,\"entry\":{\"deliver_as\":\"\",\"epoch\":1,\"key\":\"ann@example.org\","
        "\"kind\":\"mailbox\",\"note\":\"\",\"route\":\"old\",\"state\":\"active\","
        "\"when\":\"1970-01-01T00:16:40Z\",\"who\":\"tester\"},\"generation\":1,\"ok\":true}");
    /* The same again changes nothing, not even the generation. */
    assert_int_equal(number(SET("ann@example.org", "old"), "changed"), 0);
    assert_int_equal(number(SET("ann@example.org", "old"), "generation"), 1);
    assert_int_equal(number(SET("ann@example.org", "new"), "generation"), 2);
    assert_string_equal(route_of("ANN@example.org"), "new");
    /* Fields that are not named stay. */
    assert_int_equal(number("{\"op\":\"set\",\"key\":\"ann@example.org\",\"set\":"
                            "{\"deliver_as\":\"ann@new.example.org\"}}",
                         "generation"),
        3);
    assert_string_equal(route_of("ann@example.org"), "new");
    assert_int_equal(number("{\"op\":\"del\",\"key\":\"ann@example.org\"}", "generation"), 4);
    expect("{\"op\":\"get\",\"key\":\"ann@example.org\"}",
        "{\"epoch\":4,\"error\":{\"class\":\"permanent\",\"code\":1,\"text\":"
        "\"there is no entry for ann@example.org\"},\"ok\":false}");
    expect_error("{\"op\":\"del\",\"key\":\"ann@example.org\"}", 1, "no entry");
}

static void test_note_alone(void **state)
{
    static const char NOTE[] =
        "{\"op\":\"set\",\"key\":\"ann@example.org\",\"set\":{\"note\":\"moved\"}}";
    (void)state;
    number(SET("ann@example.org", "old"), "generation");
    assert_int_equal(number(NOTE, "changed"), 1);
    assert_int_equal(number(NOTE, "changed"), 0);
    json_t *reply = ask("{\"op\":\"get\",\"key\":\"ann@example.org\"}");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(reply, "entry"), "note")), "moved");
    json_decref(reply);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        int code;
        const char *part;
    } ROWS[] = {
        {"{}", EX_USAGE, "unknown \"op\""},
        {"{\"op\":7}", EX_USAGE, "unknown \"op\""},
        {"{\"op\":\"fly\"}", EX_USAGE, "unknown \"op\""},
        {"{\"op\":\"barrier\"}", EX_USAGE, "unknown \"op\""},
        {"{\"op\":\"get\"}", EX_USAGE, "\"key\" is missing"},
        {"{\"op\":\"get\",\"key\":\"\"}", EX_USAGE, "\"key\" is empty"},
        {"{\"op\":\"get\",\"key\":7}", EX_USAGE, "has to be a string"},
        {"{\"op\":\"get\",\"key\":\"ann\"}", EX_DATAERR, "not an address"},
        {"{\"op\":\"get\",\"key\":\"a@b@example.org\"}", EX_DATAERR, "not an address"},
        {"{\"op\":\"get\",\"key\":\"ann@example.com\"}", EX_DATAERR, "domain example.com is not"},
        {SET("ann@example.org", "mars"), EX_DATAERR, "servers: old, new"},
        {"{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{}}", EX_DATAERR, "needs a route"},
        {"{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":[]}", EX_USAGE, "object"},
        {"{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{\"colour\":\"red\"}}", EX_USAGE,
            "unknown field \"colour\""},
        {"{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{\"kind\":\"list\"}}", EX_DATAERR,
            "the kinds are mailbox, alias, group"},
        {"{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{\"route\":\"old\","
         "\"deliver_as\":\"nobody\"}}",
            EX_DATAERR, "deliver_as nobody"},
        {"{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{\"route\":\"old\","
         "\"note\":\"two\\nlines\"}}",
            EX_DATAERR, "one line"},
        {"{\"op\":\"set\",\"key\":\"a@example.org\",\"why\":\"two\\nlines\","
         "\"set\":{\"route\":\"old\"}}",
            EX_DATAERR, "one line"},
        {"{\"op\":\"set\",\"key\":\"a@example.org\",\"expect_epoch\":5,\"set\":"
         "{\"route\":\"old\"}}",
            1, "its epoch is 0, not 5, and there is no entry"},
        {"{\"op\":\"hold\",\"key\":\"a@example.org\",\"owner\":\"o\",\"deadline_ms\":1,"
         "\"expect_epoch\":5}",
            1, "its epoch is 0, not 5"},
        {"{\"op\":\"retire\",\"key\":\"a@example.org\",\"expect_epoch\":\"x\"}", EX_USAGE,
            "expect_epoch"},
        {"{\"op\":\"hold\",\"key\":\"a@example.org\",\"owner\":\"o\",\"deadline_ms\":1}", 1,
            "no entry"},
        {"{\"op\":\"hold\",\"key\":\"a@example.org\",\"owner\":\"o\"}", EX_USAGE, "deadline_ms"},
        {"{\"op\":\"release\",\"key\":\"a@example.org\"}", 1, "is not held"},
        {"{\"op\":\"flip\",\"key\":\"a@example.org\",\"epoch\":0,\"route\":\"new\"}", EX_USAGE,
            "needs the epoch"},
        {"{\"op\":\"flip\",\"key\":\"a@example.org\",\"epoch\":1,\"route\":\"new\"}", 1,
            "is not held"},
        {"{\"op\":\"put\",\"rows\":[]}", EX_USAGE, "no import was begun"},
        {"{\"op\":\"commit\"}", EX_USAGE, "no import was begun"},
        {"{\"op\":\"begin\",\"max_drop\":101}", EX_USAGE, "from 0 to 100"},
        {"{\"op\":\"begin\",\"replace\":1}", EX_USAGE, "true or false"},
        {"{\"op\":\"list\",\"state\":\"asleep\"}", EX_USAGE, "unknown state"},
        {"{\"op\":\"list\",\"limit\":2001}", EX_USAGE, "from 0 to 2000"},
        {"{\"op\":\"apply\"}", EX_USAGE, "array"},
    };
    for (size_t i = 0; i < COUNT_OF(ROWS); i++)
        expect_error(ROWS[i].request, ROWS[i].code, ROWS[i].part);
    assert_int_equal(store_generation(control.store), 0);
}

/* Texts have their length, and not one byte more. */
static void test_text_limits(void **state)
{
    static const struct {
        const char *before, *after;
        size_t max;
    } texts[] = {
        {"{\"op\":\"set\",\"key\":\"ann@example.org\",\"set\":{\"route\":\"old\"},\"id\":\"", "\"}",
            STORE_REQUEST_ID_MAX},
        {"{\"op\":\"set\",\"key\":\"ann@example.org\",\"set\":{\"route\":\"new\"},\"why\":\"",
            "\"}", STORE_WHY_MAX},
        {"{\"op\":\"set\",\"key\":\"ann@example.org\",\"set\":{\"note\":\"", "\"}}",
            ROUTE_NOTE_MAX},
        {"{\"op\":\"hold\",\"key\":\"ann@example.org\",\"deadline_ms\":9,\"owner\":\"", "\"}",
            STORE_OWNER_MAX},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        char text[STORE_WHY_MAX + 2], request[2048];
        memset(text, 'x', sizeof text);
        text[texts[i].max + 1] = '\0';
        assert_int_equal(
            fmt_into(request, sizeof request, "%s%s%s", texts[i].before, text, texts[i].after), 0);
        expect_error(request, EX_DATAERR, "longer than");
        text[texts[i].max] = '\0';
        assert_int_equal(
            fmt_into(request, sizeof request, "%s%s%s", texts[i].before, text, texts[i].after), 0);
        (void)number(request, "generation");
    }
}

static void test_rights(void **state)
{
    (void)state;
    number(SET("ann@example.org", "old"), "changed");
    session.may_write = false;
    static const char *const CHANGING[] = {"set", "del", "hold", "flip", "release", "apply",
        "begin", "put", "abort", "commit", "retire"};
    for (size_t i = 0; i < COUNT_OF(CHANGING); i++) {
        char request[128];
        assert_int_equal(fmt_into(request, sizeof request,
                             "{\"op\":\"%s\",\"key\":\"ann@example.org\"}", CHANGING[i]),
            0);
        expect_error(request, EX_NOPERM, "may read the map but not change it");
    }
    assert_string_equal(route_of("ann@example.org"), "old");
    assert_int_equal(number("{\"op\":\"status\"}", "keys"), 1);
    session.may_write = true;
    session.is_shut_out = true;
    expect_error("{\"op\":\"get\",\"key\":\"ann@example.org\"}", EX_NOPERM, "may ask nothing here");
    session.is_shut_out = false;
}

static void test_request_ids(void **state)
{
    (void)state;
    static const char FIRST[] =
        "{\"op\":\"set\",\"id\":\"r1\",\"key\":\"a@example.org\",\"set\":{\"route\":\"old\"}}";
    assert_int_equal(number(FIRST, "generation"), 1);
    number(SET("a@example.org", "new"), "generation");
    /* The repeated request gives its result and does nothing. */
    assert_int_equal(number(FIRST, "generation"), 1);
    assert_int_equal(number(FIRST, "changed"), 1);
    assert_string_equal(route_of("a@example.org"), "new");
    assert_int_equal(store_generation(control.store), 2);
    expect_error("{\"op\":\"set\",\"id\":\"r1\",\"key\":\"b@example.org\",\"set\":"
                 "{\"route\":\"old\"}}",
        EX_USAGE, "belongs to another request");
    /* What was refused has no result, so it may be tried again. */
    static const char FLIP[] =
        "{\"op\":\"flip\",\"id\":\"r2\",\"key\":\"a@example.org\",\"epoch\":3,\"route\":\"old\"}";
    expect_error(FLIP, 1, "is not held");
    assert_int_equal(number("{\"op\":\"hold\",\"key\":\"a@example.org\",\"owner\":\"o\","
                            "\"deadline_ms\":1000}",
                         "epoch"),
        3);
    assert_int_equal(number(FLIP, "epoch"), 4);
    assert_int_equal(number(FLIP, "epoch"), 4);
}

static void test_hold(void **state)
{
    (void)state;
    number(SET("a@example.org", "old"), "generation");
    assert_int_equal(number(HOLD("a@example.org"), "epoch"), 2);
    expect("{\"op\":\"get\",\"key\":\"a@example.org\"}",
        "{\"entry\":{\"deliver_as\":\"\",\"epoch\":2,\"hold\":{\"deadline\":"
        "\"1970-01-01T00:16:45Z\",\"deadline_ms\":1005000,\"owner\":\"one\",\"request\":\"\"},"
        "\"key\":\"a@example.org\",\"kind\":\"mailbox\",\"note\":\"\",\"route\":\"old\","
        "\"state\":\"held\",\"when\":\"1970-01-01T00:16:40Z\",\"who\":\"tester\"},\"ok\":true}");
    expect_error(HOLD("a@example.org"), EX_TEMPFAIL, "already held by one until");
    expect_error(SET("a@example.org", "new"), EX_TEMPFAIL, "is held by one until");
    expect_error("{\"op\":\"del\",\"key\":\"a@example.org\"}", EX_TEMPFAIL, "is held by one");
    expect_error("{\"op\":\"release\",\"key\":\"a@example.org\",\"epoch\":1}", 1, "epoch 2, not 1");
    expect_error("{\"op\":\"flip\",\"key\":\"a@example.org\",\"epoch\":1,\"route\":\"new\"}", 1,
        "epoch 2, not 1");
    expect_error("{\"op\":\"flip\",\"key\":\"a@example.org\",\"epoch\":2,\"route\":\"mars\"}",
        EX_DATAERR, "no server");
    expect_error("{\"op\":\"flip\",\"key\":\"a@example.org\",\"epoch\":2,\"route\":\"archive\"}",
        EX_DATAERR, "has no smtp");
    assert_int_equal(
        number(
            "{\"op\":\"flip\",\"key\":\"a@example.org\",\"epoch\":2,\"route\":\"new\"}", "epoch"),
        3);
    assert_string_equal(route_of("a@example.org"), "new");
    number("{\"op\":\"retire\",\"key\":\"a@example.org\"}", "epoch");
    number(SET("a@example.org", "old"), "generation");
    /* Release leaves the route. */
    assert_int_equal(number(HOLD("a@example.org"), "epoch"), 6);
    assert_int_equal(
        number("{\"op\":\"release\",\"key\":\"a@example.org\",\"epoch\":6}", "epoch"), 7);
    assert_string_equal(route_of("a@example.org"), "old");
}

static void hold_for(uint64_t ms, bool fits)
{
    char request[256];
    assert_int_equal(fmt_into(request, sizeof request,
                         "{\"op\":\"hold\",\"key\":\"a@example.org\",\"owner\":\"o\","
                         "\"deadline_ms\":%" PRIu64 "}",
                         ms),
        0);
    if (!fits) {
        expect_error(request, EX_DATAERR, "a hold lasts from 1 ms to 60000 ms");
        return;
    }
    number(request, "epoch");
    number("{\"op\":\"release\",\"key\":\"a@example.org\"}", "epoch");
}

static void test_hold_limit(void **state)
{
    (void)state;
    number(SET("a@example.org", "old"), "generation");
    hold_for(0, false);
    hold_for(1, true);
    hold_for(HOLD_MAX_MS - 1, true);
    hold_for(HOLD_MAX_MS, true);
    hold_for(HOLD_MAX_MS + 1, false);
}

static void test_hold_domain(void **state)
{
    (void)state;
    /* A domain without an entry of its own gets one for the time of the hold. */
    assert_int_equal(number(HOLD("@example.org"), "epoch"), 1);
    assert_string_equal(route_of("@example.org"), "");
    /* Its users may be changed meanwhile. */
    assert_int_equal(number(SET("a@example.org", "new"), "generation"), 2);
    assert_int_equal(number("{\"op\":\"release\",\"key\":\"@example.org\"}", "epoch"), 3);
    expect_error("{\"op\":\"get\",\"key\":\"@example.org\"}", 1, "no entry");
    /* One with a route keeps it, and a flip gives it another. */
    number(SET("@example.org", "old"), "generation");
    assert_int_equal(number(HOLD("@example.org"), "epoch"), 5);
    assert_int_equal(
        number("{\"op\":\"flip\",\"key\":\"@example.org\",\"epoch\":5,\"route\":\"new\"}", "epoch"),
        6);
    assert_string_equal(route_of("@example.org"), "new");
}

static size_t expire(void)
{
    struct err err = ERR_INIT;
    struct store_txn *txn;
    size_t n;
    must(store_begin(control.store, &txn, &err), &err);
    must(control_expire(&control, txn, &n, &err), &err);
    must(store_commit(&txn, &err), &err);
    return n;
}

static void test_deadline(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    number(SET("a@example.org", "old"), "generation");
    number(SET("b@example.org", "old"), "generation");
    assert_true(control_next_deadline_ms(control.store) == INT64_MAX);
    number(HOLD("a@example.org"), "epoch");
    control.now_ms += 10;
    number(HOLD("b@example.org"), "epoch");
    assert_int_equal(control_next_deadline_ms(control.store), 1005000);
    control.now_ms = 1004999;
    assert_int_equal(expire(), 0);
    control.now_ms = 1005000;
    /* A restart keeps the deadlines. */
    store_close(&control.store);
    must(store_open(dir.path, CACHE_SIZE, &control.store, &err), &err);
    assert_int_equal(control_next_deadline_ms(control.store), 1005000);
    assert_int_equal(expire(), 1);
    assert_int_equal(control_next_deadline_ms(control.store), 1005010);
    expect_error("{\"op\":\"flip\",\"key\":\"a@example.org\",\"epoch\":3,\"route\":\"new\"}", 1,
        "its deadline is over");
    json_t *reply = ask("{\"op\":\"log\",\"last\":1}");
    const json_t *change = json_array_get(json_object_get(reply, "changes"), 0);
    assert_string_equal(
        json_string_value(json_object_get(change, "why")), "the hold passed its deadline");
    assert_string_equal(json_string_value(json_object_get(change, "who")), "coexist-mapd");
    json_decref(reply);
}

/* A clock that is set moves no deadline: the hold lasts as long as it was made for. */
static void test_clock_step(void **state)
{
    (void)state;
    number(SET("a@example.org", "old"), "generation");
    number(HOLD("a@example.org"), "epoch");
    control.clock_step_ms = 3600000;
    control.now_ms = 1000000 + 3600000;
    assert_int_equal(expire(), 0);
    control.now_ms += 4999;
    assert_int_equal(expire(), 0);
    control.now_ms += 1;
    assert_int_equal(expire(), 1);
    control.clock_step_ms = 0;
}

static void test_apply(void **state)
{
    (void)state;
    number(SET("a@example.org", "old"), "generation");
    expect("{\"op\":\"apply\",\"changes\":[{\"key\":\"a@example.org\",\"set\":{\"route\":\"new\"}},"
           "{\"key\":\"b@example.org\",\"set\":{\"route\":\"new\"}},"
           "{\"key\":\"c@example.org\",\"set\":{\"route\":\"new\"}},"
           "{\"key\":\"c@example.org\",\"del\":true}]}",
        "{\"added\":2,\"changed\":1,\"deleted\":1,\"generation\":5,\"ok\":true,\"unchanged\":0}");
    /* All or nothing. */
    json_t *reply = ask(
        "{\"op\":\"apply\",\"changes\":[{\"key\":\"a@example.org\",\"set\":{\"route\":\"old\"}},"
        "{\"key\":\"z@example.org\",\"del\":true}]}");
    assert_true(json_is_false(json_object_get(reply, "ok")));
    assert_int_equal(json_integer_value(json_object_get(reply, "row")), 1);
    json_decref(reply);
    assert_string_equal(route_of("a@example.org"), "new");
    assert_int_equal(store_generation(control.store), 5);
}

/* What would never take mail cannot be set: a server without smtp, an address that cannot be put on
 * the wire, and one for a whole domain that no recipient of it would be delivered as. */
#define WHOLE "by which a whole domain cannot be delivered"

static void test_set_what_takes_no_mail(void **state)
{
    static const struct {
        const char *key, *deliver_as, *error;
    } rows[] = {
        {"@example.org", "all@new.test", NULL},
        {"@example.org", "@new.test", NULL},
        {"a@example.org", "@new.test", NULL},
        {"a@example.org", "@", "is not an address"},
        {"a@example.org", "@new test", "is not an address"},
        {"a@example.org", "@n\xc3\xbc.test", "is not an address"},
        {"a@example.org", "a@n\xc3\xbc.test", "has to be in ASCII"},
        {"@example.org", "a%ll@new.test", WHOLE},
        {"@example.org", "a!ll@new.test", WHOLE},
        {"@example.org", "\\\"a@ll\\\"@new.test", WHOLE},
        {"a@example.org", "a%ll@new.test", NULL},
    };
    (void)state;
    expect_error(SET("a@example.org", "archive"), EX_DATAERR, "server \"archive\" has no smtp");
    expect_error(SET("@example.org", "archive"), EX_DATAERR, "server \"archive\" has no smtp");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char request[256];
        assert_int_equal(
            fmt_into(request, sizeof request,
                "{\"op\":\"set\",\"key\":\"%s\",\"set\":{\"route\":\"new\",\"deliver_as\":\"%s\"}}",
                rows[i].key, rows[i].deliver_as),
            0);
        if (rows[i].error)
            expect_error(request, EX_DATAERR, rows[i].error);
        else
            number(request, "generation");
    }
}

static void test_list_and_log(void **state)
{
    (void)state;
    char request[256];
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fmt_into(request, sizeof request,
                             "{\"op\":\"set\",\"key\":\"u%d@example.org\",\"set\":{\"route\":"
                             "\"%s\"}}",
                             i, i % 2 ? "new" : "old"),
            0);
        number(request, "generation");
    }
    json_t *reply = ask("{\"op\":\"list\",\"limit\":2,\"route\":\"old\"}");
    assert_int_equal(json_array_size(json_object_get(reply, "entries")), 2);
    assert_string_equal(json_string_value(json_object_get(reply, "next")), "u2@example.org");
    json_decref(reply);
    reply = ask("{\"op\":\"list\",\"limit\":2,\"route\":\"old\",\"after\":\"u2@example.org\"}");
    assert_int_equal(json_array_size(json_object_get(reply, "entries")), 1);
    assert_true(json_is_null(json_object_get(reply, "next")));
    json_decref(reply);
    reply = ask("{\"op\":\"list\",\"domain\":\"example.net\"}");
    assert_int_equal(json_array_size(json_object_get(reply, "entries")), 0);
    json_decref(reply);
    number("{\"op\":\"del\",\"key\":\"u1@example.org\"}", "generation");
    reply = ask("{\"op\":\"list\"}");
    assert_int_equal(json_array_size(json_object_get(reply, "entries")), 4);
    json_decref(reply);
    reply = ask("{\"op\":\"log\",\"limit\":2}");
    assert_int_equal(json_array_size(json_object_get(reply, "changes")), 2);
    assert_int_equal(json_integer_value(json_object_get(reply, "next")), 3);
    json_decref(reply);
    reply = ask("{\"op\":\"log\",\"key\":\"U3@example.org\"}");
    assert_int_equal(json_array_size(json_object_get(reply, "changes")), 1);
    assert_true(json_is_null(json_object_get(reply, "next")));
    json_decref(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_set_get_del, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_note_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_text_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rights, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_request_ids, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hold, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hold_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hold_domain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deadline, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clock_step, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_apply, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_what_takes_no_mail, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list_and_log, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
