/* SPDX-License-Identifier: ISC */
/*
 * uids: sets of UIDs (or other numbers from 1 on) in the two forms that we have: as IMAP writes
 * them, "1,3:5,9" (RFC 9051 sequence-set without "*"), and as ascending arrays without repetition.
 */
#ifndef BASE_MAIL_UIDS_H
#define BASE_MAIL_UIDS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"

struct uid_range {
    uint32_t first, last; /* first <= last, both at least 1 */
};

/* Takes the next range off the set: 1, 0 at the end, -1: not a set. */
int uids_next(struct slice *set, struct uid_range *out) ATTR_WUR;
/* Writes the set's numbers in its own order; *n_out is how many. -1: not a set, or more than max.
 */
int uids_read(struct slice set, uint32_t *out, size_t max, size_t *n_out) ATTR_WUR;
/* Adds ascending numbers as a set with ranges. */
int uids_write(struct buf *out, const uint32_t *uids, size_t n) ATTR_WUR;

/* Makes any array ascending, each number once; how many those are. */
size_t uids_sort(uint32_t *uids, size_t n);
/* Whether an ascending array has it. */
bool uids_have(const uint32_t *sorted, size_t n, uint32_t uid);

#endif
