/* SPDX-License-Identifier: ISC */
/*
 * stage: an import on its way into the map, however large, without a long transaction.
 *
 *     stage_new(store, &stage)                      gets the next import number
 *     stage_put(txn, stage, ...) ...                rows, in as many transactions as one likes
 *     stage_lost(txn, stage, fn, ...)               rows whose entry was changed meanwhile
 *     store_switch(txn, stage, base, &cause, err)   one record: from its commit on all is so
 *     store_fold(store, txn, max, ...) ...          entries and change log, a few at a time
 *
 *   state      what is in the database                        after a kill
 *   staged     rows under the number, which nobody reads      swept: store_sweep()
 *   switched   the record "import" in meta, and the rows;     as it was: every reader sees through
 *              those that are folded are gone from them       to the rows that are left
 *   folded     nothing of it                                  as it was
 *
 * A row brings the finished entry, made from the entry as it was when the row came.  Whoever
 * changes an entry in any other way while an import is staged wins: store_put() marks the row of
 * the key as lost, and a key without one as touched, so that a row which comes later is lost too.
 * A change behind the switch first folds the row of its key.
 *
 * Each change of an import has its generation, `base` and its place among them, from the switch on
 * and for ever.  `base` may be above the generation of the map, because who publishes has to know
 * the epochs before; lost rows leave their numbers unused.  So generations always grow and never
 * come twice, but they may have gaps.
 *
 * There is one import between its switch and the end of its fold; others stay staged meanwhile.
 */
#ifndef MAPS_STORE_STAGE_H
#define MAPS_STORE_STAGE_H

#include "maps/store/store.h"

#define STAGE_INFO_MAX 200

struct store_stage;

/* The caller lets go of it by stage_free(), from any thread: its rows are swept, unless it was
 * switched. */
int stage_new(struct store *s, struct store_stage **out, struct err *err) ATTR_WUR;
void stage_free(struct store_stage **stage);
uint64_t stage_number(const struct store_stage *stage);
/* Of a stage that nobody has let go. */
bool stage_is_live(const struct store *s, uint64_t number);
/* Changes that got a place so far, lost ones too: where the generations end, counted from base. */
uint64_t stage_changes(const struct store_stage *stage);

struct stage_row {
    struct slice key;
    uint32_t row;      /* of the file; whoever reads it back finds it there */
    struct slice info; /* the caller's own, at most STAGE_INFO_MAX bytes */
};
enum stage_result {
    STAGE_TAKEN,
    STAGE_TWICE,   /* nothing was written; *first_out is the row that the key has */
    STAGE_TOUCHED, /* the entry was changed meanwhile: the row is lost */
};
/* old: what store_get() gave; next: what it becomes, or NULL: it stays as it is. */
int stage_put(struct store_txn *txn, struct store_stage *stage, const struct stage_row *row,
    const struct route_entry *old, struct route_entry *next, const struct store_cause *cause,
    enum stage_result *result_out, uint32_t *first_out, struct err *err) ATTR_WUR;
/* Is anything staged for the key, or was its entry changed meanwhile? */
int stage_has(struct store_txn *txn, const struct store_stage *stage, struct slice key, bool *out,
    struct err *err) ATTR_WUR;
/* Tells at most max rows that were lost since they were put, each once. next: what it would have
 * become; is_change false: nothing. *n_out: how many. */
int stage_lost(struct store_txn *txn, struct store_stage *stage, size_t max,
    int (*fn)(void *arg, const struct stage_row *row, bool is_change,
        const struct route_entry *next, struct err *err),
    void *arg, size_t *n_out, struct err *err) ATTR_WUR;
/* Calls fn for the rows from the first key >= from, those that were lost not among them, until it
 * returns non-zero: 1 ends well, -1 fails. */
int stage_scan(struct store_txn *txn, const struct store_stage *stage, struct slice from,
    int (*fn)(void *arg, const struct stage_row *row, struct err *err), void *arg,
    struct err *err) ATTR_WUR;
/* Until the second call all reads that name this transaction see the map as it would be if the
 * stage were switched with this base.  Nothing may be written meanwhile. */
void stage_look(struct store_txn *txn, const struct store_stage *stage, uint64_t base,
    const struct store_cause *cause);
void stage_look_away(struct store_txn *txn);

/* base: at least the generation of the map.  Nothing else may be folding. */
int store_switch(struct store_txn *txn, struct store_stage *stage, uint64_t base,
    const struct store_cause *cause, struct err *err) ATTR_WUR;
/* Did this transaction switch an import that is not folded in it? */
bool store_has_switched(const struct store_txn *txn);
uint64_t store_switched_base(const struct store_txn *txn); /* of that import */
/* Is an import switched and not yet folded wholly? */
bool store_is_folding(const struct store *s);
/* Folds at most max rows of what is switched, in this transaction too. *done_out: there are none
 * any more. */
int store_fold(
    struct store *s, struct store_txn *txn, size_t max, bool *done_out, struct err *err) ATTR_WUR;
/* Removes at most max rows of imports that nobody will switch. *n_out: how many. */
int store_sweep(
    struct store *s, struct store_txn *txn, size_t max, size_t *n_out, struct err *err) ATTR_WUR;
/* May there be any? */
bool store_has_leftovers(const struct store *s);

#endif
