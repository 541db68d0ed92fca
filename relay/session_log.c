/* SPDX-License-Identifier: ISC */
/*
 * session_log: the lines that tell of each decision (coexist-relay(8) lists their keys).  sid names
 * the connection, qid the message.
 */
#include "base/core/log.h"
#include "relay/session_parts.h"

const char *session_server_name(const struct session *s, int server)
{
    return server == CONF_SERVER_NONE ? "" : s->w->conf->servers[server].name;
}

static void log_rcpt(const struct session *s)
{
    const struct answer *a = &s->ct.answer;
    const struct decision *d = &s->ct.pending;

    if (answer_is_positive(a))
        log_info("rcpt_accept", log_str("sid", s->sid), log_str("qid", s->qid),
            log_slice("rcpt", buf_slice(&s->rcpt)),
            log_str("route", session_server_name(s, decision_server(d))),
            log_u64("epoch", decision_epoch(d)), log_str("dsn", a->enhanced));
    else
        log_info("rcpt_refuse", log_str("sid", s->sid), log_str("qid", s->qid),
            log_str("client", s->peer_text), log_slice("from", buf_slice(&s->ct.sender)),
            log_slice("rcpt", buf_slice(&s->rcpt)), log_i64("code", a->code),
            log_str("dsn", a->enhanced), log_str("text", a->text));
}

void session_log_message(const struct session *s, const char *event, const struct answer *a)
{
    const struct cutthrough *ct = &s->ct;

    log_info(event, log_str("sid", s->sid), log_str("qid", s->qid), log_str("client", s->peer_text),
        log_slice("from", buf_slice(&ct->sender)), log_slice("rcpt", buf_slice(&s->only)),
        log_u64("nrcpt", ct->n_decisions), log_str("route", session_server_name(s, ct->server)),
        log_u64("epoch", ct->n_decisions > 0 ? decision_epoch(&ct->decisions[0]) : 0),
        log_u64("size", ct->n_content), log_i64("code", a->code), log_str("dsn", a->enhanced),
        log_str("text", a->text), log_u64("ms", loop_now_ms(s->w->loop) - s->asked_ms),
        log_str("duplicate", ct->is_ambiguous ? "possible" : "no"),
        log_str("client_gone", s->stream ? "no" : "yes"));
}

void session_log_answer(const struct session *s, enum smtp_server_kind asked)
{
    const struct answer *a = &s->ct.answer;
    int server = s->ct.server != CONF_SERVER_NONE ? s->ct.server : decision_server(&s->ct.pending);

    if (a->is_about_us)
        log_error("server_refuses_us", log_str("sid", s->sid), log_str("qid", s->qid),
            log_str("server", session_server_name(s, server)), log_i64("code", a->code),
            log_str("dsn", a->enhanced), log_str("text", a->text));
    if (asked == SMTP_SERVER_GOT_RCPT)
        log_rcpt(s);
    else if (asked == SMTP_SERVER_END || !s->stream)
        session_log_message(s, answer_is_positive(a) ? "deliver" : "refuse", a);
    else if (asked == SMTP_SERVER_GOT_DATA && a->code != 354)
        session_log_message(s, "refuse", a);
}
