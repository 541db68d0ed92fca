/* SPDX-License-Identifier: ISC */
/* response_parts: what the files of the response parser share among themselves. */
#ifndef IMAPSYNC_IMAP_RESPONSE_PARTS_H
#define IMAPSYNC_IMAP_RESPONSE_PARTS_H

#include "imapsync/imap/response.h"

/* "OK" and its kin. */
bool imap_cur_status(struct imap_cur *c, enum imap_status *out);
/* resp-text = ["[" resp-text-code "]" SP] text.  A code that cannot be read is only text: the
 * status in front of it is what counts, and servers do write "[" in plain text. */
void imap_cur_text(struct imap_cur *c, struct imap_response *out);

#endif
