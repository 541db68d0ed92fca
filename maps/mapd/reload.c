/* SPDX-License-Identifier: ISC */
/*
 * reload: see reload.h.  One thread at a time.  What it works on is a question of its own, so that
 * a stop can leave it behind: whoever comes last to a question, its thread or the loop, frees it.
 */
#include "maps/mapd/reload.h"

#include <pthread.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"

struct question {
    struct conf *conf;
    /* The thread's until is_done: */
    struct access_writers writers;
    struct err err;
    int rc;
    pthread_mutex_t lock;     /* of the rest */
    struct loop_async *async; /* NULL: nobody wants the answer any more */
    bool is_done;
};

struct reload {
    struct loop_async *async;
    reload_done *done;
    void *arg;
    struct conf *waiting;      /* NULL: none */
    struct question *question; /* NULL: there is no thread */
    pthread_t thread;
};

static void question_free(struct question *q)
{
    access_writers_fini(&q->writers);
    conf_free(&q->conf);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static void *thread_main(void *arg)
{
    struct question *q = arg;
    bool is_wanted;

    q->rc = access_writers_load(q->conf, &q->writers, &q->err);
    pthread_mutex_lock(&q->lock);
    q->is_done = true;
    is_wanted = q->async != NULL;
    if (is_wanted)
        loop_async_send(q->async);
    pthread_mutex_unlock(&q->lock);
    if (!is_wanted)
        question_free(q);
    return NULL;
}

static void start(struct reload *r)
{
    struct question *q = mem_zalloc(sizeof *q);

    q->conf = r->waiting;
    r->waiting = NULL;
    q->async = r->async;
    pthread_mutex_init(&q->lock, NULL);
    int rc = pthread_create(&r->thread, NULL, thread_main, q);
    if (rc == 0) {
        r->question = q;
        return;
    }
    err_sys(&q->err, rc, "cannot start a thread");
    r->done(r->arg, NULL, NULL, &q->err);
    question_free(q);
}

static void on_async(void *arg)
{
    struct reload *r = arg;
    struct question *q = r->question;

    if (!q)
        return;
    pthread_join(r->thread, NULL);
    r->question = NULL;
    if (q->rc != 0) {
        r->done(r->arg, NULL, NULL, &q->err);
    } else {
        r->done(r->arg, q->conf, &q->writers, NULL);
        q->conf = NULL;
        q->writers = (struct access_writers){0};
    }
    question_free(q);
    if (r->waiting)
        start(r);
}

struct reload *reload_new(struct loop *loop, reload_done *done, void *arg)
{
    struct reload *r = mem_zalloc(sizeof *r);

    r->done = done;
    r->arg = arg;
    r->async = loop_async_new(loop, on_async, r);
    return r;
}

void reload_start_own(struct reload *r, struct conf *conf)
{
    conf_free(&r->waiting);
    r->waiting = conf;
    if (!r->question)
        start(r);
}

/* From here on the thread does not touch our loop. */
static void leave_behind(struct question *q, pthread_t thread)
{
    bool is_done;

    pthread_mutex_lock(&q->lock);
    is_done = q->is_done;
    q->async = NULL;
    pthread_mutex_unlock(&q->lock);
    if (!is_done) {
        pthread_detach(thread);
        return;
    }
    pthread_join(thread, NULL);
    question_free(q);
}

void reload_free(struct reload **rp)
{
    struct reload *r = *rp;

    if (!r)
        return;
    if (r->question)
        leave_behind(r->question, r->thread);
    conf_free(&r->waiting);
    loop_async_free(&r->async);
    free(r);
    *rp = NULL;
}
