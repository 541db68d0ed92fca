/* SPDX-License-Identifier: ISC */
/*
 * key_hash: the 64-bit hash of bytes that snapshot slots, claims and checksums share.  It
 * multiplies 64 by 64 bits and folds the 128-bit product, as wyhash and its relatives do: about one
 * byte per cycle or better on short keys.  It is stable: every process of every release on a host
 * must agree on it, so a change needs new versions of the snapshot and of the claims file.
 *
 * It is not keyed.  An administrator chooses the keys of the map, and probing in a snapshot is
 * bounded by the size of its table, so that chosen collisions cost time and never an answer.
 */
#include "maps/key_hash.h"

#include <endian.h>
#include "maps/route.h"

#define SECRET_0 0xa0761d6478bd642full
#define SECRET_1 0xe7037ed1a0b428dbull
#define SECRET_2 0x8ebc6af09c88c6e3ull

__extension__ typedef unsigned __int128 u128;

static uint64_t fold(uint64_t a, uint64_t b)
{
    u128 product = (u128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t read_64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return le64toh(v);
}

static uint64_t read_32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

uint64_t key_hash_bytes(const void *bytes, size_t size, uint64_t seed)
{
    const unsigned char *p = bytes;
    uint64_t h = seed ^ SECRET_0;
    size_t n = size;
    for (; n > 16; n -= 16, p += 16)
        h = fold(read_64(p) ^ SECRET_1, read_64(p + 8) ^ h);
    uint64_t a = 0, b = 0;
    if (n >= 8) {
        a = read_64(p);
        b = read_64(p + n - 8);
    } else if (n >= 4) {
        a = read_32(p);
        b = read_32(p + n - 4);
    } else if (n > 0) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1];
    }
    return fold(SECRET_2 ^ size, fold(a ^ SECRET_1, b ^ h));
}

uint64_t route_key_hash(struct slice key)
{
    uint64_t h = key_hash_bytes(key.p, key.n, 0);
    return h ? h : 1;
}
