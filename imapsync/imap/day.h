/* SPDX-License-Identifier: ISC */
/*
 * day: how many octets have come and gone within the last 24 hours, by hours, and whether there may
 * be more.  Values in, values out; the clock is the caller's, in seconds of the day's time (UTC).
 *
 * An hour counts as a whole for 24 hours from its end, so what is told is rather too much: whoever
 * counts on the other side may begin his day at any time.
 */
#ifndef IMAPSYNC_IMAP_DAY_H
#define IMAPSYNC_IMAP_DAY_H

#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"

enum day_way { DAY_DOWN, DAY_UP, DAY_WAYS }; /* from the server, to the server */

#define DAY_HOURS 25 /* 24 whole ones, and the one that runs */
#define DAY_TEXT_MAX 4096

struct day {
    struct day_hour {
        uint64_t hour; /* since 1970; 0: unused */
        uint64_t octets[DAY_WAYS];
    } hours[DAY_HOURS];
};

void day_add(struct day *d, int64_t now_s, enum day_way way, uint64_t octets);
uint64_t day_used(const struct day *d, int64_t now_s, enum day_way way);
/* When fewer than max octets will have been used: now, or at the end of an hour. */
int64_t day_free_s(const struct day *d, int64_t now_s, enum day_way way, uint64_t max);

/* As text that a person can read, into an empty buffer of DAY_TEXT_MAX. */
void day_format(const struct day *d, int64_t now_s, struct buf *out);
/* -1: it is no such text; *out is a day without anything then. */
int day_parse(struct slice text, struct day *out) ATTR_WUR;

#endif
