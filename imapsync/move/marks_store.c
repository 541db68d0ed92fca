/* SPDX-License-Identifier: ISC */
/*
 * marks_store: see marks_store.h.
 *
 *   file   "coexmark", version, whether it is anew, length of the folders, the folders
 *          (marks_pack.c); head of a digest and count, twelve octets each, ascending; how many;
 *          SHA-256 of all that
 *
 * What is wrong in it is damage, and the marks count as lost, since half of them would bring mail
 * back.
 */
#include "imapsync/move/marks_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/journal/pack.h"
#include "imapsync/move/marks_parts.h"

#define PATH_LENGTH_MAX 4096
#define HEAD_SIZE (MARKS_MAGIC_SIZE + 2 + 4)
#define TAIL_SIZE (4 + SHA256_SIZE)
#define FENCE 128 /* entries that are read for one answer */

const char marks_magic[MARKS_MAGIC_SIZE] = {'c', 'o', 'e', 'x', 'm', 'a', 'r', 'k'};

/* --- Names ------------------------------------------------------------------------------------ */

int marks_path(
    const struct marks_store *s, bool id, const char *suffix, struct buf *out, struct err *err)
{
    struct slice dir = slice_str(s->user_dir);
    ptrdiff_t at = slice_rfind(dir, '/');
    buf_init(out, PATH_LENGTH_MAX);
    if (at < 0 || buf_add(out, slice_sub(dir, 0, (size_t)at)) != 0 ||
        buf_add_str(out, "/marks") != 0 || (id && buf_add(out, slice_from(dir, (size_t)at)) != 0) ||
        buf_add_str(out, suffix) != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", s->user_dir);
    return 0;
}

int marks_open_file(
    const struct marks_store *s, const char *suffix, int flags, int *fd_out, struct err *err)
{
    struct buf path;
    int result = marks_path(s, true, suffix, &path, err);
    *fd_out = -1;
    if (result == 0) {
        *fd_out = open(buf_cstr(&path), flags | O_CLOEXEC, 0600);
        if (*fd_out < 0 && (errno != ENOENT || flags & O_CREAT))
            result = err_sys(err, errno, "open %s", buf_cstr(&path));
    }
    buf_fini(&path);
    return result;
}

int marks_sync_folder(const struct marks_store *s, struct err *err)
{
    struct buf path;
    int result = marks_path(s, false, "", &path, err);
    if (result == 0)
        result = io_sync_dir(buf_cstr(&path), err);
    buf_fini(&path);
    return result;
}

void marks_store_init(struct marks_store *s, const char *user_dir)
{
    *s = (struct marks_store){.user_dir = user_dir, .fd = -1, .log_fd = -1};
}

static void close_files(struct marks_store *s)
{
    io_close(&s->fd);
    io_close(&s->log_fd);
    free(s->fence);
    s->fence = NULL;
    s->at = s->n = s->log_size = 0;
}

void marks_store_close(struct marks_store *s)
{
    marks_store_abandon(s);
    close_files(s);
}

/* --- Reading ---------------------------------------------------------------------------------- */

int marks_read_at(int fd, uint64_t at, void *out, size_t n, size_t *got_out, struct err *err)
{
    *got_out = 0;
    while (*got_out < n) {
        ssize_t got =
            pread(fd, (unsigned char *)out + *got_out, n - *got_out, (off_t)(at + *got_out));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(err, errno, "cannot read the marks");
        if (got == 0)
            break;
        *got_out += (size_t)got;
    }
    return 0;
}

int marks_size_of(int fd, uint64_t *out, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "cannot look at the marks");
    *out = (uint64_t)st.st_size;
    return 0;
}

struct marks_count marks_entry_at(const unsigned char *p)
{
    struct slice s = slice_make(p, MARKS_ENTRY_SIZE);
    struct marks_count c = {0};
    BUG_ON(!unpack_u64(&s, &c.key) || !unpack_u32(&s, &c.ever));
    return c;
}

/* A fence that is the key comes before it. */
static int by_fence(const void *fence, const void *key)
{
    return *(const uint64_t *)fence <= *(const uint64_t *)key ? -1 : 1;
}

/* The largest fence at or below the key; SIZE_MAX: the key is below the first. */
static size_t fence_of(const struct marks_store *s, uint64_t key)
{
    size_t n = (size_t)((s->n + FENCE - 1) / FENCE);
    return mem_place(&key, s->fence, n, sizeof(key), by_fence) - 1;
}

static int on_stored(void *arg, uint64_t key, uint32_t *ever_out, struct err *err)
{
    const struct marks_store *s = arg;
    unsigned char piece[FENCE * MARKS_ENTRY_SIZE];
    size_t at = fence_of(s, key), got;
    *ever_out = 0;
    if (at == SIZE_MAX)
        return 0;
    uint64_t from = (uint64_t)at * FENCE, n = s->n - from < FENCE ? s->n - from : FENCE;
    if (marks_read_at(s->fd, s->at + from * MARKS_ENTRY_SIZE, piece, (size_t)n * MARKS_ENTRY_SIZE,
            &got, err) != 0)
        return -1;
    for (size_t i = 0; i < got / MARKS_ENTRY_SIZE; i++) {
        struct marks_count c = marks_entry_at(piece + i * MARKS_ENTRY_SIZE);
        if (c.key == key)
            *ever_out = c.ever;
    }
    return 0;
}

/* Whether all of the file but its end has the SHA-256 that is there. */
static int check(struct marks_store *s, uint64_t size, bool *good_out, struct err *err)
{
    unsigned char *piece = mem_realloc_array(NULL, MARKS_STEP, 1);
    unsigned char digest[SHA256_SIZE], want[SHA256_SIZE] = {0};
    struct sha256 *sha = sha256_new();
    uint64_t at = 0, end = size - SHA256_SIZE;
    size_t got = 1;
    int result = 0;
    while (result == 0 && at < end && got > 0) {
        result = marks_read_at(
            s->fd, at, piece, (size_t)(end - at < MARKS_STEP ? end - at : MARKS_STEP), &got, err);
        sha256_add(sha, slice_make(piece, got));
        at += got;
    }
    sha256_finish(sha, digest);
    if (result == 0)
        result = marks_read_at(s->fd, end, want, sizeof(want), &got, err);
    *good_out = result == 0 && got == sizeof(want) && memcmp(digest, want, sizeof(want)) == 0;
    memcpy(s->binding, digest, MARKS_BINDING);
    sha256_free(&sha);
    free(piece);
    return result;
}

/* The first key of each piece. */
static int read_fence(struct marks_store *s, bool *good_out, struct err *err)
{
    unsigned char first[MARKS_ENTRY_SIZE];
    size_t got;
    s->fence = mem_realloc_array(NULL, (size_t)(s->n / FENCE + 1), sizeof(*s->fence));
    for (uint64_t i = 0; *good_out && i < s->n; i += FENCE) {
        if (marks_read_at(s->fd, s->at + i * MARKS_ENTRY_SIZE, first, sizeof(first), &got, err) !=
            0)
            return -1;
        *good_out = got == sizeof(first);
        s->fence[i / FENCE] = *good_out ? marks_entry_at(first).key : 0;
    }
    return 0;
}

static int read_folders(
    struct marks_store *s, struct marks *m, uint32_t n, bool *good_out, struct err *err)
{
    unsigned char *folders = mem_realloc_array(NULL, (size_t)n + 1, 1);
    size_t got;
    int result = marks_read_at(s->fd, HEAD_SIZE, folders, n, &got, err);
    *good_out = result == 0 && got == n && marks_apply(m, slice_make(folders, n));
    free(folders);
    return result;
}

static int read_file(struct marks_store *s, struct marks *m, bool *good_out, struct err *err)
{
    unsigned char head[HEAD_SIZE], tail[4];
    uint64_t size = 0;
    uint32_t n_folders = 0, n = 0;
    uint8_t version = 0, is_anew = 0;
    size_t got;
    *good_out = false;
    if (marks_size_of(s->fd, &size, err) != 0)
        return -1;
    if (size < HEAD_SIZE + TAIL_SIZE)
        return 0;
    if (check(s, size, good_out, err) != 0 ||
        marks_read_at(s->fd, 0, head, sizeof(head), &got, err) != 0 ||
        marks_read_at(s->fd, size - TAIL_SIZE, tail, sizeof(tail), &got, err) != 0)
        return -1;
    struct slice h = slice_make(head, sizeof(head)), t = slice_make(tail, sizeof(tail));
    *good_out = *good_out && memcmp(head, marks_magic, MARKS_MAGIC_SIZE) == 0;
    h = slice_from(h, MARKS_MAGIC_SIZE);
    *good_out = *good_out && unpack_u8(&h, &version);
    if (*good_out && version == MARKS_OLD_VERSION)
        return marks_old_read(s, m, size, good_out, err);
    *good_out =
        *good_out && version == MARKS_VERSION && unpack_u8(&h, &is_anew) && is_anew <= 1 &&
        unpack_u32(&h, &n_folders) && unpack_u32(&t, &n) &&
        size == HEAD_SIZE + (uint64_t)n_folders + (uint64_t)n * MARKS_ENTRY_SIZE + TAIL_SIZE;
    if (!*good_out)
        return 0;
    s->at = HEAD_SIZE + (uint64_t)n_folders;
    s->n = n;
    m->is_anew = is_anew == 1;
    if (read_folders(s, m, n_folders, good_out, err) != 0)
        return -1;
    return read_fence(s, good_out, err);
}

/* Of version 1: written anew at once, since what is learned has to be in a log of it. */
static int move_over(struct marks_store *s, struct marks *m, bool *found_out, struct err *err)
{
    close_files(s);
    log_info("marks_moved_over", log_str("path", s->user_dir));
    if (marks_store_begin(s, m, err) != 0 || marks_store_end(s, m, err) != 0)
        return -1;
    *found_out = true;
    return 0;
}

int marks_store_open(struct marks_store *s, struct marks *m, bool *found_out, struct err *err)
{
    bool is_good = true;
    *found_out = false;
    close_files(s);
    if (marks_open_file(s, "", O_RDONLY, &s->fd, err) != 0)
        return -1;
    bool is_there = s->fd >= 0;
    int result = is_there ? read_file(s, m, &is_good, err) : 0;
    bool is_old = is_there && result == 0 && is_good && !s->fence;
    if (is_old)
        return move_over(s, m, found_out, err);
    if (is_there && result == 0 && is_good)
        result = marks_log_read(s, m, &is_good, err);
    if (is_there && result == 0 && is_good) {
        m->stored = on_stored;
        m->arg = s;
        *found_out = true;
        return 0;
    }
    if (is_there && result == 0)
        log_error("marks_damaged", log_str("path", s->user_dir));
    marks_fini(m);
    close_files(s);
    return result;
}
