/* SPDX-License-Identifier: ISC */
/*
 * alone: pairs that stand alone on the target since the roles were exchanged.  The plan joins them
 * with what is on the source, by content; here their contents and numbers are found out.
 */
#ifndef IMAPSYNC_COPY_ALONE_H
#define IMAPSYNC_COPY_ALONE_H

#include "imapsync/copy/folder_parts.h"

/* What the journal has of a pair, alone or not. */
int alone_content(struct work *w, const struct pair *p, struct content *out, bool *found_out,
    struct err *err) ATTR_WUR;
/* Reads on the target what the journal does not know of their contents. */
int alone_read(struct work *w, struct err *err) ATTR_WUR;

/* Those of a target that is numbered anew. */
struct alone {
    struct pair *pairs;
    struct content *contents;
    size_t n;
};

/* Takes them out of the work's pairs, all of which are loaded, and out of the way of those that get
 * the new numbers, in the journal as well: killed from there on they are taken once more... */
int alone_take(struct work *w, struct alone *out, struct err *err) ATTR_WUR;
/* ... and gives them the number of what has their content and no pair.  One that is not there any
 * more is forgotten. */
int alone_find(struct work *w, struct alone *a, struct err *err) ATTR_WUR;
void alone_fini(struct alone *a);

#endif
