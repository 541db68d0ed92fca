/* SPDX-License-Identifier: ISC */
/*
 * secrets: what was sent to sign in, remembered so that a server's text that repeats it, whole or
 * in part, does not get into an error or a log.
 */
#ifndef IMAPSYNC_IMAP_SECRETS_H
#define IMAPSYNC_IMAP_SECRETS_H

#include "base/core/buf.h"

#define IMAP_SECRETS_MAX 8      /* then the oldest is forgotten */
#define IMAP_SECRET_SHOWN_MAX 8 /* so many bytes of a longer one are too many */

struct imap_secrets {
    struct buf v[IMAP_SECRETS_MAX];
    size_t next;
};

void imap_secrets_init(struct imap_secrets *s);
void imap_secrets_fini(struct imap_secrets *s); /* wipes */
/* As it is and as a quoted string has it. */
void imap_secrets_add(struct imap_secrets *s, struct slice secret);
/* Letters are compared without case. */
bool imap_secrets_are_in(const struct imap_secrets *s, struct slice text);

#endif
