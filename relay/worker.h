/* SPDX-License-Identifier: ISC */
/*
 * worker: one process with one event loop that serves clients.  Everything that it needs privileges
 * for (listeners, keys, the TLS contexts) was opened by the master and is handed over by fork.
 */
#ifndef RELAY_WORKER_H
#define RELAY_WORKER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/os/loop.h"
#include "base/os/tls.h"
#include "maps/claims.h"
#include "maps/consumer.h"
#include "maps/snapshot.h"
#include "maps/trace.h"
#include "relay/hold.h"
#include "relay/judge.h"
#include "relay/pool.h"

struct clients;
struct cutthrough_server;
struct session;
LIST_HEAD(worker_sessions, session);
struct worker_listening;

/* What a worker is told when others have taken its place: finish, there is no hurry. */
#define WORKER_RETIRE SIGUSR1

#define WORKER_READY "\n" /* no error text is like this */

struct worker_listener {
    int fd;
    bool is_lmtp;
};

struct worker_setup { /* all borrowed for the life of the process */
    const struct conf *conf;
    unsigned slot;
    const struct worker_listener *listeners; /* the worker closes them when it drains */
    size_t n_listeners;
    const struct trace_keys *keys;
    struct tls_ctx *server_tls;        /* NULL: STARTTLS is not offered */
    struct tls_ctx *const *client_tls; /* one per server */
    int ready_fd;  /* gets WORKER_READY when the worker serves, else the text of what went wrong */
    int master_fd; /* ends when the master does; the worker drains then */
};

struct worker {
    const struct worker_setup *setup;
    const struct conf *conf;
    struct loop *loop;
    struct snapshot *snapshot;
    struct judge judge;
    struct claims *claims;
    struct consumer *consumer;
    struct pool *pool;
    struct hold_room *holds;
    struct cutthrough_server *servers; /* by index of conf->servers */
    struct pool_target **targets;      /* so too */
    struct clients *clients;
    struct worker_sessions sessions;
    size_t n_sessions, n_refused; /* refused: those among them that only hear 421 */
    bool is_draining;
    struct buf scratch;  /* content of the session that is being fed */
    uint64_t start_id;   /* of this start of a worker, among all of this host; sids begin with it */
    uint64_t session_id; /* of the next session, among those of this worker */

    struct worker_listening *listening; /* one per listener */
    struct loop_timer *drain_step;
    struct loop_signal *on_term, *on_int, *on_retire;
    struct loop_io *master;
    uint64_t cut_ms;     /* draining: then sessions without an open dot are cut */
    uint64_t cut_all_ms; /* then the others too */
    uint64_t quit_ms;    /* when the pool's QUITs began */
    bool is_stopping;    /* draining, within the limits of a stop */
    bool is_pool_drained;
};

/* Serves until SIGTERM, SIGINT, WORKER_RETIRE or the master's end, and until all is done then;
 * returns an exit status.  SIGHUP is ignored already. */
int worker_run(const struct worker_setup *setup);

/* How long a worker with this configuration may take to end, told to retire or to stop. */
uint64_t worker_retire_max_ms(const struct conf_relay *conf);
uint64_t worker_stop_max_ms(const struct conf_relay *conf);

/* For sessions. */
void worker_session_gone(struct worker *w, const struct net_addr *peer, bool was_refused);

#endif
