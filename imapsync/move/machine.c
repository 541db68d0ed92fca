/* SPDX-License-Identifier: ISC */
/*
 * machine: the table of a cut-over; docs/trace-one-cutover.md walks through it.
 *
 * A restart needs no column of its own: states that may hold ask the map, and all others simply do
 * their work again, which is harmless since every work is (the copy has its journal, a sweep only
 * adds, a flip and a hold have request ids).
 */
#include "imapsync/move/machine.h"

#include <stddef.h>

struct state_row {
    const char *name;
    enum move_work work;
    bool may_hold, is_forward;
    enum move_state next[MOVE_EVENTS]; /* MOVE_NONE: not possible */
};

#define NEXT(begin, done, back, return_, on_old, on_new, retire)                                   \
    {                                                                                              \
        [MOVE_EVENT_BEGIN] = MOVE_##begin, [MOVE_EVENT_DONE] = MOVE_##done,                        \
        [MOVE_EVENT_BACK] = MOVE_##back, [MOVE_EVENT_RETURN] = MOVE_##return_,                     \
        [MOVE_EVENT_ON_OLD] = MOVE_##on_old, [MOVE_EVENT_ON_NEW] = MOVE_##on_new,                  \
        [MOVE_EVENT_RETIRE] = MOVE_##retire                                                        \
    }

/* clang-format off */
static const struct state_row rows[] = {
    /*                    name           work      holds  forward      BEGIN     DONE      BACK         RETURN    ON_OLD       ON_NEW      RETIRE */
    [MOVE_NONE]        = {"none",        MOVE_WORK_NONE,     false, false, NEXT(PREPARED, NONE,     NONE,        NONE,     NONE,        NONE,       NONE)},
    [MOVE_PREPARED]    = {"prepared",    MOVE_WORK_CONNECT,  false, false, NEXT(PREPARED, COPYING,  ROLLED_BACK, NONE,     PREPARED,    NONE,       NONE)},
    [MOVE_COPYING]     = {"copying",     MOVE_WORK_COPY,     false, false, NEXT(PREPARED, SYNCED,   ROLLED_BACK, NONE,     COPYING,     NONE,       NONE)},
    [MOVE_SYNCED]      = {"synced",      MOVE_WORK_APPROACH, false, false, NEXT(PREPARED, HOLDING,  ROLLED_BACK, NONE,     SYNCED,      NONE,       NONE)},
    [MOVE_HOLDING]     = {"holding",     MOVE_WORK_HOLD,     true,  false, NEXT(NONE,     DRAINING, NONE,        NONE,     RELEASED,    FLIPPED,    NONE)},
    [MOVE_DRAINING]    = {"draining",    MOVE_WORK_BARRIER,  true,  false, NEXT(NONE,     DELTA,    NONE,        NONE,     RELEASED,    FLIPPED,    NONE)},
    [MOVE_DELTA]       = {"delta",       MOVE_WORK_DELTA,    true,  false, NEXT(NONE,     VERIFIED, NONE,        NONE,     RELEASED,    FLIPPED,    NONE)},
    [MOVE_VERIFIED]    = {"verified",    MOVE_WORK_FLIP,     true,  false, NEXT(NONE,     FLIPPED,  NONE,        NONE,     RELEASED,    FLIPPED,    NONE)},
    [MOVE_FLIPPED]     = {"flipped",     MOVE_WORK_NONE,     false, true,  NEXT(FLIPPED,  SWEEPING, NONE,        PREPARED, ROLLED_BACK, FLIPPED,    NONE)},
    [MOVE_SWEEPING]    = {"sweeping",    MOVE_WORK_SWEEP,    false, true,  NEXT(SWEEPING, DONE,     NONE,        PREPARED, ROLLED_BACK, SWEEPING,   NONE)},
    [MOVE_DONE]        = {"done",        MOVE_WORK_NONE,     false, true,  NEXT(SWEEPING, NONE,     NONE,        PREPARED, ROLLED_BACK, DONE,       RETIRED)},
    [MOVE_RELEASED]    = {"released",    MOVE_WORK_NONE,     false, false, NEXT(PREPARED, NONE,     ROLLED_BACK, NONE,     RELEASED,    NONE,       NONE)},
    [MOVE_ROLLED_BACK] = {"rolled-back", MOVE_WORK_NONE,     false, false, NEXT(PREPARED, NONE,     ROLLED_BACK, NONE,     ROLLED_BACK, NONE,       NONE)},
    [MOVE_RETIRED]     = {"retired",     MOVE_WORK_NONE,     false, false, NEXT(PREPARED, NONE,     NONE,        NONE,     RETIRED,     NONE,       RETIRED)},
};
/* clang-format on */
_Static_assert(sizeof(rows) / sizeof(rows[0]) == MOVE_STATES, "one row for each state");

static const char *const event_names[] = {
    [MOVE_EVENT_BEGIN] = "begin",
    [MOVE_EVENT_DONE] = "done",
    [MOVE_EVENT_BACK] = "back",
    [MOVE_EVENT_RETURN] = "return",
    [MOVE_EVENT_ON_OLD] = "on-old",
    [MOVE_EVENT_ON_NEW] = "on-new",
    [MOVE_EVENT_RETIRE] = "retire",
};
_Static_assert(sizeof(event_names) / sizeof(event_names[0]) == MOVE_EVENTS, "all events");

enum move_state move_next(enum move_state from, enum move_event event)
{
    return rows[from].next[event];
}

enum move_work move_work(enum move_state s)
{
    return rows[s].work;
}

bool move_may_hold(enum move_state s)
{
    return rows[s].may_hold;
}

bool move_is_forward(enum move_state s)
{
    return rows[s].is_forward;
}

const char *move_state_name(enum move_state s)
{
    return rows[s].name;
}

int move_state_parse(struct slice name, enum move_state *out)
{
    for (size_t i = 0; i < MOVE_STATES; i++) {
        if (slice_eq(name, slice_str(rows[i].name))) {
            *out = (enum move_state)i;
            return 0;
        }
    }
    return -1;
}

const char *move_event_name(enum move_event e)
{
    return event_names[e];
}
