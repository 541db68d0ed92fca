/* SPDX-License-Identifier: ISC */
/*
 * marks_log: what has changed since the file was written.
 *
 *   log    "coexmlog", head of the file's SHA-256; changes, each with its length and the inverse of
 *          it before, and the head of its SHA-256 behind
 *
 * A log of an earlier file counts for nothing: what it had is in the file.  Its last change may be
 * torn, when nobody has been told that it is there; anything else that is wrong is damage.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/core/log.h"
#include "base/os/io.h"
#include "imapsync/journal/pack.h"
#include "imapsync/move/marks_parts.h"

#define LOG_HEAD_SIZE (MARKS_MAGIC_SIZE + MARKS_BINDING)
#define CHECK_SIZE 8
#define FRAME_SIZE (4 + 4 + CHECK_SIZE)

static const char log_magic[MARKS_MAGIC_SIZE] = {'c', 'o', 'e', 'x', 'm', 'l', 'o', 'g'};

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

int marks_log_read(struct marks_store *s, struct marks *m, bool *good_out, struct err *err)
{
    struct buf log;
    uint64_t size = 0;
    size_t got;
    *good_out = true;
    if (marks_open_file(s, ".log", O_RDWR, &s->log_fd, err) != 0)
        return -1;
    if (s->log_fd < 0)
        return 0;
    if (marks_size_of(s->log_fd, &size, err) != 0)
        return -1;
    if (size < LOG_HEAD_SIZE)
        return 0;
    *good_out = size <= MARKS_SIZE_MAX;
    buf_init(&log, MARKS_SIZE_MAX);
    unsigned char *to = *good_out ? buf_reserve(&log, (size_t)size) : NULL;
    int result = to ? marks_read_at(s->log_fd, 0, to, (size_t)size, &got, err) : 0;
    if (to && result == 0) {
        buf_commit(&log, got);
        if (got >= LOG_HEAD_SIZE && memcmp(to, log_magic, MARKS_MAGIC_SIZE) == 0 &&
            memcmp(to + MARKS_MAGIC_SIZE, s->binding, MARKS_BINDING) == 0)
            *good_out = replay(s, m, buf_slice(&log));
    }
    buf_fini(&log);
    return result;
}

/* A log of this file: an earlier one is written over. */
static int begin_log(struct marks_store *s, struct buf *out, struct err *err)
{
    if (s->log_fd < 0 && marks_open_file(s, ".log", O_RDWR | O_CREAT, &s->log_fd, err) != 0)
        return -1;
    if (s->log_size == 0) {
        BUG_ON(buf_add(out, slice_make(log_magic, MARKS_MAGIC_SIZE)) != 0 ||
               buf_add(out, slice_make(s->binding, MARKS_BINDING)) != 0);
    }
    if (ftruncate(s->log_fd, (off_t)s->log_size) != 0 ||
        lseek(s->log_fd, (off_t)s->log_size, SEEK_SET) < 0)
        return err_sys(err, errno, "cannot cut the marks' log");
    return s->log_size == 0 ? marks_sync_folder(s, err) : 0;
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
