/* SPDX-License-Identifier: ISC */
/*
 * sweep: see sweep.h.
 *
 * Mail still comes to old after the flip: from old's own users, from a queue that had resolved the
 * address before, or from a delivery whose answer was lost (the barrier said "ambiguous").  The
 * last kind has an end: a relay waits for an answer no longer than its dot_timeout, so a sweep that
 * looks later than that has seen what there is.
 */
#include "imapsync/move/sweep.h"

#include <sysexits.h>

#include "base/core/clock.h"

static bool may_still_come(const struct move_job *j)
{
    int64_t age_ms = clock_wall_ms() - j->r.flipped_ms;
    return j->r.is_ambiguous && age_ms < (int64_t)j->conf->relay.dot_timeout_ms;
}

static void note_quiet(struct move_job *j, bool is_quiet)
{
    int64_t now = clock_wall_ms();
    if (!is_quiet)
        j->r.quiet_ms = 0;
    else if (j->r.quiet_ms == 0 || j->r.quiet_ms > now)
        j->r.quiet_ms = now;
}

int sweep_run(struct move_job *j, bool *is_settled_out, struct err *err)
{
    uint64_t late = 0, missing = 0;
    bool is_early = may_still_come(j);
    /* What was changed on old up to the flip is carried once. */
    enum plan_policy_id policy = j->r.sweeps == 0 ? PLAN_FIRST_SWEEP : PLAN_AFTER_FLIP;
    *is_settled_out = false;
    j->r.swept_ms = clock_wall_ms();
    if (move_job_connect(j, err) != 0)
        return -1;
    for (uint32_t i = 0;; i++) {
        uint64_t new, before = missing;
        if (i == j->conf->sync.delta_passes_max)
            return err_set(err, ERR_TEMP, EX_TEMPFAIL,
                "mail keeps coming to %s: %llu messages in %u passes", j->r.from,
                (unsigned long long)late, (unsigned)i);
        if (move_job_pass(j, policy, &new, err) != 0)
            return -1;
        late += new;
        j->r.late += new;
        missing = 0;
        if (new > 0)
            continue;
        if (j->r.state == MOVE_DONE)
            break;
        if (move_job_count_missing(j, &missing, err) != 0)
            return -1;
        /* What came between the pass and the count is late mail as well, and the next pass brings
         * it; what that leaves out as well has another reason. */
        if (missing == 0 || missing == before)
            break;
    }
    j->r.sweeps++;
    *is_settled_out =
        missing == 0 && !is_early && j->r.report.n.items_loss + j->r.report.n.items_withheld == 0;
    note_quiet(j, *is_settled_out && late == 0);
    move_job_tell(j);
    move_job_say_own(j, move_job_report(j, "late", late), "%llu message%s came late",
        (unsigned long long)late, late == 1 ? "" : "s");
    return 0;
}
