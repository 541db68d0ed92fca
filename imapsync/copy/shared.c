/* SPDX-License-Identifier: ISC */
/*
 * shared: a target that keeps equal messages once (Gmail) has given to one that was copied a moment
 * ago what is to go, or to move, for another one: it stays, and only the pair goes.  On the way
 * back that pair may be gone already: under a UID of the side that was first the source there is
 * room for one.
 */
#include <string.h>

#include "imapsync/copy/folder_parts.h"

static bool takes_it(const struct plan_op *op)
{
    return op->kind == PLAN_MOVE || op->kind == PLAN_TRASH || op->kind == PLAN_REMOVE;
}

/* Pairs with a message on the source that name the same copy, and go. */
static size_t takers(const struct plan *p, const struct plan_op *of)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_ops; i++) {
        const struct plan_op *op = &p->ops[i];
        bool goes = takes_it(op) || op->kind == PLAN_FORGET;
        n += goes && op->src_uid != 0 && op->folder == of->folder && op->tgt_uid == of->tgt_uid;
    }
    return n;
}

/* What another one has by now stays; only the pair goes, if it is still there. */
static int leave(struct works *all, const struct plan_op *op, bool has_pair, struct err *err)
{
    struct journal *j = all->c->journal;
    struct work *w = all->planned[op->folder];
    if (op->kind == PLAN_MOVE)
        w->n_exceptions += all->planned[op->to]->n_exceptions += 1;
    if (!has_pair)
        return 0;
    journal_begin(j);
    if (op->src_uid != 0)
        journal_pair_del(j, w->record->id, op->src_uid);
    else
        journal_copy_del(j, w->record->id, op->tgt_uid);
    return journal_commit(j, err);
}

int shared_leave(struct works *all, struct err *err)
{
    struct plan *p = &all->plan;
    for (size_t i = 0; i < p->n_ops;) {
        const struct plan_op *op = &p->ops[i];
        uint32_t folder = all->planned[op->folder]->record->id;
        bool has_pair = true;
        size_t n = 0;
        if (takes_it(op) && journal_count_target(all->c->journal, folder, op->tgt_uid, op->src_uid,
                                &has_pair, &n, err) != 0)
            return -1;
        if (has_pair && n <= takers(p, op)) {
            i++;
            continue;
        }
        if (leave(all, op, has_pair, err) != 0)
            return -1;
        memmove(&p->ops[i], &p->ops[i + 1], (p->n_ops - i - 1) * sizeof(*p->ops));
        p->n_ops--;
    }
    return 0;
}
