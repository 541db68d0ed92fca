/* SPDX-License-Identifier: ISC */
/*
 * meaning: see meaning.h.  The domain of the resolved address decides whose the recipient is; the
 * client's spelling is read only where it means one address to every mail server.
 */
#include <string.h>
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/slice.h"
#include "base/mail/address.h"
#include "base/mail/idn.h"
#include "maps/delivery.h"
#include "maps/route.h"
#include "milter/meaning.h"

static struct slice without_dots(struct slice s)
{
    while (s.n > 0 && s.p[s.n - 1] == '.')
        s.n--;
    return s;
}

/* What stands between the brackets of an argument of RCPT, where it has any. */
static struct slice bare(struct slice said)
{
    struct slice s = slice_trim(said);

    if (s.n >= 2 && s.p[0] == '<' && s.p[s.n - 1] == '>')
        s = slice_trim(slice_sub(s, 1, s.n - 2));
    return s;
}

/* Behind the last "@" that is not quoted; n == 0: none. */
static struct slice domain_of(struct slice mailbox)
{
    bool is_quoted = false;
    size_t from = mailbox.n;

    for (size_t i = 0; i < mailbox.n; i++)
        if (mailbox.p[i] == '\\')
            i++;
        else if (mailbox.p[i] == '"')
            is_quoted = !is_quoted;
        else if (mailbox.p[i] == '@' && !is_quoted)
            from = i + 1;
    return slice_from(mailbox, from);
}

/* NULL: not a domain of ours. */
static const struct conf_domain *ours(const struct conf *conf, struct slice domain)
{
    char ascii[IDN_DOMAIN_MAX + 1];

    return idn_to_ascii(without_dots(domain), ascii) == 0 ? conf_domain(conf, slice_str(ascii))
                                                          : NULL;
}

/* The mailbox of a spelling that means one address to every mail server.  A source route is one:
 * RFC 5321 4.1.1.3 has it ignored. */
static bool plain_mailbox(struct slice said, struct slice *out)
{
    struct slice s = bare(said);
    struct address a;
    ptrdiff_t colon;

    if (s.n > 0 && s.p[0] == '@' && (colon = slice_find(s, ':')) > 0)
        s = slice_from(s, (size_t)colon + 1);
    s = without_dots(s);
    *out = s;
    return address_parse(s, &a) == 0 && a.domain.n > 0 && !delivery_is_foreign(a.local);
}

/* A user of the mail server's own: no domain, and nothing that could lead to one. */
static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (strchr("%!@\"\\()<>[]:;, \t", s.p[i]) != NULL)
            return false;
    return s.n > 0;
}

static bool has_upper(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ascii_lower(s.p[i]))
            return true;
    return false;
}

static bool differs_in_case_only(struct slice a, struct slice b)
{
    struct buf keys[2];
    bool is_same;

    buf_init(&keys[0], ROUTE_KEY_MAX);
    buf_init(&keys[1], ROUTE_KEY_MAX);
    is_same = normalise_key(NULL, a, &keys[0]) == 0 && normalise_key(NULL, b, &keys[1]) == 0 &&
              slice_eq(buf_slice(&keys[0]), buf_slice(&keys[1]));
    buf_fini(&keys[0]);
    buf_fini(&keys[1]);
    return is_same;
}

/*
 * The mail server resolved an address of ours.  Postfix tells it in lower case, although it
 * delivers it as it was written, so where letter case matters it is taken from a plain spelling;
 * from another one it cannot be.
 */
static enum meaning meaning_of_ours(
    const struct conf_domain *domain, const struct meaning_rcpt *rcpt, struct slice *out)
{
    struct slice resolved = without_dots(slice_trim(rcpt->resolved)), said;

    *out = resolved;
    if (plain_mailbox(rcpt->said, &said) && differs_in_case_only(said, resolved))
        *out = said;
    else if (!domain->fold_local_part && has_upper(rcpt->said) && !has_upper(resolved))
        return MEANING_UNKNOWN;
    return MEANING_MAILBOX;
}

enum meaning meaning_of(const struct conf *conf, const struct meaning_rcpt *rcpt, struct slice *out)
{
    struct slice resolved = slice_trim(rcpt->resolved), said;
    struct slice domain = domain_of(resolved);
    const struct conf_domain *our_domain = ours(conf, domain);

    if (our_domain != NULL)
        return meaning_of_ours(our_domain, rcpt, out);
    if (plain_mailbox(rcpt->said, &said)) {
        *out = said;
        return ours(conf, domain_of(said)) != NULL ? MEANING_MAILBOX : MEANING_NOT_OURS;
    }
    *out = bare(rcpt->said);
    if (domain.n > 0)
        return MEANING_NOT_OURS;
    if (resolved.n > 0 ? is_name(*out) : slice_eq_nocase(*out, SLICE_LIT("postmaster")))
        return MEANING_NOT_OURS;
    return MEANING_UNKNOWN;
}
