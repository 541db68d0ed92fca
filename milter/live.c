/* SPDX-License-Identifier: ISC */
/*
 * live: see live.h.  A mutex around a pointer and a count: taken twice per message, for a few
 * instructions, which no measurement can see beside the system calls of one message.
 */
#include <pthread.h>
#include <stdlib.h>
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "maps/trace_file.h"
#include "milter/live.h"

struct counted {
    struct live live; /* first, so that a pointer to it is one to us */
    size_t refs;      /* under the mutex */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct counted *published; /* under the mutex; holds one reference */

static void counted_free(struct counted *c)
{
    conf_free(&c->live.conf);
    trace_keys_free(&c->live.keys);
    free(c);
}

/* No key, no start; only shadow mode, which stamps nothing, may do without. */
static int load_keys(const struct conf *conf, struct trace_keys **out, struct err *err)
{
    const char *path = conf->milter.trace_key_file != NULL ? conf->milter.trace_key_file
                                                           : conf->relay.trace_key_file;

    if (!conf->milter.stamp || trace_keys_load(path, out, err) == 0)
        return 0;
    if (conf->milter.mode == CONF_MILTER_SHADOW) {
        log_warn("shadow_without_stamps", log_err(err));
        err_clear(err);
        return 0;
    }
    return err_wrap(err, "milter.trace_key_file");
}

int milter_live_new_own(struct conf *conf, struct live **out, struct err *err)
{
    struct counted *c = mem_zalloc(sizeof(*c));

    c->live.conf = conf;
    c->refs = 1;
    if (load_keys(conf, &c->live.keys, err) != 0) {
        counted_free(c);
        return -1;
    }
    *out = &c->live;
    return 0;
}

void milter_live_publish_own(struct live *fresh)
{
    struct live *old;

    pthread_mutex_lock(&mutex);
    old = published == NULL ? NULL : &published->live;
    published = (struct counted *)fresh;
    pthread_mutex_unlock(&mutex);
    milter_live_put(&old);
}

struct live *milter_live_get(void)
{
    struct counted *c;

    pthread_mutex_lock(&mutex);
    c = published;
    BUG_ON(c == NULL);
    c->refs++;
    pthread_mutex_unlock(&mutex);
    return &c->live;
}

void milter_live_put(struct live **l)
{
    struct counted *c = (struct counted *)*l;
    bool is_last;

    if (c == NULL)
        return;
    *l = NULL;
    pthread_mutex_lock(&mutex);
    is_last = --c->refs == 0;
    pthread_mutex_unlock(&mutex);
    if (is_last)
        counted_free(c);
}

struct judge_site milter_live_site(const struct live *l)
{
    return (struct judge_site){.conf = l->conf, .keys = l->keys};
}

bool milter_live_reads_header(const struct live *l)
{
    return l->keys != NULL;
}
