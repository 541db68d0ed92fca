/* SPDX-License-Identifier: ISC */
/*
 * renumber: old and new UIDs may be the same numbers, so the pairs move to another id of the
 * folder, which gets its name when all of them are there.  A crash before that begins again.
 *
 * The same octets are the same message, also with other line ends (a mailbox that was restored);
 * another header is another message, unless the folder was a target on an earlier way, whose server
 * may have added lines to what was put there.  What no pair has is new.  A pair whose message is
 * not there any more goes, or stands alone from then on, without a deletion: a new UIDVALIDITY is
 * no witness of one.
 */
#include "imapsync/copy/renumber.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/plan/match.h"
#include "imapsync/stream/bodies.h"

#define PUTS_AT_ONCE 200
#define INTENT_UIDS 100

struct renumbering {
    struct renumber_job *job;
    uint32_t old, new;
    struct body *pairs; /* their UIDs are places of job->pairs, from 1 on */
    struct body *now;   /* of the source */
    size_t n_now;
    bool has_unknown; /* a copy on the target whose content the journal does not know */
};

static int content_of(const struct renumbering *r, const struct pair *p, struct content *out,
    bool *found_out, struct err *err)
{
    struct journal *j = r->job->journal;
    return p->src_uid != 0 ? journal_content(j, r->old, p->src_uid, out, found_out, err)
                           : journal_copy_content(j, r->old, p->tgt_uid, out, found_out, err);
}

/* As it is under the new numbers; false: it is over. */
static bool pair_now(const struct renumbering *r, size_t i, struct pair *out)
{
    *out = r->job->pairs[i];
    if (r->pairs[i].mate != 0) {
        out->src_uid = r->pairs[i].mate;
        if (out->tgt_uid != 0)
            out->state = PAIR_STORED;
        out->is_removed = out->is_removed && out->state != PAIR_STORED;
        return true;
    }
    if (!r->job->keeps_alone || out->tgt_uid == 0)
        return false;
    if (out->src_uid != 0) {
        out->src_uid = 0;
        out->state = PAIR_GONE;
        out->is_compared = out->is_removed = false;
    }
    return true;
}

static int read_pairs(struct renumbering *r, struct err *err)
{
    const struct renumber_job *job = r->job;
    r->pairs = mem_zalloc((job->n_pairs + 1) * sizeof(*r->pairs));
    for (size_t i = 0; i < job->n_pairs; i++) {
        struct content c;
        bool found;
        struct body *b = &r->pairs[i];
        const struct pair *p = &job->pairs[i];
        if (content_of(r, p, &c, &found, err) != 0)
            return -1;
        *b = (struct body){.uid = (uint32_t)i + 1,
            .is_there = found && c.has_digest && !(p->src_uid == 0 && p->state == PAIR_REFUSED),
            .comes_last = p->is_removed,
            .canon = c.canon};
        memcpy(b->digest, c.digest, SHA256_SIZE);
        r->has_unknown = r->has_unknown || (!b->is_there && job->pairs[i].state == PAIR_STORED);
    }
    return 0;
}

static int read_source(struct renumbering *r, struct err *err)
{
    const struct renumber_job *job = r->job;
    r->now = mem_zalloc((job->listing->n + 1) * sizeof(*r->now));
    for (size_t i = 0; i < job->listing->n; i++) {
        uint32_t uid = job->listing->v[i].uid;
        if (!suspects_are_unsent(job->suspects, r->old, uid))
            r->now[r->n_now++].uid = uid;
    }
    return r->n_now > 0 ? bodies_digest(job->source, r->now, r->n_now, err) : 0;
}

/* One transaction for some of them. */
static int step(struct renumbering *r, size_t *n, struct err *err)
{
    if (++*n % PUTS_AT_ONCE != 0)
        return 0;
    if (journal_commit(r->job->journal, err) != 0)
        return -1;
    journal_begin(r->job->journal);
    return 0;
}

static int put_pairs(struct renumbering *r, struct err *err)
{
    struct journal *j = r->job->journal;
    size_t n = 0;
    journal_begin(j);
    for (size_t i = 0; i < r->job->n_pairs; i++) {
        struct pair p;
        struct content c;
        bool found;
        if (!pair_now(r, i, &p))
            continue;
        if (content_of(r, &r->job->pairs[i], &c, &found, err) != 0) {
            struct err ignored = ERR_INIT;
            (void)!journal_commit(j, &ignored);
            return -1;
        }
        journal_pair_put(j, r->new, &p, &c);
        if (step(r, &n, err) != 0)
            return -1;
    }
    return journal_commit(j, err);
}

/* The UIDNEXT from which on something may be there that is not known to be; 0: nothing. */
static uint32_t unknown_since(const struct renumbering *r, int64_t *time_ms_out)
{
    const struct renumber_job *job = r->job;
    uint32_t since = 0;
    *time_ms_out = 0;
    for (size_t i = 0; i < job->n_intents; i++) {
        const struct intent *in = &job->intents[i];
        if (in->n_sent >= in->n)
            continue;
        since = since == 0 || in->tgt_uidnext < since ? in->tgt_uidnext : since;
        *time_ms_out = in->time_ms > *time_ms_out ? in->time_ms : *time_ms_out;
    }
    return r->has_unknown ? 1 : since;
}

/* All that has no pair may be what has come there. */
static int put_intents(struct renumbering *r, struct err *err)
{
    uint32_t uids[INTENT_UIDS];
    struct intent in = {.kind = INTENT_APPEND, .uids = uids};
    in.tgt_uidnext = unknown_since(r, &in.time_ms);
    if (in.tgt_uidnext == 0)
        return 0;
    journal_begin(r->job->journal);
    for (size_t i = 0; i < r->n_now; i++) {
        if (r->now[i].mate == 0)
            uids[in.n++] = r->now[i].uid;
        if (in.n == 0 || (in.n < INTENT_UIDS && i + 1 < r->n_now))
            continue;
        journal_intent_put(r->job->journal, r->new, &in);
        in.n = 0;
    }
    return journal_commit(r->job->journal, err);
}

/* Those that have a pair under the new id, and the intents. */
static int drop_moved(struct renumbering *r, struct err *err)
{
    struct journal *j = r->job->journal;
    size_t n = 0;
    journal_begin(j);
    for (size_t i = 0; i < r->job->n_intents; i++)
        journal_intent_del(j, r->old, r->job->intents[i].id);
    for (size_t i = 0; i < r->job->n_pairs; i++) {
        if (r->pairs[i].mate == 0)
            continue;
        journal_pair_del(j, r->old, r->job->pairs[i].src_uid);
        if (step(r, &n, err) != 0)
            return -1;
    }
    return journal_commit(j, err);
}

/* A message that is not there may come again: a mailbox that is restored by and by, or a server
 * that shows another folder for a moment.  Before the first pair that waits for it the journal says
 * so. */
static int expect_alone(const struct renumbering *r, struct err *err)
{
    const struct renumber_job *job = r->job;
    for (size_t i = 0; job->keeps_alone && i < job->n_pairs; i++) {
        if (r->pairs[i].mate == 0 && job->pairs[i].tgt_uid != 0)
            return journal_expect_alone(job->journal, err);
    }
    return 0;
}

static void find_in_doubt(const struct renumbering *r)
{
    const struct renumber_job *job = r->job;
    size_t n_left = 0;
    for (size_t i = 0; i < job->n_pairs; i++)
        n_left += r->pairs[i].mate == 0 && job->pairs[i].tgt_uid != 0;
    for (size_t i = 0; n_left > 0 && i < r->n_now; i++) {
        if (r->now[i].is_refused)
            uid_set_add(job->in_doubt, r->now[i].uid);
    }
    uid_set_join(job->in_doubt);
}

static int move(struct renumbering *r, struct err *err)
{
    struct renumber_job *job = r->job;
    match_up(r->pairs, job->n_pairs, r->now, r->n_now,
        journal_has_both_ways(job->journal) ? MATCH_TEXT : MATCH_LINES);
    find_in_doubt(r);
    /* What an attempt has left that was killed. */
    if (expect_alone(r, err) != 0 || journal_folder_forget(job->journal, r->new, err) != 0 ||
        journal_keywords_put(job->journal, r->new, job->keywords, err) != 0 ||
        put_pairs(r, err) != 0 || put_intents(r, err) != 0)
        return -1;
    job->folder->source.uidvalidity = job->listing->uidvalidity;
    journal_set(&job->folder->source.token, SLICE_NONE);
    if (journal_folder_succeed(job->journal, job->folder, !job->keeps_rest, err) != 0)
        return -1;
    return job->keeps_rest ? drop_moved(r, err) : journal_folder_drop(job->journal, r->old, err);
}

int renumber(struct renumber_job *job, struct err *err)
{
    struct renumbering r = {
        .job = job, .old = job->folder->id, .new = journal_folder_next(job->journal)};
    if (!job->listing->is_sure) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL,
            "%s: the server lists fewer messages than it counts, and has numbered them anew",
            job->source->label);
        return err_scope_set(err, ERR_SCOPE_FOLDER);
    }
    int result = -1;
    if (read_pairs(&r, err) == 0 && read_source(&r, err) == 0)
        result = move(&r, err);
    free(r.pairs);
    free(r.now);
    return result;
}
