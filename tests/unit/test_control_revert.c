/* SPDX-License-Identifier: ISC */
#include "tests/unit/control_rig.h"

/* Entries as they were: what was changed, deleted and made, all or some; what cannot go back. */
static void test_revert(void **state)
{
    (void)state;
    number(SET("ann@example.org", "old"), "generation");
    number(SET("bob@example.org", "old"), "generation");
    json_decref(
        ask("{\"op\":\"hold\",\"key\":\"bob@example.org\",\"owner\":\"x\",\"deadline_ms\":1000}"));
    json_decref(ask("{\"op\":\"release\",\"key\":\"bob@example.org\"}"));
    json_decref(ask("{\"op\":\"del\",\"key\":\"bob@example.org\"}")); /* 5 */
    number(SET("ann@example.org", "new"), "generation");
    number(SET("cat@example.org", "new"), "generation"); /* 7 */
    expect("{\"op\":\"revert\",\"generation\":3,\"dry_run\":true}",
        "{\"added\":1,\"changed\":1,\"deleted\":1,\"dry_run\":true,\"generation\":10,\"ok\":true,"
        "\"unchanged\":0}");
    assert_string_equal(route_of("bob@example.org"), "-");
    expect("{\"op\":\"revert\",\"generation\":5,\"keys\":[\"Ann@Example.org\"]}",
        "{\"added\":0,\"changed\":1,\"deleted\":0,\"dry_run\":false,\"generation\":8,\"ok\":true,"
        "\"unchanged\":0}");
    assert_string_equal(route_of("ann@example.org"), "old");
    assert_string_equal(route_of("cat@example.org"), "new");
    /* Where bob was held, he comes back without the hold; ann is as she was. */
    expect("{\"op\":\"revert\",\"generation\":3}",
        "{\"added\":1,\"changed\":0,\"deleted\":1,\"dry_run\":false,\"generation\":10,\"ok\":true,"
        "\"unchanged\":1}");
    assert_string_equal(route_of("bob@example.org"), "old");
    assert_string_equal(route_of("cat@example.org"), "-");
    assert_int_equal(number("{\"op\":\"status\"}", "held"), 0);
    /* And that itself goes back. */
    assert_int_equal(number("{\"op\":\"revert\",\"generation\":8}", "generation"), 12);
    assert_string_equal(route_of("cat@example.org"), "new");
    assert_int_equal(number("{\"op\":\"revert\",\"generation\":12}", "generation"), 12);

    expect_error("{\"op\":\"revert\",\"generation\":13}", EX_USAGE, "is at generation 12");
    expect_error("{\"op\":\"revert\"}", EX_USAGE, "missing");
    expect_error("{\"op\":\"revert\",\"generation\":1,\"keys\":[]}", EX_USAGE, "array of 1 to");
    expect_error("{\"op\":\"revert\",\"generation\":1,\"keys\":[7]}", EX_USAGE, "string");
    json_decref(
        ask("{\"op\":\"hold\",\"key\":\"cat@example.org\",\"owner\":\"x\",\"deadline_ms\":1000}"));
    expect_error("{\"op\":\"revert\",\"generation\":6}", EX_TEMPFAIL, "is held by x");
    assert_int_equal(number("{\"op\":\"status\"}", "generation"), 13);
}

/* Over a restore's jump too: what there was before it comes back; what never was is refused, with
 * the state that was. */
static void test_over_a_restore(void **state)
{
    (void)state;
    number(SET("ann@example.org", "old"), "generation");
    number(SET("bob@example.org", "old"), "generation");
    json_t *dump = ask("{\"op\":\"dump\"}");
    number(SET("ann@example.org", "new"), "generation");
    number(SET("cat@example.org", "new"), "generation"); /* 4 */
    json_t *put = json_pack("{ss sO}", "op", "restore_put", "rows", json_object_get(dump, "rows"));
    char *text = json_dumps(put, JSON_COMPACT);
    json_decref(ask("{\"op\":\"restore_begin\",\"generation\":2}"));
    json_decref(ask(text));
    free(text);
    json_decref(put);
    json_decref(dump);
    assert_int_equal(number("{\"op\":\"restore_commit\"}", "generation"), 4294967298);
    expect_error("{\"op\":\"revert\",\"generation\":4}", EX_TEMPFAIL, "is held by restore");
    number("{\"op\":\"take\",\"key\":\"ann@example.org\",\"side\":\"map\"}", "generation");
    number("{\"op\":\"take\",\"key\":\"cat@example.org\",\"side\":\"map\"}", "generation");
    assert_string_equal(route_of("ann@example.org"), "old");
    assert_string_equal(route_of("cat@example.org"), "-");
    expect_error("{\"op\":\"revert\",\"generation\":5}", EX_DATAERR,
        "was never at generation 5: a restore or an import took it from 4 to 4294967297 at once; "
        "name 4");
    expect_error("{\"op\":\"log\",\"since\":4294967296}", EX_DATAERR, "name 4 for");
    json_t *log = ask("{\"op\":\"log\",\"since\":4}");
    assert_int_equal(json_array_size(json_object_get(log, "changes")), 4);
    json_decref(log);
    expect("{\"op\":\"revert\",\"generation\":4}",
        "{\"added\":1,\"changed\":1,\"deleted\":0,\"dry_run\":false,\"generation\":4294967302,"
        "\"ok\":true,\"unchanged\":0}");
    assert_string_equal(route_of("ann@example.org"), "new");
    assert_string_equal(route_of("cat@example.org"), "new");
    assert_int_equal(number("{\"op\":\"revert\",\"generation\":2}", "deleted"), 1);
    assert_string_equal(route_of("ann@example.org"), "old");
}

/* What cut-overs say is written by people and programs of other times. */
static void test_restore_is_told_nonsense(void **state)
{
    char name[ROUTE_SERVER_MAX + 2] = {0}, request[512];
    (void)state;
    for (size_t i = 0; i <= ROUTE_SERVER_MAX; i++)
        name[i] = 'x';
    expect_error("{\"op\":\"restore_put\"}", EX_USAGE, "no restore was begun");
    expect_error(
        "{\"op\":\"restore_begin\",\"generation\":140737488355329}", EX_USAGE, "generation");
    json_decref(ask("{\"op\":\"restore_begin\",\"generation\":2}"));
    expect_error("{\"op\":\"restore_put\",\"rows\":7}", EX_USAGE, "has to be an array");
    expect_error("{\"op\":\"restore_put\",\"moved\":{}}", EX_USAGE, "has to be an array");
    expect_error("{\"op\":\"restore_put\",\"moved\":[7]}", EX_USAGE, "missing");
    expect_error("{\"op\":\"restore_put\",\"rows\":[{\"key\":\"a@example.org\",\"record\":\"0\"}]}",
        EX_DATAERR, "record of a@example.org");
    assert_int_equal(fmt_into(request, sizeof request,
                         "{\"op\":\"restore_put\",\"moved\":[{\"key\":\"a@example.org\","
                         "\"route\":\"%s\"}]}",
                         name),
        0);
    expect_error(request, EX_DATAERR, "longer than 255");
    expect_error(
        "{\"op\":\"restore_put\",\"moved\":[{\"key\":\"a@example.org\",\"route\":\"nowhere\"}]}",
        EX_DATAERR, "there is no server \"nowhere\"");
    expect_error("{\"op\":\"restore_put\",\"moved\":[{\"key\":\"a@b\",\"route\":\"old\"}]}",
        EX_DATAERR, "a@b: the domain");
    assert_int_equal(number("{\"op\":\"restore_commit\"}", "added"), 0);
    /* An address is one however it is written. */
    number(SET("ann@example.org", "old"), "generation");
    json_t *dump = ask("{\"op\":\"dump\"}");
    json_t *put = json_pack("{ss sO s[{ss ss}]}", "op", "restore_put", "rows",
        json_object_get(dump, "rows"), "moved", "key", "Ann@EXAMPLE.org", "route", "new");
    char *text = json_dumps(put, JSON_COMPACT);
    json_decref(ask("{\"op\":\"restore_begin\",\"generation\":1}"));
    json_decref(ask(text));
    json_t *reply = ask("{\"op\":\"restore_commit\"}");
    assert_int_equal(json_array_size(json_object_get(reply, "held")), 1);
    json_decref(reply);
    json_decref(put);
    json_decref(dump);
    free(text);
}

/* An epoch has 48 bits, of which a restore takes 32 at once. */
static void test_no_generations_left(void **state)
{
    (void)state;
    json_decref(ask("{\"op\":\"restore_begin\",\"generation\":1}"));
    struct err err = ERR_INIT;
    struct store_txn *txn;
    must(store_begin(control.store, &txn, &err), &err);
    store_raise_generation(txn, ((uint64_t)1 << 48) - ((uint64_t)1 << 32));
    struct route_entry old, next = {.route = SLICE_LIT("old")};
    struct buf bytes;
    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    must(store_get(control.store, txn, SLICE_LIT("a@example.org"), &bytes, &old, &err), &err);
    const struct store_cause cause = {.when_s = 1};
    must(store_put(txn, SLICE_LIT("a@example.org"), &old, &next, &cause, &err), &err);
    must(store_commit(&txn, &err), &err);
    buf_fini(&bytes);
    expect_error("{\"op\":\"restore_commit\"}", EX_DATAERR, "maptool init");
}

/* What was forgotten cannot come back, and a server that is gone takes nobody. */
static void test_revert_refused(void **state)
{
    struct err err = ERR_INIT;
    struct store_txn *txn = NULL;
    struct conf one = CONF;
    size_t n;
    (void)state;
    number(SET("ann@example.org", "new"), "generation");
    number(SET("ann@example.org", "old"), "generation");
    one.n_servers = 1;
    control.conf = &one;
    expect_error("{\"op\":\"revert\",\"generation\":1}", EX_DATAERR, "there is no server \"new\"");
    control.conf = &CONF;
    must(store_begin(control.store, &txn, &err), &err);
    must(store_history_prune(txn, INT64_MAX, 1, &n, &err), &err);
    must(store_commit(&txn, &err), &err);
    expect_error("{\"op\":\"revert\",\"generation\":0}", EX_DATAERR, "begins with generation 2");
    assert_int_equal(number("{\"op\":\"revert\",\"generation\":1}", "changed"), 1);
    assert_string_equal(route_of("ann@example.org"), "new");
    /* Nothing is left of the log: it reaches back to nothing. */
    must(store_begin(control.store, &txn, &err), &err);
    must(store_history_prune(txn, INT64_MAX, 99, &n, &err), &err);
    must(store_commit(&txn, &err), &err);
    expect_error("{\"op\":\"revert\",\"generation\":0}", EX_DATAERR, "begins with generation 4");
}

/* A part of what was can lead in a circle with what is. */
static void test_revert_in_a_circle(void **state)
{
    (void)state;
    control.conf = &CONF_ALIASES;
    number(SET("end@example.org", "old"), "generation");
    number(SET_A("\"kind\":\"alias\",\"to\":\"b@example.org\""), "generation");
    number(SET_A("\"to\":\"end@example.org\""), "generation");
    number("{\"op\":\"set\",\"key\":\"b@example.org\",\"set\":{\"kind\":\"alias\",\"to\":"
           "\"a@example.org\"}}",
        "generation");
    expect_error("{\"op\":\"revert\",\"generation\":2,\"keys\":[\"a@example.org\"]}", EX_DATAERR,
        "a@example.org: The map leads this recipient in a circle: a@example.org -> b@example.org");
    assert_int_equal(store_generation(control.store), 4);
    assert_int_equal(number("{\"op\":\"revert\",\"generation\":2}", "changed"), 1);
}

/* Changes by hand say why where they have to; a cut-over does not. */
static void test_why_required(void **state)
{
    struct conf strict = CONF;
    (void)state;
    strict.mapd.why_required = true;
    control.conf = &strict;
    expect_error("{\"op\":\"set\",\"key\":\"ann@example.org\",\"set\":{\"route\":\"old\"}}",
        EX_USAGE, "say why");
    expect_error("{\"op\":\"revert\",\"generation\":0}", EX_USAGE, "say why");
    json_decref(ask("{\"op\":\"set\",\"key\":\"ann@example.org\",\"set\":{\"route\":\"old\"},"
                    "\"why\":\"new here\"}"));
    json_decref(
        ask("{\"op\":\"hold\",\"key\":\"ann@example.org\",\"owner\":\"x\",\"deadline_ms\":1000}"));
    assert_int_equal(number("{\"op\":\"status\"}", "held"), 1);
    control.conf = &CONF;
}

#define MOVED(key, route) "{\"key\":\"" key "@example.org\",\"route\":\"" route "\",\"by\":\"f-1\"}"

/* A restore of a map without the flips of the cut-overs, who say where they have brought users. */
static void test_cut_overs_and_a_restore(void **state)
{
    (void)state;
    number(SET("ann@example.org", "old"), "generation");
    number(SET("bob@example.org", "old"), "generation");
    number(SET("cat@example.org", "new"), "generation");
    number(SET("dan@example.org", "old"), "generation");
    json_t *dump = ask("{\"op\":\"dump\"}");
    json_t *put = json_pack("{ss sO}", "op", "restore_put", "rows", json_object_get(dump, "rows"));
    char *text = json_dumps(put, JSON_COMPACT);
    number(SET("dan@example.org", "new"), "generation");
    json_decref(ask("{\"op\":\"restore_begin\",\"generation\":4}"));
    json_decref(ask(text));
    free(text);
    json_decref(put);
    json_decref(dump);
    /* The last word of each holds; bob's is that nobody knows, cat's what the backup says.  Dan was
     * moved by hand since.  Whom neither map has is held too. */
    json_decref(ask("{\"op\":\"restore_put\",\"moved\":[" MOVED("ann", "old") "," MOVED(
        "Ann", "new") "," MOVED("bob", "new") "," MOVED("bob", "-") "," MOVED("cat",
        "new") "," MOVED("dan", "old") "," MOVED("eve", "new") "]}"));
    expect_error(
        "{\"op\":\"restore_put\",\"moved\":[{\"key\":\"x@example.org\"}]}", EX_USAGE, "route");
    expect_error("{\"op\":\"restore_put\",\"moved\":[{\"key\":\"x@example.org\",\"route\":\"new\","
                 "\"by\":7}]}",
        EX_USAGE, "by");
    json_t *reply = ask("{\"op\":\"restore_commit\"}");
    char *held = json_dumps(json_object_get(reply, "held"), JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(held, "[{\"key\":\"ann@example.org\",\"map\":\"old\",\"sync\":\"new\"},"
                              "{\"key\":\"dan@example.org\",\"map\":\"old\",\"sync\":\"new\"},"
                              "{\"key\":\"eve@example.org\",\"map\":\"-\",\"sync\":\"new\"}]");
    free(held);
    json_decref(reply);
    /* The cut-over's side: its server, and the route is its own again. */
    static const struct {
        const char *user, *side, *route, *moved_by;
    } rows[] = {{"ann@example.org", "sync", "new", "f-1"}, {"dan@example.org", "sync", "new", ""},
        {"eve@example.org", "map", "-", ""}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char request[256];
        assert_int_equal(
            fmt_into(request, sizeof request, "{\"op\":\"take\",\"key\":\"%s\",\"side\":\"%s\"}",
                rows[i].user, rows[i].side),
            0);
        reply = ask(request);
        const char *by =
            json_string_value(json_object_get(json_object_get(reply, "entry"), "moved_by"));
        assert_row(rows[i].user, strcmp(by ? by : "", rows[i].moved_by) == 0);
        assert_row(rows[i].user, strcmp(route_of(rows[i].user), rows[i].route) == 0);
        json_decref(reply);
    }
    expect_error(SET("ann@example.org", "old"), 1, "by the cut-over f-1");
    assert_int_equal(number("{\"op\":\"status\"}", "held"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_revert, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_over_a_restore, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_overs_and_a_restore, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_revert_in_a_circle, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_restore_is_told_nonsense, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_generations_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_revert_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_why_required, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
