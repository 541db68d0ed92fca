/* SPDX-License-Identifier: ISC */
/*
 * name: when two names are one folder.  Everything that compares names of folders asks here.
 *
 * Names are octets as on the wire of IMAP4rev1 (modified UTF-7).  INBOX is one name however it is
 * written; all others are told apart by their octets, so Work and WORK are two folders.  A server
 * may see that differently: then CREATE of the second one is refused, and folder_is_twin() tells
 * which one it is for that server.
 */
#ifndef IMAPSYNC_ENDS_NAME_H
#define IMAPSYNC_ENDS_NAME_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/slice.h"

bool folder_is_inbox(struct slice name);
/* Whether both are the name of one folder. */
bool folder_same_name(struct slice a, struct slice b);
/* The name with octets, and a hash, that are equal for just these: INBOX in capitals. */
struct slice folder_plain_name(struct slice name);
uint64_t folder_name_hash(struct slice name);

/* Whether a server that does not tell case, or composed letters from decomposed ones, takes both
 * for one folder. */
bool folder_is_twin(struct slice a, struct slice b);
/* What is equal for twins, as UTF-8, or as it is where it is no modified UTF-7; added to out. */
int folder_fold(struct slice name, struct buf *out) ATTR_WUR;
int folder_fold_utf8(struct slice text, struct buf *out) ATTR_WUR;

#endif
