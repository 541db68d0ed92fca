/* SPDX-License-Identifier: ISC */
/* folders: which folder of the target stands for which of the source. */
#ifndef IMAPSYNC_COPY_FOLDERS_H
#define IMAPSYNC_COPY_FOLDERS_H

#include "base/core/buf.h"
#include "imapsync/ends/mailbox.h"

/* Target names for all folders of the source, in the same order; NULL pointers for those that are
 * not copied (foreign, virtual).  Distinct folders always get distinct names.  Owned by the map. */
struct folder_map {
    struct slice *names;
    bool *is_kept; /* names that were given before and stay */
    size_t n;
};
void folder_map_make(
    const struct folder_list *source, const struct folder_list *target, struct folder_map *out);
/* The name of a folder from an earlier run; then, with all of them, folder_map_settle(). */
void folder_map_keep(struct folder_map *m, size_t i, struct slice name);
void folder_map_settle(struct folder_map *m);
void folder_map_fini(struct folder_map *m);

/* The same name with "_" for every character that some server refuses, and with a number where
 * another folder of the map or of the target has that name; false when there is no such character.
 * out is empty before. */
bool folder_safe_name(struct slice name, const struct folder_map *map,
    const struct folder_list *target, struct buf *out);

/* A name for people: decoded when it can be, printable. */
void folder_text(struct slice name, struct buf *out);

#endif
