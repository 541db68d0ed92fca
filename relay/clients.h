/* SPDX-License-Identifier: ISC */
/*
 * clients: how many sessions each client has, one table per worker.  An IPv6 client is its /64,
 * since it can take any address in there.
 */
#ifndef RELAY_CLIENTS_H
#define RELAY_CLIENTS_H

#include <stddef.h>
#include "base/core/net.h"

struct clients;

/* What stands for the client: the address, or its /64. */
struct net_addr clients_key(const struct net_addr *peer);

struct clients *clients_new(void);
void clients_free(struct clients **c);
/* Counts a session; returns how many this client has now. */
size_t clients_enter(struct clients *c, const struct net_addr *peer);
void clients_leave(struct clients *c, const struct net_addr *peer);

#endif
