/* SPDX-License-Identifier: ISC */
/* set: IMAP's sets of numbers, "1,3:5,9" (RFC 9051 sequence-set without "*"). */
#ifndef IMAPSYNC_IMAP_SET_H
#define IMAPSYNC_IMAP_SET_H

#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"

struct imap_range {
    uint32_t first, last; /* first <= last, both at least 1 */
};

/* Takes the next range off the set: 1, 0 at the end, -1: not a set. */
int imap_set_next(struct slice *set, struct imap_range *out) ATTR_WUR;
/* Writes the set's numbers in its own order; *n_out is how many. -1: not a set, or more than max.
 */
int imap_set_expand(struct slice set, uint32_t *out, size_t max, size_t *n_out) ATTR_WUR;
/* Adds ascending numbers as a set with ranges. */
int imap_set_add(struct buf *out, const uint32_t *uids, size_t n) ATTR_WUR;

#endif
