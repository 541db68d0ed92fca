/* SPDX-License-Identifier: ISC */
/*
 * snapshot_write: how coexist-mapd publishes the map (and how maptool marks it invalid before it
 * opens the database itself).  One writer per run directory, by a lock on a file of its own.
 *
 *     snapshot_writer_open(run_dir, map_id, &w, err)
 *     snapshot_writer_rebuild(w, &source, n, generation, err)   at start, after the recovery
 *     snapshot_writer_publish(w)
 *     ...
 *     in a transaction: snapshot_writer_stage(w, changes, n, generation, err)    may fail: abort
 *     commit
 *     snapshot_writer_publish(w)                                                 cannot fail
 *
 * Staging does all that can fail, space above all, before the commit, so that a committed change is
 * always visible a moment later and a change that cannot be shown is never committed.
 *
 * Publishing is sequentially consistent: a barrier that is run after it sees the claim of every
 * delivery that did not see the change (maps/claims.h).  When it replaces the data file (more than
 * SNAPSHOT_IN_PLACE_MAX changes, or no room), the old file stays as it was and is removed.
 */
#ifndef MAPS_SNAPSHOT_WRITE_H
#define MAPS_SNAPSHOT_WRITE_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "maps/route.h"

#define SNAPSHOT_IN_PLACE_MAX 1000

struct snapshot_writer;

struct snapshot_change {
    struct slice key;
    struct route_entry entry; /* a deleted key is an entry with is_tombstone and its new epoch */
};

/* Gives one entry after the other: 1 given, 0 at the end, -1 error.  Slices hold until the next
 * call. */
struct snapshot_source {
    int (*next)(void *arg, struct slice *key_out, struct route_entry *entry_out, struct err *err);
    void *arg;
};

/* map_id: 1 to 39 printable characters that name this map; a snapshot of another map or of an
 * earlier start of the machine is marked invalid, one of this map goes on being valid.  Creates
 * run_dir (0750) and its claims directory when missing.  ERR_TEMP, EX_TEMPFAIL when another writer
 * has the lock. */
int snapshot_writer_open(const char *run_dir, const char *map_id, struct snapshot_writer **out,
    struct err *err) ATTR_WUR;
/* -1, EX_TEMPFAIL: control file, lock or claims directory were removed or replaced, so readers no
 * longer see what we publish.  Any thread may ask. */
int snapshot_writer_check(const struct snapshot_writer *w, struct err *err) ATTR_WUR;
/* Leaves the snapshot as it is: it stays true while nothing can change the map. */
void snapshot_writer_close(struct snapshot_writer **w);

/* Stages a whole new data file from a source. n_keys: a guess of how many there are. */
int snapshot_writer_rebuild(struct snapshot_writer *w, const struct snapshot_source *source,
    uint64_t n_keys, uint64_t generation, struct err *err) ATTR_WUR;
/* The same in many steps, between which others are staged and published: entries come one by one, a
 * later one of a key replaces an earlier one. */
struct snapshot_draft;
struct snapshot_draft *snapshot_draft_new(uint64_t n_keys);
void snapshot_draft_free(struct snapshot_draft **d);
int snapshot_draft_add(struct snapshot_draft *d, struct slice key, const struct route_entry *entry,
    struct err *err) ATTR_WUR;
int snapshot_writer_take(struct snapshot_writer *w, struct snapshot_draft **d, uint64_t generation,
    struct err *err) ATTR_WUR;
/* Stages changes to what is published (nothing may be staged already).  The same key twice: the
 * last one holds. */
int snapshot_writer_stage(struct snapshot_writer *w, const struct snapshot_change *changes,
    size_t n, uint64_t generation, struct err *err) ATTR_WUR;
/* Makes what is staged visible / forgets it. Without anything staged they do nothing. */
void snapshot_writer_publish(struct snapshot_writer *w);
void snapshot_writer_discard(struct snapshot_writer *w);

/* From the return on every look-up says UNKNOWN until the next rebuild is published. */
void snapshot_writer_invalidate(struct snapshot_writer *w);

#endif
