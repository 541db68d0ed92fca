/* SPDX-License-Identifier: ISC */
/*
 * mbox_uids: which message has which UID.
 *
 * Where the file says so itself, as Dovecot writes it (X-IMAPbase in the first message, X-UID in
 * each), these UIDs count.  Messages that came since and have none yet, or all of them where the
 * file says nothing, or nonsense, are kept in a list of our own beside it:
 *
 *     coexist-uids 1 V1764151200 N13 K0 C12 S48211 M1764151201000000000 I4711
 *     12 9ae16a3b2f90404f
 *
 * V is the UIDVALIDITY, N the next UID, K1 says that they are our own and not those of the file.
 * C messages were in the file when it had size S, time M and inode I; M0: it was changing.  Each
 * line has the UID and the digest of a message; they are found again in their order, whatever
 * stands between them.
 */
#ifndef IMAPSYNC_ENDS_MBOX_UIDS_H
#define IMAPSYNC_ENDS_MBOX_UIDS_H

#include "base/core/buf.h"
#include "imapsync/ends/mbox_scan.h"

#define MBOX_LIST_MAX ((size_t)1 << 28)

struct mbox_row {
    uint32_t uid;
    uint64_t key;
};

struct mbox_list {
    uint32_t validity, next; /* validity 0: there is none */
    bool is_own;
    uint64_t count, size, mtime_ns, ino;
    struct mbox_row *v; /* UIDs ascend */
    size_t n, cap;
};

void mbox_list_fini(struct mbox_list *l);
/* -1: it is none, and empty. */
int mbox_list_parse(struct slice text, struct mbox_list *l) ATTR_WUR;
int mbox_list_format(const struct mbox_list *l, struct buf *out) ATTR_WUR;

/* Gives each message of s its UID by the fields that were read and by the list, which becomes what
 * has to be kept; fresh: a UIDVALIDITY that was never given.  *labels_out: messages that are
 * appended get their UIDs by fields of their own.  true: the list is needed, for the file does not
 * say all of it. */
bool mbox_uids_give(struct mbox_scan *s, struct mbox_list *l, uint32_t fresh, bool *labels_out);

#endif
