/* SPDX-License-Identifier: ISC */
/*
 * speed: how fast something goes, by what it has done lately, and how long the rest takes.  A pure
 * function of what it is told; it knows no clock.
 *
 *     struct speed s = {0};
 *     speed_add(&s, now_ms, messages, octets);      sums, as often as anybody likes
 *     struct speed_now now = speed_now(&s);
 *     int64_t left_ms = speed_left_ms(&now, messages_left, 0);
 */
#ifndef IMAPSYNC_SPEED_H
#define IMAPSYNC_SPEED_H

#include <stddef.h>
#include <stdint.h>

#define SPEED_EVERY_MS 500  /* between two samples */
#define SPEED_SAMPLES 61    /* half a minute of them */
#define SPEED_LEAST_MS 1000 /* before that nobody can tell */

struct speed_sample {
    uint64_t ms, messages, octets;
};

struct speed {
    struct speed_sample v[SPEED_SAMPLES]; /* a ring; the last one is the newest */
    size_t n, next;
    struct speed_sample newest;
};

/* For each second; 0: nobody can tell yet, or nothing goes on. */
struct speed_now {
    double messages, octets;
};

void speed_add(struct speed *s, uint64_t now_ms, uint64_t messages, uint64_t octets);
struct speed_now speed_now(const struct speed *s);
/* octets: 0: not known.  -1: nobody can tell. */
int64_t speed_left_ms(const struct speed_now *now, uint64_t messages, uint64_t octets);
/* The same where a pace that is kept to lets it take no less than so many seconds; 0: none does. */
int64_t speed_no_sooner_ms(int64_t left_ms, uint64_t bound_s);

#endif
