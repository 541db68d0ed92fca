/* SPDX-License-Identifier: ISC */
/*
 * marks_store: see marks_store.h.
 *
 *   file   "coexmark", version, whether it is anew, length of the folders, the folders
 *          (marks_pack.c); head of a digest and count, twelve octets each, ascending; how many;
 *          SHA-256 of all that
 *   log    "coexmlog", head of the file's SHA-256; changes, each with its length and the inverse of
 *          it before, and the head of its SHA-256 behind
 *
 * A log of an earlier file counts for nothing: what it had is in the file.  Its last change may be
 * torn, when nobody has been told that it is there; anything else that is wrong is damage, and the
 * marks count as lost, since half of them would bring mail back.
 */
#include "imapsync/move/marks_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/hmac.h"
#include "base/os/io.h"
#include "imapsync/copy/pack.h"

#define PATH_LENGTH_MAX 4096
#define VERSION 2
#define MAGIC_SIZE 8
#define HEAD_SIZE (MAGIC_SIZE + 2 + 4)
#define ENTRY_SIZE 12
#define TAIL_SIZE (4 + SHA256_SIZE)
#define LOG_HEAD_SIZE (MAGIC_SIZE + MARKS_BINDING)
#define CHECK_SIZE 8
#define FRAME_SIZE (4 + 4 + CHECK_SIZE)
#define FENCE 128 /* entries that are read for one answer */
#define STEP 65536

static const char file_magic[MAGIC_SIZE] = {'c', 'o', 'e', 'x', 'm', 'a', 'r', 'k'};
static const char log_magic[MAGIC_SIZE] = {'c', 'o', 'e', 'x', 'm', 'l', 'o', 'g'};

struct marks_writer {
    int fd;
    struct sha256 *sha;
    struct buf out;
    struct marks_cursor cursor; /* in the counts of m */
    const struct marks *m;
    struct marks_count learned; /* the next of these */
    bool has_learned;
    struct marks_count filed; /* the next of the old file */
    bool has_filed;
    uint64_t next;           /* entry of the old file */
    unsigned char old[STEP]; /* a piece of it */
    size_t old_at, old_n;
    uint64_t key; /* of the inventory, and how many */
    uint32_t n_key;
    uint32_t n; /* written */
};

/* --- Names ------------------------------------------------------------------------------------ */

/* id false: the folder that they are all in. */
static int path_of(
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

/* *fd_out -1: it is not there. */
static int open_file(
    const struct marks_store *s, const char *suffix, int flags, int *fd_out, struct err *err)
{
    struct buf path;
    int result = path_of(s, true, suffix, &path, err);
    *fd_out = -1;
    if (result == 0) {
        *fd_out = open(buf_cstr(&path), flags | O_CLOEXEC, 0600);
        if (*fd_out < 0 && (errno != ENOENT || flags & O_CREAT))
            result = err_sys(err, errno, "open %s", buf_cstr(&path));
    }
    buf_fini(&path);
    return result;
}

static int sync_folder(const struct marks_store *s, struct err *err)
{
    struct buf path;
    int result = path_of(s, false, "", &path, err);
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

/* Short only at the end of the file. */
static int read_at(int fd, uint64_t at, void *out, size_t n, size_t *got_out, struct err *err)
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

static int size_of(int fd, uint64_t *out, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "cannot look at the marks");
    *out = (uint64_t)st.st_size;
    return 0;
}

static struct marks_count entry_at(const unsigned char *p)
{
    struct slice s = slice_make(p, ENTRY_SIZE);
    struct marks_count c = {0};
    BUG_ON(!unpack_u64(&s, &c.key) || !unpack_u32(&s, &c.ever));
    return c;
}

/* The largest fence at or below the key; SIZE_MAX: the key is below the first. */
static size_t fence_of(const struct marks_store *s, uint64_t key)
{
    size_t first = 0, end = (size_t)((s->n + FENCE - 1) / FENCE);
    while (first < end) {
        size_t mid = first + (end - first) / 2;
        if (s->fence[mid] <= key)
            first = mid + 1;
        else
            end = mid;
    }
    return first == 0 ? SIZE_MAX : first - 1;
}

static int on_stored(void *arg, uint64_t key, uint32_t *ever_out, struct err *err)
{
    const struct marks_store *s = arg;
    unsigned char piece[FENCE * ENTRY_SIZE];
    size_t at = fence_of(s, key), got;
    *ever_out = 0;
    if (at == SIZE_MAX)
        return 0;
    uint64_t from = (uint64_t)at * FENCE, n = s->n - from < FENCE ? s->n - from : FENCE;
    if (read_at(s->fd, s->at + from * ENTRY_SIZE, piece, (size_t)n * ENTRY_SIZE, &got, err) != 0)
        return -1;
    for (size_t i = 0; i < got / ENTRY_SIZE; i++) {
        struct marks_count c = entry_at(piece + i * ENTRY_SIZE);
        if (c.key == key)
            *ever_out = c.ever;
    }
    return 0;
}

/* Whether all of the file but its end has the SHA-256 that is there. */
static int check(struct marks_store *s, uint64_t size, bool *good_out, struct err *err)
{
    unsigned char *piece = mem_realloc_array(NULL, STEP, 1);
    unsigned char digest[SHA256_SIZE], want[SHA256_SIZE] = {0};
    struct sha256 *sha = sha256_new();
    uint64_t at = 0, end = size - SHA256_SIZE;
    size_t got = 1;
    int result = 0;
    while (result == 0 && at < end && got > 0) {
        result = read_at(s->fd, at, piece, (size_t)(end - at < STEP ? end - at : STEP), &got, err);
        sha256_add(sha, slice_make(piece, got));
        at += got;
    }
    sha256_finish(sha, digest);
    if (result == 0)
        result = read_at(s->fd, end, want, sizeof(want), &got, err);
    *good_out = result == 0 && got == sizeof(want) && memcmp(digest, want, sizeof(want)) == 0;
    memcpy(s->binding, digest, MARKS_BINDING);
    sha256_free(&sha);
    free(piece);
    return result;
}

/* The first key of each piece. */
static int read_fence(struct marks_store *s, bool *good_out, struct err *err)
{
    unsigned char first[ENTRY_SIZE];
    size_t got;
    s->fence = mem_realloc_array(NULL, (size_t)(s->n / FENCE + 1), sizeof(*s->fence));
    for (uint64_t i = 0; *good_out && i < s->n; i += FENCE) {
        if (read_at(s->fd, s->at + i * ENTRY_SIZE, first, sizeof(first), &got, err) != 0)
            return -1;
        *good_out = got == sizeof(first);
        s->fence[i / FENCE] = *good_out ? entry_at(first).key : 0;
    }
    return 0;
}

static int read_folders(
    struct marks_store *s, struct marks *m, uint32_t n, bool *good_out, struct err *err)
{
    unsigned char *folders = mem_realloc_array(NULL, (size_t)n + 1, 1);
    size_t got;
    int result = read_at(s->fd, HEAD_SIZE, folders, n, &got, err);
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
    if (size_of(s->fd, &size, err) != 0)
        return -1;
    if (size < HEAD_SIZE + TAIL_SIZE)
        return 0;
    if (check(s, size, good_out, err) != 0 ||
        read_at(s->fd, 0, head, sizeof(head), &got, err) != 0 ||
        read_at(s->fd, size - TAIL_SIZE, tail, sizeof(tail), &got, err) != 0)
        return -1;
    struct slice h = slice_make(head, sizeof(head)), t = slice_make(tail, sizeof(tail));
    *good_out = *good_out && memcmp(head, file_magic, MAGIC_SIZE) == 0;
    h = slice_from(h, MAGIC_SIZE);
    *good_out = *good_out && unpack_u8(&h, &version) && version == VERSION &&
                unpack_u8(&h, &is_anew) && is_anew <= 1 && unpack_u32(&h, &n_folders) &&
                unpack_u32(&t, &n) &&
                size == HEAD_SIZE + (uint64_t)n_folders + (uint64_t)n * ENTRY_SIZE + TAIL_SIZE;
    if (!*good_out)
        return 0;
    s->at = HEAD_SIZE + (uint64_t)n_folders;
    s->n = n;
    m->is_anew = is_anew == 1;
    if (read_folders(s, m, n_folders, good_out, err) != 0)
        return -1;
    return read_fence(s, good_out, err);
}

/* --- The log ---------------------------------------------------------------------------------- */

static void check_of(struct slice body, unsigned char out[CHECK_SIZE])
{
    unsigned char digest[SHA256_SIZE];
    sha256_of(body, digest);
    memcpy(out, digest, CHECK_SIZE);
}

static bool is_zero(struct slice s)
{
    while (s.n > 0 && s.p[0] == 0)
        s = slice_from(s, 1);
    return s.n == 0;
}

enum frame { FRAME_GOOD, FRAME_TORN, FRAME_DAMAGED };

/* Torn is what a crash can leave of the last one: less of it, or zeros from somewhere on. */
static enum frame next_frame(struct slice *rest, struct slice *body_out)
{
    struct slice s = *rest;
    unsigned char sum[CHECK_SIZE];
    uint32_t n, inverse;
    if (!unpack_u32(&s, &n) || !unpack_u32(&s, &inverse))
        return FRAME_TORN;
    if (n == 0 || inverse != ~n)
        return is_zero(s) ? FRAME_TORN : FRAME_DAMAGED;
    if (s.n < (uint64_t)n + CHECK_SIZE)
        return FRAME_TORN;
    *body_out = slice_sub(s, 0, n);
    *rest = slice_from(s, (size_t)n + CHECK_SIZE);
    check_of(*body_out, sum);
    if (memcmp(sum, s.p + n, CHECK_SIZE) == 0)
        return FRAME_GOOD;
    return is_zero(*rest) ? FRAME_TORN : FRAME_DAMAGED;
}

/* Makes the changes of the log. */
static bool replay(struct marks_store *s, struct marks *m, struct slice log)
{
    struct slice rest = slice_from(log, LOG_HEAD_SIZE), body;
    enum frame f = FRAME_GOOD;
    s->log_size = LOG_HEAD_SIZE;
    while (rest.n > 0 && f == FRAME_GOOD) {
        f = next_frame(&rest, &body);
        if (f == FRAME_DAMAGED || (f == FRAME_GOOD && !marks_apply(m, body)))
            return false;
        if (f == FRAME_GOOD)
            s->log_size = log.n - rest.n;
    }
    if (f == FRAME_TORN)
        log_warn(
            "marks_torn", log_str("path", s->user_dir), log_u64("octets", log.n - s->log_size));
    return true;
}

static int read_log(struct marks_store *s, struct marks *m, bool *good_out, struct err *err)
{
    struct buf log;
    uint64_t size = 0;
    size_t got;
    *good_out = true;
    if (open_file(s, ".log", O_RDWR, &s->log_fd, err) != 0)
        return -1;
    if (s->log_fd < 0)
        return 0;
    if (size_of(s->log_fd, &size, err) != 0)
        return -1;
    if (size < LOG_HEAD_SIZE)
        return 0;
    *good_out = size <= MARKS_SIZE_MAX;
    buf_init(&log, MARKS_SIZE_MAX);
    unsigned char *to = *good_out ? buf_reserve(&log, (size_t)size) : NULL;
    int result = to ? read_at(s->log_fd, 0, to, (size_t)size, &got, err) : 0;
    if (to && result == 0) {
        buf_commit(&log, got);
        if (got >= LOG_HEAD_SIZE && memcmp(to, log_magic, MAGIC_SIZE) == 0 &&
            memcmp(to + MAGIC_SIZE, s->binding, MARKS_BINDING) == 0)
            *good_out = replay(s, m, buf_slice(&log));
    }
    buf_fini(&log);
    return result;
}

int marks_store_open(struct marks_store *s, struct marks *m, bool *found_out, struct err *err)
{
    bool is_good = true;
    *found_out = false;
    close_files(s);
    if (open_file(s, "", O_RDONLY, &s->fd, err) != 0)
        return -1;
    bool is_there = s->fd >= 0;
    int result = is_there ? read_file(s, m, &is_good, err) : 0;
    if (is_there && result == 0 && is_good)
        result = read_log(s, m, &is_good, err);
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

/* A log of this file: an earlier one is written over. */
static int begin_log(struct marks_store *s, struct buf *out, struct err *err)
{
    if (s->log_fd < 0 && open_file(s, ".log", O_RDWR | O_CREAT, &s->log_fd, err) != 0)
        return -1;
    if (s->log_size == 0) {
        BUG_ON(buf_add(out, slice_make(log_magic, MAGIC_SIZE)) != 0 ||
               buf_add(out, slice_make(s->binding, MARKS_BINDING)) != 0);
    }
    if (ftruncate(s->log_fd, (off_t)s->log_size) != 0 ||
        lseek(s->log_fd, (off_t)s->log_size, SEEK_SET) < 0)
        return err_sys(err, errno, "cannot cut the marks' log");
    return s->log_size == 0 ? sync_folder(s, err) : 0;
}

int marks_store_append(struct marks_store *s, struct marks *m, struct err *err)
{
    struct slice changes = marks_changes(m);
    unsigned char sum[CHECK_SIZE];
    struct buf out;
    if (changes.n == 0)
        return 0;
    buf_init(&out, changes.n + LOG_HEAD_SIZE + FRAME_SIZE);
    int result = begin_log(s, &out, err);
    if (result == 0) {
        check_of(changes, sum);
        pack_u32(&out, (uint32_t)changes.n);
        pack_u32(&out, ~(uint32_t)changes.n);
        BUG_ON(buf_add(&out, changes) != 0 || buf_add(&out, slice_make(sum, CHECK_SIZE)) != 0);
        result = io_write_all(s->log_fd, buf_slice(&out), err);
    }
    if (result == 0 && fsync(s->log_fd) != 0)
        result = err_sys(err, errno, "cannot sync");
    if (result == 0) {
        s->log_size += out.n;
        marks_changes_done(m);
    }
    buf_fini(&out);
    return result == 0 ? 0 : err_wrap(err, "the marks' log");
}

/* --- Writing all anew ------------------------------------------------------------------------- */

static int flush(struct marks_writer *w, struct err *err)
{
    sha256_add(w->sha, buf_slice(&w->out));
    int result = io_write_all(w->fd, buf_slice(&w->out), err);
    buf_clear(&w->out);
    return result;
}

static void next_learned(struct marks_writer *w)
{
    do
        w->has_learned = marks_counts_next(&w->m->counts, &w->cursor, &w->learned);
    while (w->has_learned && w->learned.ever == 0); /* only asked for */
}

static int next_filed(struct marks_store *s, struct err *err)
{
    struct marks_writer *w = s->writer;
    w->has_filed = w->next < s->n;
    if (!w->has_filed)
        return 0;
    if (w->old_at == w->old_n) {
        size_t piece = STEP / ENTRY_SIZE * ENTRY_SIZE;
        if (read_at(s->fd, s->at + w->next * ENTRY_SIZE, w->old, piece, &w->old_n, err) != 0)
            return -1;
        w->old_at = 0;
        if (w->old_n < ENTRY_SIZE)
            return err_set(err, ERR_TEMP, EX_IOERR, "the marks have become shorter");
    }
    w->filed = entry_at(w->old + w->old_at);
    w->old_at += ENTRY_SIZE;
    w->next++;
    return 0;
}

int marks_store_begin(struct marks_store *s, const struct marks *m, struct err *err)
{
    struct buf path;
    BUG_ON(s->writer != NULL);
    int result = path_of(s, false, "", &path, err);
    if (result == 0)
        result = io_mkdir(buf_cstr(&path), 0700, err);
    buf_fini(&path);
    if (result != 0)
        return -1;
    struct marks_writer *w = s->writer = mem_zalloc(sizeof(*w));
    w->m = m;
    w->sha = sha256_new();
    w->fd = -1;
    buf_init(&w->out, MARKS_SIZE_MAX);
    struct buf folders;
    buf_init(&folders, MARKS_SIZE_MAX);
    marks_pack_folders(m, &folders);
    BUG_ON(buf_add(&w->out, slice_make(file_magic, MAGIC_SIZE)) != 0);
    pack_u8(&w->out, VERSION);
    pack_u8(&w->out, m->is_anew);
    pack_u32(&w->out, (uint32_t)folders.n);
    BUG_ON(buf_add(&w->out, buf_slice(&folders)) != 0);
    buf_fini(&folders);
    next_learned(w);
    if (next_filed(s, err) != 0 ||
        open_file(s, ".new", O_WRONLY | O_CREAT | O_TRUNC, &w->fd, err) != 0) {
        marks_store_abandon(s);
        return -1;
    }
    return 0;
}

void marks_store_abandon(struct marks_store *s)
{
    struct marks_writer *w = s->writer;
    if (!w)
        return;
    io_close(&w->fd);
    sha256_free(&w->sha);
    buf_fini(&w->out);
    free(w);
    s->writer = NULL;
}

static int put(struct marks_writer *w, uint64_t key, uint32_t ever, struct err *err)
{
    pack_u64(&w->out, key);
    pack_u32(&w->out, ever);
    w->n++;
    return w->out.n >= STEP ? flush(w, err) : 0;
}

/* Everything up to the key; `least` of the key itself. */
static int put_up_to(struct marks_store *s, uint64_t key, uint32_t least, struct err *err)
{
    struct marks_writer *w = s->writer;
    bool has_key = false;
    while ((w->has_filed && w->filed.key <= key) || (w->has_learned && w->learned.key <= key)) {
        bool is_filed = w->has_filed && (!w->has_learned || w->filed.key <= w->learned.key);
        bool is_learned = w->has_learned && (!w->has_filed || w->learned.key <= w->filed.key);
        struct marks_count c = is_learned ? w->learned : w->filed;
        if (c.key == key) {
            has_key = true;
            c.ever = c.ever > least ? c.ever : least;
        }
        if (put(w, c.key, c.ever, err) != 0)
            return -1;
        if (is_learned)
            next_learned(w);
        if (is_filed && next_filed(s, err) != 0)
            return -1;
    }
    return has_key || least == 0 ? 0 : put(w, key, least, err);
}

int marks_store_add(struct marks_store *s, uint64_t key, struct err *err)
{
    struct marks_writer *w = s->writer;
    if (w->n_key > 0 && key != w->key) {
        BUG_ON(key < w->key);
        if (put_up_to(s, w->key, w->n_key, err) != 0)
            return -1;
        w->n_key = 0;
    }
    w->key = key;
    w->n_key++;
    return 0;
}

static int finish(struct marks_store *s, struct err *err)
{
    struct marks_writer *w = s->writer;
    unsigned char digest[SHA256_SIZE];
    struct buf aside, path;
    if (put_up_to(s, w->n_key > 0 ? w->key : 0, w->n_key, err) != 0 ||
        put_up_to(s, UINT64_MAX, 0, err) != 0)
        return -1;
    pack_u32(&w->out, w->n);
    if (flush(w, err) != 0)
        return -1;
    sha256_finish(w->sha, digest);
    if (io_write_all(w->fd, slice_make(digest, sizeof(digest)), err) != 0)
        return -1;
    if (fsync(w->fd) != 0)
        return err_sys(err, errno, "cannot sync the marks");
    int result = path_of(s, true, ".new", &aside, err);
    if (path_of(s, true, "", &path, err) != 0)
        result = -1;
    if (result == 0 && rename(buf_cstr(&aside), buf_cstr(&path)) != 0)
        result = err_sys(err, errno, "rename %s", buf_cstr(&aside));
    buf_fini(&aside);
    buf_fini(&path);
    return result == 0 ? sync_folder(s, err) : -1;
}

/* Read again from the disk, which is what the next one will read. */
int marks_store_end(struct marks_store *s, struct marks *m, struct err *err)
{
    bool is_found = false;
    int result = finish(s, err);
    marks_store_abandon(s);
    if (result != 0)
        return err_wrap(err, "cannot write the marks");
    marks_fini(m);
    if (marks_store_open(s, m, &is_found, err) != 0)
        return -1;
    return is_found ? 0 : err_set(err, ERR_TEMP, EX_IOERR, "the marks are not what was written");
}
