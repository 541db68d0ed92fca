/* SPDX-License-Identifier: ISC */
/* mailboxes: asking a server for its folders, and making them there. */
#ifndef IMAPSYNC_COPY_MAILBOXES_H
#define IMAPSYNC_COPY_MAILBOXES_H

#include "imapsync/copy/folders.h"
#include "imapsync/imap/conn.h"

/* A question that is on its way. */
struct mailboxes_query {
    struct folder_list *list;
    struct folder *only; /* STATUS of this folder, and nothing else */
    int result;
    struct err err;
    struct imap_outcome names, folders, subscribed;
};

/* Every folder with attributes and STATUS, in one round trip where the server can: ask, then wait.
 * Other connections may be asked between the two. */
void mailboxes_ask(struct imap_conn *c, struct folder_list *out, struct mailboxes_query *q);
/* out of the question is empty when this fails. */
int mailboxes_wait(struct imap_conn *c, struct mailboxes_query *q, struct err *err) ATTR_WUR;
int mailboxes_list(struct imap_conn *c, struct folder_list *out, struct err *err) ATTR_WUR;

/* A folder to be made. */
struct mailboxes_wish {
    struct slice name;
    enum folder_use use;
    bool is_subscribed;
};
/* Makes folders, all at once, and adds those that now exist to the list, with their STATUS.  One
 * that could not be made is not an error here: whoever needs it tries and reports. */
int mailboxes_make(struct imap_conn *c, const struct mailboxes_wish *v, size_t n,
    struct folder_list *there, struct err *err) ATTR_WUR;
/* STATUS of one folder into *f. */
int mailboxes_status(struct imap_conn *c, struct folder *f, struct err *err) ATTR_WUR;
/* use: a special use to ask for where the server can, or FOLDER_USE_NONE. */
int mailboxes_create(
    struct imap_conn *c, struct slice name, enum folder_use use, struct err *err) ATTR_WUR;
int mailboxes_subscribe(struct imap_conn *c, struct slice name, struct err *err) ATTR_WUR;

#endif
