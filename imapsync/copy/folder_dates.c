/* SPDX-License-Identifier: ISC */
/*
 * folder_dates: a target that does not keep a date says OK to it: real Dovecot stores one that is
 * still to come as the one of today, Cyrus one of the first second of 1970.  So copies with such
 * dates are looked at behind the copying, and another date is told as if it had been refused.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"

static int ask(struct work *w, struct end_changes *there, struct err *err)
{
    struct end *to = w->c->to;
    struct end_ticket open = {0}, t = {0};
    uint32_t *uids = mem_realloc_array(NULL, w->n_dated, sizeof(*uids));
    for (size_t i = 0; i < w->n_dated; i++)
        uids[i] = w->dated[i].tgt_uid;
    to->ops->open(to,
        &(struct end_open){.folder = w->record->target.name,
            .is_only_opened = true,
            .is_for_writing = true,
            .uidvalidity = w->record->target.uidvalidity},
        there, &open);
    to->ops->attributes(to, uids, w->n_dated, END_WANT_DATES, there, &t);
    free(uids);
    int result = end_check(to, &open, "cannot open the folder", err);
    struct err ignored = ERR_INIT;
    int answered = end_check(to, &t, "cannot look at dates", result == 0 ? err : &ignored);
    return result != 0 ? result : answered;
}

int folder_check_dates(struct work *w, struct err *err)
{
    struct end_changes there;
    if (w->n_dated == 0)
        return 0;
    end_changes_init(&there, &w->keywords);
    int result = ask(w, &there, err);
    for (size_t i = 0; result == 0 && i < w->n_dated; i++) {
        const struct listed *m = end_changes_find(&w->listing, w->dated[i].src_uid),
                            *copy = end_changes_find(&there, w->dated[i].tgt_uid);
        if (!m || !copy || (copy->has_date && !copy->has_arrival && copy->date_s == m->date_s))
            continue;
        if (!folder_tell(w, ITEM_DATE, m->uid, 0,
                "stored with another date: the target does not keep this one"))
            w->p->counts->messages_reduced++;
    }
    end_changes_fini(&there);
    w->n_dated = 0;
    return result;
}
