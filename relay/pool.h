/* SPDX-License-Identifier: ISC */
/*
 * pool: the connections of one worker to the target servers.  One that served a transaction waits
 * for the next one up to idle_pool_ms; the last one used is used first.  Connections are kept by
 * server, whose entry fixes address and TLS identity; a reload starts new workers with new pools,
 * so a connection never outlives the entry that it was made by.
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
#include "relay/cutthrough.h"

#define POOL_WAIT_MS 60000 /* so long a request waits while all connections are in use */

struct pool;
struct pool_request;

/* conn NULL: there is none, and why.  The new owner sets its events with smtp_conn_set_owner(). */
typedef void pool_done_fn(void *arg, struct smtp_conn *conn, const struct err *why);
/* A server has all the connections that it may have, and requests wait for one of them. */
typedef void pool_short_fn(void *arg, int server);

/* `tls` has one context per server, NULL where it uses none; all are borrowed for life. */
struct pool *pool_new(struct loop *loop, const struct conf *conf, struct tls_ctx *const *tls,
    struct err *err) ATTR_WUR;
/* Closes at once; no request may be open and no connection lent. */
void pool_free(struct pool **p);
/* fn is called from the loop, about once a second as long as it lasts. */
void pool_on_short(struct pool *p, pool_short_fn *fn, void *arg);
/* Opens one connection to each server, to learn what they take; again later to those that could
 * not be reached. */
void pool_probe(struct pool *p);
/* From now on connections are not kept, and idle ones take their leave. */
void pool_drain(struct pool *p);
bool pool_is_empty(const struct pool *p); /* no connection is left, lent ones included */

/* An idle connection on which nothing has happened, or NULL. */
struct smtp_conn *pool_take(struct pool *p, int server);
/* A new connection, or, when the server has its maximum already, the first one that comes free.
 * done is called from the loop, once, and the request is gone then. */
struct pool_request *pool_ask(struct pool *p, int server, pool_done_fn *done, void *arg);
void pool_cancel(struct pool_request **r); /* done will not be called; NULL is fine */
/* Gives back what pool_take() or pool_ask() gave. */
void pool_put_own(struct pool *p, int server, struct smtp_conn **conn, enum cutthrough_release how);

/* The SIZE of the server that takes the most; UINT64_MAX while one has not said. */
uint64_t pool_size_most(const struct pool *p);

#endif
