/* SPDX-License-Identifier: ISC */
/* bodies: reading messages only for their digests, without keeping them. */
#ifndef IMAPSYNC_COPY_BODIES_H
#define IMAPSYNC_COPY_BODIES_H

#include "base/os/hmac.h"
#include "imapsync/copy/canon.h"
#include "imapsync/ends/end.h"

struct body {
    uint32_t uid;
    bool is_there;   /* the end gave a body */
    bool comes_last; /* match.h: others of the same content have their mates first */
    unsigned char digest[SHA256_SIZE];
    struct canon canon;
    uint32_t mate; /* match.h: the UID of the one that it is; 0: none */
};

/* The same without waiting: finish() waits, and frees.  Until then v and the end's open folder
 * stay. NULL is fine. */
struct bodies;
struct bodies *bodies_begin(struct end *e, struct body *v, size_t n);
int bodies_finish(struct bodies **b, struct err *err) ATTR_WUR;

/* Fills is_there and the digests for its UIDs, which are ascending, of the folder that the end
 * has open. */
int bodies_digest(struct end *e, struct body *v, size_t n, struct err *err) ATTR_WUR;

#endif
