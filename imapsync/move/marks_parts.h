/* SPDX-License-Identifier: ISC */
/*
 * marks_parts: what the files of the store of marks share among themselves.
 *
 *   marks_store.c   the file, and what is looked up in it
 *   marks_log.c     what has changed since
 *   marks_write.c   all of it anew
 *   marks_old.c     a file of version 1
 */
#ifndef IMAPSYNC_MOVE_MARKS_PARTS_H
#define IMAPSYNC_MOVE_MARKS_PARTS_H

#include "base/os/hmac.h"
#include "imapsync/move/marks_store.h"

#define MARKS_VERSION 2
#define MARKS_OLD_VERSION 1
#define MARKS_MAGIC_SIZE 8
#define MARKS_ENTRY_SIZE 12
#define MARKS_STEP 65536 /* octets that are read or written at once */

extern const char marks_magic[MARKS_MAGIC_SIZE];

/* id false: the folder that they are all in. */
int marks_path(const struct marks_store *s, bool id, const char *suffix, struct buf *out,
    struct err *err) ATTR_WUR;
/* *fd_out -1: it is not there. */
int marks_open_file(const struct marks_store *s, const char *suffix, int flags, int *fd_out,
    struct err *err) ATTR_WUR;
int marks_sync_folder(const struct marks_store *s, struct err *err) ATTR_WUR;
/* Short only at the end of the file. */
int marks_read_at(
    int fd, uint64_t at, void *out, size_t n, size_t *got_out, struct err *err) ATTR_WUR;
int marks_size_of(int fd, uint64_t *out, struct err *err) ATTR_WUR;
struct marks_count marks_entry_at(const unsigned char *p);

/* The changes of the log, if it is one of this file. */
int marks_log_read(
    struct marks_store *s, struct marks *m, bool *good_out, struct err *err) ATTR_WUR;
/* A file of version 1, whose SHA-256 was found right; all of it is in memory then. */
int marks_old_read(struct marks_store *s, struct marks *m, uint64_t size, bool *good_out,
    struct err *err) ATTR_WUR;

#endif
