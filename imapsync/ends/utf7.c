/* SPDX-License-Identifier: ISC */
/*
 * utf7: RFC 3501 5.1.3.  Printable US-ASCII stands for itself but "&", which is "&-"; everything
 * else is UTF-16BE in base64 with "," for "/" and without padding, between "&" and "-".
 *
 * Strictness makes the mapping injective: two names that differ on the wire never decode to one.
 */
#include "imapsync/ends/utf7.h"

#include <stdint.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int digit_value(unsigned char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

static int add_utf8(struct buf *out, uint32_t c)
{
    if (c < 0x80)
        return buf_add_byte(out, (unsigned char)c);
    unsigned char b[4];
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        b[i] = (unsigned char)(0x80 | (c & 0x3f));
    b[0] = (unsigned char)((n == 2 ? 0xc0 : n == 3 ? 0xe0 : 0xf0) | c);
    return buf_add(out, slice_make(b, n));
}

/* One UTF-16 unit; *high keeps a first surrogate until its second comes. */
static int add_unit(struct buf *out, uint32_t unit, uint32_t *high)
{
    if (*high != 0) {
        if (unit < 0xdc00 || unit > 0xdfff)
            return -1;
        uint32_t c = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
        *high = 0;
        return add_utf8(out, c);
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        *high = unit;
        return 0;
    }
    if ((unit >= 0xdc00 && unit <= 0xdfff) || (unit >= 0x20 && unit <= 0x7e) || unit == 0)
        return -1;
    return add_utf8(out, unit);
}

/* in stands behind "&"; *used_out counts up to and with "-". */
static int decode_shifted(struct slice in, size_t *used_out, struct buf *out)
{
    uint32_t bits = 0, high = 0;
    unsigned n_bits = 0;
    size_t i = 0;
    for (; i < in.n && in.p[i] != '-'; i++) {
        int v = digit_value(in.p[i]);
        if (v < 0)
            return -1;
        bits = bits << 6 | (uint32_t)v;
        n_bits += 6;
        if (n_bits >= 16) {
            n_bits -= 16;
            if (add_unit(out, bits >> n_bits & 0xffff, &high) != 0)
                return -1;
            bits &= (1u << n_bits) - 1;
        }
    }
    if (i == in.n || i == 0 || high != 0 || n_bits >= 6 || bits != 0)
        return -1;
    *used_out = i + 1;
    return 0;
}

int imap_utf7_decode(struct slice in, struct buf *utf8_out)
{
    size_t start = utf8_out->n;
    bool was_shifted = false;
    for (size_t i = 0; i < in.n;) {
        unsigned char c = in.p[i];
        int failed;
        size_t used = 1;
        bool is_shifted = false;
        if (c == '&' && i + 1 < in.n && in.p[i + 1] == '-') {
            used = 2;
            failed = buf_add_byte(utf8_out, '&');
        } else if (c == '&') {
            is_shifted = true;
            failed = was_shifted ? -1 : decode_shifted(slice_from(in, i + 1), &used, utf8_out);
            used++;
        } else {
            failed = ascii_is_print(c) ? buf_add_byte(utf8_out, c) : -1;
        }
        if (failed) {
            buf_truncate(utf8_out, start);
            return -1;
        }
        was_shifted = is_shifted;
        i += used;
    }
    return 0;
}

int32_t imap_utf8_next(struct slice s, size_t *at)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char b = s.p[*at];
    size_t n = b < 0x80 ? 1 : b >> 5 == 6 ? 2 : b >> 4 == 14 ? 3 : b >> 3 == 30 ? 4 : 0;
    if (n == 0 || s.n - *at < n)
        return -1;
    uint32_t c = n == 1 ? b : b & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        unsigned char t = s.p[*at + i];
        if ((t & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (t & 0x3fu);
    }
    if (c < least[n] || c == 0 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return -1;
    *at += n;
    return (int32_t)c;
}

bool imap_utf8_valid(struct slice s)
{
    for (size_t at = 0; at < s.n;) {
        if (imap_utf8_next(s, &at) < 0)
            return false;
    }
    return true;
}

struct shift {
    uint32_t bits;
    unsigned n_bits;
    bool is_on;
};

static int put_unit(struct buf *out, struct shift *s, uint32_t unit)
{
    if (!s->is_on && buf_add_byte(out, '&') != 0)
        return -1;
    s->is_on = true;
    s->bits = s->bits << 16 | unit;
    s->n_bits += 16;
    while (s->n_bits >= 6) {
        s->n_bits -= 6;
        if (buf_add_byte(out, (unsigned char)alphabet[s->bits >> s->n_bits & 63]) != 0)
            return -1;
    }
    s->bits &= (1u << s->n_bits) - 1;
    return 0;
}

static int end_shift(struct buf *out, struct shift *s)
{
    if (!s->is_on)
        return 0;
    unsigned char last = (unsigned char)alphabet[s->bits << (6 - s->n_bits) & 63];
    if (s->n_bits > 0 && buf_add_byte(out, last) != 0)
        return -1;
    *s = (struct shift){0};
    return buf_add_byte(out, '-');
}

static int encode_one(struct buf *out, struct shift *s, uint32_t c)
{
    if (c >= 0x20 && c <= 0x7e) {
        if (end_shift(out, s) != 0)
            return -1;
        return c == '&' ? buf_add_str(out, "&-") : buf_add_byte(out, (unsigned char)c);
    }
    if (c < 0x10000)
        return put_unit(out, s, c);
    c -= 0x10000;
    if (put_unit(out, s, 0xd800 + (c >> 10)) != 0)
        return -1;
    return put_unit(out, s, 0xdc00 + (c & 0x3ff));
}

int imap_utf7_encode(struct slice utf8, struct buf *out)
{
    size_t start = out->n;
    struct shift s = {0};
    for (size_t at = 0; at < utf8.n;) {
        int32_t c = imap_utf8_next(utf8, &at);
        if (c < 0 || encode_one(out, &s, (uint32_t)c) != 0)
            goto bad;
    }
    if (end_shift(out, &s) == 0)
        return 0;
bad:
    buf_truncate(out, start);
    return -1;
}
