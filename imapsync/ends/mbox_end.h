/* SPDX-License-Identifier: ISC */
/*
 * mbox_end: a mailbox in mbox files as an end, as Dovecot keeps it and under its locks.
 *
 *     DIR/inbox              INBOX, however it is written; or a file elsewhere
 *     DIR/A, DIR/B/C         the folders A and B/C, by their modified UTF-7
 *     DIR/.subscriptions     names of folders, a line each
 *     DIR/.imap              Dovecot's indexes: passed over, as is what begins with "."
 *     DIR/.imap/.coexist/A   UIDs that the file does not say (mbox_uids.h)
 *
 * A folder is a file or has folders below it; both at once is refused, and whoever copies finds
 * another name for one of them.
 *
 * Messages are appended under Dovecot's locks: FILE.lock, and the file's own.  Flags are changed in
 * place where there is room; else, and to remove messages, the file is written anew and renamed.
 */
#ifndef IMAPSYNC_ENDS_MBOX_END_H
#define IMAPSYNC_ENDS_MBOX_END_H

#include "imapsync/ends/end.h"

struct mbox_maker {
    struct end_maker maker;
    char *dir;   /* absolute; NULL: there is only INBOX; owned */
    char *inbox; /* its file, absolute; NULL: in dir; owned */
    char *name;  /* "mbox:" and the paths; owned */
    bool makes;  /* what is not there is made */
};

/* where: "DIR", "FILE" or "DIR:INBOX=FILE".  label is borrowed.  Fails if it is not there and not
 * to be made, or is none. */
int mbox_maker_init(struct mbox_maker *m, const char *label, const char *where, bool makes,
    struct err *err) ATTR_WUR;
void mbox_maker_fini(struct mbox_maker *m);

#endif
