/* SPDX-License-Identifier: ISC */
/*
 * worker: the store thread of coexist-mapd, the only one that touches store and snapshot.  Jobs run
 * in the order of their submission; all changes that wait together share one durable commit.
 */
#ifndef MAPS_MAPD_WORKER_H
#define MAPS_MAPD_WORKER_H

#include <jansson.h>
#include "base/core/attr.h"
#include "base/core/conf.h"
#include "maps/store/control.h"
#include "maps/store/publish.h"

struct worker;

struct job {
    struct job *next;
    void *owner;                     /* for whoever gets the job back */
    struct control_session *session; /* not touched by others before the job is back */
    json_t *request;                 /* owned */
    json_t *reply;                   /* owned; set when the job comes back */
    struct conf *conf;               /* a job without request: the configuration from here on */
};

/* Borrows store and conf until worker_free. done is called in the store thread whenever finished
 * jobs wait in worker_take(), or the map has changed by itself. */
int worker_new(const struct conf *conf, struct store *store, struct publish *publish,
    void (*done)(void *arg), void *arg, struct worker **out, struct err *err) ATTR_WUR;
void worker_submit(struct worker *w, struct job *job);
struct job *worker_take(struct worker *w); /* finished jobs, oldest first; NULL: none */
void worker_stop(struct worker *w);        /* finishes what was submitted, then joins the thread */
void worker_free(struct worker **w);
void job_free(struct job **job);

#endif
