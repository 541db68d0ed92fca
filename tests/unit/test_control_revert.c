/* SPDX-License-Identifier: ISC */
#include <sysexits.h>
#include "base/core/log.h"
#include "maps/store/control.h"
#include "tests/unit/tmpdir.h"

#define CACHE_SIZE (4U << 20)
#define HOLD_MAX_MS 60000

static char old_name[] = "old", new_name[] = "new", domain_name[] = "example.org",
            other_name[] = "example.net";
static struct conf_server servers[] = {
    {.name = old_name, .smtp = {NET_SCHEME_SMTP, (char[]){"10.1.1.5"}, 25}},
    {.name = new_name, .smtp = {NET_SCHEME_SMTP, (char[]){"10.1.2.5"}, 25}},
    {.name = (char[]){"archive"}},
};
static struct conf_domain domains[] = {
    {.name = domain_name, .default_server = CONF_SERVER_NONE, .fold_local_part = true},
    {.name = other_name, .default_server = CONF_SERVER_NONE, .fold_local_part = true}};
static const struct conf CONF = {.servers = servers,
    .n_servers = 3,
    .domains = domains,
    .n_domains = 2,
    .mapd = {.hold_max_ms = HOLD_MAX_MS}};

static struct tmpdir dir;
static struct control control = {.conf = &CONF, .now_ms = 1000000};
static struct control_session session = {.who = "tester", .may_write = true};

static void must(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%s", err->text);
}

static int set_up(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    log_set_level(LOG_LEVEL_ERROR);
    tmpdir_make(&dir);
    must(store_create(dir.path, CACHE_SIZE, &err), &err);
    must(store_open(dir.path, CACHE_SIZE, &control.store, &err), &err);
    control.now_ms = 1000000;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    control_session_fini(&session);
    store_close(&control.store);
    tmpdir_remove(&dir);
    return 0;
}

/* Runs a request as its kind wants it. The reply is the caller's. */
static json_t *ask(const char *text)
{
    struct err err = ERR_INIT;
    struct store_txn *txn = NULL;
    json_t *reply = NULL, *request = json_loads(text, 0, NULL);
    if (!request)
        fail_msg("no JSON: %s", text);
    enum control_kind kind = control_kind(request);
    if (kind == CONTROL_WRITE || kind == CONTROL_BATCH)
        must(store_begin(control.store, &txn, &err), &err);
    must(control_run(&control, &session, txn, request, &reply, &err), &err);
    if (control.must_abort)
        store_abort(&txn);
    if (txn)
        must(store_commit(&txn, &err), &err);
    json_decref(request);
    return reply;
}

/* The reply, or the code and text of the error, as one string with sorted members. */
static void expect(const char *request, const char *want)
{
    json_t *reply = ask(request);
    char *text = json_dumps(reply, JSON_COMPACT | JSON_SORT_KEYS);
    if (strcmp(text, want) != 0)
        fail_msg("%s\n  gave %s\n  want %s", request, text, want);
    free(text);
    json_decref(reply);
}

static void expect_error(const char *request, int code, const char *part)
{
    json_t *reply = ask(request), *error = json_object_get(reply, "error");
    const char *text = json_string_value(json_object_get(error, "text"));
    if (!error || json_integer_value(json_object_get(error, "code")) != code || !strstr(text, part))
        fail_msg("%s\n  gave %lld %s\n  want %d %s", request,
            (long long)json_integer_value(json_object_get(error, "code")), text ? text : "(ok)",
            code, part);
    json_decref(reply);
}

static json_int_t number(const char *request, const char *member)
{
    json_t *reply = ask(request);
    if (!json_is_true(json_object_get(reply, "ok")))
        fail_msg("%s: %s", request,
            json_string_value(json_object_get(json_object_get(reply, "error"), "text")));
    json_int_t v = json_integer_value(json_object_get(reply, member));
    json_decref(reply);
    return v;
}

static const char *route_of(const char *key)
{
    static char out[64];
    char request[256];
    assert_int_equal(fmt_into(request, sizeof request, "{\"op\":\"get\",\"key\":\"%s\"}", key), 0);
    json_t *reply = ask(request);
    const char *route =
        json_string_value(json_object_get(json_object_get(reply, "entry"), "route"));
    assert_int_equal(fmt_into(out, sizeof out, "%s", route ? route : "-"), 0);
    json_decref(reply);
    return out;
}

#define SET(key, route) "{\"op\":\"set\",\"key\":\"" key "\",\"set\":{\"route\":\"" route "\"}}"

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
        "was never at generation 5: a restore took it from 4 to 4294967297 at once; name 4");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_revert, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_over_a_restore, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_revert_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_why_required, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
