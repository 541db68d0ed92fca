/* SPDX-License-Identifier: ISC */
/*
 * late: behind a flip, what a folder that is new on the source, or has a new UIDVALIDITY there, has
 * that was on the source before: renamed, copied, restored, numbered anew.  It is not late mail,
 * and what the target's user has deleted of it does not come back.
 */
#ifndef IMAPSYNC_COPY_LATE_H
#define IMAPSYNC_COPY_LATE_H

#include "imapsync/copy/journal.h"
#include "imapsync/ends/end.h"

struct late_job {
    struct end *source; /* has the folder open */
    struct journal *journal;
    uint32_t folder;
    const struct end_changes *listing;
    const struct pair *pairs; /* of the folder, by source UID */
    size_t n_pairs;
};

/* Makes a GONE pair of each message without a pair whose content the journal knows more often from
 * other folders than from this one. */
int late_forget_known(struct late_job *job, struct err *err) ATTR_WUR;

#endif
