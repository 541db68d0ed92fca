/* SPDX-License-Identifier: ISC */
/* report: see report.h.  The events and their keys are listed in coexist-milter(8). */
#include "base/core/conf.h"
#include "base/core/log.h"
#include "milter/judge.h"
#include "milter/report.h"

enum subject { SUBJECT_RCPT, SUBJECT_MESSAGE };

/* By mode, subject and whether it is refused. */
static const char *const events[2][2][2] = {
    [CONF_MILTER_JUDGE] = {[SUBJECT_RCPT] = {"rcpt_accept", "rcpt_refuse"},
        [SUBJECT_MESSAGE] = {"message_accept", "message_refuse"}},
    [CONF_MILTER_SHADOW] = {[SUBJECT_RCPT] = {"shadow_rcpt_accept", "shadow_rcpt_refuse"},
        [SUBJECT_MESSAGE] = {"shadow_message_accept", "shadow_message_refuse"}},
};

static const char *text_or_none(const char *text)
{
    return text != NULL ? text : "-";
}

static const char *server_name(const struct report *r, const struct judge_finding *f)
{
    return f->server == CONF_SERVER_NONE ? "-" : r->conf->servers[f->server].name;
}

static const char *event(
    const struct report *r, enum subject subject, const struct judge_finding *f)
{
    return events[r->conf->milter.mode][subject][f->verdict != JUDGE_CONTINUE];
}

static void report_refusal(
    const struct report *r, enum subject subject, const struct judge_finding *f)
{
    log_at(subject == SUBJECT_MESSAGE ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, event(r, subject, f),
        log_u64("sid", r->sid), log_str("qid", text_or_none(r->qid)), log_str("client", r->client),
        log_slice("rcpt", f->rcpt), log_slice("said", f->said), log_str("route", server_name(r, f)),
        log_u64("epoch", f->epoch), log_i64("code", f->code), log_str("dsn", f->enhanced),
        log_str("text", f->text));
}

void milter_report_rcpt(const struct report *r, const struct judge_finding *f)
{
    if (!f->is_ours)
        return;
    if (f->verdict != JUDGE_CONTINUE)
        report_refusal(r, SUBJECT_RCPT, f);
    else
        log_info(event(r, SUBJECT_RCPT, f), log_u64("sid", r->sid),
            log_str("qid", text_or_none(r->qid)), log_str("client", r->client),
            log_slice("rcpt", f->rcpt), log_slice("said", f->said),
            log_str("route", server_name(r, f)), log_u64("epoch", f->epoch));
}

void milter_report_message(const struct report *r, const struct judge_finding *f, size_t rcpts)
{
    if (!f->is_ours)
        return;
    if (f->verdict != JUDGE_CONTINUE)
        report_refusal(r, SUBJECT_MESSAGE, f);
    else
        log_info(event(r, SUBJECT_MESSAGE, f), log_u64("sid", r->sid),
            log_str("qid", text_or_none(r->qid)), log_str("client", r->client),
            log_u64("rcpts", rcpts));
}
