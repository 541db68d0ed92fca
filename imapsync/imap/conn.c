/* SPDX-License-Identifier: ISC */
/*
 * conn: sockets and clocks under the engine.
 *
 * Deadlines: a connection that has something to do must make progress within its timeout.  Progress
 * is a tagged answer, data that was asked for, octets of a body or octets sent, IMAP_PROGRESS_BYTES
 * of them; "* OK Still here" is none, and neither is one byte a minute.  Signing in has a total
 * limit besides.  A paused connection owes nothing.
 *
 * Errors: a connection that ends is temporary (run again, the journal knows where), a server that
 * breaks the protocol is ERR_PEER; either way the connection is broken and only good for closing.
 */
#include "imapsync/imap/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/sock.h"
#include "imapsync/imap/fault.h"

#define READ_SIZE (64u << 10)
#define ADDRESSES_MAX 8
#define LOGOUT_TIMEOUT_MS 2000

struct imap_conn {
    const struct imap_place *place;
    struct imap_client *client;
    int fd;
    struct tls *tls;
    const struct imap_events *events;
    void *arg;
    bool is_broken, is_silent, is_paused, was_busy;
    bool read_wants_write, write_wants_read;
    uint64_t progress_ms;  /* when it made progress last */
    uint64_t limit_at_ms;  /* 0: none */
    uint64_t small_octets; /* too few yet to be progress */
    uint64_t untagged;
    unsigned char in[READ_SIZE];
};

struct imap_client *imap_conn_client(struct imap_conn *c)
{
    return c->client;
}

const struct imap_place *imap_conn_place(const struct imap_conn *c)
{
    return c->place;
}

bool imap_conn_is_broken(const struct imap_conn *c)
{
    return c->is_broken;
}

void imap_conn_pause(struct imap_conn *c, bool on)
{
    c->is_paused = on;
}

void imap_conn_limit(struct imap_conn *c, uint64_t total_ms)
{
    c->limit_at_ms = total_ms > 0 ? clock_mono_ms() + total_ms : 0;
}

/* --- Progress ------------------------------------------------------------------- */

static void progress(struct imap_conn *c)
{
    c->progress_ms = clock_mono_ms();
    c->small_octets = 0;
}

static void progress_octets(struct imap_conn *c, size_t n)
{
    c->small_octets += n;
    if (c->small_octets >= IMAP_PROGRESS_BYTES)
        progress(c);
}

static void on_untagged(void *arg, const struct imap_response *r)
{
    struct imap_conn *c = arg;
    c->untagged++;
    switch (r->kind) {
    case IMAP_KIND_LIST:
    case IMAP_KIND_LSUB:
    case IMAP_KIND_MAILBOX_STATUS:
    case IMAP_KIND_SEARCH:
    case IMAP_KIND_ESEARCH:
    case IMAP_KIND_FETCH:
    case IMAP_KIND_VANISHED:
    case IMAP_KIND_NAMESPACE:
        progress(c);
        break;
    case IMAP_KIND_TAGGED:
    case IMAP_KIND_STATUS:
    case IMAP_KIND_CONTINUE:
    case IMAP_KIND_CAPABILITY:
    case IMAP_KIND_ENABLED:
    case IMAP_KIND_FLAGS:
    case IMAP_KIND_EXISTS:
    case IMAP_KIND_RECENT:
    case IMAP_KIND_EXPUNGE:
    case IMAP_KIND_OTHER:
        break;
    }
    if (c->events && c->events->untagged)
        c->events->untagged(c->arg, r);
}

static void on_body_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct imap_conn *c = arg;
    if (c->events && c->events->body_begin)
        c->events->body_begin(c->arg, uid, size);
}

static void on_body_data(void *arg, struct slice octets)
{
    struct imap_conn *c = arg;
    progress_octets(c, octets.n);
    if (c->events && c->events->body_data)
        c->events->body_data(c->arg, octets);
}

static void on_body_end(void *arg)
{
    struct imap_conn *c = arg;
    if (c->events && c->events->body_end)
        c->events->body_end(c->arg);
}

static const struct imap_events own_events = {
    .untagged = on_untagged,
    .body_begin = on_body_begin,
    .body_data = on_body_data,
    .body_end = on_body_end,
};

void imap_conn_events(struct imap_conn *c, const struct imap_events *events, void *arg)
{
    c->events = events;
    c->arg = arg;
    imap_client_events(c->client, &own_events, c);
}

/* --- Bytes ---------------------------------------------------------------------- */

static int broken(struct imap_conn *c, struct err *err)
{
    c->is_broken = true;
    return err_wrap(err, "%s (%s)", c->place->label, c->place->host);
}

static int lost(struct imap_conn *c, int errnum, struct err *err)
{
    const char *bye = imap_client_bye(c->client);
    if (bye[0])
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "the server ended the connection: %s", bye);
    else if (errnum != 0)
        err_sys(err, errnum, "the connection was lost");
    else
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "the server closed the connection");
    if (err) {
        err->class = ERR_TEMP;
        err->code = EX_TEMPFAIL;
    }
    err_scope_set(err, ERR_SCOPE_HOST);
    return broken(c, err);
}

static int tls_result(struct imap_conn *c, enum tls_want want, bool *again, struct err *err)
{
    *again = want == TLS_WANT_READ || want == TLS_WANT_WRITE;
    if (want == TLS_DONE || *again)
        return 0;
    if (want == TLS_CLOSED)
        return lost(c, 0, err);
    return broken(c, err);
}

/* Sends what may be sent.  *moved_out: bytes have left. */
static int send_some(struct imap_conn *c, bool *moved_out, struct err *err)
{
    struct slice out;
    while ((out = imap_client_out(c->client)).n > 0) {
        size_t n = 0;
        if (c->tls) {
            bool again;
            enum tls_want want = tls_write(c->tls, out.p, out.n, &n, err);
            if (tls_result(c, want, &again, err) != 0)
                return -1;
            c->write_wants_read = want == TLS_WANT_READ;
            if (again)
                return 0;
        } else {
            ssize_t r = send(c->fd, out.p, out.n, MSG_NOSIGNAL);
            if (r < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
            if (r < 0)
                return lost(c, errno, err);
            n = (size_t)r;
        }
        imap_client_sent(c->client, n);
        progress_octets(c, n);
        *moved_out = true;
    }
    return 0;
}

static int receive_some(struct imap_conn *c, bool *moved_out, struct err *err)
{
    size_t n = 0;
    if (c->tls) {
        bool again;
        enum tls_want want = tls_read(c->tls, c->in, sizeof(c->in), &n, err);
        if (tls_result(c, want, &again, err) != 0)
            return -1;
        c->read_wants_write = want == TLS_WANT_WRITE;
        if (again)
            return 0;
    } else {
        ssize_t r = recv(c->fd, c->in, sizeof(c->in), 0);
        if (r < 0 && (errno == EAGAIN || errno == EINTR))
            return 0;
        if (r <= 0)
            return lost(c, r < 0 ? errno : 0, err);
        n = (size_t)r;
    }
    *moved_out = true;
    size_t before = imap_client_pending(c->client);
    if (imap_client_feed(c->client, slice_make(c->in, n), err) != 0)
        return broken(c, err);
    if (imap_client_pending(c->client) != before) {
        c->untagged = 0;
        progress(c);
    }
    if (c->untagged > IMAP_UNTAGGED_MAX) {
        err_set(err, ERR_PEER, EX_PROTOCOL, "the server sends data without end");
        return broken(c, err);
    }
    return 0;
}

/* --- Waiting -------------------------------------------------------------------- */

static uint64_t timeout_of(const struct imap_conn *c)
{
    return c->place->timeout_ms > 0 ? c->place->timeout_ms : IMAP_TIMEOUT_MS;
}

/* Milliseconds until the connection has waited too long; -1: it waits for nothing. */
static int64_t patience(struct imap_conn *c, uint64_t now)
{
    bool is_busy = imap_client_pending(c->client) > 0 ||
                   imap_client_session(c->client) == IMAP_SESSION_GREETING;
    if (!is_busy || c->is_paused || !c->was_busy)
        progress(c);
    c->was_busy = is_busy;
    if (!is_busy && c->limit_at_ms == 0)
        return -1;
    uint64_t at = c->progress_ms + timeout_of(c);
    if (c->limit_at_ms > 0 && c->limit_at_ms < at)
        at = c->limit_at_ms;
    return at > now ? (int64_t)(at - now) : 0;
}

static int timed_out(struct imap_conn *c, struct err *err)
{
    c->is_silent = true;
    err_set(err, ERR_TEMP, EX_TEMPFAIL, "the server did not answer in time");
    err_scope_set(err, ERR_SCOPE_HOST);
    return broken(c, err);
}

static short wanted_events(struct imap_conn *c)
{
    short events = 0;
    if (!c->is_paused)
        events |= c->read_wants_write ? POLLOUT : POLLIN;
    if (imap_client_out(c->client).n > 0)
        events |= c->write_wants_read ? POLLIN : POLLOUT;
    return events;
}

#define PUMP_MAX 4

int imap_conn_pump(struct imap_conn *const *conns, size_t n, struct err *err)
{
    struct pollfd fds[PUMP_MAX];
    BUG_ON(n > PUMP_MAX);
    for (;;) {
        bool moved = false;
        int64_t wait_ms = -1;
        uint64_t now = clock_mono_ms();
        for (size_t i = 0; i < n; i++) {
            if (send_some(conns[i], &moved, err) != 0)
                return -1;
            int64_t ms = patience(conns[i], now);
            if (ms == 0)
                return timed_out(conns[i], err);
            if (ms > 0 && (wait_ms < 0 || ms < wait_ms))
                wait_ms = ms;
            if (conns[i]->tls && !conns[i]->is_paused && tls_has_pending(conns[i]->tls))
                wait_ms = 0;
            short events = wanted_events(conns[i]);
            /* A paused one that has hung up would be ready all the time. */
            fds[i] = (struct pollfd){.fd = events != 0 ? conns[i]->fd : -1, .events = events};
        }
        /* What was sent counts, but look at the input before saying so. */
        int r = poll(fds, n, moved ? 0 : (int)(wait_ms > INT32_MAX ? INT32_MAX : wait_ms));
        if (r < 0 && errno != EINTR)
            return err_sys(err, errno, "poll");
        for (size_t i = 0; i < n; i++) {
            struct imap_conn *c = conns[i];
            bool ready = r > 0 && fds[i].revents != 0;
            if (c->is_paused || (!ready && !(c->tls && tls_has_pending(c->tls))))
                continue;
            if (receive_some(c, &moved, err) != 0)
                return -1;
        }
        if (moved)
            return 0;
    }
}

/* --- Opening and closing ---------------------------------------------------------- */

/* Waits for one descriptor, neither past until_ms nor longer than the timeout. */
static int wait_fd(struct imap_conn *c, short events, uint64_t until_ms, struct err *err)
{
    uint64_t now = clock_mono_ms(), end = now + timeout_of(c);
    end = until_ms < end ? until_ms : end;
    for (;; now = clock_mono_ms()) {
        struct pollfd fd = {.fd = c->fd, .events = events};
        int r = now < end ? poll(&fd, 1, (int)(end - now)) : 0;
        if (r > 0)
            return 0;
        if (r == 0)
            return timed_out(c, err);
        if (errno != EINTR)
            return err_sys(err, errno, "poll");
    }
}

int imap_conn_secure(struct imap_conn *c, struct err *err)
{
    if (tls_new(c->place->tls, c->fd, c->place->tls_name, &c->tls, err) != 0)
        return broken(c, err);
    for (;;) {
        switch (tls_handshake(c->tls, err)) {
        case TLS_DONE:
            return 0;
        case TLS_WANT_READ:
            if (wait_fd(c, POLLIN, c->limit_at_ms, err) != 0)
                return -1;
            break;
        case TLS_WANT_WRITE:
            if (wait_fd(c, POLLOUT, c->limit_at_ms, err) != 0)
                return -1;
            break;
        case TLS_CLOSED:
            return lost(c, 0, err);
        case TLS_FAILED:
            return broken(c, err);
        }
    }
}

static int connect_to(struct imap_conn *c, const struct net_addr *addr, struct err *err)
{
    if (sock_connect(addr, c->place->port, &c->fd, err) != 0)
        return -1;
    if (wait_fd(c, POLLOUT, clock_mono_ms() + IMAP_CONNECT_TIMEOUT_MS, err) == 0 &&
        sock_connect_result(c->fd, err) == 0) {
        c->is_broken = false;
        return 0;
    }
    io_close(&c->fd);
    return -1;
}

static int open_conn(struct imap_conn *c, struct err *err)
{
    struct net_addr addrs[ADDRESSES_MAX];
    size_t n;
    if (sock_resolve(c->place->host, addrs, ADDRESSES_MAX, &n, err) != 0)
        return -1;
    for (size_t i = 0; i < n && c->fd < 0; i++) {
        if (connect_to(c, &addrs[i], err) != 0 && i + 1 == n) {
            c->is_silent = true;
            return err_wrap(err, "%s", c->place->label);
        }
    }
    c->is_silent = false; /* an address before this one may have been */
    imap_conn_limit(c, IMAP_LOGIN_TIMEOUT_MS);
    if (c->place->security == IMAP_SECURITY_TLS && imap_conn_secure(c, err) != 0)
        return -1;
    while (imap_client_session(c->client) == IMAP_SESSION_GREETING) {
        if (imap_conn_pump(&c, 1, err) != 0)
            return -1;
    }
    if (imap_client_session(c->client) == IMAP_SESSION_BYE)
        return lost(c, 0, err);
    return 0;
}

int imap_conn_open(
    const struct imap_place *place, struct imap_conn **out, bool *is_silent_out, struct err *err)
{
    struct imap_conn *c = mem_zalloc(sizeof(*c));
    c->place = place;
    c->fd = -1;
    c->client = imap_client_new();
    *is_silent_out = false;
    if (open_conn(c, err) != 0) {
        *is_silent_out = c->is_silent;
        imap_conn_close(&c);
        return -1;
    }
    *out = c;
    return 0;
}

void imap_conn_close(struct imap_conn **c)
{
    if (!*c)
        return;
    tls_free(&(*c)->tls);
    io_close(&(*c)->fd);
    imap_client_free(&(*c)->client);
    free(*c);
    *c = NULL;
}

void imap_conn_logout(struct imap_conn **c)
{
    if (*c && !(*c)->is_broken && imap_client_may_send((*c)->client) &&
        imap_client_pending((*c)->client) == 0) {
        struct imap_outcome o = {0};
        struct err ignored = ERR_INIT;
        imap_conn_limit(*c, LOGOUT_TIMEOUT_MS);
        imap_cmd_begin((*c)->client, imap_outcome_set, &o);
        imap_cmd_text((*c)->client, "LOGOUT");
        imap_cmd_end((*c)->client);
        /* Only politeness: the server keeps nothing of ours open. */
        if (imap_conn_wait(*c, &o, &ignored) == 0 && (*c)->tls)
            tls_shutdown((*c)->tls);
    }
    imap_conn_close(c);
}

/* --- One command at a time ---------------------------------------------------------- */

void imap_outcome_set(void *outcome, const struct imap_response *r)
{
    struct imap_outcome *o = outcome;
    o->is_done = true;
    o->status = r->status;
    o->code = r->code.kind;
    o->number = r->code.number;
    imap_fault_text(r->text, o->text, sizeof(o->text));
}

int imap_conn_wait(struct imap_conn *c, const struct imap_outcome *o, struct err *err)
{
    while (!o->is_done) {
        if (imap_conn_pump(&c, 1, err) != 0)
            return -1;
    }
    return 0;
}

int imap_conn_check(
    struct imap_conn *c, const struct imap_outcome *o, const char *what, struct err *err)
{
    if (imap_conn_wait(c, o, err) != 0)
        return -1;
    if (o->status == IMAP_STATUS_OK)
        return 0;
    imap_fault_parts(o->status, o->code, o->text, what, err);
    return err_wrap(err, "%s", c->place->label);
}
