/* SPDX-License-Identifier: ISC */
/* bodies: reading messages only for their digests, without keeping them. */
#ifndef IMAPSYNC_STREAM_BODIES_H
#define IMAPSYNC_STREAM_BODIES_H

#include "imapsync/ends/end.h"
#include "imapsync/plan/match.h"

/* The same without waiting: finish() waits, and frees.  Until then v and the end's open folder
 * stay. NULL is fine. */
struct bodies;
struct bodies *bodies_begin(struct end *e, struct body *v, size_t n);
int bodies_finish(struct bodies **b, struct err *err) ATTR_WUR;

/* Fills is_there and the digests for its UIDs, which are ascending, of the folder that the end
 * has open.  A NO is one about the folder. */
int bodies_digest(struct end *e, struct body *v, size_t n, struct err *err) ATTR_WUR;
/* The same where one that cannot be read is only that (is_refused): what was refused together is
 * asked for one by one. */
int bodies_digest_some(struct end *e, struct body *v, size_t n, struct err *err) ATTR_WUR;

#endif
