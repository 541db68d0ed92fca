/* SPDX-License-Identifier: ISC */
/* works: what is done in each state of a cut-over (enum move_work); a failure changes no state. */
#ifndef IMAPSYNC_MOVE_WORKS_H
#define IMAPSYNC_MOVE_WORKS_H

#include "imapsync/move/job.h"

#define WORKS_SMALL 25     /* so few new messages are little enough for a hold */
#define WORKS_SMALL_MS 500 /* and so is a pass that takes no longer */

/* The work of the state in which the job is.  *is_settled_out: it need not be done again. */
int works_do(struct move_job *j, bool *is_settled_out, struct err *err) ATTR_WUR;

#endif
