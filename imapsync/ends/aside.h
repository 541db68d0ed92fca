/* SPDX-License-Identifier: ISC */
/*
 * aside: folders at which connections die, from one connection to the next.
 *
 *     e->aside = &a;                         for each end that is opened
 *     if (aside_note(&a, e, true)) ...       when it has broken; true: the next one will say NO
 *
 * One connection may be lost by chance.  A folder at which the next one is lost as well is put
 * aside: an end says NO to whatever is asked about it, as if its server did, so that it costs
 * itself.  There are few of them: a server on which everything dies is not the fault of its
 * folders.
 */
#ifndef IMAPSYNC_ENDS_ASIDE_H
#define IMAPSYNC_ENDS_ASIDE_H

#include "imapsync/ends/end.h"

#define ASIDE_MAX 3

struct aside {
    struct slice last; /* owned: at which the last one died */
    struct slice v[ASIDE_MAX];
    size_t n;
    bool without_status; /* one died while it listed the folders and their numbers in one go */
};

/* reads_count: also while messages were read, of which else nothing is concluded (suspects.h). */
bool aside_note(struct aside *a, const struct end *e, bool reads_count);
bool aside_has(const struct aside *a, struct slice name); /* NULL: none */
int aside_refuse(struct err *err);                        /* -1, with what is said of it */
void aside_fini(struct aside *a);

#endif
