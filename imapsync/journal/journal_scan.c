/* SPDX-License-Identifier: ISC */
/* journal_scan: many pairs of a folder: all of them, or those of some UIDs. */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/journal/journal_parts.h"

int scan_open(struct journal *j, struct bdb *db, uint32_t folder, uint32_t uid,
    struct bdb_cursor **out, struct err *err)
{
    struct buf from;
    buf_init(&from, 16);
    record_key_uid(&from, folder, uid);
    int r = bdb_cursor_open(db, j->t.txn, buf_slice(&from), out, err);
    buf_fini(&from);
    return r;
}

int scan_next(
    struct bdb_cursor *c, uint32_t folder, uint32_t *uid_out, struct slice *out, struct err *err)
{
    struct slice key;
    uint32_t its;
    int r = bdb_cursor_next(c, &key, out, err);
    if (r <= 0)
        return r;
    if (!record_is_uid(key, &its, uid_out))
        return TABLES_DAMAGED + 1;
    return its == folder;
}

struct pairs {
    struct pair *v;
    size_t n, cap;
};

static void push_pair(struct journal *j, struct pairs *to, const struct record_pair *p)
{
    if (to->n == to->cap) {
        to->cap = to->cap ? to->cap + to->cap / 2 : 256;
        to->v = mem_realloc_array(to->v, to->cap, sizeof(*to->v));
    }
    to->v[to->n++] = journal_as_pair(j, p);
}

static void add_pair(struct journal *j, struct pairs *to, const struct record_pair *p)
{
    if (p->uid[j->from] != 0)
        push_pair(j, to, p);
}

/* Those of one UID of B.  In the order of their UIDs on A. */
static int add_under_b(struct journal *j, uint32_t folder, uint32_t uid, bool is_pair,
    const struct record_pair *alone, struct slice refs, struct pairs *to, struct err *err)
{
    struct record_pair p;
    uint32_t a;
    bool found;
    int r = 0;
    if (is_pair)
        add_pair(j, to, alone);
    while (r == 0 && record_next_uid(&refs, &a)) {
        r = tables_get_a(&j->t, folder, a, &p, &found, err);
        if (r == 0 && !(found && p.uid[SIDE_B] == uid))
            r = TABLES_DAMAGED;
        if (r == 0)
            add_pair(j, to, &p);
    }
    return r;
}

static int add_it(
    struct journal *j, uint32_t folder, const struct record_pair *p, void *arg, struct err *err)
{
    (void)folder, (void)err;
    add_pair(j, arg, p);
    return 0;
}

static int by_source(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->src_uid != y->src_uid)
        return x->src_uid < y->src_uid ? -1 : 1;
    return x->tgt_uid < y->tgt_uid ? -1 : x->tgt_uid > y->tgt_uid;
}

/* The next record under a UID of the source.  1: there was one, 0: no more. */
static int take_next(
    struct journal *j, struct bdb_cursor *c, uint32_t folder, struct pairs *to, struct err *err)
{
    struct slice value, refs = SLICE_NONE;
    struct record_pair p;
    struct buf copy;
    uint32_t uid;
    bool is_pair = true;
    int r = scan_next(c, folder, &uid, &value, err);
    if (r != 1)
        return r;
    if (j->from == SIDE_A) {
        if (!record_unpack_pair(value, SIDE_A, uid, &p))
            return TABLES_DAMAGED + 1;
        add_pair(j, to, &p);
        return 1;
    }
    /* Others are read while it is looked at. */
    buf_init(&copy, RECORD_MAX);
    r = buf_add(&copy, value) == 0 && record_unpack_refs(buf_slice(&copy), uid, &is_pair, &p, &refs)
            ? add_under_b(j, folder, uid, is_pair, &p, refs, to, err)
            : TABLES_DAMAGED;
    buf_fini(&copy);
    return r == TABLES_DAMAGED ? TABLES_DAMAGED + 1 : r == 0 ? 1 : r;
}

static int take_from(struct journal *j, uint32_t folder, uint32_t src_uid, size_t max,
    struct pairs *to, struct err *err)
{
    struct bdb_cursor *c;
    int r = scan_open(j, j->from == SIDE_A ? j->t.pairs : j->t.uids, folder, src_uid, &c, err);
    if (r != 0)
        return r;
    while (to->n < max && (r = take_next(j, c, folder, to, err)) == 1)
        continue;
    bdb_cursor_close(&c);
    return r;
}

static int take_of(struct journal *j, uint32_t folder, const struct uid_set *of, uint32_t last,
    size_t max, struct pairs *to, struct err *err)
{
    int r = 0;
    while (r == 0 && to->n < max && (last = uid_set_next(of, last)) != 0)
        r = journal_each_of_source(j, folder, last, add_it, to, err);
    return r == TABLES_DAMAGED ? TABLES_DAMAGED + 1 : r;
}

/* of: these UIDs of the source alone; NULL: all. */
static int pairs_behind(struct journal *j, uint32_t folder, const struct uid_set *of, uint32_t last,
    size_t max, struct pair **out, size_t *n_out, struct err *err)
{
    struct pairs some = {0};
    int r = of ? take_of(j, folder, of, last, max, &some, err)
               : take_from(j, folder, last + 1, max, &some, err);
    if (r > 1)
        r = journal_damaged(j, "pair", err);
    if (r < 0) {
        free(some.v);
        some = (struct pairs){0};
    } else if (j->from == SIDE_B && some.n > 0) {
        mem_sort(some.v, some.n, sizeof(*some.v), by_source);
    }
    *out = some.v;
    *n_out = some.n;
    return r < 0 ? -1 : 0;
}

/* All that have a UID on A are there: who stands alone on B has no size that would be missed. */
int journal_weigh(
    struct journal *j, uint32_t folder, uint64_t *octets_out, uint64_t *n_out, struct err *err)
{
    struct bdb_cursor *c;
    struct slice value;
    uint32_t uid;
    *octets_out = *n_out = 0;
    int r = scan_open(j, j->t.pairs, folder, 0, &c, err);
    if (r != 0)
        return r;
    while ((r = scan_next(c, folder, &uid, &value, err)) == 1) {
        struct record_pair p;
        if (!record_unpack_pair(value, SIDE_A, uid, &p)) {
            r = TABLES_DAMAGED + 1;
            break;
        }
        if (p.uid[j->from] == 0)
            continue;
        *octets_out += p.size;
        ++*n_out;
    }
    bdb_cursor_close(&c);
    return r > 1 ? journal_damaged(j, "pair", err) : r;
}

int journal_pairs(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err)
{
    return pairs_behind(j, folder, NULL, 0, SIZE_MAX, out, n_out, err);
}

int journal_alone(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err)
{
    struct journal_known known;
    struct record_pair p;
    struct pairs all = {0};
    int r = journal_known_get(j, folder, &known, err);
    for (uint32_t uid = 0; r == 0 && (uid = uid_set_next(&known.alone, uid)) != 0;) {
        r = journal_get_alone(j, folder, uid, &p, err);
        if (r == 0 && p.state == 0)
            r = TABLES_DAMAGED;
        if (r == 0)
            push_pair(j, &all, &p);
    }
    journal_known_fini(&known);
    r = journal_as_error(j, r, "pair", err);
    if (r != 0) {
        free(all.v);
        all = (struct pairs){0};
    }
    *out = all.v;
    *n_out = all.n;
    return r;
}

int journal_pairs_all(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err)
{
    struct pair *others = NULL;
    size_t n_others = 0;
    int r = journal_alone(j, folder, out, n_out, err);
    if (r == 0)
        r = journal_pairs(j, folder, &others, &n_others, err);
    if (n_others > 0) {
        *out = mem_realloc_array(*out, *n_out + n_others, sizeof(**out));
        memcpy(*out + *n_out, others, n_others * sizeof(*others));
        *n_out += n_others;
    }
    free(others);
    return r;
}

int journal_walk(
    struct journal *j, uint32_t folder, struct journal_walk *w, size_t max, struct err *err)
{
    free(w->v);
    w->v = NULL;
    w->n = 0;
    if (w->last == UINT32_MAX)
        return 0;
    if (pairs_behind(j, folder, w->of, w->last, max, &w->v, &w->n, err) != 0)
        return -1;
    w->last = w->n > 0 ? w->v[w->n - 1].src_uid : UINT32_MAX;
    return w->n > 0;
}

void journal_walk_fini(struct journal_walk *w)
{
    free(w->v);
    *w = (struct journal_walk){0};
}
