/* SPDX-License-Identifier: ISC */
/*
 * worker: see worker.h.
 *
 * Start: privileges are dropped first; then come the claims file, the snapshot, the pool and the
 * listeners, and the master is told.  The listening sockets belong to the master: a worker that
 * dies leaves the connections that wait in them to its successor.
 *
 * Limits are per worker.  A client above its limit, or everybody above the worker's, hears 421;
 * behind a reserve for those answers connections are closed without a word.  Those who hear 421
 * stay until they have read it, so they do not count: a client above its limit would take the
 * places of all others.
 *
 * Drain: the listeners are closed, idle sessions say 421, transactions end.  At last all sessions
 * are cut but those whose dot has gone to a target: there the answer decides whether a message
 * comes twice, and it has more time.  How long that is depends on the reason.  A worker that
 * retires, since a reload put others in its place, has the time that it had anyhow; a stop has its
 * own.
 */
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/listener.h"
#include "maps/access.h"
#include "relay/clients.h"
#include "relay/cutthrough.h"
#include "relay/session.h"
#include "relay/smtp_server.h"
#include "relay/worker.h"

#define REFUSALS_MAX 64 /* sessions above a limit that hear why */
#define DRAIN_STEP_MS 20
#define DRAIN_QUIT_MS 1000 /* for the QUITs of the pool */
#define END_MS 5000        /* for the very end, those QUITs included */

struct worker_listening {
    struct worker *worker;
    struct listener *listener;
    bool is_lmtp;
};

/* --- New sessions ------------------------------------------------------------------------- */

static void admit_own(struct worker *w, int fd, const struct net_addr *peer, bool is_lmtp)
{
    const struct conf_relay *conf = &w->conf->relay;
    struct answer refusal;
    const struct answer *why = NULL;

    if (clients_enter(w->clients, peer) > conf->sessions_per_client_max) {
        answer_set(&refusal, 421, "4.7.0",
            "%s too many sessions from your address, try again later", conf->hostname);
        why = &refusal;
    } else if (w->n_sessions - w->n_refused >= conf->sessions_max) {
        answer_set(&refusal, 421, "4.3.2", "%s too many sessions, try again later", conf->hostname);
        why = &refusal;
    }
    if (why != NULL && w->n_refused >= REFUSALS_MAX) {
        clients_leave(w->clients, peer);
        io_close(&fd);
        return;
    }
    w->n_refused += why != NULL;
    session_start_own(w, fd, peer, is_lmtp, why);
}

static void on_accepted_own(void *arg, int fd, const struct net_addr *peer)
{
    const struct worker_listening *l = arg;

    admit_own(l->worker, fd, peer, l->is_lmtp);
}

static bool on_accept_failed(void *arg, const struct err *err)
{
    const struct worker_listening *l = arg;

    log_error("accept_failed", log_err(err), log_u64("sessions", l->worker->n_sessions));
    return false;
}

static const struct listener_events listener_events = {
    .accepted_own = on_accepted_own, .failed = on_accept_failed};

/* --- Listening ---------------------------------------------------------------------------- */

static void start_listening(struct worker *w)
{
    size_t n = w->setup->n_listeners;

    w->listening = mem_realloc_array(NULL, n, sizeof(*w->listening));
    for (size_t i = 0; i < n; i++) {
        struct worker_listening *l = &w->listening[i];

        *l = (struct worker_listening){.worker = w, .is_lmtp = w->setup->listeners[i].is_lmtp};
        l->listener = listener_new_own(w->loop, w->setup->listeners[i].fd, &listener_events, l);
    }
}

static void stop_listening(struct worker *w)
{
    for (size_t i = 0; i < w->setup->n_listeners; i++)
        listener_free(&w->listening[i].listener);
}

/* --- Draining ----------------------------------------------------------------------------- */

static void end_sessions(struct worker *w, bool with_dots)
{
    struct session *next;

    for (struct session *s = LIST_FIRST(&w->sessions); s != NULL; s = next) {
        next = session_next(s);
        if (with_dots || !session_is_dotted(s))
            session_kill(s);
    }
}

static void on_drain_step(void *arg)
{
    struct worker *w = arg;
    uint64_t now = loop_now_ms(w->loop);

    if (now >= w->cut_ms)
        end_sessions(w, now >= w->cut_all_ms);
    if (w->n_sessions > 0)
        return;
    if (!w->is_pool_drained) {
        w->is_pool_drained = true;
        w->quit_ms = now;
        pool_drain(w->pool);
    }
    if (pool_is_empty(w->pool) || now - w->quit_ms >= DRAIN_QUIT_MS)
        loop_stop(w->loop);
}

static void drain(struct worker *w, const char *why)
{
    struct session *next;

    log_info("draining", log_u64("slot", w->setup->slot), log_i64("pid", getpid()),
        log_u64("sessions", w->n_sessions), log_str("why", why));
    if (w->is_draining)
        return;
    w->is_draining = true;
    stop_listening(w);
    for (struct session *s = LIST_FIRST(&w->sessions); s != NULL; s = next) {
        next = session_next(s);
        session_drain(s);
    }
    loop_timer_repeat(w->drain_step, DRAIN_STEP_MS);
}

static void stop(struct worker *w)
{
    if (w->is_stopping)
        return;
    w->is_stopping = true;
    w->cut_ms = loop_now_ms(w->loop) + w->conf->relay.stop_timeout_ms;
    w->cut_all_ms = w->cut_ms + w->conf->relay.stop_dot_timeout_ms;
    drain(w, "stop");
}

static void on_stop(void *arg, int signum)
{
    (void)signum;
    stop(arg);
}

static void on_retire(void *arg, int signum)
{
    struct worker *w = arg;

    (void)signum;
    if (w->is_draining)
        return;
    w->cut_ms = loop_now_ms(w->loop) + w->conf->relay.session_timeout_ms;
    w->cut_all_ms = w->cut_ms + w->conf->relay.dot_timeout_ms;
    drain(w, "reload");
}

uint64_t worker_retire_max_ms(const struct conf_relay *conf)
{
    return conf->session_timeout_ms + conf->dot_timeout_ms + END_MS;
}

uint64_t worker_stop_max_ms(const struct conf_relay *conf)
{
    return conf->stop_timeout_ms + conf->stop_dot_timeout_ms + END_MS;
}

static void on_master_gone(void *arg, int events)
{
    struct worker *w = arg;

    (void)events;
    if (!w->is_draining)
        log_error("master_gone", log_u64("slot", w->setup->slot));
    loop_io_want(w->master, 0);
    stop(w);
}

void worker_session_gone(struct worker *w, const struct net_addr *peer, bool was_refused)
{
    w->n_refused -= was_refused;
    clients_leave(w->clients, peer);
}

/* --- Life --------------------------------------------------------------------------------- */

static struct cutthrough_server *make_servers(const struct conf *conf)
{
    struct cutthrough_server *servers = mem_realloc_array(NULL, conf->n_servers, sizeof(*servers));

    for (size_t i = 0; i < conf->n_servers; i++)
        servers[i] = (struct cutthrough_server){.name = conf->servers[i].name,
            .is_lmtp = conf->servers[i].smtp.scheme == NET_SCHEME_LMTP,
            .refuses_8bit = conf->servers[i].eight_bit == CONF_EIGHT_BIT_REFUSE};
    return servers;
}

static int make_targets(struct worker *w, struct err *err)
{
    w->targets = mem_realloc_array(NULL, w->conf->n_servers, sizeof(struct pool_target *));
    for (size_t i = 0; i < w->conf->n_servers; i++) {
        const struct conf_server *server = &w->conf->servers[i];
        struct pool_hop hop = {.name = server->name,
            .where = &server->smtp,
            .policy = server->tls,
            .tls_name = server->tls_name,
            .tls = w->setup->client_tls[i],
            .never_pipelines = !server->pipelining,
            .connections_max = server->smtp_connections_max};

        if (pool_target(w->pool, &hop, &w->targets[i], err) != 0)
            return -1;
    }
    return 0;
}

static int open_all(struct worker *w, struct err *err)
{
    const struct conf *conf = w->conf;

    if (access_become(conf, conf->relay.user, err) != 0 ||
        claims_open(conf->run, &w->claims, err) != 0)
        return -1;
    w->snapshot = snapshot_new(conf->run);
    w->consumer = consumer_new(conf->run, "relay");
    w->judge = (struct judge){.conf = conf,
        .view = snapshot_view(w->snapshot),
        .keys = w->setup->keys,
        .mem = arena_new(DECIDE_MEM_MAX)};
    w->servers = make_servers(conf);
    w->holds = hold_room_new(conf->relay.hold_waits_max, conf->relay.hold_waits_per_user_max);
    w->clients = clients_new();
    w->loop = loop_new();
    w->pool = pool_new(w->loop, &conf->relay);
    if (make_targets(w, err) != 0)
        return -1;
    w->drain_step = loop_timer_new(w->loop, on_drain_step, w);
    w->on_term = loop_signal_new(w->loop, SIGTERM, on_stop, w);
    w->on_int = loop_signal_new(w->loop, SIGINT, on_stop, w);
    w->on_retire = loop_signal_new(w->loop, WORKER_RETIRE, on_retire, w);
    w->master = loop_io_new(w->loop, w->setup->master_fd, on_master_gone, w);
    loop_io_want(w->master, LOOP_READ);
    start_listening(w);
    pool_probe(w->pool);
    return 0;
}

static void close_all(struct worker *w)
{
    loop_signal_free(&w->on_term);
    loop_signal_free(&w->on_int);
    loop_signal_free(&w->on_retire);
    loop_timer_free(&w->drain_step);
    loop_io_free(&w->master);
    pool_free(&w->pool);
    loop_free(&w->loop);
    free(w->listening);
    clients_free(&w->clients);
    hold_room_free(&w->holds);
    arena_free(&w->judge.mem);
    snapshot_free(&w->snapshot);
    free(w->targets);
    free(w->servers);
    consumer_free(&w->consumer);
    claims_close(&w->claims);
    buf_fini(&w->scratch);
}

int worker_run(const struct worker_setup *setup)
{
    struct worker w = {.setup = setup, .conf = setup->conf};
    struct err err = ERR_INIT;
    int ready_fd = setup->ready_fd;

    /* Of the workers that live in one millisecond each has a pid of its own, of 22 bits in Linux.
     */
    w.start_id = ((uint64_t)clock_wall_ms() << 22) | ((uint64_t)getpid() & 0x3fffff);
    buf_init(&w.scratch, 4 * SMTP_SERVER_CONTENT_STEP);
    if (open_all(&w, &err) != 0) {
        struct err ignored = ERR_INIT;
        int status = err_exit_code(&err);

        return io_write_all(ready_fd, slice_str(err.text), &ignored) == 0 ? status : EX_OSERR;
    }
    if (io_write_all(ready_fd, SLICE_LIT(WORKER_READY), &err) != 0)
        stop(&w); /* the master is gone */
    io_close(&ready_fd);
    log_info("worker_ready", log_u64("slot", setup->slot), log_i64("pid", getpid()));
    loop_run(w.loop);
    log_info("worker_stopped", log_u64("slot", setup->slot), log_i64("pid", getpid()));
    close_all(&w);
    return EX_OK;
}
