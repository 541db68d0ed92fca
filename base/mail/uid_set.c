/* SPDX-License-Identifier: ISC */
/*
 * uid_set: UIDs come in order nearly always, and then each goes into the last block or behind it.
 * What comes in another order waits there too, until the room is used up or the set is joined, so
 * that no order costs more than sorting.
 */
#include "base/mail/uid_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"

#define BITS 32

static int by_number(const void *a, const void *b)
{
    const struct uid_block *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

static uint32_t bit(uint32_t uid)
{
    return UINT32_C(1) << uid % BITS;
}

void uid_set_fini(struct uid_set *s)
{
    free(s->v);
    *s = (struct uid_set){0};
}

void uid_set_join(struct uid_set *s)
{
    size_t kept = 0;
    if (!s->is_disordered)
        return;
    mem_sort(s->v, s->n, sizeof(*s->v), by_number);
    for (size_t i = 0; i < s->n; i++) {
        if (kept > 0 && s->v[kept - 1].number == s->v[i].number)
            s->v[kept - 1].bits |= s->v[i].bits;
        else
            s->v[kept++] = s->v[i];
    }
    s->n = kept;
    s->is_disordered = false;
}

static void make_room(struct uid_set *s)
{
    uid_set_join(s);
    if (s->n < s->cap / 2)
        return;
    s->cap += s->cap / 2 + 16;
    s->v = mem_realloc_array(s->v, s->cap, sizeof(*s->v));
}

static void add_bits(struct uid_set *s, uint32_t number, uint32_t bits)
{
    if (s->n > 0 && s->v[s->n - 1].number == number) {
        s->v[s->n - 1].bits |= bits;
        return;
    }
    if (s->n == s->cap)
        make_room(s);
    s->is_disordered = s->is_disordered || (s->n > 0 && s->v[s->n - 1].number > number);
    s->v[s->n++] = (struct uid_block){number, bits};
}

void uid_set_join_with(struct uid_set *s, const struct uid_set *other)
{
    for (size_t i = 0; i < other->n; i++)
        add_bits(s, other->v[i].number, other->v[i].bits);
    uid_set_join(s);
}

void uid_set_add(struct uid_set *s, uint32_t uid)
{
    add_bits(s, uid / BITS, bit(uid));
}

/* Of a block: from this UID on, up to that one. */
static uint32_t from_here(uint32_t uid)
{
    return UINT32_MAX << uid % BITS;
}

static uint32_t up_to(uint32_t uid)
{
    return UINT32_MAX >> (BITS - 1 - uid % BITS);
}

/* What of a block is between these two. */
static uint32_t between(uint32_t number, uint32_t first, uint32_t last)
{
    return (number == first / BITS ? from_here(first) : UINT32_MAX) &
           (number == last / BITS ? up_to(last) : UINT32_MAX);
}

void uid_set_add_range(struct uid_set *s, struct uid_range range)
{
    for (uint32_t number = range.first / BITS; number <= range.last / BITS; number++)
        add_bits(s, number, between(number, range.first, range.last));
}

/* The first block that may have this one, or a later one. */
static size_t place(const struct uid_set *s, uint32_t uid)
{
    const struct uid_block key = {.number = uid / BITS};
    return mem_place(&key, s->v, s->n, sizeof(*s->v), by_number);
}

bool uid_set_has(const struct uid_set *s, uint32_t uid)
{
    size_t at = place(s, uid);
    return at < s->n && s->v[at].number == uid / BITS && s->v[at].bits & bit(uid);
}

static uint32_t lowest(const struct uid_block *b, uint32_t bits)
{
    return b->number * BITS + (uint32_t)__builtin_ctz(bits);
}

uint32_t uid_set_next(const struct uid_set *s, uint32_t uid)
{
    if (uid == UINT32_MAX)
        return 0;
    for (size_t at = place(s, uid + 1); at < s->n; at++) {
        uint32_t bits = s->v[at].bits & between(s->v[at].number, uid + 1, UINT32_MAX);
        if (bits != 0)
            return lowest(&s->v[at], bits);
    }
    return 0;
}

size_t uid_set_some(const struct uid_set *s, uint32_t uid, uint32_t *out, size_t n)
{
    size_t done = 0;
    while (done < n && (uid = uid_set_next(s, uid)) != 0)
        out[done++] = uid;
    return done;
}

size_t uid_set_some_before(const struct uid_set *s, uint32_t uid, uint32_t *out, size_t n)
{
    const uint32_t last = uid > 0 ? uid - 1 : UINT32_MAX;
    size_t done = 0;
    for (size_t at = s->n; at-- > 0 && done < n && last > 0;) {
        uint32_t bits =
            s->v[at].number > last / BITS ? 0 : s->v[at].bits & between(s->v[at].number, 1, last);
        for (; bits != 0 && done < n; done++) {
            uint32_t highest = BITS - 1 - (uint32_t)__builtin_clz(bits);
            out[n - 1 - done] = s->v[at].number * BITS + highest;
            bits &= ~(UINT32_C(1) << highest);
        }
    }
    memmove(out, out + n - done, done * sizeof(*out));
    return done;
}

uint32_t uid_set_last(const struct uid_set *s)
{
    if (s->n == 0)
        return 0;
    const struct uid_block *b = &s->v[s->n - 1];
    return b->number * BITS + BITS - 1 - (uint32_t)__builtin_clz(b->bits);
}

size_t uid_set_count(const struct uid_set *s, uint32_t first, uint32_t last)
{
    size_t n = 0;
    for (size_t i = place(s, first); first <= last && i < s->n && s->v[i].number <= last / BITS;
         i++)
        n += (size_t)__builtin_popcount(s->v[i].bits & between(s->v[i].number, first, last));
    return n;
}

size_t uid_set_size(const struct uid_set *s)
{
    return uid_set_count(s, 1, UINT32_MAX);
}

void uid_set_copy(struct uid_set *to, const struct uid_set *from)
{
    *to = (struct uid_set){.n = from->n, .cap = from->n};
    if (from->n == 0)
        return;
    to->v = mem_realloc_array(NULL, from->n, sizeof(*to->v));
    memcpy(to->v, from->v, from->n * sizeof(*to->v));
}

struct uid_set uid_set_of(const uint32_t *uids, size_t n)
{
    struct uid_set s = {0};
    for (size_t i = 0; i < n; i++)
        uid_set_add(&s, uids[i]);
    uid_set_join(&s);
    return s;
}
