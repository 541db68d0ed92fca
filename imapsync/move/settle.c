/* SPDX-License-Identifier: ISC */
/*
 * settle: see settle.h.
 *
 * While the map may hold the user, every way out leads through ask_map(): it makes the map say who
 * has the user now, by repeating the hold when its reply may have been lost, by releasing, and by
 * looking at the route when the release was refused.  So a flip whose reply was lost counts as what
 * it was, and a request that is still on its way when we ask finds its epoch gone.
 */
#include "imapsync/move/settle.h"

#include <string.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "imapsync/move/places.h"
#include "maps/moved.h"

/* A restore of the map has found that nobody knows; whoever ends its hold says where the user is.
 */
static bool is_in_doubt(
    const struct move_job *j, const struct authority_entry *entry, struct err *err)
{
    if (strcmp(entry->holder, MOVED_RESTORE) != 0)
        return false;
    err_set(err, ERR_TEMP, EX_TEMPFAIL,
        "%s is held since the map was restored (maptool restore --take map|sync %s)", j->r.user,
        j->r.user);
    return true;
}

/* From holding to verified: ends the hold if it is ours, and says where the user is. */
static int ask_map(struct move_job *j, const char *why, enum move_event *event_out, struct err *err)
{
    struct authority_entry entry;
    bool knows;
    /* The hold may have been asked for without an answer, and may even be on its way still: asked
     * for again under the same id, it has happened once and its epoch is known. */
    if (j->r.state == MOVE_HOLDING &&
        authority_hold(&j->map, &j->r, &j->r.hold_epoch, &knows, err) != 0 && !knows)
        return -1;
    *event_out = MOVE_EVENT_ON_OLD;
    if (j->r.hold_epoch > 0 && authority_release(&j->map, &j->r, why, &knows, err) == 0)
        return 0;
    if (j->r.hold_epoch > 0 && !knows)
        return -1;
    if (authority_get(&j->map, j->r.user, &entry, &knows, err) != 0)
        return -1;
    if (entry.is_there && strcmp(entry.route, j->r.to) == 0)
        *event_out = MOVE_EVENT_ON_NEW;
    else if (is_in_doubt(j, &entry, err))
        return -1;
    return 0;
}

int settle_hold(struct move_job *j, const struct err *why, struct err *err)
{
    enum move_event event;
    bool was_measured = j->hold_start_ms > 0;
    if (ask_map(j, why ? why->text : "the cut-over was interrupted", &event, err) != 0) {
        move_job_set_error(j, why ? why : err);
        struct err ignored = ERR_INIT;
        if (move_job_save(j, &ignored) != 0)
            log_error("record", log_err(&ignored));
        return err_wrap(err, "nobody can say where %s is", j->r.user);
    }
    if (was_measured)
        j->r.held_ms = move_job_held_ms(j);
    move_job_set_error(j, event == MOVE_EVENT_ON_OLD ? why : NULL);
    if (event == MOVE_EVENT_ON_NEW && j->r.flipped_ms == 0)
        j->r.flipped_ms = clock_wall_ms();
    if (event == MOVE_EVENT_ON_OLD && j->r.state == MOVE_VERIFIED)
        places_no_flip(j);
    /* The map has spoken, whether it can be written down or not: a restart asks again. */
    struct err unwritten = ERR_INIT;
    if (move_job_advance(j, event, &unwritten) != 0) {
        log_error("record", log_err(&unwritten));
        move_job_step(j, event);
    }
    if (event == MOVE_EVENT_ON_NEW)
        move_job_say_own(j, NULL, "the map says that %s is on %s", j->r.user, j->r.to);
    else
        move_job_say_own(j, move_job_number("hold_ms", j->r.held_ms), "%s stays on %s: %s",
            j->r.user, j->r.from, why ? why->text : "the cut-over was interrupted");
    return 0;
}

int settle_forward(struct move_job *j, struct err *err)
{
    struct authority_entry entry;
    bool knows;
    if (authority_get(&j->map, j->r.user, &entry, &knows, err) != 0)
        return -1;
    bool is_on_new = entry.is_there && strcmp(entry.route, j->r.to) == 0;
    if (!is_on_new && is_in_doubt(j, &entry, err))
        return -1;
    enum move_event event = is_on_new ? MOVE_EVENT_ON_NEW : MOVE_EVENT_ON_OLD;
    if (move_next(j->r.state, event) == j->r.state)
        return 0;
    move_job_say_own(j, NULL, "the map does not route %s to %s any more", j->r.user, j->r.to);
    places_changed_by_hand(j);
    return move_job_advance(j, event, err);
}
