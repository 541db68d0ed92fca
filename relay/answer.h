/* SPDX-License-Identifier: ISC */
/*
 * answer: one reply to our client as a value, and the only place where replies of targets,
 * decisions of the map and errors become one (RFC 5321 4.2, RFC 2034).
 */
#ifndef RELAY_ANSWER_H
#define RELAY_ANSWER_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/mail/smtp_reply.h"
#include "maps/route.h"

struct answer {
    int code;
    char enhanced[SMTP_REPLY_ENHANCED_MAX]; /* "" for 220, 221 before EHLO, 354 */
    char text[SMTP_REPLY_CLEAN_MAX];        /* printable ASCII, one line */
    bool is_about_us; /* a server passes it, and it speaks of this gateway: worth an alarm */
};

#define ANSWER_LINE_MAX 512 /* with its CRLF: RFC 5321 4.5.3.1.5 */

/* Text that does not fit is cut. */
void answer_set(struct answer *out, int code, const char *enhanced, const char *fmt, ...)
    ATTR_PRINTF(4, 5);
void answer_from_decision(const struct decision *d, struct answer *out);

/* What the reply was to: the same code means different things at different stages. */
enum answer_stage {
    ANSWER_MAIL,
    ANSWER_RCPT,      /* nobody was accepted in this transaction yet */
    ANSWER_RCPT_MORE, /* somebody was */
    ANSWER_DATA,
    ANSWER_DOT
};
/* What the client hears when the target said this.  2xx, 4xx and those 5xx that speak of sender,
 * recipient or content pass with their text.  A 5xx that speaks of the connection between the two
 * of us (sequence, syntax, authentication wanted, no service) becomes 451, because the mail is not
 * at fault, and so does every reply of a class that does not fit the stage.  Where code and
 * enhanced code disagree the latter tells: "501 5.1.7 bad sender address" would be said of that
 * sender for ever.  "Too many recipients", however it is said, is 452 4.5.3: the others come in a
 * transaction of their own. */
void answer_from_target(enum answer_stage stage, const struct smtp_reply *reply, const char *server,
    struct answer *out);
/* 451 4.4.1: the target is down or did not behave. */
void answer_from_target_error(const char *server, const struct err *why, struct answer *out);

static inline bool answer_is_positive(const struct answer *a)
{
    return a->code < 400;
}
/* Adds "CODE ENHANCED TEXT CRLF", at most ANSWER_LINE_MAX bytes; a text that is too long for that
 * ends with a word. */
int answer_format(const struct answer *a, struct buf *out) ATTR_WUR;

#endif
