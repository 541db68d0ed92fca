/* SPDX-License-Identifier: ISC */
/* jobs: see jobs.h.  All that the threads share is under one mutex. */
#include "imapsync/move/jobs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sysexits.h>
#include <time.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/io.h"

struct jobs_job {
    struct jobs_job *next;
    struct jobs *s;
    char *user;
    int cancel_fd;
    bool wants_back, is_critical;
};

void jobs_init(struct jobs *s)
{
    *s = (struct jobs){0};
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->changed, NULL);
}

void jobs_fini(struct jobs *s)
{
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
}

/* --- Jobs --------------------------------------------------------------------------------- */

static struct jobs_job *find_locked(struct jobs *s, const char *user)
{
    struct jobs_job *job = s->first;
    while (job && strcmp(job->user, user) != 0)
        job = job->next;
    return job;
}

int jobs_begin(
    struct jobs *s, const char *user, unsigned max, struct jobs_job **out, struct err *err)
{
    int result = 0;
    *out = NULL;
    pthread_mutex_lock(&s->mutex);
    if (find_locked(s, user)) {
        result = err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s is being cut over", user);
    } else {
        struct jobs_job *job = mem_zalloc(sizeof(*job));
        *job = (struct jobs_job){.next = s->first,
            .s = s,
            .user = mem_strdup(user),
            .cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
        s->first = *out = job;
        while (s->n_working >= max && !job->wants_back)
            pthread_cond_wait(&s->changed, &s->mutex);
        s->n_working++;
    }
    pthread_mutex_unlock(&s->mutex);
    return result;
}

void jobs_end(struct jobs_job **job)
{
    struct jobs *s = (*job)->s;
    jobs_critical(*job, false);
    pthread_mutex_lock(&s->mutex);
    struct jobs_job **at = &s->first;
    while (*at != *job)
        at = &(*at)->next;
    *at = (*job)->next;
    s->n_working--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    mem_free_string(&(*job)->user);
    io_close(&(*job)->cancel_fd);
    free(*job);
    *job = NULL;
}

bool jobs_wants_back(const struct jobs_job *job)
{
    pthread_mutex_lock(&job->s->mutex);
    bool wants = job->wants_back;
    pthread_mutex_unlock(&job->s->mutex);
    return wants;
}

int jobs_cancel_fd(const struct jobs_job *job)
{
    return job->cancel_fd;
}

void jobs_critical(struct jobs_job *job, bool is_critical)
{
    struct jobs *s = job->s;
    if (is_critical == job->is_critical)
        return;
    pthread_mutex_lock(&s->mutex);
    while (is_critical && s->is_stopping)
        pthread_cond_wait(&s->changed, &s->mutex);
    job->is_critical = is_critical;
    if (is_critical)
        s->n_critical++;
    else
        s->n_critical--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

void jobs_call_back(struct jobs *s, const char *user)
{
    struct jobs_job *job;
    pthread_mutex_lock(&s->mutex);
    while ((job = find_locked(s, user)) != NULL) {
        job->wants_back = true;
        eventfd_write(job->cancel_fd, 1); /* without one the job looks now and then */
        pthread_cond_broadcast(&s->changed);
        pthread_cond_wait(&s->changed, &s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
}

/* --- Threads -------------------------------------------------------------------------------- */

int jobs_thread_start(struct jobs *s, void *(*run)(void *), void *arg)
{
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&s->mutex);
    int result = pthread_create(&thread, &attr, run, arg) == 0 ? 0 : -1;
    s->n_threads += result == 0;
    pthread_mutex_unlock(&s->mutex);
    pthread_attr_destroy(&attr);
    return result;
}

void jobs_thread_ends(struct jobs *s)
{
    pthread_mutex_lock(&s->mutex);
    s->n_threads--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

unsigned jobs_threads(struct jobs *s)
{
    pthread_mutex_lock(&s->mutex);
    unsigned n = s->n_threads;
    pthread_mutex_unlock(&s->mutex);
    return n;
}

/* --- The end ---------------------------------------------------------------------------------- */

bool jobs_is_stopping(struct jobs *s)
{
    pthread_mutex_lock(&s->mutex);
    bool is_stopping = s->is_stopping;
    pthread_mutex_unlock(&s->mutex);
    return is_stopping;
}

bool jobs_stop(struct jobs *s, uint64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    pthread_mutex_lock(&s->mutex);
    s->is_stopping = true;
    int late = 0;
    while (s->n_critical > 0 && late == 0)
        late = pthread_cond_timedwait(&s->changed, &s->mutex, &until);
    if (late != 0)
        log_error("stop_late", log_u64("held", s->n_critical));
    /* Threads that are just ending get a moment. */
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    late = 0;
    while (s->n_threads > s->n_working && late == 0)
        late = pthread_cond_timedwait(&s->changed, &s->mutex, &until);
    bool is_alone = s->n_threads == 0;
    pthread_mutex_unlock(&s->mutex);
    return is_alone;
}
