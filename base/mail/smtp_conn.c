/* SPDX-License-Identifier: ISC */
/*
 * smtp_conn: see smtp_conn.h.
 *
 * Replies are fed to the engine one by one and told to the owner as they come; what the owner and
 * the engine want to say on the way is written once, when all that was read has been fed.  While
 * the system does not take what was written, more waits in the engine, so that the owner sees it
 * in smtp_conn_unsent() and the engine's buffers and can hold its client back.
 *
 * TLS: see smtp_tls.h for the policy.  What the engine learned and the stream read before the
 * handshake is thrown away by both.  Where a broken handshake may be gone round, we open a second
 * connection to the same address, without TLS and with the whole connect timeout; the owner hears
 * nothing of it.  It is not remembered: the next connection tries TLS again.
 *
 * Deadlines: for whole replies, so that a byte now and then buys a server no time.  One timer,
 * moved only when it fires, or when the next deadline is nearer than the time that it is set to. In
 * the usual course of many messages it is never touched.
 *
 * Life: the owner may free us in its callback, so each entry from below counts in `busy`, and
 * after each callback `is_alive` is asked.
 */
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/mail/smtp_conn.h"
#include "base/os/loop.h"
#include "base/os/sock.h"
#include "base/os/stream.h"

#define IN_MAX 8192 /* of replies that are not whole; the engine keeps what it parses */
#define OUT_MAX (SMTP_CLIENT_CONTENT_MAX + SMTP_CLIENT_COMMANDS_MAX)
#define QUIT_TIMEOUT_MS 5000

struct smtp_conn {
    struct loop *loop;
    struct stream *stream; /* NULL once it ended */
    struct loop_timer *timer;
    const struct smtp_conn_events *events;
    void *arg;
    struct smtp_conn_setup setup;
    enum conf_tls policy; /* the server's, or none behind a broken handshake */
    struct smtp_client client;
    struct err err;      /* of the stream */
    uint64_t active_ms;  /* when the dialogue last moved */
    uint64_t end_ms;     /* when the message has to be over, whatever moves; 0: not told */
    uint64_t due_ms;     /* what the timer is set to; 0: it is not */
    uint64_t n_written;  /* bytes given to the stream */
    uint64_t n_left_due; /* bytes that had left when the timer was set */
    int busy;
    bool is_alive, is_feeding;
};

/* --- Life --------------------------------------------------------------------------------- */

static void leave(struct smtp_conn *c)
{
    if (--c->busy > 0 || c->is_alive)
        return;
    smtp_client_fini(&c->client);
    free(c);
}

void smtp_conn_free(struct smtp_conn **cp)
{
    struct smtp_conn *c = *cp;

    *cp = NULL;
    if (c == NULL)
        return;
    c->busy++;
    c->is_alive = false;
    stream_free(&c->stream);
    loop_timer_free(&c->timer);
    leave(c);
}

void smtp_conn_set_owner(struct smtp_conn *c, const struct smtp_conn_events *events, void *arg)
{
    c->events = events;
    c->arg = arg;
    c->end_ms = 0;
}

struct smtp_client *smtp_conn_client(struct smtp_conn *c)
{
    return &c->client;
}

size_t smtp_conn_unsent(const struct smtp_conn *c)
{
    return c->stream != NULL ? stream_unsent(c->stream) : 0;
}

bool smtp_conn_is_quiet(const struct smtp_conn *c)
{
    return c->stream != NULL && !stream_has_news(c->stream);
}

const char *smtp_conn_tls_version(const struct smtp_conn *c)
{
    const struct tls *tls = c->stream != NULL ? stream_tls(c->stream) : NULL;

    return tls != NULL ? tls_version(tls) : "";
}

/* The last event.  `why` may be the engine's error or ours. */
static void fail(struct smtp_conn *c, const struct err *why)
{
    struct smtp_client_event ev = {.kind = SMTP_CLIENT_FAILED, .err = &c->err};

    if (why != &c->err)
        c->err = *why;
    stream_free(&c->stream);
    loop_timer_free(&c->timer);
    c->client.state = SMTP_CLIENT_DEAD;
    c->events->event(c->arg, &ev);
}

/* --- The start ---------------------------------------------------------------------------- */

static const struct stream_events stream_events;
static void set_timer(struct smtp_conn *c);

static int connect_now(struct smtp_conn *c, struct err *err)
{
    const struct net_endpoint *where = c->setup.where;
    struct smtp_client_options options = {.hello_name = c->setup.hello_name,
        .is_lmtp = where->scheme == NET_SCHEME_LMTP,
        .never_pipelines = c->setup.never_pipelines,
        .tls = {.policy = c->policy,
            .is_loopback = net_addr_is_loopback(&c->setup.addr),
            .is_implicit = where->scheme == NET_SCHEME_SMTPS}};
    int fd;

    if (sock_connect(&c->setup.addr, where->port, &fd, err) != 0)
        return -1;
    smtp_client_init(&c->client, &options);
    c->stream = stream_new_own(c->loop, fd, true, &stream_events, c,
        (struct stream_limits){.in_max = IN_MAX, .out_max = OUT_MAX});
    c->n_written = 0;
    c->active_ms = loop_now_ms(c->loop);
    set_timer(c);
    return 0;
}

/* From STARTTLS to the answer to the hello behind it: with TLS 1.3 a server says only there what it
 * has against us. */
static bool is_starting_tls(const struct smtp_conn *c, enum smtp_client_state state)
{
    return state == SMTP_CLIENT_TLS_ASKED || state == SMTP_CLIENT_TLS_HANDSHAKE ||
           (state == SMTP_CLIENT_HELLO && c->client.is_secure);
}

/* The connection broke in this state; true when another one takes its place. */
static bool fall_back(struct smtp_conn *c, enum smtp_client_state state, const struct err *why)
{
    char addr[NET_TEXT_MAX];
    struct err no = ERR_INIT;

    if (!is_starting_tls(c, state) || c->client.is_injected ||
        smtp_tls_next(c->client.options.tls, SMTP_TLS_BROKEN) != SMTP_TLS_AGAIN)
        return false;
    net_addr_format(&c->setup.addr, addr);
    log_warn("tls_fallback", log_str("server", c->setup.name), log_str("addr", addr), log_err(why));
    stream_free(&c->stream);
    smtp_client_fini(&c->client);
    c->policy = CONF_TLS_NONE;
    if (connect_now(c, &no) != 0)
        fail(c, &no);
    return true;
}

/* --- Time --------------------------------------------------------------------------------- */

/* How long the next step may take from the last one on; 0: nobody waits for a step. */
static uint64_t patience(const struct smtp_conn *c)
{
    bool is_sending = smtp_conn_unsent(c) > 0;

    switch (c->client.state) {
    case SMTP_CLIENT_GREETING:
    case SMTP_CLIENT_HELLO:
    case SMTP_CLIENT_TLS_ASKED:
    case SMTP_CLIENT_TLS_HANDSHAKE:
        return c->setup.connect_timeout_ms;
    case SMTP_CLIENT_OPEN:
    case SMTP_CLIENT_DATA_ASKED:
    case SMTP_CLIENT_IN_DATA:
        return is_sending || c->client.n_pending > 0 ? c->setup.reply_timeout_ms : 0;
    case SMTP_CLIENT_DOTTED:
        return is_sending ? c->setup.reply_timeout_ms : c->setup.dot_timeout_ms;
    case SMTP_CLIENT_QUITTING:
        return QUIT_TIMEOUT_MS;
    case SMTP_CLIENT_DEAD:
    case SMTP_CLIENT_STATES:
        break;
    }
    return 0;
}

/* When the patience is over; UINT64_MAX: nobody waits. */
static uint64_t deadline(const struct smtp_conn *c)
{
    uint64_t wait_ms = patience(c), due = wait_ms != 0 ? c->active_ms + wait_ms : UINT64_MAX;
    bool is_in_message = c->client.state == SMTP_CLIENT_DATA_ASKED ||
                         c->client.state == SMTP_CLIENT_IN_DATA ||
                         c->client.state == SMTP_CLIENT_DOTTED;

    return is_in_message && c->end_ms != 0 && c->end_ms < due ? c->end_ms : due;
}

static void set_timer(struct smtp_conn *c)
{
    uint64_t now = loop_now_ms(c->loop), due = deadline(c);

    if (due == UINT64_MAX || c->timer == NULL || (c->due_ms != 0 && c->due_ms <= due))
        return;
    c->due_ms = due;
    c->n_left_due = c->n_written - smtp_conn_unsent(c);
    loop_timer_start(c->timer, due > now ? due - now : 0);
}

void smtp_conn_content_ended(struct smtp_conn *c)
{
    c->end_ms = loop_now_ms(c->loop) + c->setup.dot_timeout_ms;
    if (c->stream != NULL)
        set_timer(c);
}

/* Something moved.  The time until READY is one deadline for all its steps. */
static void moved(struct smtp_conn *c)
{
    if (c->client.state >= SMTP_CLIENT_OPEN)
        c->active_ms = loop_now_ms(c->loop);
    set_timer(c);
}

static void on_timer(void *arg)
{
    struct smtp_conn *c = arg;
    uint64_t since_ms = c->active_ms, now = loop_now_ms(c->loop);
    struct err why = ERR_INIT;

    c->due_ms = 0;
    if (c->client.state >= SMTP_CLIENT_OPEN && c->n_written - smtp_conn_unsent(c) != c->n_left_due)
        c->active_ms = now;
    if (deadline(c) > now) {
        set_timer(c);
        return;
    }
    c->busy++;
    err_set(&why, ERR_TEMP, EX_TEMPFAIL, "timed out (state %s, after %llu ms)",
        smtp_client_state_name(c->client.state),
        (unsigned long long)(c->end_ms != 0 && c->end_ms <= now ? c->setup.dot_timeout_ms
                                                                : now - since_ms));
    if (!fall_back(c, c->client.state, &why))
        fail(c, &why);
    leave(c);
}

/* --- Output ------------------------------------------------------------------------------- */

/* Commands and content never wait at the same time, so each write is one segment or many full ones.
 */
static void write_all(struct smtp_conn *c)
{
    struct slice out;

    while (stream_unsent(c->stream) == 0 && (out = smtp_client_output(&c->client)).n > 0) {
        if (stream_write(c->stream, out) != 0)
            BUG("an empty stream holds all that an engine has");
        c->n_written += out.n;
        smtp_client_sent(&c->client, out.n);
        moved(c);
    }
}

void smtp_conn_flush(struct smtp_conn *c)
{
    if (c->stream != NULL && !c->is_feeding)
        write_all(c);
}

/* --- Events of the stream ----------------------------------------------------------------- */

static void start_tls(struct smtp_conn *c)
{
    const struct smtp_conn_setup *setup = &c->setup;
    const char *name = setup->tls_name != NULL ? setup->tls_name : setup->where->host;
    struct err why = ERR_INIT;

    if (stream_start_tls(c->stream, setup->tls, name, true, &why) != 0)
        fail(c, &why);
}

static void on_connected(void *arg)
{
    struct smtp_conn *c = arg;

    c->busy++;
    if (smtp_tls_next(c->client.options.tls, SMTP_TLS_CONNECTED) == SMTP_TLS_HANDSHAKE)
        start_tls(c);
    leave(c);
}

static void on_secured(void *arg)
{
    struct smtp_conn *c = arg;

    c->busy++;
    if (c->client.state == SMTP_CLIENT_TLS_HANDSHAKE) {
        smtp_client_secured(&c->client);
        write_all(c);
    }
    leave(c);
}

static size_t on_data(void *arg, struct slice in)
{
    struct smtp_conn *c = arg;
    size_t used = 0, n;
    bool has_reply = false;
    struct smtp_client_event ev;

    c->busy++;
    c->is_feeding = true;
    smtp_client_stuck(&c->client, smtp_conn_unsent(c) > 0 || stream_is_broken(c->stream));
    while (c->is_alive && c->stream != NULL) {
        enum smtp_client_state state = c->client.state;
        enum smtp_client_kind kind = smtp_client_feed(&c->client, slice_from(in, used), &n, &ev);

        used += n;
        if (kind == SMTP_CLIENT_MORE)
            break;
        has_reply = true;
        if (kind == SMTP_CLIENT_STARTTLS)
            start_tls(c);
        else if (kind != SMTP_CLIENT_FAILED)
            c->events->event(c->arg, &ev);
        else if (fall_back(c, state, ev.err))
            break;
        else
            fail(c, ev.err);
    }
    c->is_feeding = false;
    if (c->is_alive && c->stream != NULL) {
        if (has_reply)
            moved(c);
        write_all(c);
    }
    leave(c);
    return used;
}

static void on_drained(void *arg)
{
    struct smtp_conn *c = arg;

    c->busy++;
    moved(c);
    write_all(c);
    if (stream_unsent(c->stream) == 0 && c->events->drained != NULL)
        c->events->drained(c->arg);
    leave(c);
}

static void on_closed(void *arg, const struct err *why)
{
    struct smtp_conn *c = arg;

    c->busy++;
    if (why->class == ERR_NONE)
        err_set(&c->err, ERR_TEMP, EX_UNAVAILABLE, "the server closed the connection (state %s)",
            smtp_client_state_name(c->client.state));
    else
        c->err = *why;
    if (!fall_back(c, c->client.state, &c->err))
        fail(c, &c->err);
    leave(c);
}

static const struct stream_events stream_events = {.connected = on_connected,
    .data = on_data,
    .drained = on_drained,
    .secured = on_secured,
    .closed = on_closed};

struct smtp_conn *smtp_conn_new(struct loop *loop, const struct smtp_conn_setup *setup,
    const struct smtp_conn_events *events, void *arg, struct err *err)
{
    struct smtp_conn *c;

    if (setup->tls == NULL &&
        (setup->policy != CONF_TLS_NONE || setup->where->scheme == NET_SCHEME_SMTPS)) {
        err_set(err, ERR_PERM, EX_CONFIG, "TLS is wanted, and there is no TLS context for it");
        return NULL;
    }
    c = mem_zalloc(sizeof(*c));
    c->loop = loop;
    c->setup = *setup;
    c->policy = setup->policy;
    c->is_alive = true;
    c->timer = loop_timer_new(loop, on_timer, c);
    smtp_conn_set_owner(c, events, arg);
    if (connect_now(c, err) != 0) {
        loop_timer_free(&c->timer);
        free(c);
        return NULL;
    }
    return c;
}
