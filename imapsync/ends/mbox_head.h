/* SPDX-License-Identifier: ISC */
/*
 * mbox_head: the fields of the mailbox's own, written.
 *
 *     X-IMAPbase: 1764151200 0000000012 Work $Later       room for more
 *     X-UID: 12
 *     Status: RO
 *     X-Status: AF
 *     X-Keywords: Work $Later                      room for more
 */
#ifndef IMAPSYNC_ENDS_MBOX_HEAD_H
#define IMAPSYNC_ENDS_MBOX_HEAD_H

#include "base/core/attr.h"
#include "base/core/buf.h"
#include "imapsync/ends/flags.h"

#define MBOX_HEAD_MAX ((size_t)1 << 20) /* octets of a header whose fields can be changed */

struct mbox_label {
    uint32_t uid; /* 0: no X-UID */
    const struct flags *flags;
    const struct keywords *keywords;
};

/* The line of the first message: with all keywords of the file, or Dovecot takes them away.  As
 * long as n says, if it has room. */
int mbox_base_format(uint32_t validity, uint32_t last, const struct keywords *keywords, size_t n,
    struct buf *out) ATTR_WUR;
/* A header as long as it was, in which this line stands in place of the one that is there: room is
 * found at the ends of all fields of the mailbox's own.  1: there is not enough. */
int mbox_base_edit(struct slice header, uint32_t validity, uint32_t last,
    const struct keywords *keywords, struct buf *out) ATTR_WUR;
/* What a message begins with when it is stored. */
int mbox_head_format(const struct mbox_label *l, struct buf *out) ATTR_WUR;
/* Where a header ends: behind its empty line, or at its end. */
size_t mbox_head_length(struct slice octets);
/* A header with these flags: as long as it was, if they find room in it.  Its X-UID stays. */
int mbox_head_edit(struct slice header, const struct mbox_label *l, struct buf *out) ATTR_WUR;

#endif
