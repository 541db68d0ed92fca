/* SPDX-License-Identifier: ISC */
/*
 * imap_token: what an IMAP folder was when it was opened, as octets that the journal keeps and does
 * not understand.
 */
#ifndef IMAPSYNC_ENDS_IMAP_TOKEN_H
#define IMAPSYNC_ENDS_IMAP_TOKEN_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/buf.h"
#include "base/core/slice.h"
#include "imapsync/ends/mailbox.h"

struct imap_token {
    uint32_t uidvalidity, uidnext, exists;
    uint64_t modseq; /* HIGHESTMODSEQ of SELECT or EXAMINE; 0: the folder has none */
};

/* Empties the buffer.  One without UIDVALIDITY or UIDNEXT is worth nothing and stays empty. */
void imap_token_pack(struct buf *out, const struct imap_token *t);
/* false: not one of ours, or of a later version. */
bool imap_token_unpack(struct slice s, struct imap_token *out);
/* Whether the status says that nothing has changed since, flags included. */
bool imap_token_is_same(const struct imap_token *t, const struct folder *f);

#endif
