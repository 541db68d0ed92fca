/* SPDX-License-Identifier: ISC */
/* passes: a whole pass of a copy, over as many connections as it takes. */
#ifndef IMAPSYNC_COPY_PASSES_H
#define IMAPSYNC_COPY_PASSES_H

#include "imapsync/copy/copy.h"

/* A connection that is lost is opened again a few times; the journal makes that the same as running
 * the command again.  Counts of passes that broke off stay in. */
int passes_run(
    struct copy *c, enum plan_policy_id policy, struct copy_counts *n, struct err *err) ATTR_WUR;

#endif
