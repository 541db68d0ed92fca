/* SPDX-License-Identifier: ISC */
/*
 * stream_out: what leaves.  It is tried at once, and only what the socket did not take is copied. A
 * failed write does not end the stream by itself: see stream.c.
 */
#include <errno.h>
#include <sys/socket.h>
#include <sysexits.h>
#include "base/os/stream_parts.h"

#define KEEP_MAX 4096

void stream_shrink(struct buf *b)
{
    if (b->n == 0 && b->cap > KEEP_MAX)
        buf_fini(b);
}

/* How many bytes the socket took; 0 when it takes none now.  A failure marks the stream broken. */
static size_t send_some(struct stream *s, struct slice bytes)
{
    size_t sent = 0;

    if (s->state == STREAM_SECURE) {
        while (sent < bytes.n) {
            size_t n = 0;
            enum tls_want want = tls_write(s->tls, bytes.p + sent, bytes.n - sent, &n, &s->broken);

            sent += n;
            if (want == TLS_CLOSED)
                err_set(&s->broken, ERR_PEER, EX_PROTOCOL, "write: the peer ended the TLS session");
            if (want != TLS_DONE)
                break;
        }
        return sent;
    }
    for (;;) {
        ssize_t n = send(s->fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n >= 0)
            return (size_t)n;
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            err_sys(&s->broken, errno, "write");
        return 0;
    }
}

bool stream_can_send(const struct stream *s)
{
    return (s->state == STREAM_PLAIN || s->state == STREAM_SECURE) && !s->is_corked;
}

static void drop_output(struct stream *s)
{
    buf_fini(&s->out);
    stream_kick_in(s, 0);
}

void stream_flush(struct stream *s)
{
    size_t n = s->state == STREAM_HANDSHAKE ? s->plain_out : s->out.n, sent;

    if (n > 0 && s->broken.class == ERR_NONE) {
        sent = send_some(s, slice_sub(buf_slice(&s->out), 0, n));
        buf_consume(&s->out, sent);
        if (s->state == STREAM_HANDSHAKE)
            s->plain_out -= sent;
    }
    if (s->broken.class != ERR_NONE)
        drop_output(s);
    stream_shrink(&s->out);
}

int stream_write(struct stream *s, struct slice bytes)
{
    /* A cork saves segments; it is no reason to call a peer slow. */
    bool lift = s->is_corked && bytes.n > s->limits.out_max - s->out.n;

    if (s->state == STREAM_CLOSED || s->is_finishing || s->broken.class != ERR_NONE)
        return 0;
    if (lift)
        stream_uncork(s);
    if (s->out.n == 0 && bytes.n > 0 && stream_can_send(s)) {
        bytes = slice_from(bytes, send_some(s, bytes));
        if (s->broken.class != ERR_NONE)
            drop_output(s);
    }
    if (lift)
        stream_cork(s);
    if (bytes.n == 0 || s->broken.class != ERR_NONE)
        return 0;
    if (buf_add(&s->out, bytes) != 0)
        return -1;
    stream_update_interest(s);
    return 0;
}

void stream_cork(struct stream *s)
{
    s->is_corked = true;
}

void stream_uncork(struct stream *s)
{
    s->is_corked = false;
    if (s->out.n > 0 && stream_can_send(s))
        stream_flush(s);
    stream_update_interest(s);
}

size_t stream_unsent(const struct stream *s)
{
    return s->out.n;
}

bool stream_is_broken(const struct stream *s)
{
    return s->broken.class != ERR_NONE;
}
