/* SPDX-License-Identifier: ISC */
/*
 * snapshot: the published map in shared memory (design section 2), read without locks.  mapd writes
 * it (maps/snapshot_write.h), everybody else reads.
 *
 * Control file RUN/map.ctl {magic, boot id, map id, sequence}, data files RUN/map.<sequence>.
 * A reader checks the sequence at each look-up, maps the next file when it moved, and answers
 * ROUTE_UNKNOWN on a wrong boot id, map id, version or checksum, or when there is no snapshot.
 */
#ifndef MAPS_SNAPSHOT_H
#define MAPS_SNAPSHOT_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "maps/route.h"

struct snapshot;

struct snapshot_info {
    uint64_t generation; /* of the last change that is visible */
    uint64_t sequence;
    uint64_t keys; /* live entries */
    uint64_t bytes_used, bytes_total;
    char map_id[40];
};

/* Never fails for want of a snapshot: look-ups say UNKNOWN until there is one. One handle per
 * thread. */
struct snapshot *snapshot_new(const char *run_dir);
void snapshot_free(struct snapshot **s);
/* Fills entry (slices borrow from store). Wait-free; no system call while the sequence stands but
 * one stat of the control file a second. */
enum route_answer snapshot_get(
    struct snapshot *s, struct slice key, struct route_store *store, struct route_entry *entry);
struct route_view snapshot_view(struct snapshot *s);

/* For claims: true when the key still has the epoch that a decision saw; false also for UNKNOWN. */
bool snapshot_has_epoch(struct snapshot *s, const struct decide_key *key);
/* The next look-up compares the control file at its path with the one that is mapped. */
void snapshot_check_path(struct snapshot *s);

/* Goes through what is published, for those who keep an index of it.  A mark is a place in it, {0}
 * the start.  Entries come in no order, deleted ones too, and some more than once; what an entry
 * says may be out of date when it comes, so it is looked up before it is used. */
struct snapshot_mark {
    uint64_t sequence, at;
};
struct snapshot_visitor {
    void (*restart)(void *arg); /* everything comes anew */
    void (*entry)(void *arg, struct slice key, const struct route_entry *entry); /* borrowed */
    void *arg;
};
/* Gives all that was published since the mark and moves it; costs next to nothing when that is
 * nothing. -1: UNKNOWN, the mark and what was given stand. */
int snapshot_walk(struct snapshot *s, struct snapshot_mark *mark,
    const struct snapshot_visitor *visitor) ATTR_WUR;

/* Why look-ups say UNKNOWN, in words; "" when they do not. */
const char *snapshot_trouble(const struct snapshot *s);
/* Of the data file that the last look-up used; 0: none. */
uint64_t snapshot_sequence(const struct snapshot *s);
int snapshot_info(struct snapshot *s, struct snapshot_info *out) ATTR_WUR; /* -1: UNKNOWN */

#endif
