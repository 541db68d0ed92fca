/* SPDX-License-Identifier: ISC */
/*
 * conn_wait: clocks under a connection, and the loop over poll().
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
 */
#include <errno.h>
#include <sysexits.h>

#include "imapsync/imap/conn_parts.h"

/* Something is to be waited for, from whomever. */
static bool is_busy(const struct imap_conn *c)
{
    return c->state != CONN_READY || imap_client_pending(c->client) > 0;
}

static bool is_owed(const struct imap_conn *c)
{
    return is_busy(c) && !c->is_paused && c->state != CONN_FETCHING && !imap_conn_is_paced(c) &&
           (c->state < CONN_SIGNING_IN || imap_client_is_owed(c->client) ||
               (c->compress && imap_compress_packed(c->compress).n > 0));
}

#define LOGOUT_TIMEOUT_MS 2000

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
    enum imap_broken why = judge_limits(c->limits, imap_conn_now_ms(c), err);
    if (why == IMAP_BROKEN_NOT && is_owed(c) && patience_is_over(&c->patience)) {
        why = IMAP_BROKEN_SILENT;
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "the server did not answer in time");
        err_scope_set(err, ERR_SCOPE_HOST);
    }
    if (why != IMAP_BROKEN_NOT)
        imap_conn_break(c, why, err);
}

static void on_noop(void *arg, const struct imap_response *r)
{
    (void)arg, (void)r;
}

/* Milliseconds until it has to say something; UINT64_MAX: it is not idle. */
static uint64_t idle_left(const struct imap_conn *c, uint64_t now)
{
    uint64_t interval = c->place->keepalive_ms > 0 ? c->place->keepalive_ms : IMAP_KEEPALIVE_MS;
    if (is_busy(c) || c->is_paused || !imap_client_has_room(c->client) ||
        imap_client_unsent(c->client) > 0 || imap_client_session(c->client) == IMAP_SESSION_BYE)
        return UINT64_MAX;
    return now - c->spoke_ms < interval ? interval - (now - c->spoke_ms) : 0;
}

static void keep_alive(struct imap_conn *c)
{
    if (idle_left(c, imap_conn_now_ms(c)) > 0)
        return;
    imap_cmd_begin(c->client, on_noop, NULL);
    imap_cmd_text(c->client, "NOOP");
    imap_cmd_end(c->client);
}

void imap_conn_leave_soon(struct imap_conn *c)
{
    if (c->is_leaving && c->patience.limit_ms == 0)
        patience_limit(&c->patience, LOGOUT_TIMEOUT_MS);
}

/* Politeness has an end, and begins when there is nothing else that the server owes. */
static void limit_farewell(struct imap_conn *c)
{
    if (imap_client_pending(c->client) <= 1)
        imap_conn_leave_soon(c);
}

/* --- Waiting -------------------------------------------------------------------- */

static short wanted_events(const struct imap_conn *c)
{
    if (imap_conn_is_paced(c))
        return 0;
    if (c->state < CONN_SECURING || c->state == CONN_FETCHING)
        return c->state == CONN_CONNECTING ? POLLOUT : POLLIN;
    bool is_open = c->state != CONN_SECURING;
    return imap_wire_events(&c->wire, !c->is_paused, is_open && imap_conn_has_out(c));
}

void imap_conn_prepare(struct imap_conn *c, struct pollfd *fd_out, int *timeout_ms_out)
{
    limit_farewell(c);
    uint64_t now = imap_conn_now_ms(c), ms = patience_wait(&c->patience, now, is_owed(c));
    uint64_t idle_ms = idle_left(c, now);
    *fd_out = (struct pollfd){.fd = -1};
    *timeout_ms_out = 0;
    if (imap_conn_is_broken(c))
        return;
    uint64_t pace_ms = imap_conn_pace_ms(c, now);
    ms = idle_ms < ms ? idle_ms : ms;
    ms = pace_ms < ms ? pace_ms : ms;
    if (c->limits && c->limits->until_ms > 0 && is_busy(c)) {
        uint64_t left_ms = c->limits->until_ms > now ? c->limits->until_ms - now : 0;
        ms = left_ms < ms ? left_ms : ms;
    }
    if (c->state >= CONN_SIGNING_IN && !c->is_paused && !imap_conn_is_paced(c) &&
        imap_conn_has_read(c))
        ms = 0;
    *timeout_ms_out = ms == UINT64_MAX ? -1 : ms > INT32_MAX ? INT32_MAX : (int)ms;
    /* A paused one that has hung up would be ready all the time. */
    short events = wanted_events(c);
    if (events != 0)
        *fd_out = (struct pollfd){
            .fd = c->fetching ? errand_fd(c->fetching) : imap_wire_fd(&c->wire), .events = events};
}
int imap_conn_advance(struct imap_conn *c, short revents, bool *moved, struct err *err)
{
    struct err why = ERR_INIT;
    patience_look(&c->patience, imap_conn_now_ms(c));
    if (!imap_conn_is_broken(c)) {
        imap_conn_allow(c);
        keep_alive(c);
        /* A new state has something to do before it can wait: TLS begins with our words. */
        enum conn_state before;
        int result;
        do {
            before = c->state;
            result = imap_conn_step(c, revents, moved, &why);
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
            imap_conn_break(conns[0], IMAP_BROKEN_LOST, &why);
        }
        for (size_t i = 0; i < n; i++) {
            if (imap_conn_advance(conns[i], r > 0 ? fds[i].revents : 0, &moved, err) != 0)
                return -1;
        }
        /* One that has nothing to wait for does not break because of them. */
        if (!moved &&
            judge_limits(conns[0]->limits, imap_conn_now_ms(conns[0]), err) != IMAP_BROKEN_NOT)
            return -1;
    }
    return 0;
}
