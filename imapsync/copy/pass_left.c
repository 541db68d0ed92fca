/* SPDX-License-Identifier: ISC */
/*
 * pass_left: what a plan does not do, and how that is told: what is withheld, what was not listed,
 * what is nowhere else, what nobody knows any more.
 */
#include <stdlib.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"

static bool is_same_group(const struct plan_op *a, const struct plan_op *b)
{
    return a->kind == b->kind && a->folder == b->folder && a->reason == b->reason;
}

/* It is looked at again with the next pass: what is new in a move's other folder would seem to be
 * known there, and what it has left behind to be deleted. */
void pass_leave_op(struct works *all, const struct plan_op *op)
{
    all->planned[op->folder]->n_exceptions++;
    if (op->kind == PLAN_MOVE)
        all->planned[op->to]->n_exceptions++;
}

void pass_tell_withheld(struct works *all)
{
    const struct plan *p = &all->plan;
    size_t *n_of = mem_zalloc((all->n_planned + 1) * sizeof(*n_of));
    for (size_t i = 0; i < p->n_withheld; i++)
        n_of[p->withheld[i].folder] += p->withheld[i].reason != PLAN_R_FILTERED;
    for (size_t i = 0, n; i < p->n_withheld; i += n) {
        const struct plan_op *op = &p->withheld[i];
        struct work *w = all->planned[op->folder];
        char text[200];
        for (n = 1; i + n < p->n_withheld && is_same_group(op, op + n);)
            n++;
        for (size_t k = 0; k < n && op->reason != PLAN_R_FILTERED; k++)
            pass_leave_op(all, op + k);
        if (op->reason == PLAN_R_FILTERED)
            continue;
        BUG_ON(fmt_into(text, sizeof(text), "%zu %s%s: %s", n,
                   op->kind == PLAN_MOVE   ? "move"
                   : op->kind == PLAN_COPY ? "copy"
                                           : "deletion",
                   n == 1 ? "" : "s", plan_reason_text(op->reason)) != 0);
        w->done.withheld += n;
        /* Accepted, it is good for all of the folder's. */
        if (!folder_tell(w, ITEM_HELD_BACK, 0, n_of[op->folder], text))
            w->p->counts->deletions_withheld += n;
    }
    free(n_of);
}

/* Some of what it had is nowhere else, and stays on the target. */
void pass_tell_lost(struct works *all)
{
    for (size_t i = 0; i < all->n_planned; i++) {
        struct work *w = all->planned[i];
        bool stays = false;
        for (size_t k = 0; w->is_lost && !stays && k < all->plan.n_withheld; k++)
            stays = all->plan.withheld[k].folder == i;
        if (folder_is_behind_flip(w))
            continue;
        if (!stays && !(w->is_lost && all->plan.n_of[PLAN_REMOVE] == 0 && w->n_known > 0 &&
                          w->c->options.delete_percent == 0))
            continue;
        w->p->counts->folders_vanished = ++w->c->n_lost;
        if (!w->c->has_told_lost)
            log_warn("folder_vanished", log_str("user", w->c->source->user),
                log_slice("folder", w->source->name));
    }
}

void pass_tell_short(struct work *w)
{
    if (w->has_told_short)
        return;
    w->has_told_short = true;
    log_warn("listing_incomplete", log_slice("folder", w->record->source.name),
        log_u64("messages", w->listing.exists), log_u64("listed", w->listing.n));
    const char *why = w->listing.has_unread
                          ? "what the source tells of it cannot be read as a whole: see "
                            "imap_line_odd in the log"
                          : "the source lists fewer messages than it counts";
    w->p->has_failed = true;
    if (!folder_tell(w, ITEM_SHORT, 0, 0, why))
        w->p->counts->folders_short++;
}

/* What was given up is told once: behind the pass nobody would look at it again.  Before the
 * journal makes an end of it, so that a kill tells of it twice rather than never. */
void pass_tell_unknown(struct works *all)
{
    const struct plan *p = &all->plan;
    size_t *n_of = mem_zalloc((all->n_planned + 1) * sizeof(*n_of));
    for (size_t i = 0; i < p->n_ops; i++)
        n_of[p->ops[i].folder] += p->ops[i].witness == PLAN_W_UNKNOWN;
    for (size_t i = 0; i < all->n_planned; i++) {
        struct work *w = all->planned[i];
        char text[200];
        if (n_of[i] == 0)
            continue;
        BUG_ON(fmt_into(text, sizeof(text),
                   "what was there before the flip was lost; %zu messages are not "
                   "on the target, and were deleted there or came late: nothing was copied",
                   n_of[i]) != 0);
        w->n_exceptions += n_of[i];
        if (!folder_tell(w, ITEM_LATE_UNKNOWN, 0, n_of[i], text))
            w->p->counts->messages_failed += n_of[i];
    }
    free(n_of);
}

/* What was sent, and was not where it was sent to, is looked for where its message now is: with the
 * next pass, and until then it is missing. */
void pass_tell_sent(struct works *all)
{
    for (size_t i = 0; i < all->plan.n_ops; i++) {
        const struct plan_op *op = &all->plan.ops[i];
        if (op->kind == PLAN_RENUMBER && op->state == PAIR_SENT)
            folder_told_vanished(all->planned[op->to], op->new_uid);
    }
}

/* What was lost may be what was not read. */
void pass_leave_lost(struct works *all)
{
    struct plan *p = &all->plan;
    size_t kept = 0;
    for (size_t i = 0; i < p->n_ops; i++) {
        if (plan_is_by_absence(p->ops[i].witness))
            pass_leave_op(all, &p->ops[i]);
        else
            p->ops[kept++] = p->ops[i];
    }
    p->n_ops = kept;
}
