/* SPDX-License-Identifier: ISC */
/*
 * maildir_scan: the files of a folder.
 *
 * A directory that is read while somebody renames files in it may show a file twice or not at all.
 * Its time of change tells: the kernel takes it from a clock that stands still for some
 * milliseconds, so a time from before the clock's present one is changed by whatever comes.  Files
 * move from new/ to cur/, so new/ is read first.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/maildir_parts.h"

#define KEYWORDS_FILE "dovecot-keywords"

static bool is_before(struct timespec a, struct timespec b)
{
    return a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec);
}

int maildir_look_begin(const struct maildir_folder *f, struct maildir_look *l)
{
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &l->begun);
    return fstat(f->cur, &l->cur) == 0 && fstat(f->new, &l->new) == 0 ? 0 : -1;
}

bool maildir_look_is_still(const struct maildir_look *l)
{
    return is_before(l->cur.st_mtim, l->begun) && is_before(l->new.st_mtim, l->begun);
}

static bool is_same_stat(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

bool maildir_look_is_same(const struct maildir_look *a, const struct maildir_look *b)
{
    return is_same_stat(&a->cur, &b->cur) && is_same_stat(&a->new, &b->new);
}

uint64_t maildir_look_state(const struct maildir_folder *f, const struct maildir_look *l)
{
    uint64_t state = 0;
    struct stat st;
    disk_state_add_stat(&state, &l->cur);
    disk_state_add_stat(&state, &l->new);
    if (fstatat(f->fd, KEYWORDS_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        disk_state_add_stat(&state, &st);
        disk_state_add(&state, (uint64_t)st.st_size);
    }
    return state;
}

static DIR *open_again(int at)
{
    int fd = disk_dir_open(at, ".");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        io_close(&fd);
    return dir;
}

/* Folders in cur/ are nobody's mail; links and pipes are told as messages that cannot be read. */
static bool is_folder(DIR *dir, const struct dirent *d)
{
    struct stat st;
    if (d->d_type != DT_UNKNOWN)
        return d->d_type == DT_DIR;
    return fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

void maildir_leave_out(struct maildir_folder *f, const char *name)
{
    if (buf_add(&f->odd, slice_make(name, strlen(name) + 1)) != 0)
        return; /* enough of them are named */
}

/* seen: by rows of the list, what was found for them, plus one. */
static int add(
    struct maildir_folder *f, const char *text, bool is_new, uint32_t *seen, struct err *err)
{
    struct slice name = slice_str(text);
    struct maildir_name parts;
    if (!maildir_name_split(name, &parts)) {
        maildir_leave_out(f, text);
        return 0;
    }
    const struct uidlist_row *row = uidlist_find(&f->list, parts.base);
    if (row && row->uid != 0) {
        uint32_t *before = &seen[row - f->list.v];
        if (*before != 0) {
            maildir_leave_out(f, text);
            return 0;
        }
        *before = (uint32_t)f->n + 1;
    }
    if (f->n == MESSAGES_MAX)
        return err_set(err, ERR_PERM, 0, "more than %d messages", MESSAGES_MAX);
    if (f->n == f->cap) {
        f->cap = f->cap ? f->cap + f->cap / 2 : 64;
        f->v = mem_realloc_array(f->v, f->cap, sizeof(*f->v));
    }
    f->v[f->n++] = (struct maildir_file){.uid = row ? row->uid : 0,
        .at = (uint32_t)f->names.n,
        .n = (uint8_t)name.n,
        .is_new = is_new};
    return buf_add(&f->names, slice_make(text, name.n + 1));
}

static int scan_one(struct maildir_folder *f, bool is_new, uint32_t *seen, struct err *err)
{
    DIR *dir = open_again(is_new ? f->new : f->cur);
    if (!dir)
        return err_sys(err, errno, "cannot read a folder's files");
    int r = 0;
    errno = 0;
    for (struct dirent *d; r == 0 && (d = readdir(dir)) != NULL; errno = 0) {
        if (d->d_name[0] != '.' && !is_folder(dir, d))
            r = add(f, d->d_name, is_new, seen, err);
    }
    if (r == 0 && errno != 0)
        r = err_sys(err, errno, "cannot read a folder's files");
    (void)closedir(dir);
    return r;
}

int maildir_scan(struct maildir_folder *f, struct err *err)
{
    uint32_t *seen = mem_zalloc((f->list.n + 1) * sizeof(*seen));
    f->n = 0;
    buf_clear(&f->names);
    buf_clear(&f->odd);
    int r = scan_one(f, true, seen, err);
    if (r == 0)
        r = scan_one(f, false, seen, err);
    free(seen);
    return r;
}

static bool count_one(int at, size_t *n)
{
    DIR *dir = open_again(at);
    if (!dir)
        return false;
    for (struct dirent *d; (d = readdir(dir)) != NULL;)
        *n += d->d_name[0] != '.' && d->d_type != DT_DIR;
    (void)closedir(dir);
    return true;
}

size_t maildir_count(const struct maildir_folder *f)
{
    size_t n = 0;
    return count_one(f->new, &n) && count_one(f->cur, &n) ? n : SIZE_MAX;
}
