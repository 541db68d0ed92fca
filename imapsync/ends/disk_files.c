/* SPDX-License-Identifier: ISC */
/*
 * disk_files: files and folders of a mailbox, by descriptors: no link is ever followed below
 * DIR, so that an owner of a mailbox cannot make a copy that runs as root read or write elsewhere.
 * What is made gets DIR's modes, and its owner when we are root.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/ends/disk.h"

#define LOCK_STALE_S 120 /* a lock that nobody has touched for so long is nobody's: Dovecot's */
#define LOCK_TEXT_MAX 1024
#define GROWN 4096 /* octets that a file may have got since it was asked how large it is */

void disk_host(struct disk *m)
{
    if (gethostname(m->real_host, sizeof(m->real_host) - 1) != 0)
        m->real_host[0] = 0;
    for (size_t i = 0; i < sizeof(m->host); i++) {
        char c = m->real_host[i];
        m->host[i] = c == '/' || c == ':' || c == ',' ||
                             (c != 0 && !ascii_is_print((unsigned char)c)) || c == ' '
                         ? '_'
                         : c;
    }
}

int disk_dir_open(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Ours as root's would be closed to its owner's programs. */
static int give(const struct disk *m, int fd, mode_t mode)
{
    if (geteuid() == 0 && fchown(fd, m->st.st_uid, m->st.st_gid) != 0)
        return -1;
    return fchmod(fd, mode);
}

int disk_file_make(const struct disk *m, int at, const char *name, int flags)
{
    int fd = openat(at, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | flags, 0600);
    if (fd >= 0 && give(m, fd, m->st.st_mode & 0666) != 0)
        io_close(&fd);
    return fd;
}

int disk_dir_make(const struct disk *m, int at, const char *name)
{
    if (mkdirat(at, name, 0700) != 0)
        return -1;
    int fd = disk_dir_open(at, name);
    if (fd < 0)
        return -1;
    int r = give(m, fd, m->st.st_mode & 0777);
    io_close(&fd);
    return r;
}

int disk_unique(struct disk *m, struct buf *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return buf_addf(out, "%lld.M%ldP%ldQ%u.%s", (long long)now.tv_sec, now.tv_nsec / 1000,
        (long)getpid(), ++m->n_names, m->host);
}

/* --- Small files -------------------------------------------------------------------------- */

int disk_small_read(
    int at, const char *name, size_t max, struct buf *out, struct stat *st_out, struct err *err)
{
    int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct stat st;
    ssize_t got = 1;
    if (fd < 0)
        return errno == ENOENT ? 1 : err_sys(err, errno, "cannot read %s", name);
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > max) {
        io_close(&fd);
        return err_set(err, ERR_PERM, EX_DATAERR, "%s is no file, or too large", name);
    }
    while (got > 0) {
        size_t n = (out->n == 0 ? (size_t)st.st_size : 0) + GROWN;
        unsigned char *p = buf_reserve(out, n);
        got = p ? read(fd, p, n) : -1;
        if (got < 0 && p && errno == EINTR)
            got = 1;
        else if (got > 0)
            buf_commit(out, (size_t)got);
    }
    int errnum = errno;
    io_close(&fd);
    if (st_out)
        *st_out = st;
    return got == 0 ? 0 : err_sys(err, errnum, "cannot read %s", name);
}

int disk_small_write(
    const struct disk *m, int at, const char *name, struct slice text, struct err *err)
{
    char aside[64];
    if (fmt_into(aside, sizeof(aside), "%s.tmp", name) != 0)
        return err_set(err, ERR_PERM, EX_SOFTWARE, "%s: the name is too long", name);
    (void)unlinkat(at, aside, 0);
    int fd = disk_file_make(m, at, aside, O_EXCL);
    if (fd < 0)
        return err_sys(err, errno, "cannot write %s", aside);
    int r = io_write_all(fd, text, err);
    if (r == 0 && (fsync(fd) != 0 || renameat(at, aside, at, name) != 0 || fsync(at) != 0))
        r = err_sys(err, errno, "cannot write %s", name);
    io_close(&fd);
    if (r != 0)
        (void)unlinkat(at, aside, 0);
    return r;
}

/* --- Locks -------------------------------------------------------------------------------- */

/* The process on this host that has it is gone, or nobody has touched it for long. */
static bool is_stale(const struct disk *m, int at, const char *name, struct stat *st)
{
    struct buf text;
    struct slice rest, pid_text;
    struct err ignored = ERR_INIT;
    uint32_t pid;
    buf_init(&text, 4 * LOCK_TEXT_MAX + GROWN);
    bool is = disk_small_read(at, name, LOCK_TEXT_MAX, &text, st, &ignored) == 0;
    if (is) {
        rest = buf_slice(&text);
        bool is_ours = slice_split(&rest, ':', &pid_text) && rest.p &&
                       num_u32(pid_text, 1, INT32_MAX, &pid) == 0 &&
                       slice_eq(rest, slice_str(m->real_host));
        if (is_ours && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
            is = true;
        else
            is = clock_wall_s() - (int64_t)st->st_mtime > LOCK_STALE_S;
    }
    buf_fini(&text);
    return is;
}

static void break_lock(const struct disk *m, int at, const char *name)
{
    struct stat judged, now;
    if (is_stale(m, at, name, &judged) && fstatat(at, name, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
        now.st_ino == judged.st_ino && now.st_mtime == judged.st_mtime)
        (void)unlinkat(at, name, 0);
}

/* From a file without a name, so that nothing is left of who is killed. */
static int link_nameless(const struct disk *m, int at, const char *name, struct slice who)
{
    char path[64];
    struct err ignored = ERR_INIT;
    int fd = openat(at, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int r = give(m, fd, m->st.st_mode & 0666) == 0 && io_write_all(fd, who, &ignored) == 0 &&
                    fmt_into(path, sizeof(path), "/proc/self/fd/%d", fd) == 0
                ? linkat(AT_FDCWD, path, at, name, AT_SYMLINK_FOLLOW)
                : -1;
    if (r != 0)
        r = errno == EEXIST ? 1 : -1;
    io_close(&fd);
    return r;
}

static int link_aside(struct disk *m, int at, const char *name, struct slice who, struct err *err)
{
    char aside[300];
    struct buf unique;
    buf_init(&unique, 200);
    bool fits = disk_unique(m, &unique) == 0 &&
                fmt_into(aside, sizeof(aside), "%s.%s.lock", name, buf_cstr(&unique)) == 0;
    buf_fini(&unique);
    if (!fits)
        return err_set(err, ERR_PERM, EX_SOFTWARE, "%s: the name is too long", name);
    int fd = disk_file_make(m, at, aside, O_EXCL);
    if (fd < 0)
        return err_sys(err, errno, "cannot lock");
    int r = io_write_all(fd, who, err);
    io_close(&fd);
    if (r == 0 && linkat(at, aside, at, name, 0) != 0)
        r = errno == EEXIST ? 1 : err_sys(err, errno, "cannot lock");
    (void)unlinkat(at, aside, 0);
    return r;
}

/* A lock says whose it is from its first moment: it gets its name by link(). */
int disk_lock(struct disk *m, int at, const char *name, struct err *err)
{
    char who[128];
    if (fmt_into(who, sizeof(who), "%ld:%s", (long)getpid(), m->real_host) != 0)
        return err_set(err, ERR_PERM, EX_SOFTWARE, "the name of this host is too long");
    int r = link_nameless(m, at, name, slice_str(who));
    if (r < 0)
        r = link_aside(m, at, name, slice_str(who), err);
    if (r == 1)
        break_lock(m, at, name);
    return r;
}

void disk_unlock(int at, const char *name)
{
    (void)unlinkat(at, name, 0);
}
