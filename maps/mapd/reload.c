/* SPDX-License-Identifier: ISC */
/* reload: see reload.h.  One thread at a time; the fields that it fills are its own until it has
 * woken the loop. */
#include "maps/mapd/reload.h"

#include <pthread.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"

struct reload {
    struct loop_async *async;
    reload_done *done;
    void *arg;
    struct conf *waiting; /* NULL: none */
    struct conf *conf;    /* what the thread works on; NULL: there is none */
    pthread_t thread;
    /* The thread's own: */
    struct access_writers writers;
    struct err err;
    int rc;
};

static void *thread_main(void *arg)
{
    struct reload *r = arg;

    r->rc = access_writers_load(r->conf, &r->writers, &r->err);
    loop_async_send(r->async);
    return NULL;
}

static void start(struct reload *r)
{
    r->conf = r->waiting;
    r->waiting = NULL;
    r->writers = (struct access_writers){0};
    err_clear(&r->err);
    int rc = pthread_create(&r->thread, NULL, thread_main, r);
    if (rc == 0)
        return;
    err_sys(&r->err, rc, "cannot start a thread");
    conf_free(&r->conf);
    r->done(r->arg, NULL, NULL, &r->err);
}

static void on_async(void *arg)
{
    struct reload *r = arg;
    struct conf *conf = r->conf;

    if (!conf)
        return;
    pthread_join(r->thread, NULL);
    r->conf = NULL;
    if (r->rc != 0) {
        conf_free(&conf);
        r->done(r->arg, NULL, NULL, &r->err);
    } else {
        r->done(r->arg, conf, &r->writers, NULL);
    }
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
    if (!r->conf)
        start(r);
}

void reload_free(struct reload **rp)
{
    struct reload *r = *rp;

    if (!r)
        return;
    if (r->conf) {
        pthread_join(r->thread, NULL);
        access_writers_fini(&r->writers);
        conf_free(&r->conf);
    }
    conf_free(&r->waiting);
    loop_async_free(&r->async);
    free(r);
    *rp = NULL;
}
