/* SPDX-License-Identifier: ISC */
/*
 * stream: see stream.h.
 *
 * What comes is in stream_in.c, what leaves in stream_out.c; here are life, interest, TLS and end.
 * The interest in the descriptor is changed as seldom as possible, since that is what costs in
 * libuv: a pause takes effect when the next bytes arrive.
 *
 * Life: every entry from the loop counts in `busy`.  stream_free() inside a callback closes
 * everything at once and leaves the bare struct to the outermost entry.  After each callback
 * `is_alive` is asked before anything else is touched.
 *
 * End: a failed write does not end the stream by itself, because the peer's last words (why it
 * refuses) may wait in our receive buffer: output is dropped, input is read to its end, and then
 * closed() gives the error of the write.  An end of the input while output waits is reported when
 * the output has left.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/sock.h"
#include "base/os/stream_parts.h"

#define LINGER_MS 1000

static void on_io(void *arg, int events);
static void on_kick(void *arg);

/* --- Life ---------------------------------------------------------------------- */

struct stream *stream_new_own(struct loop *loop, int fd, bool is_connecting,
    const struct stream_events *events, void *arg, struct stream_limits limits)
{
    struct stream *s = mem_zalloc(sizeof(*s));
    size_t scratch_size;

    (void)loop_scratch(loop, &scratch_size);
    s->loop = loop;
    s->fd = fd;
    s->events = events;
    s->arg = arg;
    s->limits = limits;
    s->is_alive = true;
    s->state = is_connecting ? STREAM_CONNECTING : STREAM_PLAIN;
    buf_init(&s->in, limits.in_max + scratch_size);
    buf_init(&s->out, limits.out_max);
    s->io = loop_io_new(loop, fd, on_io, s);
    loop_io_want(s->io, is_connecting ? LOOP_WRITE : LOOP_READ);
    return s;
}

static void release_descriptor(struct stream *s)
{
    tls_free(&s->tls);
    loop_io_free(&s->io);
    loop_timer_free(&s->deadline);
    loop_timer_free(&s->kick);
    io_close(&s->fd);
    s->state = STREAM_CLOSED;
}

static void leave(struct stream *s)
{
    if (--s->busy == 0 && !s->is_alive)
        free(s);
}

void stream_free(struct stream **sp)
{
    struct stream *s = *sp;

    *sp = NULL;
    if (s == NULL)
        return;
    release_descriptor(s);
    buf_fini(&s->in);
    buf_fini(&s->out);
    s->is_alive = false;
    s->busy++;
    leave(s);
}

void stream_kick_in(struct stream *s, uint64_t delay_ms)
{
    if (s->kick == NULL)
        s->kick = loop_timer_new(s->loop, on_kick, s);
    loop_timer_start(s->kick, delay_ms);
}

void stream_close_with(struct stream *s, const struct err *why)
{
    if (s->state == STREAM_CLOSED)
        return;
    release_descriptor(s);
    s->events->closed(s->arg, why);
}

void stream_close_cleanly(struct stream *s)
{
    stream_close_with(s, s->broken.class != ERR_NONE ? &s->broken : &ERR_INIT);
}

void stream_update_interest(struct stream *s)
{
    int want = 0;

    switch (s->state) {
    case STREAM_CONNECTING:
        want = LOOP_WRITE;
        break;
    case STREAM_HANDSHAKE:
        want = s->tls_wants_write || s->plain_out > 0 ? LOOP_WRITE : LOOP_READ;
        break;
    case STREAM_PLAIN:
    case STREAM_SECURE:
        if (!s->is_paused && !s->is_finishing && !s->has_ended)
            want |= LOOP_READ;
        if ((s->out.n > 0 && !s->is_corked) || s->tls_wants_write)
            want |= LOOP_WRITE;
        break;
    case STREAM_LINGER:
        want = LOOP_READ;
        break;
    case STREAM_CLOSED:
        return;
    }
    loop_io_want(s->io, want);
}

/* --- The end ---------------------------------------------------------------------- */

void stream_finish(struct stream *s)
{
    if (s->state == STREAM_CLOSED || s->is_finishing)
        return;
    stream_uncork(s);
    s->is_finishing = true;
    stream_update_interest(s);
    stream_kick_in(s, 0);
}

static void start_linger(struct stream *s)
{
    if (s->tls != NULL)
        tls_shutdown(s->tls);
    if (s->has_ended || s->broken.class != ERR_NONE || shutdown(s->fd, SHUT_WR) != 0) {
        stream_close_cleanly(s);
        return;
    }
    s->state = STREAM_LINGER;
    if (s->deadline != NULL)
        loop_timer_stop(s->deadline);
    stream_kick_in(s, LINGER_MS);
    stream_update_interest(s);
}

static void linger(struct stream *s)
{
    size_t size;
    unsigned char *scratch = loop_scratch(s->loop, &size);
    ssize_t n;

    do
        n = recv(s->fd, scratch, size, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK))
        stream_close_cleanly(s);
}

static void can_write(struct stream *s)
{
    if (!s->is_alive || s->out.n == 0 || !stream_can_send(s))
        return;
    stream_flush(s);
    if (s->out.n > 0 || s->broken.class != ERR_NONE)
        return;
    if (s->is_finishing)
        start_linger(s);
    else if (s->has_ended && s->events->ended == NULL)
        stream_close_cleanly(s);
    else if (s->events->drained != NULL)
        s->events->drained(s->arg);
}

/* --- TLS ------------------------------------------------------------------------- */

int stream_start_tls(
    struct stream *s, struct tls_ctx *ctx, const char *name, bool is_client, struct err *err)
{
    BUG_ON(s->state != STREAM_PLAIN);
    stream_uncork(s);
    if (tls_new(ctx, s->fd, name, &s->tls, err) != 0)
        return -1;
    buf_fini(&s->in);
    s->plain_out = s->out.n;
    s->state = STREAM_HANDSHAKE;
    stream_update_interest(s);
    if (is_client)
        stream_kick_in(s, 0); /* the client speaks first */
    return 0;
}

static void handshake(struct stream *s)
{
    struct err why = ERR_INIT;

    if (s->plain_out > 0) {
        stream_flush(s);
        if (s->plain_out > 0 || s->broken.class != ERR_NONE)
            return;
    }
    s->tls_wants_write = false;
    switch (tls_handshake(s->tls, &why)) {
    case TLS_DONE:
        s->state = STREAM_SECURE;
        if (s->events->secured != NULL)
            s->events->secured(s->arg);
        can_write(s);
        /* Data may have come with the last flight of the handshake. */
        if (s->is_alive && s->state == STREAM_SECURE)
            stream_kick_in(s, 0);
        return;
    case TLS_WANT_READ:
        return;
    case TLS_WANT_WRITE:
        s->tls_wants_write = true;
        return;
    case TLS_CLOSED:
    case TLS_FAILED:
        stream_close_with(s, &why);
        return;
    }
}

const struct tls *stream_tls(const struct stream *s)
{
    return s->state == STREAM_SECURE || s->state == STREAM_LINGER ? s->tls : NULL;
}

/* --- Time ------------------------------------------------------------------------ */

static void on_deadline(void *arg)
{
    struct stream *s = arg;
    struct err why = ERR_INIT;

    s->busy++;
    err_set(&why, ERR_TEMP, EX_TEMPFAIL, "timed out");
    stream_close_with(s, &why);
    leave(s);
}

void stream_deadline(struct stream *s, uint64_t delay_ms)
{
    if (s->state == STREAM_CLOSED)
        return;
    if (s->deadline == NULL && delay_ms > 0)
        s->deadline = loop_timer_new(s->loop, on_deadline, s);
    if (delay_ms > 0)
        loop_timer_start(s->deadline, delay_ms);
    else if (s->deadline != NULL)
        loop_timer_stop(s->deadline);
}

/* --- Events ------------------------------------------------------------------------ */

static void connection_made(struct stream *s)
{
    struct err why = ERR_INIT;

    if (sock_connect_result(s->fd, &why) != 0) {
        stream_close_with(s, &why);
        return;
    }
    s->state = STREAM_PLAIN;
    if (s->events->connected != NULL)
        s->events->connected(s->arg);
    can_write(s);
}

static void on_io(void *arg, int events)
{
    struct stream *s = arg;

    s->busy++;
    switch (s->state) {
    case STREAM_CONNECTING:
        connection_made(s);
        break;
    case STREAM_HANDSHAKE:
        handshake(s);
        break;
    case STREAM_PLAIN:
    case STREAM_SECURE:
        if (events & LOOP_WRITE)
            can_write(s);
        stream_take_in(s, (events & LOOP_READ) || s->tls_wants_write);
        break;
    case STREAM_LINGER:
        linger(s);
        break;
    case STREAM_CLOSED:
        break;
    }
    if (s->is_alive)
        stream_update_interest(s);
    leave(s);
}

/* What had to wait until the owner's call was over. */
static void on_kick(void *arg)
{
    struct stream *s = arg;

    s->busy++;
    switch (s->state) {
    case STREAM_LINGER:
        stream_close_cleanly(s);
        break;
    case STREAM_HANDSHAKE:
        if (s->broken.class != ERR_NONE || s->is_finishing)
            stream_close_cleanly(s);
        else
            handshake(s);
        break;
    case STREAM_PLAIN:
    case STREAM_SECURE:
        if (s->is_finishing || (s->has_ended && s->events->ended == NULL)) {
            if (s->out.n == 0)
                start_linger(s);
        } else if (s->broken.class != ERR_NONE && (s->is_paused || s->has_ended)) {
            stream_close_cleanly(s); /* nobody reads, so nothing else would tell */
        } else if (s->broken.class != ERR_NONE) {
            stream_hear_last_words(s);
        } else {
            stream_take_in(s, s->state == STREAM_SECURE);
        }
        break;
    case STREAM_CONNECTING:
        if (s->is_finishing)
            stream_close_cleanly(s);
        break;
    case STREAM_CLOSED:
        break;
    }
    if (s->is_alive)
        stream_update_interest(s);
    leave(s);
}
