/* SPDX-License-Identifier: ISC */
/*
 * plan_limits: what is too much.  A source that suddenly lacks most of what it had is more often
 * broken than tidied up: ten folders of 20 that show nothing for once would empty the target.  So
 * the ceiling is the mailbox's, and neither moves nor copies that their user has touched count.
 *
 *   doubted      the source shows no message, or no INBOX (amounts.h): none of them
 *   emptied      nothing at all is left: never followed
 *   ceiling      more than max(50, 10 %) of what the journal knows, or more than 20 that are more
 *                than half of it: none of them
 *   look-again   a folder has become empty: only when it is so when it is opened once more
 */
#include "imapsync/plan/plan_parts.h"

#include <stdlib.h>

/* Half a mailbox may be what a server shows of it behind a restore. */
static size_t always(const struct plan_input *in)
{
    size_t half = in->n_known / 2;
    if (half <= PLAN_DELETIONS_SMALL)
        return PLAN_DELETIONS_SMALL;
    return half < PLAN_DELETIONS_MIN ? half : PLAN_DELETIONS_MIN;
}

size_t plan_ceiling(const struct plan_input *in)
{
    size_t least = in->deletions_min > 0 ? in->deletions_min : always(in);
    unsigned percent = in->deletions_percent > 0 ? in->deletions_percent : PLAN_DELETIONS_PERCENT;
    /* By hundreds first: the product may be too large. */
    size_t share = in->n_known / 100 * percent + in->n_known % 100 * percent / 100;
    return share > least ? share : least;
}

static bool is_deletion(const struct plan_op *op)
{
    return op->kind == PLAN_REMOVE || op->kind == PLAN_TRASH;
}

/* Whether the source has lost every message that the journal knows, and has no other. */
static bool is_emptied(const struct plan_draft *d)
{
    size_t lost = 0;
    for (size_t i = 0; i < d->source.n_lost; i++)
        lost += d->source.lost[i].pair.state == PAIR_STORED;
    return d->in->is_all && d->in->n_known >= PLAN_EMPTIED_MIN && lost >= d->in->n_known &&
           d->source.n_fresh == 0;
}

static bool has_fresh(const struct plan_draft *d, uint32_t folder)
{
    for (size_t i = 0; i < d->source.n_fresh; i++) {
        if (d->source.fresh[i].folder == folder)
            return true;
    }
    return false;
}

static bool is_doubtful(const struct plan_draft *d, uint32_t folder, size_t n)
{
    const struct plan_folder *f = &d->in->folders[folder];
    return n >= PLAN_EMPTIED_MIN && n >= f->n_known && !f->is_confirmed && !has_fresh(d, folder);
}

void plan_limits(struct plan_draft *d)
{
    size_t *of = mem_zalloc((d->in->n_folders + 1) * sizeof(*of));
    size_t n = 0, left = 0;
    for (size_t i = 0; i < d->out->n_ops; i++) {
        if (is_deletion(&d->out->ops[i])) {
            of[d->out->ops[i].folder]++;
            n++;
        }
    }
    enum plan_reason all = n == 0                     ? PLAN_R_NONE
                           : d->in->is_source_doubted ? PLAN_R_DOUBTED
                           : is_emptied(d)            ? PLAN_R_EMPTIED
                           : n > plan_ceiling(d->in)  ? PLAN_R_CEILING
                                                      : PLAN_R_NONE;
    for (uint32_t i = 0; i < d->in->n_folders; i++) {
        if (is_doubtful(d, i, of[i]))
            plan_add_number(&d->out->again, &d->out->n_again, i);
        else
            of[i] = 0;
    }
    for (size_t i = 0; i < d->out->n_ops; i++) {
        struct plan_op op = d->out->ops[i];
        if (is_deletion(&op) && (all != PLAN_R_NONE || of[op.folder] > 0))
            plan_withhold(d->out, &op, all != PLAN_R_NONE ? all : PLAN_R_LOOK_AGAIN);
        else
            d->out->ops[left++] = op;
    }
    d->out->n_ops = left;
    free(of);
}
