/* SPDX-License-Identifier: ISC */
/* retire: the end of a cut-over: nothing comes to old any more, and nobody looks there. */
#ifndef IMAPSYNC_MOVE_RETIRE_H
#define IMAPSYNC_MOVE_RETIRE_H

#include "imapsync/move/job.h"

/* Looks at old once more.  0: the job is in `retired`; -1 with ERR_TEMP: it is too early. */
int retire_run(struct move_job *j, struct err *err) ATTR_WUR;

#endif
