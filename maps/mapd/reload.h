/* SPDX-License-Identifier: ISC */
/*
 * reload: looks up who may change the map after the configuration was read anew.  A directory
 * service may take its time for that, and nobody waits: a thread of its own does it, which the end
 * of the process may cut off.
 */
#ifndef MAPS_MAPD_RELOAD_H
#define MAPS_MAPD_RELOAD_H

#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/os/loop.h"
#include "maps/access.h"

struct reload;

/* Called from the loop, which then owns conf and writers; with err they are NULL. */
typedef void reload_done(
    void *arg, struct conf *conf, struct access_writers *writers, const struct err *err);

struct reload *reload_new(struct loop *loop, reload_done *done, void *arg);
/* While one is in the works the next one waits, and of those that wait the last one counts. */
void reload_start_own(struct reload *r, struct conf *conf);
void reload_free(struct reload **r); /* waits for no answer; done() is not called any more */

#endif
