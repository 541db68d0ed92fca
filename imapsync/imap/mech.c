/* SPDX-License-Identifier: ISC */
/*
 * mech: see mech.h.
 *
 * SCRAM comes first: the password does not leave, and the server has to know it too (RFC 5802).
 * Under TLS PLAIN comes before CRAM-MD5, which proves nothing of the server, makes it keep the
 * password in the clear and cannot name another user; where others may listen it is the other way
 * round.  The LOGIN command is for servers that offer nothing else, or whoever names it.
 *
 * An administrator comes with PLAIN first: in Dovecot a master user with a passdb of users behind
 * it cannot sign in by SCRAM, which is offered all the same.
 *
 * With TLS 1.3 no server tells whether it knows RFC 9266, and one that does not (Cyrus 3.6 wants
 * tls-unique) refuses: then -PLUS is only taken by name.
 */
#include "imapsync/imap/mech.h"

static const struct mech_row {
    const char *name, *setting;
    enum mech_secret secret;
    bool is_client_first;
    bool can_act; /* carries an authorisation identity, or the token does */
    bool is_plain;
    bool binds;
} rows[MECHS] = {
    [MECH_SCRAM_SHA_256_PLUS] = {"SCRAM-SHA-256-PLUS", "scram-sha-256-plus", MECH_PASSWORD, true,
        true, .binds = true},
    [MECH_SCRAM_SHA_1_PLUS] = {"SCRAM-SHA-1-PLUS", "scram-sha-1-plus", MECH_PASSWORD, true, true,
        .binds = true},
    [MECH_SCRAM_SHA_256] = {"SCRAM-SHA-256", "scram-sha-256", MECH_PASSWORD, true, true},
    [MECH_SCRAM_SHA_1] = {"SCRAM-SHA-1", "scram-sha-1", MECH_PASSWORD, true, true},
    [MECH_PLAIN] = {"PLAIN", "plain", MECH_PASSWORD, true, true, .is_plain = true},
    [MECH_LOGIN] = {"LOGIN", "sasl-login", MECH_PASSWORD, false, false, .is_plain = true},
    [MECH_CRAM_MD5] = {"CRAM-MD5", "cram-md5", MECH_PASSWORD, false, false},
    [MECH_GSSAPI] = {"GSSAPI", "gssapi", MECH_TICKET, true, true},
    [MECH_OAUTHBEARER] = {"OAUTHBEARER", "oauthbearer", MECH_TOKEN, true, true, .is_plain = true},
    [MECH_XOAUTH2] = {"XOAUTH2", "xoauth2", MECH_TOKEN, true, true, .is_plain = true},
    [MECH_COMMAND] = {"", "login", MECH_PASSWORD, false, false, .is_plain = true},
};

unsigned mech_offered(struct slice capability)
{
    const struct slice prefix = SLICE_LIT("AUTH=");
    if (!slice_starts_nocase(capability, prefix))
        return 0;
    for (unsigned i = 0; i < MECH_COMMAND; i++) {
        if (slice_eq_nocase(slice_from(capability, prefix.n), slice_str(rows[i].name)))
            return 1u << i;
    }
    return 0;
}

const char *mech_name(enum mech m)
{
    return rows[m].name;
}

bool mech_named(const char *setting, enum mech *out)
{
    for (unsigned i = 0; i < MECHS; i++) {
        if (slice_eq_nocase(slice_str(setting), slice_str(rows[i].setting))) {
            *out = (enum mech)i;
            return true;
        }
    }
    return false;
}

enum mech_secret mech_secret(enum mech m)
{
    return rows[m].secret;
}

bool mech_is_client_first(enum mech m)
{
    return rows[m].is_client_first;
}

bool mech_binds(enum mech m)
{
    return rows[m].binds;
}

/* NULL: it can be done. */
static const char *hindrance(enum mech m, const struct mech_wish *wish)
{
    const struct mech_row *r = &rows[m];
    if (r->secret != wish->secret)
        return "the way of signing in does not fit the credentials";
    if (r->binds && !wish->can_bind)
        return "there is no TLS channel that this mechanism could be bound to";
    if (wish->acts && !r->can_act)
        return "by this way no administrator can act for a user";
    if (m == MECH_COMMAND && wish->has_no_login)
        return "the server has disabled LOGIN";
    return NULL;
}

static bool find(unsigned offered, const struct mech_wish *wish, enum mech *out)
{
    if (wish->is_admin && offered & 1u << MECH_PLAIN && !hindrance(MECH_PLAIN, wish)) {
        *out = MECH_PLAIN;
        return true;
    }
    /* Where others listen, those that show the secret have to wait for those that do not. */
    for (int with_plain = !wish->is_open; with_plain < 2; with_plain++) {
        for (unsigned i = 0; i < MECHS; i++) {
            if (offered & 1u << i && (with_plain || !rows[i].is_plain) &&
                !(rows[i].binds && wish->is_unsure) && !hindrance((enum mech)i, wish)) {
                *out = (enum mech)i;
                return true;
            }
        }
    }
    return false;
}

bool mech_choose(
    unsigned offered, const struct mech_wish *wish, enum mech *out, const char **why_out)
{
    if (wish->named) {
        *why_out = "unknown way of signing in";
        if (!mech_named(wish->named, out))
            return false;
        *why_out = hindrance(*out, wish);
        return !*why_out;
    }
    if (find(offered | 1u << MECH_COMMAND, wish, out))
        return true;
    *why_out = wish->secret == MECH_TOKEN    ? "the server offers neither OAUTHBEARER nor XOAUTH2"
               : wish->secret == MECH_TICKET ? "the server does not offer GSSAPI"
               : wish->acts ? "the server offers no SASL mechanism by which an administrator can "
                              "act for a user"
                            : "the server has disabled LOGIN and offers nothing else";
    return false;
}
