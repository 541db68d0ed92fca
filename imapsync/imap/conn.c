/* SPDX-License-Identifier: ISC */
/*
 * conn: sockets and clocks under the engines.
 *
 * Three things end a wait.  The server's time: whose turn it is has to make progress within its
 * timeout.  Progress is a tagged answer, data that a command on its way can cause, octets of a body
 * or octets sent, PATIENCE_OCTETS of them; "* OK Still here" is none, nor is a FETCH while LIST is
 * waited for, and a command without octets has a total as well.  The job's time and its wish to
 * stop (struct wait_limits) end every wait for something, whatever the server does.  All are looked
 * at behind what has come meanwhile, so that a process that was stopped finds its answers first.
 *
 * A connection that owes nothing and is owed nothing has no time; it says NOOP now and then, since
 * servers end sessions that say nothing for half an hour, and many do after some minutes.
 *
 * Errors: a connection that ends is temporary (run again, the journal knows where), a server that
 * breaks the protocol is ERR_PEER; either way the connection is broken and only good for closing.
 */
#include "imapsync/imap/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "imapsync/imap/fault.h"
#include "imapsync/imap/patience.h"
#include "imapsync/imap/signin.h"
#include "imapsync/imap/wire.h"

#define READ_SIZE (64u << 10)
#define LOGOUT_TIMEOUT_MS 2000

enum conn_state {
    CONN_LOOKING_UP,
    CONN_CONNECTING,
    CONN_SECURING,
    CONN_SIGNING_IN, /* greeting included */
    CONN_READY,
};

struct imap_conn {
    const struct imap_place *place;
    const struct wait_limits *limits;
    enum conn_state state;
    struct imap_wire wire;
    struct imap_client *client;
    struct imap_signin *signin; /* until READY */
    const struct imap_events *events;
    void *arg;
    bool is_paused;
    enum imap_broken broken;
    struct err why;
    struct patience patience;
    uint64_t spoke_ms; /* when something was sent last */
    bool is_leaving;
    struct imap_outcome farewell;
    uint64_t untagged;
};

struct imap_client *imap_conn_client(struct imap_conn *c)
{
    return c->client;
}

bool imap_conn_is_ready(const struct imap_conn *c)
{
    return c->state == CONN_READY && c->broken == IMAP_BROKEN_NOT;
}

enum imap_broken imap_conn_broken(const struct imap_conn *c)
{
    return c->broken;
}

bool imap_conn_is_broken(const struct imap_conn *c)
{
    return c->broken != IMAP_BROKEN_NOT;
}

void imap_conn_pause(struct imap_conn *c, bool on)
{
    c->is_paused = on;
}

static uint64_t now_ms(const struct imap_conn *c)
{
    return c->place->now_ms ? c->place->now_ms() : clock_mono_ms();
}

/* --- Events --------------------------------------------------------------------- */

static void on_untagged(void *arg, const struct imap_response *r)
{
    struct imap_conn *c = arg;
    c->untagged++;
    if (imap_client_awaits(c->client) & 1u << r->kind)
        patience_progress(&c->patience);
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
    if (imap_client_awaits(c->client) & 1u << IMAP_KIND_FETCH)
        patience_octets(&c->patience, octets.n);
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
}

/* --- Ends ------------------------------------------------------------------------- */

static int broken(struct imap_conn *c, enum imap_broken why, const struct err *err)
{
    c->broken = why;
    c->why = *err;
    /* Which machine it was is of interest unless it has spoken for itself. */
    if (why == IMAP_BROKEN_REFUSED)
        err_wrap(&c->why, "%s", c->place->label);
    else
        err_wrap(&c->why, "%s (%s)", c->place->label, c->place->host);
    imap_client_cancel(c->client);
    return -1;
}

static int lost(struct imap_conn *c, struct err *err)
{
    const char *bye = imap_client_bye(c->client);
    if (bye[0])
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "the server ended the connection: %s", bye);
    else if (err->class == ERR_NONE)
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "the server closed the connection");
    err->class = ERR_TEMP;
    err->code = EX_TEMPFAIL;
    err_scope_set(err, ERR_SCOPE_HOST);
    return broken(c, IMAP_BROKEN_LOST, err);
}

/* CLOSED or FAILED. */
static int fell(struct imap_conn *c, enum imap_wire_result r, struct err *err)
{
    return r == IMAP_WIRE_CLOSED ? lost(c, err) : broken(c, IMAP_BROKEN_LOST, err);
}

void imap_conn_abandon(struct imap_conn *c)
{
    struct err err = ERR_INIT;
    if (imap_conn_is_broken(c))
        return;
    err_set(&err, ERR_TEMP, EX_TEMPFAIL, "the connection was given up");
    broken(c, IMAP_BROKEN_ABANDONED, &err);
}

/* --- Steps ------------------------------------------------------------------------ */

static bool is_late(const struct imap_conn *c)
{
    return patience_is_over(&c->patience);
}

static void enter(struct imap_conn *c, enum conn_state state, bool *moved)
{
    c->state = state;
    *moved = true;
}

/* Connected: from here on signing in has its total. */
static void begin_session(struct imap_conn *c)
{
    uint64_t timeout_ms = c->place->timeout_ms > 0 ? c->place->timeout_ms : IMAP_TIMEOUT_MS;
    patience_init(&c->patience, timeout_ms);
    patience_limit(&c->patience, IMAP_LOGIN_TIMEOUT_MS);
    c->state = c->place->security == IMAP_SECURITY_TLS ? CONN_SECURING : CONN_SIGNING_IN;
}

/* The name has its time, and each of its addresses. */
static void begin(struct imap_conn *c, enum conn_state state)
{
    uint64_t timeout_ms = c->place->timeout_ms > 0 ? c->place->timeout_ms : IMAP_TIMEOUT_MS;
    if (timeout_ms > IMAP_CONNECT_TIMEOUT_MS)
        timeout_ms = IMAP_CONNECT_TIMEOUT_MS;
    patience_init(&c->patience, timeout_ms);
    c->state = state;
}

static int looking_up(struct imap_conn *c, bool *moved, struct err *err)
{
    enum imap_wire_result r = imap_wire_look_up(&c->wire, c->place, err);
    if (r == IMAP_WIRE_AGAIN)
        return 0;
    *moved = true;
    if (r != IMAP_WIRE_DONE)
        return broken(c, IMAP_BROKEN_LOST, err);
    begin(c, CONN_CONNECTING);
    return imap_wire_dial(&c->wire, c->place, err) == 0 ? 0 : broken(c, IMAP_BROKEN_SILENT, err);
}

static int connecting(struct imap_conn *c, short revents, bool *moved, struct err *err)
{
    if (revents == 0 && !is_late(c))
        return 0;
    *moved = true;
    switch (imap_wire_connected(&c->wire, c->place, revents == 0, err)) {
    case IMAP_WIRE_DONE:
        begin_session(c);
        return 0;
    case IMAP_WIRE_AGAIN:
        begin(c, CONN_CONNECTING);
        return 0;
    case IMAP_WIRE_CLOSED:
    case IMAP_WIRE_FAILED:
        break;
    }
    /* Nobody is there, whichever way we were told. */
    return broken(c, IMAP_BROKEN_SILENT, err);
}

static int securing(struct imap_conn *c, bool *moved, struct err *err)
{
    enum imap_wire_result r = imap_wire_secure(&c->wire, c->place, err);
    if (r == IMAP_WIRE_AGAIN)
        return 0;
    if (r != IMAP_WIRE_DONE)
        return fell(c, r, err);
    if (imap_client_wants_tls(c->client))
        imap_signin_secured(c->signin);
    enter(c, CONN_SIGNING_IN, moved);
    return 0;
}

/* Sends what may be sent. */
static int send_some(struct imap_conn *c, bool *moved, struct err *err)
{
    struct slice out;
    while ((out = imap_client_out(c->client)).n > 0) {
        size_t n = 0;
        enum imap_wire_result r = imap_wire_send(&c->wire, out, &n, err);
        if (r == IMAP_WIRE_AGAIN)
            return 0;
        if (r != IMAP_WIRE_DONE)
            return fell(c, r, err);
        imap_client_sent(c->client, n);
        patience_octets(&c->patience, n);
        c->spoke_ms = now_ms(c);
        *moved = true;
    }
    if (imap_client_check(c->client, err) != 0)
        return broken(c, IMAP_BROKEN_LOST, err);
    return 0;
}

static int receive_some(struct imap_conn *c, bool *moved, struct err *err)
{
    unsigned char in[READ_SIZE];
    size_t n = 0;
    enum imap_wire_result r = imap_wire_receive(&c->wire, in, sizeof(in), &n, err);
    if (r == IMAP_WIRE_AGAIN)
        return 0;
    if (r != IMAP_WIRE_DONE)
        return fell(c, r, err);
    *moved = true;
    size_t before = imap_client_pending(c->client);
    bool was_greeted = imap_client_session(c->client) != IMAP_SESSION_GREETING;
    if (imap_client_feed(c->client, slice_make(in, n), err) != 0)
        return broken(c, IMAP_BROKEN_LOST, err);
    if (imap_client_pending(c->client) != before || !was_greeted) {
        c->untagged = 0;
        patience_answer(&c->patience);
    }
    if (c->untagged > IMAP_UNTAGGED_MAX) {
        err_set(err, ERR_PEER, EX_PROTOCOL, "the server sends data without end");
        return broken(c, IMAP_BROKEN_LOST, err);
    }
    return 0;
}

static int signing_in(struct imap_conn *c, bool *moved, struct err *err)
{
    switch (imap_signin_step(c->signin, err)) {
    case IMAP_SIGNIN_WAITS:
        return 0;
    case IMAP_SIGNIN_WANTS_TLS:
        enter(c, CONN_SECURING, moved);
        return 0;
    case IMAP_SIGNIN_DONE:
        imap_signin_free(&c->signin);
        patience_limit(&c->patience, 0);
        enter(c, CONN_READY, moved);
        return 0;
    case IMAP_SIGNIN_FAILED:
        break;
    }
    return broken(c, IMAP_BROKEN_REFUSED, err);
}

static int talking(struct imap_conn *c, short revents, bool *moved, struct err *err)
{
    if (send_some(c, moved, err) != 0)
        return -1;
    bool may_read = revents != 0 || is_late(c) || imap_wire_has_read(&c->wire);
    if (may_read && !c->is_paused && receive_some(c, moved, err) != 0)
        return -1;
    if (c->state == CONN_SIGNING_IN && signing_in(c, moved, err) != 0)
        return -1;
    /* A BYE while signing in is the end; later its reason is shown when the connection ends. */
    if (c->state == CONN_SIGNING_IN && imap_client_session(c->client) == IMAP_SESSION_BYE)
        return lost(c, err);
    return c->state == CONN_SECURING ? 0 : send_some(c, moved, err);
}

/* --- Time -------------------------------------------------------------------------- */

/* Something is to be waited for, from whomever. */
static bool is_busy(const struct imap_conn *c)
{
    return c->state != CONN_READY || imap_client_pending(c->client) > 0;
}

static bool is_owed(const struct imap_conn *c)
{
    return is_busy(c) && !c->is_paused &&
           (c->state < CONN_SIGNING_IN || imap_client_is_owed(c->client));
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* The job's own limits, for whoever waits under them. */
static enum imap_broken judge_limits(
    const struct wait_limits *limits, uint64_t now, struct err *err)
{
    if (!limits)
        return IMAP_BROKEN_NOT;
    if (is_readable(limits->cancel_fd)) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "stopped on request");
        return IMAP_BROKEN_STOPPED;
    }
    if (limits->until_ms > 0 && now >= limits->until_ms) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "the time for this is over");
        return IMAP_BROKEN_LIMIT;
    }
    return IMAP_BROKEN_NOT;
}

static void judge(struct imap_conn *c, struct err *err)
{
    enum imap_broken why = judge_limits(c->limits, now_ms(c), err);
    if (why == IMAP_BROKEN_NOT && is_owed(c) && is_late(c)) {
        why = IMAP_BROKEN_SILENT;
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "the server did not answer in time");
        err_scope_set(err, ERR_SCOPE_HOST);
    }
    if (why != IMAP_BROKEN_NOT)
        broken(c, why, err);
}

static void on_noop(void *arg, const struct imap_response *r)
{
    (void)arg, (void)r;
}

/* Milliseconds until it has to say something; UINT64_MAX: it is not idle. */
static uint64_t idle_left(const struct imap_conn *c, uint64_t now)
{
    uint64_t interval = c->place->keepalive_ms > 0 ? c->place->keepalive_ms : IMAP_KEEPALIVE_MS;
    if (is_busy(c) || c->is_paused || !imap_client_may_send(c->client) ||
        imap_client_unsent(c->client) > 0 || imap_client_session(c->client) == IMAP_SESSION_BYE)
        return UINT64_MAX;
    return now - c->spoke_ms < interval ? interval - (now - c->spoke_ms) : 0;
}

static void keep_alive(struct imap_conn *c)
{
    if (idle_left(c, now_ms(c)) > 0)
        return;
    imap_cmd_begin(c->client, on_noop, NULL);
    imap_cmd_text(c->client, "NOOP");
    imap_cmd_end(c->client);
}

/* --- Waiting -------------------------------------------------------------------- */

static short wanted_events(const struct imap_conn *c)
{
    if (c->state < CONN_SECURING)
        return c->state == CONN_CONNECTING ? POLLOUT : POLLIN;
    bool is_open = c->state != CONN_SECURING;
    return imap_wire_events(&c->wire, !c->is_paused, is_open && imap_client_out(c->client).n > 0);
}

void imap_conn_prepare(struct imap_conn *c, struct pollfd *fd_out, int *timeout_ms_out)
{
    uint64_t now = now_ms(c), ms = patience_wait(&c->patience, now, is_owed(c));
    uint64_t idle_ms = idle_left(c, now);
    *fd_out = (struct pollfd){.fd = -1};
    *timeout_ms_out = 0;
    if (imap_conn_is_broken(c))
        return;
    ms = idle_ms < ms ? idle_ms : ms;
    if (c->limits && c->limits->until_ms > 0 && is_busy(c)) {
        uint64_t left_ms = c->limits->until_ms > now ? c->limits->until_ms - now : 0;
        ms = left_ms < ms ? left_ms : ms;
    }
    if (c->state >= CONN_SIGNING_IN && !c->is_paused && imap_wire_has_read(&c->wire))
        ms = 0;
    *timeout_ms_out = ms == UINT64_MAX ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms;
    /* A paused one that has hung up would be ready all the time. */
    short events = wanted_events(c);
    if (events != 0)
        *fd_out = (struct pollfd){.fd = imap_wire_fd(&c->wire), .events = events};
}

static int step(struct imap_conn *c, short revents, bool *moved, struct err *err)
{
    switch (c->state) {
    case CONN_LOOKING_UP:
        return looking_up(c, moved, err);
    case CONN_CONNECTING:
        return connecting(c, revents, moved, err);
    case CONN_SECURING:
        return securing(c, moved, err);
    case CONN_SIGNING_IN:
    case CONN_READY:
        return talking(c, revents, moved, err);
    }
    BUG("imap_conn state");
}

int imap_conn_advance(struct imap_conn *c, short revents, bool *moved, struct err *err)
{
    struct err why = ERR_INIT;
    patience_look(&c->patience, now_ms(c));
    if (!imap_conn_is_broken(c)) {
        keep_alive(c);
        /* A new state has something to do before it can wait: TLS begins with our words. */
        enum conn_state before;
        int result;
        do {
            before = c->state;
            result = step(c, revents, moved, &why);
            revents = 0;
        } while (result == 0 && c->state != before);
        if (result == 0 && is_busy(c))
            judge(c, &why);
    }
    if (imap_conn_is_broken(c) && err)
        *err = c->why;
    return imap_conn_is_broken(c) ? -1 : 0;
}

#define PUMP_MAX 4

int imap_conn_pump(struct imap_conn *const *conns, size_t n, struct err *err)
{
    struct pollfd fds[2 * PUMP_MAX];
    bool moved = false;
    BUG_ON(n > PUMP_MAX);
    while (!moved) {
        int wait_ms = -1;
        for (size_t i = 0; i < n; i++) {
            const struct wait_limits *limits = conns[i]->limits;
            int ms;
            imap_conn_prepare(conns[i], &fds[i], &ms);
            if (ms >= 0 && (wait_ms < 0 || ms < wait_ms))
                wait_ms = ms;
            fds[n + i] = (struct pollfd){.fd = limits ? limits->cancel_fd : -1, .events = POLLIN};
        }
        int r = poll(fds, 2 * n, wait_ms);
        if (r < 0 && errno != EINTR) {
            struct err why = ERR_INIT;
            err_sys(&why, errno, "poll");
            broken(conns[0], IMAP_BROKEN_LOST, &why);
        }
        for (size_t i = 0; i < n; i++) {
            if (imap_conn_advance(conns[i], r > 0 ? fds[i].revents : 0, &moved, err) != 0)
                return -1;
        }
        /* One that has nothing to wait for does not break because of them. */
        if (!moved && judge_limits(conns[0]->limits, now_ms(conns[0]), err) != IMAP_BROKEN_NOT)
            return -1;
    }
    return 0;
}

/* --- Opening and closing ---------------------------------------------------------- */

static struct imap_conn *new_conn(const struct imap_place *place, const struct wait_limits *limits)
{
    struct imap_conn *c = mem_zalloc(sizeof(*c));
    c->place = place;
    c->limits = limits;
    imap_wire_init(&c->wire);
    c->client = imap_client_new();
    imap_client_events(c->client, &own_events, c);
    c->signin = imap_signin_new(c->client, place);
    return c;
}

struct imap_conn *imap_conn_start(const struct imap_place *place, const struct wait_limits *limits)
{
    struct imap_conn *c = new_conn(place, limits);
    struct err why = ERR_INIT;
    bool moved;
    begin(c, CONN_LOOKING_UP);
    /* If it cannot even begin it is broken, and says so when it is asked. */
    (void)looking_up(c, &moved, &why);
    return c;
}

struct imap_conn *imap_conn_adopt(
    const struct imap_place *place, const struct wait_limits *limits, int fd_own)
{
    struct imap_conn *c = new_conn(place, limits);
    c->wire.fd = fd_own;
    begin_session(c);
    return c;
}

void imap_conn_leave(struct imap_conn *c)
{
    if (!imap_conn_is_ready(c) || !imap_client_may_send(c->client))
        return;
    c->is_leaving = true;
    patience_limit(&c->patience, LOGOUT_TIMEOUT_MS);
    imap_cmd_begin(c->client, imap_outcome_set, &c->farewell);
    imap_cmd_text(c->client, "LOGOUT");
    imap_cmd_end(c->client);
}

bool imap_conn_has_left(const struct imap_conn *c)
{
    return !c->is_leaving || c->farewell.is_done;
}

void imap_conn_close(struct imap_conn **c)
{
    if (!*c)
        return;
    bool is_polite = (*c)->farewell.is_done && !imap_conn_is_broken(*c);
    imap_client_cancel((*c)->client);
    imap_signin_free(&(*c)->signin);
    imap_wire_close(&(*c)->wire, is_polite);
    imap_client_free(&(*c)->client);
    free(*c);
    *c = NULL;
}
