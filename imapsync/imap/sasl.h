/* SPDX-License-Identifier: ISC */
/* sasl: one SASL exchange as a client (only sasl.c includes gsasl.h); base64 in and out. */
#ifndef IMAPSYNC_IMAP_SASL_H
#define IMAPSYNC_IMAP_SASL_H

#include <stdint.h>
#include "base/core/err.h"
#include "base/os/tls.h"
#include "imapsync/imap/mech.h"

struct sasl;

struct sasl_identity {
    const char *authcid;               /* whose secret it is */
    const char *authzid;               /* who to become; NULL or the same: oneself */
    struct slice secret;               /* password or access token; empty with GSSAPI */
    const char *host;                  /* by the name that its certificate or Kerberos has */
    uint16_t port;                     /* 0: not told */
    const struct tls_binding *binding; /* NULL: none, and no mechanism that binds */
};

/* Everything in id is borrowed during the call only. */
int sasl_new(
    enum mech mech, const struct sasl_identity *id, struct sasl **out, struct err *err) ATTR_WUR;
/* The answer to a challenge (empty for the initial response); *answer_out lives until the next
 * call and is wiped with it. */
int sasl_step(
    struct sasl *s, struct slice challenge, const char **answer_out, struct err *err) ATTR_WUR;
/* Whether the mechanism has nothing more to say or to check: SCRAM proves the server only then. */
bool sasl_is_done(const struct sasl *s);
/* What the server has said about a token that it does not take; "" if nothing. */
const char *sasl_told(const struct sasl *s);
void sasl_free(struct sasl **s);

#endif
