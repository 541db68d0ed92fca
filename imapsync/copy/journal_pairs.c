/* SPDX-License-Identifier: ISC */
/*
 * journal_pairs: pairs stand under their UID on A; under their UID on B stands which those are (a
 * server that keeps equal messages once gives several the same UID), and under the head of their
 * digest that they exist.  A pair without a UID on A stands under B.  The four are changed in one
 * transaction, so that they never differ.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/copy/journal_parts.h"

/* One record of B: UIDs of A, or a pair alone. */
struct under_b {
    bool found, is_pair;
    struct record_pair pair;
    struct buf uids;
};

#define DAMAGED 1 /* 0 and -1 as everywhere: it was read and makes no sense */

static int get_a(struct journal_tables *t, uint32_t folder, uint32_t uid, struct record_pair *out,
    bool *found_out, struct err *err)
{
    struct buf key, value;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_uid(&key, folder, uid);
    int r = bdb_get(t->pairs, t->txn, buf_slice(&key), &value, found_out, err);
    if (r == 0 && *found_out && !record_unpack_pair(buf_slice(&value), SIDE_A, uid, out))
        r = DAMAGED;
    buf_fini(&key);
    buf_fini(&value);
    return r;
}

/* out->uids is the caller's to free. */
static int get_b(
    struct journal_tables *t, uint32_t folder, uint32_t uid, struct under_b *out, struct err *err)
{
    struct buf key, value;
    struct slice uids;
    *out = (struct under_b){0};
    buf_init(&out->uids, RECORD_MAX);
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_uid(&key, folder, uid);
    int r = bdb_get(t->uids, t->txn, buf_slice(&key), &value, &out->found, err);
    if (r == 0 && out->found) {
        if (!record_unpack_refs(buf_slice(&value), uid, &out->is_pair, &out->pair, &uids) ||
            buf_add(&out->uids, uids) != 0)
            r = DAMAGED;
    }
    buf_fini(&key);
    buf_fini(&value);
    return r;
}

static int put_b(struct journal_tables *t, uint32_t folder, uint32_t uid, const struct under_b *b,
    struct err *err)
{
    struct buf key, value;
    bool found;
    int r;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_uid(&key, folder, uid);
    if (b->is_pair)
        record_pack_alone(&value, &b->pair);
    else
        record_pack_refs(&value, buf_slice(&b->uids));
    if (b->is_pair || b->uids.n > 0)
        r = bdb_put(t->uids, t->txn, buf_slice(&key), buf_slice(&value), err);
    else
        r = bdb_del(t->uids, t->txn, buf_slice(&key), &found, err);
    buf_fini(&key);
    buf_fini(&value);
    return r;
}

static int change_digest(struct journal_tables *t, uint32_t folder, const struct record_pair *p,
    bool is_there, struct err *err)
{
    struct buf key;
    bool found;
    if (!p->has_digest)
        return 0;
    buf_init(&key, 64);
    record_key_digest(&key, p->digest, folder, p->uid);
    int r = is_there ? bdb_put(t->digests, t->txn, buf_slice(&key), SLICE_NONE, err)
                     : bdb_del(t->digests, t->txn, buf_slice(&key), &found, err);
    buf_fini(&key);
    return r;
}

static int drop(
    struct journal_tables *t, uint32_t folder, const struct record_pair *p, struct err *err)
{
    struct under_b b;
    struct buf key;
    bool found;
    int r = change_digest(t, folder, p, false, err);
    if (r == 0 && p->uid[SIDE_A] != 0) {
        buf_init(&key, 16);
        record_key_uid(&key, folder, p->uid[SIDE_A]);
        r = bdb_del(t->pairs, t->txn, buf_slice(&key), &found, err);
        buf_fini(&key);
    }
    if (r == 0 && p->uid[SIDE_B] != 0) {
        r = get_b(t, folder, p->uid[SIDE_B], &b, err);
        b.is_pair = false;
        if (p->uid[SIDE_A] != 0)
            record_drop_uid(&b.uids, p->uid[SIDE_A]);
        if (r == 0)
            r = put_b(t, folder, p->uid[SIDE_B], &b, err);
        buf_fini(&b.uids);
    }
    return r;
}

int tables_put_pair(
    struct journal_tables *t, uint32_t folder, const struct record_pair *p, struct err *err)
{
    struct buf key, value;
    int r = change_digest(t, folder, p, true, err);
    if (r == 0 && p->uid[SIDE_A] != 0) {
        buf_init(&key, 16);
        buf_init(&value, RECORD_MAX);
        record_key_uid(&key, folder, p->uid[SIDE_A]);
        record_pack_pair(&value, p, SIDE_A);
        r = bdb_put(t->pairs, t->txn, buf_slice(&key), buf_slice(&value), err);
        buf_fini(&key);
        buf_fini(&value);
    }
    if (r == 0 && p->uid[SIDE_B] != 0) {
        struct under_b b;
        r = get_b(t, folder, p->uid[SIDE_B], &b, err);
        b.is_pair = p->uid[SIDE_A] == 0;
        b.pair = *p;
        if (!b.is_pair)
            record_add_uid(&b.uids, p->uid[SIDE_A]);
        if (r == 0)
            r = put_b(t, folder, p->uid[SIDE_B], &b, err);
        buf_fini(&b.uids);
    }
    return r;
}

/* --- By the UID of the source ------------------------------------------------------------- */

/* What stands under a UID of the source: one pair, or under B as many as have it. */
static int each_of_source(struct journal *j, uint32_t folder, uint32_t uid,
    int (*each)(struct journal *j, uint32_t folder, const struct record_pair *p, void *arg,
        struct err *err),
    void *arg, struct err *err)
{
    struct record_pair p;
    struct under_b b;
    bool found = false;
    uint32_t a;
    int r;
    if (j->from == SIDE_A) {
        r = get_a(&j->t, folder, uid, &p, &found, err);
        return r == 0 && found ? each(j, folder, &p, arg, err) : r;
    }
    r = get_b(&j->t, folder, uid, &b, err);
    if (r == 0 && b.is_pair)
        r = each(j, folder, &b.pair, arg, err);
    struct slice rest = buf_slice(&b.uids);
    while (r == 0 && record_next_uid(&rest, &a)) {
        r = get_a(&j->t, folder, a, &p, &found, err);
        if (r == 0)
            r = found && p.uid[SIDE_B] == uid ? each(j, folder, &p, arg, err) : DAMAGED;
    }
    buf_fini(&b.uids);
    return r;
}

static int take_first(
    struct journal *j, uint32_t folder, const struct record_pair *p, void *arg, struct err *err)
{
    struct record_pair *out = arg;
    (void)j, (void)folder, (void)err;
    if (out->state == 0)
        *out = *p;
    return 0;
}

static int drop_it(
    struct journal *j, uint32_t folder, const struct record_pair *p, void *arg, struct err *err)
{
    const uint32_t *kept = arg; /* the target's UID of a pair that another one replaces */
    if (*kept != 0 && p->uid[j->to] != *kept && j->from == SIDE_B && p->state == PAIR_STORED)
        return 0; /* another message of the target that has the same UID on the source */
    return drop(&j->t, folder, p, err);
}

static int as_error(struct journal *j, int r, const char *what, struct err *err)
{
    return r == DAMAGED ? journal_damaged(j, what, err) : r;
}

int journal_content(struct journal *j, uint32_t folder, uint32_t src_uid, struct content *out,
    bool *found_out, struct err *err)
{
    struct record_pair p = {0};
    int r = each_of_source(j, folder, src_uid, take_first, &p, err);
    *found_out = r == 0 && p.state != 0;
    *out = (struct content){
        .has_digest = p.has_digest, .canon = p.canon, .size = p.size, .since = p.since};
    memcpy(out->digest, p.digest, SHA256_SIZE);
    return as_error(j, r, "pair", err);
}

int journal_has_target(
    struct journal *j, uint32_t folder, uint32_t tgt_uid, bool *out, struct err *err)
{
    struct record_pair p;
    struct under_b b;
    int r;
    *out = false;
    if (j->to == SIDE_A)
        return as_error(j, get_a(&j->t, folder, tgt_uid, &p, out, err), "pair", err);
    r = get_b(&j->t, folder, tgt_uid, &b, err);
    *out = r == 0 && b.uids.n > 0;
    buf_fini(&b.uids);
    return as_error(j, r, "pair", err);
}

/* The pair that has only a UID of the target; state 0: there is none. */
static int get_alone(
    struct journal *j, uint32_t folder, uint32_t tgt_uid, struct record_pair *out, struct err *err)
{
    struct under_b b;
    bool found;
    int r;
    *out = (struct record_pair){0};
    if (j->to == SIDE_A) {
        r = get_a(&j->t, folder, tgt_uid, out, &found, err);
        if (r == 0 && (!found || out->uid[SIDE_B] != 0))
            out->state = 0;
        return r;
    }
    r = get_b(&j->t, folder, tgt_uid, &b, err);
    if (r == 0 && b.is_pair)
        *out = b.pair;
    buf_fini(&b.uids);
    return r;
}

void journal_pair_put(
    struct journal *j, uint32_t folder, const struct pair *p, const struct content *content)
{
    struct record_pair old = {0}, new = {.state = p->state, .is_compared = p->is_compared};
    uint32_t kept = p->tgt_uid;
    int r = 0;
    if (j->txn_result != 0)
        return;
    new.uid[j->from] = p->src_uid;
    new.uid[j->to] = p->tgt_uid;
    new.flags = p->flags;
    new.is_touched = p->is_touched;
    r = p->src_uid != 0 ? each_of_source(j, folder, p->src_uid, take_first, &old, &j->txn_err)
                        : get_alone(j, folder, p->tgt_uid, &old, &j->txn_err);
    if (content) {
        new.has_digest = content->has_digest;
        new.canon = content->canon;
        new.size = content->size;
        new.since = content->since;
        memcpy(new.digest, content->digest, SHA256_SIZE);
    } else {
        new.has_digest = old.has_digest;
        new.canon = old.canon;
        new.size = old.size;
        new.since = old.since;
        new.is_compared = new.is_compared || (old.is_compared && old.uid[j->to] == p->tgt_uid);
        memcpy(new.digest, old.digest, SHA256_SIZE);
    }
    /* A change of flags, the most frequent one, touches one record. */
    bool is_same =
        old.state != 0 && memcmp(old.uid, new.uid, sizeof(old.uid)) == 0 &&
        old.has_digest == new.has_digest &&memcmp(old.digest, new.digest, SHA256_SIZE) == 0;
    bool is_new_content = new.has_digest && !(old.state != 0 && old.has_digest &&
                                                memcmp(old.digest, new.digest, SHA256_SIZE) == 0);
    if (r == 0 && j->watch)
        j->watch->put(j->watch->arg, folder, p, new.has_digest ? new.digest : NULL, is_new_content);
    if (r == 0 && old.state != 0 && !is_same && p->src_uid != 0)
        r = each_of_source(j, folder, p->src_uid, drop_it, &kept, &j->txn_err);
    if (r == 0 && is_same && new.uid[SIDE_A] != 0) {
        struct buf key, value;
        buf_init(&key, 16);
        buf_init(&value, RECORD_MAX);
        record_key_uid(&key, folder, new.uid[SIDE_A]);
        record_pack_pair(&value, &new, SIDE_A);
        journal_put_record(j, j->t.pairs, &key, &value);
        buf_fini(&key);
        buf_fini(&value);
        return;
    }
    if (r == 0)
        r = tables_put_pair(&j->t, folder, &new, &j->txn_err);
    if (r != 0)
        j->txn_result = as_error(j, r, "pair", &j->txn_err);
}

void journal_pair_del(struct journal *j, uint32_t folder, uint32_t src_uid)
{
    uint32_t all = 0;
    if (j->txn_result != 0)
        return;
    int r = each_of_source(j, folder, src_uid, drop_it, &all, &j->txn_err);
    if (r != 0)
        j->txn_result = as_error(j, r, "pair", &j->txn_err);
}

void journal_copy_del(struct journal *j, uint32_t folder, uint32_t tgt_uid)
{
    struct record_pair p;
    if (j->txn_result != 0)
        return;
    int r = get_alone(j, folder, tgt_uid, &p, &j->txn_err);
    if (r == 0 && p.state != 0)
        r = drop(&j->t, folder, &p, &j->txn_err);
    if (r != 0)
        j->txn_result = as_error(j, r, "pair", &j->txn_err);
}

/* --- Scans of one folder ------------------------------------------------------------------ */

static int scan_open(
    struct journal *j, struct bdb *db, uint32_t folder, struct bdb_cursor **out, struct err *err)
{
    struct buf from;
    buf_init(&from, 16);
    record_key_uid(&from, folder, 0);
    int r = bdb_cursor_open(db, j->t.txn, buf_slice(&from), out, err);
    buf_fini(&from);
    return r;
}

/* Pairs that stand under A, or those that stand under B alone.  1: one, 0: no more. */
static int scan_next(struct bdb_cursor *c, uint32_t folder, int side, struct record_pair *out,
    bool *is_pair_out, struct err *err)
{
    struct slice key, value, uids;
    uint32_t its, uid;
    int r = bdb_cursor_next(c, &key, &value, err);
    *is_pair_out = true;
    if (r <= 0)
        return r;
    if (!record_is_uid(key, &its, &uid))
        return DAMAGED + 1;
    if (its != folder)
        return 0;
    if (side == SIDE_A ? !record_unpack_pair(value, SIDE_A, uid, out)
                       : !record_unpack_refs(value, uid, is_pair_out, out, &uids))
        return DAMAGED + 1;
    return 1;
}

struct pairs {
    struct pair *v;
    size_t n, cap;
};

static void add_pair(struct journal *j, struct pairs *to, const struct record_pair *p)
{
    if (p->uid[j->from] == 0)
        return;
    if (to->n == to->cap) {
        to->cap = to->cap ? to->cap + to->cap / 2 : 256;
        to->v = mem_realloc_array(to->v, to->cap, sizeof(*to->v));
    }
    to->v[to->n++] = (struct pair){.src_uid = p->uid[j->from],
        .tgt_uid = p->uid[j->to],
        .state = p->state,
        .is_compared = p->is_compared,
        .is_touched = p->is_touched,
        .flags = p->flags};
}

static int scan(struct journal *j, uint32_t folder, int side, struct pairs *to, struct err *err)
{
    struct bdb_cursor *c;
    struct record_pair p;
    bool is_pair;
    int r;
    if (scan_open(j, side == SIDE_A ? j->t.pairs : j->t.uids, folder, &c, err) != 0)
        return -1;
    while ((r = scan_next(c, folder, side, &p, &is_pair, err)) == 1) {
        if (is_pair)
            add_pair(j, to, &p);
    }
    bdb_cursor_close(&c);
    return r > 1 ? journal_damaged(j, "pair", err) : r;
}

static int by_source(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->src_uid != y->src_uid)
        return x->src_uid < y->src_uid ? -1 : 1;
    return x->tgt_uid < y->tgt_uid ? -1 : x->tgt_uid > y->tgt_uid;
}

int journal_pairs(
    struct journal *j, uint32_t folder, struct pair **out, size_t *n_out, struct err *err)
{
    struct pairs all = {0};
    int r = scan(j, folder, SIDE_A, &all, err);
    if (r == 0 && j->from == SIDE_B) {
        r = scan(j, folder, SIDE_B, &all, err);
        mem_sort(all.v, all.n, sizeof(*all.v), by_source);
    }
    if (r != 0) {
        free(all.v);
        all = (struct pairs){0};
    }
    *out = all.v;
    *n_out = all.n;
    return r;
}

#define AT_ONCE 500

/* Deletes up to AT_ONCE pairs of the folder: 1 when there may be more. */
static int forget_some(struct journal *j, uint32_t folder, int side, struct err *err)
{
    struct record_pair *v = mem_realloc_array(NULL, AT_ONCE, sizeof(*v));
    struct bdb_cursor *c;
    bool is_pair;
    size_t n = 0;
    int r = scan_open(j, side == SIDE_A ? j->t.pairs : j->t.uids, folder, &c, err);
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
            int d = drop(&j->t, folder, &v[i], &j->txn_err);
            j->txn_result = as_error(j, d, "pair", &j->txn_err);
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

int journal_folder_detach(struct journal *j, uint32_t folder, struct err *err)
{
    struct pair *pairs;
    size_t n;
    if (journal_compared_forget(j, folder, err) != 0)
        return -1;
    if (journal_pairs(j, folder, &pairs, &n, err) != 0)
        return -1;
    int result = 0;
    for (size_t i = 0; i < n && result == 0;) {
        journal_begin(j);
        for (size_t k = 0; k < AT_ONCE && i < n; k++, i++) {
            if (pairs[i].state != PAIR_STORED && pairs[i].state != PAIR_SENT)
                continue;
            pairs[i].state = PAIR_GONE;
            pairs[i].tgt_uid = 0;
            pairs[i].is_compared = false;
            journal_pair_put(j, folder, &pairs[i], NULL);
        }
        result = journal_commit(j, err);
    }
    free(pairs);
    return result;
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
        r = get_a(&j->t, folder, uid[SIDE_A], out, &found, err);
        return r == 0 && !found ? DAMAGED : r;
    }
    r = get_b(&j->t, folder, uid[SIDE_B], &b, err);
    if (r == 0 && !b.is_pair)
        r = DAMAGED;
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
            r = DAMAGED;
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
    return as_error(j, r, "digests", err);
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
            r = DAMAGED;
            break;
        }
        r = each(arg, head.p, err);
        if (r != 0)
            break;
    }
    bdb_cursor_close(&c);
    return as_error(j, r, "digests", err);
}
