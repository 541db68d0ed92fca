/* SPDX-License-Identifier: ISC */
/*
 * session_target: what the transaction engine asks of the map, the claims and the target (see
 * session.h, and cutthrough.h for the rules).
 */
#include "base/core/clock.h"
#include "base/core/log.h"
#include "relay/session_parts.h"

/* So long a client may let a connection lie that others wait for, all its turns together; a
 * recipient and content at 32 KiB/s take more. */
#define SLOW_MS 10000
#define SLOW_RCPT_MS 100
#define SLOW_BYTES_PER_MS 32

/* --- Holds ----------------------------------------------------------------------------------- */

void session_leave_hold(struct session *s)
{
    if (!s->is_holding)
        return;
    hold_room_leave(s->w->holds, s->held_user);
    s->is_holding = false;
}

static void hold(struct session *s)
{
    const struct decision *d = &s->ct.pending;
    uint64_t now = loop_now_ms(s->w->loop), user = d->keys[d->user].hash;

    if (!s->is_holding) {
        if (!hold_room_enter(s->w->holds, user)) {
            cutthrough_hold_over(&s->ct);
            return;
        }
        s->is_holding = true;
        s->held_user = user;
        s->held_ms = now;
        log_info("rcpt_hold", log_str("sid", s->sid), log_str("qid", s->qid),
            log_slice("rcpt", buf_slice(&s->rcpt)));
    }
    if (now - s->held_ms >= s->w->conf->relay.hold_wait_ms)
        cutthrough_hold_over(&s->ct);
    else
        session_start_timer(s, HOLD_POLL_MS);
}

/* --- The target ------------------------------------------------------------------------------ */

static void on_target_event(void *arg, const struct smtp_client_event *ev)
{
    struct session *s = arg;

    session_enter(s);
    cutthrough_target_event(&s->ct, ev);
    session_work(s);
    session_leave(s);
}

static void on_target_drained(void *arg)
{
    struct session *s = arg;

    session_enter(s);
    session_leave(s); /* settles: the backlog is gone */
}

static const struct smtp_conn_events target_events = {
    .event = on_target_event, .drained = on_target_drained};

static void use_target(struct session *s, struct smtp_conn *conn, bool is_reused)
{
    s->conn = conn;
    s->conn_server = s->ct.server;
    s->turn_ms = loop_now_ms(s->w->loop);
    s->lain_ms = 0;
    smtp_conn_set_owner(conn, &target_events, s);
    cutthrough_target(&s->ct, smtp_conn_client(conn), is_reused, NULL);
}

static struct session *session_of(struct pool_user *user)
{
    return (struct session *)(void *)((char *)user - offsetof(struct session, user));
}

static void on_served(struct pool_user *user, struct smtp_conn *conn, const struct err *why)
{
    struct session *s = session_of(user);

    session_enter(s);
    s->request = NULL;
    if (conn)
        use_target(s, conn, false);
    else
        cutthrough_target(&s->ct, NULL, false, why);
    session_work(s);
    session_leave(s);
}

/* Steps buy little: who adds a recipient now and then, or sends its content in drops, would keep a
 * connection from others as well as one who is silent. */
static enum pool_pace on_pace(const struct pool_user *user)
{
    const struct session *s = session_of((struct pool_user *)(uintptr_t)user);
    uint64_t lain_ms = s->lain_ms + (s->due_ms != 0 ? loop_now_ms(s->w->loop) - s->turn_ms : 0);

    if (s->ct.state == CUT_DOTTED)
        return POOL_PACE_BOUND;
    if (s->is_holding ||
        lain_ms > SLOW_MS + s->ct.n_decisions * SLOW_RCPT_MS + s->ct.n_content / SLOW_BYTES_PER_MS)
        return POOL_PACE_SLOW;
    return POOL_PACE_DECENT;
}

/* A recipient that is held is the first to give way: its sender tries again, and the others of the
 * transaction go on. */
static void on_end(struct pool_user *user)
{
    struct session *s = session_of(user);

    session_enter(s);
    if (s->is_holding) {
        cutthrough_hold_over(&s->ct);
        session_work(s);
    } else {
        log_info("client_timeout", log_str("sid", s->sid), log_str("client", s->peer_text),
            log_str("state", smtp_server_state_name(s->server.state)),
            log_str("wanted", session_server_name(s, s->conn_server)));
        session_end(s, "timed out, others wait for this server");
        session_abort(s, "others wait for the server");
    }
    session_leave(s);
}

const struct pool_user_events session_user_events = {
    .served = on_served, .pace = on_pace, .end = on_end};

static enum pool_give_back give_back(enum cutthrough_release how)
{
    switch (how) {
    case CUT_RELEASE_KEEP:
        return POOL_KEEP;
    case CUT_RELEASE_RESET:
        return POOL_RESET;
    case CUT_RELEASE_CLOSE:
        return POOL_CLOSE;
    }
    BUG("unknown release");
}

static void get_target(struct session *s)
{
    struct pool_target *target = s->w->targets[s->ct.server];
    struct smtp_conn *conn = s->ct.wants_fresh ? NULL : pool_take(target, &s->user);

    if (conn)
        use_target(s, conn, true);
    else
        s->request = pool_ask(target, &s->user);
}

/* --- The header and the claim ---------------------------------------------------------------- */

/* rcpt: n == 0 when there are several. */
static int add_received(const struct session *s, struct slice rcpt, struct buf *out)
{
    char date[48];
    struct received r = {.hello = s->server.hello,
        .peer = s->peer_text,
        .hostname = s->w->conf->relay.hostname,
        .is_lmtp = s->server.options.is_lmtp,
        .is_esmtp = s->server.is_esmtp,
        .is_secure = s->server.is_secure,
        .qid = s->qid,
        .rcpt = rcpt,
        .date = date};

    clock_format_rfc5322(clock_wall_s(), date);
    return received_field(&r, out);
}

/* How much our fields take of what the server takes, when this is the only recipient.  That is
 * asked at each RCPT, so nothing is signed for it. */
static size_t prefix_size(const struct session *s, struct slice rcpt, const struct decision *d)
{
    struct buf field;
    size_t n;

    buf_init(&field, RECEIVED_MAX);
    n = add_received(s, rcpt, &field) == 0 ? field.n : RECEIVED_MAX;
    buf_fini(&field);
    return n + judge_stamp_size(&s->w->judge, d);
}

void session_judge(struct session *s)
{
    struct slice rcpt = buf_slice(&s->rcpt);
    struct decision d;
    size_t room = 0;

    judge_rcpt(&s->w->judge, buf_slice(&s->ct.sender), rcpt, s->source_server, &d);
    consumer_used(s->w->consumer, snapshot_sequence(s->w->snapshot), clock_wall_s());
    if (s->ct.size > 0 && d.kind == DECIDE_DELIVER)
        room = prefix_size(s, rcpt, &d);
    cutthrough_rcpt(&s->ct, &d, room);
}

/* A first line that begins with a blank would go on in the last of our fields and spoil the stamp.
 * An empty line in front of it makes it the first one of the body, as MTAs do. */
static int close_prefix(struct slice header, struct buf *prefix)
{
    return header.n > 0 && ascii_is_blank(header.p[0]) ? buf_add_str(prefix, "\r\n") : 0;
}

static void judge_message(struct session *s)
{
    struct cutthrough *ct = &s->ct;
    struct slice header = slice_sub(buf_slice(&ct->header), 0, ct->n_header);
    struct answer no;
    struct buf prefix;

    buf_init(&prefix, SMTP_CLIENT_CONTENT_MAX / 4);
    if (judge_header(&s->w->judge, header, s->source_server, ct->decisions, ct->n_decisions, &no) !=
        0) {
        cutthrough_judged(ct, &no, SLICE_NONE);
    } else if (add_received(s, buf_slice(&s->only), &prefix) != 0 ||
               judge_stamp(&s->w->judge, ct->decisions, ct->n_decisions, &prefix) != 0 ||
               close_prefix(header, &prefix) != 0) {
        answer_set(&no, 451, "4.3.0", "the trace fields could not be made");
        cutthrough_judged(ct, &no, SLICE_NONE);
    } else {
        cutthrough_judged(ct, NULL, buf_slice(&prefix));
    }
    buf_fini(&prefix);
}

static void claim(struct session *s)
{
    struct cutthrough *ct = &s->ct;
    struct answer no;

    switch (claims_begin(s->w->claims, s->w->snapshot, ct->decisions, ct->n_decisions, &s->claim)) {
    case CLAIMS_GO:
        s->has_claim = true;
        cutthrough_claimed(ct, NULL);
        return;
    case CLAIMS_CHANGED:
        answer_set(&no, 451, "4.3.0", "the route of a recipient is just changing, send it again");
        break;
    case CLAIMS_FULL:
        answer_set(&no, 451, "4.3.2", "too many deliveries at once, send it again");
        break;
    }
    cutthrough_claimed(ct, &no);
}

static void unclaim(struct session *s)
{
    if (s->has_claim)
        claims_end(
            s->w->claims, &s->claim, s->ct.is_ambiguous ? CLAIMS_AMBIGUOUS : CLAIMS_ANSWERED);
    s->has_claim = false;
}

/* Who is routed by a default, since the map has no entry, and what his server said to him. */
static void learn_rcpt(const struct session *s)
{
    const struct decision *d = &s->ct.pending;
    int code = s->ct.answer.code;
    enum mail_log_known known = answer_is_positive(&s->ct.answer)           ? MAIL_LOG_TAKEN
                                : code == 550 || code == 551 || code == 553 ? MAIL_LOG_REFUSED
                                                                            : MAIL_LOG_UNKNOWN;

    if (d->kind == DECIDE_DELIVER || d->kind == DECIDE_HOLD)
        consumer_saw(s->w->consumer, d, known);
}

/* --- What the transaction asks for ----------------------------------------------------------- */

static void give_answer(struct session *s)
{
    const struct answer *a = &s->ct.answer;
    enum smtp_server_kind asked = s->server.asked;
    bool is_open = s->stream && s->server.state != SMTP_SERVER_CLOSED;

    if (asked == SMTP_SERVER_GOT_RCPT && answer_is_positive(a)) {
        buf_clear(&s->only);
        if (s->ct.n_decisions == 1 && buf_add(&s->only, buf_slice(&s->rcpt)) != 0)
            BUG("the grammar bounds an address");
    }
    session_log_answer(s, asked);
    if (asked == SMTP_SERVER_GOT_RCPT)
        learn_rcpt(s);
    for (uint32_t i = 0; is_open && i < s->ct.n_answers; i++)
        smtp_server_answer(&s->server, a);
}

void session_work(struct session *s)
{
    enum cutthrough_action action;

    while ((action = cutthrough_next(&s->ct)) != CUT_NOTHING) {
        switch (action) {
        case CUT_UNCLAIM:
            unclaim(s);
            break;
        case CUT_RELEASE:
            pool_put_own(s->w->targets[s->conn_server], &s->conn, give_back(s->ct.release));
            break;
        case CUT_HOLD:
            hold(s);
            break;
        case CUT_CONNECT:
            get_target(s);
            break;
        case CUT_JUDGE:
            judge_message(s);
            break;
        case CUT_CLAIM:
            claim(s);
            break;
        case CUT_FLUSH:
            smtp_conn_flush(s->conn);
            break;
        case CUT_ANSWER:
            give_answer(s);
            break;
        case CUT_NOTHING:
            break;
        }
    }
    if (s->ct.state != CUT_HELD)
        session_leave_hold(s);
    if (s->ct.state == CUT_IDLE)
        cutthrough_forget(&s->ct);
}

void session_abort(struct session *s, const char *why)
{
    if (s->ct.state != CUT_IDLE)
        log_info("abort", log_str("sid", s->sid), log_str("qid", s->qid),
            log_str("state", cutthrough_state_name(s->ct.state)), log_str("why", why));
    pool_cancel(&s->request);
    cutthrough_abort(&s->ct);
    session_work(s);
}
