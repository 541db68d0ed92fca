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
/* "(" objectid ")", RFC 8474. */
bool imap_cur_object_id(struct imap_cur *c, struct slice *out);
/* RFC 4551 had 64 bits for them, RFC 7162 has 63.  Nobody can be asked for what is above: that is
 * as good as none, which 0 is. */
bool imap_cur_modseq(struct imap_cur *c, uint64_t *out);

/* What stands behind the response's name.  false: nothing of it is to be used. */
bool imap_parse_fetch(struct imap_cur *c, struct imap_response *out);
bool imap_parse_list(struct imap_cur *c, struct imap_response *out);
bool imap_parse_mailbox_status(struct imap_cur *c, struct imap_response *out);
bool imap_parse_quota(struct imap_cur *c, struct imap_response *out);
bool imap_parse_acl(struct imap_cur *c, struct imap_response *out);
bool imap_parse_metadata(struct imap_cur *c, struct imap_response *out);
bool imap_parse_namespace(struct imap_cur *c, struct imap_response *out);

#endif
