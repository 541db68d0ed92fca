/* SPDX-License-Identifier: ISC */
/*
 * worker: the store thread.
 *
 * One round takes every job that waits, runs it, commits once and publishes once; while the disk
 * writes, the next jobs gather.  That is the whole group commit: no timer, no delay for a lone
 * request.  A batch (wave, revert) has a transaction of its own, because it may turn out wrong
 * halfway and then takes back everything that it wrote.
 *
 * An import commits in turns (import_commit.c), and what it has switched is folded bit by bit
 * (maps/store/stage.h): one turn and one bit in each round, so that nobody waits for long.
 *
 * When a shared transaction fails (a full disk), each of its jobs is tried again by itself, so that
 * a large request does not fail a small one.  Nothing is answered before it is durable and visible.
 */
#include "maps/mapd/worker.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "maps/store/stage.h"

#define WAIT_MAX_MS 1000     /* while holds run, of which the release may have failed */
#define PREPARE_ENTRIES 4000 /* of the snapshot of an import, in one turn */
#define PRUNE_INTERVAL_MS 60000
#define PRUNE_IDLE_MS 3600000 /* without a request */
#define PRUNE_RESULTS_MAX 500
#define PRUNE_CHANGES_MAX 5000

struct jobs {
    struct job *first, **end;
};

struct worker {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct jobs waiting, finished; /* under lock */
    bool stopping, joined;         /* under lock */
    void (*done)(void *arg);
    void *arg;
    /* The thread's own: */
    struct control control;
    struct publish *publish;
    struct jobs going;  /* imports that commit, whose turn comes again */
    bool fold_failed;   /* the last part of one */
    bool expire_failed; /* the last release of holds */
    uint64_t pruned_ms; /* 0: not yet */
    bool prunes_more;   /* as much was old as is taken out at once */
    uint64_t started_ms;
    int64_t clock_base_ms; /* what the wall clock was ahead of the monotonic one at the start */
};

static void jobs_init(struct jobs *q)
{
    q->first = NULL;
    q->end = &q->first;
}

static void jobs_add(struct jobs *q, struct job *job)
{
    job->next = NULL;
    *q->end = job;
    q->end = &job->next;
}

static struct job *jobs_take(struct jobs *q)
{
    struct job *first = q->first;
    jobs_init(q);
    return first;
}

void job_free(struct job **jobp)
{
    struct job *job = *jobp;
    if (!job)
        return;
    json_decref(job->request);
    json_decref(job->reply);
    free(job);
    *jobp = NULL;
}

/* --- Groups --------------------------------------------------------------------------- */

static void fail_job(struct job *job, const struct err *err)
{
    json_decref(job->reply);
    job->reply = control_error(err);
}

static bool needs_txn(const struct job *job)
{
    enum control_kind kind = control_kind(job->request);
    return kind == CONTROL_WRITE || kind == CONTROL_BATCH || kind == CONTROL_ROWS;
}

/* A batch needs a transaction of its own.  Rows of an import must not be taken a second time
 * because somebody else's change failed and the group is tried again. */
static bool is_alone(const struct job *job)
{
    enum control_kind kind = control_kind(job->request);
    return kind == CONTROL_BATCH || kind == CONTROL_STAGE || kind == CONTROL_ROWS;
}

static void drop_replies(struct job *first, const struct job *end)
{
    for (struct job *job = first; job != end; job = job->next) {
        json_decref(job->reply);
        job->reply = NULL;
    }
}

/* Durable, then visible. -1: neither, and the transaction is gone. */
static int commit(struct worker *w, struct store_txn **txn, struct err *err)
{
    if (publish_stage(w->publish, *txn, err) != 0) {
        store_abort(txn);
        return -1;
    }
    if (store_commit(txn, err) != 0) {
        publish_discard(w->publish);
        return -1;
    }
    publish_staged(w->publish);
    return 0;
}

/* Runs jobs in one transaction. -1: it failed and nothing of them happened. */
static int run_jobs(struct worker *w, struct job *first, const struct job *end, struct err *err)
{
    struct control *c = &w->control;
    struct store_txn *txn = NULL;
    bool wants_txn = false, is_aborted = false;

    for (const struct job *job = first; job != end; job = job->next)
        wants_txn |= needs_txn(job);
    if (wants_txn && store_begin(c->store, &txn, err) != 0)
        return -1;
    for (struct job *job = first; job != end; job = job->next) {
        if (control_run(c, job->session, txn, job->request, &job->reply, err) != 0) {
            control_failed(job->session);
            store_abort(&txn);
            drop_replies(first, end);
            return -1;
        }
        is_aborted |= c->must_abort;
    }
    if (is_aborted)
        store_abort(&txn);
    if (txn && commit(w, &txn, err) != 0) {
        for (const struct job *job = first; job != end; job = job->next)
            control_failed(job->session);
        drop_replies(first, end);
        return -1;
    }
    return 0;
}

static void log_job(const struct job *job)
{
    const char *op = json_string_value(json_object_get(job->request, "op"));
    const char *key = json_string_value(json_object_get(job->request, "key"));
    const char *id = json_string_value(json_object_get(job->request, "id"));
    const json_t *error = json_object_get(job->reply, "error");

    if (!error)
        log_info("map_change", log_str("op", op), log_str("key", key ? key : ""),
            log_str("who", job->session->who), log_str("id", id ? id : ""),
            log_i64("generation", json_integer_value(json_object_get(job->reply, "generation"))));
    else
        log_info("map_refused", log_str("op", op), log_str("key", key ? key : ""),
            log_str("who", job->session->who), log_str("id", id ? id : ""),
            log_str("error", json_string_value(json_object_get(error, "text"))));
}

static void run_group(struct worker *w, struct job *first, const struct job *end)
{
    struct err err = ERR_INIT;

    if (run_jobs(w, first, end, &err) != 0) {
        log_error("transaction_failed", log_err(&err));
        for (struct job *job = first; job != end; job = job->next) {
            if (first->next == end || run_jobs(w, job, job->next, &err) != 0)
                fail_job(job, &err);
            err_clear(&err);
        }
    }
    for (const struct job *job = first; job != end; job = job->next)
        if (needs_txn(job) && job->reply && control_kind(job->request) != CONTROL_ROWS)
            log_job(job);
}

/* --- What happens by time ----------------------------------------------------------------- */

static int try_expire(struct worker *w, struct err *err)
{
    struct store_txn *txn = NULL;
    size_t n;

    if (store_begin(w->control.store, &txn, err) != 0)
        return -1;
    if (control_expire(&w->control, txn, &n, err) != 0) {
        store_abort(&txn);
        return -1;
    }
    return commit(w, &txn, err);
}

/* A hold that follows the wall clock back by an hour keeps its user's mail for an hour. */
static void read_clocks(struct worker *w)
{
    w->control.now_ms = clock_wall_ms();
    w->control.clock_step_ms = w->control.now_ms - (int64_t)clock_mono_ms() - w->clock_base_ms;
}

static void expire_holds(struct worker *w)
{
    struct err err = ERR_INIT;

    w->expire_failed = false;
    if (control_next_deadline_ms(w->control.store) > control_hold_now_ms(&w->control))
        return;
    w->expire_failed = try_expire(w, &err) != 0;
    if (w->expire_failed)
        log_error("expire_failed", log_err(&err));
    else
        w->done(w->arg);
}

static int try_prune(struct worker *w, struct store_txn *txn, struct err *err)
{
    int64_t now_s = w->control.now_ms / 1000;
    int64_t keep_s = (int64_t)(w->control.conf->mapd.log_keep_ms / 1000);
    size_t results, changes = 0;

    if (store_result_prune(txn, now_s - STORE_RESULT_KEPT_S, PRUNE_RESULTS_MAX, &results, err) !=
            0 ||
        (keep_s > 0 &&
            store_history_prune(txn, now_s - keep_s, PRUNE_CHANGES_MAX, &changes, err) != 0))
        return -1;
    w->prunes_more = results == PRUNE_RESULTS_MAX || changes == PRUNE_CHANGES_MAX;
    return 0;
}

static void prune(struct worker *w)
{
    struct err err = ERR_INIT;
    struct store_txn *txn = NULL;
    uint64_t now_ms = clock_mono_ms();

    if (w->pruned_ms != 0 && now_ms - w->pruned_ms < PRUNE_INTERVAL_MS)
        return;
    w->pruned_ms = now_ms;
    w->prunes_more = false;
    if (store_begin(w->control.store, &txn, &err) != 0 || try_prune(w, txn, &err) != 0) {
        store_abort(&txn);
        log_warn("prune_failed", log_err(&err));
    } else if (store_commit(&txn, &err) != 0) {
        log_warn("prune_failed", log_err(&err));
    }
}

/* --- Imports ------------------------------------------------------------------------------ */

/* Others of its session wait for its reply, so nothing but this job touches the import. */
static void one_turn(struct worker *w, struct jobs *finished)
{
    struct job *job = w->going.first;

    if (!job)
        return;
    w->going.first = job->next;
    if (!w->going.first)
        jobs_init(&w->going);
    run_group(w, job, job->next = NULL);
    jobs_add(job->reply ? finished : &w->going, job);
}

static int try_fold(struct worker *w, bool *done_out, struct err *err)
{
    struct store *store = w->control.store;
    struct store_txn *txn = NULL;
    size_t n = 0;

    if (store_begin(store, &txn, err) != 0)
        return -1;
    int rc = store_is_folding(store) ? store_fold(store, txn, CONTROL_IMPORT_PIECE, done_out, err)
                                     : store_sweep(store, txn, CONTROL_IMPORT_PIECE, &n, err);
    if (rc != 0) {
        store_abort(&txn);
        return -1;
    }
    return store_commit(&txn, err);
}

static bool has_to_fold(const struct worker *w)
{
    return store_is_folding(w->control.store) || store_has_leftovers(w->control.store);
}

/* Nothing that anybody can see changes by it. */
static void fold(struct worker *w)
{
    struct err err = ERR_INIT;
    bool was_folding = store_is_folding(w->control.store), done = false;

    if (!has_to_fold(w))
        return;
    w->fold_failed = try_fold(w, &done, &err) != 0;
    if (w->fold_failed)
        log_error("fold_failed", log_err(&err));
    else if (was_folding && done)
        log_info("import_folded", log_u64("generation", store_generation(w->control.store)));
}

/* What was not switched when the thread ends is for the next start to sweep. */
static void give_up(struct worker *w, struct jobs *finished)
{
    struct err err = ERR_INIT;

    for (struct job *next, *job = jobs_take(&w->going); job; job = next) {
        next = job->next;
        err_set(&err, ERR_TEMP, EX_TEMPFAIL,
            "coexist-mapd ends: nothing of the import happened, begin it again");
        control_failed(job->session);
        fail_job(job, &err);
        jobs_add(finished, job);
    }
}

/* --- Rounds --------------------------------------------------------------------------------- */

/* The configuration from here on. */
static void take_conf(struct worker *w, struct job *job)
{
    const struct conf *old = w->control.conf;
    w->control.conf = job->conf;
    w->control.conf_serial++;
    job->conf = (struct conf *)(uintptr_t)old;
}

/* Splits what waits at batches and changes of configuration.  A batch may take long: the holds
 * whose time is over meanwhile end behind it, and a hold behind it begins when it is made. */
static void run_all(struct worker *w, struct job *first, struct jobs *finished)
{
    do {
        struct job *end = first ? first->next : NULL;
        read_clocks(w);
        expire_holds(w);
        if (!first)
            return;
        if (!first->request) {
            take_conf(w, first);
        } else {
            if (!is_alone(first))
                while (end && end->request && !is_alone(end))
                    end = end->next;
            run_group(w, first, end);
        }
        while (first != end) {
            struct job *next = first->next;
            jobs_add(first->request && !first->reply ? &w->going : finished, first);
            first = next;
        }
    } while (first);
}

/* --- The thread ---------------------------------------------------------------------------- */

/* How long nothing happens by itself. */
static int64_t wait_ms(struct worker *w)
{
    int64_t next_ms = control_next_deadline_ms(w->control.store);
    int64_t wait = w->prunes_more || w->pruned_ms == 0 ? PRUNE_INTERVAL_MS : PRUNE_IDLE_MS;

    if (w->going.first || (has_to_fold(w) && !w->fold_failed))
        return 0;
    if (w->fold_failed)
        wait = WAIT_MAX_MS;
    if (next_ms == INT64_MAX)
        return wait;
    read_clocks(w);
    wait = next_ms - control_hold_now_ms(&w->control);
    return wait > WAIT_MAX_MS || w->expire_failed ? WAIT_MAX_MS : wait;
}

static void wait_locked(struct worker *w)
{
    int64_t wait = wait_ms(w);

    if (wait <= 0)
        return;
    struct timespec until;
    uint64_t ns = clock_mono_ns() + (uint64_t)wait * 1000000;
    until.tv_sec = (time_t)(ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    pthread_cond_timedwait(&w->wake, &w->lock, &until);
}

static void give_back(struct worker *w, struct job *jobs)
{
    if (!jobs)
        return;
    pthread_mutex_lock(&w->lock);
    *w->finished.end = jobs;
    while (*w->finished.end)
        w->finished.end = &(*w->finished.end)->next;
    pthread_mutex_unlock(&w->lock);
    w->done(w->arg);
}

static void one_round(struct worker *w, struct job *jobs, bool stopping)
{
    struct err err = ERR_INIT;
    struct jobs finished;

    jobs_init(&finished);
    run_all(w, jobs, &finished);
    one_turn(w, &finished);
    if (stopping)
        give_up(w, &finished);
    give_back(w, finished.first);
    fold(w);
    prune(w);
    if (store_checkpoint(w->control.store, &err) != 0)
        log_error("checkpoint_failed", log_err(&err));
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;
    struct job *jobs;
    bool stopping;

    pthread_setname_np(pthread_self(), "store");
    do {
        pthread_mutex_lock(&w->lock);
        if (!w->waiting.first && !w->stopping)
            wait_locked(w);
        jobs = jobs_take(&w->waiting);
        stopping = w->stopping;
        pthread_mutex_unlock(&w->lock);
        one_round(w, jobs, stopping);
    } while (jobs || !stopping);
    return NULL;
}

static int prepare(void *arg, struct store_txn *txn, const struct store_stage *stage, uint64_t base,
    const struct store_cause *cause, bool *ready_out, struct err *err)
{
    struct worker *w = arg;
    return publish_prepare(w->publish, txn, stage, base, cause, PREPARE_ENTRIES, ready_out, err);
}

/* --- Outside the thread -------------------------------------------------------------------- */

static void add_status(void *arg, json_t *reply)
{
    const struct worker *w = arg;
    uint64_t uptime_s = (clock_mono_ms() - w->started_ms) / 1000;

    json_object_set_new(reply, "version", json_string(COEXIST_VERSION));
    json_object_set_new(reply, "pid", json_integer(getpid()));
    json_object_set_new(reply, "uptime_s", json_integer((json_int_t)uptime_s));
}

int worker_new(const struct conf *conf, struct store *store, struct publish *publish,
    void (*done)(void *arg), void *arg, struct worker **out, struct err *err)
{
    struct worker *w = mem_zalloc(sizeof *w);
    pthread_condattr_t attr;

    w->control = (struct control){.conf = conf,
        .store = store,
        .status = add_status,
        .status_arg = w,
        .prepare = prepare,
        .prepare_arg = w};
    w->publish = publish;
    w->done = done;
    w->arg = arg;
    w->started_ms = clock_mono_ms();
    w->clock_base_ms = clock_wall_ms() - (int64_t)w->started_ms;
    jobs_init(&w->waiting);
    jobs_init(&w->finished);
    jobs_init(&w->going);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&w->thread, NULL, thread_main, w);
    if (rc != 0) {
        w->joined = true;
        worker_free(&w);
        return err_sys(err, rc, "cannot start the store thread");
    }
    *out = w;
    return 0;
}

void worker_submit(struct worker *w, struct job *job)
{
    pthread_mutex_lock(&w->lock);
    jobs_add(&w->waiting, job);
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

struct job *worker_take(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    struct job *jobs = jobs_take(&w->finished);
    pthread_mutex_unlock(&w->lock);
    return jobs;
}

void worker_stop(struct worker *w)
{
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    if (!w->joined)
        pthread_join(w->thread, NULL);
    w->joined = true;
}

void worker_free(struct worker **wp)
{
    struct worker *w = *wp;
    if (!w)
        return;
    BUG_ON(!w->joined);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->wake);
    free(w);
    *wp = NULL;
}
