/* SPDX-License-Identifier: ISC */
/* login: from a greeted connection to a signed-in one whose capabilities are known. */
#ifndef IMAPSYNC_IMAP_LOGIN_H
#define IMAPSYNC_IMAP_LOGIN_H

#include "imapsync/imap/conn.h"

/* Opens, secures and signs in.  A wrong password is ERR_PERM with EX_NOPERM and is tried once only,
 * so that no account is locked because of us.  *is_silent_out: see imap_conn_open(). */
int imap_login(const struct imap_place *place, struct imap_conn **out, bool *is_silent_out,
    struct err *err) ATTR_WUR;

#endif
