/* SPDX-License-Identifier: ISC */
/*
 * stream: batches of messages on their way through us.
 *
 * A batch is one FETCH and one intent; two FETCHes are on their way, so the source never waits for
 * us.  Its bodies go into APPENDs as they come: one MULTIAPPEND (RFC 3502) per batch or per
 * STREAM_APPEND_SIZE, or one APPEND per message where the target cannot do more.  The size that an
 * APPEND announces is the size of the literal that the source has announced; RFC822.SIZE is not
 * trusted.  While the target has much to take the source is paused; what has come by then and does
 * not find room any more is left out and asked for again.
 *
 * MULTIAPPEND is atomic: when one message is refused none of them is there, so the batch comes back
 * in halves until the culprit stands alone; it is recorded and the rest goes on.  A message with
 * keywords or a date that no target needs to take is tried once more without them before that.
 *
 * A refusal that is about the folder (no rights, no such folder) ends the job in order: what is on
 * its way arrives or is refused too, and both connections are good for the next folder.
 *
 * A source that dies inside a body ends the job with the target in the middle of a literal: the
 * caller closes the connection and the target drops what it has, which is why nothing is padded.
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
#include "imapsync/imap/fault.h"
#include "imapsync/imap/uids.h"

#define FETCHES_MAX 2       /* on their way at once */
#define APPENDS_MAX 24      /* without their answer, before the source is paused */
#define SINGLE_FETCH_MAX 16 /* messages of one FETCH where each is an APPEND of its own */

enum message_state { MESSAGE_ASKED, MESSAGE_TAKEN, MESSAGE_TOO_BIG, MESSAGE_LATER };

struct batch {
    struct batch *next;
    struct stream *stream;
    size_t n;
    uint64_t intent;
    size_t n_appends; /* without a settled answer */
    bool is_fetched;
    bool is_plain; /* without keywords and odd dates */
    struct imap_outcome fetch;
    uint32_t uids[STREAM_FETCH_MAX];
    uint8_t states[STREAM_FETCH_MAX]; /* of enum message_state */
};

struct member {
    uint32_t uid;
    uint32_t tgt_uid;
    uint64_t size;
    unsigned char digest[SHA256_SIZE];
};

struct append {
    struct append *next;
    struct batch *batch;
    size_t n;
    uint64_t size;
    bool is_open, has_uids;
    struct imap_outcome outcome;
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
    struct imap_client *source, *target;
    bool is_multi;
    bool is_cancelled;
    bool is_refused; /* by the folder, for the reason in err */
    bool one_by_one; /* the source tells UIDs behind the body */
    size_t next_uid; /* position in job->uids */
    struct again *again;
    struct batch *batches; /* oldest first */
    struct append *appends;
    size_t n_fetches, n_appends;
    struct append *open;
    struct member *current; /* whose body is arriving */
    struct sha256 *sha;
    int result;
    struct err err;
};

static void fail(struct stream *s, const struct err *err)
{
    if (s->result == 0)
        s->err = *err;
    s->result = -1;
}

/* --- The target's side ---------------------------------------------------------------- */

static void on_appended(void *arg, const struct imap_response *r)
{
    struct append *a = arg;
    uint32_t uids[STREAM_FETCH_MAX];
    size_t n = 0;
    imap_outcome_set(&a->outcome, r);
    /* An APPENDUID of another UIDVALIDITY or with another number of UIDs says nothing. */
    a->has_uids = r->code.kind == IMAP_CODE_APPENDUID &&
                  r->code.number == a->batch->stream->job->folder->target.uidvalidity &&
                  uids_read(r->code.set, uids, STREAM_FETCH_MAX, &n) == 0 && n == a->n;
    for (size_t i = 0; a->has_uids && i < n; i++)
        a->members[i].tgt_uid = uids[i];
}

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
    imap_cmd_begin(s->target, on_appended, a);
    imap_cmd_text(s->target, "APPEND ");
    imap_cmd_astring(s->target, s->job->folder->target.name);
}

static void append_end(struct stream *s)
{
    imap_cmd_end(s->target);
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

/* [SP flag-list] [SP date-time] SP literal */
static void append_message(struct stream *s, const struct listed *m, uint64_t size)
{
    struct buf text;
    buf_init(&text, 64u << 10);
    int r = flags_format(&m->flags, s->job->listing->keywords, &text);
    BUG_ON(r != 0);
    if (text.n > 0)
        imap_cmd_f(s->target, " (%s)", buf_cstr(&text));
    buf_clear(&text);
    if (m->has_date) {
        r = listing_format_date(m->date_s, m->zone_min, &text);
        BUG_ON(r != 0);
        imap_cmd_f(s->target, " \"%s\"", buf_cstr(&text));
    }
    buf_fini(&text);
    imap_cmd_text(s->target, " ");
    imap_cmd_literal(s->target, size);
}

/* --- The source's side ---------------------------------------------------------------- */

/* The message that a body belongs to, if it was asked for and has not come yet. */
static struct batch *find_asked(struct stream *s, uint32_t uid, size_t *at_out)
{
    for (struct batch *b = s->batches; b; b = b->next) {
        if (b->is_fetched)
            continue;
        if (uid == 0 && b->n == 1 && b->states[0] == MESSAGE_ASKED) {
            *at_out = 0;
            return b;
        }
        for (size_t i = 0; i < b->n; i++) {
            if (b->uids[i] == uid && b->states[i] == MESSAGE_ASKED) {
                *at_out = i;
                return b;
            }
        }
        if (uid == 0)
            return NULL;
    }
    return NULL;
}

static void on_body_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct stream *s = arg;
    size_t at;
    struct batch *b = s->result == 0 ? find_asked(s, uid, &at) : NULL;
    const struct listed *m = b ? listing_find(s->job->listing, b->uids[at]) : NULL;
    s->current = NULL;
    if (!m) {
        /* Not asked for, or the server tells the UID too late: then the rest comes one by one. */
        s->one_by_one = s->one_by_one || uid == 0;
        return;
    }
    uint64_t limit = imap_client_append_limit(s->target);
    if (limit > 0 && size > limit) {
        b->states[at] = MESSAGE_TOO_BIG;
        return;
    }
    if (imap_cmd_is_full(s->target)) {
        b->states[at] = MESSAGE_LATER;
        return;
    }
    if (s->open && (s->open->batch != b || imap_cmd_is_over(s->target)))
        append_end(s);
    if (!s->open)
        append_open(s, b);
    b->states[at] = MESSAGE_TAKEN;
    s->current = &s->open->members[s->open->n++];
    *s->current = (struct member){.uid = m->uid, .size = size};
    struct listed plain = without_extras(m);
    append_message(s, b->is_plain ? &plain : m, size);
}

static void on_body_data(void *arg, struct slice octets)
{
    struct stream *s = arg;
    if (!s->current)
        return;
    sha256_add(s->sha, octets);
    imap_cmd_octets(s->target, octets);
}

static void on_body_end(void *arg)
{
    struct stream *s = arg;
    if (!s->current)
        return;
    sha256_finish(s->sha, s->current->digest);
    s->open->size += s->current->size;
}

static void on_untagged(void *arg, const struct imap_response *r)
{
    struct stream *s = arg;
    if (r->kind != IMAP_KIND_FETCH || !s->current)
        return;
    if (!(r->fetch.has & IMAP_FETCH_UID) || r->fetch.uid != s->current->uid) {
        struct err err;
        err_set(&err, ERR_PEER, EX_PROTOCOL, "source: a message came instead of another");
        fail(s, &err);
    } else if (!s->is_multi || s->open->size >= STREAM_APPEND_SIZE ||
               s->open->n == STREAM_FETCH_MAX || imap_cmd_is_over(s->target)) {
        append_end(s);
    }
    s->current = NULL;
}

static const struct imap_events source_events = {
    on_untagged, on_body_begin, on_body_data, on_body_end};

static void on_fetched(void *arg, const struct imap_response *r)
{
    struct batch *b = arg;
    struct stream *s = b->stream;
    imap_outcome_set(&b->fetch, r);
    b->is_fetched = true;
    s->n_fetches--;
    if (s->open && s->open->batch == b)
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
    size_t max = s->one_by_one ? 1 : s->is_multi ? STREAM_FETCH_MAX : SINGLE_FETCH_MAX;
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
    struct buf set;
    buf_init(&set, 16 * STREAM_FETCH_MAX);
    BUG_ON(uids_write(&set, b->uids, b->n) != 0);
    imap_cmd_begin(s->source, on_fetched, b);
    imap_cmd_f(s->source, "UID FETCH %s (UID BODY.PEEK[])", buf_cstr(&set));
    imap_cmd_end(s->source);
    buf_fini(&set);
    s->n_fetches++;
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
    for (size_t i = 0; i < a->n; i++) {
        const struct member *m = &a->members[i];
        const struct listed *l = listing_find(s->job->listing, m->uid);
        struct pair p = {.src_uid = m->uid,
            .tgt_uid = a->has_uids ? m->tgt_uid : 0,
            .state = a->has_uids ? PAIR_STORED : PAIR_SENT,
            .flags = l->flags};
        struct content content = {
            .has_digest = true, .size = (uint32_t)m->size, .since = s->job->tgt_uidnext};
        memcpy(content.digest, m->digest, SHA256_SIZE);
        journal_pair_put(s->job->journal, s->job->folder->id, &p, &content);
        s->job->copied(s->job->arg, m->size);
        if (a->batch->is_plain)
            s->job->reduced(s->job->arg, m->uid);
    }
    if (!a->has_uids)
        s->job->has_unknown_uids = true;
}

/* The answer to one APPEND.  -1: nothing more can go to this folder or user now. */
static int settle_append(struct stream *s, struct append *a, struct err *err)
{
    if (a->outcome.status == IMAP_STATUS_OK) {
        record_copied(s, a);
        return 0;
    }
    struct err refusal = ERR_INIT;
    imap_fault_parts(a->outcome.status, a->outcome.code, a->outcome.text,
        "target: cannot store the message", &refusal);
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
    if (a->n == 1 && !a->batch->is_plain && a->outcome.code != IMAP_CODE_TOOBIG &&
        has_extras(listing_find(s->job->listing, a->members[0].uid))) {
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
    bool is_refused = b->fetch.status != IMAP_STATUS_OK;
    if (b->n > 1 && (is_refused || s->one_by_one)) {
        for (size_t i = n; i-- > 0;)
            come_again(s, &missing[i], 1, b->is_plain);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (is_refused)
            record_refused(s, missing[i], b->fetch.text);
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
        has_some = has_some || (a->outcome.is_done && !a->is_open);
    for (struct batch *b = s->batches; b; b = b->next)
        has_some = has_some || is_over(b);
    if (!has_some)
        return 0;
    struct err first = ERR_INIT;
    int result = 0;
    journal_begin(s->job->journal);
    for (struct append *a = s->appends, *next; a; a = next) {
        next = a->next;
        if (!a->outcome.is_done || a->is_open)
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
    return s->is_multi || imap_client_pending(s->target) + (FETCHES_MAX + 1) * SINGLE_FETCH_MAX <=
                              IMAP_PIPELINE_MAX;
}

static int run(struct stream *s, struct err *err)
{
    /* The target first: what the source has just sent goes on when it has been judged. */
    struct imap_conn *both[] = {s->job->target, s->job->source};
    for (;;) {
        s->is_cancelled = s->is_cancelled || s->job->is_cancelled(s->job->arg);
        while (may_start(s)) {
            if (start_batch(s) != 0) {
                *err = s->err;
                return -1;
            }
        }
        if (!s->batches)
            break;
        imap_conn_pause(s->job->source, imap_client_unsent(s->target) > STREAM_UNSENT_MAX ||
                                            imap_cmd_is_full(s->target) ||
                                            (s->is_multi && s->n_appends > APPENDS_MAX));
        if (imap_conn_pump(both, 2, err) != 0)
            return -1;
        if (s->result != 0) {
            *err = s->err;
            return -1;
        }
        if (settle(s, err) != 0)
            return -1;
    }
    s->job->is_whole = true;
    if (!s->is_refused)
        return 0;
    *err = s->err;
    return -1;
}

int stream_copy(struct stream_job *job, struct err *err)
{
    struct stream s = {.job = job,
        .source = imap_conn_client(job->source),
        .target = imap_conn_client(job->target),
        .sha = sha256_new()};
    s.is_multi = imap_client_has(s.target, IMAP_CAP_MULTIAPPEND);
    job->has_unknown_uids = job->is_whole = false;
    imap_conn_events(job->source, &source_events, &s);
    int result = run(&s, err);
    imap_conn_events(job->source, NULL, NULL);
    imap_conn_pause(job->source, false);
    if (!job->is_whole) {
        /* What is still on its way is answered into what is freed next. */
        imap_conn_abandon(job->source);
        imap_conn_abandon(job->target);
    }
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
    return result;
}
