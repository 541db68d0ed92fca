/* SPDX-License-Identifier: ISC */
/* round: a walk over all users: each is tended (tend.h), those whose mail may wait come first. */
#ifndef IMAPSYNC_MOVE_ROUND_H
#define IMAPSYNC_MOVE_ROUND_H

#include "imapsync/move/conf_use.h"
#include "imapsync/move/jobs.h"

/* To its end, or until the jobs are stopping. */
void round_run(struct jobs *jobs, struct conf_use *confs);

#endif
