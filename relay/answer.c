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

/* RFC 3463: X.1, X.2 and X.6 speak of an address, a mailbox or the content, whatever the code. */
static bool is_about_mail(const struct smtp_reply *reply)
{
    const char *subject = reply->enhanced[0] != '\0' ? reply->enhanced + 1 : "";

    return subject[0] == '.' && memchr("126", subject[1], 3) != NULL && subject[2] == '.';
}

/* 5xx codes that tell of sequence, syntax, authentication or the service as a whole. */
static bool is_about_connection(const struct smtp_reply *reply)
{
    int code = reply->code;

    return ((code >= 500 && code <= 504) || code == 521 || (code >= 530 && code <= 539) ||
               code == 555) &&
           !is_about_mail(reply);
}

/* RFC 3463: X.5.3 is "too many recipients".  A class that does not fit the code stays in the text.
 */
static bool has_too_many(const struct smtp_reply *reply)
{
    struct slice said = reply->enhanced[0] != '\0' ? slice_str(reply->enhanced) : reply->text;

    return said.n >= 5 && (said.p[0] == '4' || said.p[0] == '5') &&
           slice_eq(slice_sub(said, 1, 4), SLICE_LIT(".5.3")) &&
           (said.n == 5 || !ascii_is_digit(said.p[5]));
}

/* RFC 5321 4.5.3.1.10: 552 to RCPT has meant "too many recipients", which is no refusal; but not of
 * the first one: there it is what 552 says everywhere else. */
static bool is_too_many(enum answer_stage stage, const struct smtp_reply *reply)
{
    if ((stage != ANSWER_RCPT && stage != ANSWER_RCPT_MORE) || reply->code / 100 < 4)
        return false;
    return has_too_many(reply) ||
           (stage == ANSWER_RCPT_MORE && reply->code == 552 && reply->enhanced[0] == '\0');
}

/* Servers that refuse the host which asks (access lists, block lists, no right to relay) do so with
 * the codes of a refused recipient, often not before RCPT.  Only their words tell. */
static bool is_about_gateway(const char *text)
{
    static const char *const words[] = {"client host", "helo command", "relay access denied",
        "relaying denied", "relay not permitted", "not permitted to relay", "unable to relay",
        "relaying not allowed", "not allowed to relay"};
    char lower[SMTP_REPLY_CLEAN_MAX];
    size_t n = strlen(text);

    for (size_t i = 0; i <= n; i++)
        lower[i] = (char)ascii_lower((unsigned char)text[i]);
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (slice_search(slice_make(lower, n), slice_str(words[i])) >= 0)
            return true;
    return false;
}

void answer_from_target(
    enum answer_stage stage, const struct smtp_reply *reply, const char *server, struct answer *out)
{
    static const char *const good[] = {"2.1.0", "2.1.5", "2.1.5", "", "2.0.0"};
    int class = reply->code / 100;
    char text[SMTP_REPLY_CLEAN_MAX];

    smtp_reply_clean(reply->text, text);
    if (class == 2 && stage != ANSWER_DATA)
        answer_set(out, 250, reply->enhanced[0] ? reply->enhanced : good[stage], "%s", text);
    else if (is_too_many(stage, reply))
        answer_set(out, 452, "4.5.3", "%s", text);
    else if (class < 4 || reply->code == 421 || is_about_connection(reply))
        answer_set(out, 451, "4.3.5", "server %s said: %d %s", server, reply->code, text);
    else
        answer_set(out, reply->code,
            reply->enhanced[0] ? reply->enhanced : (class == 4 ? "4.0.0" : "5.0.0"), "%s", text);
    out->is_about_us = class >= 4 && is_about_gateway(text);
}

void answer_from_target_error(const char *server, const struct err *why, struct answer *out)
{
    answer_set(out, 451, "4.4.1", "server %s is not available: %s", server, why->text);
}

int answer_format(const struct answer *a, struct buf *out)
{
    char head[32];
    struct slice text = slice_str(a->text);
    size_t room;

    if (fmt_into(
            head, sizeof(head), "%03d %s%s", a->code, a->enhanced, a->enhanced[0] ? " " : "") != 0)
        BUG("a code is short");
    room = ANSWER_LINE_MAX - 2 - strlen(head);
    if (text.n > room) {
        size_t end = room;
        while (end > 0 && text.p[end] != ' ')
            end--;
        text = slice_sub(text, 0, end > room / 2 ? end : room);
    }
    return buf_addf(out, "%s%.*s\r\n", head, SLICE_ARG(text));
}
