/* SPDX-License-Identifier: ISC */
/*
 * store: the map on disk, used by whoever holds the lock of its environment: coexist-mapd, or
 * maptool while no mapd runs.  Every change of an entry gets the next generation of the map and a
 * record in the change log, in the transaction that changes the entry.
 *
 *     store_begin(store, &txn, err);
 *     store_get(store, txn, key, bytes, &old, err);
 *     store_put(txn, key, &old, &new, &cause, err);
 *     publish_stage(publish, txn, err);  whatever can go wrong goes wrong here
 *     store_commit(&txn, err);           durable when it returns 0
 *     publish_staged(publish);           and visible to all
 *
 * One thread at a time.  While a transaction is open every read has to name it: a read beside it
 * would wait for its locks for ever.
 */
#ifndef MAPS_STORE_STORE_H
#define MAPS_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/slice.h"
#include "maps/boot.h"
#include "maps/route.h"
#include "maps/store/history.h"

#define STORE_MAP_ID_SIZE 40
#define STORE_WHO_MAX 64
#define STORE_WHY_MAX 1024
#define STORE_OWNER_MAX 128
#define STORE_REQUEST_ID_MAX 64
/* How long the result of a request can be asked for again. */
#define STORE_RESULT_KEPT_S (7 * 24 * 3600)

struct store;
struct store_txn;

struct store_cause {
    struct slice who, why, request_id;
    int64_t when_s;
};

struct store_hold {
    char key[ROUTE_KEY_MAX + 1];
    int64_t deadline_ms; /* wall clock */
};

/* Makes an empty map with a new map id; an existing one is an error (EX_CANTCREAT). */
int store_create(const char *state_dir, uint64_t cache_size, struct err *err) ATTR_WUR;
/* Recovers.  No map there: EX_NOINPUT and what to do; lock taken: ERR_TEMP, EX_TEMPFAIL. */
int store_open(
    const char *state_dir, uint64_t cache_size, struct store **out, struct err *err) ATTR_WUR;
void store_close(struct store **s);
int store_checkpoint(struct store *s, struct err *err) ATTR_WUR; /* if much was logged */

const char *store_map_id(const struct store *s);
uint64_t store_generation(const struct store *s); /* committed */
/* Takes what older versions noted in the map about the host that it is on: the start of the machine
 * (maps/boot.h); "" when there is nothing. */
int store_former_boot(struct store *s, char out[BOOT_ID_SIZE], struct err *err) ATTR_WUR;
int store_forget_boot(struct store *s, struct err *err) ATTR_WUR;
uint64_t store_live_count(const struct store *s);
/* Holds in force, in no order; valid until the next commit. */
const struct store_hold *store_holds(const struct store *s, size_t *n_out);

int store_begin(struct store *s, struct store_txn **out, struct err *err) ATTR_WUR;
/* On failure the transaction is gone and nothing of it happened. */
int store_commit(struct store_txn **txn, struct err *err) ATTR_WUR;
void store_abort(struct store_txn **txn);
/* The next change gets a generation above this one, which is none that was given. */
void store_raise_generation(struct store_txn *txn, uint64_t generation);
size_t store_change_count(const struct store_txn *txn);
/* Generation that the latest change of the transaction got, or the committed one. */
uint64_t store_txn_generation(const struct store_txn *txn);

/* Fills entry (slices borrow from bytes).  A key that never existed gives a tombstone of epoch 0.
 */
int store_get(struct store *s, struct store_txn *txn, struct slice key, struct buf *bytes,
    struct route_entry *entry, struct err *err) ATTR_WUR;
/* Writes `next` as the new value, with generation, epoch, who and when filled in, and the log
 * record.  `old` is what store_get() gave. Fails with EX_DATAERR when the record is too large. */
int store_put(struct store_txn *txn, struct slice key, const struct route_entry *old,
    struct route_entry *next, const struct store_cause *cause, struct err *err) ATTR_WUR;

/* Calls fn with the key of each entry that has this address among its targets, in their order,
 * until it returns non-zero: 1 ends well, -1 fails (fn filled err). */
int store_followers(struct store *s, struct store_txn *txn, struct slice target,
    int (*fn)(void *arg, struct slice key, struct err *err), void *arg, struct err *err) ATTR_WUR;

/* All entries from the first key >= from on, tombstones too, one by one; slices hold until the next
 * call. 1: given; 0: at the end; -1: error. */
struct store_walk;
int store_walk_open(struct store *s, struct store_txn *txn, struct slice from,
    struct store_walk **out, struct err *err) ATTR_WUR;
int store_walk_next(struct store_walk *w, struct slice *key_out, struct route_entry *entry_out,
    struct err *err) ATTR_WUR;
void store_walk_close(struct store_walk **w);
/* Calls fn for each entry from the first key >= from, tombstones too, until it returns non-zero:
 * 1 ends well, -1 fails (fn filled err). */
int store_scan(struct store *s, struct store_txn *txn, struct slice from,
    int (*fn)(void *arg, struct slice key, const struct route_entry *entry, struct err *err),
    void *arg, struct err *err) ATTR_WUR;
/* The same over the change log, from the first generation >= from. */
int store_scan_history(struct store *s, struct store_txn *txn, uint64_t from,
    int (*fn)(void *arg, const struct history_record *record, struct err *err), void *arg,
    struct err *err) ATTR_WUR;

/* 0 when the map was at this generation once and the change log holds all that changed behind it.
 * EX_DATAERR: that was forgotten, or no restore ever gave it; EX_USAGE: not yet. */
int store_log_reaches(
    struct store *s, struct store_txn *txn, uint64_t generation, struct err *err) ATTR_WUR;

/* Where the last n records of the change log begin. */
int store_log_back(struct store *s, struct store_txn *txn, uint64_t n, uint64_t *from_out,
    struct err *err) ATTR_WUR;
/* Takes at most max records from before before_s out of the change log, oldest first; none while an
 * import is folded. *n_out: how many. */
int store_history_prune(
    struct store_txn *txn, int64_t before_s, size_t max, size_t *n_out, struct err *err) ATTR_WUR;

/* Results of requests, by request id; digest tells whether it was the same request. */
int store_result_get(struct store *s, struct store_txn *txn, struct slice request_id,
    uint64_t *digest_out, struct buf *result, bool *found_out, struct err *err) ATTR_WUR;
int store_result_put(struct store_txn *txn, struct slice request_id, uint64_t digest,
    struct slice result, int64_t when_s, struct err *err) ATTR_WUR;
/* Forgets at most max results from before before_s. */
int store_result_prune(
    struct store_txn *txn, int64_t before_s, size_t max, size_t *n_out, struct err *err) ATTR_WUR;

/* Do both say the same to a delivery?  Only then the epoch stays. */
bool store_same_route(const struct route_entry *a, const struct route_entry *b);

#endif
