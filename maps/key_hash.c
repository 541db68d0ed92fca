/* SPDX-License-Identifier: ISC */
/* key_hash: the hash of a key, which route.h promises. */
#include "maps/key_hash.h"

#include "maps/route.h"

uint64_t route_key_hash(struct slice key)
{
    uint64_t h = key_hash_bytes(key.p, key.n, 0);
    return h ? h : 1;
}
