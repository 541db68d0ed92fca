/* SPDX-License-Identifier: ISC */
/*
 * machine: the states of one user's cut-over, as a table and nothing else.  Pure: what is done in a
 * state is in works.h and sweep.h, what is known about it on disk in record.h.
 *
 * The legal orders:
 *
 *   prepared -> copying -> synced -> holding -> draining -> delta -> verified
 *            -> flipped -> sweeping -> done -> retired
 *
 * Up to verified the user is on the old server.  From holding to verified the map may hold the
 * user, and while that is so nothing is decided from memory: after a failure and after a restart
 * the map is asked first, and its answer (ON_OLD or ON_NEW) is the event that leads on, back to
 * released or forward to flipped.  From flipped on there is only forward, or, when somebody asks
 * for it, the same way with both servers exchanged, until the old one is retired.
 */
#ifndef IMAPSYNC_MOVE_MACHINE_H
#define IMAPSYNC_MOVE_MACHINE_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/slice.h"

enum move_state {
    MOVE_NONE, /* nothing is known about this user */
    MOVE_PREPARED,
    MOVE_COPYING,
    MOVE_SYNCED,
    MOVE_HOLDING,
    MOVE_DRAINING,
    MOVE_DELTA,
    MOVE_VERIFIED,
    MOVE_FLIPPED,
    MOVE_SWEEPING,
    MOVE_DONE,
    MOVE_RELEASED,    /* on old again: something did not work out, the reason is in the record */
    MOVE_ROLLED_BACK, /* on old again: because somebody wanted it so */
    MOVE_RETIRED, /* on new, and old is not looked at any more; from here on as if never moved */
};
#define MOVE_STATES (MOVE_RETIRED + 1)

enum move_event {
    MOVE_EVENT_BEGIN,  /* somebody asks for the cut-over, for the first time or again */
    MOVE_EVENT_DONE,   /* the work of this state is done */
    MOVE_EVENT_BACK,   /* somebody wants to stay on old */
    MOVE_EVENT_RETURN, /* somebody wants to go back to old, from new, which is the old one then */
    MOVE_EVENT_ON_OLD, /* asked: the map has no hold of ours and routes the user to old */
    MOVE_EVENT_ON_NEW, /* asked: the map routes the user to new */
    MOVE_EVENT_RETIRE, /* somebody says that nothing comes to old any more, and it is so */
};
#define MOVE_EVENTS (MOVE_EVENT_RETIRE + 1)

enum move_work {
    MOVE_WORK_NONE,
    MOVE_WORK_CONNECT,  /* do both servers let us in */
    MOVE_WORK_COPY,     /* everything, while the user works on old */
    MOVE_WORK_APPROACH, /* again until little is left; read the target and compare contents */
    MOVE_WORK_HOLD,
    MOVE_WORK_BARRIER,
    MOVE_WORK_DELTA, /* what came since, and compare again */
    MOVE_WORK_FLIP,
    MOVE_WORK_SWEEP, /* late arrivals on old */
};

/* The state that follows; MOVE_NONE: this event is not for this state. */
enum move_state move_next(enum move_state from, enum move_event event);
enum move_work move_work(enum move_state s);
/* The map may hold the user for us: ask it before anything else. */
bool move_may_hold(enum move_state s);
/* The flip has happened, and sweeps look for what comes to old. */
bool move_is_forward(enum move_state s);

const char *move_state_name(enum move_state s);
int move_state_parse(struct slice name, enum move_state *out) ATTR_WUR;
const char *move_event_name(enum move_event e);

#endif
