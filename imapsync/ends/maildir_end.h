/* SPDX-License-Identifier: ISC */
/*
 * maildir_end: a mailbox in files as an end: Maildir++ as Dovecot keeps it, so that both may work
 * on it at the same time.
 *
 *     DIR/cur DIR/new DIR/tmp        INBOX; DIR/.A.B/ is the folder A.B, by its modified UTF-7
 *     DIR/.A.B/maildirfolder         says that it is a folder of the mailbox above it
 *     cur/BASE,S=n,W=n:2,FSab        a message: flags, and keywords by letter
 *     dovecot-uidlist                UIDVALIDITY, and the UID of each BASE; dovecot-uidlist.lock
 *                                    is held by whoever gives UIDs
 *     dovecot-keywords               the names behind the letters
 *     DIR/subscriptions              names of folders, a line each
 *
 * The octets of a message are stored as they come.  They are told as Dovecot tells them: a LF that
 * has no CR in front of it gets one.
 */
#ifndef IMAPSYNC_ENDS_MAILDIR_END_H
#define IMAPSYNC_ENDS_MAILDIR_END_H

#include "imapsync/ends/end.h"

struct maildir_maker {
    struct end_maker maker;
    char *path;     /* absolute, without links in it; owned */
    char *name;     /* "maildir:" and the path; owned */
    bool makes_dir; /* a folder that is not there yet, or empty, becomes a mailbox */
};

/* label is borrowed.  Fails if the folder is not there and not to be made, or is no Maildir. */
int maildir_maker_init(struct maildir_maker *m, const char *label, const char *path, bool makes_dir,
    struct err *err) ATTR_WUR;
void maildir_maker_fini(struct maildir_maker *m);

#endif
