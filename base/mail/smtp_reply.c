/* SPDX-License-Identifier: ISC */
/*
 * smtp_reply: the reply parser, one byte after the other (RFC 5321 4.2, RFC 3463).
 *
 * It keeps no pointer into its input, so a reply may arrive in any pieces.  Everything is bounded:
 * the length of a line, the number of lines, what is kept of the text.  A server that goes over a
 * bound is broken or hostile, and the connection is of no use any more; what it said so far is
 * known all the same.
 */
#include "base/mail/smtp_reply.h"

#include <stdbool.h>

enum reply_state {
    REPLY_CODE, /* the three digits */
    REPLY_SEP,  /* the byte behind them */
    REPLY_TEXT,
    REPLY_JUNK, /* a line without a code */
};

void smtp_reply_init(struct smtp_reply_parser *p)
{
    p->state = REPLY_CODE;
    p->code = 0;
    p->code_line = 0;
    p->is_last = false;
    p->n_line = 0;
    p->n_lines = 0;
    p->n_head = 0;
    p->n_text = 0;
}

bool smtp_reply_is_between(const struct smtp_reply_parser *p)
{
    return p->n_line == 0 && p->n_lines == 0;
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

    out->enhanced[0] = '\0';
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

static void keep(struct smtp_reply_parser *p, unsigned char c)
{
    if (p->n_head < SMTP_REPLY_HEAD_MAX)
        p->head[p->n_head++] = (char)c;
    if (p->n_text < SMTP_REPLY_TEXT_MAX)
        p->text[p->n_text++] = (char)c;
}

/* The CR of a CRLF, or several, is no text. */
static size_t without_cr(const char *text, size_t n)
{
    while (n > 0 && text[n - 1] == '\r')
        n--;
    return n;
}

/* What the server said, whole or not; the parser starts anew. */
static void take(struct smtp_reply_parser *p, struct smtp_reply *out)
{
    out->code = p->code;
    out->n_lines = p->n_lines;
    take_enhanced(p, out);
    out->text = slice_make(p->text, p->n_text);
    smtp_reply_init(p);
}

static enum parse end_line(struct smtp_reply_parser *p, struct smtp_reply *out)
{
    p->n_lines++;
    p->n_head = without_cr(p->head, p->n_head);
    p->n_text = without_cr(p->text, p->n_text);
    out->line = slice_make(p->head, p->n_head);
    out->n_lines = p->n_lines;
    if (p->is_last) {
        take(p, out);
        return PARSE_DONE;
    }
    if (p->state != REPLY_JUNK && p->n_text < SMTP_REPLY_TEXT_MAX)
        p->text[p->n_text++] = '\n';
    p->n_line = p->n_head = 0;
    p->code_line = 0;
    p->state = REPLY_CODE;
    return p->n_lines < SMTP_REPLY_LINES_MAX ? PARSE_MORE : PARSE_BAD;
}

static enum reply_state code_byte(struct smtp_reply_parser *p, unsigned char c)
{
    p->is_last = false;
    if (!ascii_is_digit(c) || (p->n_line == 1 && (c < '2' || c > '5')))
        return REPLY_JUNK;
    p->code_line = p->code_line * 10 + (c - '0');
    return p->n_line == 3 ? REPLY_SEP : REPLY_CODE;
}

static enum reply_state separator_byte(struct smtp_reply_parser *p, unsigned char c)
{
    if (ascii_is_digit(c))
        return REPLY_JUNK;
    p->code = p->code_line;
    p->is_last = c != '-';
    if (c != ' ' && c != '-')
        keep(p, c);
    return REPLY_TEXT;
}

/* False when this is no reply. */
static bool take_byte(struct smtp_reply_parser *p, unsigned char c)
{
    switch ((enum reply_state)p->state) {
    case REPLY_CODE:
        p->state = (int)code_byte(p, c);
        break;
    case REPLY_SEP:
        p->state = (int)separator_byte(p, c);
        break;
    case REPLY_TEXT:
        keep(p, c);
        break;
    case REPLY_JUNK:
        break;
    }
    return p->state != REPLY_JUNK || p->n_lines > 0;
}

/* The line ends; one that ends behind its three digits is whole. */
static bool take_end(struct smtp_reply_parser *p)
{
    if (p->state == REPLY_SEP) {
        p->code = p->code_line;
        p->is_last = true;
    } else if (p->state == REPLY_CODE) {
        p->state = REPLY_JUNK;
        p->is_last = false;
    }
    return p->state != REPLY_JUNK || p->n_lines > 0;
}

enum parse smtp_reply_feed(
    struct smtp_reply_parser *p, struct slice in, size_t *used_out, struct smtp_reply *out)
{
    enum parse result = PARSE_MORE;
    size_t i;

    out->line = SLICE_NONE;
    for (i = 0; i < in.n && result == PARSE_MORE && out->line.p == NULL; i++) {
        bool is_end = in.p[i] == '\n';

        if (++p->n_line > SMTP_REPLY_LINE_MAX || !(is_end ? take_end(p) : take_byte(p, in.p[i])))
            result = PARSE_BAD;
        else if (is_end)
            result = end_line(p, out);
    }
    *used_out = i;
    if (result == PARSE_BAD)
        take(p, out);
    return result;
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
