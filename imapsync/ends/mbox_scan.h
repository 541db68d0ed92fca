/* SPDX-License-Identifier: ISC */
/*
 * mbox_scan: the messages of an mbox, by reading all of it once.
 *
 *     struct mbox_scan s;
 *     mbox_scan_init(&s, read_at, arg);
 *     if (mbox_scan_run(&s, size, &err) != 0) ...
 *     s.v[i]; s.n;
 *     mbox_scan_fini(&s);
 *
 * A message begins with a line that mbox_from_parse() takes, or with the first line of the file.
 * A Content-Length is believed if such a line, or the end of the file, stands just behind what it
 * counts.  One empty line in front of the next message belongs to none; of ours, whose octets are
 * counted, one line end.  What is shorter than its count was being written when somebody was
 * stopped: it is left out.
 */
#ifndef IMAPSYNC_ENDS_MBOX_SCAN_H
#define IMAPSYNC_ENDS_MBOX_SCAN_H

#include <stdint.h>
#include <sys/types.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "imapsync/ends/flags.h"
#include "imapsync/ends/mbox_codec.h"

#define MBOX_NO_DATE INT64_MIN

struct mbox_mail {
    uint64_t at;        /* of its From_ line */
    uint64_t head, end; /* its octets in the file; fields of the mailbox's own are among them */
    uint64_t behind;    /* where the next one begins */
    uint64_t size, key; /* of what is told: how many octets, and a digest of them */
    int64_t date_s;     /* MBOX_NO_DATE: the line had none */
    uint32_t uid;       /* X-UID; 0: none */
    struct flags flags; /* keywords by the table of the scan */
    bool is_local;      /* date_s is what a clock showed here */
    uint8_t style;      /* of enum mbox_style */
};

struct mbox_scan {
    ssize_t (*read_at)(void *arg, uint64_t at, void *to, size_t n); /* -1 with errno */
    void *arg;
    struct mbox_mail *v;
    size_t n, cap;
    struct keywords keywords;
    size_t keywords_lost;
    uint32_t validity, last; /* of X-IMAPbase, or X-IMAP; 0: there is none */
    uint64_t base_at; /* where its line stands, and how long it is with all that continues it */
    size_t base_n;
    uint64_t base_head;            /* of the header that it is in */
    struct keywords base_keywords; /* that it names */
    uint64_t size,
        sound;       /* what was read; where a message begins that is not whole: the last one */
    size_t n_torn;   /* messages that are not whole */
    bool ends_line;  /* with a line end, or empty */
    bool has_pseudo; /* the first one is no message: it keeps what X-IMAPbase says, in front of v[0]
                      */
};

void mbox_scan_init(
    struct mbox_scan *s, ssize_t (*read_at)(void *arg, uint64_t at, void *to, size_t n), void *arg);
void mbox_scan_fini(struct mbox_scan *s);
/* The first size octets.  -1: they cannot be read, or are no mbox. */
int mbox_scan_run(struct mbox_scan *s, uint64_t size, struct err *err) ATTR_WUR;

#endif
