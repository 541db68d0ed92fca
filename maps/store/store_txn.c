/* SPDX-License-Identifier: ISC */
/*
 * store_txn: transactions over the map, and the entries that they read and change.
 *
 * Memory (generation, holds) changes only after the commit came back, so that an aborted
 * transaction leaves no trace.  A failure of Berkeley DB that is not a broken environment, such as
 * a full disk, fails the transaction; reads go on.
 */
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "maps/store/store_priv.h"

static int save_hold(
    struct store_txn *txn, struct slice key, const struct route_entry *next, struct err *err)
{
    unsigned char deadline[HISTORY_KEY_SIZE];
    bool found;

    txn->holds_changed = true;
    if (next->state != ROUTE_STATE_HELD || next->is_tombstone)
        return bdb_del(txn->store->holds, txn->bdb, key, &found, err);
    history_key((uint64_t)next->hold_deadline_ms, deadline);
    return bdb_put(txn->store->holds, txn->bdb, key, slice_make(deadline, sizeof deadline), err);
}

/* --- Transactions ---------------------------------------------------------------------- */

int store_begin(struct store *s, struct store_txn **out, struct err *err)
{
    struct bdb_txn *bdb;
    if (bdb_begin(s->env, &bdb, err) != 0)
        return -1;
    struct store_txn *txn = mem_zalloc(sizeof *txn);
    txn->store = s;
    txn->bdb = bdb;
    txn->generation = s->generation;
    txn->live = s->live;
    buf_init(&txn->scratch, STORE_VALUE_MAX);
    *out = txn;
    return 0;
}

static void txn_free(struct store_txn **txn)
{
    buf_fini(&(*txn)->scratch);
    free(*txn);
    *txn = NULL;
}

int store_commit(struct store_txn **txnp, struct err *err)
{
    struct store_txn *txn = *txnp;
    struct store *s = txn->store;

    if (txn->changes == 0 && !txn->is_written) {
        store_abort(txnp);
        return 0;
    }
    if (store_save_state(s, txn->bdb, txn->generation, txn->live, err) != 0) {
        store_abort(txnp);
        return -1;
    }
    if ((txn->needs_sync ? bdb_commit(&txn->bdb, err) : bdb_commit_lazily(&txn->bdb, err)) != 0) {
        txn_free(txnp);
        return -1;
    }
    s->generation = txn->generation;
    s->live = txn->live;
    if (txn->view_changed)
        s->import = txn->view;
    bool holds_changed = txn->holds_changed;
    txn_free(txnp);
    /* The commit stands whatever follows; a list of holds that cannot be read is no environment
     * that one may go on with. */
    if (holds_changed && store_load_holds(s, err) != 0)
        BUG("the holds cannot be read after a commit");
    return 0;
}

void store_abort(struct store_txn **txn)
{
    if (!*txn)
        return;
    bdb_abort(&(*txn)->bdb);
    txn_free(txn);
}

void store_raise_generation(struct store_txn *txn, uint64_t generation)
{
    BUG_ON(generation < txn->generation);
    txn->generation = generation;
}

size_t store_change_count(const struct store_txn *txn)
{
    return txn->changes;
}

uint64_t store_txn_generation(const struct store_txn *txn)
{
    return txn->generation;
}

/* --- Entries ------------------------------------------------------------------------------ */

int store_damaged(struct slice key, struct err *err)
{
    return err_set(
        err, ERR_PERM, EX_DATAERR, "the entry of %.*s in the map is damaged", SLICE_ARG(key));
}

/* The bytes become the record that the fold will write. */
static int get_row(const struct store_view *v, const struct stage_value *value, struct slice key,
    struct buf *bytes, struct route_entry *entry, struct err *err)
{
    struct buf record;
    int rc = view_entry(v, value, key, entry, err);

    buf_init(&record, ROUTE_RECORD_MAX);
    if (rc == 0 && record_encode(entry, true, &record) != 0)
        rc = store_damaged(key, err);
    buf_clear(bytes);
    if (rc == 0 &&
        (buf_add(bytes, buf_slice(&record)) != 0 || record_decode(buf_slice(bytes), entry) != 0))
        BUG("a record that was just written");
    buf_fini(&record);
    return rc;
}

int store_get(struct store *s, struct store_txn *txn, struct slice key, struct buf *bytes,
    struct route_entry *entry, struct err *err)
{
    const struct store_view *v = store_view_of(s, txn);
    struct stage_value value;
    bool found = false;

    if (v && view_read(s, txn, v, key, bytes, &value, &found, err) != 0)
        return -1;
    return found ? get_row(v, &value, key, bytes, entry, err)
                 : store_get_folded(s, txn, key, bytes, entry, err);
}

int store_get_folded(struct store *s, struct store_txn *txn, struct slice key, struct buf *bytes,
    struct route_entry *entry, struct err *err)
{
    bool found;

    buf_clear(bytes);
    if (bdb_get(s->entries, store_bdb_txn(txn), key, bytes, &found, err) != 0)
        return err_wrap(err, "cannot read the map");
    *entry = (struct route_entry){.is_tombstone = true};
    if (found && record_decode(buf_slice(bytes), entry) != 0)
        return store_damaged(key, err);
    return 0;
}

bool store_same_route(const struct route_entry *a, const struct route_entry *b)
{
    if (a->is_tombstone || b->is_tombstone)
        return a->is_tombstone == b->is_tombstone;
    return a->kind == b->kind && a->state == b->state && slice_eq(a->route, b->route) &&
           slice_eq(a->deliver_as, b->deliver_as) && slice_eq(a->hold_owner, b->hold_owner) &&
           slice_eq(a->hold_request, b->hold_request) &&
           a->hold_deadline_ms == b->hold_deadline_ms && slice_eq(a->targets, b->targets) &&
           slice_eq(a->owner, b->owner) && slice_eq(a->senders, b->senders) &&
           a->reply_code == b->reply_code && slice_eq(a->reply_text, b->reply_text) &&
           slice_eq(a->also, b->also) && a->until_s == b->until_s;
}

/* Encodes old and new value one behind the other; the slices borrow from the scratch buffer. */
static int encode_both(struct store_txn *txn, const struct route_entry *old,
    const struct route_entry *next, struct slice *old_out, struct slice *new_out)
{
    struct buf *b = &txn->scratch;
    buf_clear(b);
    if (old->epoch != 0 && record_encode(old, true, b) != 0)
        return -1;
    size_t n = b->n;
    if (record_encode(next, true, b) != 0 || b->n - n > ROUTE_RECORD_MAX)
        return -1;
    *old_out = slice_sub(buf_slice(b), 0, n);
    *new_out = slice_from(buf_slice(b), n);
    return 0;
}

static int log_change(struct store_txn *txn, const struct history_record *record, struct err *err)
{
    unsigned char key[HISTORY_KEY_SIZE];
    struct buf value;

    buf_init(&value, STORE_VALUE_MAX);
    history_key(record->generation, key);
    int rc = history_encode(record, &value);
    if (rc != 0)
        err_set(err, ERR_PERM, EX_DATAERR, "the change log cannot hold so long a change");
    else
        rc = bdb_put(
            txn->store->history, txn->bdb, slice_make(key, sizeof key), buf_slice(&value), err);
    buf_fini(&value);
    return rc;
}

int store_write(struct store_txn *txn, struct slice key, const struct route_entry *old,
    const struct route_entry *next, struct history_record *record, struct err *err)
{
    if (key.n == 0 || key.n > ROUTE_KEY_MAX ||
        encode_both(txn, old, next, &record->old_value, &record->new_value) != 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "the entry of %.*s is too long", SLICE_ARG(key));
    if (bdb_put(txn->store->entries, txn->bdb, key, record->new_value, err) != 0 ||
        log_change(txn, record, err) != 0 || store_index_targets(txn, key, old, next, err) != 0)
        return -1;
    if (old->state != ROUTE_STATE_HELD && next->state != ROUTE_STATE_HELD)
        return 0;
    return save_hold(txn, key, next, err);
}

int store_put(struct store_txn *txn, struct slice key, const struct route_entry *old,
    struct route_entry *next, const struct store_cause *cause, struct err *err)
{
    struct history_record record = {.generation = txn->generation + 1,
        .when_s = cause->when_s,
        .key = key,
        .who = cause->who,
        .why = cause->why,
        .request_id = cause->request_id};

    next->epoch = store_same_route(old, next) ? old->epoch : record.generation;
    next->who = cause->who;
    next->when_s = cause->when_s;
    txn->needs_sync = true;
    if (view_fold_key(txn, key, err) != 0 || store_write(txn, key, old, next, &record, err) != 0 ||
        stage_touch(txn, key, false, err) != 0)
        return -1;
    txn->generation = record.generation;
    txn->live += next->is_tombstone ? 0 : 1;
    txn->live -= old->is_tombstone ? 0 : 1;
    txn->changes++;
    return 0;
}
