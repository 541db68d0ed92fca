/* SPDX-License-Identifier: ISC */
/*
 * supervisor: see supervisor.h.  One thread.  The store is written in it, since nothing may be
 * acknowledged before that is through, and a commit is short.
 *
 * At SIGTERM those whose users' mail waits come to their end, since that is a matter of seconds;
 * all others are left where they are, for which their journals are made.
 */
#include "imapsync/jobs/supervisor.h"

#include <signal.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/os/daemon.h"
#include "base/os/io.h"
#include "imapsync/ends/imap_account.h"
#include "imapsync/jobs/spawn.h"
#include "imapsync/jobs/supervisor_parts.h"
#include "maps/access.h"

#define PATH_LENGTH_MAX 4096

/* --- What is next --------------------------------------------------------------------------- */

void supervisor_fail(struct supervisor *s, const struct err *why)
{
    if (s->failed.class == ERR_NONE) {
        s->failed = *why;
        log_error("store_failed", log_err(why));
    }
    s->is_stopping = true;
}

static bool may_end(const struct supervisor *s)
{
    if (s->is_stopping)
        return !processes_hold(s);
    return s->is_once && !visitors_wait(s) && LIST_EMPTY(&s->processes);
}

void supervisor_look(struct supervisor *s)
{
    struct queue_job *job;
    int64_t now = clock_wall_ms();
    while (!s->is_stopping && (job = queue_entered(s->queue, now)) != NULL)
        process_entered(job->worker);
    while (!s->is_stopping && (job = queue_next(s->queue, now)) != NULL)
        process_start(s, job);
    int64_t wait_ms = s->is_stopping ? -1 : queue_wait_ms(s->queue, now);
    loop_timer_stop(s->due);
    if (wait_ms >= 0)
        loop_timer_start(s->due, (uint64_t)wait_ms);
    if (may_end(s))
        loop_stop(s->loop);
}

static void on_due(void *arg)
{
    supervisor_look(arg);
}

/* --- Signals -------------------------------------------------------------------------------- */

static void on_late(void *arg)
{
    struct supervisor *s = arg;
    log_error("stop_late", log_str("text", "somebody's mail waits still"));
    loop_stop(s->loop);
}

static void stop(struct supervisor *s)
{
    daemon_notify("STOPPING=1");
    s->is_stopping = true;
    loop_timer_start(s->late, SUPERVISOR_STOP_MS);
    supervisor_look(s);
}

static void on_stop(void *arg, int signum ATTR_UNUSED)
{
    stop(arg);
}

static void on_child(void *arg, int signum ATTR_UNUSED)
{
    processes_reap(arg);
}

static void set_limits(struct supervisor *s)
{
    const struct conf_sync *sync = &s->conf->sync;
    const struct queue_limits limits = {.jobs_max = sync->jobs_max,
        .copies_max = sync->copies_max,
        .deltas_max = sync->deltas_max,
        .deaths_max = sync->deaths_max,
        .sweep_ms = sync->sweep_interval_ms,
        .is_once = s->is_once};
    queue_set_limits(s->queue, &limits);
    for (size_t i = 0; i < s->conf->n_servers; i++)
        queue_set_server(s->queue, s->conf->servers[i].name, s->conf->servers[i].imap_connections);
}

static void on_reload(void *arg, int signum ATTR_UNUSED)
{
    struct supervisor *s = arg;
    struct err err = ERR_INIT;
    struct conf *conf = NULL;
    int conf_fd = -1;
    daemon_notify("RELOADING=1");
    int result = conf_load(s->conf_path, &conf, &err);
    if (result == 0 &&
        (strcmp(conf->state, s->conf->state) != 0 || strcmp(conf->run, s->conf->run) != 0))
        result = err_set(&err, ERR_PERM, EX_CONFIG, "state and run only change with a restart");
    if (result == 0)
        result = spawn_copy_conf(s->conf_path, &conf_fd, &err);
    if (result != 0) {
        log_error("reload_failed", log_err(&err));
        conf_free(&conf);
    } else {
        conf_free(&s->owned);
        s->conf = s->owned = conf;
        io_close(&s->conf_fd);
        s->conf_fd = conf_fd;
        imap_account_try_again();
        set_limits(s);
        queue_try_again(s->queue);
        log_info("reloaded", log_str("file", s->conf_path));
        supervisor_look(s);
    }
    daemon_notify("READY=1");
}

/* --- What was left ---------------------------------------------------------------------------- */

static int take_record(void *arg, struct move_record *r)
{
    struct supervisor *s = arg;
    struct queue_job *job = queue_get(s->queue, r->user);
    job->has_record = true;
    job->is_held = move_may_hold(r->state);
    job->is_forward = move_is_forward(r->state);
    job->swept_ms = r->swept_ms;
    job->is_resting = s->is_once;
    queue_placed(s->queue, job, r->from, r->to, process_is_first(r));
    return 0;
}

/* Whose hold was interrupted is free for a while, as after any failure. */
static int take_request(void *arg, const char *user, const struct request *r)
{
    struct supervisor *s = arg;
    struct queue_job *job = queue_get(s->queue, user);
    queue_ask(job, r);
    job->is_resting = s->is_once;
    job->is_stored = true;
    /* Whose mail waits is let go, however often others have died over it. */
    if (job->is_held && r->deaths > s->conf->sync.deaths_max)
        job->request.deaths = s->conf->sync.deaths_max;
    if (job->is_held && r->kind == REQUEST_CUTOVER)
        job->request.due_ms = clock_wall_ms() + QUEUE_RETRY_MS;
    return 0;
}

static int take_up(struct supervisor *s, struct err *err)
{
    if (users_each(s->store, NULL, false, take_record, s, err) != 0 ||
        users_each_request(s->store, take_request, s, err) != 0)
        return -1;
    return 0;
}

/* --- Life ------------------------------------------------------------------------------------- */

static int start(struct supervisor *s, struct err *err)
{
    struct err why = ERR_INIT;
    if (spawn_copy_conf(s->conf_path, &s->conf_fd, err) != 0 ||
        access_become_sync(s->conf, err) != 0 || users_open(s->conf, &s->store, err) != 0 ||
        take_up(s, err) != 0)
        return -1;
    set_limits(s);
    if (visitors_listen(s, &why) == 0)
        return 0;
    if (!s->is_once) {
        *err = why;
        return -1;
    }
    log_warn("nobody_can_ask", log_err(&why));
    return 0;
}

static void supervisor_init(
    struct supervisor *s, const char *conf_path, int verbose, const struct conf *conf, bool is_once)
{
    const struct queue_limits none = {0};
    *s = (struct supervisor){.conf_path = conf_path,
        .verbose = verbose,
        .conf = conf,
        .conf_fd = -1,
        .is_once = is_once};
    buf_init(&s->socket_path, PATH_LENGTH_MAX);
    s->queue = queue_new(&none);
    s->loop = loop_new();
    s->due = loop_timer_new(s->loop, on_due, s);
    s->late = loop_timer_new(s->loop, on_late, s);
    s->on_child = loop_signal_new(s->loop, SIGCHLD, on_child, s);
}

static void supervisor_fini(struct supervisor *s)
{
    if (s->listener)
        unlink(buf_cstr(&s->socket_path));
    listener_free(&s->listener);
    visitors_free(s);
    processes_free(s);
    loop_timer_free(&s->due);
    loop_timer_free(&s->late);
    loop_signal_free(&s->on_child);
    loop_signal_free(&s->on_term);
    loop_signal_free(&s->on_int);
    loop_signal_free(&s->on_hup);
    users_close(&s->store);
    queue_free(&s->queue);
    loop_free(&s->loop);
    io_close(&s->conf_fd);
    buf_fini(&s->socket_path);
    conf_free(&s->owned);
}

static int end_of(const struct supervisor *s, struct err *err)
{
    if (s->failed.class == ERR_NONE)
        return 0;
    *err = s->failed;
    return -1;
}

int supervisor_run_own(const char *conf_path, int verbose, struct conf *conf, struct err *err)
{
    struct supervisor s;
    supervisor_init(&s, conf_path, verbose, conf, false);
    s.owned = conf;
    s.on_term = loop_signal_new(s.loop, SIGTERM, on_stop, &s);
    s.on_int = loop_signal_new(s.loop, SIGINT, on_stop, &s);
    s.on_hup = loop_signal_new(s.loop, SIGHUP, on_reload, &s);
    int result = start(&s, err);
    if (result == 0) {
        daemon_ready();
        supervisor_look(&s);
        loop_run(s.loop);
        result = end_of(&s, err);
        log_info("stopped");
    }
    supervisor_fini(&s);
    return result;
}

/* --- For one request -------------------------------------------------------------------------- */

struct once {
    struct supervisor s;
    struct visitor *own;
    bool was_told;
};

static void on_signal(void *arg, int signum ATTR_UNUSED)
{
    struct once *o = arg;
    if (o->was_told)
        stop(&o->s);
    else if (o->own)
        visitor_call_back(o->own);
    o->was_told = true;
}

static int was_stopped(struct err *err)
{
    return err_set(err, ERR_TEMP, EX_TEMPFAIL,
        "it was stopped: what becomes of it will be in `coexist-sync status`");
}

int supervisor_once(const char *conf_path, int verbose, const struct conf *conf,
    const json_t *request, void (*line)(void *arg, const json_t *line), void *arg, int *status_out,
    struct err *err)
{
    struct once o = {0};
    supervisor_init(&o.s, conf_path, verbose, conf, true);
    o.s.on_term = loop_signal_new(o.s.loop, SIGTERM, on_signal, &o);
    o.s.on_int = loop_signal_new(o.s.loop, SIGINT, on_signal, &o);
    int result = start(&o.s, err);
    if (result != 0 && err->code == EX_TEMPFAIL && !o.s.store)
        result = 1;
    if (result == 0) {
        o.own = visitor_own(&o.s, request, line, arg);
        supervisor_look(&o.s);
        loop_run(o.s.loop);
        if (!visitor_is_over(o.own, status_out, err))
            result = o.s.failed.class != ERR_NONE ? end_of(&o.s, err) : was_stopped(err);
    }
    supervisor_fini(&o.s);
    return result;
}
