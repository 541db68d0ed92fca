/* SPDX-License-Identifier: ISC */
/* fault: an IMAP server's NO or BAD as one of our errors: class, scope and exit status. */
#ifndef IMAPSYNC_IMAP_FAULT_H
#define IMAPSYNC_IMAP_FAULT_H

#include "base/core/err.h"
#include "imapsync/imap/response.h"

/* what: the command in words, "cannot create the folder".  The server's text follows it, made
 * printable and cut at IMAP_TEXT_KEPT_MAX. Always returns -1. */
int imap_fault_parts(enum imap_status status, enum imap_code_kind code, const char *text,
    const char *what, struct err *err);
/* The server has no time for this user, whatever it was asked: no refusal of anything. */
bool imap_fault_is_throttled(const struct err *err);
/* The server's text, printable. */
void imap_fault_text(struct slice text, char *out, size_t size);

#endif
