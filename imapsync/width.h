/* SPDX-License-Identifier: ISC */
/*
 * width: how many columns a text takes on a terminal.  Independent of the locale: names of folders
 * are UTF-8 whatever that says.
 */
#ifndef IMAPSYNC_WIDTH_H
#define IMAPSYNC_WIDTH_H

#include "base/core/buf.h"

/* Of UTF-8 without control characters; an octet that is no UTF-8 counts as one. */
size_t width_of(struct slice text);
/* Adds the text, cut in the middle ("Archive/...port") where it has more than max columns, and
 * filled up with blanks to min of them. */
void width_add(struct buf *out, struct slice text, size_t min, size_t max);

#endif
