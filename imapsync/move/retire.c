/* SPDX-License-Identifier: ISC */
/*
 * retire: see retire.h.
 *
 * That nothing comes to old any more is not for us to know: its administrator has made it refuse or
 * forward.  What can be seen is that it is so: the last sweep and one at least sync.sweep_interval
 * before it have found nothing, nor has any in between, and nothing is open that would be lost.
 */
#include "imapsync/move/retire.h"

#include <sysexits.h>

#include "base/core/clock.h"
#include "imapsync/move/cutover.h"
#include "imapsync/move/places.h"
#include "imapsync/move/settle.h"
#include "imapsync/move/sweep.h"

static int look_once_more(struct move_job *j, bool *is_settled_out, struct err *err)
{
    if (j->r.state != MOVE_DONE) {
        if (move_job_advance(j, MOVE_EVENT_BEGIN, err) != 0)
            return -1;
        return cutover_go_on(j, is_settled_out, err);
    }
    int result = sweep_run(j, is_settled_out, err);
    struct err why = ERR_INIT;
    move_job_set_error(j, result == 0 ? NULL : err);
    if (move_job_save(j, &why) != 0) {
        *err = why;
        return -1;
    }
    return result;
}

static int check_quiet(const struct move_job *j, bool is_settled, struct err *err)
{
    const struct move_record *r = &j->r;
    char since[32];
    if (r->report.n.items_loss + r->report.n.items_withheld > 0)
        return err_set(err, ERR_PERM, EX_DATAERR,
            "%s has messages on %s that would be lost: see `coexist-sync items %s`", r->user,
            r->from, r->user);
    if (!is_settled)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL,
            "a delivery to %s may still come, or what came is not on %s yet: try again later",
            r->from, r->to);
    if (r->quiet_ms == 0)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL,
            "mail for %s still comes to %s, which has to refuse or forward it first", r->user,
            r->from);
    clock_format_utc(r->quiet_ms / 1000, since);
    if (r->swept_ms - r->quiet_ms < (int64_t)j->conf->sync.sweep_interval_ms)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL,
            "no mail for %s has come to %s since %s: ask again when that is %llu s ago", r->user,
            r->from, since, (unsigned long long)(j->conf->sync.sweep_interval_ms + 999) / 1000);
    return 0;
}

int retire_run(struct move_job *j, struct err *err)
{
    bool knows, is_settled = true;
    if (move_may_hold(j->r.state) && settle_hold(j, NULL, err) != 0)
        return -1;
    if (move_is_forward(j->r.state) && settle_forward(j, err) != 0)
        return -1;
    if (!move_is_forward(j->r.state) && j->r.state != MOVE_RETIRED)
        return err_set(err, ERR_PERM, EX_NOUSER,
            "%s is not behind a flip: there is nothing to retire", j->r.user);
    if (j->r.state != MOVE_RETIRED &&
        (look_once_more(j, &is_settled, err) != 0 || check_quiet(j, is_settled, err) != 0))
        return -1;
    /* The map first: who is killed in between is swept, and retired the next time. */
    if (authority_retire(&j->map, &j->r, &knows, err) != 0 || places_retired(j, err) != 0 ||
        move_job_advance(j, MOVE_EVENT_RETIRE, err) != 0)
        return -1;
    move_job_say_own(j, NULL,
        "nobody looks for mail of %s on %s any more, and the map alone says where it goes",
        j->r.user, j->r.from);
    return 0;
}
