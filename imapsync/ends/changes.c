/* SPDX-License-Identifier: ISC */
/* changes: an array that is sorted only when its messages came in another order. */
#include "imapsync/ends/changes.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/ends/limits.h"

void end_changes_init(struct end_changes *c, struct keywords *keywords)
{
    *c = (struct end_changes){.keywords = keywords};
    buf_init(&c->token, END_TOKEN_MAX);
}

void end_changes_fini(struct end_changes *c)
{
    free(c->v);
    free(c->vanished);
    buf_fini(&c->token);
    *c = (struct end_changes){0};
}

bool end_changes_add(struct end_changes *c, const struct listed *m)
{
    if (c->n == MESSAGES_MAX)
        return false;
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap + c->cap / 2 : 64;
        c->v = mem_realloc_array(c->v, c->cap, sizeof(*c->v));
    }
    if (c->n > 0 && c->v[c->n - 1].uid >= m->uid)
        c->is_disordered = true;
    c->v[c->n++] = *m;
    return true;
}

/* Merge sort: qsort() may exchange equal ones, and the last word has to stay the last. */
static void sort(struct listed *v, struct listed *room, size_t n)
{
    size_t half = n / 2, i = 0, k = half, at = 0;
    if (n < 2)
        return;
    sort(v, room, half);
    sort(v + half, room, n - half);
    if (v[half - 1].uid <= v[half].uid)
        return;
    while (i < half && k < n)
        room[at++] = v[k].uid < v[i].uid ? v[k++] : v[i++];
    while (i < half)
        room[at++] = v[i++];
    memcpy(v, room, at * sizeof(*v));
}

static void merge(struct listed *m, const struct listed *word)
{
    if (word->has_date) {
        m->has_date = true;
        m->date_s = word->date_s;
        m->zone_min = word->zone_min;
    }
    if (word->has_flags) {
        m->has_flags = true;
        m->flags = word->flags;
    }
    if (word->has_size) {
        m->has_size = true;
        m->size = word->size;
    }
}

void end_changes_finish(struct end_changes *c)
{
    size_t kept = 0;
    if (!c->is_disordered)
        return;
    struct listed *room = mem_realloc_array(NULL, c->n, sizeof(*room));
    sort(c->v, room, c->n);
    free(room);
    for (size_t i = 0; i < c->n; i++) {
        if (kept > 0 && c->v[kept - 1].uid == c->v[i].uid)
            merge(&c->v[kept - 1], &c->v[i]);
        else
            c->v[kept++] = c->v[i];
    }
    c->n = kept;
    c->is_disordered = false;
}

void end_changes_miss(struct end_changes *c, const uint32_t *known, size_t n_known)
{
    size_t k = 0;
    if (!c->is_whole || !c->is_sure || n_known == 0)
        return;
    c->vanished = mem_realloc_array(c->vanished, n_known, sizeof(*c->vanished));
    for (size_t i = 0; i < n_known; i++) {
        while (k < c->n && c->v[k].uid < known[i])
            k++;
        if (k == c->n || c->v[k].uid != known[i])
            c->vanished[c->n_vanished++] = known[i];
    }
}

static int by_uid(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

const struct listed *end_changes_find(const struct end_changes *c, uint32_t uid)
{
    struct listed key = {.uid = uid};
    return mem_search(&key, c->v, c->n, sizeof(key), by_uid);
}

struct slice end_changes_id(const struct end_changes *c, size_t i)
{
    (void)c, (void)i;
    return SLICE_NONE;
}
