/* SPDX-License-Identifier: ISC */
/* imap_end: a mailbox on an IMAP server as an end. */
#ifndef IMAPSYNC_ENDS_IMAP_END_H
#define IMAPSYNC_ENDS_IMAP_END_H

#include "imapsync/ends/end.h"
#include "imapsync/ends/imap_manner.h"
#include "imapsync/imap/conn.h"

struct imap_end_maker {
    struct end_maker maker;
    const struct imap_place *place; /* borrowed, as long as the ends that it makes */
    struct imap_manner manner;      /* set behind imap_end_maker_init() */
    struct buf name;
};

int imap_end_maker_init(
    struct imap_end_maker *m, const struct imap_place *place, struct err *err) ATTR_WUR;
void imap_end_maker_fini(struct imap_end_maker *m);

#endif
