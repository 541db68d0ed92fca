/* SPDX-License-Identifier: ISC */
/* store_priv: what the files of the store share and nobody else sees. */
#ifndef MAPS_STORE_STORE_PRIV_H
#define MAPS_STORE_STORE_PRIV_H

#include <stdatomic.h>
#include "base/os/bdb.h"
#include "maps/store/stage.h"
#include "maps/store/store.h"

#define STORE_VALUE_MAX (64u << 10)

/* How the rows of an import are read as entries. */
struct store_view {
    uint64_t number, base, n;
    int64_t when_s;
    char who[STORE_WHO_MAX], why[STORE_WHY_MAX + 1], request_id[STORE_REQUEST_ID_MAX + 1];
};

struct store_stage {
    struct store_stage *next;
    struct store *store;
    uint64_t sees;            /* the import that was switched before it began, and not folded yet */
    atomic_bool is_abandoned; /* by a thread that may touch nothing else */
    uint64_t number, n;       /* places given */
    int64_t live;             /* by how many entries the map grows */
    struct buf keys;          /* of the last changes, not yet in the index of places */
    uint64_t keys_from;       /* place of the first of them */
};

struct store {
    struct bdb_env *env;
    struct bdb *entries; /* key -> record with notes */
    struct bdb *history; /* generation -> change */
    struct bdb *results; /* "i" request id -> result; "t" time request id -> nothing */
    struct bdb *holds; /* key -> deadline of the hold, so that a start need not read all entries */
    struct bdb *targets; /* target, 0, key -> nothing: who leads to an address */
    struct bdb *staged;  /* number, tag, ... -> rows of imports: store_stage.c */
    struct bdb *meta;    /* "map_id", "state" -> generation, live entries; "import" -> view */
    char map_id[STORE_MAP_ID_SIZE];
    uint64_t generation, live;
    struct store_hold *held;
    size_t n_held;
    struct store_stage *stages;
    uint64_t next_number;
    bool has_leftovers;
    struct store_view import; /* switched and not yet folded; number 0: none */
};

struct store_txn {
    struct store *store;
    struct bdb_txn *bdb;
    uint64_t generation, live; /* what they will be after the commit */
    size_t changes;
    bool holds_changed;
    bool is_written;   /* to be committed without a change too */
    bool needs_sync;   /* what was written has to be durable */
    bool view_changed; /* view is what the store's import will be */
    bool has_switched;
    struct store_view view;
    struct buf scratch;
};

static inline struct bdb_txn *store_bdb_txn(const struct store_txn *txn)
{
    return txn ? txn->bdb : NULL;
}

/* The generation and the number of live entries, as they are from this transaction on. */
int store_save_state(struct store *s, struct bdb_txn *txn, uint64_t generation, uint64_t live,
    struct err *err) ATTR_WUR;
/* Reads anew who is held. */
int store_load_holds(struct store *s, struct err *err) ATTR_WUR;
/* Brings the index of targets from the old entry to the next one. */
int store_index_targets(struct store_txn *txn, struct slice key, const struct route_entry *old,
    const struct route_entry *next, struct err *err) ATTR_WUR;
int store_damaged(struct slice key, struct err *err); /* -1 */

/* The import that this transaction, or without one the store, sees through to, or NULL. */
static inline const struct store_view *store_view_of(
    const struct store *s, const struct store_txn *txn)
{
    const struct store_view *v = txn && txn->view_changed ? &txn->view : &s->import;
    return v->number ? v : NULL;
}
/* What the entries database itself has; *found_out false: nothing, *entry a tombstone. */
int store_get_folded(struct store *s, struct store_txn *txn, struct slice key, struct buf *bytes,
    struct route_entry *entry, struct err *err) ATTR_WUR;
/* Writes entry, change log, indexes; record has all but the values. */
int store_write(struct store_txn *txn, struct slice key, const struct route_entry *old,
    const struct route_entry *next, struct history_record *record, struct err *err) ATTR_WUR;
bool store_has_target(const struct route_entry *e, struct slice target);

/* --- Imports (store_stage.c, store_view.c) -------------------------------------------------- */

enum { STAGE_TAG_KEY = 'k', STAGE_TAG_LOST = 'l', STAGE_TAG_PLACE = 'o', STAGE_TAG_TARGET = 't' };
#define STAGE_KEY_SIZE (HISTORY_KEY_SIZE + 1 + 2 * ROUTE_KEY_MAX + 1)
#define STAGE_VALUE_MAX (2 * ROUTE_RECORD_MAX)

/* Parts of the value of a row. */
struct stage_value {
    bool is_change, is_new_epoch, is_lost, is_touched, adds, removes;
    uint32_t row;
    uint64_t place;
    struct slice info, record;
};
int stage_value_parse(struct slice bytes, struct stage_value *out, struct err *err) ATTR_WUR;
static inline bool stage_value_counts(const struct stage_value *v)
{
    return v->is_change && !v->is_lost;
}

struct stage_key {
    unsigned char bytes[STAGE_KEY_SIZE];
    size_t n;
};
struct stage_key stage_key(uint64_t number, unsigned char tag, struct slice rest);
static inline struct slice stage_key_slice(const struct stage_key *k)
{
    return slice_make(k->bytes, k->n);
}
#define STAGE_PREFIX_SIZE (HISTORY_KEY_SIZE + 1)

int view_load(struct store *s, struct err *err) ATTR_WUR; /* at the start, before stage_load() */
int stage_load(struct store *s, struct err *err) ATTR_WUR;
void stage_unload(struct store *s);
int stage_flush_keys(struct store_txn *txn, struct store_stage *stage, struct err *err) ATTR_WUR;
/* Calls fn for the first pairs with a prefix, with what is behind it in their keys, and removes
 * them. */
int stage_take(struct store_txn *txn, struct slice prefix, size_t max,
    int (*fn)(void *arg, struct slice key, struct slice value, struct err *err), void *arg,
    size_t *n_out, struct err *err) ATTR_WUR;
/* Tells all staged imports that the entry of the key changes; is_fold: by the switch, which those
 * that began behind it have seen. */
int stage_touch(struct store_txn *txn, struct slice key, bool is_fold, struct err *err) ATTR_WUR;
/* The row of a key, if it counts. */
int view_read(struct store *s, struct store_txn *txn, const struct store_view *v, struct slice key,
    struct buf *bytes, struct stage_value *value, bool *found_out, struct err *err) ATTR_WUR;
/* The entry that a row makes; borrows from its bytes and from the view. */
int view_entry(const struct store_view *v, const struct stage_value *value, struct slice key,
    struct route_entry *out, struct err *err) ATTR_WUR;
/* Folds the row of one key, if there is one. */
int view_fold_key(struct store_txn *txn, struct slice key, struct err *err) ATTR_WUR;
/* The change log of the import, folded or not, in the order of its generations: as
 * store_scan_history(), but what fn returns is returned. */
int view_scan_history(struct store *s, struct store_txn *txn, const struct store_view *v,
    uint64_t from, int (*fn)(void *arg, const struct history_record *record, struct err *err),
    void *arg, struct err *err) ATTR_WUR;
/* Fills value with the record as it is in the change log. */
int store_history_get(struct store *s, struct store_txn *txn, uint64_t generation,
    struct buf *bytes, struct history_record *out, bool *found_out, struct err *err) ATTR_WUR;

#endif
