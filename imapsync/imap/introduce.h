/* SPDX-License-Identifier: ISC */
/* introduce: what a client says as soon as it is signed in, and nobody waits for the answer to. */
#ifndef IMAPSYNC_IMAP_INTRODUCE_H
#define IMAPSYNC_IMAP_INTRODUCE_H

#include "imapsync/imap/client.h"

void imap_introduce(struct imap_client *c);

#endif
