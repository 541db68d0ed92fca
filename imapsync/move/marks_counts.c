/* SPDX-License-Identifier: ISC */
/*
 * marks_counts: sorted arrays, short enough for insertion.  Sixteen octets a message and no second
 * copy while it grows: a folder of half a million messages that was numbered anew is asked for
 * message by message.
 */
#include "imapsync/move/marks_counts.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"

void marks_counts_fini(struct marks_counts *c)
{
    for (size_t i = 0; c->buckets && i < MARKS_BUCKETS; i++)
        free(c->buckets[i].v);
    free(c->buckets);
    *c = (struct marks_counts){0};
}

static struct marks_bucket *bucket_of(const struct marks_counts *c, uint64_t key)
{
    return &c->buckets[key >> 52];
}

static int by_key(const void *a, const void *b)
{
    uint64_t x = ((const struct marks_count *)a)->key, y = ((const struct marks_count *)b)->key;
    return x < y ? -1 : x > y;
}

static uint32_t find(const struct marks_bucket *b, uint64_t key)
{
    const struct marks_count wanted = {.key = key};
    return (uint32_t)mem_place(&wanted, b->v, b->n, sizeof(*b->v), by_key);
}

struct marks_count *marks_counts_find(const struct marks_counts *c, uint64_t key)
{
    if (!c->buckets)
        return NULL;
    const struct marks_bucket *b = bucket_of(c, key);
    uint32_t at = find(b, key);
    return at < b->n && b->v[at].key == key ? &b->v[at] : NULL;
}

struct marks_count *marks_counts_get(struct marks_counts *c, uint64_t key)
{
    if (!c->buckets)
        c->buckets = mem_zalloc(MARKS_BUCKETS * sizeof(*c->buckets));
    struct marks_bucket *b = bucket_of(c, key);
    uint32_t at = find(b, key);
    if (at < b->n && b->v[at].key == key)
        return &b->v[at];
    if (b->n == b->room) {
        b->room += b->room / 8 + 4;
        b->v = mem_realloc_array(b->v, b->room, sizeof(*b->v));
    }
    memmove(&b->v[at + 1], &b->v[at], (b->n - at) * sizeof(*b->v));
    b->n++;
    c->n++;
    b->v[at] = (struct marks_count){.key = key};
    return &b->v[at];
}

void marks_counts_pass(struct marks_counts *c)
{
    for (size_t i = 0; c->n > 0 && i < MARKS_BUCKETS; i++) {
        for (uint32_t k = 0; k < c->buckets[i].n; k++)
            c->buckets[i].v[k].now = 0;
    }
}

bool marks_counts_next(
    const struct marks_counts *c, struct marks_cursor *cursor, struct marks_count *out)
{
    if (c->n == 0)
        return false;
    while (cursor->bucket < MARKS_BUCKETS && cursor->at == c->buckets[cursor->bucket].n) {
        cursor->bucket++;
        cursor->at = 0;
    }
    if (cursor->bucket == MARKS_BUCKETS)
        return false;
    *out = c->buckets[cursor->bucket].v[cursor->at++];
    return true;
}
