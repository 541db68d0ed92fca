/* SPDX-License-Identifier: ISC */
/* tend: see tend.h. */
#include "imapsync/move/tend.h"

#include "imapsync/move/cutover.h"
#include "imapsync/move/settle.h"
#include "imapsync/move/sweep.h"

static int settle(struct move_job *j, struct err *err)
{
    return move_may_hold(j->r.state) ? settle_hold(j, NULL, err) : 0;
}

static int look_after(struct move_job *j, struct err *err)
{
    bool is_settled;
    if (settle(j, err) != 0)
        return -1;
    if (!move_is_forward(j->r.state))
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

int tend_settle(const struct conf *conf, const char *user, const struct move_events *events,
    void *arg, struct err *err)
{
    struct move_job j;
    if (move_job_open(&j, conf, user, events, arg, err) != 0)
        return -1;
    int result = settle(&j, err);
    move_job_close(&j);
    return result;
}

int tend_sweep(const struct conf *conf, const char *user, const struct move_events *events,
    void *arg, struct err *err)
{
    struct move_job j;
    if (move_job_open(&j, conf, user, events, arg, err) != 0)
        return -1;
    int result = look_after(&j, err);
    move_job_close(&j);
    return result;
}
