/* SPDX-License-Identifier: ISC */
/* charset: text of other character sets as UTF-8, by iconv(3). */
#ifndef BASE_OS_CHARSET_H
#define BASE_OS_CHARSET_H

#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"

/* Appends all of `in` to out.  -1: EX_USAGE for a set that iconv does not know, EX_DATAERR with the
 * line of the first octet that is none of the set, or when out is full. */
int charset_to_utf8(const char *set, struct slice in, struct buf *out, struct err *err) ATTR_WUR;

#endif
