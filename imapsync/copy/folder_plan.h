/* SPDX-License-Identifier: ISC */
/*
 * folder_plan: the plan as an engine asks for it that has one folder listed at a time, and nothing
 * of the target.  Moves are not found that way, and the ceiling is what earlier folders of the pass
 * have left of it.  It goes when the engine has the changes of all folders: see plan.h.
 */
#ifndef IMAPSYNC_COPY_FOLDER_PLAN_H
#define IMAPSYNC_COPY_FOLDER_PLAN_H

#include "imapsync/copy/journal.h"
#include "imapsync/ends/changes.h"
#include "imapsync/copy/plan.h"

struct folder_plan_input {
    enum plan_policy_id policy;
    const struct end_changes *listing; /* of the source, or what has changed there */
    const struct pair *pairs;          /* by source UID */
    size_t n_pairs;
    bool is_sure; /* nothing is missing in the listing */
    bool may_delete, can_remove;
    size_t deletions_max; /* that are left in this pass */
};

struct folder_plan {
    uint32_t *copies; /* source UIDs, ascending */
    size_t n_copies;
    struct plan whole; /* without the copies */
};

void folder_plan_make(const struct folder_plan_input *in, struct folder_plan *out);
void folder_plan_fini(struct folder_plan *p);
/* One plan of those of several folders, which have their places as positions; NULL: none.  Only
 * operations and changes; plan_fini(). */
void folder_plan_join(struct folder_plan *const *v, size_t n, struct plan *out);

#endif
