/* SPDX-License-Identifier: ISC */
/*
 * mbox_files: where the folders of a mailbox are, and the locks of their files.
 *
 * Locks are Dovecot's, in its order: FILE.lock, which says who has it, then the file's own
 * (fcntl()), as a lock of the open file: two ends of one process keep out of each other's way too.
 * Where FILE.lock cannot be made, as in a spool of the system's, the file's own has to do.  Whoever
 * waits for a lock finds another file of this name when somebody has written it anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/mbox_parts.h"
#include "imapsync/ends/utf7.h"

/* --- Names -------------------------------------------------------------------------------- */

bool mbox_name_is_hidden(const char *name)
{
    return name[0] == '.' || slice_ends_nocase(slice_str(name), SLICE_LIT(".lock"));
}

/* Modified UTF-7; each level can be a file's name. */
bool mbox_name_is_sound(struct slice name)
{
    struct buf utf8;
    struct slice rest = name, level;
    if (name.n > FOLDER_NAME_MAX)
        return false;
    while (slice_split(&rest, '/', &level)) {
        if (level.n == 0 || level.n > DISK_NAME_MAX - 10 || level.p[0] == '.' ||
            slice_ends_nocase(level, SLICE_LIT(".lock")))
            return false;
    }
    for (size_t i = 0; i < name.n; i++) {
        if (!ascii_is_print(name.p[i]))
            return false;
    }
    buf_init(&utf8, FOLDER_NAME_MAX);
    bool is = imap_utf7_decode(name, &utf8) == 0;
    buf_fini(&utf8);
    return is;
}

void mbox_place_fini(struct mbox_place *p)
{
    io_close(&p->dir);
}

static int set_name(struct mbox_place *p, struct slice name)
{
    if (fmt_into(p->name, sizeof(p->name), "%.*s", SLICE_ARG(name)) == 0)
        return 0;
    errno = ENAMETOOLONG;
    return -1;
}

/* -1 with errno. */
static int enter(struct mbox_end *e, int at, struct slice level, bool makes)
{
    char *name = slice_dup(level);
    int fd = disk_dir_open(at, name);
    if (fd < 0 && errno == ENOENT && makes && disk_dir_make(&e->m, at, name) == 0)
        fd = fsync(at) == 0 ? disk_dir_open(at, name) : -1;
    int errnum = errno;
    mem_free_string(&name);
    errno = errnum;
    return fd;
}

int mbox_place_find(struct mbox_end *e, struct slice name, bool makes, struct mbox_place *out)
{
    struct slice rest = name, level;
    *out = (struct mbox_place){.dir = -1};
    if (folder_is_inbox(name)) {
        errno = ENOENT;
        if (e->inbox.dir < 0)
            return -1;
        out->dir = fcntl(e->inbox.dir, F_DUPFD_CLOEXEC, 0);
        return out->dir < 0 ? -1 : set_name(out, slice_str(e->inbox.name));
    }
    errno = EINVAL;
    if (e->m.fd < 0 || !mbox_name_is_sound(name))
        return -1;
    out->dir = fcntl(e->m.fd, F_DUPFD_CLOEXEC, 0);
    while (out->dir >= 0 && slice_split(&rest, '/', &level) && rest.p) {
        int next = enter(e, out->dir, level, makes);
        io_close(&out->dir);
        out->dir = next;
    }
    return out->dir < 0 ? -1 : set_name(out, level);
}

/* --- Files -------------------------------------------------------------------------------- */

int mbox_file_open(const struct mbox_place *p, int flags, struct stat *st)
{
    int fd = openat(p->dir, p->name, flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
        return fd;
    io_close(&fd);
    errno = EINVAL;
    return -1;
}

static enum disk_step own_lock(int fd, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
    if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
        return DISK_DONE;
    return errno == EAGAIN || errno == EACCES ? DISK_AGAIN : DISK_NO;
}

enum disk_step mbox_lock_read(int fd)
{
    return own_lock(fd, F_RDLCK);
}

void mbox_unlock_read(int fd)
{
    (void)own_lock(fd, F_UNLCK);
}

static bool can_make(const struct mbox_place *p)
{
    return faccessat(p->dir, ".", W_OK, AT_EACCESS) == 0;
}

static void drop_dotlock(const struct mbox_place *p)
{
    char lock[DISK_NAME_MAX + 8];
    if (can_make(p) && fmt_into(lock, sizeof(lock), "%s.lock", p->name) == 0)
        disk_unlock(p->dir, lock);
}

static enum disk_step take_dotlock(struct mbox_end *e, const struct mbox_place *p, struct err *err)
{
    char lock[DISK_NAME_MAX + 8];
    if (!can_make(p))
        return DISK_DONE;
    if (fmt_into(lock, sizeof(lock), "%s.lock", p->name) != 0)
        BUG("a name that was checked");
    int r = disk_lock(&e->m, p->dir, lock, err);
    if (r < 0)
        err_scope_set(err, ERR_SCOPE_FOLDER);
    return r == 0 ? DISK_DONE : r > 0 ? DISK_AGAIN : DISK_NO;
}

static bool is_of_this_name(const struct mbox_place *p, const struct stat *st)
{
    struct stat there;
    return fstatat(p->dir, p->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           there.st_ino == st->st_ino && there.st_dev == st->st_dev;
}

/* Of somebody who was stopped while he wrote the file anew. */
static void drop_aside(const struct mbox_place *p)
{
    char aside[DISK_NAME_MAX + 16];
    if (mbox_aside(p, aside, sizeof(aside)) == 0)
        (void)unlinkat(p->dir, aside, 0);
}

enum disk_step mbox_lock_write(
    struct mbox_end *e, struct slice folder, struct mbox_place *p, int *fd_out, struct err *err)
{
    struct stat st;
    *fd_out = -1;
    if (mbox_place_find(e, folder, false, p) != 0)
        return disk_no(err, errno, "cannot open it", folder);
    enum disk_step step = take_dotlock(e, p, err);
    if (step != DISK_DONE) {
        mbox_place_fini(p);
        return step;
    }
    int fd = mbox_file_open(p, O_RDWR, &st);
    step = fd < 0 ? disk_no(err, errno, "cannot write it", folder) : own_lock(fd, F_WRLCK);
    if (step == DISK_NO && fd >= 0)
        (void)disk_no(err, errno, "cannot lock it", folder);
    if (step == DISK_DONE && !is_of_this_name(p, &st))
        step = DISK_AGAIN;
    if (step == DISK_DONE) {
        drop_aside(p);
        *fd_out = fd;
        return DISK_DONE;
    }
    io_close(&fd);
    drop_dotlock(p);
    mbox_place_fini(p);
    return step;
}

void mbox_unlock_write(struct mbox_end *e, struct mbox_place *p, int *fd)
{
    (void)e;
    (void)own_lock(*fd, F_UNLCK); /* others may have this descriptor too */
    io_close(fd);
    drop_dotlock(p);
    mbox_place_fini(p);
}
