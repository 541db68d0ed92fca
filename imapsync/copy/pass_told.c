/* SPDX-License-Identifier: ISC */
/* pass_told: what was done in each folder of a pass, and what a dry one would have done. */
#include "imapsync/apply/apply_parts.h"
#include "imapsync/copy/folder_parts.h"

static void pretend_copy(struct work *w, const struct plan_op *op)
{
    const struct listed *l = end_changes_find(&w->listing, op->src_uid);
    const uint64_t octets = l && l->has_size ? l->size : 0;
    const uint64_t most = w->c->to->ops->size_max(w->c->to);
    if (most > 0 && octets > most) {
        folder_told(
            w, ITEM_SIZE, op->src_uid, "larger than the target takes, as the source tells it");
        return;
    }
    w->done.copied++;
    w->done.octets += octets;
    w->p->counts->messages_copied++;
    w->p->counts->octets_copied += octets;
}

/* Deleted on the source, and touched by the target's user. */
static void count_kept(struct works *all)
{
    for (size_t i = 0; i < all->plan.n_ops; i++) {
        const struct plan_op *op = &all->plan.ops[i];
        if (op->kind == PLAN_FORGET && op->witness == PLAN_W_TOUCHED)
            all->planned[op->folder]->done.kept++;
    }
}

void pass_pretend(struct works *all)
{
    struct copy_counts *n = all->p->counts;
    for (size_t i = 0; i < all->plan.n_ops; i++) {
        const struct plan_op *op = &all->plan.ops[i];
        struct work *w = all->planned[op->folder];
        if (op->kind == PLAN_COPY) {
            pretend_copy(w, op);
        } else if (op->kind == PLAN_FLAGS) {
            w->done.flags++;
            n->flags_changed++;
        } else if (op->kind == PLAN_MOVE) {
            w->done.moved++;
            n->messages_moved++;
        } else if (op->kind == PLAN_TRASH || op->kind == PLAN_REMOVE) {
            w->done.deleted++;
            n->messages_deleted++;
        }
    }
    n->messages_kept += all->plan.n_kept;
    count_kept(all);
}

void pass_count(struct works *all, const struct apply_folder *folders)
{
    for (size_t i = 0; i < all->n_planned; i++) {
        struct copy_folder *done = &all->planned[i]->done;
        done->flags += folders[i].n_flagged;
        done->moved += folders[i].n_moved;
        done->deleted += folders[i].n_deleted;
        done->kept += folders[i].n_kept;
    }
    count_kept(all);
}

void pass_tell_folder(struct work *w)
{
    if (!w->c->events->folder || w->comes_again)
        return;
    w->done.source = w->record->source.name;
    w->done.target = w->record->target.name;
    w->done.has_failed = w->is_over;
    w->c->events->folder(w->c->arg, &w->done);
}
