/* SPDX-License-Identifier: ISC */
/*
 * smtp_reply: the grammar of replies of an SMTP or LMTP server, pure and resumable.
 *
 *     Reply       = *( Reply-code "-" [ textstring ] CRLF ) Reply-code [ SP textstring ] CRLF
 *     Reply-code  = %x32-35 %x30-35 %x30-39                                   (RFC 5321 4.2)
 *     textstring  = 1*(%d09 / %d32-126)
 *     status-code = class "." subject "." detail   at the start of the text   (RFC 2034, 3463)
 *
 * Stricter than the wild: only CRLF ends a line, and all lines carry the same code.  Looser than
 * the RFC: any byte but NUL, CR and LF is taken into the text (smtp_reply_clean makes it
 * printable), the second digit may be 0..9, and no space is needed behind the code of an empty
 * last line.
 */
#ifndef BASE_MAIL_SMTP_REPLY_H
#define BASE_MAIL_SMTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include "base/core/parse.h"
#include "base/core/slice.h"

#define SMTP_REPLY_LINE_MAX 1024 /* bytes of one line with its CRLF; RFC 5321 4.5.3.1.5: 512 */
#define SMTP_REPLY_LINES_MAX 64
#define SMTP_REPLY_TEXT_MAX 4096   /* all lines together */
#define SMTP_REPLY_ENHANCED_MAX 12 /* "5.999.999" and its NUL */
#define SMTP_REPLY_CLEAN_MAX 512   /* what is passed on to a client, a log or a report */

struct smtp_reply_parser {
    int state;
    int code;                       /* of the reply, from its first line */
    bool is_last;                   /* this line carries no "-" */
    int code_line;                  /* of this line, so far */
    size_t n_line;                  /* bytes of this line */
    size_t n_lines;                 /* whole lines */
    size_t n_text;                  /* bytes in text */
    char text[SMTP_REPLY_TEXT_MAX]; /* lines joined by LF */
};

struct smtp_reply {
    int code; /* 200..599 */
    /* "5.1.1", or "" when the first line carries none that fits the class of the code. */
    char enhanced[SMTP_REPLY_ENHANCED_MAX];
    /* Lines joined by LF, the enhanced code taken off each; borrowed until the parser's next feed.
     */
    struct slice text;
    size_t n_lines;
};

void smtp_reply_init(struct smtp_reply_parser *p);
/* Consumes bytes up to the end of one reply.  On PARSE_DONE *out is filled and the parser is ready
 * for the next one. */
enum parse smtp_reply_feed(
    struct smtp_reply_parser *p, struct slice in, size_t *used_out, struct smtp_reply *out);
/* The text on one line of printable ASCII, cut at SMTP_REPLY_CLEAN_MAX - 1 bytes. */
void smtp_reply_clean(struct slice text, char out[SMTP_REPLY_CLEAN_MAX]);

#endif
