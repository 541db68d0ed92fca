/* SPDX-License-Identifier: ISC */
/*
 * Requests to the map: whatever JSON comes, each object gets one reply that says ok or why not, and
 * a request that was refused alone in its transaction has changed nothing.  One request per line,
 * all on one connection, against a real store whose transactions are aborted.
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/core/log.h"
#include "maps/store/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char old_name[] = "old", new_name[] = "new", domain_name[] = "example.org";
static struct conf_server servers[] = {
    {.name = old_name, .smtp = {NET_SCHEME_SMTP, (char[]){"10.1.1.5"}, 25}}, {.name = new_name}};
static struct conf_domain domains[] = {
    {.name = domain_name, .default_server = CONF_SERVER_NONE, .fold_local_part = true}};
static const struct conf CONF = {.servers = servers,
    .n_servers = 2,
    .domains = domains,
    .n_domains = 1,
    .mapd = {.hold_max_ms = 60000}};
static struct control control = {.conf = &CONF, .now_ms = 1000000};
static char dir[] = "build/fuzz-control.XXXXXX"; /* libFuzzer ends without atexit */

static void remove_dir(void)
{
    static const char *const FILES[] = {"map/entries.db", "map/history.db", "map/results.db",
        "map/holds.db", "map/meta.db", "map/lock", "map/log.0000000001", "map", ""};
    char path[128];
    store_close(&control.store);
    for (size_t i = 0; i < sizeof FILES / sizeof FILES[0]; i++)
        if (fmt_into(path, sizeof path, "%s/%s", dir, FILES[i]) == 0)
            (void)remove(path);
}

static void open_store(void)
{
    struct err err = ERR_INIT;
    if (control.store)
        return;
    log_set_level(LOG_LEVEL_ERROR);
    if (!mkdtemp(dir) || store_create(dir, 1u << 20, &err) != 0 ||
        store_open(dir, 1u << 20, &control.store, &err) != 0)
        abort();
    atexit(remove_dir);
}

static void run(struct control_session *session, struct store_txn *txn, const json_t *request)
{
    struct err err = ERR_INIT;
    json_t *reply = NULL;
    size_t changes = store_change_count(txn);

    if (control_run(&control, session, txn, request, &reply, &err) != 0)
        abort();
    bool is_ok = json_is_true(json_object_get(reply, "ok"));
    const json_t *error = json_object_get(reply, "error");
    if (is_ok == json_is_object(error))
        abort();
    if (!is_ok && !control.must_abort && store_change_count(txn) != changes)
        abort();
    json_decref(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_session session = {.who = "fuzz", .may_write = true};
    struct slice rest = slice_make(data, size), line;
    struct store_txn *txn = NULL;
    struct err err = ERR_INIT;

    open_store();
    if (store_begin(control.store, &txn, &err) != 0)
        abort();
    while (size > 0 && slice_split(&rest, '\n', &line)) {
        json_t *request = json_loadb((const char *)line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
        if (json_is_object(request))
            run(&session, txn, request);
        json_decref(request);
    }
    store_abort(&txn);
    control_session_fini(&session);
    return 0;
}
