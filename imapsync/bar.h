/* SPDX-License-Identifier: ISC */
/*
 * bar: how far a copy is, as one line that fits a terminal.  A pure function of its numbers.
 *
 *     [#########...........]  42%  1234/2900  24.1 MiB  3.2 MiB/s  0:12 left  INBOX
 *
 *     compares  [####......]  42%  1234/2900  0:12 left  INBOX
 *
 * Where there is no room the folder is cut first, then left out what stands before it.
 */
#ifndef IMAPSYNC_BAR_H
#define IMAPSYNC_BAR_H

#include "base/core/buf.h"
#include "imapsync/speed.h"

struct bar {
    uint64_t done, total; /* messages; total 0: not known yet */
    uint64_t octets;      /* copied */
    struct speed_now speed;
    int64_t left_ms;    /* -1: nobody can tell */
    const char *folder; /* clean; NULL: none yet */
    const char *what; /* in front of it, such as "compares"; NULL: it copies, and octets are told */
};

/* At most width columns, at least 20 of them, and no line end. */
void bar_line(const struct bar *b, size_t width, struct buf *out);

/* "24.1 MiB", "812 B" */
void bar_add_octets(struct buf *out, double octets);
/* "0:12", "1:02:03", "3 d 4 h" */
void bar_add_time(struct buf *out, int64_t ms);

#endif
