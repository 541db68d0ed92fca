/* SPDX-License-Identifier: ISC */
/*
 * pass_plan: one plan over all folders that have changed.  It is made again with each answer to
 * what it asks for: sizes, contents, a second look at a folder.  Each question is put once, so it
 * comes to an end.
 */
#include <stdlib.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/apply/apply_parts.h"
#include "imapsync/copy/folder_parts.h"

/* Where it cannot be found out nothing is late, and the plan is not done. */
static size_t seen(void *arg, const unsigned char *digest, size_t now)
{
    struct works *all = arg;
    const struct past *past = all->c->past;
    size_t ever, owed;
    if (!all->has_no_past && past->ever(past->arg, digest, now, &ever, &all->why) == 0 &&
        pass_owed(all, digest, &owed, &all->why) == 0)
        return ever - (owed < ever ? owed : ever);
    all->has_no_past = true;
    return SIZE_MAX;
}

static bool is_past_known(const struct copy *c)
{
    return c->past && c->past->knows(c->past->arg);
}

/* Each folder has a table of keywords of its own. */
static struct flags translate(void *arg, uint32_t from, uint32_t to, const struct flags *f)
{
    const struct works *all = arg;
    const struct keywords *names = &all->planned[from]->keywords;
    struct flags out = {.system = f->system};
    for (size_t i = 0; i < names->n; i++) {
        if (!(f->keywords[i / 64] >> i % 64 & 1))
            continue;
        int bit = keywords_bit(&all->planned[to]->keywords, slice_str(names->names[i]));
        if (bit >= 0)
            out.keywords[bit / 64] |= UINT64_C(1) << bit % 64;
    }
    return out;
}

static void make(struct works *all)
{
    struct plan_folder *views = mem_realloc_array(NULL, all->n + 1, sizeof(*views));
    unsigned can = all->c->to->ops->can(all->c->to);
    size_t n_known = all->p->n_unchanged;
    plan_fini(&all->plan);
    all->n_planned = 0;
    for (size_t i = 0; i < all->n; i++) {
        struct work *w = &all->v[i];
        all->p->is_owed_hidden =
            all->p->is_owed_hidden || (w->is_over && w->record->target.is_restored);
        if (w->is_over)
            continue;
        folder_view(w, &views[all->n_planned]);
        all->planned[all->n_planned++] = w;
        n_known += w->n_known;
    }
    const struct plan_input in = {.policy = all->p->policy,
        .folders = views,
        .n_folders = all->n_planned,
        .n_known = n_known,
        .is_fresh = all->p->is_fresh,
        .is_owed_hidden = all->p->is_owed_hidden,
        .is_source_doubted = all->p->is_source_doubted,
        /* An operator who agrees to everything has looked. */
        .is_all =
            all->p->is_all && all->n_planned == all->n && all->c->options.delete_percent < 100,
        .can_remove = can & END_CAN_REMOVE,
        /* Else nobody would know afterwards which message it is. */
        .can_move = can & END_CAN_MOVE && can & END_CAN_TELL_UIDS,
        .alone_stays = !journal_has_both_ways(all->c->journal) &&
                       plan_policy(all->p->policy)->deletions != PLAN_DELETIONS_TRASH,
        .translate = translate,
        .arg = all,
        .deletions_percent = all->c->options.delete_percent,
        .may_delete = all->c->options.delete_percent > 0,
        .seen = is_past_known(all->c) ? seen : NULL,
        .in_doubt = pass_in_doubt};
    plan_make(&in, &all->plan);
    free(views);
}

/* What was lost may have been moved: then all that is new has to be seen. */
static int list_rest(struct works *all, struct err *err)
{
    bool has_lost = false;
    for (size_t i = 0; i < all->n; i++)
        has_lost = has_lost || (!all->v[i].is_over && all->v[i].has_lost);
    for (size_t i = 0; has_lost && i < all->n; i++) {
        struct work *w = &all->v[i];
        if (!w->is_over && folder_list_rest(w, err) != 0 && folder_excuse(w, err) != 0)
            return -1;
    }
    return 0;
}

/* Questions about one folder of one side. */
static size_t group_at(const struct plan *p, size_t i)
{
    size_t n = 1;
    while (i + n < p->n_asks && p->asks[i + n].folder == p->asks[i].folder &&
           p->asks[i + n].is_target == p->asks[i].is_target &&
           p->asks[i + n].question == p->asks[i].question)
        n++;
    return n;
}

/* The folder is looked at again with the next pass. */
static void tell_unread(struct works *all, struct work *w)
{
    all->has_unread = true;
    if (w->has_unread)
        return;
    w->has_unread = true;
    w->n_exceptions++;
    copy_folder_failed(w->c, w->p, ITEM_UNREAD, w->source->name,
        "the connection was lost while messages were read: what is gone from here may have been "
        "moved, and waits for the next pass");
}

#define READINGS COPY_FOLDERS_AT_ONCE /* on their way at once */

/* An error of a folder costs the folder, and the next plan is without it.  *at: what is asked next.
 */
static int answer_some(struct works *all, size_t *at, struct err *err)
{
    const struct plan *p = &all->plan;
    struct reading *v = mem_realloc_array(NULL, READINGS, sizeof(*v));
    size_t n = 0;
    int result = copy_check_cancelled(all->c, err);
    for (; result == 0 && *at < p->n_asks && n < READINGS &&
           p->asks[*at].question == PLAN_ASK_CONTENT;
         *at += group_at(p, *at)) {
        struct work *w = all->planned[p->asks[*at].folder];
        if (!w->is_over)
            folder_read_begin(&v[n++], w, &p->asks[*at], group_at(p, *at));
    }
    for (size_t i = 0; i < n; i++) {
        struct err why = ERR_INIT;
        if (v[i].has_unread)
            tell_unread(all, v[i].w);
        if (folder_read_finish(&v[i], &why) == 0 || result != 0)
            continue;
        *err = why;
        result = v[i].w->is_over ? 0 : folder_excuse(v[i].w, err);
    }
    free(v);
    return result;
}

/* One folder after the other: there are few of them. */
static int ask_again(struct works *all, size_t *at, struct err *err)
{
    const struct plan *p = &all->plan;
    struct work *w = all->planned[p->asks[*at].folder];
    size_t n = group_at(p, *at);
    const struct plan_ask *asks = &p->asks[*at];
    *at += n;
    if (copy_check_cancelled(all->c, err) != 0)
        return -1;
    return w->is_over || folder_ask_again(w, asks, n, err) == 0 ? 0 : folder_excuse(w, err);
}

static int answer(struct works *all, struct err *err)
{
    const struct plan *p = &all->plan;
    for (size_t at = 0; at < p->n_asks;) {
        bool is_content = p->asks[at].question == PLAN_ASK_CONTENT;
        if ((is_content ? answer_some(all, &at, err) : ask_again(all, &at, err)) != 0)
            return -1;
    }
    return 0;
}

static int look_again(struct works *all, struct err *err)
{
    for (size_t i = 0; i < all->plan.n_again; i++) {
        struct work *w = all->planned[all->plan.again[i]];
        log_info("folder_looked_at_again", log_slice("folder", w->source->name));
        w->is_confirmed = true;
        if (folder_look_again(w, err) != 0 && folder_excuse(w, err) != 0)
            return -1;
    }
    return 0;
}

static int reconcile(struct works *all, struct err *err)
{
    for (size_t i = 0; i < all->plan.n_reconcile; i++) {
        struct work *w = all->planned[all->plan.reconcile[i]];
        log_warn("folder_reconciled", log_slice("folder", w->record->target.name));
        if (folder_reconcile(w, err) != 0 && folder_excuse(w, err) != 0)
            return -1;
    }
    return 0;
}

/* A message is copied with the flags that the plan has given it. */
static void take_copies(struct works *all)
{
    const struct plan *p = &all->plan;
    for (size_t i = 0; i < p->n_ops; i++) {
        const struct plan_op *op = &p->ops[i];
        struct work *w = all->planned[op->folder];
        if (op->kind == PLAN_MOVE)
            all->planned[op->to]->is_needed = true;
        struct listed *l = (struct listed *)(uintptr_t)end_changes_find(&w->listing, op->src_uid);
        /* One that a short listing has left out waits for a longer one. */
        if (op->kind != PLAN_COPY || !l)
            continue;
        if (!w->copies)
            w->copies = mem_realloc_array(NULL, w->listing.n + 1, sizeof(*w->copies));
        w->is_needed = true;
        w->copies[w->n_copies++] = op->src_uid;
        l->flags = p->changes[op->change].now;
    }
}

static const struct pair *find_pair(const struct work *w, uint32_t src_uid)
{
    return apply_find(w->pairs, w->n_pairs, src_uid, 0);
}

/* Whose pair gets another copy: what is copied again, or found elsewhere on the target. */
static const struct pair *replaced(const struct works *all, const struct plan_op *op)
{
    if (op->kind == PLAN_COPY && op->witness == PLAN_W_AGAIN)
        return find_pair(all->planned[op->folder], op->src_uid);
    if (op->kind == PLAN_MOVE || (op->kind == PLAN_RENUMBER && !op->is_target))
        return find_pair(all->planned[op->to], op->new_uid);
    return NULL;
}

/* It has no copy any more.  Written before, so that a copy of which only an intent knows is looked
 * for; and a message may have several, so that the lost one would stay beside the other. */
static int let_go(struct works *all, struct err *err)
{
    const struct plan *p = &all->plan;
    struct journal *j = all->c->journal;
    journal_begin(j);
    for (size_t i = 0; i < p->n_ops; i++) {
        const struct plan_op *op = &p->ops[i];
        const struct work *w = all->planned[op->kind == PLAN_COPY ? op->folder : op->to];
        const struct pair *was = replaced(all, op);
        if (!was || was->state != PAIR_STORED)
            continue;
        struct pair gone = *was;
        gone.state = PAIR_GONE;
        gone.tgt_uid = 0;
        gone.is_compared = gone.is_touched = false;
        journal_pair_put(j, w->record->id, &gone, NULL);
    }
    return journal_commit(j, err);
}

int pass_plan(struct works *all, struct err *err)
{
    for (;;) {
        if (list_rest(all, err) != 0)
            return -1;
        make(all);
        int result = 0;
        if (all->has_no_past) {
            *err = all->why;
            return -1;
        }
        if (all->plan.n_reconcile > 0)
            result = reconcile(all, err);
        else if (all->plan.n_asks > 0)
            result = answer(all, err);
        else if (all->plan.n_again > 0)
            result = look_again(all, err);
        else
            break;
        if (result != 0)
            return -1;
    }
    if (all->has_unread)
        pass_leave_lost(all);
    all->p->counts->messages_same += all->plan.n_same;
    all->p->counts->messages_away += all->has_unread ? 0 : all->plan.n_of[PLAN_AWAY];
    for (size_t i = 0; i < all->n_planned; i++) {
        /* Counted when it is looked at for the second time. */
        if (!all->planned[i]->is_shown || all->p->learns)
            all->p->counts->messages_same += all->planned[i]->n_same;
        if (!all->planned[i]->listing.is_sure)
            pass_tell_short(all->planned[i]);
    }
    pass_tell_withheld(all);
    filtered_take(all);
    pass_tell_unknown(all);
    pass_tell_lost(all);
    take_copies(all);
    if (all->p->is_fresh && let_go(all, err) != 0)
        return -1;
    for (size_t i = 0; i < all->n_planned; i++) {
        if (folder_keep_keywords(all->planned[i], err) != 0)
            return -1;
    }
    return 0;
}
