/* SPDX-License-Identifier: ISC */
/* text: what servers and users have written, as text that JSON and a terminal can take. */
#ifndef IMAPSYNC_JOURNAL_TEXT_H
#define IMAPSYNC_JOURNAL_TEXT_H

#include <jansson.h>
#include "base/core/attr.h"
#include "base/core/buf.h"

/* Adds s with a "?" for each octet that is not part of UTF-8 and for each control character, those
 * of U+0080 to U+009F too. -1: out is full, and keeps what went in. */
int text_clean(struct slice s, struct buf *out) ATTR_WUR;
/* The cleaned copy, on the heap. */
char *text_dup(struct slice s);
json_t *text_json(const char *s); /* never NULL */

#endif
