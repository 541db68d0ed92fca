/* SPDX-License-Identifier: ISC */
/* pace: see pace.h.  A bucket is full when it is asked for the first time. */
#include "imapsync/imap/pace.h"

static uint64_t least_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t full(const struct pace *p)
{
    return p->rate * 1000;
}

void pace_set(struct pace *p, uint64_t rate)
{
    p->rate = least_of(rate, PACE_RATE_MAX);
    p->milli = least_of(p->milli, full(p));
}

/* A clock that goes back gives nothing. */
static void fill(struct pace *p, uint64_t now_ms)
{
    uint64_t ms = p->is_begun && now_ms > p->at_ms ? now_ms - p->at_ms : 0;
    if (!p->is_begun || ms >= 1000)
        p->milli = full(p);
    else
        p->milli = least_of(p->milli + ms * p->rate, full(p));
    p->at_ms = now_ms;
    p->is_begun = true;
}

uint64_t pace_room(struct pace *p, uint64_t now_ms, uint64_t least)
{
    if (p->rate == 0)
        return UINT64_MAX;
    fill(p, now_ms);
    return p->milli / 1000 >= least_of(least, p->rate) ? p->milli / 1000 : 0;
}

void pace_take(struct pace *p, uint64_t n)
{
    if (p->rate > 0)
        p->milli -= least_of(p->milli, n * 1000);
}

uint64_t pace_wait_ms(struct pace *p, uint64_t now_ms, uint64_t least)
{
    if (p->rate == 0)
        return 0;
    fill(p, now_ms);
    uint64_t wanted = least_of(least, p->rate) * 1000;
    return p->milli >= wanted ? 0 : (wanted - p->milli + p->rate - 1) / p->rate;
}
