/* SPDX-License-Identifier: ISC */
/*
 * server: the sockets of coexist-mapd.  Reads frames, hands requests to the store thread, sends
 * replies; runs barriers itself.
 */
#ifndef MAPS_MAPD_SERVER_H
#define MAPS_MAPD_SERVER_H

#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/os/loop.h"
#include "maps/store/publish.h"
#include "maps/store/store.h"

#define SERVER_CLIENTS_MAX 1000
/* Who may only read sends nothing long. */
#define SERVER_READER_FRAME_MAX (64u << 10)
/* For a request that has begun to arrive, and for a reply to be read. */
#define SERVER_FRAME_TIMEOUT_MS 30000
#define SERVER_TICK_MS 1000
#define SERVER_SWEEP_TICKS 60 /* files of dead processes do not pile up without barriers */

struct server;

struct server_socket {
    int fd; /* listens; the server's from then on */
    const char *path;
    /* Called once from the loop when a file that the others need of us is gone: our work has no
     * effect any more, and a new start repairs it. */
    void (*lost)(void *arg, const struct err *err);
    void *arg;
};

/* Starts the store thread. Takes over conf and socket->fd, borrows the rest. */
int server_new_own(struct loop *loop, struct conf *conf, struct store *store,
    struct publish *publish, const struct server_socket *socket, struct server **out,
    struct err *err) ATTR_WUR;
/* The new configuration holds as soon as its users have been looked up, which is logged; state and
 * run have to be the same. */
int server_reload_own(struct server *s, struct conf *conf, struct err *err) ATTR_WUR;
/* Finishes the requests that are here, answers them as far as the sockets take it, and closes. */
void server_free(struct server **s);

#endif
