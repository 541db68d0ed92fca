/* SPDX-License-Identifier: ISC */
/*
 * jobs: who is worked on in this process, who waits for a place, and whose mail waits.  Also counts
 * the threads that do it.  May be called from any thread.
 *
 *     if (jobs_begin(jobs, user, jobs_max, &job, err) == 0) {
 *         ... jobs_critical(job, true) ... jobs_critical(job, false) ...
 *         jobs_end(&job);
 *     }
 */
#ifndef IMAPSYNC_MOVE_JOBS_H
#define IMAPSYNC_MOVE_JOBS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"

struct jobs_job;

struct jobs {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct jobs_job *first;
    unsigned n_working, n_threads, n_critical;
    bool is_stopping;
};

void jobs_init(struct jobs *s);
void jobs_fini(struct jobs *s);

/* Waits until fewer than `max` are at work.  One job for each user: another one is refused. */
int jobs_begin(struct jobs *s, const char *user, unsigned max, struct jobs_job **out,
    struct err *err) ATTR_WUR;
void jobs_end(struct jobs_job **job);
bool jobs_wants_back(const struct jobs_job *job);
int jobs_cancel_fd(const struct jobs_job *job); /* readable when it does */
/* From the hold to the flip.  Who would begin that while the process is about to end waits here for
 * that end. */
void jobs_critical(struct jobs_job *job, bool is_critical);
/* Tells the job of this user that he stays on old, and waits for its end. */
void jobs_call_back(struct jobs *s, const char *user);

/* A detached thread, counted until it calls jobs_thread_ends(). */
int jobs_thread_start(struct jobs *s, void *(*run)(void *), void *arg) ATTR_WUR;
void jobs_thread_ends(struct jobs *s);
unsigned jobs_threads(struct jobs *s);

bool jobs_is_stopping(struct jobs *s);
/* Nobody takes a hold any more; those who have one come to its end, within timeout_ms.  true: no
 * thread is left. */
bool jobs_stop(struct jobs *s, uint64_t timeout_ms);

#endif
