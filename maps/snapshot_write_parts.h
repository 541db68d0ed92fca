/* SPDX-License-Identifier: ISC */
/* snapshot_write_parts: the writer of the snapshot, for the files that make it. */
#ifndef MAPS_SNAPSHOT_WRITE_PARTS_H
#define MAPS_SNAPSHOT_WRITE_PARTS_H

#include <sys/types.h>
#include "maps/snapshot_build.h"
#include "maps/snapshot_write.h"

/* What has to stay where it is as long as this process publishes: the control file, the lock, the
 * claims. */
#define SNAPSHOT_OWN 3

/* A word that publication will store. */
struct pending {
    uint64_t cell, word;
    struct slice key; /* in the arena */
    bool is_new;      /* the cell is empty as yet */
    bool was_live, is_live;
};

struct snapshot_writer {
    char *run_dir;
    int lock_fd;
    struct {
        dev_t dev;
        ino_t ino;
    } own[SNAPSHOT_OWN];
    struct snapshot_ctl *ctl;
    struct snapshot_ids ids;
    struct snapshot_rw live;   /* what readers see, once this process has built it */
    struct snapshot_rw staged; /* the file that replaces it */
    uint64_t staged_sequence;
    struct pending *pending; /* SNAPSHOT_IN_PLACE_MAX */
    size_t n_pending;
    uint64_t staged_arena_used, staged_generation;
};

#endif
