/* SPDX-License-Identifier: ISC */
/*
 * marks_store: the marks of one user on the disk, beside the folders that hold journals, not in
 * them, so that neither is lost with the other; only who has the user's lock writes them.
 *
 *   STATE/sync/marks/ID      folders and counts, sorted, replaced as a whole
 *   STATE/sync/marks/ID.log  what has changed since, appended
 *
 * Of the counts only what a pass asks for is in memory.
 */
#ifndef IMAPSYNC_MOVE_MARKS_STORE_H
#define IMAPSYNC_MOVE_MARKS_STORE_H

#include "base/core/err.h"
#include "imapsync/move/marks.h"

#define MARKS_LOG_MAX (1u << 20) /* longer: time for marks_store_write() */
#define MARKS_BINDING 16

struct marks_writer;

struct marks_store {
    const char *user_dir;                 /* STATE/sync/ID; borrowed */
    int fd, log_fd;                       /* -1: none */
    uint64_t at, n;                       /* counts in the file, and where they begin */
    uint64_t *fence;                      /* every so manieth key */
    uint64_t log_size;                    /* of what is good in it; 0: there is none yet */
    unsigned char binding[MARKS_BINDING]; /* the log's to its file */
    struct marks_writer *writer;
};

void marks_store_init(struct marks_store *s, const char *user_dir);
void marks_store_close(struct marks_store *s);
/* m is empty and gets what there is; it asks the store from then on.  *found_out false: there are
 * none, or they are damaged, which is logged; m is empty then. */
int marks_store_open(
    struct marks_store *s, struct marks *m, bool *found_out, struct err *err) ATTR_WUR;
/* The changes of m since the last time, durably. */
int marks_store_append(struct marks_store *s, struct marks *m, struct err *err) ATTR_WUR;

/* Writes all anew: begin; of an inventory the head of each message's digest, ascending, equal ones
 * as often as they are there, which are the least that there ever were; end.  m then has no counts
 * in memory.  After a failure the old file is there. */
int marks_store_begin(struct marks_store *s, const struct marks *m, struct err *err) ATTR_WUR;
int marks_store_add(struct marks_store *s, uint64_t key, struct err *err) ATTR_WUR;
int marks_store_end(struct marks_store *s, struct marks *m, struct err *err) ATTR_WUR;
void marks_store_abandon(struct marks_store *s);

#endif
