/* SPDX-License-Identifier: ISC */
/*
 * sources: when each source of imports was last imported, how many rows that had, and by whom: one
 * small record each, written in the transaction that makes the import true, also where that changes
 * nothing.  Of more than SOURCES_MAX the one whose last import is oldest is forgotten: files whose
 * names bear a date come once.
 */
#ifndef MAPS_STORE_SOURCES_H
#define MAPS_STORE_SOURCES_H

#include "maps/store/store.h"

#define SOURCES_MAX 200
#define SOURCE_RECORD_MAX (1 + 2 * HISTORY_KEY_SIZE + STORE_WHO_MAX)

struct source {
    struct slice name, who;
    int64_t when_s;
    uint64_t rows;
};

/* All but the name, as it is in the map and in backups. */
int source_encode(const struct source *source, struct buf *out) ATTR_WUR;
int source_decode(struct slice bytes, struct source *out) ATTR_WUR; /* borrows */

int sources_put(struct store_txn *txn, const struct source *source, struct err *err) ATTR_WUR;
/* Calls fn for each, in the order of their names, until it returns non-zero: 1 ends well, -1 fails
 * (fn filled err). */
int sources_scan(struct store *s, struct store_txn *txn,
    int (*fn)(void *arg, const struct source *source, struct err *err), void *arg,
    struct err *err) ATTR_WUR;
int sources_clear(struct store_txn *txn, struct err *err) ATTR_WUR;

#endif
