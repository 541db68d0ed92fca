/* SPDX-License-Identifier: ISC */
/*
 * lookup: the addresses of a name, for programs without a loop, without waiting for them: a thread
 * of its own asks, as the system is set up, and a descriptor says when the answer is there.
 *
 * A look-up that nobody wants any more is forgotten; its thread ends when the resolver returns.
 */
#ifndef BASE_OS_LOOKUP_H
#define BASE_OS_LOOKUP_H

#include <stddef.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/net.h"

#define LOOKUP_MAX 8 /* addresses */

struct lookup;

/* Blocks; as sock_resolve(). */
typedef int lookup_fn(
    const char *host, struct net_addr *out, size_t max, size_t *n_out, struct err *err);

/* fn NULL: sock_resolve(). */
int lookup_start(const char *host, lookup_fn *fn, struct lookup **out, struct err *err) ATTR_WUR;
int lookup_fd(const struct lookup *l); /* readable when the answer is there; borrowed */
bool lookup_is_done(const struct lookup *l);
/* Fills at most LOOKUP_MAX addresses; only when it is done. */
int lookup_answer(
    const struct lookup *l, struct net_addr *out, size_t *n_out, struct err *err) ATTR_WUR;
void lookup_free(struct lookup **l); /* done or not */

#endif
