/* SPDX-License-Identifier: ISC */
/*
 * plan_late: behind a flip the target is its user's, and what he has deleted or moved there is not
 * to come back because it stands on the source under another number.  So a message without a pair
 * is only late
 *
 *   - in a place that is not known: above the mark of its folder, or in a folder that has none (it
 *     is new, or numbered anew), and without a pair since; and
 *   - when its content stands in such places more often than it ever was on the source.
 *
 * Below the mark everything was listed: either it was copied, or it is owed.  Where of n equal ones
 * fewer are late, it is those that stand last, above a mark before all others.
 *
 * What the target has lost by a restore (PAIR_LOST) is owed wherever the source has it now.  As
 * long as a folder that was restored cannot be looked at, nobody knows what that is, and what was
 * seen before waits, as does one that may be what comes again from where it was listed first.  So
 * does what may have been stored for a folder that cannot be looked at: it
 * may have been moved since.
 *
 * Folders are listed one after the other, so what is moved meanwhile is seen in two places.  Where
 * equal ones in several folders would be late, each is asked for once more: those that are still
 * there were there together.
 */
#include "imapsync/plan/plan_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/os/hmac.h"
#include "base/mail/uids.h"

struct candidate {
    const unsigned char *digest;
    bool has_mark;
    size_t at;
};

static int by_digest(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int r = memcmp(x->digest, y->digest, SHA256_SIZE);
    if (r == 0 && x->has_mark != y->has_mark)
        r = x->has_mark ? 1 : -1;
    return r != 0 ? r : x->at < y->at ? -1 : x->at > y->at;
}

static void not_late(struct plan_draft *d, struct plan_fresh *f, enum plan_witness witness)
{
    plan_add(d, PLAN_GONE, witness, f->folder)->src_uid = f->uid;
    f->is_judged = true;
}

/* false: its content has to tell. */
static bool judge_by_place(struct plan_draft *d, struct plan_fresh *f)
{
    const struct past_folder *past = &d->in->folders[f->folder].past;
    bool is_below = f->uid <= past->mark;
    if (is_below && uids_have(past->owed, past->n_owed, f->uid))
        (void)plan_copy_new(d, f, PLAN_W_OWED);
    else if (is_below)
        not_late(d, f, PLAN_W_BELOW_MARK);
    else if (past->is_known && past->is_known(past->known, f->uid))
        not_late(d, f, PLAN_W_KNOWN);
    else if (d->policy->late == PLAN_LATE_MARK)
        (void)plan_copy_new(d, f, PLAN_W_LATE);
    else
        return false;
    return true;
}

/* false: there is no content to go by. */
static bool has_content(
    struct plan_draft *d, struct plan_fresh *f, const struct plan_message *message)
{
    if (message->digest)
        return true;
    if (!message->is_unreadable)
        plan_ask(d, PLAN_ASK_CONTENT, false, f);
    else if (!d->in->seen)
        not_late(d, f, PLAN_W_UNKNOWN);
    else if (!message->is_still_there)
        plan_ask(d, PLAN_ASK_THERE, false, f);
    else {
        plan_copy(d, f, PLAN_W_LATE);
        plan_withhold_last(d, PLAN_R_UNREADABLE);
    }
    return false;
}

/* Whether any of them has to be asked for. */
static bool ask_for_each(struct plan_draft *d, const struct candidate *v, size_t n)
{
    size_t n_asks = d->out->n_asks;
    bool is_one_folder = true;
    for (size_t i = 1; i < n; i++)
        is_one_folder =
            is_one_folder && d->source.fresh[v[i].at].folder == d->source.fresh[v[0].at].folder;
    for (size_t i = 0; !is_one_folder && i < n; i++) {
        const struct plan_fresh *f = &d->source.fresh[v[i].at];
        if (!plan_message_of(d, false, f).is_still_there)
            plan_ask(d, PLAN_ASK_THERE, false, f);
    }
    return d->out->n_asks > n_asks;
}

static bool is_owed(const struct plan_lost *l, const unsigned char *digest)
{
    return l->pair.state == PAIR_LOST && l->pair.digest &&
           memcmp(l->pair.digest, digest, SHA256_SIZE) == 0;
}

static size_t count_owed(const struct plan_draft *d, const unsigned char *digest)
{
    size_t n = 0;
    for (size_t i = 0; i < d->source.n_lost; i++)
        n += is_owed(&d->source.lost[i], digest);
    return n;
}

/* They are on the source under other numbers, and copied from there: nothing is owed any more. */
static void pay(struct plan_draft *d, const unsigned char *digest, size_t n)
{
    for (size_t i = 0; n > 0 && i < d->source.n_lost; i++) {
        struct plan_lost *l = &d->source.lost[i];
        if (!is_owed(l, digest))
            continue;
        struct plan_op *op = plan_add(d, PLAN_GONE, PLAN_W_RESTORED, l->folder);
        op->src_uid = l->pair.src_uid;
        op->change = plan_change(d, &(struct plan_change){.now = l->pair.flags});
        n--;
    }
}

/* Those that are to come again from where they were listed, and may have been moved since. */
static size_t count_restored(const struct plan_draft *d, const unsigned char *digest)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_owed; i++)
        n += memcmp(d->owed[i], digest, SHA256_SIZE) == 0;
    return n;
}

static void judge_group(struct plan_draft *d, const struct candidate *v, size_t n)
{
    const size_t hidden = d->in->is_owed_hidden ? n : count_restored(d, v->digest);
    size_t ever = d->in->seen(d->in->arg, v->digest, n), owed = count_owed(d, v->digest);
    owed = owed < ever ? owed : ever;
    size_t late = n > ever ? n - ever : 0;
    ever -= owed;
    if (n > ever && ask_for_each(d, v, n))
        return;
    size_t in_doubt = d->in->in_doubt ? d->in->in_doubt(d->in->arg, v->digest) : 0;
    if (n > ever)
        pay(d, v->digest, n - ever - late);
    for (size_t i = 0; i < n; i++) {
        struct plan_fresh *f = &d->source.fresh[v[i].at];
        if (i < ever && i >= hidden) {
            not_late(d, f, PLAN_W_SEEN);
            continue;
        }
        plan_copy(d, f, PLAN_W_LATE);
        if (i < ever)
            plan_withhold_last(d, PLAN_R_HIDDEN);
        else if (i - ever < in_doubt)
            plan_withhold_last(d, PLAN_R_IN_DOUBT);
    }
}

static void judge_by_content(struct plan_draft *d, struct candidate *v, size_t n)
{
    mem_sort(v, n, sizeof(*v), by_digest);
    for (size_t i = 0; i < n;) {
        size_t k = 1;
        while (i + k < n && memcmp(v[i].digest, v[i + k].digest, SHA256_SIZE) == 0)
            k++;
        judge_group(d, &v[i], k);
        i += k;
    }
}

void plan_late(struct plan_draft *d)
{
    struct candidate *v;
    size_t n = 0;
    if (d->policy->late == PLAN_LATE_ALL)
        return;
    v = mem_realloc_array(NULL, d->source.n_fresh + 1, sizeof(*v));
    for (size_t i = 0; i < d->source.n_fresh; i++) {
        struct plan_fresh *f = &d->source.fresh[i];
        if (f->is_taken || f->is_judged || judge_by_place(d, f))
            continue;
        struct plan_message message = plan_message_of(d, false, f);
        if (!has_content(d, f, &message))
            continue;
        if (d->in->seen)
            v[n++] = (struct candidate){message.digest, d->in->folders[f->folder].past.mark > 0, i};
        else
            not_late(d, f, PLAN_W_UNKNOWN);
    }
    if (d->out->n_asks == 0)
        judge_by_content(d, v, n);
    free(v);
}
