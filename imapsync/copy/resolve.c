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
 * What was sent and has gone from the source meanwhile becomes a pair as well: its copy is then
 * treated like any other whose message was deleted.
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
#include "imapsync/copy/match.h"

#define LOOK_AGAIN_MS 100

/* One side's messages, by UID. */
struct side {
    struct body *v;
    uint32_t *sizes;
    bool *is_read; /* or its digests were known */
    size_t n, cap;
};

static void side_fini(struct side *s)
{
    free(s->v);
    free(s->sizes);
    free(s->is_read);
    *s = (struct side){0};
}

static void side_add(struct side *s, uint32_t uid, uint32_t size, const struct content *known)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 128;
        s->v = mem_realloc_array(s->v, s->cap, sizeof(*s->v));
        s->sizes = mem_realloc_array(s->sizes, s->cap, sizeof(*s->sizes));
        s->is_read = mem_realloc_array(s->is_read, s->cap, sizeof(*s->is_read));
    }
    s->v[s->n] = (struct body){.uid = uid, .is_there = known != NULL};
    if (known) {
        s->v[s->n].canon = known->canon;
        memcpy(s->v[s->n].digest, known->digest, SHA256_SIZE);
    }
    s->sizes[s->n] = size;
    s->is_read[s->n++] = known != NULL;
}

/* What is not listed may be what is looked for. */
static int wait_for_all(const struct end *e, struct err *err)
{
    err_set(err, ERR_TEMP, EX_TEMPFAIL,
        "%s: the server lists fewer messages than it counts, and some are in doubt", e->label);
    return err_scope_set(err, ERR_SCOPE_FOLDER);
}

/* --- Candidates of the target ----------------------------------------------------------- */

static bool is_void(const struct resolve_job *job, const struct pair *p)
{
    return job->is_renumbered_there &&
           (p->state == PAIR_STORED || p->state == PAIR_SENT || p->state == PAIR_GONE);
}

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
        if (job->pairs[i].state == PAIR_STORED && !is_void(job, &job->pairs[i]))
            return true;
    }
    return false;
}

static int list_target(struct resolve_job *job, uint32_t *from, struct end_changes *there,
    struct side *out, const uint32_t *known, size_t n_known, struct err *err)
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
        if (!uids_have(known, n_known, there->v[i].uid))
            side_add(out, there->v[i].uid, there->v[i].size, NULL);
    }
    return 0;
}

/* --- What is wanted ----------------------------------------------------------------------- */

/* One message that is looked for; the UID of the source. */
struct wanted {
    uint32_t uid;
    bool has_content, has_flags;
    struct content content;
    struct flags flags; /* that it was given */
};

struct wanted_list {
    struct wanted *v;
    size_t n, cap;
    uint32_t sent_since; /* the oldest UIDNEXT of SENT pairs */
};

static struct wanted *add_wanted(struct wanted_list *l, uint32_t uid)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->v = mem_realloc_array(l->v, l->cap, sizeof(*l->v));
    }
    l->v[l->n] = (struct wanted){.uid = uid};
    return &l->v[l->n++];
}

/* What is known comes first. */
static int by_source(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    return x->has_content != y->has_content ? (x->has_content ? -1 : 1) : 0;
}

static const struct pair *find_pair(const struct resolve_job *job, uint32_t uid)
{
    size_t low = 0, high = job->n_pairs;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (job->pairs[mid].src_uid < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < job->n_pairs && job->pairs[low].src_uid == uid ? &job->pairs[low] : NULL;
}

static bool is_paired(const struct resolve_job *job, uint32_t uid)
{
    const struct pair *p = find_pair(job, uid);
    return p && p->state != PAIR_REFUSED;
}

static bool is_listed(const struct resolve_job *job, uint32_t uid)
{
    return !job->is_renumbered_here && end_changes_find(job->listing, uid) != NULL;
}

/* Pairs whose message is somewhere on the target, and nobody knows where. */
static int want_pairs(struct resolve_job *job, struct wanted_list *out, struct err *err)
{
    int result = 0;
    out->sent_since = UINT32_MAX;
    for (size_t i = 0; result == 0 && i < job->n_pairs; i++) {
        const struct pair *p = &job->pairs[i];
        struct content c;
        bool found;
        if (p->state != PAIR_SENT && !is_void(job, p))
            continue;
        result = journal_content(job->journal, job->folder->id, p->src_uid, &c, &found, err);
        bool has_content = result == 0 && found && c.has_digest;
        if (result != 0 || (!has_content && !is_listed(job, p->src_uid)))
            continue;
        struct wanted *w = add_wanted(out, p->src_uid);
        w->has_content = has_content;
        w->has_flags = p->state != PAIR_GONE;
        w->content = c;
        w->flags = p->flags;
        if (p->state == PAIR_SENT && c.since < out->sent_since)
            out->sent_since = c.since;
    }
    return result;
}

static void want_intents(struct resolve_job *job, struct wanted_list *out)
{
    for (size_t i = 0; i < job->n_intents; i++) {
        const struct intent *in = &job->intents[i];
        for (size_t k = 0; k < in->n_sent; k++) {
            if (is_paired(job, in->sent[k].uid))
                continue;
            struct wanted *w = add_wanted(out, in->sent[k].uid);
            w->has_content = w->has_flags = true;
            w->content = in->sent[k].content;
            w->flags = in->sent[k].flags;
        }
        for (size_t k = 0; k < in->n; k++) {
            if (!is_paired(job, in->uids[k]) && is_listed(job, in->uids[k]) &&
                !suspects_are_unsent(job->suspects, job->folder->id, in->uids[k]))
                (void)add_wanted(out, in->uids[k]);
        }
    }
}

static int want(struct resolve_job *job, struct wanted_list *out, struct err *err)
{
    size_t n = 0;
    if (want_pairs(job, out, err) != 0)
        return -1;
    want_intents(job, out);
    for (size_t i = 0; job->adopt_all && i < job->listing->n; i++) {
        if (!is_paired(job, job->listing->v[i].uid))
            (void)add_wanted(out, job->listing->v[i].uid);
    }
    if (out->n > 0)
        mem_sort(out->v, out->n, sizeof(*out->v), by_source);
    for (size_t i = 0; i < out->n; i++) {
        if (n == 0 || out->v[n - 1].uid != out->v[i].uid)
            out->v[n++] = out->v[i];
    }
    out->n = n;
    return 0;
}

/* Sizes only where there is a choice. */
static int to_side(
    struct resolve_job *job, const struct wanted_list *l, struct side *out, struct err *err)
{
    struct end_ticket t = {0};
    struct end_changes sizes;
    uint32_t *unknown = mem_realloc_array(NULL, l->n + 1, sizeof(*unknown));
    size_t n = 0;
    int result = 0;
    end_changes_init(&sizes, job->keywords);
    for (size_t i = 0; job->adopt_all && i < l->n; i++) {
        if (!l->v[i].has_content)
            unknown[n++] = l->v[i].uid;
    }
    if (n > 0) {
        job->source->ops->attributes(job->source, unknown, n, END_WANT_SIZES, &sizes, &t);
        result = end_check(job->source, &t, "cannot read sizes", err);
    }
    for (size_t i = 0; result == 0 && i < l->n; i++) {
        const struct wanted *w = &l->v[i];
        const struct listed *m = end_changes_find(&sizes, w->uid);
        side_add(out, w->uid,
            w->has_content     ? w->content.size
            : m && m->has_size ? m->size
                               : 0,
            w->has_content ? &w->content : NULL);
        /* Else its copy would be removed and that of another one made again. */
        out->v[out->n - 1].comes_last = !is_listed(job, w->uid);
    }
    end_changes_fini(&sizes);
    free(unknown);
    return result;
}

/* --- Matching ------------------------------------------------------------------------------- */

static int by_uid(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

/* Reads what was not read; sizes: only those of these sizes. */
static int read_some(
    struct end *e, struct side *s, const uint32_t *sizes, size_t n_sizes, struct err *err)
{
    struct body *asked = mem_realloc_array(NULL, s->n + 1, sizeof(*asked));
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->is_read[i] || (sizes && !uids_have(sizes, n_sizes, s->sizes[i])))
            continue;
        asked[n++] = (struct body){.uid = s->v[i].uid};
        s->is_read[i] = true;
    }
    int result = n > 0 ? bodies_digest(e, asked, n, err) : 0;
    for (size_t i = 0; result == 0 && i < n; i++) {
        struct body *b = mem_search(&asked[i], s->v, s->n, sizeof(*b), by_uid);
        *b = asked[i];
    }
    free(asked);
    return result;
}

static uint32_t *sizes_of(const struct side *s, size_t *n_out)
{
    uint32_t *sizes = mem_realloc_array(NULL, s->n + 1, sizeof(*sizes));
    if (s->n > 0)
        memcpy(sizes, s->sizes, s->n * sizeof(*sizes));
    *n_out = uids_sort(sizes, s->n);
    return sizes;
}

static int read_likely(
    struct resolve_job *job, struct side *source, struct side *target, struct err *err)
{
    size_t n_from, n_to;
    uint32_t *from = sizes_of(source, &n_from), *to = sizes_of(target, &n_to);
    int result = read_some(job->source, source, to, n_to, err);
    if (result == 0)
        result = read_some(job->target, target, from, n_from, err);
    free(from);
    free(to);
    return result;
}

static bool has_left(const struct side *s)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].mate == 0)
            return true;
    }
    return false;
}

static int match(struct resolve_job *job, struct side *source, struct side *target, struct err *err)
{
    if (job->adopt_all) {
        if (read_likely(job, source, target, err) != 0)
            return -1;
        match_up(source->v, source->n, target->v, target->n, MATCH_EXACT);
    }
    if (!has_left(source) || !has_left(target))
        return 0;
    if (read_some(job->source, source, NULL, 0, err) != 0 ||
        read_some(job->target, target, NULL, 0, err) != 0)
        return -1;
    match_up(source->v, source->n, target->v, target->n, MATCH_TEXT);
    return 0;
}

/* --- Marks ------------------------------------------------------------------------------ */

/* \Deleted that both had in common, and that the source does not have, is from a removal of ours
 * that was cut off before the target was numbered anew, or its message is gone: the copy does not
 * keep it, whoever's it is now. */
static int take_marks(struct resolve_job *job, struct end_changes *there,
    const struct wanted_list *l, const struct side *source, struct err *err)
{
    const struct flags deleted = {.system = FLAG_DELETED};
    const struct end_flags unmark = {
        .is_removal = true, .flags = &deleted, .keywords = job->keywords};
    struct end_ticket t = {0};
    uint32_t *uids = mem_realloc_array(NULL, source->n + 1, sizeof(*uids));
    size_t n = 0, w = 0;
    int result = 0;
    for (size_t i = 0; job->is_renumbered_there && i < source->n; i++) {
        const struct body *b = &source->v[i];
        while (l->v[w].uid != b->uid)
            w++;
        struct listed *to = (struct listed *)(uintptr_t)end_changes_find(there, b->mate);
        const struct listed *from =
            is_listed(job, b->uid) ? end_changes_find(job->listing, b->uid) : NULL;
        if (!to || !l->v[w].has_flags || !(l->v[w].flags.system & FLAG_DELETED) ||
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
        is_listed(job, s->uid) ? end_changes_find(job->listing, s->uid) : NULL;
    const struct listed *to = end_changes_find(there, s->mate);
    const struct pair *was = find_pair(job, s->uid);
    struct pair p = {.src_uid = s->uid, .tgt_uid = s->mate, .state = PAIR_STORED};
    struct content content = {.has_digest = true, .canon = s->canon, .size = w->content.size};
    memcpy(content.digest, s->digest, SHA256_SIZE);
    /* What both have counts as seen, so the source's flags are added and none is removed that the
     * target's user has set meanwhile.  Of what was sent it is known which flags it was given, but
     * not what has become of them in a folder that is another one. */
    if (w->has_flags)
        p.flags = was && is_void(job, was) && to ? flags_and(&w->flags, &to->flags) : w->flags;
    else if (from && to)
        p.flags = flags_and(&from->flags, &to->flags);
    journal_pair_put(job->journal, job->folder->id, &p, &content);
    job->n_adopted += !(was && is_void(job, was));
}

#define PUTS_AT_ONCE 200

static int write_pairs(struct resolve_job *job, const struct end_changes *there,
    const struct wanted_list *l, const struct side *source, struct err *err)
{
    size_t n = 0, w = 0;
    journal_begin(job->journal);
    for (size_t i = 0; i < source->n; i++) {
        while (l->v[w].uid != source->v[i].uid)
            w++;
        if (source->v[i].mate == 0)
            continue;
        pair_up(job, there, &l->v[w], &source->v[i]);
        if (++n % PUTS_AT_ONCE == 0) {
            if (journal_commit(job->journal, err) != 0)
                return -1;
            journal_begin(job->journal);
        }
    }
    return journal_commit(job->journal, err);
}

static int drop_pairs(struct resolve_job *job, const struct side *source, struct err *err)
{
    size_t n = 0;
    if (!job->is_renumbered_there)
        return 0;
    journal_begin(job->journal);
    for (size_t i = 0; i < job->n_pairs; i++) {
        const struct pair *p = &job->pairs[i];
        struct body key = {.uid = p->src_uid};
        const struct body *b =
            source->n > 0 ? mem_search(&key, source->v, source->n, sizeof(key), by_uid) : NULL;
        if (!(is_void(job, p) || p->state == PAIR_REFUSED) || (b && b->mate))
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

static int close_intents(struct resolve_job *job, struct err *err)
{
    if (job->n_intents == 0 || job->is_renumbered_here)
        return 0;
    journal_begin(job->journal);
    for (size_t i = 0; i < job->n_intents; i++)
        journal_intent_del(job->journal, job->folder->id, job->intents[i].id);
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
    uint32_t *known = mem_realloc_array(NULL, job->n_pairs + 1, sizeof(*known));
    size_t n = 0;
    for (size_t i = 0; i < job->n_pairs; i++) {
        if (job->pairs[i].state == PAIR_STORED && !is_void(job, &job->pairs[i]))
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
    struct side source = {0}, target = {0};
    struct wanted_list wanted = {0};
    size_t n_known, n_keywords = job->keywords->n;
    uint32_t *known = known_targets(job, &n_known);
    int result = -1;
    if (want(job, &wanted, err) != 0)
        goto done;
    uint32_t from = first_candidate(job, wanted.sent_since);
    for (;;) {
        if (list_target(job, &from, &there, &target, known, n_known, err) != 0)
            goto done;
        if (target.n >= wanted.n || !may_still_arrive(job))
            break;
        poll(NULL, 0, LOOK_AGAIN_MS);
        end_changes_fini(&there);
        side_fini(&target);
    }
    /* Names before the pairs that use their bits: the next run would give those to others. */
    if (job->keywords->n > n_keywords &&
        journal_keywords_put(job->journal, job->folder->id, job->keywords, err) != 0)
        goto done;
    if (target.n > 0 && wanted.n > 0 &&
        (to_side(job, &wanted, &source, err) != 0 || match(job, &source, &target, err) != 0 ||
            take_marks(job, &there, &wanted, &source, err) != 0 ||
            write_pairs(job, &there, &wanted, &source, err) != 0))
        goto done;
    result = drop_pairs(job, &source, err) == 0 ? close_intents(job, err) : -1;
done:
    end_changes_fini(&there);
    side_fini(&source);
    side_fini(&target);
    free(wanted.v);
    free(known);
    return result;
}
