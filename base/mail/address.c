/* SPDX-License-Identifier: ISC */
/*
 * address: Mailbox, Local-part, Domain and address-literal of RFC 5321 4.1.2 with the UTF-8 of
 * RFC 6531 3.3, over a slice, without allocation.
 *
 *     Mailbox      = Local-part "@" ( Domain / address-literal )
 *     Local-part   = Dot-string / Quoted-string
 *     Quoted-string= DQUOTE *( qtextSMTP / quoted-pairSMTP ) DQUOTE
 *
 * What is accepted can be put on the wire between "<" and ">" as it is: no control byte, no
 * bracket outside of quotes, no second "@" outside of quotes.  Tolerated beyond the RFC: dots at
 * the ends of or doubled in the local part, "_" and hyphens anywhere in domains, and what paths may
 * have around the address; docs/VIOLATIONS.md says who writes such things.
 */
#include "base/mail/address.h"

static bool is_atext(unsigned char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) ||
           (c != 0 && memchr("!#$%&'*+-/=?^_`{|}~", c, 19) != NULL);
}

/* Length of the UTF-8 sequence at s.p[i], 0 when it is broken, overlong, a surrogate, a C1 control
 * or one of the two Unicode line separators. */
static size_t utf8_length(struct slice s, size_t i)
{
    unsigned char c = s.p[i];
    size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
    if (c < 0xc2 || c > 0xf4 || s.n - i < n)
        return 0;
    unsigned code = c & (0xffu >> (n + 1));
    for (size_t k = 1; k < n; k++) {
        if ((s.p[i + k] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (s.p[i + k] & 0x3fu);
    }
    static const unsigned least[] = {0, 0, 0xa0, 0x800, 0x10000};
    if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff) ||
        code == 0x2028 || code == 0x2029)
        return 0;
    return n;
}

/* Index behind the local part at the start of s, 0 when there is none. */
static size_t local_end(struct slice s, bool *is_quoted)
{
    size_t i = 0;
    *is_quoted = s.n > 0 && s.p[0] == '"';
    if (*is_quoted)
        i++;
    while (i < s.n) {
        unsigned char c = s.p[i];
        if (c >= 0x80) {
            size_t n = utf8_length(s, i);
            if (n == 0)
                return 0;
            i += n;
        } else if (!*is_quoted) {
            if (!is_atext(c) && c != '.')
                return i;
            i++;
        } else if (c == '"') {
            return i + 1;
        } else if (c == '\\') {
            if (s.n - i < 2 || !ascii_is_print(s.p[i + 1]))
                return 0;
            i += 2;
        } else {
            if (!ascii_is_print(c))
                return 0;
            i++;
        }
    }
    return *is_quoted ? 0 : i;
}

/* IPv4, IPv6 and tagged addresses need no more than this, while the grammar also allows what would
 * end, quote or route in the path that the literal stands in: "<", ">", a quote, "@", ",". */
static bool is_literal_byte(unsigned char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c == '.' || c == ':' || c == '-';
}

static bool is_literal_domain(struct slice d)
{
    if (d.n < 3 || d.p[0] != '[' || d.p[d.n - 1] != ']')
        return false;
    for (size_t i = 1; i + 1 < d.n; i++)
        if (!is_literal_byte(d.p[i]))
            return false;
    return true;
}

static bool is_domain(struct slice d)
{
    size_t label = 0;
    for (size_t i = 0; i < d.n;) {
        unsigned char c = d.p[i];
        size_t n = 1;
        bool is_last = i + 1 == d.n;
        if (c == '.') {
            if (label == 0 || is_last)
                return false;
        } else if (c >= 0x80) {
            n = utf8_length(d, i);
            if (n == 0)
                return false;
        } else if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '_' && c != '-') {
            return false;
        }
        label = c == '.' ? 0 : label + n;
        i += n;
    }
    return d.n > 0;
}

int address_parse(struct slice text, struct address *out)
{
    *out = (struct address){0};
    if (text.n == 0 || text.n > ADDRESS_MAX)
        return -1;
    size_t end = local_end(text, &out->is_quoted);
    if (end == 0 || end > ADDRESS_LOCAL_MAX)
        return -1;
    out->local = slice_sub(text, 0, end);
    if (end == text.n)
        return slice_eq_nocase(text, SLICE_LIT("postmaster")) ? 0 : -1;
    if (text.p[end] != '@')
        return -1;
    out->domain = slice_from(text, end + 1);
    if (out->domain.n == 0 || out->domain.n > ADDRESS_DOMAIN_MAX)
        return -1;
    out->is_literal = out->domain.p[0] == '[';
    return (out->is_literal ? is_literal_domain(out->domain) : is_domain(out->domain)) ? 0 : -1;
}

/* Length of what stands before the first `end` that is not quoted, s.n when there is none. */
static size_t length_before(struct slice s, unsigned char end)
{
    bool is_quoted = false;
    size_t i = 0;
    for (; i < s.n && (is_quoted || s.p[i] != end); i++) {
        if (s.p[i] == '"')
            is_quoted = !is_quoted;
        else if (s.p[i] == '\\')
            i++;
    }
    return i < s.n ? i : s.n;
}

/* Takes "@a,@b:" off the front (RFC 5321 4.1.2 A-d-l); -1 when it starts like one and is none. */
static int take_source_route(struct slice *path)
{
    struct slice route, host;
    if (path->n == 0 || path->p[0] != '@')
        return 0;
    size_t n = length_before(*path, ':');
    if (n == path->n)
        return -1;
    route = slice_sub(*path, 0, n);
    while (slice_split(&route, ',', &host))
        if (host.n < 2 || host.p[0] != '@' || !is_domain(slice_from(host, 1)))
            return -1;
    *path = slice_from(*path, n + 1);
    /* The bare forms have no route in front of them. */
    return length_before(*path, '@') < path->n ? 0 : -1;
}

/* What a local part says that is written by the older rules: words between dots, each quoted or
 * not (RFC 5322 4.4 obs-local-part), where a backslash quotes outside of quotes too (RFC
 * 821 4.1.2), and colons.  A comment may be part of a name, or hide an address, so it is no such
 * word.  Returns the index behind it, 0 when there is none. */
static size_t old_local(struct slice s, unsigned char *meaning, size_t *n_out)
{
    size_t i = 0, n = 0;
    bool is_word_start = true, is_quoted;
    while (i < s.n && s.p[i] != '@') {
        unsigned char c = s.p[i];
        if (c == '"') {
            size_t end = local_end(slice_from(s, i), &is_quoted);
            bool is_word = i + end == s.n || s.p[i + end] == '.' || s.p[i + end] == '@';
            if (end == 0 || !is_word_start || !is_word || i + end > ADDRESS_LOCAL_MAX)
                return 0;
            n += address_unquote(slice_sub(s, i, end), meaning + n);
            i += end;
            is_word_start = false;
            continue;
        }
        is_word_start = c == '.';
        if (c == '\\') {
            if (++i == s.n || !ascii_is_print(c = s.p[i]))
                return 0;
        } else if (!is_atext(c) && c != '.' && c != ':') {
            return 0;
        }
        if (++i > ADDRESS_LOCAL_MAX)
            return 0;
        meaning[n++] = c;
    }
    *n_out = n;
    return i;
}

/* The same address by the rules of today, in `plain`. */
static int rewrite(struct slice *path, unsigned char plain[ADDRESS_MAX])
{
    unsigned char meaning[ADDRESS_LOCAL_MAX];
    struct buf out;
    size_t n, end = old_local(*path, meaning, &n);
    int rc = -1;
    if (end == 0)
        return -1;
    buf_init(&out, ADDRESS_MAX);
    if (address_quote(slice_make(meaning, n), &out) == 0 &&
        buf_add(&out, slice_from(*path, end)) == 0) {
        memcpy(plain, buf_slice(&out).p, out.n);
        *path = slice_make(plain, out.n);
        rc = 0;
    }
    buf_fini(&out);
    return rc;
}

static enum address_path mailbox_kind(struct slice path, bool is_strict, struct address *out)
{
    bool is_quoted;
    if (address_parse(path, out) == 0)
        return out->domain.n == 0 ? ADDRESS_PATH_POSTMASTER : ADDRESS_PATH_MAILBOX;
    if (is_strict || path.n > ADDRESS_LOCAL_MAX || local_end(path, &is_quoted) != path.n)
        return ADDRESS_PATH_BAD;
    *out = (struct address){.local = path, .is_quoted = is_quoted};
    return ADDRESS_PATH_LOCAL;
}

/* The path without brackets. */
static enum address_path path_kind(struct slice path, bool is_strict, struct address *out,
    struct slice *mailbox_out, unsigned char plain[ADDRESS_MAX])
{
    enum address_path kind;
    if (!is_strict)
        path = slice_trim(path);
    if (path.n == 0)
        return ADDRESS_PATH_NULL;
    if (take_source_route(&path) != 0)
        return ADDRESS_PATH_BAD;
    if (!is_strict && path.n > 1 && path.p[path.n - 1] == '.' && length_before(path, '@') < path.n)
        path.n--;
    kind = mailbox_kind(path, is_strict, out);
    if (kind == ADDRESS_PATH_BAD && !is_strict && rewrite(&path, plain) == 0)
        kind = mailbox_kind(path, is_strict, out);
    *mailbox_out = path;
    return kind;
}

enum address_path address_path_parse(struct slice *in, bool is_strict, struct address *out,
    struct slice *mailbox_out, unsigned char plain[ADDRESS_MAX])
{
    enum address_path kind = ADDRESS_PATH_BAD;
    struct slice mailbox = SLICE_NONE;
    size_t n = 0;
    *out = (struct address){0};
    if (in->n > 0 && in->p[0] == '<') {
        n = length_before(*in, '>');
        if (n < in->n)
            kind = path_kind(slice_sub(*in, 1, n++ - 1), is_strict, out, &mailbox, plain);
    } else if (!is_strict) {
        size_t tab = length_before(*in, '\t');
        n = length_before(*in, ' ');
        n = tab < n ? tab : n;
        if (n > 0)
            kind = path_kind(slice_sub(*in, 0, n), is_strict, out, &mailbox, plain);
        /* "FROM: SIZE=1" has no address, only a parameter. */
        if (kind == ADDRESS_PATH_LOCAL && slice_find(mailbox, '=') >= 0)
            kind = ADDRESS_PATH_BAD;
    }
    if (kind == ADDRESS_PATH_BAD) {
        *out = (struct address){0};
        mailbox = SLICE_NONE;
    } else {
        *in = slice_from(*in, n);
    }
    *mailbox_out = mailbox;
    return kind;
}

size_t address_unquote(struct slice local, unsigned char *out)
{
    size_t n = 0;
    bool is_quoted = local.n >= 2 && local.p[0] == '"';
    size_t end = is_quoted ? local.n - 1 : local.n;
    for (size_t i = is_quoted ? 1 : 0; i < end; i++) {
        if (is_quoted && local.p[i] == '\\' && i + 1 < end)
            i++;
        out[n++] = local.p[i];
    }
    return n;
}

int address_quote(struct slice meaning, struct buf *out)
{
    size_t before = out->n;
    bool needs_quotes = meaning.n == 0;
    for (size_t i = 0; i < meaning.n; i++)
        needs_quotes |= !is_atext(meaning.p[i]) && meaning.p[i] != '.' && meaning.p[i] < 0x80;
    if (!needs_quotes)
        return buf_add(out, meaning);
    if (buf_add_byte(out, '"') != 0)
        goto full;
    for (size_t i = 0; i < meaning.n; i++) {
        unsigned char c = meaning.p[i];
        if ((c == '"' || c == '\\') && buf_add_byte(out, '\\') != 0)
            goto full;
        if (buf_add_byte(out, c) != 0)
            goto full;
    }
    if (buf_add_byte(out, '"') != 0)
        goto full;
    return 0;
full:
    buf_truncate(out, before);
    return -1;
}

bool address_is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] >= 0x80)
            return false;
    return true;
}
