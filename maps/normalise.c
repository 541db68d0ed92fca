/* SPDX-License-Identifier: ISC */
/*
 * normalise: from an address as people and servers write it to the key under which the map has it.
 *
 *     "Alice.B"@Example.ORG, alice.b@EXAMPLE.org  ->  alice.b@example.org
 *     @Exämple.org                                ->  @xn--exmple-cua.org
 *
 * UTF-8 in a local part stays byte for byte, because only the server of the mailbox knows what is
 * equal there (RFC 6530 10.1); ASCII letters are folded.  A key that went in comes out unchanged.
 */
#include "maps/route.h"

#include "base/mail/idn.h"
#include "base/mail/address.h"

static void fold(unsigned char *text, size_t n)
{
    for (size_t i = 0; i < n; i++)
        text[i] = ascii_lower(text[i]);
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
    size_t n = address_unquote(a.local, local);
    if (!d || d->fold_local_part || normalise_is_role(slice_make(local, n)))
        fold(local, n);
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

bool normalise_strip_detail(struct slice key, struct buf *key_out)
{
    struct slice local = normalise_local(key);
    if (local.n == key.n || local.n > ADDRESS_LOCAL_MAX)
        return false;
    unsigned char meaning[ADDRESS_LOCAL_MAX];
    struct slice text = slice_make(meaning, address_unquote(local, meaning));
    ptrdiff_t plus = slice_find(text, '+');
    if (plus <= 0)
        return false;
    text.n = (size_t)plus;
    if (normalise_is_role(text))
        fold(meaning, text.n);
    size_t before = key_out->n;
    if (address_quote(text, key_out) != 0 || buf_add(key_out, slice_from(key, local.n)) != 0) {
        buf_truncate(key_out, before);
        return false;
    }
    return true;
}
