/* SPDX-License-Identifier: ISC */
/* io: files and directories, EINTR-safe, durable where the name says so, one writer by lock. */
#ifndef BASE_OS_IO_H
#define BASE_OS_IO_H

#include <stddef.h>
#include <sys/types.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"

int io_read_file(const char *path, size_t size_max, struct buf *out, struct err *err) ATTR_WUR;
/* As io_read_file, and refuses a file that is not a regular one of ours (or root's) with mode
 * 0600/0400/0440 at most (no access for others; group only when allow_group). For keys and
 * passwords. */
int io_read_secret(const char *path, size_t size_max, struct buf *out, struct err *err) ATTR_WUR;
/* Writes aside, fsyncs, renames into place, fsyncs the directory. */
int io_write_file_durable(
    const char *path, struct slice bytes, mode_t mode, struct err *err) ATTR_WUR;
int io_write_all(int fd, struct slice bytes, struct err *err) ATTR_WUR; /* blocking descriptors */
int io_mkdir(const char *path, mode_t mode, struct err *err) ATTR_WUR;  /* exists: fine */
int io_sync_dir(const char *path, struct err *err) ATTR_WUR;
/* Opens and flocks; busy: ERR_TEMP, EX_TEMPFAIL and a text that says who may hold it. Held until
 * close. */
int io_lock_file(const char *path, int *fd_out, struct err *err) ATTR_WUR;
void io_close(int *fd); /* -1 is fine; leaves -1 */
/* Path from parts: io_path(buf, run, "claims", id) -> run/claims/id.  Ends with NULL through the
 * macro. */
int io_path_join(struct buf *out, ...) ATTR_WUR;
#define io_path(out, ...) io_path_join((out), __VA_ARGS__, (const char *)NULL)

#endif
