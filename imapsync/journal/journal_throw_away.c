/* SPDX-License-Identifier: ISC */
/*
 * journal_throw_away: a copy of a journal for a plan that nobody carries out.  The files of one
 * that nobody has open are all there is to it; what a crash has left in them is recovered in the
 * copy.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/os/io.h"
#include "imapsync/journal/journal_parts.h"

#define PATH_LENGTH_MAX 4096
#define LOCK "lock"
#define OCTETS_AT_ONCE (64u << 10)

void throw_away(const char *dir)
{
    struct buf home;
    struct err ignored = ERR_INIT;
    if (disk_path(&home, dir, "journal", &ignored) == 0)
        disk_remove(buf_cstr(&home));
    buf_fini(&home);
    disk_remove(dir);
}

static int copy_octets(int from, int to, const char *path, struct err *err)
{
    unsigned char octets[OCTETS_AT_ONCE];
    ssize_t n;
    while ((n = read(from, octets, sizeof(octets))) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(err, errno, "cannot read %s", path);
        if (io_write_all(to, slice_make(octets, (size_t)n), err) != 0)
            return -1;
    }
    return 0;
}

static int copy_file(const char *path, const char *to_path, struct err *err)
{
    int from = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), to = -1;
    if (from < 0)
        return err_sys(err, errno, "cannot open %s", path);
    to = open(to_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int result =
        to < 0 ? err_sys(err, errno, "cannot make %s", to_path) : copy_octets(from, to, path, err);
    io_close(&from);
    io_close(&to);
    return result;
}

/* The files of a folder, and of no folder in it. */
static int copy_files(const char *dir, const char *to, struct err *err)
{
    struct buf path, to_path;
    DIR *d = opendir(dir);
    int result = d ? io_mkdir(to, 0700, err) : errno == ENOENT ? 0 : -1;
    if (!d)
        return result == 0 ? 0 : err_sys(err, errno, "cannot read %s", dir);
    buf_init(&path, PATH_LENGTH_MAX);
    buf_init(&to_path, PATH_LENGTH_MAX);
    for (struct dirent *e; result == 0 && (e = readdir(d)) != NULL;) {
        struct stat st;
        if (strcmp(e->d_name, LOCK) == 0 ||
            fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        result = io_path(&path, dir, e->d_name) == 0 && io_path(&to_path, to, e->d_name) == 0
                     ? copy_file(buf_cstr(&path), buf_cstr(&to_path), err)
                     : err_set(err, ERR_PERM, EX_USAGE, "the path of the journal is too long");
    }
    (void)closedir(d);
    buf_fini(&path);
    buf_fini(&to_path);
    return result;
}

/* Under the lock of the one that is copied, where there is one. */
static int copy_journal(const char *dir, const char *to, struct err *err)
{
    struct buf home, to_home, lock;
    int lock_fd = -1;
    int result = disk_path(&home, dir, "journal", err);
    if (disk_path(&to_home, to, "journal", err) != 0 || disk_path(&lock, dir, LOCK, err) != 0)
        result = -1;
    if (result == 0 && disk_has(dir))
        result = io_lock_file(buf_cstr(&lock), &lock_fd, err);
    if (result == 0)
        result = copy_files(dir, to, err);
    if (result == 0)
        result = copy_files(buf_cstr(&home), buf_cstr(&to_home), err);
    io_close(&lock_fd);
    buf_fini(&home);
    buf_fini(&to_home);
    buf_fini(&lock);
    return result;
}

int journal_open_throw_away(
    const char *dir, const char *source, const char *target, struct journal **out, struct err *err)
{
    struct buf copy;
    buf_init(&copy, PATH_LENGTH_MAX);
    int result = buf_addf(&copy, "%s.dry-run", dir) == 0
                     ? 0
                     : err_set(err, ERR_PERM, EX_USAGE, "the path of the journal is too long");
    if (result == 0) {
        throw_away(buf_cstr(&copy)); /* of a run that was killed */
        result = copy_journal(dir, buf_cstr(&copy), err);
    }
    if (result == 0)
        result = journal_open(buf_cstr(&copy), source, target, out, err);
    if (result == 0)
        (*out)->is_throw_away = true;
    else
        throw_away(buf_cstr(&copy));
    buf_fini(&copy);
    return result;
}
