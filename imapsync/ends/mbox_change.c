/* SPDX-License-Identifier: ISC */
/*
 * mbox_change: flags and removals, under the locks.  Flags for which there is room are written
 * where they stand; else the file is written anew, as it is to remove messages.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "imapsync/ends/mbox_parts.h"

/* What is written in place is not all of it for a moment, for who reads without a lock. */
#define IN_PLACE_MAX 65536

struct change {
    struct mbox_end *e;
    struct mbox_place p;
    int fd;
    struct mbox_edit *edits;
    bool is_needed;           /* the file has to be written anew */
    struct keywords keywords; /* that its first message has to name */
};

/* The folder as it is under the locks. */
static enum disk_step begin(struct mbox_end *e, struct change *c, struct err *err)
{
    *c = (struct change){.e = e, .fd = -1};
    struct slice name = disk_dup(e->open.name);
    enum disk_step step = mbox_lock_write(e, name, &c->p, &c->fd, err);
    if (step == DISK_DONE)
        step = mbox_folder_load_locked(e, name, c->fd, &e->open, err);
    if (step == DISK_DONE && e->open.list.validity != e->validity) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "%.*s: its UIDVALIDITY is another one by now",
            SLICE_ARG(name));
        err_scope_set(err, ERR_SCOPE_FOLDER);
        step = DISK_NO;
    }
    free((void *)(uintptr_t)name.p);
    if (step != DISK_DONE && c->fd >= 0)
        mbox_unlock_write(e, &c->p, &c->fd);
    if (step == DISK_DONE) {
        c->edits = mem_zalloc((e->open.scan.n + 1) * sizeof(*c->edits));
        mbox_keywords_join(&c->keywords, &e->open.scan.base_keywords);
    }
    return step;
}

static enum disk_step end(struct change *c, enum disk_step step, struct err *err)
{
    struct mbox_folder *f = &c->e->open;
    if (step == DISK_DONE && c->is_needed &&
        mbox_rewrite(c->e, &c->p, c->fd, f, &c->keywords, c->edits, err) != 0)
        step = DISK_NO;
    else if (step == DISK_DONE && !c->is_needed && fsync(c->fd) != 0)
        step = disk_no(err, errno, "cannot change flags", f->name);
    for (size_t i = 0; i < f->scan.n; i++)
        free((void *)(uintptr_t)c->edits[i].header.p);
    free(c->edits);
    keywords_fini(&c->keywords);
    /* In place nothing has moved; another file is read when it is needed. */
    if (fstat(c->fd, &f->st) != 0 || c->is_needed)
        f->st = (struct stat){0};
    f->state = 0;
    mbox_unlock_write(c->e, &c->p, &c->fd);
    if (step == DISK_NO && err->scope == ERR_SCOPE_NONE)
        err_scope_set(err, ERR_SCOPE_FOLDER);
    return step;
}

/* --- Flags -------------------------------------------------------------------------------- */

/* As flags of the file's own table. */
static struct flags own_flags(struct mbox_folder *f, const struct disk_request *r)
{
    struct flags own = {.system = r->flags.system};
    for (size_t i = 0; i < r->keywords.n; i++) {
        if (!(r->flags.keywords[i / 64] >> (i % 64) & 1))
            continue;
        int bit = keywords_bit(&f->scan.keywords, slice_str(r->keywords.names[i]));
        if (bit >= 0)
            own.keywords[bit / 64] |= UINT64_C(1) << (bit % 64);
    }
    return own;
}

static int write_difference(int fd, uint64_t at, struct slice old, struct slice new)
{
    size_t from = 0, to = new.n;
    while (from < to && old.p[from] == new.p[from])
        from++;
    while (to > from && old.p[to - 1] == new.p[to - 1])
        to--;
    if (to == from)
        return 0;
    ssize_t n = pwrite(fd, new.p + from, to - from, (off_t)(at + from));
    return n == (ssize_t)(to - from) ? 0 : -1;
}

static int edit_header(struct change *c, struct mbox_mail *m, const struct flags *flags,
    struct slice header, struct err *err)
{
    struct mbox_folder *f = &c->e->open;
    struct buf out;
    const struct mbox_label label = {.flags = flags, .keywords = &f->scan.keywords};
    buf_init(&out, MBOX_HEAD_MAX + IN_PLACE_MAX);
    int r = mbox_head_edit(header, &label, &out);
    if (r != 0) {
        err_set(err, ERR_PERM, EX_DATAERR, "message %u: its header is too large", m->uid);
    } else if (out.n == header.n && out.n <= IN_PLACE_MAX) {
        r = write_difference(c->fd, m->head, header, buf_slice(&out));
        if (r != 0)
            (void)disk_no(err, errno, "cannot change flags", f->name);
    } else {
        c->edits[m - f->scan.v].header = slice_make(slice_dup(buf_slice(&out)), out.n);
        c->is_needed = true;
    }
    buf_fini(&out);
    if (r == 0)
        m->flags = *flags;
    return r;
}

static int change_one(
    struct change *c, struct mbox_mail *m, const struct flags *flags, struct err *err)
{
    uint64_t n = m->behind - m->head;
    unsigned char *octets = mem_realloc_array(NULL, MBOX_HEAD_MAX, 1);
    ssize_t got =
        pread(c->fd, octets, n < MBOX_HEAD_MAX ? (size_t)n : MBOX_HEAD_MAX, (off_t)m->head);
    int r = got < 0 ? -1 : 0;
    if (r != 0)
        (void)disk_no(err, errno, "cannot read it", c->e->open.name);
    struct slice header = slice_make(octets, got > 0 ? (size_t)got : 0);
    header.n = mbox_head_length(header);
    if (r == 0)
        r = edit_header(c, m, flags, header, err);
    free(octets);
    return r;
}

/* In the first message, before any other has them. */
static enum disk_step name_keywords(struct change *c, const struct disk_request *r, struct err *err)
{
    struct mbox_folder *f = &c->e->open;
    struct mbox_scan *s = &f->scan;
    size_t n = c->keywords.n;
    mbox_keywords_join(&c->keywords, &r->keywords);
    if (c->keywords.n == n || !f->labels || s->validity == 0)
        return DISK_DONE;
    int result =
        mbox_base_write(c->fd, f->list.validity, f->list.next - 1, &c->keywords, s->base_head);
    if (result < 0)
        return disk_no(err, errno, "cannot change flags", f->name);
    c->is_needed |= result == 1 && !s->has_pseudo;
    if (result == 0)
        mbox_keywords_join(&s->base_keywords, &c->keywords);
    return DISK_DONE;
}

enum disk_step mbox_flags(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct mbox_end *e = mbox_end_of(d);
    struct change c;
    enum disk_step step = begin(e, &c, err);
    if (step != DISK_DONE)
        return step;
    const struct flags own = own_flags(&e->open, r);
    if (r->on)
        step = name_keywords(&c, r, err);
    for (size_t i = 0; i < r->n && step == DISK_DONE; i++) {
        struct mbox_mail *m = mbox_mail_find(&e->open, r->uids[i]);
        struct flags flags;
        if (!m)
            continue;
        flags = r->on ? flags_or(&m->flags, &own) : flags_minus(&m->flags, &own);
        if (!flags_eq(&flags, &m->flags) && change_one(&c, m, &flags, err) != 0)
            step = DISK_NO;
    }
    return end(&c, step, err);
}

/* --- Removing ----------------------------------------------------------------------------- */

enum disk_step mbox_remove(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct mbox_end *e = mbox_end_of(d);
    struct change c;
    enum disk_step step = begin(e, &c, err);
    if (step != DISK_DONE)
        return step;
    for (size_t i = 0; i < r->n; i++) {
        const struct mbox_mail *m = mbox_mail_find(&e->open, r->uids[i]);
        if (!m || !(m->flags.system & FLAG_DELETED))
            continue;
        c.edits[m - e->open.scan.v].is_removed = true;
        c.is_needed = true;
    }
    return end(&c, DISK_DONE, err);
}

enum disk_step mbox_move(struct disk_end *d, struct disk_request *r, struct err *err)
{
    (void)d;
    return disk_no(err, EOPNOTSUPP, "messages of an mbox are copied and removed", r->name);
}
