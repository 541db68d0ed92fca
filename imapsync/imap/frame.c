/* SPDX-License-Identifier: ISC */
/*
 * frame: responses out of bytes, resumable at every byte.
 *
 * RFC 9051: response-data = "*" SP ... CRLF, literal = "{" number "}" CRLF *CHAR8.  Status lines
 * ("* OK text", tagged ones, "+ text") hold no literals, and their text may well end in "{5}".
 * Only CRLF ends a line; a NUL, a bare CR or a bare LF ends the connection, because what follows
 * would be read differently by different clients.  Owns one buffer of at most IMAP_RESPONSE_MAX.
 */
#include "imapsync/imap/frame.h"

#include "base/core/err.h"
#include "base/core/num.h"
#include "imapsync/imap/limits.h"

void imap_frame_init(struct imap_frame *f)
{
    *f = (struct imap_frame){.state = IMAP_FRAME_STATE_LINE};
    buf_init(&f->text, IMAP_RESPONSE_MAX);
}

void imap_frame_fini(struct imap_frame *f)
{
    buf_fini(&f->text);
}

void imap_frame_reset(struct imap_frame *f)
{
    buf_clear(&f->text);
    f->state = IMAP_FRAME_STATE_LINE;
    f->line_from = 0;
    f->literal_left = 0;
    f->has_cr = false;
    f->streamed = (struct imap_streamed){0};
}

struct slice imap_frame_text(const struct imap_frame *f)
{
    return buf_slice(&f->text);
}

static enum imap_frame_event bad(struct imap_frame *f, const char *why)
{
    f->state = IMAP_FRAME_STATE_BROKEN;
    f->why = why;
    return IMAP_FRAME_BAD;
}

/* Whether the text is data, whose lines may end in a literal, and not a status line. */
static bool may_hold_literal(struct slice text)
{
    static const char *const statuses[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
    if (!slice_starts(text, SLICE_LIT("* ")))
        return false;
    struct imap_cur c = imap_cur_make(slice_from(text, 2));
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (imap_cur_word(&c, statuses[i]))
            return false;
    }
    return true;
}

/* The item's whole name: XBODY[] is something else. */
static bool is_fetch_body(struct slice before)
{
    struct imap_cur c = imap_cur_make(before);
    uint64_t seq;
    return imap_cur_byte(&c, '*') && imap_cur_byte(&c, ' ') &&
           imap_cur_number(&c, UINT32_MAX, &seq) && imap_cur_byte(&c, ' ') &&
           imap_cur_word(&c, "FETCH") &&
           (slice_ends_nocase(before, SLICE_LIT(" BODY[] ")) ||
               slice_ends_nocase(before, SLICE_LIT("(BODY[] ")));
}

/* The line ended (its CRLF is the end of text).  A literal's header, or the response's end? */
static enum imap_frame_event end_of_line(struct imap_frame *f)
{
    struct slice text = buf_slice(&f->text);
    struct slice line = slice_sub(text, f->line_from, text.n - f->line_from - 2);
    ptrdiff_t brace = slice_rfind(line, '{');
    uint64_t size = 0;
    bool is_literal = line.n > 0 && line.p[line.n - 1] == '}' && brace >= 0 &&
                      may_hold_literal(text) &&
                      num_u64(slice_sub(line, (size_t)brace + 1, line.n - (size_t)brace - 2), 0,
                          IMAP_MESSAGE_SIZE_MAX, &size) == 0;
    if (!is_literal) {
        buf_truncate(&f->text, text.n - 2);
        f->state = IMAP_FRAME_STATE_COMPLETE;
        return IMAP_FRAME_RESPONSE;
    }
    size_t at = f->line_from + (size_t)brace;
    f->line_from = text.n;
    f->literal_left = size;
    if (!f->streamed.is_set && is_fetch_body(slice_sub(text, 0, at))) {
        f->streamed = (struct imap_streamed){.is_set = true, .at = at, .size = size};
        f->state = IMAP_FRAME_STATE_BODY;
        return IMAP_FRAME_BODY_BEGIN;
    }
    if (size > IMAP_LITERAL_INLINE_MAX)
        return bad(f, "a literal is too long");
    f->state = IMAP_FRAME_STATE_INLINE;
    return IMAP_FRAME_MORE;
}

/* Whether a CR stands without its LF, or the other way round; a CR at the end waits for more. */
static const char *check_line_bytes(struct imap_frame *f, struct slice part)
{
    for (size_t i = 0; i < part.n; i++) {
        unsigned char b = part.p[i];
        if (b == 0)
            return "a NUL in a line";
        if (f->has_cr && b != '\n')
            return "a bare CR in a line";
        if (!f->has_cr && b == '\n')
            return "a bare LF in a line";
        f->has_cr = b == '\r';
    }
    return NULL;
}

static enum imap_frame_event feed_line(struct imap_frame *f, struct slice in, size_t *used_out)
{
    ptrdiff_t lf = slice_find(in, '\n');
    struct slice part = lf < 0 ? in : slice_sub(in, 0, (size_t)lf + 1);
    const char *why = check_line_bytes(f, part);
    if (why)
        return bad(f, why);
    if (buf_add(&f->text, part) != 0)
        return bad(f, "a response is too long");
    *used_out = part.n;
    return lf < 0 ? IMAP_FRAME_MORE : end_of_line(f);
}

static enum imap_frame_event feed_inline(struct imap_frame *f, struct slice in, size_t *used_out)
{
    struct slice part = slice_sub(in, 0, f->literal_left < in.n ? (size_t)f->literal_left : in.n);
    if (buf_add(&f->text, part) != 0)
        return bad(f, "a response is too long");
    *used_out = part.n;
    f->literal_left -= part.n;
    f->line_from += part.n;
    if (f->literal_left == 0)
        f->state = IMAP_FRAME_STATE_LINE;
    return IMAP_FRAME_MORE;
}

static enum imap_frame_event feed_body(
    struct imap_frame *f, struct slice in, size_t *used_out, struct slice *data_out)
{
    if (f->literal_left == 0) {
        f->state = IMAP_FRAME_STATE_LINE;
        return IMAP_FRAME_BODY_END;
    }
    *data_out = slice_sub(in, 0, f->literal_left < in.n ? (size_t)f->literal_left : in.n);
    *used_out = data_out->n;
    f->literal_left -= data_out->n;
    return data_out->n > 0 ? IMAP_FRAME_BODY_DATA : IMAP_FRAME_MORE;
}

static enum imap_frame_event step(
    struct imap_frame *f, struct slice in, size_t *used_out, struct slice *data_out)
{
    switch (f->state) {
    case IMAP_FRAME_STATE_COMPLETE:
        imap_frame_reset(f);
        return in.n > 0 ? feed_line(f, in, used_out) : IMAP_FRAME_MORE;
    case IMAP_FRAME_STATE_LINE:
        return in.n > 0 ? feed_line(f, in, used_out) : IMAP_FRAME_MORE;
    case IMAP_FRAME_STATE_INLINE:
        return feed_inline(f, in, used_out);
    case IMAP_FRAME_STATE_BODY:
        return feed_body(f, in, used_out, data_out);
    case IMAP_FRAME_STATE_BROKEN:
        return IMAP_FRAME_BAD;
    }
    BUG("imap_frame state");
}

enum imap_frame_event imap_frame_feed(
    struct imap_frame *f, struct slice in, size_t *used_out, struct slice *data_out)
{
    *used_out = 0;
    for (;;) {
        enum imap_frame_state before = f->state;
        size_t used = 0;
        enum imap_frame_event e = step(f, slice_from(in, *used_out), &used, data_out);
        *used_out += used;
        /* An empty literal changes the state without using a byte. */
        if (e != IMAP_FRAME_MORE || (used == 0 && f->state == before))
            return e;
    }
}
