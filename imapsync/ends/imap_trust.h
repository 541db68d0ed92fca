/* SPDX-License-Identifier: ISC */
/* imap_trust: what certificate a server shows, without signing in and without believing it. */
#ifndef IMAPSYNC_ENDS_IMAP_TRUST_H
#define IMAPSYNC_ENDS_IMAP_TRUST_H

#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/os/tls_pins.h"

struct imap_trust {
    struct buf text; /* what the certificate says of itself, lines */
    char fingerprint[96];
    struct tls_pin pin;
};

/* server: imaps://HOST[:PORT] or imap://HOST[:PORT], the latter by STARTTLS.  The policy says how
 * old the server's TLS may be. */
int imap_trust_look(const char *server, const struct conf_server *policy, uint64_t timeout_ms,
    struct imap_trust *out, struct err *err) ATTR_WUR;
void imap_trust_fini(struct imap_trust *t);

#endif
