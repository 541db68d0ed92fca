/* SPDX-License-Identifier: ISC */
/*
 * arrival: when a message came in, by its own header: for servers that tell no INTERNALDATE that
 * can be read.
 *
 *     if (arrival_of(fields, clock_wall_s(), &s, &zone_min)) ...
 */
#ifndef IMAPSYNC_ENDS_ARRIVAL_H
#define IMAPSYNC_ENDS_ARRIVAL_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/slice.h"

#define ARRIVAL_AHEAD_S 86400 /* so much in the future may be a clock, or a zone, that is wrong */

/* A date-time as people and programs have written it since RFC 822, with comments and folds.  What
 * follows a whole one is passed over.  false: not a date. */
bool arrival_parse(struct slice text, int64_t *s_out, int16_t *zone_min_out);
/* Of header fields: that of the newest Received, which is the topmost that can be read; without any
 * that of Date.  One before 1970, or in the future as of now_s, is not believed.  false: none. */
bool arrival_of(struct slice fields, int64_t now_s, int64_t *s_out, int16_t *zone_min_out);

#endif
