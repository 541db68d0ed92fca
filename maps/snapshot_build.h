/* SPDX-License-Identifier: ISC */
/*
 * snapshot_build: makes a new data file of the snapshot.  Only maps/snapshot_write.c uses it.
 *
 *     b = snapshot_build_new(n_keys)
 *     snapshot_build_add(b, key, record) ...      a later one replaces an earlier one
 *     snapshot_build_finish(&b, where, generation, keys, &file, err)
 */
#ifndef MAPS_SNAPSHOT_BUILD_H
#define MAPS_SNAPSHOT_BUILD_H

#include "maps/snapshot_file.h"

/* Bounds of the share of cells that are in use, in percent: new files have the first, a file above
 * the second is replaced. */
#define SNAPSHOT_LOAD_NEW 60
#define SNAPSHOT_LOAD_MAX 75
/* Room that a new file has for changes: a quarter of the size of its entries, and at least this. */
#define SNAPSHOT_SLACK_MIN (1u << 20)

struct snapshot_build;

/* A data file that the writer has mapped for writing. */
struct snapshot_rw {
    unsigned char *base; /* owned; NULL: none */
    struct snapshot_file view;
    struct snapshot_cell *cells;
    uint64_t cells_used; /* with tombstones */
    uint64_t arena_used;
};

struct snapshot_build *snapshot_build_new(uint64_t n_keys); /* n_keys: a guess */
void snapshot_build_free(struct snapshot_build **b);
void snapshot_build_add(struct snapshot_build *b, struct slice key, struct slice record);
/* The record that a key has in the build so far; borrowed until the next call. */
bool snapshot_build_get(const struct snapshot_build *b, struct slice key, struct slice *record_out);
/* Writes dir/map.<sequence>, at which nobody looks before the control file names it.  Frees the
 * build either way; on failure there is no file. */
int snapshot_build_finish(struct snapshot_build **b, const char *dir, uint64_t sequence,
    const struct snapshot_ids *ids, uint64_t generation, uint64_t keys, struct snapshot_rw *out,
    struct err *err) ATTR_WUR;

void snapshot_rw_fini(struct snapshot_rw *f);
/* Path of a data file. */
int snapshot_data_path(const char *dir, uint64_t sequence, char *out, size_t size) ATTR_WUR;

#endif
