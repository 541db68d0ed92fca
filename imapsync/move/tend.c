/* SPDX-License-Identifier: ISC */
/* tend: see tend.h. */
#include "imapsync/move/tend.h"

#include "base/core/clock.h"
#include "imapsync/move/cutover.h"
#include "imapsync/move/settle.h"
#include "imapsync/move/sweep.h"

static bool is_due(const struct conf *conf, const struct move_record *r)
{
    int64_t age_ms = clock_wall_ms() - r->swept_ms;
    return age_ms < 0 || age_ms >= (int64_t)conf->sync.sweep_interval_ms;
}

static bool is_silent(const struct move_job *j)
{
    return j->events->is_silent &&
           (j->events->is_silent(j->arg, j->r.from) || j->events->is_silent(j->arg, j->r.to));
}

static int look_after(struct move_job *j, struct err *err)
{
    bool is_settled;
    if (move_may_hold(j->r.state) && settle_hold(j, NULL, err) != 0)
        return -1;
    if (!move_is_forward(j->r.state) || !is_due(j->conf, &j->r) || is_silent(j))
        return 0;
    if (settle_forward(j, err) != 0 || !move_is_forward(j->r.state))
        return move_is_forward(j->r.state) ? -1 : 0;
    if (j->r.state != MOVE_DONE) {
        if (move_job_advance(j, MOVE_EVENT_BEGIN, err) != 0)
            return -1;
        return cutover_go_on(j, &is_settled, err);
    }
    int result = sweep_run(j, &is_settled, err);
    move_job_set_error(j, result == 0 ? NULL : err);
    struct err why = ERR_INIT;
    if (move_job_save(j, &why) != 0) {
        *err = why;
        return -1;
    }
    return result;
}

int tend_user(const struct conf *conf, const char *dir, const struct move_events *events, void *arg,
    struct err *err)
{
    struct move_job j;
    struct move_record r;
    /* A look without the lock first: most users have nothing to tend. */
    if (move_record_load(dir, &r, err) != 0)
        return -1;
    move_record_fini(&r);
    if (!move_may_hold(r.state) && !(move_is_forward(r.state) && is_due(conf, &r)))
        return 0;
    if (move_job_open(&j, conf, NULL, dir, events, arg, err) != 0) {
        if (err->class != ERR_TEMP)
            return -1;
        err_clear(err); /* somebody else works on this user */
        return 0;
    }
    int result = look_after(&j, err);
    const char *silent = j.copy ? copy_silent_server(j.copy) : NULL;
    if (silent && events->silent)
        events->silent(arg, silent);
    move_job_close(&j);
    return result;
}
