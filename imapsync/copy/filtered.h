/* SPDX-License-Identifier: ISC */
/*
 * filtered: the messages that a pass has not copied because of a filter (filter.h), folder by
 * folder.  Each folder that has some is an item, and keeps its token, so that they are listed again
 * with every pass: without the filter they are copied.
 */
#ifndef IMAPSYNC_COPY_FILTERED_H
#define IMAPSYNC_COPY_FILTERED_H

#include "base/mail/uid_set.h"

struct copy;
struct works;

struct filtered_folder {
    uint32_t folder;     /* the journal's */
    struct uid_set uids; /* of the source */
};

/* Of one pass; zeroed, of none. */
struct filtered {
    struct filtered_folder *v; /* owned, by folder once it is looked for */
    size_t n;
    bool is_sorted;
};

void filtered_fini(struct filtered *f);
/* From a plan that was made. */
void filtered_take(struct works *all);
/* When all of the folders was planned. */
void filtered_tell(struct works *all);
/* Whether the last pass has left it out. */
bool filtered_has(struct copy *c, uint32_t folder, uint32_t uid);

#endif
