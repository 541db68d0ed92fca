/* SPDX-License-Identifier: ISC */
/*
 * no_mail: folders of Exchange in which there is no mail.  It shows calendars, contacts, tasks and
 * notes over IMAP as folders of messages, each made up when it is fetched, so that no copy would be
 * what is there.  IMAP has no word for what a folder is about; so their names tell, in the
 * languages in which Exchange makes them, and only with this server.
 */
#ifndef IMAPSYNC_ENDS_NO_MAIL_H
#define IMAPSYNC_ENDS_NO_MAIL_H

#include <stdbool.h>
#include "base/core/slice.h"

/* By its greeting. */
bool no_mail_is_exchange(struct slice greeting);
/* The folder, or one above it, has such a name. */
bool no_mail_is_name(struct slice name, int delimiter);

#endif
