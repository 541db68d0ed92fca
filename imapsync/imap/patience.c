/* SPDX-License-Identifier: ISC */
/* patience: see patience.h. */
#include "imapsync/imap/patience.h"

void patience_init(struct patience *p, uint64_t timeout_ms)
{
    *p = (struct patience){.timeout_ms = timeout_ms};
}

void patience_limit(struct patience *p, uint64_t limit_ms)
{
    p->limit_ms = limit_ms;
    p->total_ms = 0;
}

static uint64_t left(uint64_t limit_ms, uint64_t spent_ms)
{
    return limit_ms > spent_ms ? limit_ms - spent_ms : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t ms_left(const struct patience *p)
{
    uint64_t ms =
        least(left(p->timeout_ms, p->waited_ms), left(p->timeout_ms * PATIENCE_BARE, p->bare_ms));
    return p->limit_ms > 0 ? least(ms, left(p->limit_ms, p->total_ms)) : ms;
}

uint64_t patience_wait(struct patience *p, uint64_t now_ms, bool is_owed)
{
    p->from_ms = now_ms;
    p->asked_ms = 0;
    if (!is_owed) {
        patience_answer(p);
        return UINT64_MAX;
    }
    p->asked_ms = ms_left(p);
    return p->asked_ms;
}

void patience_look(struct patience *p, uint64_t now_ms)
{
    uint64_t ms = least(left(now_ms, p->from_ms), p->asked_ms);
    p->asked_ms = 0;
    p->waited_ms += ms;
    p->bare_ms += ms;
    p->total_ms += ms;
}

bool patience_is_over(const struct patience *p)
{
    return ms_left(p) == 0;
}

void patience_progress(struct patience *p)
{
    p->waited_ms = 0;
}

void patience_octets(struct patience *p, uint64_t n)
{
    p->octets += n;
    if (p->octets >= PATIENCE_OCTETS)
        patience_answer(p);
}

void patience_answer(struct patience *p)
{
    p->octets = 0;
    p->waited_ms = 0;
    p->bare_ms = 0;
}
