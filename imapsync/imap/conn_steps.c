/* SPDX-License-Identifier: ISC */
/*
 * conn_steps: what each state of a connection does, as far as it can without waiting: looking the
 * name up, connecting, TLS, signing in, and talking, which is all that comes behind that.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/imap/conn_parts.h"

#define READ_SIZE (64u << 10)
_Static_assert(READ_SIZE <= IMAP_UNPACK_STEP, "what was read has room where it is unpacked");

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
    return imap_conn_break(c, IMAP_BROKEN_LOST, err);
}

/* CLOSED or FAILED. */
static int fell(struct imap_conn *c, enum imap_wire_result r, struct err *err)
{
    return r == IMAP_WIRE_CLOSED ? lost(c, err) : imap_conn_break(c, IMAP_BROKEN_LOST, err);
}

static bool is_late(const struct imap_conn *c)
{
    return patience_is_over(&c->patience);
}

static void enter(struct imap_conn *c, enum conn_state state, bool *moved)
{
    c->state = state;
    *moved = true;
}

void imap_conn_begin_session(struct imap_conn *c)
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
        return imap_conn_break(c, IMAP_BROKEN_LOST, err);
    begin(c, CONN_CONNECTING);
    c->dialed_ms = imap_conn_now_ms(c);
    return imap_wire_dial(&c->wire, c->place, err) == 0
               ? 0
               : imap_conn_break(c, IMAP_BROKEN_SILENT, err);
}

/* If it cannot even begin it is broken, and says so when it is asked. */
static int queuing(struct imap_conn *c, bool *moved, struct err *err)
{
    const struct imap_place *p = c->place;
    uint64_t now = imap_conn_now_ms(c), ms = now < c->retry_ms ? 1 : imap_conn_enter(c);
    if (ms > 0 && imap_conn_has_queued_enough(c)) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "all connections to the server are in use");
        err_scope_set(err, ERR_SCOPE_USER);
        return imap_conn_break(c, IMAP_BROKEN_LIMIT, err);
    }
    if (ms > 0) {
        c->retry_ms = now < c->retry_ms ? c->retry_ms : now + ms;
        return 0;
    }
    if (p->gate && imap_gate_enter(p->gate, p->user, p->password, now, err) != 0)
        return imap_conn_break(c, IMAP_BROKEN_REFUSED, err);
    *moved = true;
    begin(c, CONN_LOOKING_UP);
    return looking_up(c, moved, err);
}

void imap_conn_look_up(struct imap_conn *c)
{
    struct err why = ERR_INIT;
    bool moved;
    begin(c, CONN_QUEUING);
    c->queued_ms = imap_conn_now_ms(c);
    (void)queuing(c, &moved, &why);
}

static int connecting(struct imap_conn *c, short revents, bool *moved, struct err *err)
{
    if (revents == 0 && !is_late(c))
        return 0;
    *moved = true;
    switch (imap_wire_connected(&c->wire, c->place, revents == 0, err)) {
    case IMAP_WIRE_DONE:
        if (!imap_wire_is_local(&c->wire))
            c->trip_ms = imap_conn_now_ms(c) - c->dialed_ms;
        imap_conn_begin_session(c);
        return 0;
    case IMAP_WIRE_AGAIN:
        begin(c, CONN_CONNECTING);
        c->dialed_ms = imap_conn_now_ms(c);
        return 0;
    case IMAP_WIRE_CLOSED:
    case IMAP_WIRE_FAILED:
        break;
    }
    /* Nobody is there, whichever way we were told. */
    return imap_conn_break(c, IMAP_BROKEN_SILENT, err);
}

static int securing(struct imap_conn *c, bool *moved, struct err *err)
{
    enum imap_wire_result r = imap_wire_secure(&c->wire, c->place, err);
    if (r == IMAP_WIRE_AGAIN)
        return 0;
    if (r != IMAP_WIRE_DONE)
        return fell(c, r, err);
    struct tls_binding binding;
    if (imap_wire_binding(&c->wire, &binding))
        imap_signin_bind(c->signin, &binding);
    if (imap_client_wants_tls(c->client))
        imap_signin_secured(c->signin);
    enter(c, CONN_SIGNING_IN, moved);
    return 0;
}

/* --- Access tokens --------------------------------------------------------------------- */

struct fetch {
    struct imap_tokens tokens;
    struct buf used, token;
    int result;
    struct err err;
};

static void fetch_token(void *what)
{
    struct fetch *f = what;
    f->result = f->tokens.get(f->tokens.arg, buf_slice(&f->used), &f->token, &f->err);
}

static void free_fetch(void *what)
{
    struct fetch *f = what;
    buf_fini_wipe(&f->used);
    buf_fini_wipe(&f->token);
    free(f);
}

static int begin_fetching(struct imap_conn *c, struct err *err)
{
    struct fetch *f = mem_zalloc(sizeof(*f));
    struct slice used = imap_signin_refused_token(c->signin);
    f->tokens = c->place->tokens;
    buf_init(&f->used, used.n);
    buf_init(&f->token, IMAP_ACCESS_TOKEN_MAX);
    BUG_ON(buf_add(&f->used, used) != 0);
    return errand_start_own(fetch_token, free_fetch, f, &c->fetching, err);
}

static int fetching(struct imap_conn *c, bool *moved, struct err *err)
{
    if (!errand_is_done(c->fetching))
        return 0;
    const struct fetch *f = errand_what(c->fetching);
    bool is_there = f->result == 0;
    if (is_there)
        imap_signin_token(c->signin, buf_slice(&f->token));
    else
        *err = f->err;
    errand_free(&c->fetching);
    if (!is_there)
        return imap_conn_break(c, IMAP_BROKEN_LOST, err);
    enter(c, CONN_SIGNING_IN, moved);
    return 0;
}

/* --- Talking --------------------------------------------------------------------------- */

bool imap_conn_has_read(const struct imap_conn *c)
{
    return imap_wire_has_read(&c->wire) || (c->compress && imap_compress_holds(c->compress));
}

bool imap_conn_has_out(const struct imap_conn *c)
{
    return imap_client_out(c->client).n > 0 ||
           (c->compress && imap_compress_packed(c->compress).n > 0);
}

/* What goes over the wire next. */
static struct slice next_out(struct imap_conn *c)
{
    struct slice out = imap_client_out(c->client);
    if (!c->compress)
        return out;
    if (out.n > 0)
        imap_client_sent(c->client, imap_compress_pack(c->compress, out));
    return imap_compress_packed(c->compress);
}

static void was_sent(struct imap_conn *c, size_t n)
{
    if (c->compress)
        imap_compress_sent(c->compress, n);
    else
        imap_client_sent(c->client, n);
    imap_conn_moved(c, DAY_UP, n);
}

/* Sends what may be sent. */
static int send_some(struct imap_conn *c, bool *moved, struct err *err)
{
    struct slice out;
    const uint64_t now = imap_conn_now_ms(c); /* the peer may have heard it for a while, then */
    while ((out = next_out(c)).n > 0) {
        size_t n = 0;
        uint64_t room = imap_conn_room(c);
        if (room == 0)
            return 0;
        if (imap_conn_check_day(c, err) != 0)
            return -1;
        out = slice_sub(out, 0, room < out.n ? (size_t)room : out.n);
        enum imap_wire_result r = imap_wire_send(&c->wire, out, &n, err);
        if (r == IMAP_WIRE_AGAIN)
            return 0;
        if (r != IMAP_WIRE_DONE)
            return fell(c, r, err);
        was_sent(c, n);
        patience_octets(&c->patience, n);
        c->spoke_ms = now;
        *moved = true;
    }
    if (imap_client_check(c->client, err) != 0)
        return imap_conn_break(c, IMAP_BROKEN_LOST, err);
    return 0;
}

static enum imap_wire_result receive_wire(
    struct imap_conn *c, void *p, size_t size, size_t *n_out, struct err *err)
{
    uint64_t room = imap_conn_room(c);
    if (room == 0)
        return IMAP_WIRE_AGAIN;
    enum imap_wire_result r =
        imap_wire_receive(&c->wire, p, room < size ? (size_t)room : size, n_out, err);
    if (r == IMAP_WIRE_DONE)
        imap_conn_moved(c, DAY_DOWN, *n_out);
    return r;
}

/* The same, unpacked: what came before comes first. */
static enum imap_wire_result receive_packed(
    struct imap_conn *c, void *p, size_t size, size_t *n_out, struct err *err)
{
    if (!imap_compress_holds(c->compress)) {
        enum imap_wire_result r = receive_wire(c, p, size, n_out, err);
        if (r != IMAP_WIRE_DONE)
            return r;
        imap_compress_give(c->compress, slice_make(p, *n_out));
    }
    if (imap_compress_take(c->compress, p, size, n_out, err) != 0)
        return IMAP_WIRE_FAILED;
    return *n_out > 0 ? IMAP_WIRE_DONE : IMAP_WIRE_AGAIN;
}

static void begin_compression(struct imap_conn *c)
{
    struct slice rest;
    if (!imap_client_wants_compress(c->client, &rest))
        return;
    c->compress = imap_compress_new();
    imap_compress_give(c->compress, rest);
}

static int receive_some(struct imap_conn *c, bool *moved, struct err *err)
{
    unsigned char in[READ_SIZE];
    size_t n = 0;
    if (imap_conn_check_day(c, err) != 0)
        return -1;
    enum imap_wire_result r =
        (c->compress ? receive_packed : receive_wire)(c, in, sizeof(in), &n, err);
    if (r == IMAP_WIRE_AGAIN)
        return 0;
    if (r != IMAP_WIRE_DONE)
        return fell(c, r, err);
    *moved = true;
    size_t before = imap_client_pending(c->client);
    bool was_greeted = imap_client_session(c->client) != IMAP_SESSION_GREETING;
    if (imap_client_feed(c->client, slice_make(in, n), err) != 0)
        return imap_conn_break(c, IMAP_BROKEN_LOST, err);
    begin_compression(c);
    if (imap_client_pending(c->client) != before || !was_greeted) {
        c->untagged = 0;
        patience_answer(&c->patience);
    }
    if (c->untagged > IMAP_UNTAGGED_MAX) {
        err_set(err, ERR_PEER, EX_PROTOCOL, "the server sends data without end");
        return imap_conn_break(c, IMAP_BROKEN_LOST, err);
    }
    return 0;
}

static void ready(struct imap_conn *c, bool *moved)
{
    patience_limit(&c->patience, 0);
    enter(c, CONN_READY, moved);
}

/* It is signed in: COMPRESS comes last, since nothing may be said behind it before its answer. */
static void signed_in(struct imap_conn *c, bool *moved)
{
    if (c->place->gate)
        imap_gate_passed(c->place->gate);
    imap_signin_free(&c->signin);
    if (c->place->is_probe || !imap_client_has(c->client, IMAP_CAP_COMPRESS) ||
        !imap_compress_is_worth(c->place->compress, c->trip_ms)) {
        ready(c, moved);
        return;
    }
    imap_cmd_compress(c->client, imap_outcome_set, &c->compressing);
    enter(c, CONN_COMPRESSING, moved);
}

static int signing_in(struct imap_conn *c, bool *moved, struct err *err)
{
    switch (imap_signin_step(c->signin, err)) {
    case IMAP_SIGNIN_WAITS:
        return 0;
    case IMAP_SIGNIN_WANTS_TLS:
        enter(c, CONN_SECURING, moved);
        return 0;
    case IMAP_SIGNIN_WANTS_TOKEN:
        if (begin_fetching(c, err) != 0)
            return imap_conn_break(c, IMAP_BROKEN_LOST, err);
        enter(c, CONN_FETCHING, moved);
        return 0;
    case IMAP_SIGNIN_DONE:
        signed_in(c, moved);
        return 0;
    case IMAP_SIGNIN_FAILED:
        break;
    }
    if (c->place->gate && imap_signin_is_refused(c->signin))
        imap_gate_refused(c->place->gate, c->place->user, imap_conn_now_ms(c), err);
    return imap_conn_break(c, IMAP_BROKEN_REFUSED, err);
}

static int talking(struct imap_conn *c, short revents, bool *moved, struct err *err)
{
    if (send_some(c, moved, err) != 0)
        return -1;
    bool may_read = revents != 0 || is_late(c) || imap_conn_has_read(c);
    if (may_read && !c->is_paused && receive_some(c, moved, err) != 0)
        return -1;
    if (c->state == CONN_SIGNING_IN && signing_in(c, moved, err) != 0)
        return -1;
    /* If it is refused, we do without. */
    if (c->state == CONN_COMPRESSING && c->compressing.is_done)
        ready(c, moved);
    /* A BYE while signing in is the end; later its reason is shown when the connection ends. */
    if (c->state == CONN_SIGNING_IN && imap_client_session(c->client) == IMAP_SESSION_BYE)
        return lost(c, err);
    return c->state == CONN_SECURING || c->state == CONN_FETCHING ? 0 : send_some(c, moved, err);
}

int imap_conn_step(struct imap_conn *c, short revents, bool *moved, struct err *err)
{
    switch (c->state) {
    case CONN_QUEUING:
        return queuing(c, moved, err);
    case CONN_LOOKING_UP:
        return looking_up(c, moved, err);
    case CONN_CONNECTING:
        return connecting(c, revents, moved, err);
    case CONN_SECURING:
        return securing(c, moved, err);
    case CONN_FETCHING:
        return fetching(c, moved, err);
    case CONN_SIGNING_IN:
    case CONN_COMPRESSING:
    case CONN_READY:
        return talking(c, revents, moved, err);
    }
    BUG("imap_conn state");
}
