/* SPDX-License-Identifier: ISC */
/*
 * match: two rounds for each degree of likeness, with flags and without.  Each sorts both sides by
 * what counts in it and merges them, so what is the same octet by octet is never taken by something
 * that is only alike.
 */
#include "imapsync/plan/match.h"

#include <string.h>

#include "base/core/mem.h"

static int by_uid(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static int by_turn(const struct body *x, const struct body *y)
{
    return x->comes_last != y->comes_last ? (x->comes_last ? 1 : -1) : by_uid(x, y);
}

static int compare_exact(const struct body *x, const struct body *y)
{
    return memcmp(x->digest, y->digest, SHA256_SIZE);
}

static int compare_lines(const struct body *x, const struct body *y)
{
    return memcmp(&x->canon, &y->canon, CANON_SIZE);
}

static int compare_text(const struct body *x, const struct body *y)
{
    return memcmp(x->canon.text, y->canon.text, CANON_TEXT);
}

static int by_digest(const void *a, const void *b)
{
    int r = compare_exact(a, b);
    return r != 0 ? r : by_turn(a, b);
}

static int by_lines(const void *a, const void *b)
{
    int r = compare_lines(a, b);
    return r != 0 ? r : by_turn(a, b);
}

static int by_text(const void *a, const void *b)
{
    int r = compare_text(a, b);
    return r != 0 ? r : by_turn(a, b);
}

/* What takes part in a round that goes by flags comes first. */
static int compare_flags(const struct body *x, const struct body *y)
{
    if (!x->flags || !y->flags)
        return x->flags ? -1 : y->flags ? 1 : 0;
    return flags_compare(x->flags, y->flags);
}

static int exact_flags(const struct body *x, const struct body *y)
{
    int r = compare_exact(x, y);
    return r != 0 ? r : compare_flags(x, y);
}

static int lines_flags(const struct body *x, const struct body *y)
{
    int r = compare_lines(x, y);
    return r != 0 ? r : compare_flags(x, y);
}

static int text_flags(const struct body *x, const struct body *y)
{
    int r = compare_text(x, y);
    return r != 0 ? r : compare_flags(x, y);
}

static int by_digest_flags(const void *a, const void *b)
{
    int r = exact_flags(a, b);
    return r != 0 ? r : by_turn(a, b);
}

static int by_lines_flags(const void *a, const void *b)
{
    int r = lines_flags(a, b);
    return r != 0 ? r : by_turn(a, b);
}

static int by_text_flags(const void *a, const void *b)
{
    int r = text_flags(a, b);
    return r != 0 ? r : by_turn(a, b);
}

struct round {
    enum match_how how;
    bool has_flags;
    int (*compare)(const struct body *x, const struct body *y);
    int (*order)(const void *a, const void *b);
};

/* As close as they come. */
static const struct round rounds[] = {
    {MATCH_EXACT, true, exact_flags, by_digest_flags},
    {MATCH_EXACT, false, compare_exact, by_digest},
    {MATCH_LINES, true, lines_flags, by_lines_flags},
    {MATCH_LINES, false, compare_lines, by_lines},
    {MATCH_TEXT, true, text_flags, by_text_flags},
    {MATCH_TEXT, false, compare_text, by_text},
};

static bool is_free(const struct body *b, const struct round *r)
{
    return b->is_there && b->mate == 0 && (b->flags || !r->has_flags) &&
           (r->how == MATCH_EXACT || canon_is_known(&b->canon));
}

enum match_how match_of(const struct body *a, const struct body *b)
{
    if (!a->is_there || !b->is_there)
        return MATCH_NOTHING;
    if (compare_exact(a, b) == 0)
        return MATCH_EXACT;
    if (!canon_is_known(&a->canon) || !canon_is_known(&b->canon))
        return MATCH_NOTHING;
    return compare_lines(a, b) == 0  ? MATCH_LINES
           : compare_text(a, b) == 0 ? MATCH_TEXT
                                     : MATCH_NOTHING;
}

enum match_how match_of_content(const struct content *known, const struct body *b)
{
    struct body a = {.is_there = known->has_digest, .canon = known->canon};
    memcpy(a.digest, known->digest, SHA256_SIZE);
    return match_of(&a, b);
}

/* The next one from i on that takes part. */
static size_t next(const struct body *v, size_t i, size_t n, const struct round *r)
{
    while (i < n && !is_free(&v[i], r))
        i++;
    return i;
}

static void one_round(struct body *a, size_t n_a, struct body *b, size_t n_b, const struct round *r)
{
    size_t i = next(a, 0, n_a, r), k = next(b, 0, n_b, r);
    if (i == n_a || k == n_b)
        return;
    mem_sort(a, n_a, sizeof(*a), r->order);
    mem_sort(b, n_b, sizeof(*b), r->order);
    i = next(a, 0, n_a, r);
    k = next(b, 0, n_b, r);
    while (i < n_a && k < n_b) {
        int order = r->compare(&a[i], &b[k]);
        if (order == 0) {
            a[i].mate = b[k].uid;
            b[k].mate = a[i].uid;
        }
        if (order <= 0)
            i = next(a, i + 1, n_a, r);
        if (order >= 0)
            k = next(b, k + 1, n_b, r);
    }
}

static struct body *find(struct body *v, size_t n, uint32_t uid)
{
    const struct body key = {.uid = uid};
    return n > 0 ? mem_search(&key, v, n, sizeof(key), by_uid) : NULL;
}

void match_hinted(struct body *a, size_t n_a, struct body *b, size_t n_b,
    const struct match_hint *hints, size_t n_hints)
{
    for (size_t i = 0; i < n_hints; i++) {
        struct body *x = find(a, n_a, hints[i].a), *y = find(b, n_b, hints[i].b);
        if (!x || !y || x->mate != 0 || y->mate != 0 || match_of(x, y) != MATCH_EXACT)
            continue;
        x->mate = y->uid;
        y->mate = x->uid;
    }
}

void match_up(struct body *a, size_t n_a, struct body *b, size_t n_b, enum match_how furthest)
{
    for (size_t i = 0; i < sizeof(rounds) / sizeof(*rounds) && rounds[i].how <= furthest; i++)
        one_round(a, n_a, b, n_b, &rounds[i]);
    if (n_a > 0)
        mem_sort(a, n_a, sizeof(*a), by_uid);
    if (n_b > 0)
        mem_sort(b, n_b, sizeof(*b), by_uid);
}
