/* SPDX-License-Identifier: ISC */
/* bodies: reading messages only for their SHA-256, without keeping them. */
#ifndef IMAPSYNC_COPY_BODIES_H
#define IMAPSYNC_COPY_BODIES_H

#include "base/os/hmac.h"
#include "imapsync/ends/end.h"

struct body {
    uint32_t uid;
    bool is_there; /* the end gave a body */
    unsigned char digest[SHA256_SIZE];
};

/* Fills v[].is_there and v[].digest for its UIDs, which are ascending, of the folder that the end
 * has open. */
int bodies_digest(struct end *e, struct body *v, size_t n, struct err *err) ATTR_WUR;

#endif
