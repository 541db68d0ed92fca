/* SPDX-License-Identifier: ISC */
/* journal_scan: all pairs of a folder, all of them forgotten, and all that have a content. */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/copy/journal_parts.h"

/* --- One folder --------------------------------------------------------------------------- */

static int scan_open(struct journal *j, struct bdb *db, uint32_t folder, uint32_t uid,
    struct bdb_cursor **out, struct err *err)
{
    struct buf from;
    buf_init(&from, 16);
    record_key_uid(&from, folder, uid);
    int r = bdb_cursor_open(db, j->t.txn, buf_slice(&from), out, err);
    buf_fini(&from);
    return r;
}

/* The next record of the folder.  1: one, 0: no more. */
static int next_record(
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

/* Pairs that stand under A, or those that stand under B alone.  1: one, 0: no more. */
static int scan_next(struct bdb_cursor *c, uint32_t folder, int side, struct record_pair *out,
    bool *is_pair_out, struct err *err)
{
    struct slice value, uids;
    uint32_t uid;
    int r = next_record(c, folder, &uid, &value, err);
    *is_pair_out = true;
    if (r != 1)
        return r;
    if (side == SIDE_A ? !record_unpack_pair(value, SIDE_A, uid, out)
                       : !record_unpack_refs(value, uid, is_pair_out, out, &uids))
        return TABLES_DAMAGED + 1;
    return 1;
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
    int r = next_record(c, folder, &uid, &value, err);
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

static int pairs_from(struct journal *j, uint32_t folder, uint32_t src_uid, size_t max,
    struct pair **out, size_t *n_out, struct err *err)
{
    struct pairs some = {0};
    struct bdb_cursor *c;
    int r = scan_open(j, j->from == SIDE_A ? j->t.pairs : j->t.uids, folder, src_uid, &c, err);
    if (r == 0) {
        while (some.n < max && (r = take_next(j, c, folder, &some, err)) == 1)
            continue;
        bdb_cursor_close(&c);
    }
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

int journal_pairs(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err)
{
    return pairs_from(j, folder, 0, SIZE_MAX, out, n_out, err);
}

int journal_alone(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err)
{
    struct pairs all = {0};
    struct record_pair p;
    struct bdb_cursor *c;
    bool is_pair;
    int r = scan_open(j, j->to == SIDE_A ? j->t.pairs : j->t.uids, folder, 0, &c, err);
    if (r == 0) {
        while ((r = scan_next(c, folder, j->to, &p, &is_pair, err)) == 1) {
            if (is_pair && p.uid[j->from] == 0)
                push_pair(j, &all, &p);
        }
        bdb_cursor_close(&c);
    }
    if (r > 1)
        r = journal_damaged(j, "pair", err);
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
    if (pairs_from(j, folder, w->last + 1, max, &w->v, &w->n, err) != 0)
        return -1;
    w->last = w->n > 0 ? w->v[w->n - 1].src_uid : UINT32_MAX;
    return w->n > 0;
}

void journal_walk_fini(struct journal_walk *w)
{
    free(w->v);
    *w = (struct journal_walk){0};
}

#define AT_ONCE 500

/* Deletes up to AT_ONCE pairs of the folder: 1 when there may be more. */
static int forget_some(struct journal *j, uint32_t folder, int side, struct err *err)
{
    struct record_pair *v = mem_realloc_array(NULL, AT_ONCE, sizeof(*v));
    struct bdb_cursor *c;
    bool is_pair;
    size_t n = 0;
    int r = scan_open(j, side == SIDE_A ? j->t.pairs : j->t.uids, folder, 0, &c, err);
    if (r == 0) {
        while (n < AT_ONCE && (r = scan_next(c, folder, side, &v[n], &is_pair, err)) == 1)
            n += is_pair;
        bdb_cursor_close(&c);
    }
    if (r > 1)
        r = journal_damaged(j, "pair", err);
    if (r >= 0 && n > 0) {
        journal_begin(j);
        for (size_t i = 0; i < n && j->txn_result == 0; i++) {
            int d = tables_drop_pair(&j->t, folder, &v[i], &j->txn_err);
            j->txn_result = journal_as_error(j, d, "pair", &j->txn_err);
        }
        r = journal_commit(j, err);
    }
    free(v);
    return r < 0 ? -1 : n == AT_ONCE;
}

static int forget_intents(struct journal *j, uint32_t folder, struct err *err)
{
    static const enum intent_kind kinds[] = {
        INTENT_APPEND, INTENT_DELETE, INTENT_FLAGS, INTENT_MOVE};
    int result = 0;
    for (size_t i = 0; result == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct intent *v;
        size_t n;
        if (journal_intents(j, folder, kinds[i], &v, &n, err) != 0)
            return -1;
        if (n > 0) {
            journal_begin(j);
            for (size_t k = 0; k < n; k++)
                journal_intent_del(j, folder, v[k].id);
            result = journal_commit(j, err);
        }
        intents_free(v, n);
    }
    return result;
}

int journal_folder_forget(struct journal *j, uint32_t folder, struct err *err)
{
    if (journal_compared_forget(j, folder, err) != 0)
        return -1;
    for (int side = SIDE_A; side < SIDES; side++) {
        int r;
        while ((r = forget_some(j, folder, side, err)) > 0)
            continue;
        if (r < 0)
            return -1;
    }
    return forget_intents(j, folder, err);
}

int journal_folder_detach(
    struct journal *j, uint32_t folder, enum pair_state state, bool keeps_alone, struct err *err)
{
    struct pair *pairs;
    size_t n;
    if (journal_compared_forget(j, folder, err) != 0)
        return -1;
    if (journal_pairs_all(j, folder, &pairs, &n, err) != 0)
        return -1;
    int result = 0;
    for (size_t i = 0; i < n && result == 0;) {
        journal_begin(j);
        for (size_t k = 0; k < AT_ONCE && i < n; k++, i++) {
            if (pairs[i].src_uid == 0 && !keeps_alone)
                journal_copy_del(j, folder, pairs[i].tgt_uid);
            if (pairs[i].src_uid == 0 ||
                (pairs[i].state != PAIR_STORED && pairs[i].state != PAIR_SENT))
                continue;
            pairs[i].state = state;
            pairs[i].tgt_uid = 0;
            pairs[i].is_compared = false;
            journal_pair_put(j, folder, &pairs[i], NULL);
        }
        result = journal_commit(j, err);
    }
    free(pairs);
    return result;
}

/* --- By number -------------------------------------------------------------------------------- */

static int highest_in(
    struct journal *j, struct bdb *db, uint32_t folder, uint32_t *out, struct err *err)
{
    struct buf below, key;
    uint32_t of, uid;
    buf_init(&below, 16);
    buf_init(&key, 16);
    record_key_uid(&below, folder + 1, 0);
    int r = bdb_last_below(db, j->t.txn, buf_slice(&below), &key, err);
    *out = r == 1 && record_is_uid(buf_slice(&key), &of, &uid) && of == folder ? uid : 0;
    buf_fini(&below);
    buf_fini(&key);
    return r < 0 ? -1 : 0;
}

int journal_highest(
    struct journal *j, uint32_t folder, uint32_t *source_out, uint32_t *target_out, struct err *err)
{
    uint32_t of[SIDES];
    if (highest_in(j, j->t.pairs, folder, &of[SIDE_A], err) != 0 ||
        highest_in(j, j->t.uids, folder, &of[SIDE_B], err) != 0)
        return -1;
    *source_out = of[j->from];
    *target_out = of[j->to];
    return 0;
}

/* --- By digest -------------------------------------------------------------------------------- */

/* The pair that a key of `digests` names. */
static int get_named(struct journal *j, uint32_t folder, const uint32_t uid[SIDES],
    struct record_pair *out, struct err *err)
{
    struct under_b b;
    bool found = false;
    int r;
    if (uid[SIDE_A] != 0) {
        r = tables_get_a(&j->t, folder, uid[SIDE_A], out, &found, err);
        return r == 0 && !found ? TABLES_DAMAGED : r;
    }
    r = tables_get_b(&j->t, folder, uid[SIDE_B], &b, err);
    if (r == 0 && !b.is_pair)
        r = TABLES_DAMAGED;
    *out = b.pair;
    buf_fini(&b.uids);
    return r;
}

int journal_by_digest(struct journal *j, const unsigned char digest[SHA256_SIZE],
    void (*each)(void *arg, uint32_t folder, const struct pair *p), void *arg, struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value, prefix;
    uint32_t folder, uid[SIDES];
    int r = bdb_cursor_open(j->t.digests, NULL, slice_make(digest, RECORD_DIGEST_KEY), &c, err);
    if (r != 0)
        return -1;
    while ((r = bdb_cursor_next(c, &key, &value, err)) > 0) {
        struct record_pair p;
        struct pairs one = {0};
        if (!record_is_digest(key, &prefix, &folder, uid)) {
            r = TABLES_DAMAGED;
            break;
        }
        if (!slice_eq(prefix, slice_make(digest, RECORD_DIGEST_KEY))) {
            r = 0;
            break;
        }
        r = get_named(j, folder, uid, &p, err);
        if (r != 0)
            break;
        if (memcmp(p.digest, digest, SHA256_SIZE) == 0)
            add_pair(j, &one, &p);
        for (size_t i = 0; i < one.n; i++)
            each(arg, folder, &one.v[i]);
        free(one.v);
    }
    bdb_cursor_close(&c);
    return journal_as_error(j, r, "digests", err);
}

int journal_digests(struct journal *j,
    int (*each)(void *arg, const unsigned char *head, struct err *err), void *arg, struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value, head;
    uint32_t folder, uid[SIDES];
    int r = bdb_cursor_open(j->t.digests, j->t.txn, SLICE_NONE, &c, err);
    if (r != 0)
        return -1;
    while ((r = bdb_cursor_next(c, &key, &value, err)) > 0) {
        if (!record_is_digest(key, &head, &folder, uid)) {
            r = TABLES_DAMAGED;
            break;
        }
        r = each(arg, head.p, err);
        if (r != 0)
            break;
    }
    bdb_cursor_close(&c);
    return journal_as_error(j, r, "digests", err);
}
