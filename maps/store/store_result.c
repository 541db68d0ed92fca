/* SPDX-License-Identifier: ISC */
/*
 * store_result: the results of requests that changed something, so that a client that lost a reply
 * can ask again and gets what it missed.  A second key per result, ordered by time, lets old ones
 * be forgotten a few at a time.
 */
#include <inttypes.h>
#include <sysexits.h>
#include "maps/store/store_priv.h"

#define RESULT_KEY_MAX (1 + HISTORY_KEY_SIZE + STORE_REQUEST_ID_MAX)
#define RESULT_HEAD (2 * HISTORY_KEY_SIZE) /* digest and time stand before the text */

struct result_key {
    unsigned char bytes[RESULT_KEY_MAX];
    size_t n;
};

static struct result_key id_key(struct slice request_id)
{
    struct result_key k = {.n = 1 + request_id.n};
    BUG_ON(request_id.n > STORE_REQUEST_ID_MAX);
    k.bytes[0] = 'i';
    memcpy(k.bytes + 1, request_id.p, request_id.n);
    return k;
}

static struct result_key time_key(int64_t when_s, struct slice request_id)
{
    struct result_key k = {.n = 1 + HISTORY_KEY_SIZE + request_id.n};
    BUG_ON(request_id.n > STORE_REQUEST_ID_MAX);
    k.bytes[0] = 't';
    history_key((uint64_t)when_s, k.bytes + 1);
    memcpy(k.bytes + 1 + HISTORY_KEY_SIZE, request_id.p, request_id.n);
    return k;
}

static struct slice key_slice(const struct result_key *k)
{
    return slice_make(k->bytes, k->n);
}

int store_result_get(struct store *s, struct store_txn *txn, struct slice request_id,
    uint64_t *digest_out, struct buf *result, bool *found_out, struct err *err)
{
    struct result_key k = id_key(request_id);

    buf_clear(result);
    if (bdb_get(s->results, store_bdb_txn(txn), key_slice(&k), result, found_out, err) != 0)
        return -1;
    if (!*found_out)
        return 0;
    if (result->n < RESULT_HEAD ||
        history_key_parse(slice_sub(buf_slice(result), 0, HISTORY_KEY_SIZE), digest_out) != 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "a recorded result is damaged");
    buf_consume(result, RESULT_HEAD);
    return 0;
}

int store_result_put(struct store_txn *txn, struct slice request_id, uint64_t digest,
    struct slice result, int64_t when_s, struct err *err)
{
    struct result_key by_id = id_key(request_id), by_time = time_key(when_s, request_id);
    struct bdb *db = txn->store->results;
    unsigned char head[RESULT_HEAD];
    struct buf *value = &txn->scratch;

    history_key(digest, head);
    history_key((uint64_t)when_s, head + HISTORY_KEY_SIZE);
    buf_clear(value);
    if (buf_add(value, slice_make(head, sizeof head)) != 0 || buf_add(value, result) != 0)
        return err_set(err, ERR_BUG, EX_SOFTWARE, "a result is too long to be recorded");
    txn->is_written = true;
    txn->needs_sync = true;
    if (bdb_put(db, txn->bdb, key_slice(&by_id), buf_slice(value), err) != 0)
        return -1;
    return bdb_put(db, txn->bdb, key_slice(&by_time), SLICE_LIT(""), err);
}

/* The oldest results come first behind "t"; a deletion ends the life of the cursor's pair, so each
 * one is looked up anew. */
static int oldest(struct store_txn *txn, struct result_key *out, int64_t *when_out, struct err *err)
{
    struct bdb_cursor *cursor;
    struct slice key, value;
    uint64_t when = 0;

    if (bdb_cursor_open(txn->store->results, txn->bdb, SLICE_LIT("t"), &cursor, err) != 0)
        return -1;
    int more = bdb_cursor_next(cursor, &key, &value, err);
    if (more == 1 && (key.n < 1 + HISTORY_KEY_SIZE || key.n > RESULT_KEY_MAX ||
                         history_key_parse(slice_sub(key, 1, HISTORY_KEY_SIZE), &when) != 0))
        more = err_set(err, ERR_PERM, EX_DATAERR, "the list of results is damaged");
    if (more == 1) {
        memcpy(out->bytes, key.p, key.n);
        out->n = key.n;
        *when_out = (int64_t)when;
    }
    bdb_cursor_close(&cursor);
    return more;
}

int store_result_prune(
    struct store_txn *txn, int64_t before_s, size_t max, size_t *n_out, struct err *err)
{
    struct bdb *db = txn->store->results;

    for (*n_out = 0; *n_out < max; ++*n_out) {
        struct result_key by_time;
        int64_t when = 0;
        bool found;
        int more = oldest(txn, &by_time, &when, err);
        if (more < 0)
            return -1;
        if (more == 0 || when >= before_s)
            return 0;
        struct result_key by_id = id_key(slice_from(key_slice(&by_time), 1 + HISTORY_KEY_SIZE));
        if (bdb_del(db, txn->bdb, key_slice(&by_time), &found, err) != 0 ||
            bdb_del(db, txn->bdb, key_slice(&by_id), &found, err) != 0)
            return -1;
        txn->is_written = true;
    }
    return 0;
}
