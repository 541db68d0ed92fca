/* SPDX-License-Identifier: ISC */
/* bodies: reading messages only for their SHA-256, without keeping them. */
#ifndef IMAPSYNC_COPY_BODIES_H
#define IMAPSYNC_COPY_BODIES_H

#include "base/os/hmac.h"
#include "imapsync/imap/conn.h"

struct body {
    uint32_t uid;
    bool is_there; /* the server gave a body */
    unsigned char digest[SHA256_SIZE];
};

/* Fills v[].is_there and v[].digest for its UIDs, which are ascending, of the folder that c has
 * open. */
int bodies_digest(struct imap_conn *c, struct body *v, size_t n, struct err *err) ATTR_WUR;

#endif
