/* SPDX-License-Identifier: ISC */
/*
 * stream_in: what comes.  It goes to the loop's one scratch buffer and is offered from there; only
 * what the owner did not use is copied.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include "base/os/stream_parts.h"

/* Offers until the owner uses nothing more; returns how many bytes it used, all of them when the
 * rest is not wanted by anybody any more. */
static size_t offer(struct stream *s, struct slice in)
{
    size_t used = 0;
    enum stream_state state = s->state;

    while (used < in.n && !s->is_paused && !s->is_finishing) {
        size_t n = s->events->data(s->arg, slice_from(in, used));

        if (!s->is_alive || s->state != state)
            return in.n;
        BUG_ON(n > in.n - used);
        if (n == 0)
            break;
        used += n;
    }
    return s->is_finishing ? in.n : used;
}

/* After an offer: what is left must be within the limit, unless the owner said to wait. */
static void settle(struct stream *s)
{
    struct err why = ERR_INIT;

    if (s->is_paused || s->in.n <= s->limits.in_max) {
        stream_shrink(&s->in);
        return;
    }
    err_set(&why, ERR_PEER, EX_PROTOCOL, "more than %zu bytes without an end", s->limits.in_max);
    stream_close_with(s, &why);
}

/* Puts what was kept in front of the free part of the scratch buffer, if it leaves half of it. */
static unsigned char *gather(struct stream *s, size_t *before_out, size_t *room_out)
{
    size_t size;
    unsigned char *scratch = loop_scratch(s->loop, &size);

    if (s->in.n > size / 2) {
        *before_out = 0;
        *room_out = size;
        return buf_reserve(&s->in, size);
    }
    *before_out = s->in.n;
    *room_out = size - s->in.n;
    if (s->in.n > 0)
        memcpy(scratch, buf_slice(&s->in).p, s->in.n);
    return scratch;
}

enum got { GOT_BYTES, GOT_NOTHING, GOT_END, GOT_FAILURE };

static enum got receive_plain(
    struct stream *s, unsigned char *at, size_t room, size_t *n_out, struct err *why)
{
    ssize_t n;

    do
        n = recv(s->fd, at, room, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    *n_out = n > 0 ? (size_t)n : 0;
    if (n > 0)
        return GOT_BYTES;
    if (n == 0)
        return GOT_END;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return GOT_NOTHING;
    err_sys(why, errno, "read");
    return GOT_FAILURE;
}

/* As many records as fit, so that a burst of small ones is one event. */
static enum got receive_tls(
    struct stream *s, unsigned char *at, size_t room, size_t *n_out, struct err *why)
{
    s->tls_wants_write = false;
    *n_out = 0;
    while (*n_out < room) {
        size_t n;
        enum tls_want want = tls_read(s->tls, at + *n_out, room - *n_out, &n, why);

        *n_out += n;
        if (want == TLS_DONE)
            continue;
        s->tls_wants_write = want == TLS_WANT_WRITE;
        if (*n_out > 0) {
            if (want == TLS_CLOSED || want == TLS_FAILED)
                stream_kick_in(s, 0); /* the next read meets it again */
            return GOT_BYTES;
        }
        return want == TLS_CLOSED ? GOT_END : want == TLS_FAILED ? GOT_FAILURE : GOT_NOTHING;
    }
    return GOT_BYTES;
}

/* The input is over: the output may still have to leave. */
static void ended(struct stream *s)
{
    s->has_ended = true;
    if (s->broken.class != ERR_NONE || (s->out.n == 0 && s->events->ended == NULL))
        stream_close_cleanly(s);
    else if (s->events->ended != NULL)
        s->events->ended(s->arg);
}

/* False when the stream is over. */
static bool offer_new(struct stream *s, struct slice in, bool is_kept)
{
    size_t used = offer(s, in);

    if (!s->is_alive || s->state == STREAM_CLOSED)
        return false;
    if (is_kept) {
        /* A handshake that was started has emptied the buffer already. */
        buf_consume(&s->in, used < s->in.n ? used : s->in.n);
    } else if (buf_add(&s->in, slice_from(in, used)) != 0) {
        /* The maximum holds a scratch buffer beyond in_max, so only memory can be missing. */
        struct err why = ERR_INIT;

        err_set(&why, ERR_TEMP, EX_OSERR, "no memory for %zu bytes of input", in.n - used);
        stream_close_with(s, &why);
        return false;
    }
    settle(s);
    return s->is_alive && s->state != STREAM_CLOSED;
}

/* False when nothing came. */
static bool read_more(struct stream *s)
{
    struct err why = ERR_INIT;
    size_t before, room, n = 0;
    unsigned char *at = gather(s, &before, &room);
    bool is_direct = before < s->in.n;
    struct slice in;
    enum got got = GOT_FAILURE;

    if (at == NULL)
        err_set(&why, ERR_TEMP, EX_OSERR, "no memory for input");
    else if (s->state == STREAM_SECURE)
        got = receive_tls(s, at + before, room, &n, &why);
    else
        got = receive_plain(s, at + before, room, &n, &why);
    switch (got) {
    case GOT_NOTHING:
        return false;
    case GOT_END:
        ended(s);
        return false;
    case GOT_FAILURE:
        stream_close_with(s, s->broken.class != ERR_NONE ? &s->broken : &why);
        return false;
    case GOT_BYTES:
        break;
    }
    if (is_direct) {
        buf_commit(&s->in, n);
        in = buf_slice(&s->in);
    } else {
        buf_clear(&s->in);
        in = slice_make(at, before + n);
    }
    if (offer_new(s, in, is_direct) && s->state == STREAM_SECURE && tls_has_pending(s->tls))
        stream_kick_in(s, 0); /* the descriptor will not tell about bytes that OpenSSL holds */
    return true;
}

static bool is_reading(const struct stream *s)
{
    return s->is_alive && (s->state == STREAM_PLAIN || s->state == STREAM_SECURE) &&
           !s->is_paused && !s->is_finishing && !s->has_ended;
}

void stream_take_in(struct stream *s, bool can_read)
{
    if (is_reading(s) && s->must_offer) {
        s->must_offer = false;
        if (s->in.n > 0 && !offer_new(s, buf_slice(&s->in), true))
            return;
    }
    if (is_reading(s) && can_read)
        (void)read_more(s);
}

void stream_hear_last_words(struct stream *s)
{
    stream_take_in(s, false);
    if (!s->is_alive || s->state != STREAM_SECURE)
        return;
    while (is_reading(s) && read_more(s))
        continue;
    if (s->is_alive)
        stream_close_cleanly(s);
}

bool stream_has_news(const struct stream *s)
{
    char c;
    ssize_t n;

    if (s->state == STREAM_CLOSED || s->has_ended || s->broken.class != ERR_NONE || s->in.n > 0 ||
        (s->state == STREAM_SECURE && tls_has_pending(s->tls)))
        return true;
    do
        n = recv(s->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
}

void stream_pause(struct stream *s)
{
    s->is_paused = true;
}

void stream_resume(struct stream *s)
{
    if (!s->is_paused || s->state == STREAM_CLOSED)
        return;
    s->is_paused = false;
    stream_update_interest(s);
    s->must_offer = s->in.n > 0;
    if (s->must_offer || (s->state == STREAM_SECURE && tls_has_pending(s->tls)))
        stream_kick_in(s, 0);
}
