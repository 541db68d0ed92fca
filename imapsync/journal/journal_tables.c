/* SPDX-License-Identifier: ISC */
/*
 * journal_tables: pairs stand under their UID on A; under their UID on B stands which those are (a
 * server that keeps equal messages once gives several the same UID), and under the head of their
 * digest that they exist.  A pair without a UID on A stands under B, beside those that have one: of
 * two that share a copy one may be lost.  Which UIDs have any is kept besides (journal_spans.c).
 * All of it is changed in one transaction, so that the tables never differ.
 */
#include "imapsync/journal/journal_parts.h"

int tables_get_a(struct journal_tables *t, uint32_t folder, uint32_t uid, struct record_pair *out,
    bool *found_out, struct err *err)
{
    struct buf key, value;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_uid(&key, folder, uid);
    int r = bdb_get(t->pairs, t->txn, buf_slice(&key), &value, found_out, err);
    if (r == 0 && *found_out && !record_unpack_pair(buf_slice(&value), SIDE_A, uid, out))
        r = TABLES_DAMAGED;
    buf_fini(&key);
    buf_fini(&value);
    return r;
}

/* out->uids is the caller's to free. */
int tables_get_b(
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
            r = TABLES_DAMAGED;
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
        record_pack_alone(&value, &b->pair, buf_slice(&b->uids));
    else
        record_pack_refs(&value, buf_slice(&b->uids));
    if (b->is_pair || b->uids.n > 0)
        r = bdb_put(t->uids, t->txn, buf_slice(&key), buf_slice(&value), err);
    else
        r = bdb_del(t->uids, t->txn, buf_slice(&key), &found, err);
    buf_fini(&key);
    buf_fini(&value);
    uint8_t what = spans_under_b(b->is_pair, &b->pair, b->uids.n);
    return r == 0 ? spans_set(t, folder, SIDE_B, uid, what, err) : r;
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

int tables_drop_pair(
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
        if (r == 0)
            r = spans_set(t, folder, SIDE_A, p->uid[SIDE_A], 0, err);
    }
    if (r == 0 && p->uid[SIDE_B] != 0) {
        r = tables_get_b(t, folder, p->uid[SIDE_B], &b, err);
        if (p->uid[SIDE_A] != 0)
            record_drop_uid(&b.uids, p->uid[SIDE_A]);
        else
            b.is_pair = false;
        if (r == 0)
            r = put_b(t, folder, p->uid[SIDE_B], &b, err);
        buf_fini(&b.uids);
    }
    return r;
}

int tables_put_under_a(
    struct journal_tables *t, uint32_t folder, const struct record_pair *p, struct err *err)
{
    struct buf key, value;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_uid(&key, folder, p->uid[SIDE_A]);
    record_pack_pair(&value, p, SIDE_A);
    int r = bdb_put(t->pairs, t->txn, buf_slice(&key), buf_slice(&value), err);
    buf_fini(&key);
    buf_fini(&value);
    return r == 0 ? spans_set(t, folder, SIDE_A, p->uid[SIDE_A], spans_under_a(p), err) : r;
}

int tables_put_pair(
    struct journal_tables *t, uint32_t folder, const struct record_pair *p, struct err *err)
{
    int r = change_digest(t, folder, p, true, err);
    if (r == 0 && p->uid[SIDE_A] != 0)
        r = tables_put_under_a(t, folder, p, err);
    if (r == 0 && p->uid[SIDE_B] != 0) {
        struct under_b b;
        r = tables_get_b(t, folder, p->uid[SIDE_B], &b, err);
        if (p->uid[SIDE_A] != 0) {
            record_add_uid(&b.uids, p->uid[SIDE_A]);
        } else {
            b.is_pair = true;
            b.pair = *p;
        }
        if (r == 0)
            r = put_b(t, folder, p->uid[SIDE_B], &b, err);
        buf_fini(&b.uids);
    }
    return r;
}

int tables_commit(struct journal_tables *t, struct err *err)
{
    int r = t->txn ? spans_write(t, err) : 0;
    if (r == 0 && t->txn)
        return bdb_commit(&t->txn, err);
    tables_abort(t);
    return r;
}

void tables_abort(struct journal_tables *t)
{
    spans_forget(t);
    bdb_abort(&t->txn);
}
