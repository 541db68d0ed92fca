/* SPDX-License-Identifier: ISC */
/* settle: where a user is, asked of the map, and the state that follows from its answer. */
#ifndef IMAPSYNC_MOVE_SETTLE_H
#define IMAPSYNC_MOVE_SETTLE_H

#include "imapsync/move/job.h"

/* Leaves the states in which the map may hold the user.  why: what went wrong; NULL: we have only
 * found the record.  0 and the job is in `released` or `flipped`. */
int settle_hold(struct move_job *j, const struct err *why, struct err *err) ATTR_WUR;
/* Somebody may have changed the route by hand since the flip. */
int settle_forward(struct move_job *j, struct err *err) ATTR_WUR;

#endif
