/* SPDX-License-Identifier: ISC */
/*
 * pool_parts: what the files of the pool share (pool.c its life and what it gives, pool_target.c
 * how connections come to be and targets go down, pool_line.c who waits).  Nobody else includes
 * this.
 *
 * Each connection has a link for life, which is on exactly one of its target's lists: opening,
 * idle, lent, or busy with the pool (a RSET or QUIT that is not answered).  A request waits in the
 * line of its client until a connection is there for it, and then on the list of the ready ones
 * until the loop comes round to call it, since the one who gives a connection back must not be
 * called on the way.  On both ways to a user, out of idle and out of the line, the last look is for
 * unexpected bytes.
 */
#ifndef RELAY_POOL_PARTS_H
#define RELAY_POOL_PARTS_H

#include <sys/queue.h>
#include "base/os/dns.h"
#include "relay/pool.h"

enum pool_place { PLACE_OPENING, PLACE_IDLE, PLACE_LENT, PLACE_BUSY, PLACES };

struct pool_link {
    struct pool_target *target;
    TAILQ_ENTRY(pool_link) entry; /* the newest in front */
    struct smtp_conn *conn;
    enum pool_place place;
    uint64_t since_ms;          /* in this place */
    struct dns_query *query;    /* OPENING: the host's addresses are asked for */
    struct net_addr addr;       /* OPENING: the one that is tried */
    size_t n_tried;             /* addresses */
    struct pool_client *client; /* LENT: who has it */
    struct pool_user *user;     /* LENT, and told so */
    struct pool_request *goal;  /* LENT: ready for this request, which was not called yet */
};

struct pool_request {
    struct pool_client *client;
    TAILQ_ENTRY(pool_request) entry; /* of its client's line, or ready */
    struct pool_user *user;
    uint64_t since_ms;
    bool is_ready;
    struct pool_link *link; /* ready: what it gets; NULL: `why` */
    struct err why;
};

TAILQ_HEAD(pool_links, pool_link);
TAILQ_HEAD(pool_requests, pool_request);

struct pool_client { /* as long as it has a request or a connection */
    struct net_addr addr;
    struct pool_target *target;
    TAILQ_ENTRY(pool_client) entry; /* of the line, while its own is not empty */
    struct pool_requests line;
    size_t n_lent;
    size_t n_refs; /* requests and lent links */
};

struct pool_target {
    struct pool *pool;
    LIST_ENTRY(pool_target) entry;
    struct pool_hop hop;
    struct net_addr addrs[DNS_ADDRS_MAX]; /* as last heard */
    size_t n_addrs;
    bool is_numeric;           /* the host is an address, known from the start */
    struct net_addr good_addr; /* the last one that worked */
    struct err why;            /* there is no address, or none works */
    struct pool_links links[PLACES];
    size_t n[PLACES];

    void *clients; /* tree of all struct pool_client, by address */
    TAILQ_HEAD(pool_waiting, pool_client) line;
    size_t n_line;    /* requests */
    uint64_t room_ms; /* when a transaction was ended for them */

    uint64_t limit_until_ms; /* no new connections: the server refuses more than we have */
    bool is_in_trouble;      /* the log was told so */
    bool is_down;
    bool is_slow_to_fail; /* down: nobody has to wait to hear it */
    struct loop_timer *retry;
    uint64_t pause_ms; /* before it */
    bool is_known;
    uint64_t size_max;
};

struct pool {
    struct loop *loop;
    const struct conf_relay *conf;
    struct dns *dns; /* NULL: no host has a name */
    LIST_HEAD(pool_targets, pool_target) targets;
    struct pool_requests ready;
    struct loop_timer *tick, *kick;
    bool is_draining;
};

/* --- pool.c --- */

/* A connection that can serve. */
void pool_offer(struct pool_link *l);
void pool_drop(struct pool_link *l);
size_t pool_n_living(const struct pool_target *t);
size_t pool_n_all(const struct pool_target *t);

/* --- pool_target.c --- */

void pool_target_free(struct pool_target *t);
void pool_open(struct pool_target *t);
/* Opens what the line needs. */
void pool_fill(struct pool_target *t);
extern const struct smtp_conn_events pool_link_events;

/* --- pool_line.c --- */

void pool_lend(struct pool_link *l, struct pool_client *c);
void pool_unlend(struct pool_link *l);
/* One reference, to be given back. */
struct pool_client *pool_client_get(struct pool_target *t, const struct net_addr *addr);
void pool_client_put(struct pool_client *c);
/* The next in line gets the link, which is lent already, or NULL and why. */
void pool_serve(struct pool_target *t, struct pool_link *l, const struct err *why);
/* Back to where it was: what it was to get is dead. */
void pool_return_to_line(struct pool_request *r);
/* Those who have waited too long, and those who keep others waiting. */
void pool_line_tick(struct pool_target *t);

#endif
