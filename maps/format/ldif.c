/* SPDX-License-Identifier: ISC */
/*
 * ldif: see ldif.h.
 *
 *     attribute         what it is to the map                                schema
 *     mail              the address; another one is an alias of the first    inetOrgPerson
 *     proxyAddresses    SMTP:address (the address), smtp:address (an alias)  Active Directory
 *                       X500:/o=... (an alias, by the address that
 *                       replies to the user's old mail go to)
 *     legacyExchangeDN  the same                                             Active Directory
 *     mailAlternateAddress mailLocalAddress mailEquivalentAddress alias      qmail, inetLocalMail-
 *                       gosaMailAlternateAddress                             Recipient, others
 *     mailRoutingAddress  what its server knows the user by (deliver_as)     inetLocalMailRecipient
 *     mailHost          its server                                           inetLocalMailRecipient
 *     rfc822MailMember  with cn: an alias                                    nisMailAlias
 *     objectClass       group and the like: a group, which its server expands
 *
 * An entry without an address (a folder, a printer) is counted.  A file of changes (changetype:
 * modify, delete, modrdn) is no list of who there is, and is refused.
 */
#include "maps/format/ldif.h"

#include <string.h>
#include "maps/route.h"

enum attribute {
    ATTRIBUTE_OTHER,
    ATTRIBUTE_DN,
    ATTRIBUTE_CHANGE,
    ATTRIBUTE_CLASS,
    ATTRIBUTE_MAIL,
    ATTRIBUTE_PROXY,
    ATTRIBUTE_X500,
    ATTRIBUTE_ALIAS,
    ATTRIBUTE_ROUTING,
    ATTRIBUTE_HOST,
    ATTRIBUTE_CN,
    ATTRIBUTE_MEMBER,
};

static const struct {
    const char *name;
    enum attribute attribute;
} ATTRIBUTES[] = {
    {"dn", ATTRIBUTE_DN},
    {"changetype", ATTRIBUTE_CHANGE},
    {"objectClass", ATTRIBUTE_CLASS},
    {"mail", ATTRIBUTE_MAIL},
    {"proxyAddresses", ATTRIBUTE_PROXY},
    {"legacyExchangeDN", ATTRIBUTE_X500},
    {"mailAlternateAddress", ATTRIBUTE_ALIAS},
    {"mailLocalAddress", ATTRIBUTE_ALIAS},
    {"mailEquivalentAddress", ATTRIBUTE_ALIAS},
    {"gosaMailAlternateAddress", ATTRIBUTE_ALIAS},
    {"alias", ATTRIBUTE_ALIAS},
    {"mailRoutingAddress", ATTRIBUTE_ROUTING},
    {"mailHost", ATTRIBUTE_HOST},
    {"cn", ATTRIBUTE_CN},
    {"rfc822MailMember", ATTRIBUTE_MEMBER},
};

static const char *const GROUPS[] = {"group", "groupOfNames", "groupOfUniqueNames",
    "groupOfMembers", "mailGroup", "distributionList"};

void ldif_init(struct ldif *l, const struct site *site)
{
    *l = (struct ldif){.site = site};
    struct buf *const bufs[] = {&l->names, &l->x500, &l->members, &l->cn, &l->host, &l->routing};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        buf_init(bufs[i], LDIF_ENTRY_MAX);
}

void ldif_fini(struct ldif *l)
{
    struct buf *const bufs[] = {&l->names, &l->x500, &l->members, &l->cn, &l->host, &l->routing};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        buf_fini(bufs[i]);
}

static void clear(struct ldif *l)
{
    struct buf *const bufs[] = {&l->names, &l->x500, &l->members, &l->cn, &l->host, &l->routing};
    for (size_t i = 0; i < sizeof bufs / sizeof bufs[0]; i++)
        buf_clear(bufs[i]);
    l->line = l->n_names = 0;
    l->is_change = l->is_group = l->has_primary = false;
}

/* --- Values ----------------------------------------------------------------------------------- */

static int sextet(unsigned char c)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(DIGITS, c) : NULL;
    return at ? (int)(at - DIGITS) : -1;
}

static int decode_base64(struct slice in, struct buf *out)
{
    unsigned bits = 0, n = 0;

    while (in.n && in.p[in.n - 1] == '=')
        in.n--;
    for (size_t i = 0; i < in.n; i++) {
        int v = sextet(in.p[i]);
        if (v < 0)
            return -1;
        bits = bits << 6 | (unsigned)v;
        n += 6;
        if (n >= 8) {
            n -= 8;
            if (buf_add_byte(out, (unsigned char)(bits >> n)) != 0)
                return -1;
        }
    }
    return n < 6 ? 0 : -1;
}

/* The name without its options ("cn;lang-de"). */
static enum attribute find_attribute(struct slice name)
{
    ptrdiff_t semicolon = slice_find(name, ';');
    if (semicolon >= 0)
        name = slice_sub(name, 0, (size_t)semicolon);
    for (size_t i = 0; i < sizeof ATTRIBUTES / sizeof ATTRIBUTES[0]; i++)
        if (slice_eq_nocase(name, slice_str(ATTRIBUTES[i].name)))
            return ATTRIBUTES[i].attribute;
    return ATTRIBUTE_OTHER;
}

static bool is_one_line(struct slice value)
{
    return slice_find(value, '\n') < 0 && slice_find(value, '\r') < 0 &&
           slice_find(value, '\0') < 0;
}

/* --- An entry --------------------------------------------------------------------------------- */

static int too_much(struct ldif *l, size_t line, struct err *err)
{
    return sink_bad(l->site->sink, line, err, "the entry has too many or too long addresses");
}

/* The same address in mail and proxyAddresses is one. */
static bool is_known(const struct ldif *l, struct slice address)
{
    struct slice rest = buf_slice(&l->names), name;
    while (slice_split(&rest, '\n', &name))
        if (slice_eq_nocase(name, address))
            return true;
    return false;
}

static int add_name(
    struct ldif *l, size_t line, struct slice address, bool is_primary, struct err *err)
{
    bool is_new = !is_known(l, address);
    struct buf all;
    int rc = 0;

    if (address.n == 0 || (!is_new && !is_primary))
        return 0;
    buf_init(&all, LDIF_ENTRY_MAX);
    struct slice rest = buf_slice(&l->names), name;
    if (is_primary)
        rc = buf_addf(&all, "%.*s\n", SLICE_ARG(address));
    while (rc == 0 && slice_split(&rest, '\n', &name))
        if (name.n && !(is_primary && slice_eq_nocase(name, address)))
            rc = buf_addf(&all, "%.*s\n", SLICE_ARG(name));
    if (rc == 0 && !is_primary)
        rc = buf_addf(&all, "%.*s\n", SLICE_ARG(address));
    l->n_names += is_new;
    if (rc != 0 || l->n_names > LDIF_NAMES_MAX) {
        buf_fini(&all);
        return too_much(l, line, err);
    }
    buf_fini(&l->names);
    l->names = all;
    return 0;
}

/* Kept as the local part of the address that Exchange makes of it; the same name, whatever its
 * case, once. */
static int add_x500(struct ldif *l, size_t line, struct slice name, struct err *err)
{
    struct buf local;
    struct slice rest = buf_slice(&l->x500), known;
    bool is_known = false;
    int rc = 0;

    buf_init(&local, LDIF_ENTRY_MAX);
    if (name.n == 0 || name.p[0] != '/' || normalise_encapsulate(name, &local) != 0) {
        sink_lost(
            l->site->sink, line, "%.*s is no X.500 name that an address can have", SLICE_ARG(name));
        goto done;
    }
    while (slice_split(&rest, '\n', &known))
        is_known |= slice_eq_nocase(known, buf_slice(&local));
    if (!is_known && (++l->n_names > LDIF_NAMES_MAX ||
                         buf_addf(&l->x500, "%.*s\n", SLICE_ARG(buf_slice(&local))) != 0))
        rc = too_much(l, line, err);
done:
    buf_fini(&local);
    return rc;
}

/* "SMTP:" is the primary address, "smtp:" another one; there are SIP: and more. */
static int add_proxy(struct ldif *l, size_t line, struct slice value, struct err *err)
{
    if (slice_starts_nocase(value, SLICE_LIT("x500:")))
        return add_x500(l, line, slice_trim(slice_from(value, 5)), err);
    if (!slice_starts_nocase(value, SLICE_LIT("smtp:")))
        return 0;
    bool is_primary = value.p[0] == 'S' && !l->has_primary;
    l->has_primary |= is_primary;
    return add_name(l, line, slice_trim(slice_from(value, 5)), is_primary, err);
}

static int keep(struct ldif *l, size_t line, struct slice value, struct buf *to, struct err *err)
{
    if (to->n)
        return 0;
    return buf_add(to, slice_trim(value)) == 0 ? 0 : too_much(l, line, err);
}

static int add_member(struct ldif *l, size_t line, struct slice value, struct err *err)
{
    return buf_addf(&l->members, "%.*s,", SLICE_ARG(value)) == 0 ? 0 : too_much(l, line, err);
}

static int take(
    struct ldif *l, size_t line, enum attribute attribute, struct slice value, struct err *err)
{
    switch (attribute) {
    case ATTRIBUTE_OTHER:
    case ATTRIBUTE_DN:
        return 0;
    case ATTRIBUTE_CHANGE:
        l->is_change |= !slice_eq_nocase(slice_trim(value), SLICE_LIT("add"));
        return 0;
    case ATTRIBUTE_CLASS:
        for (size_t i = 0; i < sizeof GROUPS / sizeof GROUPS[0]; i++)
            l->is_group |= slice_eq_nocase(slice_trim(value), slice_str(GROUPS[i]));
        return 0;
    case ATTRIBUTE_MAIL:
    case ATTRIBUTE_ALIAS:
        return add_name(
            l, line, slice_trim(value), attribute == ATTRIBUTE_MAIL && l->names.n == 0, err);
    case ATTRIBUTE_PROXY:
        return add_proxy(l, line, slice_trim(value), err);
    case ATTRIBUTE_X500:
        return add_x500(l, line, slice_trim(value), err);
    case ATTRIBUTE_ROUTING:
        return keep(l, line, value, &l->routing, err);
    case ATTRIBUTE_HOST:
        return keep(l, line, value, &l->host, err);
    case ATTRIBUTE_CN:
        return keep(l, line, value, &l->cn, err);
    case ATTRIBUTE_MEMBER:
        return add_member(l, line, value, err);
    }
    return 0;
}

/* mailHost is a name; find it as a next hop is found. */
static int give_first(struct ldif *l, struct slice key, struct err *err)
{
    struct slice routing = buf_slice(&l->routing);
    struct buf hop;
    int rc;

    buf_init(&hop, LDIF_ENTRY_MAX + 16);
    if (l->host.n && buf_addf(&hop, "smtp:%.*s", SLICE_ARG(buf_slice(&l->host))) != 0)
        rc = too_much(l, l->line, err);
    else if (l->is_group)
        rc = site_group(l->site, l->line, key, buf_slice(&hop), err);
    else
        rc = site_mailbox(l->site, l->line, key, buf_slice(&hop),
            slice_eq_nocase(routing, key) ? SLICE_NONE : routing, err);
    buf_fini(&hop);
    return rc;
}

/* In the domain of names without one, else the user's own.  Of others' users none: they are no
 * business of the map. */
static int give_x500(struct ldif *l, struct slice key, struct err *err)
{
    struct slice rest = buf_slice(&l->x500), local, domain = normalise_domain(key);
    struct buf address;
    int rc = 0;

    if (l->site->domain.n)
        domain = l->site->domain;
    buf_init(&address, LDIF_ENTRY_MAX);
    bool is_ours = site_address(l->site, key, &address) == SITE_OURS;
    while (rc == 0 && slice_split(&rest, '\n', &local)) {
        if (local.n == 0 || !is_ours)
            continue;
        buf_clear(&address);
        if (buf_addf(&address, "%.*s", SLICE_ARG(local)) != 0 ||
            (domain.n && buf_addf(&address, "@%.*s", SLICE_ARG(domain)) != 0))
            rc = too_much(l, l->line, err);
        else
            rc = site_alias(l->site, l->line, buf_slice(&address), key, err);
    }
    buf_fini(&address);
    return rc;
}

static int give(struct ldif *l, struct err *err)
{
    struct slice rest = buf_slice(&l->names), key, other;

    if (l->is_change)
        return sink_bad(l->site->sink, l->line, err,
            "this is a change of a directory: an import needs its entries as they are");
    if (l->members.n && l->cn.n)
        return site_alias(l->site, l->line, buf_slice(&l->cn), buf_slice(&l->members), err);
    if (l->names.n == 0 || !slice_split(&rest, '\n', &key)) {
        l->n_unnamed++;
        return 0;
    }
    if (give_first(l, key, err) != 0)
        return -1;
    while (slice_split(&rest, '\n', &other))
        if (other.n && site_alias(l->site, l->line, other, key, err) != 0)
            return -1;
    return give_x500(l, key, err);
}

static int end_entry(struct ldif *l, struct err *err)
{
    int rc = l->line ? give(l, err) : 0;
    clear(l);
    return rc;
}

/* --- Lines ------------------------------------------------------------------------------------ */

/* attribute ":" value / attribute "::" base64 / attribute ":<" URL */
int ldif_line(struct ldif *l, size_t line, struct slice text, struct err *err)
{
    ptrdiff_t colon = slice_find(text, ':');
    struct slice name, value;
    struct buf decoded;
    int rc;

    if (text.n == 0)
        return end_entry(l, err);
    if (slice_eq(text, SLICE_LIT("-"))) /* between the parts of a change */
        return 0;
    if (colon <= 0)
        return sink_bad(l->site->sink, line, err, "this is not \"attribute: value\"");
    name = slice_sub(text, 0, (size_t)colon);
    value = slice_from(text, (size_t)colon + 1);
    enum attribute attribute = find_attribute(name);
    if (l->line == 0 && attribute != ATTRIBUTE_DN)
        return slice_eq_nocase(name, SLICE_LIT("version"))
                   ? 0
                   : sink_bad(l->site->sink, line, err, "an entry begins with \"dn:\"");
    if (attribute == ATTRIBUTE_DN) {
        if (end_entry(l, err) != 0)
            return -1;
        l->line = line;
    }
    if (attribute == ATTRIBUTE_OTHER || attribute == ATTRIBUTE_DN)
        return 0;
    if (value.n && value.p[0] == '<')
        return sink_bad(l->site->sink, line, err, "%.*s is in another file", SLICE_ARG(name));
    buf_init(&decoded, LDIF_ENTRY_MAX);
    if (value.n && value.p[0] == ':') {
        rc = decode_base64(slice_trim(slice_from(value, 1)), &decoded);
        value = buf_slice(&decoded);
    } else {
        rc = 0;
        value = slice_trim(value);
    }
    if (rc != 0 || !is_one_line(value))
        rc = sink_bad(l->site->sink, line, err, "the value of %.*s is no text", SLICE_ARG(name));
    else
        rc = take(l, line, attribute, value, err);
    buf_fini(&decoded);
    return rc;
}

int ldif_finish(struct ldif *l, struct err *err)
{
    int rc = end_entry(l, err);
    if (rc == 0 && l->n_unnamed)
        sink_note(l->site->sink, 0, "%zu entries without an address", l->n_unnamed);
    return rc;
}
