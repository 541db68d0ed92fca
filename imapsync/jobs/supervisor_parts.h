/* SPDX-License-Identifier: ISC */
/*
 * supervisor_parts: what the files of the supervisor share among themselves.
 *
 *   supervisor.c   life, signals, what is begun when
 *   processes.c    the workers
 *   visitors.c     who asks, and who is told
 */
#ifndef IMAPSYNC_JOBS_SUPERVISOR_PARTS_H
#define IMAPSYNC_JOBS_SUPERVISOR_PARTS_H

#include <sys/queue.h>
#include "base/os/listener.h"
#include "base/os/loop.h"
#include "imapsync/jobs/frames.h"
#include "imapsync/jobs/queue.h"
#include "imapsync/jobs/users.h"
#include "imapsync/jobs/supervisor.h"

struct visitor;
struct process;

struct supervisor {
    const char *conf_path;
    int verbose, conf_fd; /* the workers' copy of the configuration */
    const struct conf *conf;
    struct conf *owned; /* it, where it is ours */
    bool is_once, is_stopping;
    struct loop *loop;
    struct users *store;
    struct queue *queue;
    struct listener *listener; /* NULL: nobody can ask */
    struct buf socket_path;
    struct loop_signal *on_term, *on_int, *on_hup, *on_child;
    struct loop_timer *due;  /* for what is next */
    struct loop_timer *late; /* the end of a stop's patience */
    LIST_HEAD(visitors, visitor) visitors;
    size_t n_visitors;
    LIST_HEAD(processes, process) processes;
    struct err failed; /* of the store: the process has to end */
};

/* Something has changed: begins what may be begun, and ends when there is no more reason to be. */
void supervisor_look(struct supervisor *s);
/* The store does not take any more. */
void supervisor_fail(struct supervisor *s, const struct err *why);

/* --- Workers ------------------------------------------------------------------------------ */

/* The job is running; what cannot be begun has failed when it returns. */
bool process_is_first(const struct move_record *r); /* most of it is still to be copied */
void process_start(struct supervisor *s, struct queue_job *job);
void process_call_back(struct process *p);
/* It waited for a place, and has one. */
void process_entered(struct process *p);
void processes_reap(struct supervisor *s);
bool processes_hold(const struct supervisor *s); /* mail waits for one of them */
void processes_free(struct supervisor *s);       /* which ends them */

/* --- Visitors ------------------------------------------------------------------------------- */

int visitors_listen(struct supervisor *s, struct err *err) ATTR_WUR;
/* Ourselves: the request of supervisor_once(). */
struct visitor *visitor_own(struct supervisor *s, const json_t *request,
    void (*line)(void *arg, const json_t *line), void *arg);
bool visitor_is_over(const struct visitor *v, int *status_out, struct err *err);
/* Whoever we are ourselves wants his users back. */
void visitor_call_back(struct visitor *v);
void visitors_free(struct supervisor *s);
bool visitors_wait(const struct supervisor *s); /* somebody does */

/* To all who wait for this job.  Borrowed. */
void watchers_line(const struct queue_job *job, const json_t *line);
/* To those who wait for this kind: it is over. REQUEST_NONE: for any. */
void watchers_end(struct queue_job *job, enum request_kind kind, int status, const char *text);

#endif
