/* SPDX-License-Identifier: ISC */
/*
 * arena: see arena.h.  A list of blocks; an object larger than a block gets one of its own.  The
 * maximum counts what was handed out, each piece rounded up to the alignment of any object.
 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include "base/core/arena.h"
#include "base/core/mem.h"
#include "base/core/num.h"

#define ARENA_BLOCK_SIZE 4096
#define ARENA_ALIGN alignof(max_align_t)

struct block {
    struct block *next;
    size_t size, used;
    alignas(max_align_t) unsigned char bytes[];
};

struct arena {
    struct block *blocks; /* the one that is being filled comes first */
    size_t max, used;
};

struct arena *arena_new(size_t max)
{
    struct arena *a = mem_zalloc(sizeof(*a));

    a->max = max;
    return a;
}

static void free_blocks(struct block *b)
{
    while (b != NULL) {
        struct block *next = b->next;

        free(b);
        b = next;
    }
}

void arena_free(struct arena **a)
{
    if (*a != NULL)
        free_blocks((*a)->blocks);
    free(*a);
    *a = NULL;
}

void arena_reset(struct arena *a)
{
    a->used = 0;
    if (a->blocks == NULL)
        return;
    free_blocks(a->blocks->next);
    a->blocks->next = NULL;
    if (a->blocks->size > ARENA_BLOCK_SIZE) {
        free(a->blocks);
        a->blocks = NULL;
    } else {
        a->blocks->used = 0;
    }
}

static struct block *add_block(struct arena *a, size_t size)
{
    struct block *b;
    size_t total;

    if (size < ARENA_BLOCK_SIZE)
        size = ARENA_BLOCK_SIZE;
    if (num_add_overflows(size, sizeof(*b), &total) || (b = malloc(total)) == NULL)
        return NULL;
    *b = (struct block){.next = a->blocks, .size = size};
    a->blocks = b;
    return b;
}

void *arena_alloc(struct arena *a, size_t size)
{
    size_t rounded;
    struct block *b = a->blocks;
    void *p;

    if (num_add_overflows(size > 0 ? size : 1, ARENA_ALIGN - 1, &rounded))
        return NULL;
    rounded -= rounded % ARENA_ALIGN;
    if (rounded > a->max - a->used)
        return NULL;
    if ((b == NULL || rounded > b->size - b->used) && (b = add_block(a, rounded)) == NULL)
        return NULL;
    p = b->bytes + b->used;
    b->used += rounded;
    a->used += rounded;
    return memset(p, 0, rounded);
}

struct slice arena_dup(struct arena *a, struct slice s)
{
    unsigned char *p = arena_alloc(a, s.n);

    if (p == NULL)
        return SLICE_NONE;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return slice_make(p, s.n);
}
