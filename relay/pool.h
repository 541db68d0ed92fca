/* SPDX-License-Identifier: ISC */
/*
 * pool: the connections of one worker to the servers that it delivers to.  A target is one next
 * hop: an endpoint and the TLS policy by which it is spoken to; servers that have both in common
 * share a target.  A connection that served a transaction waits for the next one up to
 * idle_pool_ms; the last one used is used first.  A reload starts new workers with new pools, so a
 * connection never outlives the settings that it was made by.
 *
 * A target that cannot be reached is down.  Where finding that out took time, whoever asks hears it
 * at once, and one connection now and then finds out when it is up again; where it did not, as with
 * a port that is closed, whoever asks tries.  A target that was never tried is not down.
 *
 * While requests wait, the pool knows whose they are.  A client that has less than its share of the
 * connections, POOL_SHARE of them, comes before those that have more.  When none comes free, a
 * transaction ends: one that its client lets lie, or, once such a client has waited POOL_GREED_MS,
 * the oldest of the client that has most.  What must not end is not ended.
 *
 * The pool also learns from each EHLO how much a server takes, so that our own EHLO offers no more
 * than the most able one takes.
 */
#ifndef RELAY_POOL_H
#define RELAY_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/mail/smtp_conn.h"
#include "base/os/loop.h"
#include "base/os/tls.h"

#define POOL_WAIT_MS 60000  /* so long a request waits while all connections are in use */
#define POOL_GREED_MS 10000 /* behind this, clients above their share lose transactions */
#define POOL_SHARE 4        /* one in so many connections, and one at least */

struct pool;
struct pool_target;
struct pool_request;

struct pool_hop {     /* all borrowed for the life of the pool */
    const char *name; /* for the log */
    const struct net_endpoint *where;
    enum conf_tls policy;
    const char *tls_name; /* NULL: the host's */
    struct tls_ctx *tls;  /* the same one where all else of TLS is the same */
    bool never_pipelines;
    uint32_t connections_max;
};

enum pool_pace {
    POOL_PACE_DECENT,
    POOL_PACE_SLOW,  /* it may end as soon as somebody else waits */
    POOL_PACE_BOUND, /* it must not end: its outcome would not be known */
};

enum pool_give_back {
    POOL_KEEP,  /* between transactions: may serve the next one */
    POOL_RESET, /* needs RSET first */
    POOL_CLOSE, /* dead or within DATA */
};

struct pool_user;
struct pool_user_events {
    /* The answer to pool_ask(), from the loop, once; the request is gone.  conn NULL: there is
     * none, and why.  The new owner sets its events with smtp_conn_set_owner(). */
    void (*served)(struct pool_user *user, struct smtp_conn *conn, const struct err *why);
    /* How it gets on with the connection that it has. */
    enum pool_pace (*pace)(const struct pool_user *user);
    /* Others need the connection: it is to be given back now, or whatever made the user slow is to
     * end.  Called again as long as others wait. */
    void (*end)(struct pool_user *user);
};

struct pool_user { /* embedded in who uses the pool; lives as long as it asks for or has something
                    */
    struct net_addr client; /* on whose behalf; an IPv6 client is its /64 */
    const struct pool_user_events *events;
};

struct pool *pool_new(struct loop *loop, const struct conf_relay *conf);
/* Closes at once; no request may be open and no connection lent. */
void pool_free(struct pool **p);
/* The target of a hop, known already or new; the pool's. */
int pool_target(
    struct pool *p, const struct pool_hop *hop, struct pool_target **out, struct err *err) ATTR_WUR;
/* Opens one connection to each target, to learn what they take. */
void pool_probe(struct pool *p);
/* From now on connections are not kept, and idle ones take their leave. */
void pool_drain(struct pool *p);
bool pool_is_empty(const struct pool *p); /* no connection is left, lent ones included */

/* An idle connection on which nothing has happened, or NULL: there is none, or others wait for it.
 */
struct smtp_conn *pool_take(struct pool_target *t, struct pool_user *user);
/* A new connection, or, when the target has its maximum already, one that comes free. */
struct pool_request *pool_ask(struct pool_target *t, struct pool_user *user);
void pool_cancel(struct pool_request **r); /* served() will not be called; NULL is fine */
/* Gives back what came from pool_take() or pool_ask(). */
void pool_put_own(struct pool_target *t, struct smtp_conn **conn, enum pool_give_back how);

/* The SIZE of the target that takes the most; UINT64_MAX while one has not said. */
uint64_t pool_size_most(const struct pool *p);

#endif
