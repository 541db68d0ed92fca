/* SPDX-License-Identifier: ISC */
/*
 * maildir_tmp: what is left in tmp/ of those who were stopped.  A file that a process of ours on
 * this host has begun, and that process is gone, is nobody's; of others, and of other hosts, what
 * nobody has touched for 36 hours, as every program that writes into a Maildir may remove it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/ends/maildir_parts.h"

#define OLD_S (36 * 3600)

bool maildir_tmp_is_ours(struct slice name, struct slice host, uint32_t *pid_out)
{
    struct slice word, rest = name;
    bool has_time = slice_split(&rest, '.', &word) && rest.p && slice_split(&rest, '.', &word);
    ptrdiff_t p = slice_find(word, 'P'), q = slice_find(word, 'Q');
    return has_time && rest.p && slice_eq(rest, host) && word.n > 0 && word.p[0] == 'M' && p > 0 &&
           q > p &&
           num_u32(slice_sub(word, (size_t)p + 1, (size_t)(q - p - 1)), 1, INT32_MAX, pid_out) == 0;
}

static bool is_left(const struct disk *m, const char *name, const struct stat *st)
{
    uint32_t pid;
    if (maildir_tmp_is_ours(slice_str(name), slice_str(m->host), &pid))
        return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
    return clock_wall_s() - (int64_t)st->st_mtime > OLD_S &&
           clock_wall_s() - (int64_t)st->st_ctime > OLD_S;
}

void maildir_tmp_clean(struct disk *m)
{
    struct stat st;
    int fd = disk_dir_open(m->tmp, ".");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        io_close(&fd);
        return;
    }
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] == '.' || fstatat(m->tmp, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !is_left(m, d->d_name, &st))
            continue;
        if (S_ISDIR(st.st_mode))
            maildir_drop_aside(m, d->d_name);
        else
            (void)unlinkat(m->tmp, d->d_name, 0);
    }
    (void)closedir(dir);
}
