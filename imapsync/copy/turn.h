/* SPDX-License-Identifier: ISC */
/*
 * turn: the roles of source and target are exchanged, and the journal is the same one.
 *
 *     if (journal_has_turned(c->journal)) turn(c, &from, &open, err);     before anything is
 * planned
 *     ... the pass, which is fresh (journal_is_fresh) until one is through with everything ...
 *
 * What was begun the other way round has an outcome first: changes of what is the source now are
 * looked at there, and what was on its way to it stands alone on the target from then on, until its
 * content is found on the source or is not.
 */
#ifndef IMAPSYNC_COPY_TURN_H
#define IMAPSYNC_COPY_TURN_H

#include "imapsync/copy/copy_parts.h"

/* from: what the source lists.  open gets the folders of which it did not say what became of them;
 * as long as there are some, the next pass does it again. */
int turn(struct copy *c, const struct folder_list *from, struct apply_open *open,
    struct err *err) ATTR_WUR;

#endif
