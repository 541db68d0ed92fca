/* SPDX-License-Identifier: ISC */
/*
 * consumer_scan: the reading side.  A page is read, not mapped: its owner may cut it short at any
 * time.  Nothing in it is believed: lengths are checked, names are those of programs of ours or
 * "?", and what an address is worth is for the caller.
 */
#include "maps/consumer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/os/io.h"
#include "maps/claims.h"
#include "maps/consumer_file.h"

#define NEW_FILE_OLD_S 60

static bool read_at(int fd, size_t at, void *to, size_t n)
{
    return pread(fd, to, n, (off_t)at) == (ssize_t)n;
}

/* A page of this version, or -1. */
static int open_page(int dir_fd, const char *name, struct consumer_head *head)
{
    char boot[BOOT_ID_SIZE];
    struct err ignored = ERR_INIT;
    struct stat st;
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        st.st_size == (off_t)sizeof(struct consumer_file) && read_at(fd, 0, head, sizeof *head) &&
        memcmp(head->magic, consumer_magic, sizeof consumer_magic) == 0 &&
        head->version == CONSUMER_VERSION && boot_id(boot, &ignored) == 0 &&
        memcmp(boot, head->boot, sizeof boot) == 0)
        return fd;
    io_close(&fd);
    return -1;
}

static int open_dir(const char *run_dir)
{
    char path[4096];
    if (fmt_into(path, sizeof path, "%s/" CONSUMER_DIR, run_dir) != 0)
        return -1;
    return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

static void name_program(const struct consumer_head *head, char out[CONSUMER_PROGRAM_MAX])
{
    static const char *const KNOWN[] = {"relay", "milter", "lookup"};
    size_t n = strnlen(head->program, sizeof head->program);
    const char *name = "?";
    for (size_t i = 0; i < sizeof KNOWN / sizeof KNOWN[0]; i++)
        if (slice_eq(slice_make(head->program, n), slice_str(KNOWN[i])))
            name = KNOWN[i];
    if (fmt_into(out, CONSUMER_PROGRAM_MAX, "%s", name) != 0)
        BUG("a name does not fit");
}

/* One that was never finished. */
static void sweep_new(int dir_fd, const char *name)
{
    struct stat st;
    if (slice_starts(slice_str(name), SLICE_LIT(CONSUMER_NEW_PREFIX)) &&
        fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        clock_wall_s() - st.st_mtime > NEW_FILE_OLD_S)
        unlinkat(dir_fd, name, 0);
}

int consumers_list(const char *run_dir, void (*fn)(void *arg, const struct consumer_info *info),
    void *arg, struct err *err)
{
    int dir_fd = open_dir(run_dir);
    DIR *dir = dir_fd < 0 ? NULL : fdopendir(dir_fd);
    size_t n = 0;

    if (!dir) {
        int errnum = errno;
        io_close(&dir_fd);
        return errnum == ENOENT ? 0 : err_sys(err, errnum, "%s/" CONSUMER_DIR, run_dir);
    }
    for (struct dirent *d; n < CONSUMER_FILES_MAX && (d = readdir(dir)) != NULL;) {
        struct consumer_info info = {0};
        struct consumer_head head;
        if (d->d_name[0] == '.') {
            sweep_new(dir_fd, d->d_name);
            continue;
        }
        int fd = open_page(dir_fd, d->d_name, &head);
        if (fd < 0 || fmt_into(info.id, sizeof info.id, "%s", d->d_name) != 0) {
            io_close(&fd);
            continue;
        }
        info.is_alive = flock(fd, LOCK_SH | LOCK_NB) != 0;
        name_program(&head, info.program);
        info.pid = head.pid;
        info.started_s = head.started_s;
        info.used_s = atomic_load_explicit(&head.used_s, memory_order_relaxed);
        info.sequence = atomic_load_explicit(&head.sequence, memory_order_relaxed);
        info.seen = atomic_load_explicit(&head.seen, memory_order_relaxed);
        io_close(&fd);
        n++;
        fn(arg, &info);
    }
    closedir(dir);
    return 0;
}

/* False: another one has its place already. */
static bool read_record(int fd, uint64_t number, struct consumer_record *out)
{
    size_t at = offsetof(struct consumer_file, ring) +
                (size_t)((number - 1) % CONSUMER_RING) * sizeof(struct consumer_record);
    uint64_t again;

    if (!read_at(fd, at, out, sizeof *out))
        return false;
    atomic_thread_fence(memory_order_seq_cst);
    return read_at(fd, at + offsetof(struct consumer_record, number), &again, sizeof again) &&
           again == number && atomic_load_explicit(&out->number, memory_order_relaxed) == number &&
           out->key_n > 0 && out->key_n <= ROUTE_KEY_MAX && out->known <= MAIL_LOG_REFUSED;
}

uint64_t consumer_read(const char *run_dir, const char *id, uint64_t from, uint64_t *to_out,
    void (*fn)(void *arg, struct slice key, int64_t when_ms, enum mail_log_known known), void *arg)
{
    struct consumer_head head;
    struct consumer_record r;
    int dir_fd = open_dir(run_dir), fd = dir_fd < 0 ? -1 : open_page(dir_fd, id, &head);
    uint64_t seen = 0, lost = 0;

    *to_out = from;
    if (fd >= 0)
        seen = atomic_load_explicit(&head.seen, memory_order_relaxed);
    if (seen > from) {
        *to_out = seen;
        if (seen - from > CONSUMER_RING) {
            lost = seen - from - CONSUMER_RING;
            from = seen - CONSUMER_RING;
        }
        for (uint64_t i = from; i < seen; i++) {
            if (read_record(fd, i + 1, &r))
                fn(arg, slice_make(r.key, r.key_n), r.when_ms, (enum mail_log_known)r.known);
            else
                lost++;
        }
    }
    io_close(&fd);
    io_close(&dir_fd);
    return lost;
}

void consumer_remove(const char *run_dir, const char *id)
{
    int dir_fd = open_dir(run_dir);
    if (dir_fd >= 0)
        (void)unlinkat(dir_fd, id, 0);
    io_close(&dir_fd);
}

int consumers_make_dir(const char *run_dir, struct err *err)
{
    return claims_make_dir_for(run_dir, CONSUMER_DIR, err);
}
