/* SPDX-License-Identifier: ISC */
/*
 * resolve: a matching of two multisets by SHA-256.
 *
 * Candidates on the target are the UIDs at or above the UIDNEXT that the oldest intent or SENT pair
 * recorded (all UIDs when adopting) which no pair names; on the source the messages of the intents
 * (all that are not paired when adopting), and SENT ones, whose digest is known.  When adopting
 * sizes cut both down before a body is read; for what we have sent ourselves no server's word about
 * a size counts.  Equal digests are paired in the order of their UIDs: k equal messages against m
 * equal copies make min(k, m) pairs, so equal messages stay as many as they were.
 *
 * Known weakness: a batch whose connection broke may be stored later than settle_ms.
 */
#include "imapsync/copy/resolve.h"

#include <poll.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "imapsync/copy/bodies.h"
#include "base/mail/uids.h"

#define LOOK_AGAIN_MS 100

struct side {
    struct body *v;
    uint32_t *sizes;
    size_t n;
};

static void side_fini(struct side *s)
{
    free(s->v);
    free(s->sizes);
    *s = (struct side){0};
}

static void side_add(struct side *s, size_t *cap, uint32_t uid, uint32_t size)
{
    if (s->n == *cap) {
        *cap = *cap ? 2 * *cap : 128;
        s->v = mem_realloc_array(s->v, *cap, sizeof(*s->v));
        s->sizes = mem_realloc_array(s->sizes, *cap, sizeof(*s->sizes));
    }
    s->v[s->n] = (struct body){.uid = uid};
    s->sizes[s->n++] = size;
}

/* What is not listed may be what is looked for. */
static int wait_for_all(const struct end *e, struct err *err)
{
    err_set(err, ERR_TEMP, EX_TEMPFAIL,
        "%s: the server lists fewer messages than it counts, and some are in doubt", e->label);
    return err_scope_set(err, ERR_SCOPE_FOLDER);
}

/* --- Candidates of the target ----------------------------------------------------------- */

static int list_target(struct resolve_job *job, struct end_changes *there, struct side *out,
    const uint32_t *known, size_t n_known, struct err *err)
{
    uint32_t from = 1;
    size_t cap = 0;
    if (!job->adopt_all) {
        from = job->sent_since;
        for (size_t i = 0; i < job->n_intents; i++) {
            if (job->intents[i].tgt_uidnext < from)
                from = job->intents[i].tgt_uidnext;
        }
    }
    struct end_ticket t = {0};
    end_changes_init(there, job->keywords);
    job->target->ops->open(job->target,
        &(struct end_open){.folder = job->folder->target.name,
            .from = from,
            .want = END_WANT_FLAGS | END_WANT_SIZES},
        there, &t);
    if (end_check(job->target, &t, "cannot open the folder", err) != 0)
        return -1;
    if (!there->is_sure)
        return wait_for_all(job->target, err);
    if (there->uidvalidity != job->tgt_uidvalidity) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: the folder was replaced meanwhile (UIDVALIDITY)",
            job->target->label);
        return err_scope_set(err, ERR_SCOPE_FOLDER);
    }
    for (size_t i = 0; i < there->n; i++) {
        if (!uids_have(known, n_known, there->v[i].uid))
            side_add(out, &cap, there->v[i].uid, there->v[i].size);
    }
    return 0;
}

/* --- Candidates of the source ------------------------------------------------------------- */

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

/* What the target has said OK to without telling a UID; their digests are in the journal. */
static int add_sent(struct resolve_job *job, struct side *out, struct err *err)
{
    size_t cap = 0;
    int result = 0;
    job->sent_since = UINT32_MAX;
    for (size_t i = 0; result == 0 && i < job->n_pairs; i++) {
        struct content c;
        bool found;
        uint32_t uid = job->pairs[i].src_uid;
        if (job->pairs[i].state != PAIR_SENT || !end_changes_find(job->listing, uid))
            continue;
        result = journal_content(job->journal, job->folder->id, uid, &c, &found, err);
        if (result != 0 || !found || !c.has_digest)
            continue;
        side_add(out, &cap, uid, c.size);
        out->v[out->n - 1].is_there = true;
        memcpy(out->v[out->n - 1].digest, c.digest, SHA256_SIZE);
        if (c.since < job->sent_since)
            job->sent_since = c.since;
    }
    return result;
}

static void source_candidates(struct resolve_job *job, uint32_t **out, size_t *n_out)
{
    size_t n = 0, total = job->adopt_all ? job->listing->n : 0;
    for (size_t i = 0; i < job->n_intents; i++)
        total += job->intents[i].n;
    uint32_t *v = mem_realloc_array(NULL, total + 1, sizeof(*v));
    for (size_t i = 0; job->adopt_all && i < job->listing->n; i++) {
        if (!is_paired(job, job->listing->v[i].uid))
            v[n++] = job->listing->v[i].uid;
    }
    for (size_t i = 0; !job->adopt_all && i < job->n_intents; i++) {
        for (size_t k = 0; k < job->intents[i].n; k++) {
            uint32_t uid = job->intents[i].uids[k];
            if (!is_paired(job, uid) && end_changes_find(job->listing, uid) &&
                !suspects_are_unsent(job->suspects, job->folder->id, uid))
                v[n++] = uid;
        }
    }
    *out = v;
    *n_out = uids_sort(v, n);
}

static int source_sizes(
    struct resolve_job *job, const uint32_t *uids, size_t n, struct side *out, struct err *err)
{
    struct end_ticket t = {0};
    struct end_changes sizes;
    size_t cap = 0;
    if (n == 0)
        return 0;
    end_changes_init(&sizes, job->keywords);
    job->source->ops->attributes(job->source, uids, n, END_WANT_SIZES, &sizes, &t);
    int result = end_check(job->source, &t, "cannot read sizes", err);
    for (size_t i = 0; result == 0 && i < sizes.n; i++) {
        if (sizes.v[i].has_size)
            side_add(out, &cap, sizes.v[i].uid, sizes.v[i].size);
    }
    end_changes_fini(&sizes);
    return result;
}

/* --- Matching ------------------------------------------------------------------------------- */

static int by_uid(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static int by_digest(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    if (x->is_there != y->is_there)
        return x->is_there ? -1 : 1;
    int r = memcmp(x->digest, y->digest, SHA256_SIZE);
    return r != 0 ? r : by_uid(a, b);
}

/* Keeps the messages whose size the other side has too, by UID. */
static void keep_sizes(struct side *s, const struct side *other)
{
    uint32_t *sizes = mem_realloc_array(NULL, other->n + 1, sizeof(*sizes));
    size_t kept = 0;
    if (other->n > 0)
        memcpy(sizes, other->sizes, other->n * sizeof(*sizes));
    size_t n_sizes = uids_sort(sizes, other->n);
    for (size_t i = 0; i < s->n; i++) {
        if (!uids_have(sizes, n_sizes, s->sizes[i]))
            continue;
        s->sizes[kept] = s->sizes[i];
        s->v[kept++] = s->v[i];
    }
    s->n = kept;
    free(sizes);
    if (s->n > 0)
        mem_sort(s->v, s->n, sizeof(*s->v), by_uid); /* the sizes are not needed any more */
}

/* The messages of the source that are worth reading, and those of the target. */
static int choose(struct resolve_job *job, const uint32_t *asked, size_t n_asked,
    struct side *source, struct side *target, struct err *err)
{
    size_t cap = 0;
    if (!job->adopt_all) {
        for (size_t i = 0; i < n_asked; i++)
            side_add(source, &cap, asked[i], 0);
        return 0;
    }
    if (source_sizes(job, asked, n_asked, source, err) != 0)
        return -1;
    struct side all = *source;
    keep_sizes(source, target);
    all.n = source->n;
    keep_sizes(target, &all);
    return 0;
}

static void pair_up(struct resolve_job *job, const struct end_changes *there, const struct body *s,
    const struct body *t)
{
    const struct listed *from = end_changes_find(job->listing, s->uid);
    const struct listed *to = end_changes_find(there, t->uid);
    if (!from || !to)
        return;
    struct pair p = {.src_uid = s->uid, .tgt_uid = t->uid, .state = PAIR_STORED};
    const struct pair *sent = find_pair(job, s->uid);
    /* What both have counts as seen, so the source's flags are added and none is removed that the
     * target's user has set meanwhile.  Of what was SENT it is known which flags it was given. */
    p.flags = sent && sent->state == PAIR_SENT ? sent->flags : flags_and(&from->flags, &to->flags);
    struct content content = {.has_digest = true, .size = from->size};
    memcpy(content.digest, s->digest, SHA256_SIZE);
    journal_pair_put(job->journal, job->folder->id, &p, &content);
    job->n_adopted++;
}

#define PAIRS_AT_ONCE 200

static int match(struct resolve_job *job, const struct end_changes *there, struct side *source,
    struct side *target, struct err *err)
{
    if (source->n == 0 || target->n == 0)
        return 0;
    mem_sort(source->v, source->n, sizeof(*source->v), by_digest);
    mem_sort(target->v, target->n, sizeof(*target->v), by_digest);
    journal_begin(job->journal);
    for (size_t i = 0, k = 0; i < source->n && k < target->n;) {
        const struct body *s = &source->v[i], *t = &target->v[k];
        if (!s->is_there || !t->is_there)
            break;
        int r = memcmp(s->digest, t->digest, SHA256_SIZE);
        if (r == 0) {
            pair_up(job, there, s, t);
            if (job->n_adopted % PAIRS_AT_ONCE == 0) {
                if (journal_commit(job->journal, err) != 0)
                    return -1;
                journal_begin(job->journal);
            }
        }
        i += r <= 0;
        k += r >= 0;
    }
    return journal_commit(job->journal, err);
}

static int close_intents(struct resolve_job *job, struct err *err)
{
    if (job->n_intents == 0)
        return 0;
    journal_begin(job->journal);
    for (size_t i = 0; i < job->n_intents; i++)
        journal_intent_del(job->journal, job->folder->id, job->intents[i].id);
    return journal_commit(job->journal, err);
}

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

int resolve(struct resolve_job *job, struct err *err)
{
    if (!job->listing->is_sure)
        return wait_for_all(job->source, err);
    struct end_changes there = {0};
    struct side source = {0}, target = {0}, sent = {0};
    uint32_t *known = mem_realloc_array(NULL, job->n_pairs + 1, sizeof(*known)), *asked;
    size_t n_known = 0, n_asked, n_keywords = job->keywords->n;
    int result = -1;
    for (size_t i = 0; i < job->n_pairs; i++) {
        if (job->pairs[i].state == PAIR_STORED)
            known[n_known++] = job->pairs[i].tgt_uid;
    }
    n_known = uids_sort(known, n_known);
    source_candidates(job, &asked, &n_asked);
    if (add_sent(job, &sent, err) != 0)
        goto done;
    for (;;) {
        if (list_target(job, &there, &target, known, n_known, err) != 0)
            goto done;
        if (target.n >= n_asked + sent.n || !may_still_arrive(job))
            break;
        poll(NULL, 0, LOOK_AGAIN_MS);
        end_changes_fini(&there);
        side_fini(&target);
    }
    /* Names before the pairs that use their bits: the next run would give those to others. */
    if (job->keywords->n > n_keywords &&
        journal_keywords_put(job->journal, job->folder->id, job->keywords, err) != 0)
        goto done;
    if (target.n > 0 && n_asked + sent.n > 0) {
        if (choose(job, asked, n_asked, &source, &target, err) != 0)
            goto done;
        if (bodies_digest(job->source, source.v, source.n, err) != 0 ||
            bodies_digest(job->target, target.v, target.n, err) != 0)
            goto done;
        size_t cap = source.n;
        for (size_t i = 0; i < sent.n; i++) {
            side_add(&source, &cap, sent.v[i].uid, sent.sizes[i]);
            source.v[source.n - 1] = sent.v[i];
        }
        if (match(job, &there, &source, &target, err) != 0)
            goto done;
    }
    result = close_intents(job, err);
done:
    end_changes_fini(&there);
    side_fini(&source);
    side_fini(&target);
    side_fini(&sent);
    free(known);
    free(asked);
    return result;
}
