/* SPDX-License-Identifier: ISC */
/*
 * subjects_decode: encoded words of RFC 2047, "=?utf-8?Q?caf=C3=A9?=".  One that cannot be read, or
 * is in another character set, stays as it stands; between two that are read blanks mean nothing.
 */
#include "base/core/num.h"
#include "imapsync/copy/subjects.h"

#define SUBJECT_MAX 1000 /* octets of what is shown */

enum charset { CHARSET_UTF8, CHARSET_LATIN1, CHARSET_OTHER };

static enum charset charset_of(struct slice name)
{
    static const struct {
        const char *name;
        enum charset is;
    } rows[] = {{"utf-8", CHARSET_UTF8}, {"utf8", CHARSET_UTF8}, {"us-ascii", CHARSET_UTF8},
        {"iso-8859-1", CHARSET_LATIN1}, {"windows-1252", CHARSET_LATIN1}};
    ptrdiff_t language = slice_find(name, '*'); /* RFC 2231 */
    if (language > 0)
        name = slice_sub(name, 0, (size_t)language);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (slice_eq_nocase(name, slice_str(rows[i].name)))
            return rows[i].is;
    }
    return CHARSET_OTHER;
}

static int add_octet(struct buf *out, enum charset c, unsigned char b)
{
    if (c != CHARSET_LATIN1 || b < 0x80)
        return buf_add_byte(out, b);
    if (buf_add_byte(out, (unsigned char)(0xc0 | b >> 6)) != 0)
        return -1;
    return buf_add_byte(out, (unsigned char)(0x80 | (b & 0x3f)));
}

static bool add_q(struct slice s, enum charset c, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char b = s.p[i] == '_' ? ' ' : s.p[i];
        if (s.p[i] == '=') {
            if (num_hex(slice_sub(s, i + 1, 2), &b, 1) != 0)
                return false;
            i += 2;
        }
        if (add_octet(out, c, b) != 0)
            return false;
    }
    return true;
}

static int digit(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    return c >= '0' && c <= '9' ? c - '0' + 52 : c == '+' ? 62 : c == '/' ? 63 : -1;
}

static bool add_b(struct slice s, enum charset c, struct buf *out)
{
    uint32_t bits = 0;
    unsigned n = 0;
    while (s.n > 0 && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++) {
        int d = digit(s.p[i]);
        if (d < 0)
            return false;
        bits = bits << 6 | (uint32_t)d;
        n += 6;
        if (n < 8)
            continue;
        n -= 8;
        if (add_octet(out, c, (unsigned char)(bits >> n)) != 0)
            return false;
        bits &= (1u << n) - 1;
    }
    return true;
}

/* At the beginning of s: its length; 0: there is none, and out is as it was. */
static size_t add_word(struct slice s, struct buf *out)
{
    struct slice charset, kind, text, rest = slice_from(s, 2);
    const size_t before = out->n;
    if (!slice_starts(s, SLICE_LIT("=?")) || slice_find(rest, '?') < 0)
        return 0;
    slice_split(&rest, '?', &charset);
    if (slice_find(rest, '?') != 1)
        return 0;
    slice_split(&rest, '?', &kind);
    ptrdiff_t end = slice_search(rest, SLICE_LIT("?="));
    const enum charset c = charset_of(charset);
    if (end < 0 || c == CHARSET_OTHER)
        return 0;
    text = slice_sub(rest, 0, (size_t)end);
    bool is_good = slice_eq_nocase(kind, SLICE_LIT("Q"))   ? add_q(text, c, out)
                   : slice_eq_nocase(kind, SLICE_LIT("B")) ? add_b(text, c, out)
                                                           : false;
    if (!is_good) {
        buf_truncate(out, before);
        return 0;
    }
    return (size_t)(text.p - s.p) + text.n + 2;
}

static bool is_blank(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t blanks(struct slice s)
{
    size_t n = 0;
    while (n < s.n && is_blank(s.p[n]))
        n++;
    return n;
}

void subject_decode(struct slice value, struct buf *out)
{
    struct slice s = slice_from(value, blanks(value));
    while (s.n > 0 && is_blank(s.p[s.n - 1]))
        s.n--;
    bool is_behind_word = false, is_full = false;
    while (s.n > 0 && !is_full && out->n < SUBJECT_MAX) {
        const size_t n_blanks = blanks(s);
        struct slice rest = slice_from(s, n_blanks);
        const size_t before = out->n;
        if (n_blanks > 0)
            is_full = buf_add_byte(out, ' ') != 0;
        const size_t of_blank = out->n - before;
        size_t n = add_word(rest, out);
        if (n > 0 && is_behind_word && of_blank > 0) {
            /* The blank was put there before it was known that a word follows. */
            buf_truncate(out, before);
            n = add_word(rest, out);
        }
        is_behind_word = n > 0;
        if (n == 0) {
            while (n < rest.n && !is_blank(rest.p[n]) &&
                   !(n > 0 && slice_starts(slice_from(rest, n), SLICE_LIT("=?"))))
                n++;
            is_full = is_full || buf_add(out, slice_sub(rest, 0, n)) != 0;
        }
        s = slice_from(rest, n);
    }
}
