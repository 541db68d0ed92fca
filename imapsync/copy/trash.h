/* SPDX-License-Identifier: ISC */
/*
 * trash: where on the way back goes what the user has removed: the target's folder with the special
 * use \Trash (RFC 6154); without one, a folder that is called as Trash usually is
 * (folder_special.c), directly in the personal namespace or below INBOX; without that, "Trash" is
 * made, with that use where the server can.
 */
#ifndef IMAPSYNC_COPY_TRASH_H
#define IMAPSYNC_COPY_TRASH_H

#include "base/core/buf.h"
#include "imapsync/journal/journal.h"
#include "imapsync/ends/end.h"

/* NULL: there is none.  Borrowed from the list. */
const struct folder *trash_find(const struct folder_list *there);
/* Makes one, subscribes to it and puts it into the list. */
int trash_make(struct end *target, struct folder_list *there, struct err *err) ATTR_WUR;
/* The journal's folder with that name on the target and its UIDVALIDITY of now: what goes there
 * stands alone in it.  Where the source has none for it, it has a name there that no folder has.
 * lost: folders of the journal that the source does not list; one of them that the target has anew
 * is begun anew. */
int trash_record(struct end *target, struct journal *j, const struct folder *trash,
    const struct journal_folder *lost, size_t n_lost, struct journal_folder *out,
    struct err *err) ATTR_WUR;

#endif
