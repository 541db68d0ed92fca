/* SPDX-License-Identifier: ISC */
/*
 * mbox_read: bodies, part by part, under the file's own lock, which is not held while we wait.  Who
 * changes the file meanwhile changes where the rest of a message is: it is read again, and the
 * message found by its UID and the digest of its octets.
 */
#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "imapsync/ends/mbox_parts.h"

#define CHUNK 65536
#define STEP_OCTETS (4 * CHUNK) /* then the other side has its turn */
#define REFRESHES_MAX 16        /* for one message */

struct mbox_body {
    struct disk_request *r;
    struct mbox_codec codec;
    uint32_t uid;
    uint64_t at, end; /* in the file */
    uint64_t size, key;
    uint64_t told, skip; /* skip: what was told before the file was read again */
    unsigned n_refreshes;
    unsigned char in[CHUNK];
};

void mbox_body_free(struct disk_request *r)
{
    free(r->body);
    r->body = NULL;
}

static void tell(void *arg, struct slice s)
{
    struct mbox_body *b = arg;
    size_t n = b->skip < s.n ? (size_t)b->skip : s.n;
    b->skip -= n;
    s = slice_from(s, n);
    if (s.n > b->size - b->told)
        s.n = (size_t)(b->size - b->told); /* somebody changes it without a lock */
    b->told += s.n;
    if (s.n > 0 && b->r->sink->data)
        b->r->sink->data(b->r->sink_arg, s);
}

static void aim(struct mbox_body *b, const struct mbox_mail *m)
{
    mbox_decoder_init(&b->codec, (enum mbox_style)m->style, tell, b);
    b->at = m->head;
    b->end = m->end;
    b->skip = b->told;
}

/* The file that was opened has not been written into; another one of this name does not matter. */
static bool is_as_read(const struct mbox_folder *f)
{
    struct stat st;
    return fstat(f->fd, &st) == 0 && mbox_same_stat(&st, &f->st);
}

static enum disk_step gone(const struct mbox_body *b, struct err *err)
{
    err_set(err, ERR_TEMP, EX_IOERR, "message %u changed while it was read", b->uid);
    err_scope_set(err, ERR_SCOPE_HOST); /* the next look sees what it is now */
    return DISK_LOST;
}

/* By its UID, or where others have been given by its octets alone. */
static const struct mbox_mail *same_mail(const struct mbox_folder *f, const struct mbox_body *b)
{
    const struct mbox_mail *m = mbox_mail_find(f, b->uid);
    if (m && m->key == b->key && m->size == b->size)
        return m;
    for (size_t i = 0; i < f->scan.n; i++) {
        if (f->scan.v[i].key == b->key && f->scan.v[i].size == b->size)
            return &f->scan.v[i];
    }
    return NULL;
}

static enum disk_step aim_again(struct mbox_end *e, struct mbox_body *b, struct err *err)
{
    struct slice name = disk_dup(e->open.name);
    enum disk_step step = b->n_refreshes++ < REFRESHES_MAX
                              ? mbox_folder_load(e, name, false, &e->open, err)
                              : DISK_NO;
    free((void *)(uintptr_t)name.p);
    const struct mbox_mail *m = step == DISK_DONE ? same_mail(&e->open, b) : NULL;
    if (step == DISK_AGAIN)
        return step;
    if (!m)
        return gone(b, err);
    aim(b, m);
    return DISK_MORE;
}

static int read_part(struct mbox_end *e, struct mbox_body *b)
{
    for (size_t n = 0; b->at < b->end && n < STEP_OCTETS && !e->disk.is_paused;) {
        uint64_t left = b->end - b->at;
        ssize_t got = pread(e->open.fd, b->in, left < CHUNK ? (size_t)left : CHUNK, (off_t)b->at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        b->at += (uint64_t)got;
        n += (size_t)got;
        mbox_codec_feed(&b->codec, slice_make(b->in, (size_t)got));
        if (e->disk.is_broken)
            return 0;
    }
    return 0;
}

static enum disk_step go_on(struct mbox_end *e, struct disk_request *r, struct err *err)
{
    struct mbox_body *b = r->body;
    if (e->open.fd < 0 || !is_as_read(&e->open))
        return aim_again(e, b, err);
    enum disk_step step = mbox_lock_read(e->open.fd);
    if (step == DISK_AGAIN)
        return step;
    int result = is_as_read(&e->open) ? read_part(e, b) : 0;
    mbox_unlock_read(e->open.fd);
    if (result != 0)
        return gone(b, err);
    if (b->at < b->end || e->disk.is_broken)
        return DISK_MORE;
    mbox_codec_end(&b->codec);
    if (b->told != b->size)
        return gone(b, err);
    uint32_t uid = b->uid;
    mbox_body_free(r);
    r->at++;
    if (r->sink->end)
        r->sink->end(r->sink_arg, uid);
    return DISK_MORE;
}

static void begin(struct mbox_end *e, struct disk_request *r)
{
    uint32_t uid = r->uids[r->at];
    const struct mbox_mail *m = mbox_mail_find(&e->open, uid);
    bool is_wanted = m && (!r->sink->begin || r->sink->begin(r->sink_arg, uid, m->size));
    if (!is_wanted) {
        r->at++;
        return;
    }
    struct mbox_body *b = mem_zalloc(sizeof(*b));
    b->r = r;
    b->uid = uid;
    b->size = m->size;
    b->key = m->key;
    aim(b, m);
    r->body = b;
}

enum disk_step mbox_read(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct mbox_end *e = mbox_end_of(d);
    if (r->body)
        return go_on(e, r, err);
    if (r->at == r->n)
        return DISK_DONE;
    begin(e, r);
    return DISK_MORE;
}
