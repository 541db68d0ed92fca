/* SPDX-License-Identifier: ISC */
/*
 * folder_known: whether what the journal says of a folder is still true.
 *
 * UIDVALIDITY decides what the journal's UIDs are worth, and whether the folder went back
 * (restored.h).  When the source's has changed, or it went back, its messages are read and get the
 * pairs of their content (renumber.h); when the target's has, the pairs are looked for there by the
 * digests that the journal has of them (resolve.h).  Neither is a witness of a deletion (A32).  A
 * folder that is new to us and not empty on the target is compared with it message by message,
 * which is what makes a lost journal harmless.
 *
 * Behind a flip it is the target's user who has renamed, removed or replaced a folder
 * there.  None of what was copied into it comes again; only what is late on the source does, and
 * what that is does not depend on this journal (past.h).  But one that was restored has lost what
 * nobody has taken away, and that comes again.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"
#include "imapsync/copy/alone.h"
#include "imapsync/copy/renumber.h"
#include "imapsync/copy/resolve.h"
#include "imapsync/copy/restored.h"

bool folder_is_behind_flip(const struct work *w)
{
    return plan_policy(w->p->policy)->is_behind_flip;
}

bool folder_knows_alone(const struct work *w)
{
    return w->p->finds_alone || w->record->target.is_restored;
}

int folder_load_pairs(struct work *w, struct err *err)
{
    free(w->pairs);
    w->has_all_pairs = true;
    w->states = 0;
    int result = folder_knows_alone(w)
                     ? journal_pairs_all(w->c->journal, w->record->id, &w->pairs, &w->n_pairs, err)
                     : journal_pairs(w->c->journal, w->record->id, &w->pairs, &w->n_pairs, err);
    for (w->n_alone = 0; w->n_alone < w->n_pairs && w->pairs[w->n_alone].src_uid == 0;)
        w->n_alone++;
    for (size_t i = w->n_alone; i < w->n_pairs; i++)
        w->states |= 1U << w->pairs[i].state;
    return result;
}

bool folder_has_state(const struct work *w, enum pair_state state)
{
    return w->states >> state & 1;
}

void folder_told_vanished(struct work *w, uint32_t uid)
{
    folder_told(w, ITEM_VANISHED, uid, "the target has taken the message and does not have it");
}

/* The target has said OK to them, and they are not there.  Before the flip that is a loss that
 * somebody has to look at; behind it the target's user may have been quicker than we. */
int folder_tell_vanished(struct work *w, struct err *err)
{
    bool is_users = folder_is_behind_flip(w);
    journal_begin(w->c->journal);
    for (size_t i = 0; i < w->n_pairs; i++) {
        struct pair *p = &w->pairs[i];
        if (p->state != PAIR_SENT || !end_changes_find(&w->listing, p->src_uid))
            continue;
        /* Somebody has looked, and wants it to be sent again. */
        bool is_retried =
            !is_users && tell_is_retried(w->c, w->record->source.name, p->src_uid, ITEM_VANISHED);
        if (is_users || is_retried) {
            p->state = is_users ? PAIR_GONE : PAIR_REFUSED;
            journal_pair_put(w->c->journal, w->record->id, p, NULL);
        } else {
            folder_told_vanished(w, p->src_uid);
        }
    }
    return journal_commit(w->c->journal, err);
}

static int detach(struct work *w, struct err *err)
{
    w->is_detached = true;
    journal_set(&w->record->source.token, SLICE_NONE);
    return journal_folder_detach(w->c->journal, w->record->id, PAIR_GONE, false, err) == 0
               ? folder_load_pairs(w, err)
               : -1;
}

static void take_numbers(struct journal_end *e, const struct folder *now)
{
    const struct record_numbers numbers = restored_numbers(now);
    if (e->is_restored)
        e->numbers = (struct record_numbers){0};
    e->is_restored = false;
    (void)restored_raise(&e->numbers, &numbers);
}

/* The UIDs of the journal are those of now. */
static int put_numbers(struct work *w, struct err *err)
{
    w->record->source.uidvalidity = w->listing.uidvalidity;
    w->record->target.uidvalidity = w->target->uidvalidity;
    take_numbers(&w->record->source, w->source);
    take_numbers(&w->record->target, w->target);
    return journal_folder_put(w->c->journal, w->record, err);
}

/* There is no folder in which their messages could be. */
static int drop_intents(struct work *w, const struct intent *v, size_t n, struct err *err)
{
    journal_begin(w->c->journal);
    for (size_t i = 0; i < n; i++)
        journal_intent_del(w->c->journal, w->record->id, v[i].id);
    return journal_commit(w->c->journal, err);
}

/* --- Open outcomes ---------------------------------------------------------------------------- */

/* Behind a flip: the pairs that follow are about UIDs of this UIDVALIDITY, and, is_new, of the
 * numbers of now. */
static int look(struct work *w, uint32_t uidvalidity, bool is_new, struct err *err)
{
    const struct past *past = w->c->past;
    const struct end_changes *l = &w->listing;
    if (!folder_is_behind_flip(w) || !past)
        return 0;
    return past->look(past->arg, w->record->id, w->record->source.name, uidvalidity,
        l->n > 0 ? l->v[l->n - 1].uid : 0, is_new && w->record->source.is_restored, err);
}

static int get_intents(struct work *w, struct intent **out, size_t *n_out, struct err *err)
{
    return journal_intents(w->c->journal, w->record->id, INTENT_APPEND, out, n_out, err);
}

static struct resolve_job resolve_job_of(struct work *w, struct intent *intents, size_t n)
{
    return (struct resolve_job){.source = w->c->from,
        .target = w->c->to,
        .journal = w->c->journal,
        .folder = w->record,
        .listing = &w->listing,
        .keywords = &w->keywords,
        .alone = w->pairs,
        .n_alone = w->n_alone,
        .pairs = w->pairs + w->n_alone,
        .n_pairs = w->n_pairs - w->n_alone,
        .intents = intents,
        .n_intents = n,
        .suspects = &w->c->suspects,
        .tgt_uidvalidity = w->target->uidvalidity,
        .tgt_uidnext = w->target->uidnext,
        .is_another_there = w->is_detached,
        .is_behind_flip = folder_is_behind_flip(w),
        .past = folder_is_behind_flip(w) ? w->c->past : NULL,
        .settle_ms = w->c->options.settle_ms,
        .in_doubt = &w->in_doubt};
}

static int run_resolve(struct work *w, struct resolve_job *job, struct err *err)
{
    /* Of a folder that is lost nothing is read. */
    int result = w->is_lost || folder_reopen(w, err) == 0 ? resolve(job, err) : -1;
    w->p->counts->messages_adopted += job->n_adopted;
    w->done.adopted += job->n_adopted;
    if (result == 0 && job->tgt_uidvalidity != w->target->uidvalidity) {
        w->target->uidvalidity = w->record->target.uidvalidity = job->tgt_uidvalidity;
        w->target->uidnext = job->tgt_uidnext;
        w->next_there = 0;
        result = journal_folder_put(w->c->journal, w->record, err);
    }
    return result;
}

static int resolve_whole(
    struct work *w, struct intent *intents, size_t n, bool adopt, struct err *err)
{
    if (folder_whole(w, err) != 0)
        return -1;
    struct resolve_job job = resolve_job_of(w, intents, n);
    job.adopt_all = adopt;
    return run_resolve(w, &job, err);
}

int folder_resolve_open(struct work *w, bool adopt, struct err *err)
{
    struct intent *intents;
    size_t n;
    if (look(w, w->listing.uidvalidity, false, err) != 0 || get_intents(w, &intents, &n, err) != 0)
        return -1;
    int result = 0;
    for (size_t i = 0; w->is_detached && i < n; i++)
        intents[i].tgt_uidnext = 1; /* the one that we know was another folder's */
    if (w->target->uidvalidity == 0) {
        result = n > 0 ? drop_intents(w, intents, n, err) : 0;
    } else if (n > 0 || adopt || folder_has_state(w, PAIR_SENT)) {
        bool has_rest = true;
        if (adopt && n == 0)
            result = folder_adopt(w, &has_rest, err);
        if (result == 0 && has_rest)
            result = resolve_whole(w, intents, n, adopt, err);
    }
    intents_free(intents, n);
    if (result == 0 && (adopt || w->is_detached))
        result = put_numbers(w, err);
    return result == 0 && w->has_all_pairs ? folder_load_pairs(w, err) : result;
}

/* --- UIDVALIDITY ------------------------------------------------------------------------------ */

/* Or restored: then some of its UIDs are given a second time. */
static bool is_source_renumbered(const struct work *w)
{
    return w->record->source.uidvalidity != w->listing.uidvalidity || w->record->source.is_restored;
}

/* Pairs are looked for in what the target has now. */
static int find_pairs_again(struct work *w, struct err *err)
{
    struct intent *intents;
    size_t n;
    /* Their numbers may be those of others by now, and must not be in the way of them. */
    enum pair_state state = folder_is_behind_flip(w) ? PAIR_LOST : PAIR_GONE;
    uint32_t uidvalidity =
        is_source_renumbered(w) ? w->record->source.uidvalidity : w->listing.uidvalidity;
    if (look(w, uidvalidity, false, err) != 0)
        return -1;
    if (journal_folder_detach(w->c->journal, w->record->id, state, folder_knows_alone(w), err) !=
            0 ||
        folder_load_pairs(w, err) != 0 || get_intents(w, &intents, &n, err) != 0)
        return -1;
    struct resolve_job job = resolve_job_of(w, intents, n);
    job.is_renumbered_there = true;
    job.is_renumbered_here = is_source_renumbered(w);
    int result = run_resolve(w, &job, err);
    intents_free(intents, n);
    return result;
}

int folder_find_again(struct work *w, struct err *err)
{
    struct alone alone;
    if (folder_whole(w, err) != 0)
        return -1;
    int result = alone_take(w, &alone, err);
    if (result == 0)
        result = find_pairs_again(w, err);
    if (result == 0)
        result = alone_find(w, &alone, err);
    alone_fini(&alone);
    if (result != 0)
        return -1;
    w->is_found_again = true;
    w->record->target.uidvalidity = w->target->uidvalidity;
    /* Of a folder that is lost it is told when the plan was done, which is not made again. */
    if (!w->is_lost)
        take_numbers(&w->record->target, w->target);
    if (journal_folder_put(w->c->journal, w->record, err) != 0)
        return -1;
    return folder_load_pairs(w, err);
}

int folder_found_again(struct work *w, struct err *err)
{
    take_numbers(&w->record->target, w->target);
    return journal_folder_put(w->c->journal, w->record, err);
}

/* What is on its way, or was SENT, gets its pair while it still has its numbers. */
static int settle_before(struct work *w, struct intent *intents, size_t n, struct err *err)
{
    size_t n_sent = 0;
    for (size_t i = 0; i < n; i++)
        n_sent += intents[i].n_sent;
    if (w->target->uidvalidity == 0 || (n_sent == 0 && !folder_has_state(w, PAIR_SENT)))
        return 0;
    struct resolve_job job = resolve_job_of(w, intents, n);
    job.is_renumbered_here = true;
    if (look(w, w->record->source.uidvalidity, false, err) != 0 || run_resolve(w, &job, err) != 0)
        return -1;
    return folder_load_pairs(w, err);
}

static int follow_source(struct work *w, struct err *err)
{
    struct intent *intents;
    size_t n;
    if (folder_whole(w, err) != 0 || get_intents(w, &intents, &n, err) != 0)
        return -1;
    int result = settle_before(w, intents, n, err);
    struct renumber_job job = {.source = w->c->from,
        .journal = w->c->journal,
        .folder = w->record,
        .listing = &w->listing,
        .keywords = &w->keywords,
        .pairs = w->pairs,
        .n_pairs = w->n_pairs,
        .intents = intents,
        .n_intents = n,
        .suspects = &w->c->suspects,
        .keeps_rest = folder_is_behind_flip(w),
        .keeps_alone = !folder_is_behind_flip(w),
        .in_doubt = &w->in_doubt};
    if (result == 0)
        result = look(w, w->listing.uidvalidity, true, err);
    take_numbers(&w->record->source, w->source);
    if (result == 0)
        result = folder_reopen(w, err) == 0 ? renumber(&job, err) : -1;
    intents_free(intents, n);
    return result == 0 ? folder_load_pairs(w, err) : -1;
}

/* Nothing is known of the folder, or nothing that has a copy. */
static int begin_anew(struct work *w, bool *adopt_out, struct err *err)
{
    if (w->record->source.is_restored && look(w, w->listing.uidvalidity, true, err) != 0)
        return -1;
    /* What there is, is from an adoption that was killed: nobody knows under which UIDVALIDITY. */
    if (journal_folder_forget(w->c->journal, w->record->id, err) != 0 ||
        folder_load_pairs(w, err) != 0)
        return -1;
    *adopt_out = w->target->uidnext != 1 || folder_is_behind_flip(w);
    journal_set(&w->record->source.token, SLICE_NONE);
    if (!*adopt_out)
        return put_numbers(w, err);
    /* Written when the adoption is done: a crash before that begins it again, also when these are
     * not the first numbers. */
    bool has_old = w->record->source.uidvalidity != 0 || w->record->target.uidvalidity != 0;
    w->record->source.uidvalidity = w->record->target.uidvalidity = 0;
    return has_old ? journal_folder_put(w->c->journal, w->record, err) : 0;
}

int folder_check_uidvalidity(struct work *w, bool *adopt_out, struct err *err)
{
    struct journal_folder *r = w->record;
    *adopt_out = false;
    bool is_replaced = r->target.uidvalidity != w->target->uidvalidity;
    bool has_copies =
        w->target->uidvalidity != 0 &&
        (folder_has_state(w, PAIR_STORED) || folder_has_state(w, PAIR_SENT) ||
            folder_has_state(w, PAIR_GONE) || folder_has_state(w, PAIR_LOST) || w->n_alone > 0);
    /* A folder whose numbers there nobody knows any more: it was removed, and is there again. */
    bool is_back = (w->states != 0 || w->n_alone > 0) && !is_replaced && r->target.uidvalidity != 0;
    if ((r->source.uidvalidity == 0 && !is_back) ||
        (is_replaced && !has_copies && !folder_is_behind_flip(w)))
        return begin_anew(w, adopt_out, err);
    if (!is_replaced && !is_source_renumbered(w))
        return 0;
    journal_set(&r->source.token, SLICE_NONE);
    bool is_users = folder_is_behind_flip(w) && !r->target.is_restored;
    if (is_replaced && (is_users ? detach(w, err) : folder_find_again(w, err)) != 0)
        return -1;
    return is_source_renumbered(w) ? follow_source(w, err) : 0;
}
