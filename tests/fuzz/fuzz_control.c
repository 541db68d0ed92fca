/* SPDX-License-Identifier: ISC */
/*
 * Requests to the map: whatever JSON comes, each object gets one reply that says ok or why not, and
 * a request that was refused alone in its transaction has changed nothing.  One request per line,
 * all on one connection, against a real store whose transactions are aborted.
 */
#include <stdint.h>
#include "tests/fuzz/small_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void run(struct control_session *session, struct store_txn *txn, const json_t *request)
{
    struct err err = ERR_INIT;
    json_t *reply = NULL;
    size_t changes = store_change_count(txn);

    do {
        if (control_run(&small_map, session, txn, request, &reply, &err) != 0)
            BUG(err.text);
    } while (small_map.must_continue);
    bool is_ok = json_is_true(json_object_get(reply, "ok"));
    const json_t *error = json_object_get(reply, "error");
    if (is_ok == json_is_object(error))
        abort();
    if (!is_ok && !small_map.must_abort && store_change_count(txn) != changes)
        abort();
    json_decref(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct control_session session = {.who = "fuzz", .may_write = true};
    struct slice rest = slice_make(data, size), line;
    struct store_txn *txn = small_map_begin();

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
