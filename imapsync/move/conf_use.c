/* SPDX-License-Identifier: ISC */
/* conf_use: see conf_use.h. */
#include "imapsync/move/conf_use.h"

#include <stdlib.h>

#include "base/core/mem.h"

static struct used_conf *used_new_own(struct conf *conf)
{
    struct used_conf *used = mem_zalloc(sizeof(*used));
    *used = (struct used_conf){.conf = conf, .owned = conf, .n_users = 1};
    return used;
}

void conf_use_init_own(struct conf_use *u, struct conf *conf)
{
    pthread_mutex_init(&u->mutex, NULL);
    u->now = used_new_own(conf);
}

void conf_use_fini(struct conf_use *u)
{
    conf_use_drop(u, u->now);
    pthread_mutex_destroy(&u->mutex);
}

struct used_conf *conf_use_take(struct conf_use *u)
{
    pthread_mutex_lock(&u->mutex);
    struct used_conf *used = u->now;
    used->n_users++;
    pthread_mutex_unlock(&u->mutex);
    return used;
}

void conf_use_drop(struct conf_use *u, struct used_conf *used)
{
    pthread_mutex_lock(&u->mutex);
    bool is_last = --used->n_users == 0;
    pthread_mutex_unlock(&u->mutex);
    if (!is_last)
        return;
    conf_free(&used->owned);
    free(used);
}

void conf_use_replace_own(struct conf_use *u, struct conf *conf)
{
    struct used_conf *used = used_new_own(conf);
    pthread_mutex_lock(&u->mutex);
    struct used_conf *before = u->now;
    u->now = used;
    pthread_mutex_unlock(&u->mutex);
    conf_use_drop(u, before);
}
