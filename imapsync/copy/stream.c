/* SPDX-License-Identifier: ISC */
/*
 * stream: what batches.h says is to be done, done by two ends and a journal.
 *
 * Several reads are on their way, so the source never waits for us, and their bodies go into
 * appends as they come.  While the target has much to take the source is paused; what comes all the
 * same is left out and asked for again.
 *
 * A source that dies inside a body ends the job with the target in the middle of a message: the
 * target is lost with it and drops what it has, which is why nothing is padded.
 *
 * What the target has answered by anything but OK is looked for there before more is concluded from
 * it: by UIDs from the target's UIDNEXT of before, and by content.
 */
#include "imapsync/copy/stream.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/copy/batches.h"
#include "imapsync/copy/settle.h"

/* Of folders with a message or two there are many, and each costs the round trips of its read and
 * of its append: as many as a window of folders has are on their way at once. */
#define READS_MAX 128
#define APPENDS_MAX 128
#define SENT_MAX 2400      /* messages of appends that are not answered */
#define SINGLE_READ_MAX 16 /* messages of one read where each is an append of its own */
#define SINGLES_MAX 40     /* appends of one message on their way */
#define NOTES_WAIT_MS 5    /* so often they are worth a transaction of their own */

/* One read that is on its way. */
struct window {
    struct window *next;
    struct stream *stream;
    uint32_t number, folder;
    uint64_t intent;
    struct end_ticket opening, ticket;
    struct keywords none;
    struct end_changes numbers;
    struct intent_sent *sent; /* owned: what is on its way */
    size_t n_sent;
    bool is_noted; /* all of them are in the journal */
};

struct append {
    struct append *next;
    struct stream *stream;
    uint32_t number, folder;
    struct end_ticket ticket;
    struct end_uids uids;
};

struct stream {
    struct stream_job *job;
    struct batches *batches;
    struct end *source, *target;
    struct window *windows;
    struct append *appends, *open;
    struct sha256 *sha;
    struct canon_reader *canon;
    uint64_t committed_ms;
    size_t fed, fed_uids; /* folders, and messages of the next one, that the batches have */
    const struct stream_folder *opened; /* on the source */
    bool is_fed, is_settling, is_writing, is_cancelled;
    bool is_lost;
    enum batches_side lost;
    struct settle settle;
    uint32_t *suspects; /* UIDs of the folder that is being fed; owned */
    size_t n_suspects;
};

static struct stream_folder *folder_of(struct stream *s, uint32_t folder)
{
    return &s->job->folders[folder];
}

/* --- Extras: what a message may be refused for ----------------------------------------------- */

/* A target may know no keywords, and Cyrus refuses dates before 1970. */
#define DATE_MIN_S 86400
#define DATE_MAX_S (INT64_C(0x7fffffff) - 86400)

static struct listed without_extras(const struct listed *m)
{
    struct listed plain = *m;
    memset(plain.flags.keywords, 0, sizeof(plain.flags.keywords));
    if (plain.date_s < DATE_MIN_S)
        plain.date_s = DATE_MIN_S;
    if (plain.date_s > DATE_MAX_S)
        plain.date_s = DATE_MAX_S;
    return plain;
}

static bool has_extras(const struct listed *m)
{
    struct listed plain = without_extras(m);
    return !flags_eq(&plain.flags, &m->flags) || (m->has_date && plain.date_s != m->date_s);
}

/* --- The target's side ---------------------------------------------------------------- */

static void forget_append(struct append *a)
{
    struct append **at = &a->stream->appends;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    if (a->stream->open == a)
        a->stream->open = NULL;
    end_uids_fini(&a->uids);
    free(a);
}

static void append_end(struct stream *s)
{
    if (!s->open)
        return;
    struct append *a = s->open;
    s->open = NULL;
    s->target->ops->append_end(s->target);
    if (a->ticket.result != END_PENDING)
        forget_append(a); /* it was answered before its end */
}

/* The first side that says so. */
static void lose(struct stream *s, enum batches_side side)
{
    if (!s->is_lost)
        s->lost = side;
    s->is_lost = true;
}

static void on_appended(void *arg, struct end_ticket *t)
{
    struct append *a = arg;
    struct stream *s = a->stream;
    struct err err = t->err;
    if (t->result == END_LOST) {
        lose(s, BATCHES_TARGET);
        return;
    }
    if (t->result == END_OK) {
        bool is_same = a->uids.uidvalidity == folder_of(s, a->folder)->record->target.uidvalidity;
        batches_appended(s->batches, a->number, a->uids.v, is_same ? a->uids.n : 0, NULL);
    } else {
        err_wrap(&err, "target: cannot store the message");
        batches_appended(s->batches, a->number, NULL, 0, &err);
    }
    if (s->open != a)
        forget_append(a);
}

static void append_begin(struct stream *s, uint32_t number, uint32_t folder)
{
    struct append *a = mem_zalloc(sizeof(*a)), **end = &s->appends;
    while (*end)
        end = &(*end)->next;
    *end = a;
    a->stream = s;
    a->number = number;
    a->folder = folder;
    a->ticket = (struct end_ticket){.done = on_appended, .arg = a};
    s->open = a;
    s->target->ops->append_begin(
        s->target, folder_of(s, folder)->record->target.name, &a->uids, &a->ticket);
}

static bool has_room(const struct stream *s)
{
    if (s->is_settling || s->target->ops->unsent(s->target) > STREAM_FULL)
        return false;
    return s->open || s->target->ops->has_room(s->target);
}

/* --- The source's side ---------------------------------------------------------------- */

static bool on_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct window *w = arg;
    struct stream *s = w->stream;
    const struct end_changes *listing = folder_of(s, w->folder)->listing;
    const struct listed *m = end_changes_find(listing, uid);
    if (!m)
        return false;
    if (batches_body_next(s->batches, w->number, size))
        append_end(s);
    struct batches_verdict v = batches_body(s->batches, w->number, uid, size, has_room(s));
    if (!v.is_taken)
        return false;
    if (v.begins)
        append_begin(s, v.append, v.folder);
    struct listed plain = without_extras(m);
    const struct listed *as = v.is_plain ? &plain : m;
    const struct end_message message = {.flags = &as->flags,
        .keywords = listing->keywords,
        .has_date = as->has_date,
        .date_s = as->date_s,
        .zone_min = as->zone_min,
        .size = size};
    s->target->ops->append_message(s->target, &message);
    return true;
}

static void on_data(void *arg, struct slice octets)
{
    struct stream *s = ((struct window *)arg)->stream;
    sha256_add(s->sha, octets);
    canon_add(s->canon, octets);
    s->target->ops->append_octets(s->target, octets);
}

static void on_end(void *arg, uint32_t uid)
{
    struct stream *s = ((struct window *)arg)->stream;
    unsigned char digest[SHA256_SIZE];
    struct canon canon;
    (void)uid;
    sha256_finish(s->sha, digest);
    canon_end(s->canon, &canon);
    if (batches_body_end(s->batches, digest, &canon))
        append_end(s);
}

static const struct end_sink sink = {on_begin, on_data, on_end};

static void on_read(void *arg, struct end_ticket *t)
{
    struct window *w = arg;
    struct stream *s = w->stream;
    if (t->result == END_LOST)
        lose(s, BATCHES_SOURCE);
    else if (batches_read_over(s->batches, w->number, t->result == END_OK ? NULL : &t->err))
        append_end(s);
}

/* --- The journal's side ----------------------------------------------------------------- */

static struct window *find_window(struct stream *s, uint32_t number)
{
    struct window *w = s->windows;
    while (w && w->number != number)
        w = w->next;
    return w;
}

static void forget_window(struct stream *s, struct window *w)
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
        journal_intent_sent_put(
            s->job->journal, folder_of(s, w->folder)->record->id, w->intent, w->sent, w->n_sent);
        w->is_noted = true;
    }
}

static int written(struct stream *s, struct err *err)
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

static void put_sent(struct stream *s, const struct batches_todo *todo)
{
    struct window *w = find_window(s, todo->window);
    const struct end_changes *listing = folder_of(s, todo->folder)->listing;
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

static void put_result(struct stream *s, const struct batches_result *r)
{
    struct stream_job *job = s->job;
    struct stream_folder *f = folder_of(s, r->folder);
    const struct listed *m = end_changes_find(f->listing, r->uid);
    struct pair p = {
        .src_uid = r->uid,
    };
    if (m)
        p.flags = m->flags;
    struct content content = content_of(&r->sent, r->since);
    const struct content none = {.has_digest = false};
    writing(s);
    switch (r->outcome) {
    case BATCHES_STORED:
    case BATCHES_SENT:
        p.tgt_uid = r->outcome == BATCHES_STORED ? r->tgt_uid : 0;
        p.state = r->outcome == BATCHES_STORED ? PAIR_STORED : PAIR_SENT;
        f->has_unknown_uids = f->has_unknown_uids || p.state == PAIR_SENT;
        journal_pair_put(job->journal, f->record->id, &p, &content);
        job->copied(f->arg, r->sent.size);
        if (r->is_plain)
            job->reduced(f->arg, r->uid,
                "stored without keywords and with a date of our time: the target refused them");
        else if (m && !m->has_date)
            job->reduced(f->arg, r->uid,
                "stored with the date of today: the source tells none that can be read");
        break;
    case BATCHES_REFUSED:
    case BATCHES_ASIDE:
        p.state = PAIR_REFUSED;
        journal_pair_put(job->journal, f->record->id, &p, &none);
        job->refused(f->arg, r->uid, r->why);
        break;
    case BATCHES_MISSING:
        job->missing(f->arg, r->uid);
        break;
    case BATCHES_OPEN:
        /* Of it an intent tells, or a later pass finds it new.  What ends the job or the folder is
         * told as a whole. */
        if (r->sent.uid > 0 && !s->is_lost && !batches_folder_err(s->batches, r->folder))
            job->refused(f->arg, r->uid, r->why);
        break;
    }
}

static void put_intent(struct stream *s, const struct batches_todo *todo)
{
    struct window *w = mem_zalloc(sizeof(*w)), **end = &s->windows;
    uint32_t *uids = mem_realloc_array(NULL, todo->n, sizeof(*uids));
    memcpy(uids, todo->uids, todo->n * sizeof(*uids));
    struct intent i = {.kind = INTENT_APPEND,
        .time_ms = clock_wall_ms(),
        .tgt_uidnext = todo->since,
        .uids = uids,
        .n = todo->n};
    while (*end)
        end = &(*end)->next;
    *end = w;
    writing(s);
    journal_intent_put(s->job->journal, folder_of(s, todo->folder)->record->id, &i);
    *w = (struct window){
        .stream = s, .number = todo->window, .folder = todo->folder, .intent = i.id};
    end_changes_init(&w->numbers, &w->none);
    free(uids);
}

static void drop_intent(struct stream *s, const struct batches_todo *todo)
{
    struct window *w = find_window(s, todo->window);
    writing(s);
    journal_intent_del(s->job->journal, folder_of(s, w->folder)->record->id, w->intent);
    forget_window(s, w);
}

/* --- Settling -------------------------------------------------------------------------------- */

/* -1: an end is lost, or the journal. */
static int settle(struct stream *s, const struct batches_todo *todo, struct err *err)
{
    struct err why = ERR_INIT;
    uint32_t *uids = mem_realloc_array(NULL, todo->n, sizeof(*uids));
    /* What the source sends now would want an append, and the target is busy. */
    s->is_settling = true;
    s->source->ops->pause(s->source, true);
    int result = settle_sent(&s->settle, folder_of(s, todo->folder)->record, todo->since,
        todo->sent, todo->n, uids, &why);
    s->is_settling = false;
    bool is_lost = s->target->ops->is_broken(s->target) || s->source->ops->is_broken(s->source);
    bool is_over = result != 0 && (is_lost || why.scope == ERR_SCOPE_USER);
    if (is_over)
        *err = why;
    else
        batches_settled(s->batches, result == 0 ? uids : NULL, result == 0 ? NULL : &why);
    free(uids);
    return is_over ? -1 : 0;
}

/* --- The job ------------------------------------------------------------------------------ */

/* The folder's suspects go first, and only once. */
static void feed_first(struct stream *s, const struct stream_folder *f)
{
    batches_folder(s->batches, (uint32_t)s->fed, f->tgt_uidnext);
    free(s->suspects);
    suspects_give(s->job->suspects, f->record->id, s->batches, (uint32_t)s->fed, f->uids, f->n_uids,
        &s->suspects, &s->n_suspects);
}

static void feed(struct stream *s)
{
    while (!s->is_fed && batches_wants(s->batches)) {
        if (s->fed == s->job->n_folders) {
            batches_close(s->batches);
            s->is_fed = true;
            return;
        }
        const struct stream_folder *f = &s->job->folders[s->fed];
        if (s->fed_uids == 0)
            feed_first(s, f);
        if (s->fed_uids == f->n_uids) {
            s->fed++;
            s->fed_uids = 0;
            continue;
        }
        uint32_t uid = f->uids[s->fed_uids++];
        const struct listed *m = end_changes_find(f->listing, uid);
        if (uids_have(s->suspects, s->n_suspects, uid))
            continue;
        batches_add(s->batches,
            &(struct batches_message){
                .folder = (uint32_t)s->fed, .uid = uid, .has_extras = m && has_extras(m)});
    }
}

/* The folder that it is in may not be the one that is open. */
static void read_window(struct stream *s, const struct batches_todo *todo)
{
    struct stream_folder *f = folder_of(s, todo->folder);
    struct window *w = find_window(s, todo->window);
    if (s->opened != f)
        s->source->ops->open(s->source,
            &(struct end_open){.folder = f->record->source.name,
                .is_only_opened = true,
                .uidvalidity = f->listing->uidvalidity},
            &w->numbers, &w->opening);
    s->opened = f;
    w->ticket = (struct end_ticket){.done = on_read, .arg = w};
    s->source->ops->read(s->source, todo->uids, todo->n, &sink, w, &w->ticket);
}

static int pump(struct stream *s, struct err *err)
{
    /* The target first: what the source has just sent goes on when it has been judged. */
    struct end *both[] = {s->target, s->source};
    s->source->ops->pause(s->source,
        batches_is_full(s->batches) || s->target->ops->unsent(s->target) > STREAM_UNSENT_MAX);
    return end_pump(both, 2, err);
}

/* *over_out: everything has its result. */
static int step(struct stream *s, bool *over_out, struct err *err)
{
    struct batches_todo todo;
    feed(s);
    batches_next(s->batches, &todo);
    switch (todo.what) {
    case BATCHES_RESULT:
        put_result(s, &todo.result);
        return 0;
    case BATCHES_FORGET:
        drop_intent(s, &todo);
        return 0;
    case BATCHES_NOTE:
        put_sent(s, &todo);
        return 0;
    case BATCHES_INTEND:
        put_intent(s, &todo);
        return 0;
    case BATCHES_READ:
        if (written(s, err) != 0)
            return -1;
        read_window(s, &todo);
        return 0;
    case BATCHES_SETTLE:
        return written(s, err) == 0 ? settle(s, &todo, err) : -1;
    case BATCHES_WAIT:
        if (!s->is_cancelled && s->job->is_cancelled(s->job->arg)) {
            s->is_cancelled = true;
            batches_cancel(s->batches);
            return 0;
        }
        return written(s, err) == 0 ? pump(s, err) : -1;
    case BATCHES_REOPEN: /* the next pass goes on */
        batches_give_up(s->batches);
        return 0;
    case BATCHES_OVER:
        *over_out = true;
        if (todo.err)
            *err = *todo.err;
        if (written(s, err) != 0)
            return -1;
        return todo.err ? -1 : 0;
    }
    return 0;
}

static int run(struct stream *s, struct err *err)
{
    bool is_over = false;
    while (!is_over) {
        if (step(s, &is_over, err) != 0)
            break;
    }
    if (is_over)
        return err->class == ERR_NONE ? 0 : -1;
    /* Results that have come are worth keeping, whatever has broken. */
    struct err first = *err, ignored = ERR_INIT;
    bool has_lost = s->is_lost;
    end_lose(s->source, &first);
    end_lose(s->target, &first);
    if (written(s, &ignored) == 0) {
        /* Our own limits are nobody's fault. */
        bool is_theirs = has_lost && first.scope == ERR_SCOPE_HOST;
        batches_lost(s->batches, is_theirs ? s->lost : BATCHES_NEITHER, &first);
        batches_give_up(s->batches);
        while (!is_over && step(s, &is_over, &ignored) == 0)
            continue;
    }
    *err = first;
    return -1;
}

static void keep_suspects(struct stream *s)
{
    uint32_t *ids = mem_realloc_array(NULL, s->job->n_folders + 1, sizeof(*ids));
    for (size_t i = 0; i < s->job->n_folders; i++)
        ids[i] = s->job->folders[i].record->id;
    suspects_keep(s->job->suspects, ids, s->batches);
    free(ids);
}

int stream_copy(struct stream_job *job, struct err *err)
{
    bool is_batch = job->target->ops->can(job->target) & END_CAN_BATCH;
    const struct batches_limits limits = {
        .read_max = is_batch ? BATCHES_WINDOW_MAX : SINGLE_READ_MAX,
        .read_octets = UINT64_MAX,
        .reads_max = is_batch ? READS_MAX : 2,
        .append_max = is_batch ? BATCHES_WINDOW_MAX : 1,
        .append_octets = 4u << 20,
        .appends_max = is_batch ? APPENDS_MAX : SINGLES_MAX,
        .sent_max = is_batch ? SENT_MAX : SINGLES_MAX,
        .size_max = job->target->ops->size_max(job->target)};
    struct stream s = {.job = job,
        .source = job->source,
        .target = job->target,
        .batches = batches_new(&limits),
        .sha = sha256_new(),
        .canon = canon_new(),
        .settle = {.target = job->target, .journal = job->journal},
        .opened = job->is_opened ? &job->folders[0] : NULL};
    struct err why = ERR_INIT;
    int result = run(&s, &why);
    if (result != 0)
        *err = why;
    s.source->ops->pause(s.source, false);
    for (size_t i = 0; i < s.fed + (s.fed_uids > 0); i++) {
        const struct err *refused = batches_folder_err(s.batches, (uint32_t)i);
        if (refused)
            job->folders[i].err = *refused;
    }
    while (s.appends)
        forget_append(s.appends);
    while (s.windows)
        forget_window(&s, s.windows);
    keep_suspects(&s);
    settle_fini(&s.settle);
    free(s.suspects);
    batches_free(&s.batches);
    sha256_free(&s.sha);
    canon_free(&s.canon);
    return result;
}
