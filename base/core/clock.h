/* SPDX-License-Identifier: ISC */
/* clock: time.  Deadlines use the monotonic clock, stamps and records the wall clock. */
#ifndef BASE_CORE_CLOCK_H
#define BASE_CORE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/slice.h"

uint64_t clock_mono_ms(void);
uint64_t clock_mono_ns(void);
int64_t clock_wall_s(void); /* seconds since 1970 */
int64_t clock_wall_ms(void);
/* "2026-11-02T09:30:00Z" (out holds at least 21 bytes). */
void clock_format_utc(int64_t wall_s, char out[32]);
/* The same, or a date alone for its midnight. 0, or -1: not a time from 1970 to 9999. */
int clock_parse_utc(struct slice text, int64_t *wall_s_out) ATTR_WUR;
/* RFC 5322 date-time in UTC: "Mon, 2 Nov 2026 09:30:00 +0000". */
void clock_format_rfc5322(int64_t wall_s, char out[48]);

#endif
