/* SPDX-License-Identifier: ISC */
/*
 * stream: batches of messages on their way through us.
 *
 * A batch is one read() and one intent; two of them are on their way, so the source never waits for
 * us.  Its bodies go into appends as they come: one for the batch or for STREAM_APPEND_SIZE, or one
 * for each message where the target cannot do more.  While the target has much to take the source
 * is paused; what comes all the same is left out and asked for again.
 *
 * An append is atomic: when one message is refused none of them is there, so the batch comes back
 * in halves until the culprit stands alone; it is recorded and the rest goes on.  A message with
 * keywords or a date that no target needs to take is tried once more without them before that.
 *
 * A refusal that is about the folder (no rights, no such folder) ends the job in order: what is on
 * its way arrives or is refused too, and both ends are good for the next folder.
 *
 * A source that dies inside a body ends the job with the target in the middle of a message: the
 * target is lost with it and drops what it has, which is why nothing is padded.
 *
 * Order of the journal: intent, messages, result; the last result removes the intent.  An OK
 * without UIDs is a result too: what was sent is known by its digest from then on, and not sent
 * again.
 */
#include "imapsync/copy/stream.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/mem.h"

#define FETCHES_MAX 2       /* on their way at once */
#define APPENDS_MAX 24      /* without their answer, before the source is paused */
#define SINGLE_FETCH_MAX 16 /* messages of one FETCH where each is an APPEND of its own */
#define SINGLES_MAX 56      /* appends of one message on their way */

enum message_state {
    MESSAGE_ASKED,
    MESSAGE_TAKEN,
    MESSAGE_TOO_BIG,
    MESSAGE_LATER, /* the target had no room for it */
};

struct batch {
    struct batch *next;
    struct stream *stream;
    size_t n;
    uint64_t intent;
    size_t n_appends; /* without a settled answer */
    bool is_fetched;
    bool is_plain; /* without keywords and odd dates */
    struct end_ticket fetch;
    uint32_t uids[STREAM_FETCH_MAX];
    uint8_t states[STREAM_FETCH_MAX]; /* of enum message_state */
};

struct member {
    uint32_t uid;
    uint64_t size;
    unsigned char digest[SHA256_SIZE];
};

struct append {
    struct append *next;
    struct batch *batch;
    size_t n;
    uint64_t size;
    bool is_open;
    struct end_ticket ticket;
    struct end_uids uids;
    struct member members[STREAM_FETCH_MAX];
};

/* Messages that have to come again, because they were refused together with others. */
struct again {
    struct again *next;
    size_t n;
    bool is_plain;
    uint32_t uids[STREAM_FETCH_MAX];
};

struct stream {
    struct stream_job *job;
    struct end *source, *target;
    bool is_multi;
    bool is_cancelled;
    bool is_refused; /* by the folder, for the reason in err */
    size_t next_uid; /* position in job->uids */
    struct again *again;
    struct batch *batches; /* oldest first */
    struct append *appends;
    size_t n_fetches, n_appends;
    struct append *open;
    struct member *current; /* whose body is arriving */
    struct sha256 *sha;
    struct err err;
};

/* --- The target's side ---------------------------------------------------------------- */

static void append_open(struct stream *s, struct batch *b)
{
    struct append *a = mem_zalloc(sizeof(*a)), **end = &s->appends;
    while (*end)
        end = &(*end)->next;
    *end = a;
    a->batch = b;
    a->is_open = true;
    b->n_appends++;
    s->n_appends++;
    s->open = a;
    s->target->ops->append_begin(s->target, s->job->folder->target.name, &a->uids, &a->ticket);
}

static void append_end(struct stream *s)
{
    s->target->ops->append_end(s->target);
    s->open->is_open = false;
    s->open = NULL;
}

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

static void append_message(struct stream *s, const struct listed *m, uint64_t size)
{
    const struct end_message message = {.flags = &m->flags,
        .keywords = s->job->listing->keywords,
        .has_date = m->has_date,
        .date_s = m->date_s,
        .zone_min = m->zone_min,
        .size = size};
    s->target->ops->append_message(s->target, &message);
}

/* --- The source's side ---------------------------------------------------------------- */

static bool is_answered(const struct append *a)
{
    return a->ticket.result != END_PENDING;
}

/* Whether the open append takes the next message of the batch; else it is ended. */
static bool goes_on(struct stream *s, const struct batch *b)
{
    if (s->open && (s->open->batch != b || is_answered(s->open)))
        append_end(s);
    return s->open != NULL;
}

static bool on_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct batch *b = arg;
    struct stream *s = b->stream;
    const struct listed *m = end_changes_find(s->job->listing, uid);
    uint64_t limit = s->target->ops->size_max(s->target);
    size_t at = 0;
    s->current = NULL;
    while (at < b->n && b->uids[at] != uid)
        at++;
    if (at == b->n || !m)
        return false;
    if (limit > 0 && size > limit) {
        b->states[at] = MESSAGE_TOO_BIG;
        return false;
    }
    if (s->target->ops->unsent(s->target) > STREAM_FULL ||
        (!goes_on(s, b) && !s->target->ops->has_room(s->target))) {
        b->states[at] = MESSAGE_LATER;
        return false;
    }
    if (!s->open)
        append_open(s, b);
    b->states[at] = MESSAGE_TAKEN;
    s->current = &s->open->members[s->open->n++];
    *s->current = (struct member){.uid = uid, .size = size};
    struct listed plain = without_extras(m);
    append_message(s, b->is_plain ? &plain : m, size);
    return true;
}

static void on_data(void *arg, struct slice octets)
{
    struct stream *s = ((struct batch *)arg)->stream;
    sha256_add(s->sha, octets);
    s->target->ops->append_octets(s->target, octets);
}

static void on_end(void *arg, uint32_t uid)
{
    struct stream *s = ((struct batch *)arg)->stream;
    (void)uid;
    sha256_finish(s->sha, s->current->digest);
    s->open->size += s->current->size;
    s->current = NULL;
    if (!s->is_multi || s->open->size >= STREAM_APPEND_SIZE || s->open->n == STREAM_FETCH_MAX ||
        is_answered(s->open))
        append_end(s);
}

static const struct end_sink sink = {on_begin, on_data, on_end};

static void on_fetched(void *arg, struct end_ticket *t)
{
    struct batch *b = arg;
    struct stream *s = b->stream;
    b->is_fetched = true;
    s->n_fetches--;
    if (t->result != END_LOST && s->open && s->open->batch == b)
        append_end(s);
}

/* --- Starting batches ----------------------------------------------------------------- */

static void come_again(struct stream *s, const uint32_t *uids, size_t n, bool is_plain)
{
    struct again *a = mem_zalloc(sizeof(*a));
    a->is_plain = is_plain;
    memcpy(a->uids, uids, n * sizeof(*uids));
    a->n = n;
    a->next = s->again;
    s->again = a;
}

/* The messages of the next batch; 0: nothing is left to ask for. */
static size_t next_uids(struct stream *s, uint32_t out[STREAM_FETCH_MAX], bool *is_plain_out)
{
    size_t max = s->is_multi ? STREAM_FETCH_MAX : SINGLE_FETCH_MAX;
    struct again *a = s->again;
    size_t n;
    *is_plain_out = a && a->is_plain;
    if (a) {
        n = a->n < max ? a->n : max;
        memcpy(out, a->uids, n * sizeof(*out));
        a->n -= n;
        memmove(a->uids, a->uids + n, a->n * sizeof(*out));
        if (a->n == 0) {
            s->again = a->next;
            free(a);
        }
        return n;
    }
    n = s->job->n_uids - s->next_uid < max ? s->job->n_uids - s->next_uid : max;
    memcpy(out, s->job->uids + s->next_uid, n * sizeof(*out));
    s->next_uid += n;
    return n;
}

static int write_intent(struct stream *s, struct batch *b)
{
    struct intent i = {.kind = INTENT_APPEND,
        .time_ms = clock_wall_ms(),
        .tgt_uidnext = s->job->tgt_uidnext,
        .uids = b->uids,
        .n = b->n};
    journal_begin(s->job->journal);
    journal_intent_put(s->job->journal, s->job->folder->id, &i);
    b->intent = i.id;
    return journal_commit(s->job->journal, &s->err);
}

static int start_batch(struct stream *s)
{
    struct batch *b = mem_zalloc(sizeof(*b)), **end = &s->batches;
    b->stream = s;
    b->n = next_uids(s, b->uids, &b->is_plain);
    while (*end)
        end = &(*end)->next;
    *end = b;
    if (write_intent(s, b) != 0)
        return -1;
    b->fetch.done = on_fetched;
    b->fetch.arg = b;
    s->n_fetches++;
    s->source->ops->read(s->source, b->uids, b->n, &sink, b, &b->fetch);
    return 0;
}

/* --- Results ---------------------------------------------------------------------------- */

static void record_refused(struct stream *s, uint32_t uid, const char *why)
{
    struct pair p = {.src_uid = uid, .state = PAIR_REFUSED};
    const struct content none = {0};
    journal_pair_put(s->job->journal, s->job->folder->id, &p, &none);
    s->job->refused(s->job->arg, uid, why);
}

static void record_copied(struct stream *s, const struct append *a)
{
    /* UIDs of another folder, or another number of them, say nothing. */
    bool has_uids = a->uids.n == a->n && a->uids.uidvalidity == s->job->folder->target.uidvalidity;
    for (size_t i = 0; i < a->n; i++) {
        const struct member *m = &a->members[i];
        const struct listed *l = end_changes_find(s->job->listing, m->uid);
        struct pair p = {.src_uid = m->uid,
            .tgt_uid = has_uids ? a->uids.v[i] : 0,
            .state = has_uids ? PAIR_STORED : PAIR_SENT,
            .flags = l->flags};
        struct content content = {
            .has_digest = true, .size = (uint32_t)m->size, .since = s->job->tgt_uidnext};
        memcpy(content.digest, m->digest, SHA256_SIZE);
        journal_pair_put(s->job->journal, s->job->folder->id, &p, &content);
        s->job->copied(s->job->arg, m->size);
        if (a->batch->is_plain)
            s->job->reduced(s->job->arg, m->uid);
    }
    if (!has_uids)
        s->job->has_unknown_uids = true;
}

/* The answer to one APPEND.  -1: nothing more can go to this folder or user now. */
static int settle_append(struct stream *s, struct append *a, struct err *err)
{
    if (a->ticket.result == END_OK) {
        record_copied(s, a);
        return 0;
    }
    struct err refusal = a->ticket.err;
    err_wrap(&refusal, "target: cannot store the message");
    if (refusal.scope == ERR_SCOPE_FOLDER) {
        if (!s->is_refused)
            s->err = refusal;
        s->is_refused = true;
        return 0;
    }
    if (refusal.class == ERR_TEMP) {
        *err = refusal;
        return -1;
    }
    if (a->n == 1 && !a->batch->is_plain && refusal.scope != ERR_SCOPE_MESSAGE &&
        has_extras(end_changes_find(s->job->listing, a->members[0].uid))) {
        come_again(s, &a->members[0].uid, 1, true);
        return 0;
    }
    if (a->n == 1) {
        record_refused(s, a->members[0].uid, refusal.text);
        return 0;
    }
    uint32_t uids[STREAM_FETCH_MAX];
    for (size_t i = 0; i < a->n; i++)
        uids[i] = a->members[i].uid;
    come_again(s, uids + a->n / 2, a->n - a->n / 2, false);
    come_again(s, uids, a->n / 2, false);
    return 0;
}

/* Messages of a FETCH that is over whose body never came. */
static void settle_missing(struct stream *s, struct batch *b)
{
    uint32_t missing[STREAM_FETCH_MAX], later[STREAM_FETCH_MAX];
    size_t n = 0, n_later = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (b->states[i] == MESSAGE_ASKED)
            missing[n++] = b->uids[i];
        else if (b->states[i] == MESSAGE_LATER)
            later[n_later++] = b->uids[i];
        else if (b->states[i] == MESSAGE_TOO_BIG)
            record_refused(s, b->uids[i], "target: larger than the server's limit (APPENDLIMIT)");
    }
    if (n_later > 0)
        come_again(s, later, n_later, b->is_plain);
    if (n == 0)
        return;
    bool is_refused = b->fetch.result != END_OK;
    if (b->n > 1 && is_refused) {
        for (size_t i = n; i-- > 0;)
            come_again(s, &missing[i], 1, b->is_plain);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (is_refused)
            record_refused(s, missing[i], b->fetch.err.text);
        else
            s->job->missing(s->job->arg, missing[i]);
    }
}

static void forget_batch(struct stream *s, struct batch *b)
{
    struct batch **at = &s->batches;
    while (*at != b)
        at = &(*at)->next;
    *at = b->next;
    free(b);
}

static void forget_append(struct stream *s, struct append *a)
{
    struct append **at = &s->appends;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    a->batch->n_appends--;
    s->n_appends--;
    end_uids_fini(&a->uids);
    free(a);
}

static bool is_over(const struct batch *b)
{
    return b->is_fetched && b->n_appends == 0;
}

/* Takes every answer that has come into the journal, in one transaction. */
static int settle(struct stream *s, struct err *err)
{
    bool has_some = false;
    for (struct append *a = s->appends; a; a = a->next)
        has_some = has_some || (is_answered(a) && !a->is_open);
    for (struct batch *b = s->batches; b; b = b->next)
        has_some = has_some || is_over(b);
    if (!has_some)
        return 0;
    struct err first = ERR_INIT;
    int result = 0;
    journal_begin(s->job->journal);
    for (struct append *a = s->appends, *next; a; a = next) {
        next = a->next;
        if (!is_answered(a) || a->is_open)
            continue;
        if (settle_append(s, a, &first) != 0)
            result = -1;
        forget_append(s, a);
    }
    for (struct batch *b = s->batches, *next; b && result == 0; b = next) {
        next = b->next;
        if (!is_over(b))
            continue;
        settle_missing(s, b);
        journal_intent_del(s->job->journal, s->job->folder->id, b->intent);
        forget_batch(s, b);
    }
    if (journal_commit(s->job->journal, err) != 0)
        return -1;
    if (result != 0)
        *err = first;
    return result;
}

/* --- The job ------------------------------------------------------------------------------ */

static bool may_start(const struct stream *s)
{
    if (s->is_cancelled || s->is_refused || s->n_fetches >= FETCHES_MAX ||
        (!s->again && s->next_uid == s->job->n_uids))
        return false;
    /* Single APPENDs: each message asked for needs its place in the target's pipeline. */
    return s->is_multi || s->n_appends + (FETCHES_MAX + 1) * SINGLE_FETCH_MAX <= SINGLES_MAX;
}

static int run(struct stream *s, struct err *err)
{
    struct end *both[] = {s->source, s->target};
    for (;;) {
        s->is_cancelled = s->is_cancelled || s->job->is_cancelled(s->job->arg);
        while (may_start(s)) {
            if (start_batch(s) != 0) {
                *err = s->err;
                return -1;
            }
        }
        if (!s->batches)
            return 0;
        s->source->ops->pause(s->source, s->target->ops->unsent(s->target) > STREAM_UNSENT_MAX ||
                                             (s->is_multi && s->n_appends > APPENDS_MAX));
        if (end_pump(both, 2, err) != 0)
            return -1;
        if (settle(s, err) != 0)
            return -1;
    }
}

int stream_copy(struct stream_job *job, struct err *err)
{
    struct stream s = {
        .job = job, .source = job->source, .target = job->target, .sha = sha256_new()};
    s.is_multi = s.target->ops->can(s.target) & END_CAN_BATCH;
    job->has_unknown_uids = false;
    int result = run(&s, err);
    if (result != 0) {
        end_lose(s.source, err);
        end_lose(s.target, err);
    }
    s.source->ops->pause(s.source, false);
    while (s.appends)
        forget_append(&s, s.appends);
    while (s.batches)
        forget_batch(&s, s.batches);
    while (s.again) {
        struct again *next = s.again->next;
        free(s.again);
        s.again = next;
    }
    sha256_free(&s.sha);
    if (result == 0 && s.is_refused) {
        *err = s.err;
        result = -1;
    }
    return result;
}
