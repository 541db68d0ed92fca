/* SPDX-License-Identifier: ISC */
/*
 * backups: see backups.h.  A backup that fails (a full disk) is tried again at the next turn and
 * costs nothing else.
 */
#include "maps/mapd/backups.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "maps/client.h"
#include "maps/store/backup.h"

#define CALL_TIMEOUT_MS 60000
#define GAP_MS 1000 /* between two that were wanted */

struct backups {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Under lock: */
    struct conf *fresh; /* NULL: the thread has the latest */
    bool is_wanted, is_stopping;
    /* The thread's own: */
    struct conf *conf;
    uint64_t next_ms;
};

static int call_own(void *arg, json_t *request, json_t **reply, struct err *err)
{
    return client_call_own(arg, request, reply, err);
}

/* Nothing has changed since the last set. */
static int is_current(const struct conf *conf, struct client *c, bool *out, struct err *err)
{
    struct backup_set *v;
    json_t *reply;
    size_t n;

    *out = false;
    if (backup_list(conf, &v, &n, err) != 0)
        return -1;
    int rc = client_call_own(c, json_pack("{ss}", "op", "status"), &reply, err);
    if (rc == 0 && n > 0)
        *out = (uint64_t)json_integer_value(json_object_get(reply, "generation")) ==
               v[n - 1].generation;
    json_decref(reply);
    free(v);
    return rc;
}

static int make_set(const struct conf *conf, struct err *err)
{
    int64_t now_s = clock_wall_ms() / 1000;
    struct client *c = NULL;
    struct backup_set set;
    bool is_done = false;

    if (client_open(conf->run, CALL_TIMEOUT_MS, &c, err) != 0)
        return -1;
    const struct backup_map map = {call_own, c};
    int rc = is_current(conf, c, &is_done, err);
    if (rc == 0 && !is_done)
        rc = backup_write(conf, &map, now_s, &set, err);
    if (rc == 0 && !is_done)
        log_info("backup", log_str("set", set.name), log_u64("generation", set.generation));
    client_close(&c);
    return rc == 0 ? backup_prune(conf, now_s, err) : rc;
}

/* --- The thread ------------------------------------------------------------------------------- */

static void wait_until(struct backups *b, uint64_t until_ms)
{
    struct timespec until = {
        .tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_cond_timedwait(&b->wake, &b->lock, &until);
}

/* False: the end. */
static bool wait_for_turn_locked(struct backups *b, uint64_t last_ms)
{
    while (!b->is_stopping) {
        if (b->fresh) {
            conf_free(&b->conf);
            b->conf = b->fresh;
            b->fresh = NULL;
        }
        uint64_t interval_ms = b->conf->mapd.backup_ms;
        uint64_t at_ms = last_ms == 0 ? 0 : last_ms + (b->is_wanted ? GAP_MS : interval_ms);
        if (interval_ms == 0)
            pthread_cond_wait(&b->wake, &b->lock);
        else if (clock_mono_ms() >= at_ms)
            return true;
        else
            wait_until(b, at_ms);
    }
    return false;
}

static void *thread_main(void *arg)
{
    struct backups *b = arg;
    uint64_t last_ms = 0;

    pthread_setname_np(pthread_self(), "backups");
    pthread_mutex_lock(&b->lock);
    while (wait_for_turn_locked(b, last_ms)) {
        struct err err = ERR_INIT;
        b->is_wanted = false;
        pthread_mutex_unlock(&b->lock);
        int rc = make_set(b->conf, &err);
        last_ms = clock_mono_ms();
        pthread_mutex_lock(&b->lock);
        if (rc != 0 && !b->is_stopping)
            log_warn("backup_failed", log_err(&err));
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

/* --- Outside the thread ---------------------------------------------------------------------- */

int backups_new(const struct conf *conf, struct backups **out, struct err *err)
{
    struct backups *b = mem_zalloc(sizeof *b);
    pthread_condattr_t attr;

    if (conf_copy(conf, &b->conf, err) != 0) {
        free(b);
        return -1;
    }
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&b->thread, NULL, thread_main, b);
    if (rc != 0) {
        pthread_cond_destroy(&b->wake);
        pthread_mutex_destroy(&b->lock);
        conf_free(&b->conf);
        free(b);
        return err_sys(err, rc, "cannot start the thread that makes backups");
    }
    *out = b;
    return 0;
}

void backups_wanted(struct backups *b)
{
    pthread_mutex_lock(&b->lock);
    b->is_wanted = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

void backups_reload(struct backups *b, const struct conf *conf)
{
    struct err err = ERR_INIT;
    struct conf *copy = NULL;

    if (conf_copy(conf, &copy, &err) != 0) {
        log_warn("backup_failed", log_err(&err));
        return;
    }
    pthread_mutex_lock(&b->lock);
    conf_free(&b->fresh);
    b->fresh = copy;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

void backups_free(struct backups **bp)
{
    struct backups *b = *bp;

    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->is_stopping = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
    conf_free(&b->fresh);
    conf_free(&b->conf);
    free(b);
    *bp = NULL;
}
