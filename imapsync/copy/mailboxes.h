/* SPDX-License-Identifier: ISC */
/* mailboxes: asking a server for its folders, and making them there. */
#ifndef IMAPSYNC_COPY_MAILBOXES_H
#define IMAPSYNC_COPY_MAILBOXES_H

#include "imapsync/copy/folders.h"
#include "imapsync/imap/conn.h"

/* Every folder with attributes and STATUS, in one round trip where the server can. */
int mailboxes_list(struct imap_conn *c, struct folder_list *out, struct err *err) ATTR_WUR;
/* STATUS of one folder into *f. */
int mailboxes_status(struct imap_conn *c, struct folder *f, struct err *err) ATTR_WUR;
/* use: a special use to ask for where the server can, or FOLDER_USE_NONE. */
int mailboxes_create(
    struct imap_conn *c, struct slice name, enum folder_use use, struct err *err) ATTR_WUR;
int mailboxes_subscribe(struct imap_conn *c, struct slice name, struct err *err) ATTR_WUR;

#endif
