/* SPDX-License-Identifier: ISC */
/* marks_uids: see marks_uids.h. */
#include "imapsync/move/marks_uids.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"

#define BLOCK_BITS (64 * MARKS_BLOCK_WORDS)

void marks_uids_fini(struct marks_uids *u)
{
    free(u->v);
    *u = (struct marks_uids){0};
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = ((const struct marks_block *)a)->number;
    uint32_t y = ((const struct marks_block *)b)->number;
    return x < y ? -1 : x > y;
}

/* The first block at or behind the number. */
static size_t find(const struct marks_uids *u, uint32_t number)
{
    const struct marks_block wanted = {.number = number};
    return mem_place(&wanted, u->v, u->n, sizeof(*u->v), by_number);
}

static uint64_t bit(uint32_t uid)
{
    return UINT64_C(1) << uid % 64;
}

bool marks_uids_have(const struct marks_uids *u, uint32_t uid)
{
    size_t at = find(u, uid / BLOCK_BITS);
    return at < u->n && u->v[at].number == uid / BLOCK_BITS &&
           u->v[at].bits[uid % BLOCK_BITS / 64] & bit(uid);
}

struct marks_block *marks_uids_block(struct marks_uids *u, uint32_t number)
{
    size_t at = find(u, number);
    if (at < u->n && u->v[at].number == number)
        return &u->v[at];
    if (u->n == u->room) {
        u->room += u->room / 2 + 4;
        u->v = mem_realloc_array(u->v, u->room, sizeof(*u->v));
    }
    memmove(&u->v[at + 1], &u->v[at], (u->n - at) * sizeof(*u->v));
    u->n++;
    u->v[at] = (struct marks_block){.number = number};
    return &u->v[at];
}

void marks_uids_add(struct marks_uids *u, uint32_t uid)
{
    marks_uids_block(u, uid / BLOCK_BITS)->bits[uid % BLOCK_BITS / 64] |= bit(uid);
}
