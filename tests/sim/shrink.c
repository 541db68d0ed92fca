/* SPDX-License-Identifier: ISC */
/*
 * shrink: what a failing history does not need is taken out: runs of actions, half of them at
 * first, down to single ones; then quirks.  What is left fails with the same harm.  When all ticks
 * are over it tries to bring the actions closer together, so that the story is short.
 */
#include <string.h>

#include "tests/sim/history.h"

#define RUNS_MAX 3000

struct shrinking {
    struct history best;
    enum harm harm;
    unsigned runs;
};

static bool still_fails(struct shrinking *s, const struct history *h)
{
    struct outcome o;
    if (s->runs++ >= RUNS_MAX)
        return false;
    history_run(h, NULL, &o);
    if (o.harm != s->harm)
        return false;
    s->best = *h;
    return true;
}

static bool without(struct shrinking *s, uint32_t at, uint32_t n)
{
    struct history h = s->best;
    memmove(&h.v[at], &h.v[at + n], (h.n - at - n) * sizeof(*h.v));
    h.n -= n;
    return still_fails(s, &h);
}

static bool fewer_actions(struct shrinking *s)
{
    bool has_shrunk = false;
    for (uint32_t n = (s->best.n + 1) / 2; n > 0; n /= 2) {
        for (uint32_t at = 0; at + n <= s->best.n;) {
            if (without(s, at, n))
                has_shrunk = true;
            else
                at += n;
        }
    }
    return has_shrunk;
}

static bool fewer_quirks(struct shrinking *s)
{
    bool has_shrunk = false;
    for (unsigned side = 0; side < 2; side++) {
        for (unsigned i = 0; i < QUIRKS; i++) {
            struct history h = s->best;
            h.quirks[side] &= ~(1u << i);
            if (h.quirks[side] != s->best.quirks[side] && still_fails(s, &h))
                has_shrunk = true;
        }
    }
    if (s->best.portion > 0) {
        struct history h = s->best;
        h.portion = 0;
        has_shrunk |= still_fails(s, &h);
    }
    if (s->best.settle_ms > 0) {
        struct history h = s->best;
        h.settle_ms = 0;
        has_shrunk |= still_fails(s, &h);
    }
    return has_shrunk;
}

static bool closer(struct shrinking *s)
{
    bool has_shrunk = false;
    for (uint32_t i = 0; i < s->best.n; i++) {
        struct history h = s->best;
        uint32_t before = i > 0 ? h.v[i - 1].tick : 0, gap = h.v[i].tick - before;
        bool has_moved = false;
        for (; gap > 0 && !has_moved; gap /= 2) {
            h = s->best;
            for (uint32_t k = i; k < h.n; k++)
                h.v[k].tick -= gap;
            has_moved = still_fails(s, &h);
        }
        has_shrunk |= has_moved;
    }
    return has_shrunk;
}

unsigned history_shrink(struct history *h)
{
    struct shrinking s = {.best = *h};
    struct outcome o;
    history_run(h, NULL, &o);
    s.harm = o.harm;
    if (s.harm == HARM_NONE)
        return 1;
    for (bool goes_on = true; goes_on && s.runs < RUNS_MAX;) {
        goes_on = fewer_actions(&s);
        goes_on |= fewer_quirks(&s);
        goes_on |= closer(&s);
    }
    *h = s.best;
    return s.runs + 1;
}
