/* SPDX-License-Identifier: ISC */
/* io: files and directories, EINTR-safe, durable where the name says so, one writer by lock. */
#ifndef BASE_OS_IO_H
#define BASE_OS_IO_H

#include <stddef.h>
#include <sys/types.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"

/* Appends the whole file to `out`; on failure out is as before.  A larger file is ERR_PERM. */
int io_read_file(const char *path, size_t size_max, struct buf *out, struct err *err) ATTR_WUR;
/* As io_read_file, and refuses what is not a regular file of ours (or root's) that others cannot
 * touch and the group can at most read (0600, 0640 or less).  For keys and passwords: give it a
 * fresh buffer and end that with buf_fini_wipe(). */
int io_read_secret(const char *path, size_t size_max, struct buf *out, struct err *err) ATTR_WUR;
/* Writes aside, fsyncs, renames into place, fsyncs the directory. */
int io_write_file_durable(
    const char *path, struct slice bytes, mode_t mode, struct err *err) ATTR_WUR;
int io_write_all(int fd, struct slice bytes, struct err *err) ATTR_WUR; /* blocking descriptors */
int io_mkdir(const char *path, mode_t mode, struct err *err) ATTR_WUR;  /* exists: fine */
int io_sync_dir(const char *path, struct err *err) ATTR_WUR;
int io_sync_parent(const char *path, struct err *err) ATTR_WUR; /* the directory that it is in */
/* Opens (creates, 0600) and flocks; the file then holds our process id.  Busy: ERR_TEMP,
 * EX_TEMPFAIL and a text that names the holder.  Held until close; not inherited by exec.  Refuses
 * links, files of other users and what is no file, and writes only once it has the lock. */
int io_lock_file(const char *path, int *fd_out, struct err *err) ATTR_WUR;
void io_close(int *fd); /* -1 is fine; leaves -1 and errno as it was */
/* The buffer becomes the path: io_path(buf, run, "claims", id) -> run/claims/id.  Ends with NULL
 * through the macro. */
int io_path_join(struct buf *out, ...) ATTR_WUR;
#define io_path(out, ...) io_path_join((out), __VA_ARGS__, (const char *)NULL)

#endif
