/* SPDX-License-Identifier: ISC */
/*
 * smtp_reply: the reply parser, one byte after the other (RFC 5321 4.2, RFC 3463).
 *
 * It keeps no pointer into its input, so a reply may arrive in any pieces.  Everything is bounded:
 * the length of a line, the number of lines, the text.  A server that goes over a bound is broken
 * or hostile, and the connection is of no use any more.
 */
#include "base/mail/smtp_reply.h"

#include <stdbool.h>

enum reply_state {
    REPLY_CODE, /* the three digits */
    REPLY_SEP,  /* the byte behind them */
    REPLY_TEXT,
    REPLY_LF,
};

void smtp_reply_init(struct smtp_reply_parser *p)
{
    p->state = REPLY_CODE;
    p->code = 0;
    p->code_line = 0;
    p->is_last = false;
    p->n_line = 0;
    p->n_lines = 0;
    p->n_text = 0;
}

/* The length of a status code of this class at the start of text, with the blank behind it; 0 when
 * there is none. */
static size_t enhanced_length(struct slice text, int class, size_t *code_len)
{
    size_t i = 0, part;

    for (part = 0; part < 3; part++) {
        size_t digits = 0;
        while (i < text.n && ascii_is_digit(text.p[i]) && digits < 4) {
            i++;
            digits++;
        }
        if (digits == 0 || digits > (part == 0 ? 1 : 3))
            return 0;
        if (part < 2 && (i >= text.n || text.p[i++] != '.'))
            return 0;
    }
    if (text.p[0] - '0' != class || (i < text.n && text.p[i] != ' '))
        return 0;
    *code_len = i;
    return i < text.n ? i + 1 : i;
}

/* Takes the status code off the front of every line; the first line's one is the reply's. */
static void take_enhanced(struct smtp_reply_parser *p, struct smtp_reply *out)
{
    size_t from = 0, to = 0;
    bool is_first = true;

    while (from <= p->n_text) {
        struct slice rest = slice_make(p->text + from, p->n_text - from);
        ptrdiff_t lf = slice_find(rest, '\n');
        size_t n = lf < 0 ? rest.n : (size_t)lf;
        size_t code_len = 0;
        size_t skip = enhanced_length(slice_sub(rest, 0, n), out->code / 100, &code_len);

        if (is_first && skip > 0) {
            memcpy(out->enhanced, p->text, code_len);
            out->enhanced[code_len] = '\0';
        }
        if (!is_first)
            p->text[to++] = '\n';
        is_first = false;
        memmove(p->text + to, p->text + from + skip, n - skip);
        to += n - skip;
        from += n + 1;
    }
    p->n_text = to;
}

/* A whole line is there.  */
static enum parse end_line(struct smtp_reply_parser *p, struct smtp_reply *out)
{
    p->n_lines++;
    p->n_line = 0;
    p->state = REPLY_CODE;
    if (p->n_lines == 1)
        p->code = p->code_line;
    else if (p->code != p->code_line)
        return PARSE_BAD;
    p->code_line = 0;
    if (!p->is_last) {
        if (p->n_lines == SMTP_REPLY_LINES_MAX || p->n_text == SMTP_REPLY_TEXT_MAX)
            return PARSE_BAD;
        p->text[p->n_text++] = '\n';
        return PARSE_MORE;
    }
    out->code = p->code;
    out->n_lines = p->n_lines;
    out->enhanced[0] = '\0';
    take_enhanced(p, out);
    out->text = slice_make(p->text, p->n_text);
    smtp_reply_init(p);
    return PARSE_DONE;
}

static bool code_byte(struct smtp_reply_parser *p, unsigned char c)
{
    if (!ascii_is_digit(c) || (p->n_line == 1 && (c < '2' || c > '5')))
        return false;
    p->code_line = p->code_line * 10 + (c - '0');
    if (p->n_line == 3)
        p->state = REPLY_SEP;
    return true;
}

static bool text_byte(struct smtp_reply_parser *p, unsigned char c)
{
    if (c == '\r') {
        p->state = REPLY_LF;
        return true;
    }
    if (c == '\0' || c == '\n' || p->n_text == SMTP_REPLY_TEXT_MAX)
        return false;
    p->text[p->n_text++] = (char)c;
    return true;
}

enum parse smtp_reply_feed(
    struct smtp_reply_parser *p, struct slice in, size_t *used_out, struct smtp_reply *out)
{
    size_t i;

    for (i = 0; i < in.n; i++) {
        unsigned char c = in.p[i];
        bool is_good = true;
        enum parse done;

        if (++p->n_line > SMTP_REPLY_LINE_MAX)
            break;
        switch ((enum reply_state)p->state) {
        case REPLY_CODE:
            is_good = code_byte(p, c);
            break;
        case REPLY_SEP:
            p->is_last = c != '-';
            p->state = c == '\r' ? REPLY_LF : REPLY_TEXT;
            is_good = c == ' ' || c == '-' || c == '\r';
            break;
        case REPLY_TEXT:
            is_good = text_byte(p, c);
            break;
        case REPLY_LF:
            if (c != '\n') {
                is_good = false;
                break;
            }
            done = end_line(p, out);
            if (done != PARSE_MORE) {
                *used_out = i + 1;
                return done;
            }
            break;
        }
        if (!is_good)
            break;
    }
    *used_out = i;
    return i < in.n ? PARSE_BAD : PARSE_MORE;
}

void smtp_reply_clean(struct slice text, char out[SMTP_REPLY_CLEAN_MAX])
{
    size_t i, n = 0;

    for (i = 0; i < text.n && n < SMTP_REPLY_CLEAN_MAX - 1; i++) {
        unsigned char c = text.p[i];
        if (c == '\n' || c == '\t')
            c = ' ';
        out[n++] = (char)(ascii_is_print(c) ? c : '?');
    }
    out[n] = '\0';
}
