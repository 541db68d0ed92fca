/* SPDX-License-Identifier: ISC */
/*
 * smtp_reply: the grammar of replies of an SMTP or LMTP server, pure and resumable.
 *
 *     Reply       = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
 *     Reply-code  = %x32-35 %x30-35 %x30-39                                   (RFC 5321 4.2)
 *     textstring  = 1*(%d09 / %d32-126)
 *     status-code = class "." subject "." detail   at the start of the text   (RFC 2034, 3463)
 *
 * It reads what servers say, not what they should say, because a reply that is not understood makes
 * a duplicate of a message that was taken, and "try again" of a refusal.  The code decides:
 *   - LF alone ends a line too, and any byte may stand in the text, NUL and a bare CR included
 *     (smtp_reply_clean makes it printable);
 *   - what stands behind the three digits is the text, unless it is "-" or a fourth digit;
 *   - of several lines the last one tells the code (RFC 5321 4.2.1 wants them equal), and a line
 *     without a code between two others is passed over: text with a line end in it;
 *   - of the text the head is kept.
 * A first line without a code is no reply.
 */
#ifndef BASE_MAIL_SMTP_REPLY_H
#define BASE_MAIL_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include "base/core/parse.h"
#include "base/core/slice.h"

#define SMTP_REPLY_LINE_MAX 8192 /* bytes of one line with its end; RFC 5321 4.5.3.1.5: 512 */
#define SMTP_REPLY_LINES_MAX 1000
#define SMTP_REPLY_TEXT_MAX 4096   /* what is kept of all lines together */
#define SMTP_REPLY_HEAD_MAX 128    /* what is kept of one line: more than a keyword of EHLO needs */
#define SMTP_REPLY_ENHANCED_MAX 12 /* "5.999.999" and its NUL */
#define SMTP_REPLY_CLEAN_MAX 512   /* what is passed on to a client, a log or a report */

struct smtp_reply_parser {
    int state;
    int code;                       /* of the last line that had one; 0: none yet */
    int code_line;                  /* of this line, so far */
    bool is_last;                   /* this line carries no "-" */
    size_t n_line;                  /* bytes of this line */
    size_t n_lines;                 /* whole lines */
    size_t n_head;                  /* bytes in head */
    size_t n_text;                  /* bytes in text */
    char head[SMTP_REPLY_HEAD_MAX]; /* of this line's text */
    char text[SMTP_REPLY_TEXT_MAX]; /* lines joined by LF */
};

struct smtp_reply {
    int code; /* 200..599 */
    /* "5.1.1", or "" when the first line carries none that fits the class of the code. */
    char enhanced[SMTP_REPLY_ENHANCED_MAX];
    /* Lines joined by LF, the enhanced code taken off each; borrowed until the parser's next feed.
     */
    struct slice text;
    struct slice line; /* the head of the line that just ended; so long borrowed too */
    size_t n_lines;
};

void smtp_reply_init(struct smtp_reply_parser *p);
/* Nothing of the next reply was fed yet. */
bool smtp_reply_is_between(const struct smtp_reply_parser *p);
/* Consumes bytes up to the end of one line.  PARSE_MORE with *used_out > 0 and a line.p in *out:
 * that line ended, and others follow.  PARSE_DONE: the last line ended, *out is filled, and the
 * parser is ready for the next reply.  PARSE_BAD: no reply, or a limit was passed; in the latter
 * case the code of *out, and the head of the text, say what the server was telling; else code is 0.
 */
enum parse smtp_reply_feed(
    struct smtp_reply_parser *p, struct slice in, size_t *used_out, struct smtp_reply *out);
/* The text on one line of printable ASCII, cut at SMTP_REPLY_CLEAN_MAX - 1 bytes. */
void smtp_reply_clean(struct slice text, char out[SMTP_REPLY_CLEAN_MAX]);

#endif
