/* SPDX-License-Identifier: ISC */
/*
 * key_hash: the 64-bit hash of bytes that snapshot, claims and checksums share.  It multiplies 64
 * by 64 bits and folds the 128-bit product, as wyhash and its relatives do: about one byte per
 * cycle or better on short keys.  It is stable: every process of every release on a host must agree
 * on it, so a change needs new versions of the snapshot and of the claims file.
 *
 * It is not keyed.  An administrator chooses the keys of the map, and probing in a snapshot is
 * bounded by the size of its table, so that chosen collisions cost time and never an answer.
 */
#ifndef MAPS_KEY_HASH_H
#define MAPS_KEY_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

__extension__ typedef unsigned __int128 key_hash_wide;

/* The numbers are wyhash's: odd, with as many ones as zeros in every byte. */
#define KEY_HASH_0 0xa0761d6478bd642full
#define KEY_HASH_1 0xe7037ed1a0b428dbull
#define KEY_HASH_2 0x8ebc6af09c88c6e3ull

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files of big-endian hosts differ");

static inline uint64_t key_hash_fold(uint64_t a, uint64_t b)
{
    key_hash_wide product = (key_hash_wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t key_hash_read_64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t key_hash_read_32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Inline because it is a third of a look-up that hits the caches. */
static inline uint64_t key_hash_bytes(const void *bytes, size_t size, uint64_t seed)
{
    const unsigned char *p = bytes;
    uint64_t h = seed ^ KEY_HASH_0;
    size_t n = size;
    for (; n > 16; n -= 16, p += 16)
        h = key_hash_fold(key_hash_read_64(p) ^ KEY_HASH_1, key_hash_read_64(p + 8) ^ h);
    uint64_t a = 0, b = 0;
    if (n >= 8) {
        a = key_hash_read_64(p);
        b = key_hash_read_64(p + n - 8);
    } else if (n >= 4) {
        a = key_hash_read_32(p);
        b = key_hash_read_32(p + n - 4);
    } else if (n > 0) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1];
    }
    return key_hash_fold(KEY_HASH_2 ^ size, key_hash_fold(a ^ KEY_HASH_1, b ^ h));
}

#endif
