/* SPDX-License-Identifier: ISC */
/* names_parts: what copy_names.c and names_renames.c share. */
#ifndef IMAPSYNC_COPY_NAMES_PARTS_H
#define IMAPSYNC_COPY_NAMES_PARTS_H

#include "imapsync/copy/copy_parts.h"

struct key {
    struct slice text;
    uint32_t at;
};

struct naming {
    struct copy *c;
    struct pass *p;
    const struct folder_list *from;
    struct folder_map *map;
    struct slice *kept; /* by position in from: what the journal calls it on the target; borrowed */
    struct journal_folder *known;
    size_t n_known, room;
    struct key *names, *ids; /* of the source, of the known ones; sorted */
    size_t n_ids;
    uint32_t *listed_at; /* of the plan's folders of the source: position in from */
    bool has_renamed, has_listed_again;
};

/* The known folder that has it, among names or ids; NULL: none. */
struct journal_folder *names_find(const struct naming *w, const struct key *v, struct slice text);
/* What an earlier pass was killed in the middle of. */
int names_heal(struct naming *w, struct err *err) ATTR_WUR;
/* Does the plan's renames.  1: done, 0: one was refused, and the rest is open. */
int names_follow(struct naming *w, const struct plan_folders *plan, struct err *err) ATTR_WUR;

#endif
