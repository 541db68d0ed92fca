/* SPDX-License-Identifier: ISC */
/* server_parts: the server and its connections, for the files that make them. */
#ifndef MAPS_MAPD_SERVER_PARTS_H
#define MAPS_MAPD_SERVER_PARTS_H

#include <sys/queue.h>
#include <sys/types.h>
#include "base/os/listener.h"
#include "base/os/stream.h"
#include "maps/access.h"
#include "maps/mapd/backups.h"
#include "maps/mapd/barrier.h"
#include "maps/mapd/emergency.h"
#include "maps/mapd/hosts.h"
#include "maps/mapd/learn.h"
#include "maps/mapd/reload.h"
#include "maps/mapd/server.h"
#include "maps/mapd/worker.h"

struct conn {
    LIST_ENTRY(conn) link;
    struct server *server;
    struct stream *stream; /* NULL: closed, waiting for its job */
    struct control_session session;
    uid_t uid;
    struct barrier *barrier;
    bool is_busy;     /* a request is in the works */
    bool is_in_frame; /* a part of the next one is here, its deadline runs */
};

struct server {
    struct loop *loop;
    struct conf *conf;
    struct access_writers writers;
    struct reload *reload;
    char *run_dir; /* stays when the configuration is replaced */
    struct publish *publish;
    struct hosts *hosts;
    struct barriers *barriers;
    struct server_socket socket;
    dev_t socket_dev;
    ino_t socket_ino;
    struct loop_timer *tick;
    unsigned ticks;
    bool is_lost;
    struct listener *listener;
    struct loop_async *async;
    struct worker *worker;
    struct emergency *emergency;
    struct learn *learn;
    struct backups *backups;      /* NULL before the start, and at the end */
    LIST_HEAD(conns, conn) conns; /* whoever asked last comes first */
    size_t n_conns;
    bool is_full; /* says so once */
};

/* --- Connections (server_conn.c) -------------------------------------------------------- */

extern const struct listener_events server_conn_events;

void server_conn_free(struct conn *c);
/* Stays until its job is back, if it has one. */
void server_conn_close(struct conn *c);
void server_conn_drop(struct conn *c, const char *why);
void server_conn_reply_own(struct conn *c, json_t *reply);

#endif
