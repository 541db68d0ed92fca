/* SPDX-License-Identifier: ISC */
/* apply_one: a plan of one folder, from the days of folder_plan.h, with which it goes. */
#ifndef IMAPSYNC_COPY_APPLY_ONE_H
#define IMAPSYNC_COPY_APPLY_ONE_H

#include "imapsync/copy/journal.h"
#include "imapsync/copy/folder_plan.h"
#include "imapsync/ends/end.h"

struct apply_one_job {
    struct end *target;
    struct journal *journal;
    const struct journal_folder *folder;
    struct keywords *keywords;
    const struct folder_plan *plan;
    struct intent *begun; /* its own: deletions that an earlier run has begun */
    size_t n_begun;
    /* Out. */
    size_t n_flagged, n_deleted;
    size_t n_kept; /* deleted on the source, but touched by the target's user: theirs now */
};

/* Opens the target's folder for writing.  What was done is in the journal even when it fails. */
int apply_one(struct apply_one_job *job, struct err *err) ATTR_WUR;

#endif
