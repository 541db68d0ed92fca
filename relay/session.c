/* SPDX-License-Identifier: ISC */
/*
 * session: see session.h.
 *
 * Every entry from the loop (bytes, timer, target, pool) does three things: tell an engine what
 * happened, do what the transaction engine asks for (work), and settle: feed the server engine what
 * it did not take before, write what it has to say, and see whose turn it is.
 *
 * Turns: while we owe the client an answer, or its content waits for the target, the client has no
 * deadline and nothing more is read from it; the peer feels that by its TCP window.  While it is
 * the client's turn, one deadline covers the whole next step (a command, 64 KiB of content), so
 * that a byte now and then buys no time.
 *
 * A client that leaves behind the dot changes nothing: the session stays until the target has
 * answered, so that the claim ends with what really happened.
 */
#include "relay/session.h"

#include <stdlib.h>
#include <sys/socket.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/stream.h"
#include "relay/received.h"
#include "relay/smtp_server.h"

#define IN_MAX (64u << 10)
#define OUT_MAX (1u << 20)
#define BACKLOG_MAX (128u << 10) /* bytes of content that may wait for the target */
#define BLOCK (64u << 10)        /* of content, per data_timeout */
#define OUTPUT_STEP (16u << 10)  /* answers to pipelined commands leave together, up to here */
#define FINISH_MS 10000          /* for a client to take our last words */

struct session {
    struct worker *w;
    struct session *prev, *next;
    struct stream *stream; /* NULL once the client is gone */
    struct loop_timer *timer;
    struct smtp_server server;
    struct cutthrough ct;
    struct smtp_conn *conn; /* lent by the pool */
    int conn_server;
    struct pool_request *request;
    struct claims_set claim;

    struct net_addr peer;
    char peer_text[NET_TEXT_MAX];
    int source_server;
    char sid[24], qid[32];
    unsigned n_messages;
    struct buf rcpt; /* the one that is asked about, as given */
    struct buf only; /* the accepted one, while there is one */

    uint64_t started_ms, asked_ms;
    uint64_t due_ms;   /* the client's deadline; 0: it is not its turn */
    uint64_t timer_ms; /* what the timer is set to; 0: it is not */
    uint64_t n_blocks; /* of content, so far */
    uint64_t held_ms, held_user;
    int busy;
    bool is_holding, has_claim, has_progress, is_paused, is_closing, is_over;
};

static void work(struct session *s);

/* --- Log ------------------------------------------------------------------------------------- */

static const char *server_name(const struct session *s, int server)
{
    return server == CONF_SERVER_NONE ? "" : s->w->conf->servers[server].name;
}

static void log_rcpt(const struct session *s)
{
    const struct answer *a = &s->ct.answer;
    const struct decision *d = &s->ct.pending;

    if (answer_is_positive(a))
        log_info("rcpt_accept", log_str("sid", s->sid), log_str("qid", s->qid),
            log_slice("rcpt", buf_slice(&s->rcpt)), log_str("route", server_name(s, d->server)),
            log_u64("epoch", d->epoch), log_str("dsn", a->enhanced));
    else
        log_info("rcpt_refuse", log_str("sid", s->sid), log_str("qid", s->qid),
            log_str("client", s->peer_text), log_slice("from", buf_slice(&s->ct.sender)),
            log_slice("rcpt", buf_slice(&s->rcpt)), log_i64("code", a->code),
            log_str("dsn", a->enhanced), log_str("text", a->text));
}

static void log_message(const struct session *s, const char *event, const struct answer *a)
{
    const struct cutthrough *ct = &s->ct;

    log_info(event, log_str("sid", s->sid), log_str("qid", s->qid), log_str("client", s->peer_text),
        log_slice("from", buf_slice(&ct->sender)), log_slice("rcpt", buf_slice(&s->only)),
        log_u64("nrcpt", ct->n_decisions), log_str("route", server_name(s, ct->server)),
        log_u64("epoch", ct->n_decisions > 0 ? ct->decisions[0].epoch : 0),
        log_u64("size", ct->n_content), log_i64("code", a->code), log_str("dsn", a->enhanced),
        log_str("text", a->text), log_u64("ms", loop_now_ms(s->w->loop) - s->asked_ms),
        log_str("duplicate", ct->is_ambiguous ? "possible" : "no"),
        log_str("client_gone", s->stream ? "no" : "yes"));
}

static void log_answer(const struct session *s, enum smtp_server_kind asked)
{
    const struct answer *a = &s->ct.answer;

    if (asked == SMTP_SERVER_GOT_RCPT)
        log_rcpt(s);
    else if (asked == SMTP_SERVER_END || !s->stream)
        log_message(s, answer_is_positive(a) ? "deliver" : "refuse", a);
    else if (asked == SMTP_SERVER_GOT_DATA && a->code != 354)
        log_message(s, "refuse", a);
}

/* --- The client's output --------------------------------------------------------------------- */

static void lose_client(struct session *s)
{
    stream_free(&s->stream);
    pool_cancel(&s->request);
    cutthrough_abort(&s->ct);
    work(s);
}

static void write_output(struct session *s)
{
    if (s->server.output.n == 0)
        return;
    if (s->stream && stream_write(s->stream, buf_slice(&s->server.output)) != 0) {
        log_info("client_slow", log_str("sid", s->sid), log_str("client", s->peer_text));
        lose_client(s);
    }
    buf_clear(&s->server.output);
}

static void end_session(struct session *s, int code, const char *enhanced, const char *text)
{
    struct answer a;

    answer_set(&a, code, enhanced, "%s", text);
    smtp_server_close(&s->server, &a);
}

/* --- Holds ----------------------------------------------------------------------------------- */

static void start_timer(struct session *s, uint64_t delay_ms)
{
    if (!s->timer)
        return;
    s->timer_ms = loop_now_ms(s->w->loop) + delay_ms;
    loop_timer_start(s->timer, delay_ms);
}

static void leave_hold(struct session *s)
{
    if (!s->is_holding)
        return;
    hold_room_leave(s->w->holds, s->held_user);
    s->is_holding = false;
}

static void hold(struct session *s)
{
    uint64_t now = loop_now_ms(s->w->loop), user = s->ct.pending.keys[0].hash;

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
        start_timer(s, HOLD_POLL_MS);
}

static void judge_again(struct session *s)
{
    struct decision d;

    judge_rcpt(&s->w->judge, buf_slice(&s->rcpt), s->source_server, &d);
    cutthrough_rcpt(&s->ct, &d);
}

/* --- The target ------------------------------------------------------------------------------ */

static void settle(struct session *s);

static void enter(struct session *s)
{
    s->busy++;
}

static void leave(struct session *s);

static void on_target_event(void *arg, const struct smtp_client_event *ev)
{
    struct session *s = arg;

    enter(s);
    cutthrough_target_event(&s->ct, ev);
    work(s);
    leave(s);
}

static void on_target_drained(void *arg)
{
    struct session *s = arg;

    enter(s);
    leave(s); /* settles: the backlog is gone */
}

static const struct smtp_conn_events target_events = {
    .event = on_target_event, .drained = on_target_drained};

static void use_target(struct session *s, struct smtp_conn *conn, bool is_reused)
{
    s->conn = conn;
    s->conn_server = s->ct.server;
    smtp_conn_set_owner(conn, &target_events, s);
    cutthrough_target(&s->ct, smtp_conn_client(conn), is_reused, NULL);
}

static void on_target(void *arg, struct smtp_conn *conn, const struct err *why)
{
    struct session *s = arg;

    enter(s);
    s->request = NULL;
    if (conn)
        use_target(s, conn, false);
    else
        cutthrough_target(&s->ct, NULL, false, why);
    work(s);
    leave(s);
}

static void get_target(struct session *s)
{
    struct smtp_conn *conn = s->ct.wants_fresh ? NULL : pool_take(s->w->pool, s->ct.server);

    if (conn)
        use_target(s, conn, true);
    else
        s->request = pool_ask(s->w->pool, s->ct.server, on_target, s);
}

/* --- The header and the claim ---------------------------------------------------------------- */

static int make_prefix(struct session *s, struct buf *out)
{
    const struct cutthrough *ct = &s->ct;
    char date[48];
    struct received r = {.hello = s->server.hello,
        .peer = s->peer_text,
        .hostname = s->w->conf->relay.hostname,
        .is_lmtp = s->server.options.is_lmtp,
        .is_esmtp = s->server.is_esmtp,
        .is_secure = s->server.is_secure,
        .qid = s->qid,
        .rcpt = buf_slice(&s->only),
        .date = date};

    clock_format_rfc5322(clock_wall_s(), date);
    if (received_field(&r, out) != 0)
        return -1;
    return judge_stamp(&s->w->judge, ct->decisions, ct->n_decisions, out);
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
    } else if (make_prefix(s, &prefix) != 0) {
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
    log_answer(s, asked);
    for (uint32_t i = 0; is_open && i < s->ct.n_answers; i++)
        smtp_server_answer(&s->server, a);
}

static void work(struct session *s)
{
    enum cutthrough_action action;

    while ((action = cutthrough_next(&s->ct)) != CUT_NOTHING) {
        switch (action) {
        case CUT_UNCLAIM:
            unclaim(s);
            break;
        case CUT_RELEASE:
            pool_put_own(s->w->pool, s->conn_server, &s->conn, s->ct.release);
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
        leave_hold(s);
}

static void abort_transaction(struct session *s, const char *why)
{
    if (s->ct.state != CUT_IDLE)
        log_info("abort", log_str("sid", s->sid), log_str("qid", s->qid),
            log_str("state", cutthrough_state_name(s->ct.state)), log_str("why", why));
    pool_cancel(&s->request);
    cutthrough_abort(&s->ct);
    work(s);
}

/* --- What the client wants ------------------------------------------------------------------- */

static void start_message(struct session *s, const struct smtp_command *mail)
{
    if (fmt_into(s->qid, sizeof(s->qid), "%s.%x", s->sid, s->n_messages++) != 0)
        BUG("a message id is short");
    buf_clear(&s->only);
    s->n_blocks = 0;
    cutthrough_mail(&s->ct, mail);
}

static void ask_rcpt(struct session *s, const struct smtp_command *rcpt)
{
    struct decision d;

    buf_clear(&s->rcpt);
    if (buf_add(&s->rcpt, rcpt->mailbox) != 0)
        BUG("the grammar bounds an address");
    judge_rcpt(&s->w->judge, buf_slice(&s->rcpt), s->source_server, &d);
    cutthrough_rcpt(&s->ct, &d);
}

static void start_tls(struct session *s)
{
    struct err why = ERR_INIT;

    write_output(s);
    if (!s->stream)
        return;
    if (stream_start_tls(s->stream, s->w->setup->server_tls, NULL, false, &why) != 0) {
        log_warn("tls_failed", log_str("sid", s->sid), log_err(&why));
        lose_client(s);
    }
}

static void close_client(struct session *s, const struct answer *cause)
{
    if (cause)
        log_info("session_refused", log_str("sid", s->sid), log_str("client", s->peer_text),
            log_i64("code", cause->code), log_str("dsn", cause->enhanced),
            log_str("text", cause->text));
    abort_transaction(s, "the session ends");
    write_output(s);
    s->is_closing = true;
    if (!s->stream)
        return;
    stream_deadline(s->stream, FINISH_MS);
    stream_finish(s->stream);
}

static void handle(struct session *s, const struct smtp_server_event *ev)
{
    switch (ev->kind) {
    case SMTP_SERVER_GOT_MAIL:
        start_message(s, ev->command);
        break;
    case SMTP_SERVER_GOT_RCPT:
        ask_rcpt(s, ev->command);
        break;
    case SMTP_SERVER_GOT_DATA:
        cutthrough_data(&s->ct);
        break;
    case SMTP_SERVER_CONTENT:
        cutthrough_content(&s->ct, ev->content);
        break;
    case SMTP_SERVER_END:
        cutthrough_end(&s->ct);
        break;
    case SMTP_SERVER_RESET:
        abort_transaction(s, "the client said so");
        break;
    case SMTP_SERVER_SPOILED:
        log_message(s, "refuse", ev->answer);
        abort_transaction(s, "the content is not acceptable");
        break;
    case SMTP_SERVER_STARTTLS:
        start_tls(s);
        break;
    case SMTP_SERVER_CLOSE:
        close_client(s, ev->answer);
        break;
    case SMTP_SERVER_MORE:
        break;
    }
    work(s);
    s->asked_ms = loop_now_ms(s->w->loop);
}

/* Content waits for 354, or for bytes before it that the system did not take: both end with an
 * event.  What waits only because its 354 is just being fed leaves by itself right after that. */
static bool is_backlogged(const struct session *s)
{
    size_t unsent = s->conn ? smtp_conn_unsent(s->conn) : 0;

    return cutthrough_backlog(&s->ct) + unsent > BACKLOG_MAX &&
           (unsent > 0 || s->ct.state == CUT_WAITING);
}

/* Feeds until the engine wants more, or we owe something; returns how much was used. */
static size_t pump(struct session *s, struct slice in)
{
    size_t total = 0;
    struct smtp_server_event ev = {.kind = SMTP_SERVER_MORE};

    do {
        size_t used = 0;
        if (!s->stream || s->is_closing || is_backlogged(s))
            break;
        smtp_server_feed(&s->server, slice_from(in, total), &used, &ev);
        total += used;
        if (used > 0 && s->server.state != SMTP_SERVER_DATA &&
            s->server.state != SMTP_SERVER_DISCARD)
            s->has_progress = true;
        if (ev.kind == SMTP_SERVER_MORE)
            break;
        handle(s, &ev);
        if (s->server.output.n > OUTPUT_STEP)
            write_output(s);
    } while (ev.kind != SMTP_SERVER_STARTTLS);
    if (s->server.n_content / BLOCK != s->n_blocks) {
        s->n_blocks = s->server.n_content / BLOCK;
        s->has_progress = true;
    }
    return total;
}

/* --- Whose turn it is ------------------------------------------------------------------------ */

static void set_deadline(struct session *s)
{
    const struct conf_relay *conf = &s->w->conf->relay;
    uint64_t now = loop_now_ms(s->w->loop), end = s->started_ms + conf->session_timeout_ms;
    bool is_data = s->server.state == SMTP_SERVER_DATA || s->server.state == SMTP_SERVER_DISCARD;

    if (s->is_closing || s->server.asked != SMTP_SERVER_MORE || is_backlogged(s)) {
        s->due_ms = 0;
        return;
    }
    if (s->due_ms == 0 || s->has_progress) {
        s->due_ms = now + (is_data ? conf->data_timeout_ms : conf->command_timeout_ms);
        if (s->due_ms > end)
            s->due_ms = end;
        s->has_progress = false;
    }
    if (s->timer_ms == 0 || s->timer_ms > s->due_ms)
        start_timer(s, s->due_ms > now ? s->due_ms - now : 0);
}

static void settle(struct session *s)
{
    if (!s->stream) {
        s->is_over = s->ct.state == CUT_IDLE;
        return;
    }
    (void)pump(s, SLICE_NONE);
    if (s->w->is_draining && smtp_server_is_between(&s->server)) {
        end_session(s, 421, "4.3.2", "the service stops");
        (void)pump(s, SLICE_NONE);
    }
    write_output(s);
    if (!s->stream) {
        s->is_over = s->ct.state == CUT_IDLE;
        return;
    }
    set_deadline(s);
    if (s->is_paused && s->due_ms != 0) {
        s->is_paused = false;
        stream_resume(s->stream);
    }
}

static void destroy(struct session *s)
{
    struct worker *w = s->w;
    struct net_addr peer = s->peer;

    leave_hold(s);
    loop_timer_free(&s->timer);
    smtp_server_fini(&s->server);
    cutthrough_fini(&s->ct);
    buf_fini(&s->rcpt);
    buf_fini(&s->only);
    if (s->prev)
        s->prev->next = s->next;
    else
        w->sessions = s->next;
    if (s->next)
        s->next->prev = s->prev;
    w->n_sessions--;
    free(s);
    worker_session_gone(w, &peer);
}

static void leave(struct session *s)
{
    if (s->busy == 1)
        settle(s);
    if (--s->busy == 0 && s->is_over)
        destroy(s);
}

/* --- Events of the client's stream ----------------------------------------------------------- */

static size_t on_data(void *arg, struct slice in)
{
    struct session *s = arg;
    size_t used;

    enter(s);
    if (s->server.state == SMTP_SERVER_HELLO || s->server.state == SMTP_SERVER_IDLE) {
        uint64_t size_max = s->w->conf->relay.message_size_max, theirs = pool_size_max(s->w->pool);
        smtp_server_offer(
            &s->server, pool_all_take_8bit(s->w->pool), theirs < size_max ? theirs : size_max);
    }
    used = pump(s, in);
    if (used < in.n && s->stream && (s->server.asked != SMTP_SERVER_MORE || is_backlogged(s))) {
        s->is_paused = true;
        stream_pause(s->stream);
    }
    leave(s);
    return used;
}

static void on_secured(void *arg)
{
    struct session *s = arg;

    enter(s);
    log_debug("tls", log_str("sid", s->sid), log_str("version", tls_version(stream_tls(s->stream))),
        log_str("cipher", tls_cipher(stream_tls(s->stream))));
    smtp_server_secured(&s->server);
    s->has_progress = true;
    leave(s);
}

static void on_closed(void *arg, const struct err *why)
{
    struct session *s = arg;

    enter(s);
    if (why->class != ERR_NONE)
        log_info("client_lost", log_str("sid", s->sid), log_str("client", s->peer_text),
            log_str("state", smtp_server_state_name(s->server.state)), log_err(why));
    stream_free(&s->stream);
    abort_transaction(s, "the client is gone");
    leave(s);
}

/* No `drained`: a client that does not read its answers meets the deadline of its next command. */
static const struct stream_events stream_events = {
    .data = on_data, .secured = on_secured, .closed = on_closed};

static void on_timer(void *arg)
{
    struct session *s = arg;
    uint64_t now = loop_now_ms(s->w->loop);

    enter(s);
    s->timer_ms = 0;
    if (s->is_holding) {
        judge_again(s);
        work(s);
    } else if (s->due_ms != 0 && now >= s->due_ms) {
        log_info("client_timeout", log_str("sid", s->sid), log_str("client", s->peer_text),
            log_str("state", smtp_server_state_name(s->server.state)));
        /* Within a handshake there is no way to say something. */
        if (s->server.state == SMTP_SERVER_TLS)
            lose_client(s);
        else
            end_session(s, 421, "4.4.2", "timed out");
    }
    leave(s);
}

/* --- Life ------------------------------------------------------------------------------------ */

/* A client has to wait for the greeting; one that does not is no mail server. */
static bool has_spoken(int fd)
{
    char c;

    return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void session_start_own(struct worker *w, int fd, const struct net_addr *peer, bool is_lmtp,
    const struct answer *refusal)
{
    const struct conf_relay *conf = &w->conf->relay;
    struct session *s = mem_zalloc(sizeof(*s));
    struct smtp_server_options options = {.hostname = conf->hostname,
        .is_lmtp = is_lmtp,
        .offers_starttls = w->setup->server_tls != NULL,
        .size_max = conf->message_size_max,
        .recipients_max = conf->recipients_max,
        .errors_max = conf->errors_max,
        .bare_lf = conf->bare_lf};
    bool is_early = has_spoken(fd);

    s->w = w;
    s->peer = *peer;
    net_addr_format(peer, s->peer_text);
    s->source_server = conf_server_from(w->conf, peer);
    if (fmt_into(s->sid, sizeof(s->sid), "%llx", (unsigned long long)w->session_id++) != 0)
        BUG("a session id is short");
    s->started_ms = s->asked_ms = loop_now_ms(w->loop);
    buf_init(&s->rcpt, ADDRESS_MAX);
    buf_init(&s->only, ADDRESS_MAX);
    smtp_server_init(&s->server, &options, &w->scratch);
    cutthrough_init(&s->ct, w->targets, conf->header_size_max, is_lmtp);
    s->next = w->sessions;
    if (s->next)
        s->next->prev = s;
    w->sessions = s;
    w->n_sessions++;
    s->timer = loop_timer_new(w->loop, on_timer, s);
    s->stream = stream_new_own(w->loop, fd, false, &stream_events, s,
        (struct stream_limits){.in_max = IN_MAX, .out_max = OUT_MAX});
    log_debug("session_start", log_str("sid", s->sid), log_str("client", s->peer_text),
        log_str("server", server_name(s, s->source_server)));
    enter(s);
    if (refusal || !is_early)
        smtp_server_greet(&s->server, refusal);
    leave(s);
}

void session_drain(struct session *s)
{
    enter(s);
    leave(s); /* settles */
}

bool session_is_dotted(const struct session *s)
{
    return s->ct.state == CUT_DOTTED;
}

void session_kill(struct session *s)
{
    struct err why = ERR_INIT;
    struct smtp_client_event ev = {.kind = SMTP_CLIENT_FAILED, .err = &why};

    err_set(&why, ERR_TEMP, 0, "the relay stops");
    enter(s);
    stream_free(&s->stream);
    abort_transaction(s, "the relay stops");
    if (s->ct.state == CUT_DOTTED) {
        cutthrough_target_event(&s->ct, &ev);
        work(s);
    }
    leave(s);
}

struct session *session_next(const struct session *s)
{
    return s->next;
}
