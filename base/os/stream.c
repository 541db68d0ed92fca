/* SPDX-License-Identifier: ISC */
/*
 * stream: see stream.h.
 *
 * Input goes to the loop's one scratch buffer and is offered from there; only what the owner did
 * not use is copied.  Output is tried at once; only what the socket did not take is copied.  The
 * interest in the descriptor is changed as seldom as possible, since that is what costs in libuv:
 * a pause takes effect when the next bytes arrive.
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
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/sock.h"
#include "base/os/stream.h"

#define LINGER_MS 1000
/* An emptied buffer that grew beyond this gives its memory back. */
#define KEEP_MAX 4096

/*
 * CONNECTING -> PLAIN -> HANDSHAKE -> SECURE for a client; a server starts at PLAIN.  LINGER and
 * CLOSED are reached from everywhere.  In HANDSHAKE the plain output of before still has to leave.
 */
enum stream_state {
    STREAM_CONNECTING,
    STREAM_PLAIN,
    STREAM_HANDSHAKE,
    STREAM_SECURE,
    STREAM_LINGER,
    STREAM_CLOSED
};

struct stream {
    struct loop *loop;
    struct loop_io *io;
    struct loop_timer *deadline;
    struct loop_timer *kick; /* fires at once: work that may not be done inside the owner's call */
    const struct stream_events *events;
    void *arg;
    struct stream_limits limits;
    struct tls *tls;
    struct buf in, out;
    struct err broken; /* class ERR_NONE until a write failed */
    enum stream_state state;
    size_t plain_out; /* HANDSHAKE: bytes of `out` that were written before it */
    int fd, busy;
    bool is_alive, is_paused, is_corked, is_finishing, has_ended;
    bool must_offer;      /* what a pause left behind comes before anything new */
    bool tls_wants_write; /* a read or handshake that waits for room in the socket */
};

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

static void kick_in(struct stream *s, uint64_t delay_ms)
{
    if (s->kick == NULL)
        s->kick = loop_timer_new(s->loop, on_kick, s);
    loop_timer_start(s->kick, delay_ms);
}

/* Everything is closed before the owner hears of it; the owner may free us then. */
static void close_with(struct stream *s, const struct err *why)
{
    if (s->state == STREAM_CLOSED)
        return;
    release_descriptor(s);
    s->events->closed(s->arg, why);
}

static void close_cleanly(struct stream *s)
{
    close_with(s, s->broken.class != ERR_NONE ? &s->broken : &ERR_INIT);
}

static void update_interest(struct stream *s)
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

/* --- Output --------------------------------------------------------------------- */

static void shrink(struct buf *b)
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

static bool can_send(const struct stream *s)
{
    return (s->state == STREAM_PLAIN || s->state == STREAM_SECURE) && !s->is_corked;
}

static void drop_output(struct stream *s)
{
    buf_fini(&s->out);
    kick_in(s, 0);
}

/* Sends from the buffer what the socket takes.  During a handshake that is only what was written
 * before it: nothing that is meant to be secret may leave in the clear. */
static void flush(struct stream *s)
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
    shrink(&s->out);
}

int stream_write(struct stream *s, struct slice bytes)
{
    /* A cork saves segments; it is no reason to call a peer slow. */
    bool lift = s->is_corked && bytes.n > s->limits.out_max - s->out.n;

    if (s->state == STREAM_CLOSED || s->is_finishing || s->broken.class != ERR_NONE)
        return 0;
    if (lift)
        stream_uncork(s);
    if (s->out.n == 0 && bytes.n > 0 && can_send(s)) {
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
    update_interest(s);
    return 0;
}

void stream_cork(struct stream *s)
{
    s->is_corked = true;
}

void stream_uncork(struct stream *s)
{
    s->is_corked = false;
    if (s->out.n > 0 && can_send(s))
        flush(s);
    update_interest(s);
}

size_t stream_unsent(const struct stream *s)
{
    return s->out.n;
}

bool stream_is_broken(const struct stream *s)
{
    return s->broken.class != ERR_NONE;
}

/* --- Input ---------------------------------------------------------------------- */

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
        shrink(&s->in);
        return;
    }
    err_set(&why, ERR_PEER, EX_PROTOCOL, "more than %zu bytes without an end", s->limits.in_max);
    close_with(s, &why);
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
                kick_in(s, 0); /* the next read meets it again */
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
        close_cleanly(s);
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
        close_with(s, &why);
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
        close_with(s, s->broken.class != ERR_NONE ? &s->broken : &why);
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
        kick_in(s, 0); /* the descriptor will not tell about bytes that OpenSSL holds */
    return true;
}

static bool is_reading(const struct stream *s)
{
    return s->is_alive && (s->state == STREAM_PLAIN || s->state == STREAM_SECURE) &&
           !s->is_paused && !s->is_finishing && !s->has_ended;
}

static void take_in(struct stream *s, bool can_read)
{
    if (is_reading(s) && s->must_offer) {
        s->must_offer = false;
        if (s->in.n > 0 && !offer_new(s, buf_slice(&s->in), true))
            return;
    }
    if (is_reading(s) && can_read)
        (void)read_more(s);
}

/* Nothing can be written any more.  What the peer said before is offered; a plain descriptor tells
 * of its end by itself, one with TLS may not. */
static void hear_last_words(struct stream *s)
{
    take_in(s, false);
    if (!s->is_alive || s->state != STREAM_SECURE)
        return;
    while (is_reading(s) && read_more(s))
        continue;
    if (s->is_alive)
        close_cleanly(s);
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
    update_interest(s);
    s->must_offer = s->in.n > 0;
    if (s->must_offer || (s->state == STREAM_SECURE && tls_has_pending(s->tls)))
        kick_in(s, 0);
}

/* --- The end ---------------------------------------------------------------------- */

void stream_finish(struct stream *s)
{
    if (s->state == STREAM_CLOSED || s->is_finishing)
        return;
    stream_uncork(s);
    s->is_finishing = true;
    update_interest(s);
    kick_in(s, 0);
}

static void start_linger(struct stream *s)
{
    if (s->tls != NULL)
        tls_shutdown(s->tls);
    if (s->has_ended || s->broken.class != ERR_NONE || shutdown(s->fd, SHUT_WR) != 0) {
        close_cleanly(s);
        return;
    }
    s->state = STREAM_LINGER;
    if (s->deadline != NULL)
        loop_timer_stop(s->deadline);
    kick_in(s, LINGER_MS);
    update_interest(s);
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
        close_cleanly(s);
}

static void can_write(struct stream *s)
{
    if (!s->is_alive || s->out.n == 0 || !can_send(s))
        return;
    flush(s);
    if (s->out.n > 0 || s->broken.class != ERR_NONE)
        return;
    if (s->is_finishing)
        start_linger(s);
    else if (s->has_ended && s->events->ended == NULL)
        close_cleanly(s);
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
    update_interest(s);
    if (is_client)
        kick_in(s, 0); /* the client speaks first */
    return 0;
}

static void handshake(struct stream *s)
{
    struct err why = ERR_INIT;

    if (s->plain_out > 0) {
        flush(s);
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
            kick_in(s, 0);
        return;
    case TLS_WANT_READ:
        return;
    case TLS_WANT_WRITE:
        s->tls_wants_write = true;
        return;
    case TLS_CLOSED:
    case TLS_FAILED:
        close_with(s, &why);
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
    close_with(s, &why);
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
        close_with(s, &why);
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
        take_in(s, (events & LOOP_READ) || s->tls_wants_write);
        break;
    case STREAM_LINGER:
        linger(s);
        break;
    case STREAM_CLOSED:
        break;
    }
    if (s->is_alive)
        update_interest(s);
    leave(s);
}

/* What had to wait until the owner's call was over. */
static void on_kick(void *arg)
{
    struct stream *s = arg;

    s->busy++;
    switch (s->state) {
    case STREAM_LINGER:
        close_cleanly(s);
        break;
    case STREAM_HANDSHAKE:
        if (s->broken.class != ERR_NONE || s->is_finishing)
            close_cleanly(s);
        else
            handshake(s);
        break;
    case STREAM_PLAIN:
    case STREAM_SECURE:
        if (s->is_finishing || (s->has_ended && s->events->ended == NULL)) {
            if (s->out.n == 0)
                start_linger(s);
        } else if (s->broken.class != ERR_NONE && (s->is_paused || s->has_ended)) {
            close_cleanly(s); /* nobody reads, so nothing else would tell */
        } else if (s->broken.class != ERR_NONE) {
            hear_last_words(s);
        } else {
            take_in(s, s->state == STREAM_SECURE);
        }
        break;
    case STREAM_CONNECTING:
        if (s->is_finishing)
            close_cleanly(s);
        break;
    case STREAM_CLOSED:
        break;
    }
    if (s->is_alive)
        update_interest(s);
    leave(s);
}
