/* SPDX-License-Identifier: ISC */
/*
 * world: the clock, the network, the disk and the people of one history.  Time goes on by ticks:
 * one for each wait of the engine, for each step of a server and for each commit.  Actions of the
 * history are due at a tick, so people act in the middle of passes, and a kill or a cut comes
 * between any two events.
 *
 * A kill is the end of all effects: from then on each commit and each end fails, so the engine
 * unwinds without leaving anything behind, and the next one finds what was durable.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdio.h>
#include "tests/sim/history.h"
#include "tests/sim/model.h"
#include "tests/sim/ledger.h"
#include "tests/sim/rng.h"

struct end;
struct late_append;

enum kill { KILL_NONE, KILL_BEFORE_COMMIT, KILL_BEHIND_COMMIT };

#define LATE_MAX 16
#define MORE_ENDS 8

struct world {
    const struct history *h;
    struct rng rng; /* of the network */
    struct server source, target;
    struct ledger ledger;
    struct end *ends[2];            /* that are open */
    struct end *more[2][MORE_ENDS]; /* beside them */
    uint64_t now_ms;
    uint32_t tick;
    size_t next; /* of the actions */
    bool is_quiet;
    bool is_killed;
    enum kill kill_armed;
    uint32_t contents; /* that were used */
    struct late_append *late[LATE_MAX];
    uint32_t late_tick[LATE_MAX];
    FILE *story; /* NULL: none */
};

extern struct world *world; /* whose turn it is */

/* An end of this side is open, or is not any more. */
void world_opened(struct world *w, bool is_target, struct end *e);
void world_closed(struct world *w, const struct end *e);
void world_init(struct world *w, const struct history *h, FILE *story);
void world_fini(struct world *w);
/* An event of the network or the disk: time goes on, and who is due acts. */
void world_tick(struct world *w);
/* people.c: one of the actions that is somebody's who uses a mailbox, or runs a server. */
void people_act(struct world *w, const struct action *x);
void world_kill(struct world *w, const char *where);
/* A server goes down and comes again: its session ends, and what it has not stored it never will.
 */
void world_restart(struct world *w, bool is_target);
/* Only between passes: what was armed is over, and the disk is there again. */
void world_revive(struct world *w);
void world_story(struct world *w, const char *fmt, ...) ATTR_PRINTF(2, 3);
/* turn.c: the source becomes the target, and the other way round; nothing is open.  What both have
 * in common counts as copied before, and what was copied and is gone as deleted. */
void world_turn(struct world *w, bool has_journal);
/* The journal is lost, and what the model takes the engine to know with it... */
void world_lose_journal(struct world *w);
/* ... but behind the flip not while only the journal knows that a side was restored. */
bool world_may_lose(const struct world *w);
/* What was sent before a cut is stored now. */
void world_settle_late(struct world *w);
/* Takes it over; false: no room. */
bool world_late(struct world *w, struct late_append *l);

#endif
