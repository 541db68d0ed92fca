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
 * that a byte now and then buys no time; another one covers all turns of the envelope, from MAIL to
 * DATA.  How long the client's turns have lasted since the session has a connection to a server
 * decides, while others wait for one, whether it may keep it (session_target.c).
 *
 * A client that leaves behind the dot changes nothing: the session stays until the target has
 * answered, so that the claim ends with what really happened.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include "base/core/log.h"
#include "base/core/mem.h"
#include "relay/session_parts.h"

#define IN_MAX (64u << 10)
#define OUT_MAX (1u << 20)
#define BACKLOG_MAX (128u << 10) /* bytes of content that may wait for the target */
#define BLOCK (64u << 10)        /* of content, per data_timeout */
#define OUTPUT_STEP (16u << 10)  /* answers to pipelined commands leave together, up to here */
#define FINISH_MS 10000          /* for a client to take our last words */

/* --- The client's output --------------------------------------------------------------------- */

static void lose_client(struct session *s)
{
    stream_free(&s->stream);
    pool_cancel(&s->request);
    cutthrough_abort(&s->ct);
    session_work(s);
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

static void end_with(struct session *s, const char *enhanced, const char *text)
{
    struct answer a;

    answer_set(&a, 421, enhanced, "%s", text);
    smtp_server_close(&s->server, &a);
}

/* The client will say nothing more, but it may still read. */
static void finish_client(struct session *s)
{
    write_output(s);
    s->is_closing = true;
    if (!s->stream)
        return;
    stream_deadline(s->stream, FINISH_MS);
    stream_finish(s->stream);
}

/* Nothing of a message was begun, or all is over: a health check, of which there may be one each
 * second for ever. */
static bool is_mere_visit(const struct session *s)
{
    return s->is_closing ||
           (s->n_messages == 0 && s->server.n_errors == 0 && s->server.state != SMTP_SERVER_TLS);
}

void session_end(struct session *s, const char *text)
{
    end_with(s, "4.4.2", text);
}

/* --- What the client wants ------------------------------------------------------------------- */

static void start_message(struct session *s, const struct smtp_command *mail)
{
    if (fmt_into(s->qid, sizeof(s->qid), "%s.%x", s->sid, s->n_messages++) != 0)
        BUG("a message id is short");
    buf_clear(&s->only);
    s->n_blocks = 0;
    s->mail_ms = loop_now_ms(s->w->loop);
    cutthrough_mail(&s->ct, mail);
}

static void ask_rcpt(struct session *s, const struct smtp_command *rcpt)
{
    buf_clear(&s->rcpt);
    if (buf_add(&s->rcpt, rcpt->mailbox) != 0)
        BUG("the grammar bounds an address");
    session_judge(s);
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
        log_at(s->is_early ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "session_refused",
            log_str("sid", s->sid), log_str("client", s->peer_text), log_i64("code", cause->code),
            log_str("dsn", cause->enhanced), log_str("text", cause->text));
    session_abort(s, "the session ends");
    finish_client(s);
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
        if (s->conn)
            smtp_conn_content_ended(s->conn);
        cutthrough_end(&s->ct);
        break;
    case SMTP_SERVER_RESET:
        session_abort(s, "the client said so");
        break;
    case SMTP_SERVER_SPOILED:
        session_log_message(s, "refuse", ev->answer);
        session_abort(s, "the content is not acceptable");
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
    session_work(s);
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

void session_start_timer(struct session *s, uint64_t delay_ms)
{
    if (!s->timer)
        return;
    s->timer_ms = loop_now_ms(s->w->loop) + delay_ms;
    loop_timer_start(s->timer, delay_ms);
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void set_deadline(struct session *s)
{
    const struct conf_relay *conf = &s->w->conf->relay;
    uint64_t now = loop_now_ms(s->w->loop), end = s->started_ms + conf->session_timeout_ms;
    bool is_data = s->server.state == SMTP_SERVER_DATA || s->server.state == SMTP_SERVER_DISCARD;

    if (s->is_closing || s->server.asked != SMTP_SERVER_MORE || is_backlogged(s)) {
        if (s->due_ms != 0) {
            s->lain_ms += now - s->turn_ms;
            s->owed_ms = now;
        }
        s->due_ms = 0;
        return;
    }
    if (s->due_ms == 0) {
        s->turn_ms = now;
        s->mail_ms += now - s->owed_ms;
    }
    if (s->due_ms == 0 || s->has_progress) {
        s->due_ms = now + (is_data ? conf->data_timeout_ms : conf->command_timeout_ms);
        if (s->server.state == SMTP_SERVER_ENVELOPE)
            end = min_u64(end, s->mail_ms + conf->envelope_timeout_ms);
        s->due_ms = min_u64(s->due_ms, end);
        s->has_progress = false;
    }
    if (s->timer_ms == 0 || s->timer_ms > s->due_ms)
        session_start_timer(s, s->due_ms > now ? s->due_ms - now : 0);
}

static void settle(struct session *s)
{
    if (!s->stream) {
        s->is_over = s->ct.state == CUT_IDLE;
        return;
    }
    (void)pump(s, SLICE_NONE);
    if (s->w->is_draining && smtp_server_is_between(&s->server)) {
        end_with(s, "4.3.2", "the service stops");
        (void)pump(s, SLICE_NONE);
    }
    write_output(s);
    if (s->has_left && !s->is_closing && s->server.asked != SMTP_SERVER_END) {
        session_abort(s, "the client is gone");
        finish_client(s);
    }
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
    bool was_refused = s->is_refused;

    session_leave_hold(s);
    loop_timer_free(&s->timer);
    smtp_server_fini(&s->server);
    cutthrough_fini(&s->ct);
    buf_fini(&s->rcpt);
    buf_fini(&s->only);
    LIST_REMOVE(s, entry);
    w->n_sessions--;
    free(s);
    worker_session_gone(w, &peer, was_refused);
}

void session_enter(struct session *s)
{
    s->busy++;
}

void session_leave(struct session *s)
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

    session_enter(s);
    used = pump(s, in);
    if (used < in.n && s->stream && (s->server.asked != SMTP_SERVER_MORE || is_backlogged(s))) {
        s->is_paused = true;
        stream_pause(s->stream);
    }
    session_leave(s);
    return used;
}

static void on_secured(void *arg)
{
    struct session *s = arg;

    session_enter(s);
    log_debug("tls", log_str("sid", s->sid), log_str("version", tls_version(stream_tls(s->stream))),
        log_str("cipher", tls_cipher(stream_tls(s->stream))));
    smtp_server_secured(&s->server);
    s->has_progress = true;
    session_leave(s);
}

/* Behind a whole message the client has said all that it had to say: it gets its answer, if it can
 * still be written.  Anywhere else it has given up. */
static void on_ended(void *arg)
{
    struct session *s = arg;

    session_enter(s);
    s->has_left = true;
    session_leave(s);
}

static void on_closed(void *arg, const struct err *why)
{
    struct session *s = arg;

    session_enter(s);
    if (why->class != ERR_NONE)
        log_at(is_mere_visit(s) ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO, "client_lost",
            log_str("sid", s->sid), log_str("client", s->peer_text),
            log_str("state", smtp_server_state_name(s->server.state)), log_err(why));
    stream_free(&s->stream);
    session_abort(s, "the client is gone");
    session_leave(s);
}

/* No `drained`: a client that does not read its answers meets the deadline of its next command. */
static const struct stream_events stream_events = {
    .data = on_data, .secured = on_secured, .ended = on_ended, .closed = on_closed};

static void on_timer(void *arg)
{
    struct session *s = arg;
    uint64_t now = loop_now_ms(s->w->loop);

    session_enter(s);
    s->timer_ms = 0;
    if (s->is_holding) {
        session_judge(s);
        session_work(s);
    } else if (s->due_ms != 0 && now >= s->due_ms) {
        log_info("client_timeout", log_str("sid", s->sid), log_str("client", s->peer_text),
            log_str("state", smtp_server_state_name(s->server.state)));
        /* Within a handshake there is no way to say something. */
        if (s->server.state == SMTP_SERVER_TLS)
            lose_client(s);
        else
            session_end(s, "timed out");
    }
    session_leave(s);
}

/* --- Life ------------------------------------------------------------------------------------ */

/* A client has to wait for the greeting; one that does not is no mail server. */
static bool has_spoken(int fd)
{
    char c;

    return recv(fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* No more than the most able server takes with our fields in front, so that nothing that was
 * offered is refused because of them. */
static uint64_t offered_size(const struct worker *w)
{
    uint64_t ours = w->conf->relay.message_size_max, theirs = pool_size_most(w->pool);

    if (theirs > SESSION_PREFIX_MAX)
        theirs -= SESSION_PREFIX_MAX;
    return theirs < ours ? theirs : ours;
}

void session_start_own(struct worker *w, int fd, const struct net_addr *peer, bool is_lmtp,
    const struct answer *refusal)
{
    const struct conf_relay *conf = &w->conf->relay;
    struct session *s = mem_zalloc(sizeof(*s));
    struct smtp_server_options options = {.hostname = conf->hostname,
        .is_lmtp = is_lmtp,
        .offers_starttls = w->setup->server_tls != NULL,
        .is_strict = conf->strict_syntax,
        .size_max = offered_size(w),
        .recipients_max = conf->recipients_max,
        .errors_max = conf->errors_max,
        .bare_lf = conf->bare_lf};

    s->w = w;
    s->is_refused = refusal != NULL;
    s->is_early = !refusal && has_spoken(fd);
    s->peer = *peer;
    net_addr_format(peer, s->peer_text);
    s->source_server = conf_server_from(w->conf, peer);
    if (fmt_into(s->sid, sizeof(s->sid), "%llx-%llx", (unsigned long long)w->start_id,
            (unsigned long long)w->session_id++) != 0)
        BUG("a session id is short");
    s->started_ms = s->asked_ms = loop_now_ms(w->loop);
    buf_init(&s->rcpt, ADDRESS_MAX);
    buf_init(&s->only, ADDRESS_MAX);
    smtp_server_init(&s->server, &options, &w->scratch);
    cutthrough_init(&s->ct, w->servers, conf->header_size_max, is_lmtp);
    s->user = (struct pool_user){.client = *peer, .events = &session_user_events};
    LIST_INSERT_HEAD(&w->sessions, s, entry);
    w->n_sessions++;
    s->timer = loop_timer_new(w->loop, on_timer, s);
    s->stream = stream_new_own(w->loop, fd, false, &stream_events, s,
        (struct stream_limits){.in_max = IN_MAX, .out_max = OUT_MAX});
    log_debug("session_start", log_str("sid", s->sid), log_str("client", s->peer_text),
        log_str("server", session_server_name(s, s->source_server)));
    session_enter(s);
    if (!s->is_early)
        smtp_server_greet(&s->server, refusal);
    session_leave(s);
}

void session_drain(struct session *s)
{
    session_enter(s);
    session_leave(s); /* settles */
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
    session_enter(s);
    /* RFC 5321 3.8: never without a word.  Nobody waits until it has been read. */
    end_with(s, "4.3.2", "the service stops");
    write_output(s);
    stream_free(&s->stream);
    session_abort(s, "the relay stops");
    if (s->ct.state == CUT_DOTTED) {
        cutthrough_target_event(&s->ct, &ev);
        session_work(s);
    }
    session_leave(s);
}

struct session *session_next(const struct session *s)
{
    return LIST_NEXT(s, entry);
}
