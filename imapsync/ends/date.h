/* SPDX-License-Identifier: ISC */
/* date: when a message came in, as IMAP writes it (RFC 9051 date-time). */
#ifndef IMAPSYNC_ENDS_DATE_H
#define IMAPSYNC_ENDS_DATE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"

/* Further from UTC no clock on earth is. */
#define DATE_ZONE_MAX_MIN (14 * 60)

/* "17-Jul-1996 02:44:25 -0700" to seconds and zone.  false: not a date.  A zone beyond
 * DATE_ZONE_MAX_MIN counts for the seconds, and the zone is then UTC: many servers refuse it. */
bool date_parse(struct slice text, int64_t *s_out, int16_t *zone_min_out);
/* And back to the same text. */
int date_format(int64_t s, int16_t zone_min, struct buf *out) ATTR_WUR;

/* For who reads other forms: the day's first second in UTC since 1970, month 1 to 12; and a zone as
 * date_parse() tells it. */
int64_t date_seconds(int64_t year, unsigned month, unsigned day);
int16_t date_zone(int minutes);

#endif
