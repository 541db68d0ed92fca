/* SPDX-License-Identifier: ISC */
/* server: see server.h; its connections are in server_conn.c. */
#include "maps/mapd/server_parts.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sysexits.h>
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/daemon.h"

/* --- Results --------------------------------------------------------------------------------- */

static bool is_large_change(const struct job *job)
{
    return job->request && control_kind(job->request) == CONTROL_BATCH &&
           json_is_true(json_object_get(job->reply, "ok")) &&
           !json_is_true(json_object_get(job->reply, "dry_run"));
}

static void finish_job(struct job *job)
{
    struct conn *c = job->owner;
    json_t *reply = job->reply;

    if (!c) {
        conf_free(&job->conf); /* the store thread has let go of the old configuration */
    } else if (!c->stream) {
        c->is_busy = false;
        server_conn_free(c);
    } else {
        job->reply = NULL;
        server_conn_reply_own(c, reply);
    }
    job_free(&job);
}

/* A control file or a socket that nobody finds is worse than no mapd: a supervisor cannot see it,
 * and no hold would end. */
static void check_own(struct server *s)
{
    struct err err = ERR_INIT;
    struct stat st;

    if (s->is_lost)
        return;
    if (publish_check(s->publish, &err) != 0)
        s->is_lost = true;
    else if (lstat(s->socket.path, &st) != 0 || st.st_dev != s->socket_dev ||
             st.st_ino != s->socket_ino)
        s->is_lost = err_set(&err, ERR_TEMP, EX_TEMPFAIL,
                         "%s was removed or replaced: a new start of coexist-mapd repairs it",
                         s->socket.path) != 0;
    if (s->is_lost)
        s->socket.lost(s->socket.arg, &err);
}

static void on_tick(void *arg)
{
    struct server *s = arg;
    struct err err = ERR_INIT;

    check_own(s);
    if (s->ticks++ % SERVER_SWEEP_TICKS == 0 && !s->is_lost && hosts_sweep(s->hosts, &err) != 0)
        log_error("claims_unreadable", log_err(&err));
    learn_tick(s->learn);
    loop_timer_start(s->tick, SERVER_TICK_MS);
}

static void on_results(void *arg)
{
    struct server *s = arg;
    struct job *next;
    for (struct job *job = worker_take(s->worker); job; job = next) {
        next = job->next;
        if (s->backups && is_large_change(job))
            backups_wanted(s->backups);
        finish_job(job);
    }
    /* NULL: this is the end, which writes them. */
    if (s->emergency)
        emergency_changed(s->emergency);
    check_own(s);
}

static void wake_loop(void *arg)
{
    struct server *s = arg;
    loop_async_send(s->async);
}

/* --- Reload ---------------------------------------------------------------------------------- */

static bool has_lost_rights(const struct server *s, const struct conn *c)
{
    return (c->session.may_write && !access_writer(&s->writers, c->uid)) ||
           (!c->session.is_shut_out && access_is_consumer(&s->writers, c->uid));
}

/* Whoever may do less than before has to come again. */
static void drop_former_rights(struct server *s)
{
    struct conn *next;
    for (struct conn *c = LIST_FIRST(&s->conns); c; c = next) {
        next = LIST_NEXT(c, link);
        if (c->stream && has_lost_rights(s, c))
            server_conn_drop(c, "its rights have changed");
    }
}

static void on_reloaded(
    void *arg, struct conf *conf, struct access_writers *writers, const struct err *err)
{
    struct server *s = arg;

    if (err) {
        log_error("reload_failed", log_err(err));
        daemon_notify("READY=1");
        return;
    }
    struct job *job = mem_zalloc(sizeof *job);
    access_writers_fini(&s->writers);
    s->writers = *writers;
    drop_former_rights(s);
    job->conf = conf;
    s->conf = conf;
    emergency_reload(s->emergency, conf);
    backups_reload(s->backups, conf);
    learn_reload(s->learn, conf);
    worker_submit(s->worker, job);
    log_info("reloaded", log_str("file", conf->path));
    daemon_notify("READY=1");
}

int server_reload_own(struct server *s, struct conf *conf, struct err *err)
{
    if (strcmp(conf->state, s->conf->state) != 0 || strcmp(conf->run, s->run_dir) != 0) {
        conf_free(&conf);
        return err_set(err, ERR_PERM, EX_CONFIG, "state and run only change with a restart");
    }
    reload_start_own(s->reload, conf);
    return 0;
}

/* --- The server --------------------------------------------------------------------------------
 */

int server_new_own(struct loop *loop, struct conf *conf, struct store *store,
    struct publish *publish, const struct server_socket *socket, struct server **out,
    struct err *err)
{
    struct server *s = mem_zalloc(sizeof *s);
    struct stat st;

    s->loop = loop;
    s->conf = conf;
    s->run_dir = mem_strdup(conf->run);
    s->publish = publish;
    s->hosts = hosts_new(s->run_dir);
    s->barriers = barriers_new(loop, s->hosts);
    s->socket = *socket;
    if (lstat(socket->path, &st) == 0) { /* else the first tick says so */
        s->socket_dev = st.st_dev;
        s->socket_ino = st.st_ino;
    }
    s->listener = listener_new_own(loop, socket->fd, &server_conn_events, s);
    s->async = loop_async_new(loop, on_results, s);
    s->reload = reload_new(loop, on_reloaded, s);
    if (access_writers_load(conf, &s->writers, err) != 0 ||
        worker_new(conf, store, publish, wake_loop, s, &s->worker, err) != 0 ||
        emergency_new(conf, &s->emergency, err) != 0 || backups_new(conf, &s->backups, err) != 0) {
        server_free(&s);
        return -1;
    }
    s->learn = learn_new(conf);
    s->tick = loop_timer_new(loop, on_tick, s);
    loop_timer_start(s->tick, 0);
    *out = s;
    return 0;
}

void server_free(struct server **sp)
{
    struct server *s = *sp;
    if (!s)
        return;
    s->is_lost = true; /* nobody is to be told any more */
    loop_timer_free(&s->tick);
    listener_free(&s->listener);
    if (s->worker) {
        worker_stop(s->worker);
        on_results(s);
    }
    emergency_free(&s->emergency);
    while (!LIST_EMPTY(&s->conns))
        server_conn_close(LIST_FIRST(&s->conns));
    backups_free(&s->backups); /* its connection is closed: it waits for nothing */
    barriers_free(&s->barriers);
    hosts_free(&s->hosts);
    worker_free(&s->worker);
    learn_free(&s->learn);
    reload_free(&s->reload);
    access_writers_fini(&s->writers);
    loop_async_free(&s->async);
    conf_free(&s->conf);
    mem_free_string(&s->run_dir);
    free(s);
    *sp = NULL;
}
