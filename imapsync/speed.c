/* SPDX-License-Identifier: ISC */
/*
 * speed: see speed.h.  What counts is the last half minute: a mailbox has folders of large messages
 * and folders of small ones, and servers slow down.  Where octets and messages tell different
 * times, the longer one is told.
 */
#include "imapsync/speed.h"

void speed_add(struct speed *s, uint64_t now_ms, uint64_t messages, uint64_t octets)
{
    const struct speed_sample sample = {now_ms, messages, octets};
    const struct speed_sample *last = &s->v[(s->next + SPEED_SAMPLES - 1) % SPEED_SAMPLES];
    /* It was begun anew. */
    if (s->n > 0 &&
        (now_ms < s->newest.ms || messages < s->newest.messages || octets < s->newest.octets))
        *s = (struct speed){0};
    s->newest = sample;
    if (s->n > 0 && now_ms - last->ms < SPEED_EVERY_MS)
        return;
    s->v[s->next] = sample;
    s->next = (s->next + 1) % SPEED_SAMPLES;
    if (s->n < SPEED_SAMPLES)
        s->n++;
}

/* The oldest that is not older than all samples together may be. */
static const struct speed_sample *oldest(const struct speed *s)
{
    const uint64_t window_ms = (SPEED_SAMPLES - 1) * SPEED_EVERY_MS;
    size_t at = (s->next + SPEED_SAMPLES - s->n) % SPEED_SAMPLES;
    /* One before it stays, so that a stop is seen as one. */
    for (size_t i = 0; i + 1 < s->n; i++) {
        size_t next = (at + 1) % SPEED_SAMPLES;
        if (s->newest.ms - s->v[next].ms <= window_ms)
            break;
        at = next;
    }
    return &s->v[at];
}

struct speed_now speed_now(const struct speed *s)
{
    struct speed_now now = {0};
    if (s->n == 0)
        return now;
    const struct speed_sample *from = oldest(s);
    const uint64_t ms = s->newest.ms - from->ms;
    if (ms < SPEED_LEAST_MS)
        return now;
    now.messages = (double)(s->newest.messages - from->messages) * 1000 / (double)ms;
    now.octets = (double)(s->newest.octets - from->octets) * 1000 / (double)ms;
    return now;
}

int64_t speed_left_ms(const struct speed_now *now, uint64_t messages, uint64_t octets)
{
    double s = 0;
    if (messages == 0 && octets == 0)
        return 0;
    if ((messages > 0 && !(now->messages > 0)) || (octets > 0 && !(now->octets > 0)))
        return -1;
    if (messages > 0)
        s = (double)messages / now->messages;
    if (octets > 0 && (double)octets / now->octets > s)
        s = (double)octets / now->octets;
    return s < 1e12 ? (int64_t)(s * 1000) : -1;
}

int64_t speed_no_sooner_ms(int64_t left_ms, uint64_t bound_s)
{
    const int64_t bound_ms = bound_s < INT64_MAX / 1000 ? (int64_t)bound_s * 1000 : INT64_MAX;
    return bound_ms > 0 && bound_ms > left_ms ? bound_ms : left_ms;
}
