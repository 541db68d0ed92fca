/* SPDX-License-Identifier: ISC */
/* date: when a message came in, as IMAP writes it (RFC 9051 date-time). */
#ifndef IMAPSYNC_ENDS_DATE_H
#define IMAPSYNC_ENDS_DATE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"

/* "17-Jul-1996 02:44:25 -0700" to seconds and zone.  false: not a date. */
bool date_parse(struct slice text, int64_t *s_out, int16_t *zone_min_out);
/* And back to the same text. */
int date_format(int64_t s, int16_t zone_min, struct buf *out) ATTR_WUR;

#endif
