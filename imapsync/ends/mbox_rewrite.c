/* SPDX-License-Identifier: ISC */
/*
 * mbox_rewrite: the file anew: written beside it, made durable and renamed.  Whoever waits for its
 * lock looks whether it is still the one of this name, as Dovecot does.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/ends/mbox_parts.h"

#define CHUNK 65536

/* Where the kernel cannot. */
static int copy_by_hand(int from, uint64_t at, uint64_t n, int to, uint64_t to_at)
{
    unsigned char *octets = mem_realloc_array(NULL, CHUNK, 1);
    int r = 0;
    while (n > 0 && r == 0) {
        ssize_t got = pread(from, octets, n < CHUNK ? (size_t)n : CHUNK, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0)
            errno = EIO;
        ssize_t put = got > 0 ? pwrite(to, octets, (size_t)got, (off_t)to_at) : -1;
        r = put > 0 ? 0 : -1;
        n -= r == 0 ? (uint64_t)put : 0;
        at += (uint64_t)(put > 0 ? put : 0);
        to_at += (uint64_t)(put > 0 ? put : 0);
    }
    free(octets);
    return r;
}

int mbox_copy(int from, uint64_t at, uint64_t n, int to, uint64_t to_at)
{
    off_t in = (off_t)at, out = (off_t)to_at;
    while (n > 0) {
        ssize_t got =
            copy_file_range(from, &in, to, &out, n < SSIZE_MAX ? (size_t)n : SSIZE_MAX, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return copy_by_hand(from, (uint64_t)in, n, to, (uint64_t)out);
        n -= (uint64_t)got;
    }
    return 0;
}

/* --- The new file ------------------------------------------------------------------------- */

struct output {
    int from, to;
    uint64_t at;
};

static int put(struct output *o, struct slice s)
{
    while (s.n > 0) {
        ssize_t n = pwrite(o->to, s.p, s.n, (off_t)o->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        o->at += (uint64_t)n;
        s = slice_from(s, (size_t)n);
    }
    return 0;
}

static int put_range(struct output *o, uint64_t from, uint64_t to)
{
    if (mbox_copy(o->from, from, to - from, o->to, o->at) != 0)
        return -1;
    o->at += to - from;
    return 0;
}

/* How long the header is that an edit replaces. */
static int old_header(int fd, const struct mbox_mail *m, uint64_t *n_out)
{
    uint64_t n = m->behind - m->head;
    unsigned char *octets = mem_realloc_array(NULL, MBOX_HEAD_MAX, 1);
    ssize_t got = pread(fd, octets, n < MBOX_HEAD_MAX ? (size_t)n : MBOX_HEAD_MAX, (off_t)m->head);
    if (got >= 0)
        *n_out = mbox_head_length(slice_make(octets, (size_t)got));
    free(octets);
    return got >= 0 ? 0 : -1;
}

static struct slice base_of(struct slice header)
{
    struct slice rest = header, line;
    size_t at = 0, n = 0;
    while (n == 0 && slice_split(&rest, '\n', &line)) {
        if (mbox_field_of(line) == MBOX_X_IMAPBASE)
            n = line.n + 1;
        else
            at += line.n + 1;
    }
    struct slice base = slice_sub(header, at, n);
    while (base.n > 0 && at + base.n < header.n && ascii_is_blank(header.p[at + base.n])) {
        ptrdiff_t lf = slice_find(slice_from(header, at + base.n), '\n');
        base.n = lf >= 0 ? base.n + (size_t)lf + 1 : header.n - at;
    }
    return base;
}

/* Its header; without X-IMAPbase. */
static int put_header(struct output *o, const struct mbox_folder *f, const struct mbox_mail *m,
    const struct mbox_edit *edit, uint64_t *skipped_out)
{
    const struct mbox_scan *s = &f->scan;
    bool has_base = s->base_n > 0 && s->base_at >= m->head && s->base_at < m->behind;
    *skipped_out = 0;
    if (edit && edit->header.p) {
        struct slice base = base_of(edit->header);
        size_t at = base.n > 0 ? (size_t)(base.p - edit->header.p) : edit->header.n;
        if (old_header(o->from, m, skipped_out) != 0 || put(o, slice_sub(edit->header, 0, at)) != 0)
            return -1;
        return put(o, slice_from(edit->header, at + base.n));
    }
    if (!has_base)
        return 0;
    *skipped_out = s->base_at + s->base_n - m->head;
    return put_range(o, m->head, s->base_at);
}

static int put_mail(struct output *o, const struct mbox_folder *f, const struct mbox_mail *m,
    const struct mbox_edit *edit, const struct keywords *base)
{
    struct buf line;
    uint64_t skipped = 0;
    int r = put_range(o, m->at, m->head);
    buf_init(&line, MBOX_HEAD_MAX);
    if (r == 0 && base)
        r = mbox_base_format(f->list.validity, f->list.next - 1, base, 0, &line) == 0
                ? put(o, buf_slice(&line))
                : -1;
    buf_fini(&line);
    if (r == 0)
        r = put_header(o, f, m, edit, &skipped);
    if (r == 0)
        r = put_range(o, m->head + skipped, m->behind);
    if (r == 0 && m->behind == f->scan.size && !f->scan.ends_line)
        r = put(o, SLICE_LIT("\n"));
    return r;
}

static int put_all(struct output *o, const struct mbox_folder *f, const struct keywords *keywords,
    const struct mbox_edit *edits)
{
    /* The first one that stays has it. */
    const struct keywords *base =
        f->labels && f->scan.validity != 0 && !f->scan.has_pseudo ? keywords : NULL;
    int r = 0;
    if (f->scan.has_pseudo)
        r = put_range(o, 0, f->scan.n > 0 ? f->scan.v[0].at : f->scan.size);
    for (size_t i = 0; i < f->scan.n && r == 0; i++) {
        if (edits && edits[i].is_removed)
            continue;
        r = put_mail(o, f, &f->scan.v[i], edits ? &edits[i] : NULL, base);
        base = NULL;
    }
    return r;
}

static int make_like(int dir, const char *name, int old)
{
    struct stat st;
    (void)unlinkat(dir, name, 0);
    int fd = openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    /* Another group is worse than none: the mode says what it may do. */
    bool is_like = fstat(old, &st) == 0 &&
                   (geteuid() != 0 || fchown(fd, st.st_uid, st.st_gid) == 0) &&
                   fchmod(fd, st.st_mode & 0777) == 0;
    if (!is_like)
        io_close(&fd);
    return fd;
}

/* A name that nobody takes for a folder. */
int mbox_aside(const struct mbox_place *p, char *out, size_t size)
{
    return fmt_into(out, size, "%s.new.lock", p->name);
}

static bool keeps_none(const struct mbox_folder *f, const struct mbox_edit *edits)
{
    bool none = !f->scan.has_pseudo && edits;
    for (size_t i = 0; i < f->scan.n && none; i++)
        none = edits[i].is_removed;
    return none;
}

int mbox_rewrite(struct mbox_end *e, const struct mbox_place *p, int fd,
    const struct mbox_folder *f, const struct keywords *keywords, const struct mbox_edit *edits,
    struct err *err)
{
    char aside[DISK_NAME_MAX + 16];
    /* An empty file says nothing of its UIDs. */
    if (keeps_none(f, edits) && e->m.fd >= 0 && mbox_list_save(e, f->name, &f->list, err) != 0)
        return -1;
    if (mbox_aside(p, aside, sizeof(aside)) != 0)
        BUG("a name that was checked");
    struct output o = {.from = fd, .to = make_like(p->dir, aside, fd)};
    bool is_done = o.to >= 0 && put_all(&o, f, keywords, edits) == 0 && fsync(o.to) == 0 &&
                   renameat(p->dir, aside, p->dir, p->name) == 0 && fsync(p->dir) == 0;
    int errnum = errno;
    if (!is_done && o.to >= 0)
        (void)unlinkat(p->dir, aside, 0);
    io_close(&o.to);
    if (!is_done)
        (void)disk_no(err, errnum, "cannot write it anew", f->name);
    return is_done ? 0 : -1;
}

int mbox_base_write(
    int fd, uint32_t validity, uint32_t last, const struct keywords *keywords, uint64_t head)
{
    struct output o = {.from = -1, .to = fd};
    struct buf out;
    unsigned char *octets = mem_realloc_array(NULL, CHUNK, 1);
    ssize_t got = pread(fd, octets, CHUNK, (off_t)head);
    struct slice header = slice_make(octets, got > 0 ? (size_t)got : 0);
    header.n = mbox_head_length(header);
    buf_init(&out, (size_t)2 * CHUNK);
    int r = got < 0 ? -1 : mbox_base_edit(header, validity, last, keywords, &out) == 0 ? 0 : 1;
    size_t from = 0, to = out.n;
    while (r == 0 && from < to && header.p[from] == out.p[out.off + from])
        from++;
    while (r == 0 && to > from && header.p[to - 1] == out.p[out.off + to - 1])
        to--;
    o.at = head + from;
    if (r == 0 && to > from)
        r = put(&o, slice_sub(buf_slice(&out), from, to - from));
    buf_fini(&out);
    free(octets);
    return r;
}

void mbox_keywords_join(struct keywords *to, const struct keywords *from)
{
    for (size_t i = 0; i < from->n; i++)
        (void)keywords_bit(to, slice_str(from->names[i]));
}
