/* SPDX-License-Identifier: ISC */
/*
 * resolve: a matching of two multisets by content (match.h).
 *
 * Candidates on the target are the UIDs at or above the UIDNEXT that the oldest intent or SENT pair
 * recorded (all UIDs when adopting, or when the target was numbered anew) which no pair names.
 * Wanted are, with the digests that the journal has of them, what is known to be on its way, SENT
 * pairs, and the pairs of a target that was numbered anew; read from the source is what an intent
 * names and nobody has seen going, and when adopting all that is not paired.
 *
 * No server's word about a size counts: sizes only say what is read first.  When adopting, messages
 * whose size the other side has too are read and matched octet by octet; the others only if then
 * something is left on both sides.
 *
 * Of equal messages that have fewer copies one that nobody has said OK to may get the copy of one
 * that is SENT: then the SENT one is as new as the other one was.
 *
 * What was sent and has gone from the source meanwhile becomes a pair as well: its copy is then
 * treated like any other whose message was deleted.
 *
 * What cannot be read of the target is nobody's copy, so that its message is sent again rather than
 * missing.  What cannot be read of the source waits while the target has anything that it may be.
 *
 * Known weaknesses: a batch whose connection broke may be stored later than settle_ms; of a message
 * that was killed on its way before the journal had its digest, and was deleted on the source
 * since, nobody knows the content.
 */
#include "imapsync/copy/resolve.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/copy/resolve_parts.h"

#define LOOK_AGAIN_MS 100
#define UIDS_AT_ONCE 100 /* of an intent */

/* What is not listed may be what is looked for. */
static int wait_for_all(const struct end *e, struct err *err)
{
    err_set(err, ERR_TEMP, EX_TEMPFAIL,
        "%s: the server lists fewer messages than it counts, and some are in doubt", e->label);
    return err_scope_set(err, ERR_SCOPE_FOLDER);
}

/* --- Candidates of the target ----------------------------------------------------------- */

static uint32_t first_candidate(const struct resolve_job *job, uint32_t sent_since)
{
    uint32_t from = sent_since;
    if (job->adopt_all || job->is_renumbered_there)
        return 1;
    for (size_t i = 0; i < job->n_intents; i++)
        from = job->intents[i].tgt_uidnext < from ? job->intents[i].tgt_uidnext : from;
    return from;
}

/* Whether anything is known by its UID there.  A folder that is new to us may get its UIDVALIDITY
 * only now (Courier, where nobody has ever written). */
static bool has_numbers(const struct resolve_job *job)
{
    for (size_t i = 0; i < job->n_pairs; i++) {
        if (job->pairs[i].state == PAIR_STORED && !resolve_is_void(job, &job->pairs[i]))
            return true;
    }
    return false;
}

/* What it has was given these, as long as its user does not change them. */
static void take_lasting(struct wanted_list *wanted, const struct end_changes *there)
{
    const struct flags storable = end_changes_storable(there);
    for (size_t i = 0; i < wanted->n; i++)
        wanted->v[i].lasting = flags_and(&wanted->v[i].flags, &storable);
}

static int list_target(struct resolve_job *job, uint32_t *from, struct end_changes *there,
    struct resolve_side *out, const uint32_t *known, size_t n_known, struct err *err)
{
    struct end_ticket t = {0};
    end_changes_init(there, job->keywords);
    job->target->ops->open(job->target,
        &(struct end_open){.folder = job->folder->target.name,
            .from = *from,
            .is_for_writing = true, /* so that Courier keeps its numbers */
            .want = END_WANT_FLAGS | END_WANT_SIZES},
        there, &t);
    if (end_check(job->target, &t, "cannot open the folder", err) != 0)
        return -1;
    if (!there->is_sure)
        return wait_for_all(job->target, err);
    if (there->uidvalidity != job->tgt_uidvalidity && !has_numbers(job)) {
        bool was_all = *from <= 1;
        *from = 1;
        job->tgt_uidvalidity = there->uidvalidity;
        job->tgt_uidnext = there->uidnext;
        if (!was_all) {
            end_changes_fini(there);
            return list_target(job, from, there, out, known, n_known, err);
        }
    }
    if (there->uidvalidity != job->tgt_uidvalidity) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: the folder was replaced meanwhile (UIDVALIDITY)",
            job->target->label);
        return err_scope_set(err, ERR_SCOPE_FOLDER);
    }
    for (size_t i = 0; i < there->n; i++) {
        const struct listed *l = &there->v[i];
        if (uids_have(known, n_known, l->uid))
            continue;
        resolve_side_add(out, l->uid, l->size, NULL);
        out->v[out->n - 1].flags = l->has_flags ? &l->flags : NULL;
    }
    return 0;
}

/* --- Marks ------------------------------------------------------------------------------ */

/* \Deleted that neither the source has nor both had in common is from a removal of ours that was
 * cut off before the target was numbered anew: the copy does not keep it. */
static int take_marks(struct resolve_job *job, struct end_changes *there,
    const struct resolve_side *source, struct err *err)
{
    const struct flags deleted = {.system = FLAG_DELETED};
    const struct end_flags unmark = {
        .is_removal = true, .flags = &deleted, .keywords = job->keywords};
    struct end_ticket t = {0};
    uint32_t *uids = mem_realloc_array(NULL, source->n + 1, sizeof(*uids));
    size_t n = 0;
    int result = 0;
    for (size_t i = 0; job->is_renumbered_there && i < source->n; i++) {
        const struct body *b = &source->v[i];
        const struct pair *was = resolve_find_pair(job, b->uid);
        struct listed *to = (struct listed *)(uintptr_t)end_changes_find(there, b->mate);
        const struct listed *from =
            resolve_is_listed(job, b->uid) ? end_changes_find(job->listing, b->uid) : NULL;
        if (!to || !was || !was->is_marked || was->flags.system & FLAG_DELETED ||
            !(to->flags.system & FLAG_DELETED) || (from && from->flags.system & FLAG_DELETED))
            continue;
        to->flags.system &= (uint8_t)~FLAG_DELETED;
        uids[n++] = b->mate;
    }
    if (n > 0) {
        job->target->ops->flags(job->target, uids, n, &unmark, NULL, &t);
        result = end_check(job->target, &t, "cannot take marks away", err);
    }
    free(uids);
    return result;
}

/* --- What the journal is told ----------------------------------------------------------- */

static void pair_up(struct resolve_job *job, const struct end_changes *there,
    const struct wanted *w, const struct body *s)
{
    const struct listed *from =
        resolve_is_listed(job, s->uid) ? end_changes_find(job->listing, s->uid) : NULL;
    const struct listed *to = end_changes_find(there, s->mate);
    const struct pair *was = resolve_find_pair(job, s->uid);
    struct pair p = {.src_uid = s->uid, .tgt_uid = s->mate, .state = PAIR_STORED};
    struct content content = {.has_digest = true, .canon = s->canon, .size = w->content.size};
    memcpy(content.digest, s->digest, SHA256_SIZE);
    /* What both have counts as seen, so the source's flags are added and none is removed that the
     * target's user has set meanwhile.  Of what was sent it is known which flags it was given, but
     * not what has become of them in a folder that is another one.  Behind a flip the source has
     * nothing to add to what is there: which of them its user has taken away nobody knows. */
    if (w->has_flags)
        p.flags =
            was && resolve_is_void(job, was) && to ? flags_and(&w->flags, &to->flags) : w->flags;
    else if (from && to && job->is_behind_flip)
        p.flags = from->flags;
    else if (from && to)
        p.flags = flags_and(&from->flags, &to->flags);
    /* The folder is not listed again before the plan: what its user has changed shows here. */
    const struct flags *ours = w->has_flags ? &w->flags : from ? &from->flags : NULL;
    p.is_touched = (w->has_flags && was && was->is_touched) ||
                   (job->is_behind_flip && ours && to && !flags_eq(ours, &to->flags));
    journal_pair_put(job->journal, job->folder->id, &p, &content);
    job->n_adopted += !(was && resolve_is_void(job, was));
}

static int by_uid(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Behind a flip it is owed: the marks say that it is not new.  What the copy was given is the
 * other one's now. */
static void give_up(
    const struct resolve_job *job, const struct wanted_list *l, uint32_t uid, struct wanted *has)
{
    const struct wanted key = {.uid = uid};
    const struct wanted *lacks = mem_search(&key, l->v, l->n, sizeof(key), by_uid);
    const struct pair p = {.src_uid = uid, .state = PAIR_LOST, .flags = lacks->flags};
    if (!has->has_flags)
        has->flags = lacks->flags;
    has->has_flags = has->has_flags || lacks->has_flags;
    if (job->is_behind_flip)
        journal_pair_put(
            job->journal, job->folder->id, &p, lacks->has_content ? &lacks->content : NULL);
    else
        journal_pair_del(job->journal, job->folder->id, uid);
}

#define PUTS_AT_ONCE 200

static int write_pairs(struct resolve_job *job, const struct end_changes *there,
    const struct wanted_list *l, const struct resolve_side *source, struct err *err)
{
    size_t n = 0, w = 0, n_exchanged, at = 0;
    struct body *exchanged = resolve_exchanged(job, l, source, &n_exchanged);
    int result = 0;
    journal_begin(job->journal);
    for (size_t i = 0; result == 0 && i < source->n; i++) {
        while (l->v[w].uid != source->v[i].uid)
            w++;
        if (source->v[i].mate == 0)
            continue;
        struct wanted wanted = l->v[w];
        while (at < n_exchanged && exchanged[at].uid < wanted.uid)
            at++;
        if (at < n_exchanged && exchanged[at].uid == wanted.uid && exchanged[at].mate != 0)
            give_up(job, l, exchanged[at].mate, &wanted);
        pair_up(job, there, &wanted, &source->v[i]);
        if (++n % PUTS_AT_ONCE == 0) {
            result = journal_commit(job->journal, err);
            if (result == 0)
                journal_begin(job->journal);
        }
    }
    free(exchanged);
    return result == 0 ? journal_commit(job->journal, err) : -1;
}

static int drop_pairs(struct resolve_job *job, const struct resolve_side *source, struct err *err)
{
    size_t n = 0;
    /* Behind a flip what is LOST comes again, since it is (plan.c). */
    if (!job->is_renumbered_there || job->is_behind_flip)
        return 0;
    journal_begin(job->journal);
    for (size_t i = 0; i < job->n_pairs; i++) {
        const struct pair *p = &job->pairs[i];
        const struct body *b = resolve_side_find(source, p->src_uid);
        if (!(resolve_is_void(job, p) || p->state == PAIR_REFUSED) || (b && b->mate))
            continue;
        journal_pair_del(job->journal, job->folder->id, p->src_uid);
        if (++n % PUTS_AT_ONCE == 0) {
            if (journal_commit(job->journal, err) != 0)
                return -1;
            journal_begin(job->journal);
        }
    }
    return journal_commit(job->journal, err);
}

/* Nothing has come there since, or what has was lost again. */
static bool is_taken_back(
    const struct resolve_job *job, const struct end_changes *there, const struct intent *in)
{
    return job->is_renumbered_there ||
           (!job->is_another_there && there->uidnext != 0 && there->uidnext <= in->tgt_uidnext);
}

/* Where a copy that the marks know is not there, and its user has not removed it, its message is
 * owed. */
static int owe_lost(struct resolve_job *job, const struct end_changes *there,
    const struct resolve_side *source, struct err *err)
{
    struct past_folder seen;
    if (!resolve_marks(job, &seen))
        return 0;
    journal_begin(job->journal);
    for (size_t i = 0; i < job->n_intents; i++) {
        const struct intent *in = &job->intents[i];
        for (size_t k = 0; is_taken_back(job, there, in) && k < in->n_sent; k++) {
            const struct intent_sent *s = &in->sent[k];
            const struct body *b = resolve_side_find(source, s->uid);
            const struct pair p = {.src_uid = s->uid, .state = PAIR_LOST, .flags = s->flags};
            if (!(b && b->mate) && !resolve_is_paired(job, s->uid) &&
                resolve_is_listed(job, s->uid) && seen.is_known(seen.known, s->uid))
                journal_pair_put(job->journal, job->folder->id, &p, &s->content);
        }
    }
    return journal_commit(job->journal, err);
}

/* What the source does not give may be any of those that are left. */
static void find_in_doubt(
    struct resolve_job *job, const struct resolve_side *source, const struct resolve_side *target)
{
    size_t n_left = 0;
    for (size_t i = 0; i < target->n; i++)
        n_left += target->v[i].mate == 0;
    for (size_t i = 0; n_left > 0 && i < source->n; i++) {
        if (source->v[i].is_refused)
            uid_set_add(job->in_doubt, source->v[i].uid);
    }
    uid_set_join(job->in_doubt);
}

/* The UIDs of `left` that it names are taken out of there. */
static bool takes_some(const struct intent *in, uint32_t *left, size_t *n)
{
    const size_t before = *n;
    size_t kept = 0;
    for (size_t i = 0; i < before; i++) {
        bool is_named = false;
        for (size_t k = 0; !is_named && k < in->n; k++)
            is_named = in->uids[k] == left[i];
        if (!is_named)
            left[kept++] = left[i];
    }
    *n = kept;
    return kept < before;
}

/* What was never sent may have come there by other ways. */
static void expect(struct resolve_job *job, uint32_t *uids, size_t n)
{
    for (size_t at = 0; at < n; at += UIDS_AT_ONCE) {
        struct intent in = {.kind = INTENT_APPEND,
            .tgt_uidnext = 1,
            .uids = uids + at,
            .n = n - at < UIDS_AT_ONCE ? n - at : UIDS_AT_ONCE};
        journal_intent_put(job->journal, job->folder->id, &in);
    }
}

static int close_intents(struct resolve_job *job, struct err *err)
{
    size_t n = uid_set_size(job->in_doubt);
    if (job->is_renumbered_here || (job->n_intents == 0 && n == 0))
        return 0;
    uint32_t *left = mem_realloc_array(NULL, n + 1, sizeof(*left));
    (void)uid_set_some(job->in_doubt, 0, left, n);
    journal_begin(job->journal);
    for (size_t i = 0; i < job->n_intents; i++) {
        if (!takes_some(&job->intents[i], left, &n))
            journal_intent_del(job->journal, job->folder->id, job->intents[i].id);
    }
    expect(job, left, n);
    free(left);
    return journal_commit(job->journal, err);
}

/* --- All of it ------------------------------------------------------------------------------ */

static bool may_still_arrive(const struct resolve_job *job)
{
    int64_t youngest = 0;
    for (size_t i = 0; i < job->n_intents; i++) {
        if (job->intents[i].time_ms > youngest)
            youngest = job->intents[i].time_ms;
    }
    int64_t age = clock_wall_ms() - youngest;
    return age >= 0 && (uint64_t)age <= job->settle_ms;
}

static uint32_t *known_targets(const struct resolve_job *job, size_t *n_out)
{
    uint32_t *known = mem_realloc_array(NULL, job->n_pairs + job->n_alone + 1, sizeof(*known));
    size_t n = 0;
    for (size_t i = 0; i < job->n_alone; i++)
        known[n++] = job->alone[i].tgt_uid;
    for (size_t i = 0; i < job->n_pairs; i++) {
        if (job->pairs[i].state == PAIR_STORED && !resolve_is_void(job, &job->pairs[i]))
            known[n++] = job->pairs[i].tgt_uid;
    }
    *n_out = uids_sort(known, n);
    return known;
}

int resolve(struct resolve_job *job, struct err *err)
{
    if (!job->listing->is_sure)
        return wait_for_all(job->source, err);
    struct end_changes there = {0};
    struct resolve_side source = {0}, target = {0};
    struct wanted_list wanted = {0};
    size_t n_known, n_keywords = job->keywords->n;
    uint32_t *known = known_targets(job, &n_known);
    int result = -1;
    if (resolve_want(job, &wanted, err) != 0)
        goto done;
    uint32_t from = first_candidate(job, wanted.sent_since);
    for (;;) {
        if (list_target(job, &from, &there, &target, known, n_known, err) != 0)
            goto done;
        if (target.n >= wanted.n || !may_still_arrive(job))
            break;
        poll(NULL, 0, LOOK_AGAIN_MS);
        end_changes_fini(&there);
        resolve_side_fini(&target);
    }
    take_lasting(&wanted, &there);
    /* Names before the pairs that use their bits: the next run would give those to others. */
    if (job->keywords->n > n_keywords &&
        journal_keywords_put(job->journal, job->folder->id, job->keywords, err) != 0)
        goto done;
    if (target.n > 0 && wanted.n > 0 &&
        (resolve_match(job, &wanted, &source, &target, err) != 0 ||
            take_marks(job, &there, &source, err) != 0 ||
            write_pairs(job, &there, &wanted, &source, err) != 0))
        goto done;
    find_in_doubt(job, &source, &target);
    if (drop_pairs(job, &source, err) == 0 && owe_lost(job, &there, &source, err) == 0)
        result = close_intents(job, err);
done:
    end_changes_fini(&there);
    resolve_side_fini(&source);
    resolve_side_fini(&target);
    free(wanted.v);
    free(known);
    return result;
}
