/* SPDX-License-Identifier: ISC */
/* store_priv: what the files of the store share and nobody else sees. */
#ifndef MAPS_STORE_STORE_PRIV_H
#define MAPS_STORE_STORE_PRIV_H

#include "base/os/bdb.h"
#include "maps/store/store.h"

#define STORE_VALUE_MAX (64u << 10)

struct store {
    struct bdb_env *env;
    struct bdb *entries; /* key -> record with notes */
    struct bdb *history; /* generation -> change */
    struct bdb *results; /* "i" request id -> result; "t" time request id -> nothing */
    struct bdb *holds; /* key -> deadline of the hold, so that a start need not read all entries */
    struct bdb *targets; /* target, 0, key -> nothing: who leads to an address */
    struct bdb *meta;    /* "map_id", "state" -> generation, number of live entries */
    char map_id[STORE_MAP_ID_SIZE];
    uint64_t generation, live;
    struct store_hold *held;
    size_t n_held;
};

struct store_txn {
    struct store *store;
    struct bdb_txn *bdb;
    uint64_t generation, live; /* what they will be after the commit */
    size_t changes;
    bool holds_changed;
    bool results_changed; /* or the change log was cut: to be committed without a change */
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

#endif
