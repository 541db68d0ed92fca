/* SPDX-License-Identifier: ISC */
/*
 * worker: one process with one event loop that serves clients.  Everything that it needs privileges
 * for (listeners, keys, the TLS contexts) was opened by the master and is handed over by fork.
 */
#ifndef RELAY_WORKER_H
#define RELAY_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/os/loop.h"
#include "base/os/tls.h"
#include "maps/claims.h"
#include "maps/trace.h"
#include "relay/hold.h"
#include "relay/judge.h"
#include "relay/pool.h"

struct session;

#define WORKER_DRAIN_MS 30000 /* then sessions without an open dot are cut */

struct worker_setup { /* all borrowed for the life of the process */
    const struct conf *conf;
    unsigned slot;
    const int *listen_fds; /* one per conf->relay.listen */
    const struct trace_keys *keys;
    struct tls_ctx *server_tls;        /* NULL: STARTTLS is not offered */
    struct tls_ctx *const *client_tls; /* one per server */
    int ready_fd;                      /* one byte goes there when the worker serves */
};

struct worker {
    const struct worker_setup *setup;
    const struct conf *conf;
    struct loop *loop;
    struct judge judge;
    struct claims *claims;
    struct pool *pool;
    struct hold_room *holds;
    const struct cutthrough_server *targets; /* by index of conf->servers */
    struct session *sessions;
    size_t n_sessions;
    bool is_draining;
    struct buf scratch;  /* content of the session that is being fed */
    uint64_t session_id; /* of the next session; starts differently at each start of a worker */
};

/* Serves until SIGTERM and all is done; returns an exit status. */
int worker_run(const struct worker_setup *setup);

/* For sessions. */
void worker_session_gone(struct worker *w, const struct net_addr *peer);

#endif
