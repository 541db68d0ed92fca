/* SPDX-License-Identifier: ISC */
/*
 * judge: the verdicts of the milter on recipients and messages.  Pure: no libmilter type, socket or
 * clock in here; the same bytes, map and time give the same verdict.
 *
 *     milter_judge_begin(j, &site, source_server);
 *     milter_judge_sender(j, path);
 *     milter_judge_rcpt(j, &view, &rcpt, now_s, &finding);         for each RCPT
 *     milter_judge_header(j, name, value);                         for each field, from the top
 *     milter_judge_message(j, &view, now_s, &finding);             at the end
 *     milter_judge_stamp(j, server, now_s, &field)                 for each server, when accepted
 *
 * Which mailbox a recipient is says milter/meaning.h.
 *
 * A recipient is refused by itself at RCPT.  What the header brings to light (a loop) is a verdict
 * on the whole message, for a milter that deletes recipients would lose mail without a word.
 */
#ifndef MILTER_JUDGE_H
#define MILTER_JUDGE_H

#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/slice.h"
#include "maps/route.h"
#include "maps/trace.h"
#include "milter/meaning.h"

#define JUDGE_RCPTS_MAX 500 /* of our domains, per message; keeps the stamps below 32 KiB */
#define JUDGE_DELIVERIES_MAX (2 * JUDGE_RCPTS_MAX) /* that are stamped */
#define JUDGE_TRACE_MAX (96u * 1024) /* bytes of trace fields that are looked at, from the top */

struct milter_judge;

/* What a message is judged by. Borrowed from milter_judge_begin() to the next one. */
struct judge_site {
    const struct conf *conf;
    const struct trace_keys *keys; /* NULL: stamps are neither read nor made */
    /* A recipient whose mail goes by this decision, or would, could it be judged; may be NULL. */
    void (*routed)(void *arg, const struct decision *d);
    void *routed_arg;
};

enum judge_verdict {
    JUDGE_CONTINUE,
    JUDGE_TEMPFAIL, /* with the reply in the finding: 4xx */
    JUDGE_REJECT,   /* 5xx */
};

struct judge_finding {
    enum judge_verdict verdict;
    int code; /* of the reply, 0 with JUDGE_CONTINUE */
    char enhanced[8];
    char text[DECIDE_TEXT_MAX];
    /* For the log; borrowed until the next call, n == 0 when there is none. */
    struct slice rcpt; /* what was judged, or cannot be */
    struct slice said; /* the client's spelling of it */
    int server;        /* where the recipient belongs, CONF_SERVER_NONE when that is not known */
    uint64_t epoch;
    bool is_ours; /* false: not a recipient of our domains, nothing was judged */
};

struct milter_judge *milter_judge_new(void);
void milter_judge_free(struct milter_judge **j);

/* Forgets everything about the message before. */
void milter_judge_begin(struct milter_judge *j, const struct judge_site *site, int source_server);
/* The argument of MAIL.  Until it is known nobody is refused for who he is. */
void milter_judge_sender(struct milter_judge *j, struct slice path);
/*
 * Where nobody knows where the mail would go (MEANING_UNKNOWN) it is refused: for good when the
 * mail server says that it delivers the mail by itself under a name without a domain, or cannot
 * tell the letter case where that matters, else 451.
 */
void milter_judge_rcpt(struct milter_judge *j, const struct route_view *view,
    const struct meaning_rcpt *rcpt, int64_t now_s, struct judge_finding *out);
void milter_judge_header(struct milter_judge *j, struct slice name, struct slice value);
/* For all recipients that milter_judge_rcpt() let pass. */
void milter_judge_message(struct milter_judge *j, const struct route_view *view, int64_t now_s,
    struct judge_finding *out);
size_t milter_judge_rcpts(
    const struct milter_judge *j); /* recipients of our domains that were let pass */
/* The trace field for one server's recipients, with its CRLF, as milter_judge_message() last
 * decided. 1: `out` holds it; 0: no recipient there, or no keys; -1: it does not fit. */
int milter_judge_stamp(struct milter_judge *j, int server, int64_t now_s, struct buf *out) ATTR_WUR;

#endif
