/* SPDX-License-Identifier: ISC */
/*
 * bearer: the octets of OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's and Microsoft's): an access
 * token in one message, and what a server says when it does not like it.
 */
#ifndef IMAPSYNC_IMAP_BEARER_H
#define IMAPSYNC_IMAP_BEARER_H

#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"

#define BEARER_TOLD_MAX 200 /* of a server's reason that is shown */

struct bearer {
    const char *user; /* whose mailbox */
    const char *host; /* OAUTHBEARER only */
    uint16_t port;
    struct slice token;
};

/* -1: the token or the user has octets that cannot be sent, or out is full. */
int bearer_oauthbearer(const struct bearer *b, struct buf *out) ATTR_WUR;
int bearer_xoauth2(const struct bearer *b, struct buf *out) ATTR_WUR;
/* The reason of a refusal, as the challenge has it (JSON, as a rule), made printable. */
void bearer_told(struct slice challenge, char out[BEARER_TOLD_MAX]);

#endif
