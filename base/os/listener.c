/* SPDX-License-Identifier: ISC */
/*
 * listener: see listener.h.  What is freed inside an event stays until that turn has ended.
 */
#include "base/os/listener.h"

#include <stdlib.h>
#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/sock.h"

struct listener {
    const struct listener_events *events;
    void *arg;
    int fd; /* -1: freed */
    struct loop_io *io;
    struct loop_timer *pause;
    bool is_in_turn;
};

static void on_pause_over(void *arg)
{
    struct listener *l = arg;

    loop_io_want(l->io, LOOP_READ);
}

static void take_failed(struct listener *l, const struct err *err)
{
    if (l->events->failed(l->arg, err) || l->fd < 0)
        return;
    loop_io_want(l->io, 0);
    loop_timer_start(l->pause, LISTENER_PAUSE_MS);
}

static void take_waiting(struct listener *l)
{
    struct err err = ERR_INIT;
    struct net_addr peer;
    int fd;

    for (int i = 0; i < LISTENER_TURN_MAX && l->fd >= 0; i++) {
        if (sock_accept(l->fd, &fd, &peer, &err) != 0) {
            take_failed(l, &err);
            return;
        }
        if (fd < 0)
            return;
        l->events->accepted_own(l->arg, fd, &peer);
    }
}

static void on_readable(void *arg, int events ATTR_UNUSED)
{
    struct listener *l = arg;

    l->is_in_turn = true;
    take_waiting(l);
    l->is_in_turn = false;
    if (l->fd < 0)
        free(l);
}

struct listener *listener_new_own(
    struct loop *loop, int fd, const struct listener_events *events, void *arg)
{
    struct listener *l = mem_zalloc(sizeof(*l));

    l->events = events;
    l->arg = arg;
    l->fd = fd;
    l->pause = loop_timer_new(loop, on_pause_over, l);
    l->io = loop_io_new(loop, fd, on_readable, l);
    loop_io_want(l->io, LOOP_READ);
    return l;
}

void listener_free(struct listener **lp)
{
    struct listener *l = *lp;

    *lp = NULL;
    if (l == NULL)
        return;
    loop_timer_free(&l->pause);
    loop_io_free(&l->io);
    io_close(&l->fd);
    if (!l->is_in_turn)
        free(l);
}
