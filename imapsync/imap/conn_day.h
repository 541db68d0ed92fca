/* SPDX-License-Identifier: ISC */
/*
 * conn_day: the octets of a mailbox within 24 hours, counted in a file, so that the next run knows
 * of them, and what there may be of them.  One for each file, for all connections of the process.
 */
#ifndef IMAPSYNC_IMAP_CONN_DAY_H
#define IMAPSYNC_IMAP_CONN_DAY_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "imapsync/imap/day.h"

#define IMAP_DAY_SAVE_S 5 /* what a kill may make us forget */

struct imap_day;

/* Lives as long as the process.  A file that cannot be read is a day that begins now, and told. */
struct imap_day *imap_day_of(const char *path);
/* 0: any number. */
void imap_day_set(struct imap_day *d, const uint64_t max[DAY_WAYS]);
/* Counts, and writes it down when it is time to. */
void imap_day_moved(struct imap_day *d, int64_t now_s, enum day_way way, uint64_t octets);
void imap_day_save(struct imap_day *d, int64_t now_s);
uint64_t imap_day_used(struct imap_day *d, int64_t now_s, enum day_way way);
/* -1: all that there may be in a day has been moved; err says so, and until when. */
int imap_day_check(struct imap_day *d, int64_t now_s, struct err *err) ATTR_WUR;

#endif
