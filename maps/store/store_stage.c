/* SPDX-License-Identifier: ISC */
/*
 * store_stage: rows of imports in the database `staged`, before their switch.
 *
 *     number 'k' key               ->  flags, row, place, info, record of the new entry
 *     number 'l' key               ->  nothing: the row of the key was lost and nobody was told
 *     number 'o' place             ->  keys of the changes from this place on, each behind its
 * length number 't' target 0 key      ->  nothing: a target that the new entry has and the old had
 * not
 *
 * Their transactions are committed lazily: what counts is that all of them are durable with the
 * switch, and the log of the database keeps their order.
 */
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "maps/store/store_priv.h"

#define VALUE_HEAD (1 + 4 + HISTORY_KEY_SIZE + 1)
#define KEYS_BYTES_MAX 3000
#define TAKE_BYTES_MAX (1u << 20)

enum { /* flags of a row */
    IS_CHANGE = 1,
    IS_NEW_EPOCH = 2,
    IS_LOST = 4,
    IS_TOUCHED = 8, /* no row: its entry was changed */
    ADDS = 16,
    REMOVES = 32,
};

/* --- Keys and values --------------------------------------------------------------------- */

struct stage_key stage_key(uint64_t number, unsigned char tag, struct slice rest)
{
    struct stage_key k = {.n = STAGE_PREFIX_SIZE + rest.n};

    BUG_ON(k.n > sizeof k.bytes);
    history_key(number, k.bytes);
    k.bytes[HISTORY_KEY_SIZE] = tag;
    if (rest.n)
        memcpy(k.bytes + STAGE_PREFIX_SIZE, rest.p, rest.n);
    return k;
}

int stage_value_parse(struct slice bytes, struct stage_value *out, struct err *err)
{
    if (bytes.n >= VALUE_HEAD) {
        unsigned flags = bytes.p[0];
        size_t info_n = bytes.p[VALUE_HEAD - 1];
        *out = (struct stage_value){.is_change = flags & IS_CHANGE,
            .is_new_epoch = flags & IS_NEW_EPOCH,
            .is_lost = flags & IS_LOST,
            .is_touched = flags & IS_TOUCHED,
            .adds = flags & ADDS,
            .removes = flags & REMOVES};
        for (size_t i = 1; i < 5; i++)
            out->row = out->row << 8 | bytes.p[i];
        if (history_key_parse(slice_sub(bytes, 5, HISTORY_KEY_SIZE), &out->place) == 0 &&
            info_n <= bytes.n - VALUE_HEAD) {
            out->info = slice_sub(bytes, VALUE_HEAD, info_n);
            out->record = slice_from(bytes, VALUE_HEAD + info_n);
            return 0;
        }
    }
    return err_set(err, ERR_PERM, EX_DATAERR, "a row of an import in the map is damaged");
}

static int value_head(
    struct buf *out, unsigned flags, uint32_t row, uint64_t place, struct slice info)
{
    unsigned char head[VALUE_HEAD] = {(unsigned char)flags};

    for (size_t i = 0; i < 4; i++)
        head[1 + i] = (unsigned char)(row >> (24 - 8 * i));
    history_key(place, head + 5);
    head[VALUE_HEAD - 1] = (unsigned char)info.n;
    buf_clear(out);
    return buf_add(out, slice_make(head, sizeof head)) != 0 || buf_add(out, info) != 0 ? -1 : 0;
}

static int put(
    struct store_txn *txn, const struct stage_key *k, struct slice value, struct err *err)
{
    txn->is_written = true;
    return bdb_put(txn->store->staged, txn->bdb, stage_key_slice(k), value, err);
}

/* --- Stages -------------------------------------------------------------------------------- */

int stage_new(struct store *s, struct store_stage **out, struct err *err)
{
    if (s->next_number == UINT64_MAX)
        return err_set(err, ERR_PERM, EX_DATAERR, "the numbers of imports are used up");
    struct store_stage *stage = mem_zalloc(sizeof *stage);
    stage->store = s;
    stage->number = s->next_number++;
    stage->sees = s->import.number;
    buf_init(&stage->keys, KEYS_BYTES_MAX + ROUTE_KEY_MAX + 2);
    stage->next = s->stages;
    s->stages = stage;
    *out = stage;
    return 0;
}

/* The store's thread takes it off the list. */
void stage_free(struct store_stage **stage)
{
    if (*stage)
        atomic_store(&(*stage)->is_abandoned, true);
    *stage = NULL;
}

static void reap(struct store *s, bool all)
{
    for (struct store_stage **p = &s->stages; *p;) {
        struct store_stage *stage = *p;
        if (!all && !atomic_load(&stage->is_abandoned)) {
            p = &stage->next;
            continue;
        }
        *p = stage->next;
        buf_fini(&stage->keys);
        free(stage);
        s->has_leftovers = true;
    }
}

void stage_unload(struct store *s)
{
    reap(s, true);
}

uint64_t stage_number(const struct store_stage *stage)
{
    return stage->number;
}

static const struct store_stage *find(const struct store *s, uint64_t number)
{
    const struct store_stage *stage = s->stages;
    while (stage && (stage->number != number || atomic_load(&stage->is_abandoned)))
        stage = stage->next;
    return stage;
}

bool stage_is_live(const struct store *s, uint64_t number)
{
    return find(s, number) != NULL;
}

uint64_t stage_changes(const struct store_stage *stage)
{
    return stage->n;
}

/* --- Rows ---------------------------------------------------------------------------------- */

/* The index of places has many keys in a pair. */
int stage_flush_keys(struct store_txn *txn, struct store_stage *stage, struct err *err)
{
    unsigned char place[HISTORY_KEY_SIZE];

    if (stage->keys.n == 0)
        return 0;
    history_key(stage->keys_from, place);
    struct stage_key k = stage_key(stage->number, STAGE_TAG_PLACE, slice_make(place, sizeof place));
    int rc = put(txn, &k, buf_slice(&stage->keys), err);
    buf_clear(&stage->keys);
    return rc;
}

static int give_place(struct store_txn *txn, struct store_stage *stage, struct slice key,
    uint64_t *out, struct err *err)
{
    unsigned char length[2] = {(unsigned char)(key.n >> 8), (unsigned char)key.n};

    if (stage->keys.n > KEYS_BYTES_MAX && stage_flush_keys(txn, stage, err) != 0)
        return -1;
    *out = ++stage->n;
    if (stage->keys.n == 0)
        stage->keys_from = *out;
    if (buf_add(&stage->keys, slice_make(length, sizeof length)) != 0 ||
        buf_add(&stage->keys, key) != 0)
        BUG("a key always fits");
    return 0;
}

static int put_targets(struct store_txn *txn, const struct store_stage *stage, struct slice key,
    const struct route_entry *old, const struct route_entry *next, struct err *err)
{
    struct slice rest = next->is_tombstone ? SLICE_NONE : next->targets, target;
    struct buf pair;
    int rc = 0;

    if (rest.n == 0)
        return 0;
    buf_init(&pair, 2 * ROUTE_KEY_MAX + 1);
    while (rc == 0 && route_list_next(&rest, &target)) {
        if (store_has_target(old, target))
            continue;
        buf_clear(&pair);
        if (buf_add(&pair, target) != 0 || buf_add_byte(&pair, '\0') != 0 ||
            buf_add(&pair, key) != 0) {
            rc = err_set(err, ERR_PERM, EX_DATAERR, "a target of %.*s is too long", SLICE_ARG(key));
        } else {
            struct stage_key k = stage_key(stage->number, STAGE_TAG_TARGET, buf_slice(&pair));
            rc = put(txn, &k, SLICE_LIT(""), err);
        }
    }
    buf_fini(&pair);
    return rc;
}

static int find_row(struct store *s, struct store_txn *txn, const struct stage_key *k,
    struct buf *bytes, struct stage_value *value, bool *found_out, struct err *err)
{
    if (bdb_get(s->staged, store_bdb_txn(txn), stage_key_slice(k), bytes, found_out, err) != 0)
        return err_wrap(err, "cannot read an import");
    return *found_out ? stage_value_parse(buf_slice(bytes), value, err) : 0;
}

static int write_row(struct store_txn *txn, struct store_stage *stage, const struct stage_row *row,
    const struct stage_key *k, unsigned flags, const struct route_entry *old,
    struct route_entry *next, struct err *err)
{
    struct buf *value = &txn->scratch;
    uint64_t place = 0;

    if (next && !(flags & IS_LOST) && give_place(txn, stage, row->key, &place, err) != 0)
        return -1;
    if (value_head(value, flags, row->row, place, row->info) != 0)
        BUG("the head of a row fits");
    size_t n = value->n;
    if (next && (record_encode(next, true, value) != 0 || value->n - n > ROUTE_RECORD_MAX))
        return err_set(
            err, ERR_PERM, EX_DATAERR, "the entry of %.*s is too long", SLICE_ARG(row->key));
    if (put(txn, k, buf_slice(value), err) != 0)
        return -1;
    if (!next || (flags & IS_LOST))
        return 0;
    stage->live += flags & ADDS ? 1 : flags & REMOVES ? -1 : 0;
    return put_targets(txn, stage, row->key, old, next, err);
}

int stage_put(struct store_txn *txn, struct store_stage *stage, const struct stage_row *row,
    const struct route_entry *old, struct route_entry *next, const struct store_cause *cause,
    enum stage_result *result_out, uint32_t *first_out, struct err *err)
{
    struct stage_key k;
    struct stage_value there;
    unsigned flags = next ? IS_CHANGE : 0;
    bool found;

    if (row->key.n == 0 || row->key.n > ROUTE_KEY_MAX)
        return err_set(
            err, ERR_PERM, EX_DATAERR, "the entry of %.*s is too long", SLICE_ARG(row->key));
    BUG_ON(row->info.n > STAGE_INFO_MAX);
    k = stage_key(stage->number, STAGE_TAG_KEY, row->key);
    if (find_row(txn->store, txn, &k, &txn->scratch, &there, &found, err) != 0)
        return -1;
    *result_out = STAGE_TAKEN;
    if (found && !there.is_touched) {
        *result_out = STAGE_TWICE;
        *first_out = there.row;
        return 0;
    }
    if (found) {
        *result_out = STAGE_TOUCHED;
        flags |= IS_LOST;
    }
    if (next) {
        if (!store_same_route(old, next))
            flags |= IS_NEW_EPOCH;
        flags |= old->is_tombstone && !next->is_tombstone ? ADDS : 0;
        flags |= !old->is_tombstone && next->is_tombstone ? REMOVES : 0;
        next->epoch = old->epoch;
        next->who = cause->who;
        next->when_s = cause->when_s;
    }
    return write_row(txn, stage, row, &k, flags, old, next, err);
}

int stage_has(struct store_txn *txn, const struct store_stage *stage, struct slice key, bool *out,
    struct err *err)
{
    struct stage_key k = stage_key(stage->number, STAGE_TAG_KEY, key);
    struct stage_value there;

    return find_row(txn->store, txn, &k, &txn->scratch, &there, out, err);
}

int stage_scan(struct store_txn *txn, const struct store_stage *stage, struct slice from,
    int (*fn)(void *arg, const struct stage_row *row, struct err *err), void *arg, struct err *err)
{
    const struct stage_key prefix = stage_key(stage->number, STAGE_TAG_KEY, SLICE_NONE);
    const struct stage_key start = stage_key(stage->number, STAGE_TAG_KEY, from);
    struct bdb_cursor *cursor;
    struct slice key, bytes;
    struct stage_value v;
    int rc;

    if (bdb_cursor_open(txn->store->staged, txn->bdb, stage_key_slice(&start), &cursor, err) != 0)
        return -1;
    while ((rc = bdb_cursor_next(cursor, &key, &bytes, err)) == 1 &&
           slice_starts(key, stage_key_slice(&prefix))) {
        rc = stage_value_parse(bytes, &v, err);
        const struct stage_row row = {
            .key = slice_from(key, STAGE_PREFIX_SIZE), .row = v.row, .info = v.info};
        if (rc == 0 && !v.is_lost && !v.is_touched)
            rc = fn(arg, &row, err);
        if (rc != 0)
            break;
    }
    bdb_cursor_close(&cursor);
    return rc < 0 ? -1 : 0;
}

/* --- Lost rows ----------------------------------------------------------------------------- */

static int touch_one(struct store_txn *txn, const struct store_stage *stage, struct slice key,
    struct buf *bytes, struct err *err)
{
    struct stage_key k = stage_key(stage->number, STAGE_TAG_KEY, key);
    struct stage_value there;
    bool found;

    if (find_row(txn->store, txn, &k, bytes, &there, &found, err) != 0)
        return -1;
    if (!found) {
        if (value_head(bytes, IS_TOUCHED, 0, 0, SLICE_NONE) != 0)
            BUG("the head of a row fits");
        return put(txn, &k, buf_slice(bytes), err);
    }
    if (there.is_lost || there.is_touched)
        return 0;
    unsigned char *flags = (unsigned char *)(uintptr_t)buf_slice(bytes).p;
    *flags |= IS_LOST;
    if (put(txn, &k, buf_slice(bytes), err) != 0)
        return -1;
    k = stage_key(stage->number, STAGE_TAG_LOST, key);
    return put(txn, &k, SLICE_LIT(""), err);
}

int stage_touch(struct store_txn *txn, struct slice key, bool is_fold, struct err *err)
{
    const struct store_view *v = store_view_of(txn->store, txn);
    struct buf bytes;
    int rc = 0;

    if (!txn->store->stages)
        return 0;
    buf_init(&bytes, STAGE_VALUE_MAX);
    for (const struct store_stage *stage = txn->store->stages; stage && rc == 0;
         stage = stage->next)
        if ((!v || (stage->number != v->number && (!is_fold || stage->sees != v->number))) &&
            !atomic_load(&stage->is_abandoned))
            rc = touch_one(txn, stage, key, &bytes, err);
    buf_fini(&bytes);
    return rc;
}

static int tell_lost(struct store_txn *txn, struct store_stage *stage, struct slice key,
    struct buf *bytes,
    int (*fn)(void *arg, const struct stage_row *row, bool is_change,
        const struct route_entry *next, struct err *err),
    void *arg, struct err *err)
{
    struct stage_key k = stage_key(stage->number, STAGE_TAG_KEY, key);
    struct route_entry next = {.is_tombstone = true};
    struct stage_value v;
    bool found;

    if (find_row(txn->store, txn, &k, bytes, &v, &found, err) != 0)
        return -1;
    if (!found || (v.is_change && record_decode(v.record, &next) != 0))
        return store_damaged(key, err);
    stage->live -= v.adds ? 1 : v.removes ? -1 : 0;
    const struct stage_row row = {.key = key, .row = v.row, .info = v.info};
    if (fn(arg, &row, v.is_change, &next, err) != 0)
        return -1;
    k = stage_key(stage->number, STAGE_TAG_LOST, key);
    txn->is_written = true;
    return bdb_del(txn->store->staged, txn->bdb, stage_key_slice(&k), &found, err);
}

int stage_lost(struct store_txn *txn, struct store_stage *stage, size_t max,
    int (*fn)(void *arg, const struct stage_row *row, bool is_change,
        const struct route_entry *next, struct err *err),
    void *arg, size_t *n_out, struct err *err)
{
    const struct stage_key prefix = stage_key(stage->number, STAGE_TAG_LOST, SLICE_NONE);
    struct bdb_cursor *cursor;
    struct slice key, value;
    struct buf one, bytes;
    int rc = 0;

    buf_init(&one, ROUTE_KEY_MAX);
    buf_init(&bytes, STAGE_VALUE_MAX);
    for (*n_out = 0; *n_out < max && rc == 0; (*n_out)++) {
        rc = bdb_cursor_open(txn->store->staged, txn->bdb, stage_key_slice(&prefix), &cursor, err);
        if (rc != 0)
            break;
        rc = bdb_cursor_next(cursor, &key, &value, err);
        bool is_one = rc == 1 && slice_starts(key, stage_key_slice(&prefix));
        buf_clear(&one);
        if (is_one && buf_add(&one, slice_from(key, STAGE_PREFIX_SIZE)) != 0)
            rc = store_damaged(slice_from(key, STAGE_PREFIX_SIZE), err);
        bdb_cursor_close(&cursor);
        if (rc < 0 || !is_one)
            break;
        rc = tell_lost(txn, stage, buf_slice(&one), &bytes, fn, arg, err);
    }
    buf_fini(&one);
    buf_fini(&bytes);
    return rc < 0 ? -1 : 0;
}

/* --- What nobody will switch ----------------------------------------------------------------- */

/* The first number from this one on that has anything; 0: none. */
static int first_number(
    struct store *s, struct store_txn *txn, uint64_t from, uint64_t *out, struct err *err)
{
    unsigned char start[HISTORY_KEY_SIZE];
    struct bdb_cursor *cursor;
    struct slice key, value;

    history_key(from, start);
    if (bdb_cursor_open(
            s->staged, store_bdb_txn(txn), slice_make(start, sizeof start), &cursor, err) != 0)
        return -1;
    int rc = bdb_cursor_next(cursor, &key, &value, err);
    *out = 0;
    if (rc == 1 && (key.n < HISTORY_KEY_SIZE ||
                       history_key_parse(slice_sub(key, 0, HISTORY_KEY_SIZE), out) != 0))
        rc = err_set(err, ERR_PERM, EX_DATAERR, "the rows of an import are damaged");
    bdb_cursor_close(&cursor);
    return rc < 0 ? -1 : 0;
}

int stage_load(struct store *s, struct err *err)
{
    unsigned char end[HISTORY_KEY_SIZE];
    struct buf last;

    memset(end, 0xff, sizeof end);
    buf_init(&last, STAGE_KEY_SIZE);
    int rc = bdb_last_below(s->staged, NULL, slice_make(end, sizeof end), &last, err);
    s->next_number = 0;
    s->has_leftovers = rc == 1;
    if (rc == 1 && (last.n < HISTORY_KEY_SIZE ||
                       history_key_parse(
                           slice_sub(buf_slice(&last), 0, HISTORY_KEY_SIZE), &s->next_number) != 0))
        rc = err_set(err, ERR_PERM, EX_DATAERR, "the rows of an import are damaged");
    if (s->import.number > s->next_number)
        s->next_number = s->import.number;
    s->next_number++;
    buf_fini(&last);
    return rc < 0 ? -1 : 0;
}

bool store_has_leftovers(const struct store *s)
{
    for (const struct store_stage *stage = s->stages; stage; stage = stage->next)
        if (atomic_load(&stage->is_abandoned))
            return true;
    return s->has_leftovers;
}

static int drop(void *arg ATTR_UNUSED, struct slice key ATTR_UNUSED, struct slice value ATTR_UNUSED,
    struct err *err ATTR_UNUSED)
{
    return 0;
}

int store_sweep(struct store *s, struct store_txn *txn, size_t max, size_t *n_out, struct err *err)
{
    const struct store_view *v = store_view_of(s, txn);
    unsigned char prefix[HISTORY_KEY_SIZE];
    uint64_t number = 0;

    *n_out = 0;
    reap(s, false);
    do {
        if (first_number(s, txn, number + 1, &number, err) != 0)
            return -1;
    } while (number && (find(s, number) || (v && v->number == number)));
    if (!number)
        s->has_leftovers = false;
    history_key(number, prefix);
    return number ? stage_take(txn, slice_make(prefix, sizeof prefix), max, drop, NULL, n_out, err)
                  : 0;
}

/* Copies at most max pairs, since a cursor does not see what is done behind its back. */
static int copy_first(
    struct store_txn *txn, struct slice start, size_t max, struct buf *out, struct err *err)
{
    struct slice key, value;
    struct bdb_cursor *cursor;
    size_t n = 0;
    int rc = 0;

    if (bdb_cursor_open(txn->store->staged, txn->bdb, start, &cursor, err) != 0)
        return -1;
    while (n < max && (rc = bdb_cursor_next(cursor, &key, &value, err)) == 1) {
        uint32_t sizes[2] = {(uint32_t)key.n, (uint32_t)value.n};
        if (!slice_starts(key, start) || out->max - out->n < sizeof sizes + key.n + value.n)
            break;
        if (buf_add(out, slice_make(sizes, sizeof sizes)) != 0 || buf_add(out, key) != 0 ||
            buf_add(out, value) != 0)
            BUG("a pair fits");
        n++;
    }
    bdb_cursor_close(&cursor);
    return rc < 0 ? -1 : 0;
}

int stage_take(struct store_txn *txn, struct slice prefix, size_t max,
    int (*fn)(void *arg, struct slice key, struct slice value, struct err *err), void *arg,
    size_t *n_out, struct err *err)
{
    struct buf pairs;
    uint32_t sizes[2];
    bool found;

    buf_init(&pairs, TAKE_BYTES_MAX);
    int rc = copy_first(txn, prefix, max, &pairs, err);
    struct slice rest = buf_slice(&pairs);
    for (*n_out = 0; rc == 0 && rest.n; (*n_out)++) {
        memcpy(sizes, rest.p, sizeof sizes);
        struct slice key = slice_sub(rest, sizeof sizes, sizes[0]);
        rc = fn(
            arg, slice_from(key, prefix.n), slice_sub(rest, sizeof sizes + key.n, sizes[1]), err);
        if (rc == 0)
            rc = bdb_del(txn->store->staged, txn->bdb, key, &found, err);
        rest = slice_from(rest, sizeof sizes + key.n + sizes[1]);
        txn->is_written = true;
    }
    buf_fini(&pairs);
    return rc;
}
