/* SPDX-License-Identifier: ISC */
/*
 * claims: which user's mailbox is which, on each server, so that no two users are given one: by an
 * address that is only another name, or by a server that does not tell them apart.  What one user's
 * cut-over has found (whose.h) stands in STATE/sync/mailboxes until his folder is gone.
 */
#ifndef IMAPSYNC_MOVE_CLAIMS_H
#define IMAPSYNC_MOVE_CLAIMS_H

#include "imapsync/ends/end.h"

struct claim {
    const char *state;   /* STATE/sync */
    const char *server;  /* its name in the configuration */
    const char *user;    /* the map's key */
    const char *mailbox; /* two users who say the same name mean one mailbox */
};

/* The end leads to this user's mailbox.  -1: to somebody else's, and err names both; or it cannot
 * be found out. */
int claim_take(const struct claim *c, struct end *e, struct err *err) ATTR_WUR;

#endif
