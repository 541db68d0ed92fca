/* SPDX-License-Identifier: ISC */
/* maildir_size: the file "maildirsize" of a Maildir++: a quota, and what has come and gone since.
 */
#ifndef IMAPSYNC_ENDS_MAILDIR_SIZE_H
#define IMAPSYNC_ENDS_MAILDIR_SIZE_H

#include "imapsync/ends/end.h"

/* Adds what its text says; a line that makes no sense, and all behind it, says nothing. */
void maildir_size_take(struct slice text, struct end_quota *out);

#endif
