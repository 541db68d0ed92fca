/* SPDX-License-Identifier: ISC */
/*
 * maildir_read: bodies.  A LF that has no CR in front of it gets one, as every IMAP server does it
 * with a Maildir; so a file is read twice, since how large it is has to be said first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/ends/maildir_parts.h"

#define CHUNK 65536
#define STEP_OCTETS (4 * CHUNK) /* then the other side has its turn */

struct maildir_body {
    int fd;
    uint32_t uid;
    uint64_t left; /* octets that were promised and are not told yet */
    uint64_t bare;
    unsigned char last;
    unsigned char in[CHUNK];
};

static void body_free(struct maildir_body **b)
{
    if (*b)
        io_close(&(*b)->fd);
    free(*b);
    *b = NULL;
}

void maildir_body_free(struct disk_request *r)
{
    struct maildir_body *b = r->body;
    body_free(&b);
    r->body = NULL;
}

static ssize_t read_chunk(struct maildir_body *b)
{
    ssize_t got;
    do
        got = read(b->fd, b->in, CHUNK);
    while (got < 0 && errno == EINTR);
    return got;
}

uint64_t maildir_bare(struct slice s, unsigned char *last)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.n;) {
        const unsigned char *lf = memchr(s.p + i, '\n', s.n - i);
        if (!lf)
            break;
        size_t at = (size_t)(lf - s.p);
        n += (at > 0 ? s.p[at - 1] : *last) != '\r';
        i = at + 1;
    }
    if (s.n > 0)
        *last = s.p[s.n - 1];
    return n;
}

/* How many octets it will have.  -1 with errno. */
static int measure(struct maildir_body *b)
{
    ssize_t got;
    while ((got = read_chunk(b)) > 0) {
        b->bare += maildir_bare(slice_make(b->in, (size_t)got), &b->last);
        b->left += (uint64_t)got;
    }
    b->left += b->bare;
    b->last = 0;
    return got == 0 && lseek(b->fd, 0, SEEK_SET) == 0 ? 0 : -1;
}

static void check_size(struct maildir_end *e, const struct maildir_file *v, const struct stat *st)
{
    struct maildir_name parts;
    uint64_t size;
    struct slice name = slice_str(maildir_file_name(&e->open, v));
    if (maildir_name_split(name, &parts) && maildir_base_number(parts.base, 'S', &size) &&
        size != (uint64_t)st->st_size)
        maildir_say(e->open.name, name, "its size is not what its name says");
}

/* NULL with errno; ENOENT: it is gone. */
static struct maildir_body *open_body(struct maildir_end *e, struct disk_request *r, uint32_t uid)
{
    struct maildir_file *v = maildir_file_find(&e->open, uid);
    struct stat st;
    int fd = -1;
    errno = ENOENT;
    while (v && fd < 0) {
        fd = openat(v->is_new ? e->open.new : e->open.cur, maildir_file_name(&e->open, v),
            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 && (errno != ENOENT || !maildir_refind(e, r, uid, &v)))
            return NULL;
    }
    if (fd < 0)
        return NULL;
    struct maildir_body *b = mem_zalloc(sizeof(*b));
    b->fd = fd;
    b->uid = uid;
    bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (!is_file)
        errno = EINVAL;
    if (!is_file || measure(b) != 0) {
        int errnum = errno;
        body_free(&b);
        errno = errnum;
        return NULL;
    }
    check_size(e, v, &st);
    return b;
}

static void tell(struct disk_request *r, struct maildir_body *b, struct slice s)
{
    if (s.n > b->left)
        s.n = (size_t)b->left; /* somebody appends to it: that is another message */
    b->left -= s.n;
    if (s.n > 0 && r->sink->data)
        r->sink->data(r->sink_arg, s);
}

static void tell_chunk(struct disk_request *r, struct maildir_body *b, struct slice s)
{
    size_t from = 0;
    for (size_t i = 0; b->bare > 0 && i < s.n;) {
        const unsigned char *lf = memchr(s.p + i, '\n', s.n - i);
        if (!lf)
            break;
        size_t at = (size_t)(lf - s.p);
        if ((at > 0 ? s.p[at - 1] : b->last) != '\r') {
            tell(r, b, slice_sub(s, from, at - from));
            tell(r, b, SLICE_LIT("\r"));
            from = at;
        }
        i = at + 1;
    }
    tell(r, b, slice_from(s, from));
    b->last = s.p[s.n - 1];
}

/* A part of it.  -1: it has become shorter than it was. */
static int go_on(struct maildir_end *e, struct disk_request *r)
{
    struct maildir_body *b = r->body;
    for (size_t told = 0;
         b->left > 0 && told < STEP_OCTETS && !e->disk.is_paused && !e->disk.is_broken;) {
        ssize_t got = read_chunk(b);
        if (got <= 0)
            return -1;
        tell_chunk(r, b, slice_make(b->in, (size_t)got));
        told += (size_t)got;
    }
    if (b->left > 0)
        return 0;
    uint32_t uid = b->uid;
    maildir_body_free(r);
    r->at++;
    if (r->sink->end)
        r->sink->end(r->sink_arg, uid);
    return 0;
}

/* The others still come. */
static void refuse(struct maildir_end *e, struct disk_request *r, uint32_t uid, int errnum)
{
    const struct maildir_file *v = maildir_file_find(&e->open, uid);
    struct err why = ERR_INIT;
    if (errnum == ELOOP || errnum == EINVAL)
        err_set(&why, ERR_PERM, EX_DATAERR, "cannot read message %u: a link, or no file", uid);
    else
        err_sys(&why, errnum, "cannot read message %u", uid);
    err_scope_set(&why, ERR_SCOPE_MESSAGE);
    if (v)
        maildir_say(e->open.name, slice_str(maildir_file_name(&e->open, v)), why.text);
    if (r->why.class == ERR_NONE)
        r->why = why;
}

static enum disk_step begin_next(struct maildir_end *e, struct disk_request *r)
{
    uint32_t uid = r->uids[r->at];
    struct maildir_body *b = open_body(e, r, uid);
    if (!b) {
        if (errno != ENOENT)
            refuse(e, r, uid, errno);
        r->at++;
        return DISK_MORE;
    }
    r->body = b;
    if (r->sink->begin && !r->sink->begin(r->sink_arg, uid, b->left)) {
        maildir_body_free(r);
        r->at++;
    }
    return DISK_MORE;
}

enum disk_step maildir_read(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    if (r->body && go_on(e, r) != 0) {
        err_set(err, ERR_TEMP, EX_IOERR, "%.*s: message %u became shorter while it was read",
            SLICE_ARG(e->open.name), r->uids[r->at]);
        return DISK_LOST;
    }
    if (r->body)
        return DISK_MORE;
    if (r->at < r->n)
        return begin_next(e, r);
    *err = r->why;
    return r->why.class == ERR_NONE ? DISK_DONE : DISK_NO;
}
