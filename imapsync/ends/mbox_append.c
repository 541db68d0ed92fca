/* SPDX-License-Identifier: ISC */
/*
 * mbox_append: storing messages.
 *
 * Octets go as they come into memory, and of more than a little into a file without a name, as they
 * will stand in the folder's.  When the batch is whole and has its turn, all of it is appended
 * under the locks and made durable; what cannot be appended to its end is cut off.  A kill leaves
 * whole messages, and perhaps a part of one, which the next one who appends cuts off.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/mbox_from.h"
#include "imapsync/ends/mbox_parts.h"

#define KEPT_MAX ((size_t)1 << 20) /* of a batch in memory */

struct message {
    struct flags flags;
    int64_t date_s;
    uint64_t size, written, octets; /* octets: as they stand in the file */
};

struct batch {
    struct disk_request *r;
    struct mbox_codec codec;
    struct buf kept; /* behind what was spilled */
    int fd;          /* -1: nothing was */
    uint64_t spilled;
    bool is_begun; /* the last message has not been ended */
    struct message *v;
};

void mbox_batch_free(struct disk_request *r)
{
    struct batch *b = r->messages;
    if (b) {
        io_close(&b->fd);
        buf_fini(&b->kept);
        free(b->v);
    }
    free(b);
    r->messages = NULL;
    r->n_messages = 0;
}

/* --- The parts of a batch ----------------------------------------------------------------- */

/* In DIR, where there is the room that the messages need anyhow. */
static int spill_file(const struct mbox_end *e)
{
    int fd =
        openat(e->m.fd >= 0 ? e->m.fd : e->inbox.dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return fd >= 0 ? fd : open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static void spill(struct mbox_end *e, struct batch *b)
{
    struct err why = ERR_INIT;
    if (b->fd < 0)
        b->fd = spill_file(e);
    if (b->fd < 0 || io_write_all(b->fd, buf_slice(&b->kept), &why) != 0)
        disk_fail(b->r, errno, "cannot write a message");
    b->spilled += b->kept.n;
    buf_clear(&b->kept);
}

static void keep(void *arg, struct slice octets)
{
    struct batch *b = arg;
    b->v[b->r->n_messages - 1].octets += octets.n;
    if (buf_add(&b->kept, octets) != 0)
        disk_fail(b->r, ENOMEM, "cannot write a message");
}

static void end_message(struct batch *b)
{
    if (b->is_begun)
        mbox_codec_end(&b->codec);
    b->is_begun = false;
}

static struct batch *batch_of(struct disk_request *r)
{
    struct batch *b = r->messages;
    if (b)
        return b;
    b = mem_zalloc(sizeof(*b));
    b->r = r;
    b->fd = -1;
    buf_init(&b->kept, 4 * KEPT_MAX);
    r->messages = b;
    return b;
}

void mbox_append_message(
    struct disk_end *d, struct disk_request *r, const struct end_message *message)
{
    struct batch *b = batch_of(r);
    (void)d;
    end_message(b);
    b->v = mem_realloc_array(b->v, r->n_messages + 1, sizeof(*b->v));
    disk_take_flags(r, message->flags, message->keywords);
    b->v[r->n_messages++] = (struct message){.flags = r->flags,
        .date_s = message->has_date ? message->date_s : clock_wall_s(),
        .size = message->size};
    mbox_encoder_init(&b->codec, keep, b);
    b->is_begun = true;
}

/* Encoded octets are at most twice as many. */
void mbox_append_octets(struct disk_end *d, struct disk_request *r, struct slice octets)
{
    struct batch *b = batch_of(r);
    b->v[r->n_messages - 1].written += octets.n;
    while (octets.n > 0 && r->why.class == ERR_NONE) {
        struct slice part = slice_sub(octets, 0, KEPT_MAX);
        mbox_codec_feed(&b->codec, part);
        octets = slice_from(octets, part.n);
        if (b->kept.n > KEPT_MAX)
            spill(mbox_end_of(d), b);
    }
}

/* --- The end of the file ------------------------------------------------------------------ */

void mbox_tail_fini(struct mbox_tail *t)
{
    free((void *)(uintptr_t)t->name.p);
    keywords_fini(&t->keywords);
    *t = (struct mbox_tail){0};
}

static void take_tail(struct mbox_end *e, const struct mbox_folder *f)
{
    struct mbox_tail *t = &e->tail;
    mbox_tail_fini(t);
    *t = (struct mbox_tail){.name = disk_dup(f->name),
        .st = f->st,
        .validity = f->list.validity,
        .next = f->list.next,
        .labels = f->labels,
        .has_base = f->scan.n > 0 || f->scan.has_pseudo,
        .base_head = f->scan.base_head,
        .sound = f->scan.n_torn > 0 ? f->scan.sound : f->scan.size,
        .ends_line = f->scan.ends_line};
    mbox_keywords_join(&t->keywords, &f->scan.base_keywords);
}

/* With the locks. */
static enum disk_step find_tail(struct mbox_end *e, struct slice name, int fd, struct err *err)
{
    struct stat st;
    struct mbox_folder f;
    if (e->tail.name.p && folder_same_name(e->tail.name, name) && fstat(fd, &st) == 0 &&
        mbox_same_stat(&st, &e->tail.st))
        return DISK_DONE;
    mbox_folder_init(&f);
    enum disk_step step = mbox_folder_load_locked(e, name, fd, &f, err);
    if (step == DISK_DONE)
        take_tail(e, &f);
    mbox_folder_fini(&f);
    return step;
}

/* --- The whole ---------------------------------------------------------------------------- */

struct writing {
    struct mbox_end *e;
    int fd;
    uint64_t at, from; /* from: in what was spilled */
    size_t kept;       /* and in what was kept */
};

static int write_at(struct writing *w, struct slice s)
{
    while (s.n > 0) {
        ssize_t n = pwrite(w->fd, s.p, s.n, (off_t)w->at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        w->at += (uint64_t)n;
        s = slice_from(s, (size_t)n);
    }
    return 0;
}

static int write_octets(struct writing *w, const struct batch *b, uint64_t n)
{
    uint64_t spilled = b->spilled - w->from;
    spilled = spilled < n ? spilled : n;
    if (spilled > 0 && mbox_copy(b->fd, w->from, spilled, w->fd, w->at) != 0)
        return -1;
    w->from += spilled;
    w->at += spilled;
    n -= spilled;
    if (write_at(w, slice_sub(buf_slice(&b->kept), w->kept, (size_t)n)) != 0)
        return -1;
    w->kept += (size_t)n;
    return write_at(w, SLICE_LIT("\n"));
}

static int write_message(
    struct writing *w, const struct batch *b, const struct message *m, bool is_first, uint32_t uid)
{
    const struct mbox_tail *t = &w->e->tail;
    struct buf head;
    struct mbox_label label = {.flags = &m->flags, .keywords = &b->r->keywords};
    if (t->labels)
        label.uid = uid;
    buf_init(&head, MBOX_HEAD_MAX);
    int r = mbox_from_format(m->date_s, m->octets + 1, &head);
    size_t from_n = head.n;
    if (r == 0 && is_first && t->labels)
        r = mbox_base_format(
            t->validity, t->next + (uint32_t)b->r->n_messages - 1, &t->keywords, 0, &head);
    if (r == 0)
        r = mbox_head_format(&label, &head);
    if (r != 0)
        BUG("keywords have bounds");
    r = write_at(w, buf_slice(&head));
    if (is_first && t->labels)
        w->e->tail.base_head = w->at - head.n + from_n;
    buf_fini(&head);
    return r == 0 ? write_octets(w, b, m->octets) : -1;
}

static int write_all(struct mbox_end *e, const struct batch *b, int fd)
{
    struct mbox_tail *t = &e->tail;
    struct writing w = {.e = e, .fd = fd, .at = t->sound};
    size_t n = b->r->n_messages;
    bool has_base = t->has_base;
    if (t->sound < (uint64_t)t->st.st_size && ftruncate(fd, (off_t)t->sound) != 0)
        return -1;
    int r = t->ends_line || t->sound == 0 ? 0 : write_at(&w, SLICE_LIT("\n"));
    for (size_t i = 0; i < n && r == 0; i++)
        r = write_message(&w, b, &b->v[i], i == 0 && !has_base, t->next + (uint32_t)i);
    return r == 0 ? fsync(fd) : -1;
}

static int store(struct mbox_end *e, struct disk_request *r, int fd, struct err *err)
{
    struct mbox_tail *t = &e->tail;
    struct batch *b = r->messages;
    uint32_t first = t->next;
    if (t->next >= UINT32_MAX - 1 - MESSAGES_MAX)
        return err_set(err, ERR_PERM, EX_DATAERR, "there are no UIDs left");
    if (write_all(e, b, fd) != 0) {
        int errnum = errno;
        if (ftruncate(fd, (off_t)t->sound) != 0 || fsync(fd) != 0)
            mbox_say(r->name, "a part of a message is left behind, until the next one is stored");
        t->st = (struct stat){0};
        (void)disk_no(err, errnum, "cannot store a message", r->name);
        return -1;
    }
    t->has_base = t->ends_line = true;
    t->next += (uint32_t)r->n_messages;
    bool is_seen = fstat(fd, &t->st) == 0;
    t->sound = (uint64_t)t->st.st_size;
    if (!is_seen)
        t->st = (struct stat){0};
    for (size_t i = 0; i < r->n_messages && r->uids_out && t->labels; i++) {
        if (i == 0)
            *r->uids_out = (struct end_uids){.uidvalidity = t->validity,
                .v = mem_realloc_array(NULL, r->n_messages, sizeof(uint32_t)),
                .n = r->n_messages};
        r->uids_out->v[i] = first + (uint32_t)i;
    }
    return 0;
}

/* What the first message says of UIDs and keywords, before any of them is given.  A file that has
 * no room for more keywords is written anew, and gets some. */
static enum disk_step write_base(struct mbox_end *e, const struct disk_request *r,
    const struct mbox_place *p, int fd, struct err *err)
{
    struct mbox_tail *t = &e->tail;
    struct mbox_folder f;
    mbox_keywords_join(&t->keywords, &r->keywords);
    if (!t->labels || !t->has_base)
        return DISK_DONE;
    int result = mbox_base_write(
        fd, t->validity, t->next + (uint32_t)r->n_messages - 1, &t->keywords, t->base_head);
    if (result < 0)
        return disk_no(err, errno, "cannot write it", r->name);
    if (result == 0)
        return DISK_DONE;
    mbox_folder_init(&f);
    enum disk_step step = mbox_folder_load_locked(e, r->name, fd, &f, err);
    if (step == DISK_DONE && !f.scan.has_pseudo)
        step = mbox_rewrite(e, p, fd, &f, &t->keywords, NULL, err) == 0 ? DISK_AGAIN : DISK_NO;
    mbox_folder_fini(&f);
    return step;
}

enum disk_step mbox_append(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct mbox_end *e = mbox_end_of(d);
    struct mbox_place p;
    int fd;
    struct batch *b = batch_of(r);
    end_message(b);
    for (size_t i = 0; i < r->n_messages; i++) {
        if (b->v[i].written != b->v[i].size)
            disk_fail(r, EIO, "a message is not whole");
    }
    *err = r->why;
    if (r->why.class != ERR_NONE)
        return DISK_NO;
    enum disk_step step = mbox_lock_write(e, r->name, &p, &fd, err);
    if (step != DISK_DONE)
        return step;
    step = find_tail(e, r->name, fd, err);
    if (step == DISK_DONE)
        step = write_base(e, r, &p, fd, err);
    if (step == DISK_DONE && store(e, r, fd, err) != 0)
        step = DISK_NO;
    mbox_unlock_write(e, &p, &fd);
    if (step == DISK_NO && err->scope == ERR_SCOPE_NONE)
        err_scope_set(err, ERR_SCOPE_FOLDER);
    return step;
}
