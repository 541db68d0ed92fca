/* SPDX-License-Identifier: ISC */
/* login: a connection that is signed in, for straight-line code. */
#ifndef IMAPSYNC_IMAP_LOGIN_H
#define IMAPSYNC_IMAP_LOGIN_H

#include "imapsync/imap/conn.h"

/* Opens, secures and signs in (signin.h), and waits for it; limits: see imap_conn_start().
 * *is_silent_out: it failed since nobody is there or nothing came in time, whoever the user is. */
int imap_login(const struct imap_place *place, const struct wait_limits *limits,
    struct imap_conn **out, bool *is_silent_out, struct err *err) ATTR_WUR;

#endif
