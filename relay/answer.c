/* SPDX-License-Identifier: ISC */
/*
 * answer: how a reply for our client comes about (RFC 5321 4.2, 4.3.2; RFC 3463; RFC 2034).
 *
 * A 5xx makes the sender give up, so it passes only where the target speaks about sender, recipient
 * or content.  What it says about the two of us being unable to talk is our trouble: 451.
 */
#include "relay/answer.h"

#include <stdarg.h>

void answer_set(struct answer *out, int code, const char *enhanced, const char *fmt, ...)
{
    struct buf text;
    va_list ap;

    *out = (struct answer){.code = code};
    if (fmt_into(out->enhanced, sizeof(out->enhanced), "%s", enhanced) != 0)
        BUG("an enhanced code is short");
    buf_init(&text, 4 * SMTP_REPLY_CLEAN_MAX);
    va_start(ap, fmt);
    if (buf_vaddf(&text, fmt, ap) == 0)
        smtp_reply_clean(buf_slice(&text), out->text);
    va_end(ap);
    buf_fini(&text);
}

void answer_from_decision(const struct decision *d, struct answer *out)
{
    answer_set(out, d->code, d->enhanced, "%s", d->text);
}

/* 5xx codes that tell of sequence, syntax, authentication or the service as a whole. */
static bool is_about_us(int code)
{
    return (code >= 500 && code <= 504) || code == 521 || (code >= 530 && code <= 539) ||
           code == 555;
}

void answer_from_target(
    enum answer_stage stage, const struct smtp_reply *reply, const char *server, struct answer *out)
{
    static const char *const good[] = {"2.1.0", "2.1.5", "", "2.0.0"};
    int class = reply->code / 100;
    char text[SMTP_REPLY_CLEAN_MAX];

    smtp_reply_clean(reply->text, text);
    if (class == 2 && stage != ANSWER_DATA) {
        answer_set(out, 250, reply->enhanced[0] ? reply->enhanced : good[stage], "%s", text);
        return;
    }
    if (class < 4 || reply->code == 421 || is_about_us(reply->code)) {
        answer_set(out, 451, "4.3.5", "server %s said: %d %s", server, reply->code, text);
        return;
    }
    /* RFC 5321 4.5.3.1.10: 552 to RCPT has meant "too many recipients", which is no refusal. */
    if (stage == ANSWER_RCPT && reply->code == 552 && reply->enhanced[0] == '\0') {
        answer_set(out, 452, "4.5.3", "%s", text);
        return;
    }
    answer_set(out, reply->code,
        reply->enhanced[0] ? reply->enhanced : (class == 4 ? "4.0.0" : "5.0.0"), "%s", text);
}

void answer_from_target_error(const char *server, const struct err *why, struct answer *out)
{
    answer_set(out, 451, "4.4.1", "server %s is not available: %s", server, why->text);
}

int answer_format(const struct answer *a, struct buf *out)
{
    return buf_addf(
        out, "%03d %s%s%s\r\n", a->code, a->enhanced, a->enhanced[0] ? " " : "", a->text);
}
