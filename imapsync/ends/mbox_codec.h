/* SPDX-License-Identifier: ISC */
/*
 * mbox_codec: the octets of a message as they stand in an mbox, and back, in any portions.
 *
 *     mbox_encoder_init(&c, out, arg);
 *     mbox_codec_feed(&c, octets); ...
 *     mbox_codec_end(&c);
 *
 * What we write is told apart by its From_ line (mbox_from.h) and comes back exactly:
 *
 *   CRLF           is LF in the file; a LF without a CR comes back with one, as from any server
 *   "From "        at the beginning of a line, whatever ">" stand in front of it, gets one more
 *                  (mboxrd)
 *   "Status:"      and the other names of the mailbox's own fields get one more in the same way, in
 *                  the header of a message.  So those without one are the mailbox's own
 *   " ", "\t"      and in its first line, which would continue a field of the mailbox's own
 *
 * What others have written: fields of the mailbox's own are left out, since their programs leave
 * out those that a message comes with.  In the body, ">From " loses one ">" unless a Content-Length
 * that fits says that nothing was quoted.
 */
#ifndef IMAPSYNC_ENDS_MBOX_CODEC_H
#define IMAPSYNC_ENDS_MBOX_CODEC_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/slice.h"

enum mbox_style {
    MBOX_OURS,
    MBOX_QUOTED, /* ">From " in the body */
    MBOX_PLAIN,
};

/* The fields of the mailbox's own. */
enum mbox_field {
    MBOX_FIELD_NONE,
    MBOX_CONTENT_LENGTH,
    MBOX_STATUS,
    MBOX_X_IMAP,
    MBOX_X_IMAPBASE,
    MBOX_X_KEYWORDS,
    MBOX_X_STATUS,
    MBOX_X_UID,
};

/* That a line of a header begins, with its colon. */
enum mbox_field mbox_field_of(struct slice line);

#define MBOX_WORD_MAX 16

struct mbox_codec {
    void (*out)(void *arg, struct slice octets);
    void *arg;
    enum mbox_style style;
    bool encodes;
    bool is_header, is_first; /* in the header; nothing but fields of the mailbox's own so far */
    bool holds_cr, has_cr;    /* one is held back; it was the last octet */
    bool has_quote;           /* decoder: one ">" is held back */
    bool hides, is_in_line;   /* this line is left out; its beginning has been judged */
    bool is_quoted;           /* there was a ">" in front */
    unsigned char word[MBOX_WORD_MAX]; /* of a line's beginning, held back */
    uint8_t n_word;
};

void mbox_encoder_init(
    struct mbox_codec *c, void (*out)(void *arg, struct slice octets), void *arg);
void mbox_decoder_init(struct mbox_codec *c, enum mbox_style style,
    void (*out)(void *arg, struct slice octets), void *arg);
void mbox_codec_feed(struct mbox_codec *c, struct slice octets);
/* What is held back. */
void mbox_codec_end(struct mbox_codec *c);

#endif
