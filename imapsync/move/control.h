/* SPDX-License-Identifier: ISC */
/* control: the daemon's side of remote.h: who may ask, what is asked, and the frames in reply. */
#ifndef IMAPSYNC_MOVE_CONTROL_H
#define IMAPSYNC_MOVE_CONTROL_H

#include "base/os/loop.h"
#include "imapsync/move/conf_use.h"
#include "imapsync/move/jobs.h"

#define CONTROL_VISITORS_MAX 256
#define CONTROL_REQUEST_MS 30000

struct control {
    struct listener *listener;
    struct jobs *jobs;
    struct conf_use *confs;
};

/* Visitors come until control_fini(); their threads may live longer than that. */
void control_start_own(
    struct control *c, struct loop *loop, int listen_fd, struct jobs *jobs, struct conf_use *confs);
void control_fini(struct control *c);

#endif
