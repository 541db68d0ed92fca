/* SPDX-License-Identifier: ISC */
/* login: see login.h. */
#include "imapsync/imap/login.h"

int imap_login(const struct imap_place *place, const struct wait_limits *limits,
    struct imap_conn **out, bool *is_silent_out, struct err *err)
{
    struct imap_conn *c = imap_conn_start(place, limits);
    *is_silent_out = false;
    while (!imap_conn_is_ready(c)) {
        if (imap_conn_pump(&c, 1, err) == 0)
            continue;
        *is_silent_out = imap_conn_broken(c) == IMAP_BROKEN_SILENT;
        imap_conn_close(&c);
        return -1;
    }
    *out = c;
    return 0;
}
