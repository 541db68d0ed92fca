/* SPDX-License-Identifier: ISC */
/*
 * store_targets: who leads to an address.  One pair for each target of each entry, in the
 * transaction that changes the entry:
 *
 *     target | 0 | key of the entry  ->  nothing
 *
 * A target is in the index as the entry has it, with its detail.
 */
#include <sysexits.h>
#include "maps/store/store_priv.h"

#define PAIR_MAX (2 * ROUTE_KEY_MAX + 1)

static int pair(struct slice target, struct slice key, struct buf *out)
{
    buf_clear(out);
    if (buf_add(out, target) != 0 || buf_add_byte(out, '\0') != 0 || buf_add(out, key) != 0)
        return -1;
    return 0;
}

bool store_has_target(const struct route_entry *e, struct slice target)
{
    struct slice rest = e->targets, one;
    while (!e->is_tombstone && route_list_next(&rest, &one))
        if (slice_eq(one, target))
            return true;
    return false;
}

/* Takes out of the index, or puts into it, the targets of one entry that the other does not have.
 */
static int change(struct store_txn *txn, struct slice key, const struct route_entry *from,
    const struct route_entry *other, bool is_put, struct err *err)
{
    struct slice rest = from->targets, target;
    struct buf name;
    bool found;
    int rc = 0;

    if (from->is_tombstone)
        return 0;
    buf_init(&name, PAIR_MAX);
    while (rc == 0 && route_list_next(&rest, &target)) {
        if (store_has_target(other, target))
            continue;
        if (pair(target, key, &name) != 0)
            rc = err_set(err, ERR_PERM, EX_DATAERR, "a target of %.*s is too long", SLICE_ARG(key));
        else if (is_put)
            rc = bdb_put(txn->store->targets, txn->bdb, buf_slice(&name), SLICE_LIT(""), err);
        else
            rc = bdb_del(txn->store->targets, txn->bdb, buf_slice(&name), &found, err);
    }
    buf_fini(&name);
    return rc;
}

int store_index_targets(struct store_txn *txn, struct slice key, const struct route_entry *old,
    const struct route_entry *next, struct err *err)
{
    if (old->targets.n == 0 && next->targets.n == 0)
        return 0;
    if (change(txn, key, old, next, false, err) != 0)
        return -1;
    return change(txn, key, next, old, true, err);
}

struct follow {
    struct store *s;
    struct store_txn *txn;
    const struct store_view *view;
    struct slice target;
    struct buf bytes;
    int (*fn)(void *arg, struct slice key, struct err *err);
    void *arg;
};

/* The index is that of what is folded. */
static int follow_folded(void *arg, struct slice key, struct err *err)
{
    struct follow *f = arg;
    struct route_entry e;

    if (f->view && store_get(f->s, f->txn, key, &f->bytes, &e, err) != 0)
        return -1;
    return f->view && !store_has_target(&e, f->target) ? 0 : f->fn(f->arg, key, err);
}

static int follow_staged(void *arg, struct slice key, struct err *err)
{
    struct follow *f = arg;
    struct stage_value value;
    bool found;

    if (view_read(f->s, f->txn, f->view, key, &f->bytes, &value, &found, err) != 0)
        return -1;
    return found ? f->fn(f->arg, key, err) : 0;
}

/* Keys behind a prefix, until fn returns non-zero, which is returned. */
static int scan_pairs(struct follow *f, struct bdb *db, struct slice from,
    int (*fn)(void *arg, struct slice key, struct err *err), struct err *err)
{
    struct bdb_cursor *cursor;
    struct slice key, value;
    int rc;

    if (bdb_cursor_open(db, store_bdb_txn(f->txn), from, &cursor, err) != 0)
        return -1;
    while ((rc = bdb_cursor_next(cursor, &key, &value, err)) == 1 && slice_starts(key, from)) {
        rc = fn(f, slice_from(key, from.n), err);
        if (rc != 0)
            break;
        rc = 0;
    }
    bdb_cursor_close(&cursor);
    return rc;
}

int store_followers(struct store *s, struct store_txn *txn, struct slice target,
    int (*fn)(void *arg, struct slice key, struct err *err), void *arg, struct err *err)
{
    struct follow f = {
        .s = s, .txn = txn, .view = store_view_of(s, txn), .target = target, .fn = fn, .arg = arg};
    struct buf from;
    int rc = -1;

    buf_init(&from, PAIR_MAX);
    buf_init(&f.bytes, STAGE_VALUE_MAX);
    if (target.n > ROUTE_KEY_MAX || pair(target, SLICE_NONE, &from) != 0) {
        err_set(err, ERR_PERM, EX_DATAERR, "an address is too long");
        goto done;
    }
    rc = scan_pairs(&f, s->targets, buf_slice(&from), follow_folded, err);
    if (rc == 0 && f.view) {
        const struct stage_key k = stage_key(f.view->number, STAGE_TAG_TARGET, buf_slice(&from));
        rc = scan_pairs(&f, s->staged, stage_key_slice(&k), follow_staged, err);
    }
    rc = rc < 0 ? -1 : 0;
done:
    buf_fini(&from);
    buf_fini(&f.bytes);
    return rc;
}
