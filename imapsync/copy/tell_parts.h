/* SPDX-License-Identifier: ISC */
/* tell_parts: what the two files of tell.h share. */
#ifndef IMAPSYNC_COPY_TELL_PARTS_H
#define IMAPSYNC_COPY_TELL_PARTS_H

#include "imapsync/copy/copy_parts.h"

void item_list_add(struct item_list *to, const struct item *i); /* a copy of its own */
void item_list_fini(struct item_list *of);                      /* and it is empty */

/* Items come folder by folder: the record of the last one that was looked at. */
struct tell_look {
    struct copy *c;
    struct buf name;
    struct journal_folder record;
    bool is_known;
    int64_t now_ms;
};

struct tell_look tell_look_begin(struct copy *c);
int tell_look_at(struct tell_look *l, struct slice folder, struct err *err) ATTR_WUR;
void tell_look_end(struct tell_look *l);

/* What tells an item from others, in tell.told. */
uint64_t tell_key(struct slice folder, uint32_t uid, enum item_code code);
/* As the copy's option says. */
bool tell_accepts(const struct copy *c, enum item_code code);
#define TELL_BY_OPTION "copy --accept"
void tell_accept(struct item *i, const char *by, int64_t now_ms); /* by: borrowed */
void tell_show(struct copy *c, const struct item *i,
    void (*to)(void *arg, const struct copy_exception *e), const char *why);

#endif
