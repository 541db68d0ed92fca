/* SPDX-License-Identifier: ISC */
/*
 * snapshot_build: makes a new data file of the snapshot.  Only maps/snapshot_write.c uses it.
 *
 *     snapshot_build_new(dir, sequence, ids, n_keys, &b, err)
 *     snapshot_build_add(b, key, record, err) ...      a later one replaces an earlier one
 *     snapshot_build_finish(b, generation, &file, err)
 */
#ifndef MAPS_SNAPSHOT_BUILD_H
#define MAPS_SNAPSHOT_BUILD_H

#include "maps/snapshot_file.h"

struct snapshot_build;

/* A data file that the writer has mapped for writing. */
struct snapshot_rw {
    unsigned char *base; /* owned; NULL: none */
    size_t size;
    struct snapshot_file view; /* of base */
    _Atomic uint64_t *slots;
    uint64_t slots_used; /* with tombstones */
    uint64_t arena_used; /* from the start of the arena, entries that were replaced included */
};

/* Bounds of the share of slots that are in use: new files start below the first, a file above the
 * second is replaced. In percent. */
#define SNAPSHOT_LOAD_NEW 50
#define SNAPSHOT_LOAD_MAX 70
/* Room that a new file has for changes: a half of what is in it, and at least this. */
#define SNAPSHOT_SLACK_MIN (1u << 20)

/* Creates dir/map.<sequence>; nobody looks at it before the control file names it. n_keys: a guess.
 */
int snapshot_build_new(const char *dir, uint64_t sequence, const struct snapshot_ids *ids,
    uint64_t n_keys, struct snapshot_build **out, struct err *err) ATTR_WUR;
int snapshot_build_add(
    struct snapshot_build *b, struct slice key, struct slice record, struct err *err) ATTR_WUR;
/* The record that a key has in the build so far; borrowed until the next call. */
bool snapshot_build_get(const struct snapshot_build *b, struct slice key, struct slice *record_out);
/* Ends the build either way; on failure the file is gone. */
int snapshot_build_finish(struct snapshot_build **b, uint64_t generation, uint64_t keys,
    struct snapshot_rw *out, struct err *err) ATTR_WUR;
void snapshot_build_abandon(struct snapshot_build **b); /* removes the file */

void snapshot_rw_fini(struct snapshot_rw *f);
/* Path of a data file. */
int snapshot_data_path(const char *dir, uint64_t sequence, char *out, size_t size) ATTR_WUR;

#endif
