/* SPDX-License-Identifier: ISC */
/*
 * frame: cuts the bytes of an IMAP connection into responses.  A response is a line, continued
 * behind each literal.  Small literals stay in the response's text; the octets of a BODY[] literal
 * are handed on as they come and never kept.
 *
 *     while (in.n > 0) {
 *         switch (imap_frame_feed(&f, in, &used, &data)) { ... }
 *         in = slice_from(in, used);
 *     }
 */
#ifndef IMAPSYNC_IMAP_FRAME_H
#define IMAPSYNC_IMAP_FRAME_H

#include "imapsync/imap/token.h"

enum imap_frame_event {
    IMAP_FRAME_MORE,       /* all input used, nothing complete */
    IMAP_FRAME_RESPONSE,   /* imap_frame_text() is one response without its last CRLF */
    IMAP_FRAME_BODY_BEGIN, /* imap_frame_text() ends with the literal's header */
    IMAP_FRAME_BODY_DATA,  /* *data_out: octets, borrowed from the input */
    IMAP_FRAME_BODY_END,
    IMAP_FRAME_BAD, /* a literal without an end, or over a limit; the connection is of no more use
                     */
};

enum imap_frame_state {
    IMAP_FRAME_STATE_LINE,
    IMAP_FRAME_STATE_INLINE,
    IMAP_FRAME_STATE_BODY,
    IMAP_FRAME_STATE_COMPLETE,
    IMAP_FRAME_STATE_BROKEN
};

struct imap_frame {
    enum imap_frame_state state;
    struct buf text;
    size_t line_from; /* where the current line starts in text */
    bool in_quotes;   /* the line has come so far into a quoted string */
    bool is_escaped;  /* and behind a backslash */
    uint64_t literal_left;
    struct imap_streamed streamed;
    const char *why; /* after BAD: what was wrong, a constant text */
};

void imap_frame_init(struct imap_frame *f);
void imap_frame_fini(struct imap_frame *f);
/* Forgets a response that has begun: after STARTTLS. */
void imap_frame_reset(struct imap_frame *f);
enum imap_frame_event imap_frame_feed(
    struct imap_frame *f, struct slice in, size_t *used_out, struct slice *data_out);
struct slice imap_frame_text(const struct imap_frame *f);

#endif
