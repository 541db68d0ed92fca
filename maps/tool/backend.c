/* SPDX-License-Identifier: ISC */
/*
 * backend: a socket client, or a coexist-mapd in miniature for the time of one command.
 *
 * Without a mapd: the lock comes first, then, before the first change, the snapshot is made
 * invalid, so that nobody goes on with what it says should we die between commit and publication;
 * then the change, then a new snapshot.  Reading commands leave the snapshot alone.
 */
#include "maps/tool/backend.h"

#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "maps/access.h"
#include "maps/client.h"
#include "maps/store/control.h"
#include "maps/store/publish.h"
#include "maps/store/stage.h"

#define POLL_MS 50

struct backend {
    struct client *client; /* NULL: offline */
    struct store *store;
    struct publish *publish; /* from the first change on */
    struct control control;
    struct control_session session;
    char *run_dir;
};

static void name_user(struct control_session *session)
{
    char name[USER_NAME_MAX];
    session->may_write = true;
    user_name(getuid(), name);
    access_who(getpid(), getuid(), name, session->who, sizeof session->who);
}

static int open_once(const struct conf *conf, struct backend *b, struct err *err)
{
    struct err offline = ERR_INIT;

    if (client_open(conf->run, BACKEND_TIMEOUT_MS, &b->client, err) == 0)
        return 0;
    if (err->code == EX_NOPERM)
        return -1;
    /* Only now: mapd is to see who we are, but the files that we make have to be its to use. */
    if (access_become_mapd(conf, false, err) != 0)
        return -1;
    if (store_open(conf->state, conf->mapd.cache_size, &b->store, &offline) == 0) {
        err_clear(err);
        return 0;
    }
    /* A busy lock without a socket is a mapd on its way; everything else is the better reason. */
    if (offline.code != EX_TEMPFAIL)
        *err = offline;
    return -1;
}

int backend_open(const struct conf *conf, struct backend **out, struct err *err)
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    uint64_t until_ms = clock_mono_ms() + BACKEND_OPEN_WAIT_MS;
    struct backend *b = mem_zalloc(sizeof *b);

    name_user(&b->session);
    b->run_dir = mem_strdup(conf->run);
    b->control.conf = conf;
    while (open_once(conf, b, err) != 0) {
        if (err->code != EX_TEMPFAIL || clock_mono_ms() > until_ms) {
            backend_close(&b);
            return -1;
        }
        err_clear(err);
        nanosleep(&pause, NULL);
    }
    b->control.store = b->store;
    *out = b;
    return 0;
}

void backend_close(struct backend **bp)
{
    struct backend *b = *bp;
    if (!b)
        return;
    client_close(&b->client);
    control_session_fini(&b->session);
    publish_close(&b->publish);
    store_close(&b->store);
    mem_free_string(&b->run_dir);
    free(b);
    *bp = NULL;
}

bool backend_is_offline(const struct backend *b)
{
    return b->client == NULL;
}

/* --- Offline ------------------------------------------------------------------------------ */

/* Before the first change. */
static int prepare_publish(struct backend *b, struct err *err)
{
    if (b->publish)
        return 0;
    if (publish_open(b->run_dir, b->store, &b->publish, err) != 0)
        return -1;
    publish_invalidate(b->publish);
    return 0;
}

/* With a transaction or without one (it was aborted): what the store then holds is published. */
static int finish_change(struct backend *b, struct store_txn **txn, struct err *err)
{
    if (publish_stage(b->publish, *txn, err) != 0) {
        store_abort(txn);
        return -1;
    }
    if (*txn && store_commit(txn, err) != 0) {
        publish_discard(b->publish);
        return -1;
    }
    publish_staged(b->publish);
    return 0;
}

/* Nothing happened, so the snapshot may say again what it said before. */
static void publish_again(struct backend *b)
{
    struct err err = ERR_INIT;
    if (publish_stage(b->publish, NULL, &err) != 0)
        log_error("publish_failed", log_err(&err));
    else
        publish_staged(b->publish);
}

/* Of an import: nobody sees it. */
static int run_rows(struct backend *b, const json_t *request, json_t **reply, struct err *err)
{
    struct store_txn *txn = NULL;

    if (store_begin(b->store, &txn, err) != 0)
        return -1;
    if (control_run(&b->control, &b->session, txn, request, reply, err) == 0)
        return store_commit(&txn, err);
    store_abort(&txn);
    return -1;
}

/* Nothing else goes on between the turns of a commit. */
static int end_turn(struct backend *b, struct store_txn **txn, struct err *err)
{
    bool done = !store_is_folding(b->store);

    while (!done)
        if (store_fold(b->store, *txn, CONTROL_IMPORT_PIECE, &done, err) != 0) {
            store_abort(txn);
            return -1;
        }
    if (store_commit(txn, err) != 0)
        return -1;
    return store_begin(b->store, txn, err);
}

static int run_turns(struct backend *b, const json_t *request, json_t **reply,
    struct store_txn **txn, struct err *err)
{
    do {
        if (control_run(&b->control, &b->session, *txn, request, reply, err) != 0)
            return -1;
        if (b->control.must_continue && end_turn(b, txn, err) != 0)
            return -1;
    } while (b->control.must_continue);
    return 0;
}

static int run_change(struct backend *b, const json_t *request, json_t **reply, struct err *err)
{
    struct store_txn *txn = NULL;
    size_t n_expired;

    if (prepare_publish(b, err) != 0)
        return -1;
    if (store_begin(b->store, &txn, err) != 0)
        goto failed;
    if (control_expire(&b->control, txn, &n_expired, err) != 0 ||
        run_turns(b, request, reply, &txn, err) != 0) {
        store_abort(&txn);
        goto failed;
    }
    if (b->control.must_abort)
        store_abort(&txn);
    if (finish_change(b, &txn, err) == 0)
        return 0;
failed:
    publish_again(b);
    return -1;
}

static int call_offline(struct backend *b, const json_t *request, json_t **reply, struct err *err)
{
    int rc = -1;

    b->control.now_ms = clock_wall_ms();
    switch (control_kind(request)) {
    case CONTROL_UNKNOWN:
    case CONTROL_READ:
    case CONTROL_STAGE:
    case CONTROL_LEARNT:
        rc = control_run(&b->control, &b->session, NULL, request, reply, err);
        break;
    case CONTROL_ROWS:
        rc = run_rows(b, request, reply, err);
        break;
    case CONTROL_WRITE:
    case CONTROL_BATCH:
        rc = run_change(b, request, reply, err);
        break;
    case CONTROL_BARRIER:
        rc = err_set(err, ERR_TEMP, EX_TEMPFAIL, "a barrier needs a running coexist-mapd");
        break;
    }
    return rc == 0 ? client_reply_check(*reply, err) : -1;
}

int backend_call_own(struct backend *b, json_t *request, json_t **reply, struct err *err)
{
    if (b->client)
        return client_call_own(b->client, request, reply, err);
    *reply = NULL;
    int rc = call_offline(b, request, reply, err);
    json_decref(request);
    return rc;
}
