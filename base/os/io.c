/* SPDX-License-Identifier: ISC */
/*
 * io: see io.h.  Every call that a signal can interrupt is repeated.  A file that must survive a
 * power loss is written aside and renamed, and its directory is synced, because a rename without
 * that may come back as the old file; an fsync that failed is an error and is never tried again.
 *
 * A lock file is never removed: removing it would let two processes hold locks on two inodes of
 * the same name.  Should somebody else remove it, io_lock_file() notices and starts over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/num.h"
#include "base/os/io.h"

#define READ_STEP 65536
#define LOCK_TRIES 10

static int open_retry(const char *path, int flags, mode_t mode)
{
    int fd;

    do
        fd = open(path, flags | O_CLOEXEC, mode);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static ssize_t read_retry(int fd, void *out, size_t n)
{
    ssize_t got;

    do
        got = read(fd, out, n);
    while (got < 0 && errno == EINTR);
    return got;
}

void io_close(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
    errno = saved;
}

/* Reads to the end; `before` bytes were in the buffer. */
static int read_all(
    int fd, const char *path, size_t size_max, size_t before, struct buf *out, struct err *err)
{
    for (;;) {
        size_t room = size_max - (out->n - before);
        size_t want = room < READ_STEP ? room : READ_STEP;
        unsigned char extra, *at = &extra;
        ssize_t got;

        if (want > 0 && (at = buf_reserve(out, want)) == NULL)
            return err_set(err, ERR_TEMP, EX_OSERR, "read %s: no room for %zu bytes", path, want);
        /* At the limit one more byte is asked for, to tell "just fits" from "too large". */
        got = read_retry(fd, at, want > 0 ? want : 1);
        if (got < 0)
            return err_sys(err, errno, "read %s", path);
        if (got == 0)
            return 0;
        if (want == 0)
            return err_set(
                err, ERR_PERM, EX_DATAERR, "%s is larger than %zu bytes", path, size_max);
        buf_commit(out, (size_t)got);
    }
}

int io_read_file(const char *path, size_t size_max, struct buf *out, struct err *err)
{
    size_t before = out->n;
    int fd = open_retry(path, O_RDONLY, 0);
    int rc = -1;

    if (fd < 0)
        return err_sys(err, errno, "open %s", path);
    rc = read_all(fd, path, size_max, before, out, err);
    if (rc != 0)
        buf_truncate(out, before);
    io_close(&fd);
    return rc;
}

static int check_secret(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "stat %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_PERM, EX_CONFIG, "%s is not a regular file", path);
    if (st.st_uid != geteuid() && st.st_uid != 0)
        return err_set(err, ERR_PERM, EX_NOPERM, "%s belongs to user %u: it must be ours or root's",
            path, (unsigned)st.st_uid);
    if ((st.st_mode & 0137) != 0)
        return err_set(err, ERR_PERM, EX_NOPERM,
            "%s has mode %04o: a secret is 0600, or 0640 for its group, at most", path,
            (unsigned)(st.st_mode & 07777));
    return 0;
}

int io_read_secret(const char *path, size_t size_max, struct buf *out, struct err *err)
{
    size_t before = out->n;
    /* O_NONBLOCK: a FIFO of that name must not hang the start. */
    int fd = open_retry(path, O_RDONLY | O_NONBLOCK, 0);
    int rc = -1;

    if (fd < 0)
        return err_sys(err, errno, "open %s", path);
    /* All room at once, so that growing leaves no copy of the secret behind. */
    if (buf_reserve(out, size_max) == NULL)
        err_set(err, ERR_TEMP, EX_OSERR, "read %s: no room for %zu bytes", path, size_max);
    else if (check_secret(fd, path, err) == 0)
        rc = read_all(fd, path, size_max, before, out, err);
    if (rc != 0)
        buf_truncate(out, before);
    io_close(&fd);
    return rc;
}

int io_write_all(int fd, struct slice bytes, struct err *err)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "write");
        bytes = slice_from(bytes, (size_t)n);
    }
    return 0;
}

int io_sync_dir(const char *path, struct err *err)
{
    int fd = open_retry(path, O_RDONLY | O_DIRECTORY, 0);
    int rc = 0;

    if (fd < 0)
        return err_sys(err, errno, "open %s", path);
    if (fsync(fd) != 0)
        rc = err_sys(err, errno, "fsync %s", path);
    io_close(&fd);
    return rc;
}

int io_sync_parent(const char *path, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char *dir;
    int rc;

    if (slash == NULL)
        return io_sync_dir(".", err);
    dir = slice_dup(slice_make(path, slash == path ? 1 : (size_t)(slash - path)));
    rc = io_sync_dir(dir, err);
    free(dir);
    return rc;
}

int io_write_file_durable(const char *path, struct slice bytes, mode_t mode, struct err *err)
{
    struct buf aside;
    char *name;
    int fd, rc = -1;

    buf_init(&aside, strlen(path) + 8);
    if (buf_addf(&aside, "%s.XXXXXX", path) != 0)
        BUG("the name fits by construction");
    name = buf_steal_cstr(&aside);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0) {
        err_sys(err, errno, "create %s", name);
        free(name);
        return -1;
    }
    if (io_write_all(fd, bytes, err) != 0)
        err_wrap(err, "%s", name);
    else if (fchmod(fd, mode) != 0)
        err_sys(err, errno, "chmod %s", name);
    else if (fsync(fd) != 0)
        err_sys(err, errno, "fsync %s", name);
    else if (rename(name, path) != 0)
        err_sys(err, errno, "rename %s to %s", name, path);
    else
        rc = 0;
    if (rc != 0)
        (void)unlink(name);
    else
        rc = io_sync_parent(path, err);
    io_close(&fd);
    free(name);
    return rc;
}

int io_mkdir(const char *path, mode_t mode, struct err *err)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return err_sys(err, errno, "mkdir %s", path);
    if (stat(path, &st) != 0)
        return err_sys(err, errno, "stat %s", path);
    if (!S_ISDIR(st.st_mode))
        return err_sys(err, ENOTDIR, "mkdir %s", path);
    return 0;
}

/* --- Locks ------------------------------------------------------------------ */

static int busy(int fd, const char *path, struct err *err)
{
    char text[24];
    ssize_t n = pread(fd, text, sizeof(text), 0);
    struct slice pid = slice_make(text, n > 0 ? (size_t)n : 0);
    ptrdiff_t end = slice_find(pid, '\n');
    uint64_t id;

    if (end > 0 && num_u64(slice_sub(pid, 0, (size_t)end), 1, UINT64_MAX, &id) == 0)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s is locked by another process, probably %llu",
            path, (unsigned long long)id);
    return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s is locked by another process", path);
}

static bool is_still_there(int fd, const char *path)
{
    struct stat a, b;

    return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

static int note_holder(int fd, const char *path, struct err *err)
{
    char text[24];

    BUG_ON(fmt_into(text, sizeof(text), "%ld\n", (long)getpid()) != 0);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, strlen(text), 0) < 0)
        return err_sys(err, errno, "write %s", path);
    return 0;
}

/* Whoever may write in the folder can put any file of ours under this name, and whoever may open
 * the file can hold its lock: it has to be one that nobody else can have made or can open. */
static int check_lock_file(int fd, const char *path, struct err *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "stat %s", path);
    if (!S_ISREG(st.st_mode))
        return err_set(err, ERR_PERM, EX_CONFIG, "%s is not a regular file", path);
    if (st.st_uid != geteuid())
        return err_set(err, ERR_PERM, EX_NOPERM, "%s belongs to user %u and not to us, user %u",
            path, (unsigned)st.st_uid, (unsigned)geteuid());
    if (st.st_nlink > 1)
        return err_set(err, ERR_PERM, EX_NOPERM, "%s has other names: remove it", path);
    if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) != 0)
        return err_sys(err, errno, "chmod %s", path);
    return 0;
}

/* Not through a link, and without waiting for the other end of a FIFO. */
static int open_lock_file(const char *path, int *fd_out, struct err *err)
{
    int fd = open_retry(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0600);

    if (fd < 0 && errno == ELOOP)
        return err_set(err, ERR_PERM, EX_CONFIG, "%s is a link: remove it", path);
    if (fd < 0)
        return err_sys(err, errno, "open %s", path);
    if (check_lock_file(fd, path, err) != 0) {
        io_close(&fd);
        return -1;
    }
    *fd_out = fd;
    return 0;
}

int io_lock_file(const char *path, int *fd_out, struct err *err)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        int fd = -1, rc;

        if (open_lock_file(path, &fd, err) != 0)
            return -1;
        do
            rc = flock(fd, LOCK_EX | LOCK_NB);
        while (rc != 0 && errno == EINTR);
        if (rc != 0) {
            rc = errno == EWOULDBLOCK ? busy(fd, path, err) : err_sys(err, errno, "lock %s", path);
            io_close(&fd);
            return rc;
        }
        if (is_still_there(fd, path)) {
            if (note_holder(fd, path, err) == 0) {
                *fd_out = fd;
                return 0;
            }
            io_close(&fd);
            return -1;
        }
        io_close(&fd);
    }
    return err_set(err, ERR_TEMP, EX_TEMPFAIL, "lock %s: the file keeps being replaced", path);
}

/* --- Paths ------------------------------------------------------------------ */

int io_path_join(struct buf *out, ...)
{
    va_list ap;
    const char *part;
    int rc = 0;

    buf_clear(out);
    va_start(ap, out);
    while (rc == 0 && (part = va_arg(ap, const char *)) != NULL) {
        struct slice so_far = buf_slice(out);

        if (so_far.n > 0 && so_far.p[so_far.n - 1] != '/')
            rc = buf_add_byte(out, '/');
        if (rc == 0)
            rc = buf_add_str(out, part);
    }
    va_end(ap);
    if (rc != 0)
        buf_clear(out);
    return rc;
}
