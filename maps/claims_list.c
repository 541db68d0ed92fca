/* SPDX-License-Identifier: ISC */
/* claims_list: how many claims each process holds, for people.  What a barrier may rest on is
 * claims_scan.c. */
#include "maps/claims.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "maps/claims_file.h"

#define BLOCK 64

static void count(const struct claim *k, uint64_t now_ms, struct claims_info *out)
{
    uint64_t state = atomic_load_explicit(&k->state, memory_order_relaxed);
    uint64_t time_ms = atomic_load_explicit(&k->time_ms, memory_order_relaxed);

    if (state == CLAIM_COMMITTING)
        out->committing++;
    else if (state == CLAIM_AMBIGUOUS && now_ms - time_ms <= CLAIMS_AMBIGUOUS_MS)
        out->ambiguous++;
    else
        return;
    if (now_ms > time_ms && (now_ms - time_ms) / 1000 > out->oldest_s)
        out->oldest_s = (now_ms - time_ms) / 1000;
}

static bool read_file(int fd, struct claims_info *out)
{
    struct claim block[BLOCK];
    struct claims_head head;
    struct stat st;
    uint64_t now_ms = clock_mono_ms();

    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
        st.st_size != (off_t)sizeof(struct claims_file) ||
        pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
        memcmp(head.magic, claims_magic, sizeof claims_magic) != 0 ||
        head.version != CLAIMS_VERSION)
        return false;
    uint64_t used = atomic_load_explicit(&head.used, memory_order_relaxed);
    for (uint64_t i = 0; i < used && i < CLAIMS_SLOTS; i += BLOCK) {
        size_t at = offsetof(struct claims_file, slots) + (size_t)i * sizeof *block;
        if (pread(fd, block, sizeof block, (off_t)at) != (ssize_t)sizeof block)
            return false;
        for (size_t k = 0; k < BLOCK; k++)
            count(&block[k], now_ms, out);
    }
    return true;
}

/* <pid>.<random>; a dead process has no number any more. */
static void name_pid(struct slice name, struct claims_info *out)
{
    struct slice rest = name, word;
    uint64_t pid;
    if (slice_split(&rest, '.', &word) && num_u64(word, 1, INT32_MAX, &pid) == 0)
        out->pid = (int64_t)pid;
}

int claims_list(const char *run_dir, void (*fn)(void *arg, const struct claims_info *info),
    void *arg, struct err *err)
{
    char path[4096];

    if (fmt_into(path, sizeof path, "%s/" CLAIMS_DIR, run_dir) != 0)
        return err_set(err, ERR_PERM, 0, "%s: the path is too long", run_dir);
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? 0 : err_sys(err, errno, "%s", path);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        struct claims_info info = {0};
        if (d->d_name[0] == '.')
            continue;
        int fd = openat(dirfd(dir), d->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        name_pid(slice_str(d->d_name), &info);
        if (fd >= 0 && read_file(fd, &info))
            fn(arg, &info);
        io_close(&fd);
    }
    closedir(dir);
    return 0;
}
