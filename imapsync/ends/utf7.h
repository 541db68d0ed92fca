/* SPDX-License-Identifier: ISC */
/* utf7: IMAP's modified UTF-7 for mailbox names (RFC 3501 5.1.3), strict in both directions. */
#ifndef IMAPSYNC_ENDS_UTF7_H
#define IMAPSYNC_ENDS_UTF7_H

#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"

/* Both add to out: 0, or -1 with out unchanged. A NUL, an overlong or unfinished form, a lone
 * surrogate and base64 where it is not needed are errors: each name has exactly one form. */
int imap_utf7_decode(struct slice in, struct buf *utf8_out) ATTR_WUR;
int imap_utf7_encode(struct slice utf8, struct buf *out) ATTR_WUR;
/* The code point at *at of well-formed UTF-8, which moves behind it; -1, and it stays: there is
 * none.
 */
int32_t imap_utf8_next(struct slice s, size_t *at);
/* Well-formed UTF-8 without NUL. */
bool imap_utf8_valid(struct slice s);

#endif
