/* SPDX-License-Identifier: ISC */
/*
 * pace: a token bucket: so many of something a second in the long run, and not more than a second's
 * worth at once.  Values in, values out; the clock is the caller's.
 *
 *     n = pace_room(&p, now_ms, least);      how many may be taken now
 *     pace_take(&p, n);
 *     ms = pace_wait_ms(&p, now_ms, least);  until `least` may be
 */
#ifndef IMAPSYNC_IMAP_PACE_H
#define IMAPSYNC_IMAP_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct pace {
    uint64_t rate;  /* a second; 0: as many as one likes */
    uint64_t milli; /* thousandths that are there */
    uint64_t at_ms; /* when that was so */
    bool is_begun;
};

#define PACE_RATE_MAX (UINT64_C(1) << 40)

/* What is there already stays, as far as it is not more than the new rate's second. */
void pace_set(struct pace *p, uint64_t rate);
/* How many may be taken, UINT64_MAX: any number; 0 while there are fewer than least, or than a
 * second's worth where that is less. */
uint64_t pace_room(struct pace *p, uint64_t now_ms, uint64_t least);
void pace_take(struct pace *p, uint64_t n); /* n <= what there is room for */
uint64_t pace_wait_ms(struct pace *p, uint64_t now_ms, uint64_t least); /* 0: now */

#endif
