/* SPDX-License-Identifier: ISC */
/* sweep: late arrivals on old after the flip: they are copied, and nothing is ever deleted. */
#ifndef IMAPSYNC_MOVE_SWEEP_H
#define IMAPSYNC_MOVE_SWEEP_H

#include "imapsync/move/job.h"

/* Passes until one brings nothing new and leaves nothing out.  *is_settled_out: all that old has is
 * on new, and nothing that was under way at the flip can still come. */
int sweep_run(struct move_job *j, bool *is_settled_out, struct err *err) ATTR_WUR;

#endif
