/* SPDX-License-Identifier: ISC */
/*
 * conf_use: the configuration of a process whose jobs go on with the one that they began with; each
 * is freed when the last of its users lets go.  May be called from any thread.
 */
#ifndef IMAPSYNC_MOVE_CONF_USE_H
#define IMAPSYNC_MOVE_CONF_USE_H

#include <pthread.h>
#include "base/core/conf.h"

struct used_conf {
    const struct conf *conf;
    struct conf *owned;
    unsigned n_users;
};

struct conf_use {
    pthread_mutex_t mutex;
    struct used_conf *now; /* itself a use */
};

void conf_use_init_own(struct conf_use *u, struct conf *conf);
void conf_use_fini(struct conf_use *u);
/* The newest one. */
struct used_conf *conf_use_take(struct conf_use *u);
void conf_use_drop(struct conf_use *u, struct used_conf *used);
void conf_use_replace_own(struct conf_use *u, struct conf *conf);

#endif
