/* SPDX-License-Identifier: ISC */
/*
 * listeners: the listening sockets of the relay, owned by the master.  Each address has one socket
 * per worker (SO_REUSEPORT), so that the kernel spreads connections without a lock.  A socket
 * outlives the worker that serves it: what waits in its queue waits for the next one.
 */
#ifndef RELAY_LISTENERS_H
#define RELAY_LISTENERS_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "relay/worker.h"

struct listeners;

struct listeners *listeners_new(void);
void listeners_free(struct listeners **l);
/* Opens what the configuration wants and is not open yet; nothing is changed on failure. */
int listeners_open(
    struct listeners *l, const struct conf *conf, unsigned workers, struct err *err) ATTR_WUR;
void listeners_undo(struct listeners *l); /* closes what the last listeners_open() opened */
/* Closes the addresses that this configuration does not want. */
void listeners_prune(struct listeners *l, const struct conf *conf);
/* The sockets that the worker of that slot serves under this configuration, and closes all others
 * in this process: to be called in the worker.  Borrowed until listeners_free(). */
const struct worker_listener *listeners_keep(
    struct listeners *l, const struct conf *conf, unsigned slot, unsigned workers, size_t *n_out);

#endif
