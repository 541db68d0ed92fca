/* SPDX-License-Identifier: ISC */
/* folder_special: what a folder is for, and which one of the target is for the same. */
#ifndef IMAPSYNC_PLAN_FOLDER_SPECIAL_H
#define IMAPSYNC_PLAN_FOLDER_SPECIAL_H

#include "imapsync/ends/mailbox.h"

struct folder_special {
    const struct folder_list *source, *target;
    const struct slice *plain; /* what each of the source would be called by itself; NULL: it is not
                                  copied */
    bool (*is_free)(void *arg, size_t i, struct slice name); /* whether i may have this name */
    void *arg;
};

/* For each folder of the source the folder of the target that has the same use, in out, which is
 * all NULL before.  None of the target stands there twice. */
void folder_special(const struct folder_special *in, const struct folder **out);

/* The folder for that; NULL: there is none that could be it. */
const struct folder *folder_of_use(const struct folder_list *l, enum folder_use use);

#endif
