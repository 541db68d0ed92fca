/* SPDX-License-Identifier: ISC */
/*
 * frame: responses out of bytes, resumable at every byte.
 *
 * RFC 9051: response-data = "*" SP ... CRLF, literal = "{" number "}" CRLF *CHAR8.  Status lines
 * ("* OK text", tagged ones, "+ text") hold no literals, and their text may well end in "{5}".
 *
 * A line that ends in LF alone, or in CR CR LF, is taken for one (GNU imap4d); its end is made a
 * CRLF, so nobody behind has to know.  But not within a quoted string: what a server puts there is
 * what others have made up, such as a folder's name, and must not become a line of its own.  NUL
 * and a CR inside of a line are for the parser, which does not read such a line.
 *
 * Owns one buffer of at most IMAP_RESPONSE_MAX.
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
    f->in_quotes = f->is_escaped = false;
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
    struct imap_cur c = imap_cur_make(text);
    imap_cur_blanks(&c);
    if (!imap_cur_byte(&c, '*') || !imap_cur_blanks(&c))
        return false;
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (imap_cur_word(&c, statuses[i]))
            return false;
    }
    return true;
}

/* The item's whole name: XBODY[] is something else.  Some servers name the first octet, 0, or
 * answer by the older word. */
static bool is_fetch_body(struct slice before)
{
    static const char *const names[] = {"BODY[]", "BODY[]<0>", "RFC822"};
    struct imap_cur c = imap_cur_make(before);
    uint64_t seq;
    imap_cur_blanks(&c);
    if (!imap_cur_byte(&c, '*') || !imap_cur_blanks(&c) || !imap_cur_number(&c, UINT32_MAX, &seq) ||
        !imap_cur_blanks(&c) || !imap_cur_word(&c, "FETCH") || before.p[before.n - 1] != ' ')
        return false;
    while (before.n > 0 && before.p[before.n - 1] == ' ')
        before.n--;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t n = slice_str(names[i]).n;
        if (slice_ends_nocase(before, slice_str(names[i])) && before.n > n &&
            (before.p[before.n - n - 1] == ' ' || before.p[before.n - n - 1] == '('))
            return true;
    }
    return false;
}

/* "{n}" at the end of the line; false: none.  A number that nobody can count to is UINT64_MAX. */
static bool literal_header(struct slice line, size_t *at_out, uint64_t *size_out)
{
    ptrdiff_t brace = slice_rfind(line, '{');
    if (brace < 0 || line.p[line.n - 1] != '}')
        return false;
    struct slice digits = slice_sub(line, (size_t)brace + 1, line.n - (size_t)brace - 2);
    for (size_t i = 0; i < digits.n; i++) {
        if (!ascii_is_digit(digits.p[i]))
            return false;
    }
    *at_out = (size_t)brace;
    if (num_u64(digits, 0, IMAP_MESSAGE_SIZE_MAX, size_out) != 0)
        *size_out = UINT64_MAX;
    return digits.n > 0;
}

/* The line ended (its CRLF is the end of text).  A literal's header, or the response's end? */
static enum imap_frame_event end_of_line(struct imap_frame *f)
{
    struct slice text = buf_slice(&f->text);
    struct slice line = slice_sub(text, f->line_from, text.n - f->line_from - 2);
    uint64_t size = 0;
    size_t at = 0;
    if (!literal_header(line, &at, &size) || !may_hold_literal(text)) {
        buf_truncate(&f->text, text.n - 2);
        f->state = IMAP_FRAME_STATE_COMPLETE;
        return IMAP_FRAME_RESPONSE;
    }
    if (size == UINT64_MAX)
        return bad(f, "a literal is too long");
    at += f->line_from;
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

/* Whether the line's end so far is in a quoted string. */
static void look_at(struct imap_frame *f, struct slice part)
{
    for (size_t i = 0; i < part.n; i++) {
        unsigned char b = part.p[i];
        if (b == '"' && !f->is_escaped)
            f->in_quotes = !f->in_quotes;
        f->is_escaped = b == '\\' && f->in_quotes && !f->is_escaped;
    }
}

/* Its line break becomes a CRLF.  false: too long. */
static bool make_crlf(struct imap_frame *f)
{
    struct slice text = buf_slice(&f->text);
    size_t n = text.n - 1;
    while (n > f->line_from && text.p[n - 1] == '\r')
        n--;
    buf_truncate(&f->text, n);
    return buf_add(&f->text, SLICE_LIT("\r\n")) == 0;
}

static enum imap_frame_event feed_line(struct imap_frame *f, struct slice in, size_t *used_out)
{
    ptrdiff_t lf = slice_find(in, '\n');
    struct slice part = lf < 0 ? in : slice_sub(in, 0, (size_t)lf + 1);
    if (buf_add(&f->text, part) != 0)
        return bad(f, "a response is too long");
    *used_out = part.n;
    look_at(f, part);
    if (lf < 0)
        return IMAP_FRAME_MORE;
    struct slice text = buf_slice(&f->text);
    bool has_cr = text.n > f->line_from + 1 && text.p[text.n - 2] == '\r';
    if (!has_cr && f->in_quotes && may_hold_literal(text))
        return IMAP_FRAME_MORE;
    f->in_quotes = f->is_escaped = false;
    return make_crlf(f) ? end_of_line(f) : bad(f, "a response is too long");
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
