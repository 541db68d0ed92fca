/* SPDX-License-Identifier: ISC */
/*
 * token: a cursor over one response, with literals in place.
 *
 * Nothing recurses: nested lists are walked with a counter, so a million parentheses cost no stack.
 * Where real servers are sloppier than the RFC in a way that changes no meaning (8-bit bytes in
 * atoms, brackets in keywords, backslashes that are not doubled, blanks) the cursor is too; sizes
 * and structure are strict.
 */
#include "imapsync/imap/token.h"

#include "base/core/num.h"
#include "imapsync/imap/limits.h"

struct imap_cur imap_cur_make(struct slice in)
{
    return (struct imap_cur){.in = in};
}

bool imap_cur_at_end(const struct imap_cur *c)
{
    return c->at == c->in.n;
}

bool imap_cur_peek(const struct imap_cur *c, unsigned char b)
{
    return c->at < c->in.n && c->in.p[c->at] == b;
}

bool imap_cur_byte(struct imap_cur *c, unsigned char b)
{
    if (!imap_cur_peek(c, b))
        return false;
    c->at++;
    return true;
}

bool imap_cur_blanks(struct imap_cur *c)
{
    size_t before = c->at;
    while (imap_cur_byte(c, ' '))
        continue;
    return c->at > before;
}

bool imap_cur_is_over(struct imap_cur *c)
{
    imap_cur_blanks(c);
    return imap_cur_at_end(c);
}

static bool is_atom_byte(unsigned char b)
{
    if (b <= 0x20 || b == 0x7f)
        return false;
    return !memchr("(){%*\"\\]", b, 8);
}

static bool is_astring_byte(unsigned char b)
{
    return is_atom_byte(b) || b == ']';
}

/* Flags may start with a backslash, and some servers have keywords with brackets or a star. */
static bool is_word_byte(unsigned char b)
{
    return b > 0x20 && b != 0x7f && !memchr("(){\"", b, 4);
}

static struct slice span(const struct imap_cur *c, bool (*is)(unsigned char))
{
    size_t n = 0;
    while (c->at + n < c->in.n && is(c->in.p[c->at + n]))
        n++;
    return slice_make(c->in.p + c->at, n);
}

bool imap_cur_word(struct imap_cur *c, const char *word)
{
    struct slice want = slice_str(word);
    struct slice rest = slice_from(c->in, c->at);
    if (!slice_starts_nocase(rest, want))
        return false;
    if (rest.n > want.n && is_atom_byte(rest.p[want.n]))
        return false;
    c->at += want.n;
    return true;
}

bool imap_cur_number(struct imap_cur *c, uint64_t max, uint64_t *out)
{
    size_t n = 0;
    while (c->at + n < c->in.n && ascii_is_digit(c->in.p[c->at + n]))
        n++;
    if (n == 0 || num_u64(slice_sub(c->in, c->at, n), 0, max, out) != 0)
        return false;
    c->at += n;
    return true;
}

bool imap_cur_atom(struct imap_cur *c, struct slice *out)
{
    struct slice s = span(c, is_atom_byte);
    if (s.n == 0)
        return false;
    c->at += s.n;
    *out = s;
    return true;
}

static bool is_escape(struct slice s, size_t at)
{
    return s.p[at] == '\\' && at + 1 < s.n && (s.p[at + 1] == '"' || s.p[at + 1] == '\\');
}

static bool quoted(struct imap_cur *c, struct imap_str *out)
{
    size_t at = c->at + 1;
    bool is_escaped = false;
    for (; at < c->in.n; at++) {
        unsigned char b = c->in.p[at];
        if (b == '"')
            break;
        if (b == '\r' || b == '\n' || b == 0)
            return false;
        if (!is_escape(c->in, at))
            continue;
        is_escaped = true;
        at++;
    }
    if (at >= c->in.n)
        return false;
    *out = (struct imap_str){
        .raw = slice_sub(c->in, c->at + 1, at - c->at - 1), .is_escaped = is_escaped};
    c->at = at + 1;
    return true;
}

static bool literal(struct imap_cur *c, struct imap_str *out)
{
    struct imap_cur t = *c;
    uint64_t size;
    imap_cur_byte(&t, '~');
    size_t brace = t.at;
    if (!imap_cur_byte(&t, '{') || !imap_cur_number(&t, IMAP_MESSAGE_SIZE_MAX, &size) ||
        !imap_cur_byte(&t, '}') || !imap_cur_byte(&t, '\r') || !imap_cur_byte(&t, '\n'))
        return false;
    if (c->streamed.is_set && c->streamed.at == brace) {
        *out = (struct imap_str){.is_streamed = true};
    } else {
        if (size > t.in.n - t.at)
            return false;
        *out = (struct imap_str){.raw = slice_sub(t.in, t.at, (size_t)size)};
        t.at += (size_t)size;
    }
    c->at = t.at;
    return true;
}

bool imap_cur_string(struct imap_cur *c, struct imap_str *out)
{
    return imap_cur_peek(c, '"') ? quoted(c, out) : literal(c, out);
}

bool imap_cur_nstring(struct imap_cur *c, struct imap_str *out)
{
    if (imap_cur_word(c, "NIL")) {
        *out = (struct imap_str){.is_nil = true};
        return true;
    }
    return imap_cur_string(c, out);
}

bool imap_cur_astring(struct imap_cur *c, struct imap_str *out)
{
    if (imap_cur_string(c, out))
        return true;
    struct slice s = span(c, is_astring_byte);
    if (s.n == 0)
        return false;
    c->at += s.n;
    *out = (struct imap_str){.raw = s};
    return true;
}

/* Consumes one byte of structure or one string or run of other bytes inside a list. */
static bool list_step(struct imap_cur *c, unsigned *depth)
{
    struct imap_str ignored;
    if (c->at >= c->in.n)
        return false;
    switch (c->in.p[c->at]) {
    case '(':
        if (++*depth > IMAP_NEST_MAX)
            return false;
        c->at++;
        return true;
    case ')':
        --*depth;
        c->at++;
        return true;
    case '"':
    case '{':
        return imap_cur_string(c, &ignored);
    case '\r':
    case '\n':
        return false;
    default:
        c->at++;
        return true;
    }
}

bool imap_cur_list(struct imap_cur *c, struct slice *inside_out)
{
    struct imap_cur t = *c;
    unsigned depth = 0;
    if (!imap_cur_peek(&t, '('))
        return false;
    do {
        if (!list_step(&t, &depth))
            return false;
    } while (depth > 0);
    *inside_out = slice_sub(t.in, c->at + 1, t.at - c->at - 2);
    c->at = t.at;
    return true;
}

bool imap_cur_skip(struct imap_cur *c)
{
    struct slice ignored;
    struct imap_str s;
    if (imap_cur_peek(c, '('))
        return imap_cur_list(c, &ignored);
    if (imap_cur_string(c, &s))
        return true;
    ignored = span(c, is_word_byte);
    /* A closing parenthesis belongs to the list around this value; is_word_byte excludes it. */
    c->at += ignored.n;
    return ignored.n > 0;
}

/* Of a word in quotes what is in them, without the backslash that doubles another one. */
static struct slice unquote(struct slice s)
{
    s = slice_sub(s, 1, s.n - 2);
    return s.n > 1 && is_escape(s, 0) ? slice_from(s, 1) : s;
}

/* Up to a blank, or a string in quotes.  is_word_out: it is a flag or a keyword. */
static bool next_piece(struct slice *list, struct slice *piece_out, bool *is_word_out)
{
    while (list->n > 0 && list->p[0] == ' ')
        *list = slice_from(*list, 1);
    if (list->n == 0)
        return false;
    struct imap_cur c = imap_cur_make(*list);
    struct imap_str ignored;
    struct slice piece;
    if (imap_cur_peek(&c, '"') && quoted(&c, &ignored) &&
        (imap_cur_at_end(&c) || imap_cur_peek(&c, ' '))) {
        piece = unquote(slice_sub(*list, 0, c.at));
    } else {
        ptrdiff_t blank = slice_find(*list, ' ');
        c.at = blank < 0 ? list->n : (size_t)blank;
        piece = slice_sub(*list, 0, c.at);
    }
    *list = slice_from(*list, c.at);
    *piece_out = piece;
    *is_word_out = piece.n > 0;
    for (size_t i = 0; i < piece.n; i++)
        *is_word_out = *is_word_out && is_word_byte(piece.p[i]);
    return true;
}

bool imap_word_next(struct slice *list, struct slice *word_out)
{
    bool is_word = false;
    while (!is_word && next_piece(list, word_out, &is_word))
        continue;
    return is_word;
}

bool imap_words_valid(struct slice list)
{
    struct slice piece;
    bool is_word = true;
    while (is_word && next_piece(&list, &piece, &is_word))
        continue;
    return is_word;
}

bool imap_words_have(struct slice list, const char *word)
{
    struct slice w;
    while (imap_word_next(&list, &w)) {
        if (slice_eq_nocase(w, slice_str(word)))
            return true;
    }
    return false;
}

int imap_str_add(struct imap_str s, struct buf *out)
{
    if (!s.is_escaped)
        return buf_add(out, s.raw);
    for (size_t i = 0; i < s.raw.n; i++) {
        if (is_escape(s.raw, i))
            i++;
        if (buf_add_byte(out, s.raw.p[i]) != 0)
            return -1;
    }
    return 0;
}

bool imap_cur_set(struct imap_cur *c, struct slice *out)
{
    size_t n = 0;
    while (c->at + n < c->in.n && (ascii_is_digit(c->in.p[c->at + n]) ||
                                      c->in.p[c->at + n] == ',' || c->in.p[c->at + n] == ':'))
        n++;
    *out = slice_sub(c->in, c->at, n);
    c->at += n;
    return n > 0;
}
