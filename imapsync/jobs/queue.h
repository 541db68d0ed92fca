/* SPDX-License-Identifier: ISC */
/*
 * queue: who is worked on next.  No clock, no file, no process: whoever asks says what time it is
 * (wall clock, milliseconds).
 *
 *     job = queue_get(q, user); job->request = ...; queue_placed(q, job, "old", "new", is_first)
 *     while ((job = queue_next(q, now)) != NULL) ... a worker for job->running ...
 *     what = queue_ended(q, job, QUEUE_FAILED, &err, now)     what becomes of its request
 *
 * Order: releases before roll-backs before cut-overs before retirements before sweeps before
 * copies; within a class who is due first.  A release and a roll-back need no place and wait for no
 * server.
 *
 * Places.  In all there are jobs_max; of each server so many for first copies and so many for all
 * else.  A server that has not been met yet gets one job, and each that it has let in makes it one
 * more: a server that does not answer costs one wait, not one for each of its users.  After
 * a silence it is left alone for a while, twice as long each time.  Which servers a user is on may
 * only be known once the worker has asked the map: such a job has no place with them yet, and waits
 * in queue_enter() until there is one.
 */
#ifndef IMAPSYNC_JOBS_QUEUE_H
#define IMAPSYNC_JOBS_QUEUE_H

#include "base/core/attr.h"
#include "imapsync/jobs/request.h"

#define QUEUE_RETRY_MS 60000           /* after a failure, then twice as long, up to */
#define QUEUE_RETRY_MAX_MS 3600000     /* this */
#define QUEUE_FAILURES_MAX 8           /* in a row: then nothing is tried again by itself */
#define QUEUE_SILENT_MS 10000          /* after a server was silent, then twice as long, up to */
#define QUEUE_SILENT_MAX_MS 120000     /* this */
#define QUEUE_SWEEP_FAILED_SHIFT_MAX 4 /* 16 times the interval at most, while sweeps fail */
#define QUEUE_RELEASE_MS 1000          /* between two tries to release */

enum queue_class {
    QUEUE_RELEASE,
    QUEUE_ROLLBACK,
    QUEUE_CUTOVER,
    QUEUE_RETIRE,
    QUEUE_SWEEP,
    QUEUE_COPY,
};
#define QUEUE_CLASSES (QUEUE_COPY + 1)

struct queue_limits {
    uint32_t jobs_max, copies_max, deltas_max; /* in all; per server */
    uint32_t deaths_max;
    uint64_t sweep_ms; /* between two looks behind the flip */
    bool is_once;      /* nothing is tried again, and nobody is swept */
};

struct queue_server;

struct queue_job {
    struct queue_job *next, *same_hash; /* the queue's */
    char *user;
    struct request request;
    struct queue_server *server[2]; /* NULL: not known */
    bool is_first;                  /* most of the mailbox is still to be copied */
    bool is_held;                   /* mail may wait for us: a release comes before all else */
    bool is_forward;                /* behind the flip: it is swept */
    int64_t swept_ms;
    uint32_t sweep_failures;
    int64_t release_ms; /* the next try */
    bool is_running;
    enum queue_class running;
    bool has_place, waits_for_place, was_answered;
    /* Its owner's: whoever does it, who waits for it, whether there is a record and a request of it
     * in the store. */
    void *worker, *watchers;
    bool has_record, is_stored;
    bool is_resting; /* nobody has asked for it here */
};

enum queue_outcome {
    QUEUE_GOOD,
    QUEUE_FAILED, /* err: ERR_TEMP is tried again */
    QUEUE_DIED,   /* the worker came to no end */
};

enum queue_verdict {
    QUEUE_OVER,  /* the request is done with, one way or the other */
    QUEUE_LATER, /* it stays, and is due again at request.due_ms */
    QUEUE_ASIDE, /* it stays until somebody asks anew */
};

struct queue;

struct queue *queue_new(const struct queue_limits *limits);
void queue_free(struct queue **q);
void queue_set_limits(struct queue *q, const struct queue_limits *limits);
/* Of one server: no more jobs at once than it takes connections; 0: no such limit. */
void queue_set_server(struct queue *q, const char *name, uint32_t connections);

/* One job for each user.  NULL: there is none. */
struct queue_job *queue_find(const struct queue *q, const char *user);
struct queue_job *queue_get(struct queue *q, const char *user);
/* From the first on, in no order. */
struct queue_job *queue_first(const struct queue *q);

/* Asks for something: what was set aside is taken up again, and no failure counts any more. */
void queue_ask(struct queue_job *job, const struct request *r);
/* What its user's record says. */
void queue_placed(
    struct queue *q, struct queue_job *job, const char *from, const char *to, bool is_first);
/* A running job whose servers are known since just now.  false: it has to wait for places, and
 * queue_entered() names it then. */
bool queue_enter(struct queue *q, struct queue_job *job, int64_t now_ms) ATTR_WUR;
/* Both servers have let it in. */
void queue_answered(struct queue *q, struct queue_job *job);
struct queue_job *queue_entered(struct queue *q, int64_t now_ms);

/* Marked as running when it returns. */
struct queue_job *queue_next(struct queue *q, int64_t now_ms);
/* Milliseconds until there may be one that is not there now; -1: only something else can bring
 * one. */
int64_t queue_wait_ms(const struct queue *q, int64_t now_ms);
enum queue_verdict queue_ended(struct queue *q, struct queue_job *job, enum queue_outcome outcome,
    const struct err *why, int64_t now_ms);
/* A server did not answer; and somebody says that it may be another matter now. */
void queue_silent(struct queue *q, const char *server, int64_t now_ms);
void queue_try_again(struct queue *q);
/* The server that this job is kept waiting for; NULL: for none. */
const char *queue_waits_for(const struct queue_job *job, int64_t now_ms);

size_t queue_n_running(const struct queue *q);
/* Somebody has asked, and it is not over: running, due or later. */
bool queue_is_asked(const struct queue_job *job);
/* What it would be next. false: nothing is to be done. */
bool queue_class_of(const struct queue *q, const struct queue_job *job, enum queue_class *out);
/* What is done for a request of this kind, and the other way round; REQUEST_NONE: for none. */
enum queue_class queue_class_for(enum request_kind kind);
enum request_kind queue_kind_of(enum queue_class c);

#endif
