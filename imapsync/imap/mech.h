/* SPDX-License-Identifier: ISC */
/*
 * mech: by which mechanism to sign in: the strongest that the server offers and that our
 * credentials allow.  Values in, values out.
 */
#ifndef IMAPSYNC_IMAP_MECH_H
#define IMAPSYNC_IMAP_MECH_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/slice.h"

enum mech {
    MECH_SCRAM_SHA_256_PLUS,
    MECH_SCRAM_SHA_1_PLUS,
    MECH_SCRAM_SHA_256,
    MECH_SCRAM_SHA_1,
    MECH_PLAIN,
    MECH_LOGIN, /* the mechanism */
    MECH_CRAM_MD5,
    MECH_GSSAPI,
    MECH_OAUTHBEARER,
    MECH_XOAUTH2,
    MECH_COMMAND, /* the LOGIN command: no mechanism */
};
#define MECHS (MECH_COMMAND + 1)

enum mech_secret {
    MECH_PASSWORD,
    MECH_TOKEN,  /* an OAuth 2.0 access token */
    MECH_TICKET, /* Kerberos has its own */
};

struct mech_wish {
    const char *named; /* as mech_named(); NULL: the best */
    enum mech_secret secret;
    bool is_open;      /* without TLS: others may listen */
    bool can_bind;     /* there is a channel to bind to, */
    bool is_unsure;    /* and its type is one that servers may not know */
    bool is_admin;     /* one signs in for another: */
    bool acts;         /* by naming both to the mechanism, not in one name */
    bool has_no_login; /* LOGINDISABLED */
};

/* Which of them a server's "AUTH=NAME" means, as bit 1u << mech; 0: none of ours. */
unsigned mech_offered(struct slice capability);
/* What IANA calls it; "" for the command. */
const char *mech_name(enum mech m);
/* By the name that settings give it; false: there is none of that name. */
bool mech_named(const char *setting, enum mech *out);
enum mech_secret mech_secret(enum mech m);
bool mech_binds(enum mech m); /* to the TLS channel */
/* The client speaks first. */
bool mech_is_client_first(enum mech m);
/* false: none fits, and *why_out says so in words. */
bool mech_choose(
    unsigned offered, const struct mech_wish *wish, enum mech *out, const char **why_out) ATTR_WUR;
#endif
