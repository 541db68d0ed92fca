/* SPDX-License-Identifier: ISC */
/*
 * listener: takes the connections of one listening socket on a loop.
 *
 * In one turn of the loop it takes LISTENER_TURN_MAX of them at most: a crowd at the door keeps
 * nobody waiting who is inside.  What is not taken waits in the kernel.
 *
 * When accept() fails, no descriptor is free, most likely, and the socket stays readable: to try at
 * once would be a busy loop.  So there is a pause of LISTENER_PAUSE_MS, unless the owner has closed
 * something meanwhile.  A connection that went away while it waited is no failure.
 */
#ifndef BASE_OS_LISTENER_H
#define BASE_OS_LISTENER_H

#include <stdbool.h>
#include "base/core/err.h"
#include "base/core/net.h"
#include "base/os/loop.h"

#define LISTENER_TURN_MAX 64
#define LISTENER_PAUSE_MS 100

struct listener;

/* Both must be there, are called from the loop, and may free the listener. */
struct listener_events {
    /* A connection, non-blocking, the owner's from now on; peer as in sock_accept(). */
    void (*accepted_own)(void *arg, int fd, const struct net_addr *peer);
    /* For the log.  True: a descriptor has become free, so the next turn tries again. */
    bool (*failed)(void *arg, const struct err *err);
};

/* Takes over fd, which listens and does not block; `events` is borrowed for life. */
struct listener *listener_new_own(
    struct loop *loop, int fd, const struct listener_events *events, void *arg);
void listener_free(struct listener **l); /* closes the socket; no event follows */

#endif
