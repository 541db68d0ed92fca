/* SPDX-License-Identifier: ISC */
/* reserve: see reserve.h.  The space is allocated; a file with a hole would reserve nothing. */
#include "maps/store/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/log.h"
#include "base/os/io.h"

#define PATH_BYTES_MAX 4096

static bool has_room(const char *home)
{
    struct statvfs fs;
    return statvfs(home, &fs) == 0 &&
           fs.f_bavail >= (unsigned long)RESERVE_BYTES * RESERVE_SHARE / fs.f_frsize;
}

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    int errnum = posix_fallocate(fd, 0, RESERVE_BYTES);
    close(fd);
    if (errnum != 0) {
        unlink(path);
        log_warn("reserve_failed", log_str("error", strerrordesc_np(errnum)));
    }
}

void reserve_make(const char *home)
{
    struct buf path;
    struct stat st;

    buf_init(&path, PATH_BYTES_MAX);
    if (io_path(&path, home, RESERVE_NAME) == 0 && lstat(buf_cstr(&path), &st) != 0 &&
        errno == ENOENT && has_room(home))
        make_file(buf_cstr(&path));
    buf_fini(&path);
}

bool reserve_give_up(const char *home)
{
    struct buf path;

    buf_init(&path, PATH_BYTES_MAX);
    bool is_gone = io_path(&path, home, RESERVE_NAME) == 0 && unlink(buf_cstr(&path)) == 0;
    buf_fini(&path);
    return is_gone;
}
