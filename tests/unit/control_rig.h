/* SPDX-License-Identifier: ISC */
/* control_rig: a map with two domains and three servers, one of which takes no mail, and requests
 * to it as JSON texts. */
#ifndef TESTS_UNIT_CONTROL_RIG_H
#define TESTS_UNIT_CONTROL_RIG_H

#include <inttypes.h>
#include <sysexits.h>
#include "base/core/log.h"
#include "maps/store/control.h"
#include "tests/unit/tmpdir.h"

#define CACHE_SIZE (4U << 20)
#define HOLD_MAX_MS 60000
#define DROP_COUNT 2 /* addresses that an import may always take from a server */
#define RETIRE_MS 86400000

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
    .mapd = {.hold_max_ms = HOLD_MAX_MS,
        .import_drop_percent = 2,
        .import_drop_count = DROP_COUNT,
        .import_retire_ms = RETIRE_MS}};

/* The same beside an MTA that asks for aliases. */
static const struct conf CONF_ALIASES = {.servers = servers,
    .n_servers = 3,
    .domains = domains,
    .n_domains = 2,
    .lookup = {.aliases = true},
    .mapd = {.hold_max_ms = HOLD_MAX_MS}};

static struct tmpdir dir;
static struct control control = {.conf = &CONF, .now_ms = 1000000};
static struct control_session session = {.who = "tester", .may_write = true};

/* Called between the turns of a commit. */
static void (*between_turns)(void);

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
    control.conf = &CONF;
    control.import_piece = 0;
    between_turns = NULL;
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
    bool goes_on;
    do {
        if (kind == CONTROL_WRITE || kind == CONTROL_BATCH || kind == CONTROL_ROWS)
            must(store_begin(control.store, &txn, &err), &err);
        must(control_run(&control, &session, txn, request, &reply, &err), &err);
        if (control.must_abort)
            store_abort(&txn);
        if (txn)
            must(store_commit(&txn, &err), &err);
        goes_on = control.must_continue; /* before another request sets it */
        if (goes_on && between_turns)
            between_turns();
    } while (goes_on);
    json_decref(request);
    return reply;
}

/* The reply, or the code and text of the error, as one string with sorted members. */
static inline void expect(const char *request, const char *want)
{
    json_t *reply = ask(request);
    char *text = json_dumps(reply, JSON_COMPACT | JSON_SORT_KEYS);
    if (strcmp(text, want) != 0)
        fail_msg("%s\n  gave %s\n  want %s", request, text, want);
    free(text);
    json_decref(reply);
}

static inline void expect_error(const char *request, int code, const char *part)
{
    json_t *reply = ask(request), *error = json_object_get(reply, "error");
    const char *text = json_string_value(json_object_get(error, "text"));
    if (!error || json_integer_value(json_object_get(error, "code")) != code || !strstr(text, part))
        fail_msg("%s\n  gave %lld %s\n  want %d %s", request,
            (long long)json_integer_value(json_object_get(error, "code")), text ? text : "(ok)",
            code, part);
    json_decref(reply);
}

static inline json_int_t number(const char *request, const char *member)
{
    json_t *reply = ask(request);
    if (!json_is_true(json_object_get(reply, "ok")))
        fail_msg("%s: %s", request,
            json_string_value(json_object_get(json_object_get(reply, "error"), "text")));
    json_int_t v = json_integer_value(json_object_get(reply, member));
    json_decref(reply);
    return v;
}

static inline const char *route_of(const char *key)
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
#define SET_A(fields) "{\"op\":\"set\",\"key\":\"a@example.org\",\"set\":{" fields "}}"
#define HOLD(key) "{\"op\":\"hold\",\"key\":\"" key "\",\"owner\":\"one\",\"deadline_ms\":5000}"

#endif
