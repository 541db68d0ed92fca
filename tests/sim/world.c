/* SPDX-License-Identifier: ISC */
/*
 * world: see world.h.  The engine's only ways out are the clock, poll(), its ends and its journal;
 * clock_gettime() and poll() come here by the linker's --wrap.
 */
#include "tests/sim/world.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "imapsync/ends/flags.h"
#include "tests/sim/disk.h"
#include "tests/sim/model_end.h"
#include "tests/sim/site.h"

#define TICKS_MAX 60000 /* of one history: then it turns in circles */

struct world *world;

void world_lose_journal(struct world *w)
{
    ledger_journal_lost(&w->ledger);
    server_forgotten(&w->source);
    server_forgotten(&w->target);
}

bool world_may_lose(const struct world *w)
{
    return !w->ledger.is_flipped || !(server_is_owing(&w->source) || server_is_owing(&w->target));
}

void world_story(struct world *w, const char *fmt, ...)
{
    va_list ap;
    if (!w->story)
        return;
    (void)fprintf(w->story, "%6u ", w->tick);
    va_start(ap, fmt);
    (void)vfprintf(w->story, fmt, ap);
    va_end(ap);
    (void)fputc('\n', w->story);
}

void world_opened(struct world *w, bool is_target, struct end *e)
{
    struct end **at = &w->ends[is_target];
    for (size_t i = 0; *at && i < MORE_ENDS; i++)
        at = &w->more[is_target][i];
    *at = e;
    if (at != &w->ends[is_target])
        world_story(w, "  a further connection to the %s", is_target ? "target" : "source");
}

void world_closed(struct world *w, const struct end *e)
{
    for (unsigned side = 0; side < 2; side++) {
        w->ends[side] = w->ends[side] == e ? NULL : w->ends[side];
        for (size_t i = 0; i < MORE_ENDS; i++)
            w->more[side][i] = w->more[side][i] == e ? NULL : w->more[side][i];
    }
}

/* All connections of a side. */
static void cut_side(struct world *w, unsigned which)
{
    if (w->ends[which])
        model_end_cut(w->ends[which]);
    for (size_t i = 0; i < MORE_ENDS; i++) {
        if (w->more[which][i])
            model_end_cut(w->more[which][i]);
    }
}

/* Of several connections one, now this and now that. */
static bool cut(struct world *w, unsigned which)
{
    struct end *open[1 + MORE_ENDS] = {w->ends[which]}, *e;
    uint32_t n = w->ends[which] != NULL;
    for (size_t i = 0; i < MORE_ENDS; i++) {
        if (w->more[which][i])
            open[n++] = w->more[which][i];
    }
    if (n == 0)
        return false;
    e = open[w->tick % n];
    world_story(w, "  %s connection to the %s is cut", e == w->ends[which] ? "the" : "a further",
        which ? "target" : "source");
    ledger_interrupted(&w->ledger);
    model_end_cut(e);
    return true;
}

void world_restart(struct world *w, bool is_target)
{
    if (w->ends[is_target]) {
        if (w->ledger.is_in_pass)
            ledger_interrupted(&w->ledger);
        cut_side(w, is_target);
    }
    for (size_t i = 0; is_target && i < LATE_MAX; i++) {
        if (w->late[i])
            late_append_free(w->late[i]);
        w->late[i] = NULL;
    }
}

void world_kill(struct world *w, const char *where)
{
    world_story(w, "  the engine is killed %s", where);
    ledger_interrupted(&w->ledger);
    w->kill_armed = KILL_NONE;
    w->is_killed = true;
    disk_kill(site_dir());
    cut_side(w, 0);
    cut_side(w, 1);
}

static void act(struct world *w, const struct action *x)
{
    switch (x->what) {
    case ACT_CUT_SOURCE:
        (void)cut(w, 0);
        break;
    case ACT_CUT_TARGET:
        (void)cut(w, 1);
        break;
    case ACT_KILL:
        if (w->ends[0] || w->ends[1])
            world_kill(w, "at an event of the network");
        break;
    case ACT_KILL_AT_COMMIT:
        w->kill_armed = KILL_BEFORE_COMMIT;
        break;
    case ACT_KILL_BEHIND_COMMIT:
        w->kill_armed = KILL_BEHIND_COMMIT;
        break;
    default:
        people_act(w, x);
    }
}

static bool is_between(enum act a)
{
    return a == ACT_JOURNAL_LOST || a == ACT_FLIP || a == ACT_BACK;
}

/* --- Time
 * ------------------------------------------------------------------------------------------ */

static void late_arrivals(struct world *w)
{
    for (size_t i = 0; i < LATE_MAX; i++) {
        if (w->late[i] && w->late_tick[i] <= w->tick) {
            world_story(w, "  target: stores what it was sent before the cut");
            late_append_do(&w->target, w->late[i]);
            w->late[i] = NULL;
        }
    }
}

bool world_late(struct world *w, struct late_append *l)
{
    for (size_t i = 0; i < LATE_MAX; i++) {
        if (!w->late[i]) {
            w->late[i] = l;
            w->late_tick[i] = w->tick + rng_below(&w->rng, 12);
            return true;
        }
    }
    return false;
}

void world_settle_late(struct world *w)
{
    for (size_t i = 0; i < LATE_MAX; i++)
        w->late_tick[i] = 0;
    late_arrivals(w);
}

void world_tick(struct world *w)
{
    w->ledger.tick = ++w->tick;
    w->now_ms += 3;
    if (w->tick == TICKS_MAX)
        ledger_harm(&w->ledger, HARM_NO_QUIET, "it goes on for ever");
    if (w->tick >= TICKS_MAX)
        w->is_killed = true;
    late_arrivals(w);
    while (w->next < w->h->n && w->h->v[w->next].tick <= w->tick &&
           !is_between(w->h->v[w->next].what) && !w->is_killed)
        act(w, &w->h->v[w->next++]);
}

void world_revive(struct world *w)
{
    w->is_killed = false;
    w->kill_armed = KILL_NONE;
}

void world_init(struct world *w, const struct history *h, FILE *story)
{
    *w = (struct world){.h = h, .story = story, .now_ms = UINT64_C(1700000000000)};
    w->rng.s = h->seed ^ 0x5bd1e995u;
    ledger_init(&w->ledger);
    w->ledger.source = &w->source;
    w->ledger.target = &w->target;
    w->ledger.has_open = h->has_open;
    w->ledger.is_short = ((h->quirks[0] | h->quirks[1]) & QUIRK_SHORT) != 0;
    server_init(&w->source, false, h->quirks[0], &w->ledger);
    server_init(&w->target, true, h->quirks[1], &w->ledger);
    server_make(&w->source, 0);
    server_make(&w->target, 0);
    world = w;
}

void world_fini(struct world *w)
{
    for (size_t i = 0; i < LATE_MAX; i++) {
        if (w->late[i])
            late_append_free(w->late[i]);
    }
    server_fini(&w->source);
    server_fini(&w->target);
}

/* --- What the engine calls ---------------------------------------------------------------------
 */

int __wrap_clock_gettime(clockid_t id, struct timespec *out);
int __wrap_clock_gettime(clockid_t id, struct timespec *out)
{
    (void)id;
    out->tv_sec = (time_t)(world->now_ms / 1000);
    out->tv_nsec = (long)(world->now_ms % 1000) * 1000000;
    return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
    for (nfds_t i = 0; i < n; i++)
        fds[i].revents = 0;
    world_tick(world);
    if (!fds && timeout_ms > 0)
        world->now_ms += (uint64_t)timeout_ms;
    return 0;
}

int __wrap___poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t size);
int __wrap___poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t size)
{
    BUG_ON(n > size / sizeof(*fds));
    return __wrap_poll(fds, n, timeout_ms);
}
