/* SPDX-License-Identifier: ISC */
/*
 * bodies: reading messages only for their digests, without keeping them.
 *
 * A NO that may be about one of the messages costs that one: what was refused together with it is
 * asked for by halves, until it is alone (is_refused).  Of such a message nothing is known but that
 * it is there.  Too many of them are an error of the folder.
 */
#ifndef IMAPSYNC_STREAM_BODIES_H
#define IMAPSYNC_STREAM_BODIES_H

#include "imapsync/ends/end.h"
#include "imapsync/plan/match.h"

/* Fills is_there and the digests for its UIDs, which are ascending, of the folder that the end
 * has open. */
int bodies_digest(struct end *e, struct body *v, size_t n, struct err *err) ATTR_WUR;

/* The same without waiting, so that several folders are on their way: finish() waits, and frees.
 * Until then v stays.  NULL is fine.  What was refused together is is_refused then, all of it, and
 * *has_refused_out is set, and err says why: bodies_halve() finds out whom it is about, when the
 * end has the folder open once more. */
struct bodies;
struct bodies *bodies_begin(struct end *e, struct body *v, size_t n);
int bodies_finish(struct bodies **b, bool *has_refused_out, struct err *err) ATTR_WUR;
int bodies_halve(struct end *e, struct body *v, size_t n, struct err *err) ATTR_WUR;

#endif
