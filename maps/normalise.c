/* SPDX-License-Identifier: ISC */
/*
 * normalise: from an address as people and servers write it to the key under which the map has it.
 *
 *     "Alice.B"@Example.ORG, alice.b@EXAMPLE.org  ->  alice.b@example.org
 *     @Exämple.org                                ->  @xn--exmple-cua.org
 *
 * UTF-8 in a local part stays byte for byte, because only the server of the mailbox knows what is
 * equal there (RFC 6530 10.1); ASCII letters are folded.  A key that went in comes out unchanged.
 *
 * An encapsulated address is the name that somebody has in another system, as Exchange writes it
 * where a mail address is wanted.  "IMCEAEX-" and an X.500 name is what replies go to of mail from
 * when the user was on Exchange:
 *
 *     /o=Example/cn=Ann B   ->  IMCEAEX-_o=Example_cn=Ann+20B
 *
 * "/" is "_", letters, digits, "-" and "=" are themselves, all others "+" and two hexadecimal
 * digits.  X.500 names are equal whatever their case, so they are folded in every domain.
 */
#include "maps/route.h"

#include "base/mail/idn.h"
#include "base/mail/address.h"

#define ENCAPSULATED "IMCEA"

static void fold(unsigned char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        text[i] = ascii_lower(text[i]);
}

/* --- Encapsulated addresses ---------------------------------------------------------------- */

static bool is_plain(unsigned char c)
{
    return ascii_is_alpha(c) || ascii_is_digit(c) || c == '-' || c == '=';
}

static int hex_digit(unsigned char c)
{
    c = ascii_lower(c);
    return ascii_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "IMCEA", the kind of system, "-". */
static bool is_encapsulated(struct slice local)
{
    size_t n = sizeof ENCAPSULATED - 1;
    /* Nearly all names are done with after one byte. */
    if (local.n <= n || ascii_lower(local.p[0]) != 'i' ||
        !slice_starts_nocase(local, SLICE_LIT(ENCAPSULATED)))
        return false;
    while (n < local.n && (ascii_is_alpha(local.p[n]) || ascii_is_digit(local.p[n])))
        n++;
    return n < local.n && local.p[n] == '-' && n > sizeof ENCAPSULATED - 1;
}

/* One way of writing for each meaning, never longer. Returns the length; what breaks the rules of
 * the encoding stays as it is. */
static size_t recode(unsigned char *text, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n; i++)
        if (text[i] == '+' &&
            (n - i < 3 || hex_digit(text[i + 1]) < 0 || hex_digit(text[i + 2]) < 0))
            return n;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = text[i];
        if (c != '+') {
            text[to++] = c;
            continue;
        }
        unsigned char digits[2] = {text[i + 1], text[i + 2]};
        c = (unsigned char)(hex_digit(digits[0]) * 16 + hex_digit(digits[1]));
        i += 2;
        if (is_plain(c) || c == '/') {
            text[to++] = c == '/' ? '_' : ascii_lower(c);
        } else {
            text[to++] = '+';
            text[to++] = digits[0];
            text[to++] = digits[1];
        }
    }
    return to;
}

int normalise_encapsulate(struct slice x500, struct buf *local_out)
{
    size_t before = local_out->n;
    int rc = buf_add_str(local_out, ENCAPSULATED "EX-");
    for (size_t i = 0; rc == 0 && i < x500.n; i++) {
        unsigned char c = x500.p[i];
        rc = c == '/'      ? buf_add_byte(local_out, '_')
             : is_plain(c) ? buf_add_byte(local_out, c)
                           : buf_addf(local_out, "+%02X", c);
    }
    if (rc == 0 && local_out->n - before <= ADDRESS_LOCAL_MAX)
        return 0;
    buf_truncate(local_out, before);
    return -1;
}

/* --- Keys --------------------------------------------------------------------------------------
 */

/* The meaning of a local part as keys have it. Returns the length. */
static size_t settle(const struct conf_domain *d, unsigned char *local, size_t n)
{
    bool is_name = is_encapsulated(slice_make(local, n));
    if (is_name || !d || d->fold_local_part || normalise_is_role(slice_make(local, n)))
        fold(local, n);
    return is_name ? recode(local, n) : n;
}

static int add_key(struct slice local, bool is_domain_key, const char *domain, struct buf *key_out)
{
    size_t before = key_out->n;
    if ((!is_domain_key && address_quote(local, key_out) != 0) || buf_add_byte(key_out, '@') != 0 ||
        buf_add_str(key_out, domain) != 0 || key_out->n - before > ROUTE_KEY_MAX) {
        buf_truncate(key_out, before);
        return -1;
    }
    return 0;
}

int normalise_key(const struct conf *conf, struct slice address, struct buf *key_out)
{
    char domain[IDN_DOMAIN_MAX + 1];
    if (address.n > 0 && address.p[0] == '@') {
        if (idn_to_ascii(slice_from(address, 1), domain) != 0)
            return -1;
        return add_key(SLICE_NONE, true, domain, key_out);
    }

    struct address a;
    if (address_parse(address, &a) != 0 || a.is_literal)
        return -1;
    const struct conf_domain *d = NULL;
    if (a.domain.n == 0) {
        if (!conf || conf->n_domains == 0)
            return -1;
        d = &conf->domains[0];
    } else {
        if (idn_to_ascii(a.domain, domain) != 0)
            return -1;
        if (conf)
            d = conf_domain(conf, slice_str(domain));
    }

    unsigned char local[ADDRESS_LOCAL_MAX];
    size_t n = settle(d, local, address_unquote(a.local, local));
    return add_key(slice_make(local, n), false, a.domain.n == 0 ? d->name : domain, key_out);
}

struct slice normalise_local(struct slice key)
{
    ptrdiff_t at = slice_rfind(key, '@');
    return at < 0 ? key : slice_sub(key, 0, (size_t)at);
}

struct slice normalise_domain(struct slice key)
{
    ptrdiff_t at = slice_rfind(key, '@');
    return at < 0 ? SLICE_NONE : slice_from(key, (size_t)at + 1);
}

bool normalise_is_role(struct slice key)
{
    struct slice local = normalise_local(key);
    return slice_eq_nocase(local, SLICE_LIT("postmaster")) ||
           slice_eq_nocase(local, SLICE_LIT("abuse"));
}

/* --- Details -----------------------------------------------------------------------------------
 */

size_t normalise_detail(const struct conf_domain *d, struct slice local)
{
    const char *delimiters = d && d->delimiter ? d->delimiter : "+";
    if (is_encapsulated(local) || strcmp(delimiters, CONF_DELIMITER_NONE) == 0)
        return local.n;
    for (size_t i = 0; i < local.n; i++)
        if (local.p[i] != 0 && strchr(delimiters, local.p[i]) != NULL)
            return i > 0 ? i : local.n;
    return local.n;
}

/* The key with another local part, whose meaning is given. */
static bool add_other(const struct conf_domain *d, struct slice key, unsigned char *meaning,
    size_t n, struct buf *key_out)
{
    struct slice text = slice_make(meaning, settle(d, meaning, n));
    size_t before = key_out->n;
    if (address_quote(text, key_out) != 0 ||
        buf_add(key_out, slice_from(key, normalise_local(key).n)) != 0) {
        buf_truncate(key_out, before);
        return false;
    }
    return true;
}

bool normalise_strip_detail(const struct conf_domain *d, struct slice key, struct buf *key_out)
{
    struct slice local = normalise_local(key);
    if (local.n == key.n || local.n > ADDRESS_LOCAL_MAX)
        return false;
    unsigned char meaning[ADDRESS_LOCAL_MAX];
    struct slice text = slice_make(meaning, address_unquote(local, meaning));
    size_t n = normalise_detail(d, text);
    return n < text.n && add_other(d, key, meaning, n, key_out);
}

/* --- Lists -------------------------------------------------------------------------------------
 */

/* What stands for "*"; n == 0: the pattern is another one. */
static struct slice match_pattern(struct slice local, const char *pattern)
{
    struct slice all = slice_str(pattern);
    ptrdiff_t star = slice_find(all, '*');
    BUG_ON(star < 0);
    struct slice before = slice_sub(all, 0, (size_t)star);
    struct slice after = slice_from(all, (size_t)star + 1);
    if (local.n <= before.n + after.n || !slice_starts_nocase(local, before) ||
        !slice_eq_nocase(slice_from(local, local.n - after.n), after))
        return SLICE_NONE;
    return slice_sub(local, before.n, local.n - before.n - after.n);
}

static struct slice find_list(const struct conf_domain *d, struct slice local)
{
    if (!d || is_encapsulated(local))
        return SLICE_NONE;
    for (size_t i = 0; i < d->list_addresses.n; i++) {
        struct slice name = match_pattern(local, d->list_addresses.v[i]);
        if (name.n > 0 && !normalise_is_role(name))
            return name;
    }
    return SLICE_NONE;
}

bool normalise_list(const struct conf_domain *d, struct slice key, struct buf *key_out)
{
    struct slice local = normalise_local(key);
    if (!d || d->list_addresses.n == 0 || local.n == key.n || local.n > ADDRESS_LOCAL_MAX)
        return false;
    unsigned char meaning[ADDRESS_LOCAL_MAX], name[ADDRESS_LOCAL_MAX];
    struct slice list = find_list(d, slice_make(meaning, address_unquote(local, meaning)));
    if (list.n == 0)
        return false;
    memcpy(name, list.p, list.n);
    return add_other(d, key, name, list.n, key_out);
}

size_t normalise_rename(const struct conf_domain *d, enum decide_by by, struct slice local,
    struct slice name, unsigned char *out)
{
    size_t detail = normalise_detail(d, local), n = 0;
    struct slice before = SLICE_NONE, after = SLICE_NONE;
    if (by == DECIDE_BY_BARE_KEY)
        after = slice_from(local, detail);
    if (by == DECIDE_BY_LIST) {
        struct slice list = find_list(d, local);
        if (list.n == 0)
            list = find_list(d, slice_sub(local, 0, detail));
        if (list.n > 0) {
            before = slice_sub(local, 0, (size_t)(list.p - local.p));
            after = slice_from(local, before.n + list.n);
        }
    }
    const struct slice parts[] = {before, name, after};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].n > 0)
            memcpy(out + n, parts[i].p, parts[i].n);
        n += parts[i].n;
    }
    return n;
}
