/* SPDX-License-Identifier: ISC */
/* received: the trace field that each hop puts in front (RFC 5321 4.4, RFC 3848), pure. */
#ifndef RELAY_RECEIVED_H
#define RELAY_RECEIVED_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"

#define RECEIVED_MAX 1152 /* of the field, more than its parts can have */

struct received {
    const char *hello; /* the client's name, one word without comments: smtp_server keeps it so */
    const char *peer;  /* IP address */
    const char *hostname;
    bool is_lmtp, is_esmtp, is_secure;
    const char *qid;
    struct slice rcpt; /* n == 0 when there are several: Bcc stays hidden */
    const char *date;  /* RFC 5322 */
};

/* The field with its CRLF. */
int received_field(const struct received *r, struct buf *out) ATTR_WUR;

#endif
