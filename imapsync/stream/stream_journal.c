/* SPDX-License-Identifier: ISC */
/*
 * stream_journal: what a copy writes down: an intent before a read, what was sent when it was sent,
 * and each result in the transaction that removes its intent.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/stream/stream_parts.h"

#define NOTES_WAIT_MS 5 /* so often they are worth a transaction of their own */

/* --- The journal's side ----------------------------------------------------------------- */

struct window *stream_window(struct stream *s, uint32_t number)
{
    struct window *w = s->windows;
    while (w && w->number != number)
        w = w->next;
    return w;
}

void stream_forget_window(struct stream *s, struct window *w)
{
    struct window **at = &s->windows;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    end_changes_fini(&w->numbers);
    free(w->sent);
    free(w);
}

/* What was told since the last one is one transaction. */
static void writing(struct stream *s)
{
    if (!s->is_writing)
        journal_begin(s->job->journal);
    s->is_writing = true;
}

/* What is on its way is written with what else there is to be written, and alone when nothing has
 * been for a while: single messages would need a transaction for each. */
static void write_notes(struct stream *s)
{
    bool is_time = clock_mono_ms() - s->committed_ms >= NOTES_WAIT_MS;
    for (struct window *w = s->windows; w && (s->is_writing || is_time); w = w->next) {
        if (w->is_noted || w->n_sent == 0)
            continue;
        writing(s);
        journal_intent_sent_put(s->job->journal, stream_folder_of(s, w->folder)->record->id,
            w->intent, w->sent, w->n_sent);
        w->is_noted = true;
    }
}

int stream_written(struct stream *s, struct err *err)
{
    write_notes(s);
    if (!s->is_writing)
        return 0;
    s->is_writing = false;
    s->committed_ms = clock_mono_ms();
    return journal_commit(s->job->journal, err);
}

static struct content content_of(const struct batches_sent *sent, uint32_t since)
{
    struct content c = {
        .has_digest = true, .canon = sent->canon, .size = (uint32_t)sent->size, .since = since};
    memcpy(c.digest, sent->digest, SHA256_SIZE);
    return c;
}

void stream_put_sent(struct stream *s, const struct batches_todo *todo)
{
    struct window *w = stream_window(s, todo->window);
    const struct end_changes *listing = stream_folder_of(s, todo->folder)->listing;
    w->sent = mem_realloc_array(w->sent, w->n_sent + todo->n, sizeof(*w->sent));
    for (size_t i = 0; i < todo->n; i++) {
        const struct listed *m = end_changes_find(listing, todo->sent[i].uid);
        struct intent_sent *to = &w->sent[w->n_sent++];
        *to = (struct intent_sent){
            .uid = todo->sent[i].uid, .content = content_of(&todo->sent[i], 0)};
        if (m)
            to->flags = m->flags;
    }
    w->is_noted = false;
}

/* What somebody has to know of the date that it was stored with; NULL: it is its own. */
static const char *told_of_date(const struct listed *m, bool is_plain)
{
    if (!m->has_date)
        return "stored with the date of today: the source tells none that can be read, nor does "
               "its header";
    if (is_plain && stream_has_other_date(m))
        return "stored with a date of our time: the target refused its own";
    if (m->has_arrival)
        return "stored with the date of its Received or Date field: the source tells none that can "
               "be read";
    return NULL;
}

/* Below the target's UIDNEXT of before there are other messages, which must not be taken for ours,
 * and one that is too high is given to somebody else's message later.  Where the UIDs of an append
 * are not those that come next, contents tell.  But a server that keeps equal ones once (Gmail)
 * tells what ours has. */
static bool is_believed(struct stream *s, uint32_t folder, const struct batches_result *r)
{
    struct err ignored = ERR_INIT;
    bool is_ours = false;
    if (r->outcome != BATCHES_STORED)
        return false;
    return !r->is_doubtful || (journal_has_copy(s->job->journal, folder, r->tgt_uid, r->sent.digest,
                                   &is_ours, &ignored) == 0 &&
                                  is_ours);
}

/* Whether it has a system flag of which more copies are to be looked at. */
static bool is_sample(struct stream_job *job, unsigned system)
{
    bool is = false;
    for (unsigned bit = 0; bit < 8; bit++) {
        if (!(system & 1U << bit) || job->unchecked[bit] == 0)
            continue;
        job->unchecked[bit]--;
        is = true;
    }
    return is;
}

/* Keywords, odd dates, and of each system flag the first messages that have it. */
static void check(struct stream_job *job, const struct stream_folder *f, const struct listed *m,
    const struct batches_result *r)
{
    const struct stream_check k = {.uid = r->uid,
        .tgt_uid = r->tgt_uid,
        .has_odd_date = !r->is_plain && stream_has_odd_date(m),
        .is_plain = r->is_plain};
    if (is_sample(job, m->flags.system) || k.has_odd_date ||
        (!r->is_plain && stream_has_keywords(m)))
        job->check(f->arg, &k);
}

void stream_put_result(struct stream *s, const struct batches_result *r)
{
    struct stream_job *job = s->job;
    struct stream_folder *f = stream_folder_of(s, r->folder);
    const struct listed *m = end_changes_find(f->listing, r->uid);
    struct pair p = {
        .src_uid = r->uid,
    };
    if (m)
        p.flags = m->flags;
    if (r->is_plain)
        memset(p.flags.keywords, 0, sizeof(p.flags.keywords));
    struct content content = content_of(&r->sent, r->since);
    const struct content none = {.has_digest = false};
    bool is_known = is_believed(s, f->record->id, r);
    /* It may be there all the same, if it was UIDNEXT that lied. */
    if (r->outcome == BATCHES_STORED && !is_known && r->tgt_uid < content.since)
        content.since = r->tgt_uid;
    else if (r->outcome == BATCHES_STORED && !is_known)
        content.told = r->tgt_uid;
    writing(s);
    switch (r->outcome) {
    case BATCHES_STORED:
    case BATCHES_SENT:
        p.tgt_uid = is_known ? r->tgt_uid : 0;
        p.state = is_known ? PAIR_STORED : PAIR_SENT;
        f->has_unknown_uids = f->has_unknown_uids || p.state == PAIR_SENT;
        journal_pair_put(job->journal, f->record->id, &p, &content);
        job->copied(f->arg, r->uid, r->sent.size);
        if (!m)
            break;
        if (r->is_plain || told_of_date(m, false))
            job->reduced(f->arg, r->uid, r->is_plain && stream_has_keywords(m),
                told_of_date(m, r->is_plain));
        if (is_known)
            check(job, f, m, r);
        break;
    case BATCHES_REFUSED:
    case BATCHES_ASIDE:
        p.state = PAIR_REFUSED;
        journal_pair_put(job->journal, f->record->id, &p, &none);
        job->refused(f->arg, r->uid, r->code, r->why);
        break;
    case BATCHES_MISSING:
        job->missing(f->arg, r->uid);
        break;
    case BATCHES_OPEN:
        /* Of it an intent tells, or a later pass finds it new.  What ends the job or the folder is
         * told as a whole. */
        if (r->sent.uid > 0 && !s->is_lost && !batches_folder_err(s->batches, r->folder))
            job->refused(f->arg, r->uid, r->code, r->why);
        break;
    }
}

void stream_put_intent(struct stream *s, const struct batches_todo *todo)
{
    struct window *w = mem_zalloc(sizeof(*w)), **end = &s->windows;
    uint32_t *uids = mem_realloc_array(NULL, todo->n, sizeof(*uids));
    memcpy(uids, todo->uids, todo->n * sizeof(*uids));
    (void)uids_sort(uids, todo->n);
    struct intent i = {.kind = INTENT_APPEND,
        .time_ms = clock_wall_ms(),
        .tgt_uidnext = todo->since,
        .uids = uids,
        .n = todo->n};
    while (*end)
        end = &(*end)->next;
    *end = w;
    writing(s);
    journal_intent_put(s->job->journal, stream_folder_of(s, todo->folder)->record->id, &i);
    *w = (struct window){
        .stream = s, .number = todo->window, .folder = todo->folder, .intent = i.id};
    end_changes_init(&w->numbers, &w->none);
    free(uids);
}

void stream_drop_intent(struct stream *s, const struct batches_todo *todo)
{
    struct window *w = stream_window(s, todo->window);
    writing(s);
    journal_intent_del(s->job->journal, stream_folder_of(s, w->folder)->record->id, w->intent);
    stream_forget_window(s, w);
}
