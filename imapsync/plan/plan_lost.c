/* SPDX-License-Identifier: ISC */
/*
 * plan_lost: what becomes of pairs that one side has lost.  In this order, first that fits:
 *
 *   without a known copy     forgotten; where its message is new elsewhere, known there
 *   lost on both sides       forgotten, or known to be away where its message now is
 *   its copy is another's    only the pair goes
 *   new elsewhere            our copy follows, with its flags
 *   perhaps new elsewhere    what is there cannot be read: all stays as it is
 *   alone on the target      stays, unless the source's user is known to have removed it
 *   in Trash already         stands alone there until the next plan, and is forgotten then
 *   deleted                  as the policy says, unless the target's user has touched the copy, or
 *                            nothing proves that it is so
 */
#include "imapsync/plan/plan_parts.h"

static struct plan_op *add_for(
    struct plan_draft *d, enum plan_kind kind, enum plan_witness witness, const struct plan_lost *l)
{
    struct plan_op *op = plan_add(d, kind, witness, l->folder);
    op->src_uid = l->pair.src_uid;
    op->tgt_uid = l->pair.tgt_uid;
    op->change = plan_change(d, &(struct plan_change){.was = l->other});
    return op;
}

static void renumber(struct plan_draft *d, const struct plan_lost *l, enum pair_state state)
{
    const struct plan_fresh *f = &d->source.fresh[l->match];
    struct plan_op *op = add_for(d, PLAN_RENUMBER, l->proof, l);
    op->to = f->folder;
    op->new_uid = f->uid;
    op->state = state;
}

static struct flags translate(
    const struct plan_draft *d, uint32_t from, uint32_t to, const struct flags *f)
{
    return d->in->translate && from != to ? d->in->translate(d->in->arg, from, to, f) : *f;
}

/* Our copy is where it was, or is to be where the source's now is. */
static void follow(struct plan_draft *d, const struct plan_lost *l)
{
    const struct plan_fresh *f = &d->source.fresh[l->match];
    struct plan_message m = plan_message_of(d, false, f);
    struct plan_place at = {l->folder, l->pair.src_uid, l->pair.tgt_uid};
    bool is_move = f->folder != l->folder;
    if (is_move && !d->in->folders[l->folder].target.is_sure) {
        add_for(d, PLAN_MOVE, l->proof, l)->to = f->folder;
        plan_withhold_last(d, PLAN_R_NOT_SURE);
        return;
    }
    if (!is_move) {
        renumber(d, l, PAIR_STORED);
        at.src_uid = f->uid;
    }
    struct flags source = translate(d, f->folder, l->folder, &m.flags);
    struct flags now = plan_merge_flags(
        d, &l->pair, &at, m.has_flags ? &source : NULL, l->has_other ? &l->other : NULL);
    if (is_move) {
        now = translate(d, l->folder, f->folder, &now);
        struct plan_op *op = add_for(d, PLAN_MOVE, l->proof, l);
        op->to = f->folder;
        op->new_uid = f->uid;
        op->change = plan_change(d, &(struct plan_change){.now = now, .was = l->other});
    }
}

/* It is in Trash already.  Where its message was moved between the looks at two folders, the next
 * plan sees it: until then the copy stands alone there. */
static void stand_alone(struct plan_draft *d, const struct plan_lost *l)
{
    struct plan_op *op = add_for(d, PLAN_GONE, PLAN_W_IN_TRASH, l);
    op->is_touched = l->is_touched;
    op->change = plan_change(d, &(struct plan_change){.now = l->pair.flags, .was = l->other});
}

/* It is nowhere else on the source. */
static void follow_deletion(struct plan_draft *d, const struct plan_lost *l)
{
    const struct plan_folder *f = &d->in->folders[l->folder];
    bool is_trash = d->policy->deletions == PLAN_DELETIONS_TRASH;
    if (l->pair.src_uid == 0 && l->pair.is_unproved) {
        d->out->n_same++;
        return;
    }
    /* An earlier plan has put it there, and its message has not come up anywhere. */
    if (l->pair.src_uid == 0 && is_trash && f->is_target_trash) {
        add_for(d, PLAN_FORGET, PLAN_W_IN_TRASH, l);
        return;
    }
    if (d->policy->deletions == PLAN_DELETIONS_STAY || !d->in->may_delete) {
        bool is_known = l->pair.state == PAIR_GONE || f->is_source_lost;
        if (is_known && l->is_touched == l->pair.is_touched) {
            d->out->n_same++;
            return;
        }
        /* Its user's touch counts if a deletion is to follow one day. */
        struct plan_op *op = is_known ? add_for(d, PLAN_NOTE, PLAN_W_TOUCHED, l)
                                      : add_for(d, PLAN_GONE, PLAN_W_LOST, l);
        op->is_touched = l->is_touched;
        op->change = plan_change(d, &(struct plan_change){.now = l->pair.flags, .was = l->other});
        return;
    }
    bool may_be_hidden = f->is_source_lost && !f->is_confirmed;
    if (!may_be_hidden && is_trash && f->is_target_trash) {
        stand_alone(d, l);
        return;
    }
    if (!may_be_hidden && l->is_touched) {
        add_for(d, PLAN_FORGET, PLAN_W_TOUCHED, l);
        d->out->n_kept++;
        return;
    }
    add_for(d, is_trash ? PLAN_TRASH : PLAN_REMOVE, PLAN_W_LOST, l);
    if (may_be_hidden)
        plan_withhold_last(d, PLAN_R_FOLDER_LOST);
    else if (is_trash ? !d->in->can_move : !d->in->can_remove)
        plan_withhold_last(d, PLAN_R_CANNOT);
    else if (!f->target.is_sure)
        plan_withhold_last(d, PLAN_R_NOT_SURE);
}

/* Nothing is done before the new one can be read, or is gone. */
static void wait_for_content(struct plan_draft *d, const struct plan_lost *l)
{
    enum plan_deletions how = d->in->may_delete ? d->policy->deletions : PLAN_DELETIONS_STAY;
    if (l->pair.src_uid == 0 && l->pair.is_unproved) {
        d->out->n_same++;
        return;
    }
    if (l->pair.tgt_uid == 0)
        add_for(d, PLAN_FORGET, PLAN_W_BOTH_LOST, l);
    else if (how == PLAN_DELETIONS_STAY)
        add_for(d, PLAN_GONE, PLAN_W_LOST, l);
    else
        add_for(d, how == PLAN_DELETIONS_TRASH ? PLAN_TRASH : PLAN_REMOVE, PLAN_W_LOST, l);
    plan_withhold_last(d, PLAN_R_UNREADABLE);
}

/* Of one that was sent: whether it was looked for there, and is not there. */
static bool is_looked_for(const struct plan_draft *d, const struct plan_lost *l)
{
    return l->pair.digest && !d->in->folders[l->folder].is_source_lost;
}

/* A pair without a known copy. */
static void on_lost_bare(struct plan_draft *d, const struct plan_lost *l)
{
    enum pair_state state = l->pair.state;
    bool is_never_sent = state == PAIR_REFUSED || state == PAIR_SENT;
    if (l->match == PLAN_NONE) {
        /* Behind a flip what the target was restored without is owed wherever it is: plan_late.c.
         */
        bool is_owed = state == PAIR_LOST && d->policy->is_behind_flip;
        if (is_owed || d->in->folders[l->folder].is_source_lost)
            d->out->n_same++;
        else
            add_for(d, PLAN_FORGET, is_never_sent ? PLAN_W_NEVER_SENT : PLAN_W_BOTH_LOST, l);
        return;
    }
    if (state == PAIR_SENT && !is_looked_for(d, l)) {
        /* It lies where it was sent to, and nobody knows as what. */
        add_for(d, PLAN_MOVE, l->proof, l)->to = d->source.fresh[l->match].folder;
        plan_withhold_last(d, PLAN_R_NO_UID);
    } else if (state == PAIR_GONE && d->policy->repeats_gone) {
        add_for(d, PLAN_FORGET, PLAN_W_BOTH_LOST, l);
        plan_copy(d, &d->source.fresh[l->match], PLAN_W_AGAIN);
    } else {
        /* One that was sent is looked for in its new place from now on. */
        renumber(d, l, state);
    }
}

/* is_spared: another pair has the same copy, and decides about it. */
static void on_lost(struct plan_draft *d, struct plan_lost *l, bool is_spared)
{
    struct plan_fresh *f = l->match == PLAN_NONE ? NULL : &d->source.fresh[l->match];
    if (!f && l->may_be_unread) {
        wait_for_content(d, l);
        return;
    }
    if (l->pair.tgt_uid == 0) {
        on_lost_bare(d, l);
        return;
    }
    if (l->is_other_lost) {
        if (f)
            renumber(d, l, PAIR_AWAY);
        else if (!d->in->folders[l->folder].is_source_lost)
            add_for(d, PLAN_FORGET, PLAN_W_BOTH_LOST, l);
        return;
    }
    /* The new one is copied, and the old copy is no longer its. */
    if (f && (is_spared || (f->folder != l->folder && !d->in->can_move))) {
        f->is_taken = false;
        f->is_released = true;
        f = NULL;
        l->pair.is_unproved = false;
    }
    if (f)
        follow(d, l);
    else if (is_spared && !d->in->folders[l->folder].is_source_lost)
        add_for(d, PLAN_FORGET, PLAN_W_SHARED, l);
    else
        follow_deletion(d, l);
}

/* By copy, and of those that share one the joined one first. */
static int by_copy(const void *a, const void *b)
{
    const struct plan_lost *x = a, *y = b;
    if (x->folder != y->folder)
        return x->folder < y->folder ? -1 : 1;
    if (x->pair.tgt_uid != y->pair.tgt_uid)
        return x->pair.tgt_uid < y->pair.tgt_uid ? -1 : 1;
    if ((x->match == PLAN_NONE) != (y->match == PLAN_NONE))
        return x->match == PLAN_NONE ? 1 : -1;
    return x->pair.src_uid < y->pair.src_uid ? -1 : x->pair.src_uid > y->pair.src_uid;
}

void plan_lost(struct plan_draft *d)
{
    struct plan_match *m = &d->source;
    mem_sort(m->lost, m->n_lost, sizeof(*m->lost), by_copy);
    for (size_t i = 0; i < m->n_lost; i++) {
        struct plan_lost *l = &m->lost[i];
        bool is_second = i > 0 && l->folder == m->lost[i - 1].folder &&
                         l->pair.tgt_uid == m->lost[i - 1].pair.tgt_uid;
        on_lost(d, l, l->is_shared || is_second);
    }
}

static bool is_found_there(const struct plan_draft *d, const struct plan_lost *l)
{
    return l->match != PLAN_NONE && d->target.fresh[l->match].folder == l->folder;
}

void plan_again(struct plan_draft *d)
{
    struct plan_match *m = &d->source;
    for (size_t i = 0; i < d->target.n_lost; i++) {
        const struct plan_lost *l = &d->target.lost[i];
        if (!l->comes_again || is_found_there(d, l))
            continue;
        if (l->other_at == PLAN_NONE) {
            struct plan_op *op = plan_add(d, PLAN_COPY, PLAN_W_AGAIN, l->folder);
            op->src_uid = l->pair.src_uid;
            op->change = plan_change(d, &(struct plan_change){.now = l->pair.flags});
            continue;
        }
        m->fresh = plan_room(m->fresh, m->n_fresh, sizeof(*m->fresh));
        m->fresh[m->n_fresh++] = (struct plan_fresh){.folder = l->folder,
            .at = (uint32_t)l->other_at,
            .uid = l->pair.src_uid,
            .is_again = true,
            .digest = l->pair.digest,
            .canon = l->pair.canon};
    }
}

void plan_away(struct plan_draft *d)
{
    for (size_t i = 0; i < d->target.n_lost; i++) {
        const struct plan_lost *l = &d->target.lost[i];
        const struct plan_fresh *f = l->match == PLAN_NONE ? NULL : &d->target.fresh[l->match];
        if (l->comes_again && !is_found_there(d, l))
            continue;
        if (f && f->folder == l->folder) {
            struct plan_message m = plan_message_of(d, true, f);
            struct plan_place at = {l->folder, l->pair.src_uid, f->uid};
            struct plan_op *op = add_for(d, PLAN_RENUMBER, l->proof, l);
            op->is_target = true;
            op->new_uid = f->uid;
            op->state = PAIR_STORED;
            plan_merge_flags(
                d, &l->pair, &at, l->has_other ? &l->other : NULL, m.has_flags ? &m.flags : NULL);
        } else {
            add_for(d, PLAN_AWAY, f ? PLAN_W_TARGET_MOVED : PLAN_W_TARGET_LOST, l);
        }
    }
}
