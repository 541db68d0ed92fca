/* SPDX-License-Identifier: ISC */
/*
 * queue: see queue.h.  A list that is looked through from its front: ten thousand users are 0.1 ms,
 * and nothing is kept twice that could disagree.  By name they are found over a table of hashes.
 */
#include "imapsync/jobs/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"

#define BUCKETS 16384

struct queue_server {
    struct queue_server *next;
    char *name;
    uint32_t n[2];   /* jobs that have a place: all others, first copies */
    uint32_t window; /* places that there are now */
    uint32_t connections;
    int64_t until_ms; /* it is left alone */
    uint64_t silent_ms;
};

struct queue {
    struct queue_limits limits;
    struct queue_job *first, **last;
    struct queue_job *buckets[BUCKETS];
    struct queue_server *servers;
    size_t n_running; /* with a place of jobs_max */
    size_t n_all;     /* with those that need none */
};

struct queue *queue_new(const struct queue_limits *limits)
{
    struct queue *q = mem_zalloc(sizeof(*q));
    q->limits = *limits;
    q->last = &q->first;
    return q;
}

void queue_free(struct queue **qp)
{
    struct queue *q = *qp;
    *qp = NULL;
    if (!q)
        return;
    while (q->first) {
        struct queue_job *job = q->first;
        q->first = job->next;
        free(job->user);
        free(job);
    }
    while (q->servers) {
        struct queue_server *s = q->servers;
        q->servers = s->next;
        free(s->name);
        free(s);
    }
    free(q);
}

void queue_set_limits(struct queue *q, const struct queue_limits *limits)
{
    q->limits = *limits;
}

/* --- Jobs and servers by name --------------------------------------------------------------- */

static struct queue_job **bucket(const struct queue *q, const char *user)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (const char *p = user; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return (struct queue_job **)(uintptr_t)&q->buckets[h % BUCKETS];
}

struct queue_job *queue_find(const struct queue *q, const char *user)
{
    struct queue_job *job = *bucket(q, user);
    while (job && strcmp(job->user, user) != 0)
        job = job->same_hash;
    return job;
}

struct queue_job *queue_get(struct queue *q, const char *user)
{
    struct queue_job *job = queue_find(q, user);
    if (job)
        return job;
    job = mem_zalloc(sizeof(*job));
    job->user = mem_strdup(user);
    job->same_hash = *bucket(q, user);
    *bucket(q, user) = job;
    *q->last = job;
    q->last = &job->next;
    return job;
}

struct queue_job *queue_first(const struct queue *q)
{
    return q->first;
}

static struct queue_server *server_of(struct queue *q, const char *name)
{
    struct queue_server *s = q->servers;
    while (s && strcmp(s->name, name) != 0)
        s = s->next;
    if (s)
        return s;
    s = mem_zalloc(sizeof(*s));
    *s = (struct queue_server){.next = q->servers, .name = mem_strdup(name), .window = 1};
    return q->servers = s;
}

void queue_set_server(struct queue *q, const char *name, uint32_t connections)
{
    server_of(q, name)->connections = connections;
}

/* --- Places ----------------------------------------------------------------------------------- */

static bool needs_place(enum queue_class c)
{
    return c != QUEUE_RELEASE && c != QUEUE_ROLLBACK;
}

static uint32_t most(const struct queue *q, bool is_first)
{
    return is_first ? q->limits.copies_max : q->limits.deltas_max;
}

static bool has_room(const struct queue *q, const struct queue_job *job, int64_t now_ms)
{
    for (size_t i = 0; i < 2; i++) {
        const struct queue_server *s = job->server[i];
        if (!s)
            continue;
        uint32_t n = s->n[0] + s->n[1];
        if (s->until_ms > now_ms || n >= s->window || (s->connections > 0 && n >= s->connections) ||
            s->n[job->is_first] >= most(q, job->is_first))
            return false;
    }
    return true;
}

static void take(struct queue_job *job)
{
    for (size_t i = 0; i < 2; i++) {
        if (job->server[i])
            job->server[i]->n[job->is_first]++;
    }
    job->has_place = true;
    job->waits_for_place = false;
}

static void give_back(struct queue_job *job)
{
    for (size_t i = 0; job->has_place && i < 2; i++) {
        if (job->server[i])
            job->server[i]->n[job->is_first]--;
    }
    job->has_place = job->waits_for_place = false;
}

void queue_placed(
    struct queue *q, struct queue_job *job, const char *from, const char *to, bool is_first)
{
    bool had_place = job->has_place;
    struct queue_server *a = from[0] ? server_of(q, from) : NULL;
    struct queue_server *b = to[0] ? server_of(q, to) : NULL;
    /* Servers that it did not know have to be entered. */
    bool is_same = job->server[0] == a && job->server[1] == b;
    give_back(job);
    job->server[0] = a;
    job->server[1] = b;
    job->is_first = is_first;
    if (had_place && is_same)
        take(job);
}

bool queue_enter(struct queue *q, struct queue_job *job, int64_t now_ms)
{
    if (job->has_place || !job->is_running || !needs_place(job->running))
        return true;
    if (has_room(q, job, now_ms))
        take(job);
    else
        job->waits_for_place = true;
    return job->has_place;
}

void queue_answered(struct queue *q, struct queue_job *job)
{
    for (size_t i = 0; !job->was_answered && i < 2; i++) {
        struct queue_server *s = job->server[i];
        if (!s)
            continue;
        if (s->window < q->limits.copies_max + q->limits.deltas_max)
            s->window++;
        s->silent_ms = 0;
    }
    job->was_answered = true;
}

struct queue_job *queue_entered(struct queue *q, int64_t now_ms)
{
    for (struct queue_job *job = q->first; job; job = job->next) {
        if (job->waits_for_place && has_room(q, job, now_ms)) {
            take(job);
            return job;
        }
    }
    return NULL;
}

/* --- What is next --------------------------------------------------------------------------- */

void queue_ask(struct queue_job *job, const struct request *r)
{
    job->request = *r;
    job->is_resting = false;
}

bool queue_is_asked(const struct queue_job *job)
{
    return job->request.kind != REQUEST_NONE && !job->request.is_aside;
}

enum queue_class queue_class_for(enum request_kind kind)
{
    return kind == REQUEST_ROLLBACK ? QUEUE_ROLLBACK
           : kind == REQUEST_RETIRE ? QUEUE_RETIRE
                                    : QUEUE_CUTOVER;
}

enum request_kind queue_kind_of(enum queue_class c)
{
    return c == QUEUE_CUTOVER    ? REQUEST_CUTOVER
           : c == QUEUE_ROLLBACK ? REQUEST_ROLLBACK
           : c == QUEUE_RETIRE   ? REQUEST_RETIRE
                                 : REQUEST_NONE;
}

static int64_t sweep_due(const struct queue *q, const struct queue_job *job)
{
    uint32_t shift = job->sweep_failures < QUEUE_SWEEP_FAILED_SHIFT_MAX
                         ? job->sweep_failures
                         : QUEUE_SWEEP_FAILED_SHIFT_MAX;
    return job->swept_ms + ((int64_t)q->limits.sweep_ms << shift);
}

/* *due_out: when. */
static bool next_of(
    const struct queue *q, const struct queue_job *job, enum queue_class *out, int64_t *due_out)
{
    const struct request *r = &job->request;
    if (job->is_resting)
        return false;
    /* Somebody's mail waits: that is tried for longer than anything else. */
    if (job->is_held && r->deaths < 2 * q->limits.deaths_max &&
        !(q->limits.is_once && queue_is_asked(job))) {
        *out = QUEUE_RELEASE;
        *due_out = job->release_ms;
        return !q->limits.is_once || r->deaths > 0;
    }
    if (r->is_aside)
        return false;
    if (r->kind != REQUEST_NONE) {
        *out = queue_class_for(r->kind);
        *due_out = r->due_ms;
        return true;
    }
    *out = QUEUE_SWEEP;
    *due_out = sweep_due(q, job);
    if (r->deaths > 0 && r->due_ms > *due_out)
        *due_out = r->due_ms;
    return job->is_forward && !q->limits.is_once;
}

bool queue_class_of(const struct queue *q, const struct queue_job *job, enum queue_class *out)
{
    int64_t due_ms;
    return next_of(q, job, out, &due_ms);
}

struct queue_job *queue_next(struct queue *q, int64_t now_ms)
{
    struct queue_job *best = NULL;
    enum queue_class best_class = QUEUE_CLASSES, c;
    int64_t best_ms = 0, due_ms;
    for (struct queue_job *job = q->first; job; job = job->next) {
        if (job->is_running || !next_of(q, job, &c, &due_ms) || due_ms > now_ms)
            continue;
        if (needs_place(c) && (q->n_running >= q->limits.jobs_max || !has_room(q, job, now_ms)))
            continue;
        if (!best || c < best_class || (c == best_class && due_ms < best_ms)) {
            best = job;
            best_class = c;
            best_ms = due_ms;
        }
    }
    if (!best)
        return NULL;
    best->is_running = true;
    best->running = best_class;
    q->n_all++;
    if (needs_place(best_class)) {
        q->n_running++;
        if (best->server[0] && best->server[1])
            take(best);
    }
    return best;
}

int64_t queue_wait_ms(const struct queue *q, int64_t now_ms)
{
    int64_t wait_ms = -1, due_ms;
    enum queue_class c;
    for (const struct queue_job *job = q->first; job; job = job->next) {
        if (job->is_running ? !job->waits_for_place : !next_of(q, job, &c, &due_ms))
            continue;
        if (job->is_running)
            due_ms = now_ms;
        for (size_t i = 0; i < 2; i++) {
            if (job->server[i] && job->server[i]->until_ms > due_ms)
                due_ms = job->server[i]->until_ms;
        }
        /* What is due and has no place waits for somebody's end. */
        if (due_ms > now_ms && (wait_ms < 0 || due_ms - now_ms < wait_ms))
            wait_ms = due_ms - now_ms;
    }
    return wait_ms;
}

const char *queue_waits_for(const struct queue_job *job, int64_t now_ms)
{
    for (size_t i = 0; i < 2; i++) {
        if (job->server[i] && job->server[i]->until_ms > now_ms)
            return job->server[i]->name;
    }
    return NULL;
}

/* --- What becomes of it ------------------------------------------------------------------- */

static void note_why(struct request *r, const struct err *why)
{
    if (fmt_into(r->why, sizeof(r->why), "%s", why ? why->text : "") != 0)
        BUG("the text of an error fits");
}

static uint64_t doubled(uint64_t first, uint32_t times, uint64_t max)
{
    uint64_t ms = first;
    while (times-- > 1 && ms < max)
        ms *= 2;
    return ms < max ? ms : max;
}

static enum queue_verdict died(
    struct queue *q, struct queue_job *job, enum queue_class c, const struct err *why, int64_t now)
{
    struct request *r = &job->request;
    note_why(r, why);
    r->deaths++;
    r->due_ms = now + (int64_t)(r->deaths - 1) * QUEUE_RELEASE_MS;
    job->release_ms = r->due_ms;
    if (c == QUEUE_SWEEP)
        job->sweep_failures++;
    if (r->deaths < q->limits.deaths_max)
        return QUEUE_LATER;
    r->is_aside = true;
    job->release_ms = now;
    return QUEUE_ASIDE;
}

static enum queue_verdict asked(
    struct queue *q, struct queue_job *job, bool is_again, const struct err *why, int64_t now)
{
    struct request *r = &job->request;
    if (!is_again || q->limits.is_once || ++r->failures > QUEUE_FAILURES_MAX) {
        *r = (struct request){0};
        return QUEUE_OVER;
    }
    r->deaths = 0;
    r->due_ms = now + (int64_t)doubled(QUEUE_RETRY_MS, r->failures, QUEUE_RETRY_MAX_MS);
    note_why(r, why);
    return QUEUE_LATER;
}

enum queue_verdict queue_ended(struct queue *q, struct queue_job *job, enum queue_outcome outcome,
    const struct err *why, int64_t now_ms)
{
    enum queue_class c = job->running;
    BUG_ON(!job->is_running);
    give_back(job);
    job->is_running = false;
    job->worker = NULL;
    q->n_all--;
    if (needs_place(c))
        q->n_running--;
    if (outcome == QUEUE_GOOD && needs_place(c))
        queue_answered(q, job);
    job->was_answered = false;
    if (outcome == QUEUE_DIED)
        return died(q, job, c, why, now_ms);
    if (c == QUEUE_RELEASE) {
        /* What was asked for has failed under the hold; a worker that has died is no failure. */
        job->release_ms = now_ms + QUEUE_RELEASE_MS;
        return job->request.kind == REQUEST_NONE ? QUEUE_OVER
               : job->request.is_aside           ? QUEUE_ASIDE
                                                 : QUEUE_LATER;
    }
    if (c == QUEUE_SWEEP) {
        job->sweep_failures = outcome == QUEUE_GOOD ? 0 : job->sweep_failures + 1;
        if (job->swept_ms < now_ms)
            job->swept_ms = now_ms;
        /* Somebody may have asked for something else meanwhile. */
        if (queue_is_asked(job))
            return QUEUE_LATER;
        job->request = (struct request){0};
        return QUEUE_OVER;
    }
    /* Somebody may have asked for the opposite meanwhile. */
    if (job->request.kind != queue_kind_of(c))
        return QUEUE_LATER;
    /* Whether it is time to retire somebody says who asks. */
    return asked(q, job, outcome == QUEUE_FAILED && c != QUEUE_RETIRE && why->class == ERR_TEMP,
        why, now_ms);
}

void queue_silent(struct queue *q, const char *server, int64_t now_ms)
{
    struct queue_server *s = server_of(q, server);
    s->window = 1;
    if (s->until_ms > now_ms)
        return;
    s->silent_ms = s->silent_ms == 0 ? QUEUE_SILENT_MS : s->silent_ms * 2;
    if (s->silent_ms > QUEUE_SILENT_MAX_MS)
        s->silent_ms = QUEUE_SILENT_MAX_MS;
    s->until_ms = now_ms + (int64_t)s->silent_ms;
}

void queue_try_again(struct queue *q)
{
    for (struct queue_server *s = q->servers; s; s = s->next)
        s->until_ms = 0;
    for (struct queue_job *job = q->first; job; job = job->next)
        job->sweep_failures = 0;
}

size_t queue_n_running(const struct queue *q)
{
    return q->n_all;
}
