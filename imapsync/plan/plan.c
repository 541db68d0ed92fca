/* SPDX-License-Identifier: ISC */
/*
 * plan: merges each folder's changes with its pairs, then makes operations of what is left.
 *
 *   on the source      in the journal   on the target
 *   has it             nothing          -              new: copied, unless it was moved or is no
 *                                                      late one
 *   has it             stored           has it         flags, three-way
 *   has it             stored           lost           behind a flip: gone for good; before: away,
 *                                                      and told
 *   lost               stored           has it         moved, else deleted as the policy says;
 *                                                      kept when the target's user has touched it
 *   lost               stored           lost           forgotten
 *   has it, or lost    refused          -              tried again, or forgotten
 *   has it             lost             -              copied again: the target was restored
 *   -                  nothing          has it         nothing: it is not ours
 *
 * A target that keeps equal messages once (Gmail) gives two of ours the same UID.  While one of
 * them is on the source their copy stays, where it is; the pair of the other is only forgotten.
 */
#include "imapsync/plan/plan.h"

#include <stdlib.h>

#include "base/core/err.h"
#include "imapsync/plan/plan_parts.h"
#include "base/mail/uids.h"

/* --- What goes in ------------------------------------------------------------------------- */

static bool find_message(const struct plan_side *s, uint32_t uid, struct plan_message *out)
{
    size_t first = 0, end = s->n;
    while (first < end) {
        size_t mid = first + (end - first) / 2;
        *out = plan_message_at(s, mid);
        if (out->uid == uid)
            return true;
        if (out->uid < uid)
            first = mid + 1;
        else
            end = mid;
    }
    return false;
}

static bool has_lost(const struct plan_side *s, uint32_t uid)
{
    return s->is_sure && uids_have(s->vanished, s->n_vanished, uid);
}

/* --- Copies and flags ---------------------------------------------------------------------- */

static void add_copy(struct plan_draft *d, uint32_t folder, uint32_t uid, struct flags flags,
    enum plan_witness witness)
{
    if (!d->policy->has_deleted)
        flags.system &= (uint8_t)~FLAG_DELETED;
    struct plan_op *op = plan_add(d, PLAN_COPY, witness, folder);
    op->src_uid = uid;
    op->change = plan_change(d, &(struct plan_change){.now = flags});
}

void plan_copy(struct plan_draft *d, struct plan_fresh *f, enum plan_witness witness)
{
    struct plan_message m = plan_message_of(d, false, f);
    add_copy(d, f->folder, f->uid, m.has_flags ? m.flags : (struct flags){0}, witness);
    f->is_judged = true;
}

bool plan_copy_new(struct plan_draft *d, struct plan_fresh *f, enum plan_witness witness)
{
    plan_copy(d, f, witness);
    if (!f->may_be_lost && !plan_message_of(d, false, f).is_in_doubt)
        return true;
    plan_withhold_last(d, PLAN_R_UNREADABLE);
    return false;
}

struct flags plan_merge_flags(struct plan_draft *d, const struct plan_pair *p,
    const struct plan_place *at, const struct flags *source, const struct flags *target)
{
    const struct plan_folder *f = &d->in->folders[at->folder];
    struct plan_three t = {.base = p->flags,
        .source = source ? *source : p->flags,
        .target = target ? *target : p->flags,
        .storable = f->storable};
    struct plan_change c = {.was = t.target};
    enum plan_witness witness = PLAN_W_FLAGS;
    bool is_touched = target ? plan_is_touched(&t) : p->is_touched;
    /* Of a listing that is too short: its user may have touched it. */
    bool is_unknown = !target && !f->target.is_sure;
    plan_flags(d->policy, &t, is_touched || is_unknown, &c.add, &c.remove, &c.now);
    bool is_change = !flags_empty(&c.add) || !flags_empty(&c.remove);
    if (target) {
        struct flags then = flags_minus(&t.target, &c.remove);
        t.base = c.now;
        t.target = flags_or(&then, &c.add);
        is_touched = plan_is_touched(&t);
    }
    if (!is_change && flags_eq(&c.now, &p->flags) && is_touched == p->is_touched) {
        d->out->n_same++;
        return c.now;
    }
    if (!is_change)
        witness = flags_eq(&c.now, &p->flags) ? PLAN_W_TOUCHED : PLAN_W_AGREED;
    struct plan_op *op = plan_add(d, is_change ? PLAN_FLAGS : PLAN_NOTE, witness, at->folder);
    op->src_uid = at->src_uid;
    op->tgt_uid = at->tgt_uid;
    op->is_touched = is_touched;
    op->change = plan_change(d, &c);
    return c.now;
}

/* --- One folder ---------------------------------------------------------------------------- */

/* One pair, and what the sides have told about it. */
struct seen {
    struct plan_pair pair;
    struct plan_message source, target;
    bool has_source, has_target; /* they are among the changes */
    size_t source_at;
    bool is_source_lost, is_target_lost;
};

static void look(const struct plan_folder *f, struct seen *s)
{
    const struct plan_pair *p = &s->pair;
    s->is_source_lost = !s->has_source &&
                        (p->src_uid == 0 || f->is_source_lost || has_lost(&f->source, p->src_uid));
    s->has_target = p->tgt_uid != 0 && find_message(&f->target, p->tgt_uid, &s->target);
    s->is_target_lost = p->tgt_uid != 0 && !s->has_target &&
                        (f->is_target_lost || has_lost(&f->target, p->tgt_uid));
}

static void add_lost(
    struct plan_match *m, uint32_t folder, const struct seen *s, const struct plan_folder *f)
{
    bool is_target = m->is_target;
    const struct plan_message *other = is_target ? &s->source : &s->target;
    struct plan_lost l = {.folder = folder,
        .pair = s->pair,
        .other = s->pair.flags,
        .has_other = (is_target ? s->has_source : s->has_target) && other->has_flags,
        .is_other_lost = !is_target && s->is_target_lost,
        .is_touched = s->pair.is_touched,
        .is_shared = s->pair.has_twin,
        .other_at = s->has_source ? s->source_at : PLAN_NONE,
        .match = PLAN_NONE};
    if (l.has_other)
        l.other = other->flags;
    if (l.has_other && !is_target) {
        struct plan_three t = {.base = s->pair.flags, .target = l.other, .storable = f->storable};
        l.is_touched = plan_is_touched(&t);
    }
    m->lost = plan_room(m->lost, m->n_lost, sizeof(*m->lost));
    m->lost[m->n_lost++] = l;
}

static void add_fresh(struct plan_match *m, uint32_t folder, size_t at, uint32_t uid)
{
    m->fresh = plan_room(m->fresh, m->n_fresh, sizeof(*m->fresh));
    m->fresh[m->n_fresh++] = (struct plan_fresh){.folder = folder, .at = (uint32_t)at, .uid = uid};
}

/* The source has it. */
static void on_source(struct plan_draft *d, uint32_t folder, const struct seen *s)
{
    const struct plan_folder *f = &d->in->folders[folder];
    const struct plan_pair *p = &s->pair;
    struct plan_place at = {folder, p->src_uid, p->tgt_uid};
    struct flags flags = s->has_source && s->source.has_flags ? s->source.flags : p->flags;
    /* Lost on the target, and perhaps on the source, which tells less than it has: what is like it
     * on the target need not be its copy. */
    bool is_in_doubt = !f->source.is_sure && !s->has_source && !d->policy->is_behind_flip;
    if (p->state == PAIR_STORED && s->is_target_lost && is_in_doubt) {
        d->out->n_same++;
    } else if (p->state == PAIR_STORED && s->is_target_lost) {
        if (d->policy->is_behind_flip) {
            struct plan_op *op = plan_add(d, PLAN_GONE, PLAN_W_TARGET_LOST, folder);
            op->src_uid = p->src_uid;
            op->tgt_uid = p->tgt_uid;
            op->change = plan_change(d, &(struct plan_change){.now = p->flags});
        } else {
            add_lost(&d->target, folder, s, f);
            d->target.lost[d->target.n_lost - 1].comes_again =
                d->in->is_fresh && d->policy->repeats_gone;
        }
    } else if (p->state == PAIR_STORED) {
        plan_merge_flags(d, p, &at, s->has_source && s->source.has_flags ? &flags : NULL,
            s->has_target && s->target.has_flags ? &s->target.flags : NULL);
    } else if (p->state == PAIR_REFUSED && d->policy->retries_refused && p->may_retry) {
        add_copy(d, folder, p->src_uid, flags, PLAN_W_RETRY);
        if (s->has_source && s->source.is_in_doubt)
            plan_withhold_last(d, PLAN_R_UNREADABLE);
    } else if (p->state == PAIR_LOST) {
        add_copy(d, folder, p->src_uid, flags, PLAN_W_RESTORED);
        d->owed = plan_room(d->owed, d->n_owed, sizeof(*d->owed));
        if (p->digest)
            d->owed[d->n_owed++] = p->digest;
    } else if (p->state == PAIR_GONE && d->policy->repeats_gone) {
        add_lost(&d->target, folder, s, f);
        d->target.lost[d->target.n_lost - 1].comes_again = true;
    } else {
        d->out->n_same++;
    }
}

/* The copies that stay because of a message that is on the source. */
static void spare_shared(struct plan_match *m, size_t first, uint32_t *kept, size_t n_kept)
{
    n_kept = uids_sort(kept, n_kept);
    for (size_t i = first; i < m->n_lost; i++) {
        if (m->lost[i].pair.tgt_uid != 0 && uids_have(kept, n_kept, m->lost[i].pair.tgt_uid))
            m->lost[i].is_shared = true;
    }
}

/* Messages of the target that no pair names: not ours, but one that was moved may be among them. */
static void find_foreign(struct plan_draft *d, uint32_t folder, uint32_t *ours, size_t n_ours)
{
    const struct plan_side *s = &d->in->folders[folder].target;
    n_ours = uids_sort(ours, n_ours);
    for (size_t i = 0; i < s->n; i++) {
        uint32_t uid = plan_message_at(s, i).uid;
        if (!uids_have(ours, n_ours, uid))
            add_fresh(&d->target, folder, i, uid);
    }
}

static void merge_folder(struct plan_draft *d, uint32_t folder)
{
    const struct plan_folder *f = &d->in->folders[folder];
    uint32_t *kept = mem_realloc_array(NULL, f->n_pairs + 1, sizeof(*kept));
    uint32_t *ours = mem_realloc_array(NULL, f->n_pairs + 1, sizeof(*ours));
    size_t i = 0, n_kept = 0, n_ours = 0, first_lost = d->source.n_lost;
    for (size_t k = 0; k < f->n_pairs; k++) {
        struct seen s = {.pair = f->pair(f->arg, k)};
        for (; i < f->source.n; i++) {
            s.source = plan_message_at(&f->source, i);
            if (s.source.uid >= s.pair.src_uid)
                break;
            add_fresh(&d->source, folder, i, s.source.uid);
        }
        s.has_source = i < f->source.n && s.pair.src_uid != 0 && s.source.uid == s.pair.src_uid;
        s.source_at = i;
        i += s.has_source;
        look(f, &s);
        if (s.pair.tgt_uid != 0)
            ours[n_ours++] = s.pair.tgt_uid;
        if (s.is_source_lost) {
            add_lost(&d->source, folder, &s, f);
            continue;
        }
        if (s.pair.tgt_uid != 0)
            kept[n_kept++] = s.pair.tgt_uid;
        on_source(d, folder, &s);
    }
    for (; i < f->source.n; i++)
        add_fresh(&d->source, folder, i, plan_message_at(&f->source, i).uid);
    spare_shared(&d->source, first_lost, kept, n_kept);
    if (!d->policy->is_behind_flip)
        find_foreign(d, folder, ours, n_ours);
    free(kept);
    free(ours);
}

/* Before a flip nobody works on the target: half of what was there does not go by itself. */
static bool is_to_reconcile(const struct plan_draft *d, const struct plan_folder *f)
{
    size_t lost = 0;
    if (d->policy->is_behind_flip || !(f->is_target_lost || f->target.n_vanished > 0))
        return false;
    for (size_t k = 0; k < f->n_pairs; k++) {
        struct seen s = {.pair = f->pair(f->arg, k)};
        struct plan_message m;
        s.has_source = s.pair.src_uid != 0 && find_message(&f->source, s.pair.src_uid, &m);
        look(f, &s);
        lost += s.pair.state == PAIR_STORED && s.is_target_lost && !s.is_source_lost;
    }
    return f->is_target_lost ? lost > 0 : lost >= PLAN_EMPTIED_MIN && 2 * lost >= f->n_known;
}

/* --- The whole ----------------------------------------------------------------------------- */

static int by_turn(const void *a, const void *b)
{
    const struct plan_op *x = a, *y = b;
    int r = (int)x->kind - (int)y->kind;
    if (r == 0 && x->folder != y->folder)
        r = x->folder < y->folder ? -1 : 1;
    if (r == 0 && x->kind == PLAN_FLAGS && x->change != y->change)
        r = x->change < y->change ? -1 : 1;
    if (r == 0 && x->to != y->to)
        r = x->to < y->to ? -1 : 1;
    if (r == 0 && x->tgt_uid != y->tgt_uid)
        r = x->tgt_uid < y->tgt_uid ? -1 : 1;
    if (r == 0 && x->src_uid != y->src_uid)
        r = x->src_uid < y->src_uid ? -1 : 1;
    return r;
}

static int by_question(const void *a, const void *b)
{
    const struct plan_ask *x = a, *y = b;
    int r = (int)x->question - (int)y->question;
    if (r == 0)
        r = (int)x->is_target - (int)y->is_target;
    if (r == 0 && x->folder != y->folder)
        r = x->folder < y->folder ? -1 : 1;
    return r != 0 ? r : x->uid < y->uid ? -1 : x->uid > y->uid;
}

static bool has_too_many_deletions(const struct plan_draft *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->out->n_ops; i++)
        n += d->out->ops[i].kind == PLAN_REMOVE || d->out->ops[i].kind == PLAN_TRASH;
    return n > plan_ceiling(d->in);
}

static void make(struct plan_draft *d)
{
    for (uint32_t i = 0; i < d->in->n_folders; i++) {
        const struct plan_folder *f = &d->in->folders[i];
        d->out->n_unsure += !f->source.is_sure;
        if (is_to_reconcile(d, f))
            plan_add_number(&d->out->reconcile, &d->out->n_reconcile, i);
        else
            merge_folder(d, i);
    }
    if (d->policy->follows_moves) {
        plan_match(d, &d->target);
        plan_again(d);
        plan_match(d, &d->source);
        plan_match_ask(d, &d->source, false);
        plan_match_ask(d, &d->target, false);
        plan_match_unread(d, &d->source);
    }
    plan_lost(d);
    plan_away(d);
    for (size_t i = 0; i < d->source.n_fresh; i++) {
        struct plan_fresh *f = &d->source.fresh[i];
        if (f->is_again && !f->is_taken && !f->is_judged)
            plan_copy(d, f, PLAN_W_AGAIN);
    }
    plan_late(d);
    for (size_t i = 0; i < d->source.n_fresh; i++) {
        struct plan_fresh *f = &d->source.fresh[i];
        if (f->is_taken || f->is_judged)
            continue;
        /* What takes the place of a copy that goes is not new. */
        if (plan_copy_new(d, f, PLAN_W_NEW) && !f->is_released &&
            plan_message_of(d, false, f).is_filtered)
            plan_withhold_last(d, PLAN_R_FILTERED);
    }
    if (d->policy->follows_moves && d->out->n_asks == 0 && has_too_many_deletions(d))
        plan_match_ask(d, &d->source, true);
}

static void finish(struct plan_draft *d)
{
    struct plan *p = d->out;
    if (p->n_asks > 0) {
        p->n_ops = p->n_withheld = p->n_kept = p->n_same = 0;
        mem_sort(p->asks, p->n_asks, sizeof(*p->asks), by_question);
    } else {
        plan_limits(d);
        mem_sort(p->ops, p->n_ops, sizeof(*p->ops), by_turn);
        mem_sort(p->withheld, p->n_withheld, sizeof(*p->withheld), by_turn);
    }
    for (size_t i = 0; i < p->n_ops; i++)
        p->n_of[p->ops[i].kind]++;
    for (size_t i = 0; i < p->n_withheld; i++)
        p->n_why[p->withheld[i].reason]++;
}

void plan_make(const struct plan_input *in, struct plan *out)
{
    struct plan_draft d = {
        .in = in, .policy = plan_policy(in->policy), .out = out, .target = {.is_target = true}};
    *out = (struct plan){0};
    plan_change(&d, &(struct plan_change){0});
    make(&d);
    finish(&d);
    free(d.slots);
    free(d.owed);
    free(d.source.lost);
    free(d.source.fresh);
    free(d.target.lost);
    free(d.target.fresh);
}

void plan_fini(struct plan *p)
{
    free(p->ops);
    free(p->changes);
    free(p->withheld);
    free(p->asks);
    free(p->again);
    free(p->reconcile);
    *p = (struct plan){0};
}
