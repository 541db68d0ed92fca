/* SPDX-License-Identifier: ISC */
/* items_choice: which items somebody means, what becomes of them, and how they look to people. */
#ifndef IMAPSYNC_COPY_ITEMS_CHOICE_H
#define IMAPSYNC_COPY_ITEMS_CHOICE_H

#include <jansson.h>
#include "base/core/buf.h"
#include "imapsync/journal/items.h"

#define ITEM_BY_MAX 128

struct item_choice {
    enum item_code code;         /* ITEM_NONE: any */
    const char *folder;          /* as item_json() shows it; NULL: any */
    uint32_t uid;                /* 0: any */
    bool has_gone, has_accepted; /* besides those that are open */
    /* For items_decide(). */
    char by[ITEM_BY_MAX];
    const char *why;
};

bool item_is_chosen(const struct item_choice *c, const struct item *i);
/* Those that are chosen get this state; *n_out: so many more. */
int items_decide(struct journal *j, const struct item_choice *c, enum item_state state,
    uint64_t *n_out, struct err *err) ATTR_WUR;

/* While somebody is at work with the journal of this folder, a decision is left there, and taken by
 * him with his next look (items_left.c). */
int items_leave(
    const char *dir, const struct item_choice *c, enum item_state state, struct err *err) ATTR_WUR;
/* Carries out what was left for this journal. */
int items_take(struct journal *j, struct err *err) ATTR_WUR;

/* With is_back, for whoever knows the names of the sides. */
json_t *item_json(const struct item *i);
/* A line or two of it, for people. */
void item_text(const json_t *item, struct buf *out);

#endif
