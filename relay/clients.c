/* SPDX-License-Identifier: ISC */
/*
 * clients: see clients.h.  An open hash table with linear probing that is at most half full.
 * Removing moves the entries behind the hole up, so that there are no marks of removed ones.  The
 * hash has a random seed: who sends us connections does not choose where they collide.
 */
#include <stdlib.h>
#include <string.h>
#include "base/core/err.h"
#include "base/core/mem.h"
#include "base/os/hmac.h"
#include "maps/key_hash.h"
#include "relay/clients.h"

#define SLOTS_MIN 64

struct client {
    struct net_addr addr;
    size_t n; /* 0: the slot is free */
};

struct clients {
    struct client *slots;
    size_t n_slots; /* a power of two */
    size_t n_used;
    uint64_t seed;
};

struct clients *clients_new(void)
{
    struct clients *c = mem_zalloc(sizeof(*c));

    c->n_slots = SLOTS_MIN;
    c->slots = mem_zalloc(c->n_slots * sizeof(*c->slots));
    random_bytes(&c->seed, sizeof(c->seed));
    return c;
}

void clients_free(struct clients **c)
{
    if (*c != NULL)
        free((*c)->slots);
    free(*c);
    *c = NULL;
}

struct net_addr clients_key(const struct net_addr *peer)
{
    struct net_addr addr = *peer;

    if (!net_addr_is_v4(peer))
        memset(addr.b + 8, 0, 8);
    return addr;
}

static size_t home(const struct clients *c, const struct net_addr *addr)
{
    return (size_t)key_hash_bytes(addr->b, sizeof(addr->b), c->seed) & (c->n_slots - 1);
}

/* The slot of the client, or the free one where it belongs. */
static size_t find(const struct clients *c, const struct net_addr *addr)
{
    size_t i = home(c, addr);

    while (c->slots[i].n > 0 && !net_addr_eq(&c->slots[i].addr, addr))
        i = (i + 1) & (c->n_slots - 1);
    return i;
}

static void grow(struct clients *c)
{
    struct client *old = c->slots;
    size_t n_old = c->n_slots;

    c->n_slots = 2 * n_old;
    c->slots = mem_zalloc(c->n_slots * sizeof(*c->slots));
    for (size_t i = 0; i < n_old; i++)
        if (old[i].n > 0)
            c->slots[find(c, &old[i].addr)] = old[i];
    free(old);
}

size_t clients_enter(struct clients *c, const struct net_addr *peer)
{
    struct net_addr addr = clients_key(peer);
    struct client *slot;

    if (2 * c->n_used >= c->n_slots)
        grow(c);
    slot = &c->slots[find(c, &addr)];
    if (slot->n == 0) {
        slot->addr = addr;
        c->n_used++;
    }
    return ++slot->n;
}

void clients_leave(struct clients *c, const struct net_addr *peer)
{
    struct net_addr addr = clients_key(peer);
    size_t mask = c->n_slots - 1, hole = find(c, &addr), i;

    BUG_ON(c->slots[hole].n == 0);
    if (--c->slots[hole].n > 0)
        return;
    c->n_used--;
    /* An entry may move up unless that would put it in front of its home. */
    for (i = (hole + 1) & mask; c->slots[i].n > 0; i = (i + 1) & mask) {
        if (((i - home(c, &c->slots[i].addr)) & mask) < ((i - hole) & mask))
            continue;
        c->slots[hole] = c->slots[i];
        c->slots[i].n = 0;
        hole = i;
    }
}
