/* SPDX-License-Identifier: ISC */
/*
 * server: see server.h.  Clients are kept in the order of their last request.  When clients_max is
 * reached the one that has been silent longest makes room: Postfix opens a connection anew when its
 * cached one has gone (auto_clnt(3)), so this costs a round trip, while a refusal would cost a
 * deferred message.
 *
 * A client that does not read its replies is not read from; one that stays so, or says nothing for
 * idle_timeout, is closed.  Whether the map can be believed is logged when it changes, not per
 * request.
 */
#include <stdlib.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/loop.h"
#include "base/os/sock.h"
#include "base/os/stream.h"
#include "maps/lookup/deliveries.h"
#include "maps/lookup/server.h"
#include "maps/lookup/socketmap.h"
#include "maps/snapshot.h"

/* Any local user may ask, as with a listener on 127.0.0.1. */
#define SERVER_UNIX_MODE 0666
#define SERVER_ACCEPTS_PER_TURN 64
#define SERVER_ACCEPT_PAUSE_MS 100

struct client {
    struct lookup_server *server;
    struct stream *stream;
    struct client *prev, *next; /* towards longer silence, towards the latest request */
};

struct lookup_server {
    struct loop *loop;
    const struct conf *conf;
    struct snapshot *snapshot;
    struct deliveries *deliveries;
    struct socketmap_site site;
    int fd;
    struct loop_io *listener;
    struct loop_timer *accept_pause;
    struct client *oldest, *newest;
    size_t n_clients;
    bool is_map_trusted;
    char *unix_path; /* unlinked at the end; NULL for inet */
};

static void client_unlink(struct client *c)
{
    struct lookup_server *s = c->server;

    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        s->oldest = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    else
        s->newest = c->prev;
    c->prev = c->next = NULL;
}

static void client_append(struct client *c)
{
    struct lookup_server *s = c->server;

    c->prev = s->newest;
    if (s->newest != NULL)
        s->newest->next = c;
    else
        s->oldest = c;
    s->newest = c;
}

static void client_free(struct client *c)
{
    client_unlink(c);
    c->server->n_clients--;
    stream_free(&c->stream);
    free(c);
}

static void client_is_active(struct client *c)
{
    client_unlink(c);
    client_append(c);
    stream_deadline(c->stream, c->server->conf->lookup.idle_timeout_ms);
}

static void note_map_state(struct lookup_server *s)
{
    const char *trouble = snapshot_trouble(s->snapshot);
    bool is_trusted = trouble[0] == '\0';

    if (is_trusted == s->is_map_trusted)
        return;
    s->is_map_trusted = is_trusted;
    if (is_trusted)
        log_info("map_known");
    else
        log_warn("map_unknown", log_str("reason", trouble), log_str("answer", "TEMP"));
}

/* Answers what stands complete at the start of `in`; one reply never splits over a full buffer. */
static size_t client_data(void *arg, struct slice in)
{
    struct client *c = arg;
    struct lookup_server *s = c->server;
    struct socketmap_request request;
    enum socketmap_result result;
    enum parse parsed;
    struct buf out;
    size_t used = 0, n;
    bool is_broken = false;

    buf_init(&out, SERVER_UNSENT_MAX);
    while ((parsed = socketmap_parse(slice_from(in, used), &request, &n)) == PARSE_DONE) {
        if (stream_unsent(c->stream) + out.n + SOCKETMAP_REPLY_MAX > SERVER_UNSENT_MAX) {
            stream_pause(c->stream);
            break;
        }
        if (socketmap_answer(&s->site, &request, clock_wall_s(), &out, &result) != 0)
            BUG("a reply longer than SOCKETMAP_REPLY_MAX");
        log_debug("lookup", log_slice("map", request.map), log_slice("key", request.key),
            log_str("answer", socketmap_result_name(result)));
        used += n;
    }
    if (used > 0) {
        client_is_active(c);
        note_map_state(s);
        is_broken = stream_write(c->stream, buf_slice(&out)) != 0;
    }
    /* What left at once is not reported as drained. */
    if (!is_broken && stream_unsent(c->stream) == 0)
        stream_resume(c->stream);
    buf_fini(&out);
    if (parsed == PARSE_BAD) {
        log_warn("client_bad", log_str("reason", "not a socket map request (a netstring)"),
            log_slice("input", slice_sub(in, used, 64)));
        is_broken = true;
    }
    if (is_broken) {
        client_free(c);
        return in.n;
    }
    return used;
}

static void client_drained(void *arg)
{
    struct client *c = arg;

    stream_resume(c->stream);
}

static void client_closed(void *arg, const struct err *why)
{
    struct client *c = arg;

    if (why->class != ERR_NONE)
        log_debug("client_closed", log_err(why));
    client_free(c);
}

static const struct stream_events client_events = {
    .data = client_data, .drained = client_drained, .closed = client_closed};

static void client_new(struct lookup_server *s, int fd)
{
    struct client *c = mem_zalloc(sizeof(*c));

    if (s->n_clients >= s->conf->lookup.clients_max && s->oldest != NULL) {
        log_debug("client_evicted", log_u64("clients", s->n_clients));
        client_free(s->oldest);
    }
    c->server = s;
    c->stream = stream_new_own(s->loop, fd, false, &client_events, c,
        (struct stream_limits){.in_max = SOCKETMAP_WIRE_MAX, .out_max = SERVER_UNSENT_MAX});
    client_append(c);
    s->n_clients++;
    stream_deadline(c->stream, s->conf->lookup.idle_timeout_ms);
}

static void on_accept_pause_over(void *arg)
{
    struct lookup_server *s = arg;

    loop_io_want(s->listener, LOOP_READ);
}

static void on_listener(void *arg, int events)
{
    struct lookup_server *s = arg;
    struct err err = ERR_INIT;
    int fd;

    (void)events;
    for (int i = 0; i < SERVER_ACCEPTS_PER_TURN; i++) {
        if (sock_accept(s->fd, &fd, NULL, &err) != 0) {
            log_error("accept", log_err(&err));
            /* Out of descriptors: the silent ones go, so that the next turn can succeed.  With
             * nobody left to go it cannot, and trying at once would be a busy loop. */
            if (s->oldest != NULL) {
                client_free(s->oldest);
                return;
            }
            loop_io_want(s->listener, 0);
            loop_timer_start(s->accept_pause, SERVER_ACCEPT_PAUSE_MS);
            return;
        }
        if (fd < 0)
            return;
        client_new(s, fd);
    }
}

int lookup_server_new(
    struct loop *loop, const struct conf *conf, struct lookup_server **out, struct err *err)
{
    struct lookup_server *s = mem_zalloc(sizeof(*s));

    s->loop = loop;
    s->conf = conf;
    s->fd = -1;
    s->is_map_trusted = true;
    if (sock_listen(&conf->lookup.socketmap, false, SERVER_UNIX_MODE, &s->fd, err) != 0) {
        err_wrap(err, "lookup.socketmap");
        free(s);
        return -1;
    }
    if (conf->lookup.socketmap.scheme == NET_SCHEME_UNIX)
        s->unix_path = mem_strdup(conf->lookup.socketmap.host);
    s->snapshot = snapshot_new(conf->run);
    s->deliveries = deliveries_new(s->snapshot, conf);
    s->site = (struct socketmap_site){.conf = conf,
        .view = snapshot_view(s->snapshot),
        .origins = deliveries_origins(s->deliveries)};
    s->accept_pause = loop_timer_new(loop, on_accept_pause_over, s);
    s->listener = loop_io_new(loop, s->fd, on_listener, s);
    loop_io_want(s->listener, LOOP_READ);
    *out = s;
    return 0;
}

void lookup_server_set_conf(struct lookup_server *s, const struct conf *conf)
{
    s->conf = s->site.conf = conf;
    deliveries_set_conf(s->deliveries, conf);
}

void lookup_server_free(struct lookup_server **sp)
{
    struct lookup_server *s = *sp;

    if (s == NULL)
        return;
    while (s->oldest != NULL)
        client_free(s->oldest);
    loop_timer_free(&s->accept_pause);
    loop_io_free(&s->listener);
    io_close(&s->fd);
    if (s->unix_path != NULL)
        unlink(s->unix_path);
    free(s->unix_path);
    deliveries_free(&s->deliveries);
    snapshot_free(&s->snapshot);
    free(s);
    *sp = NULL;
}
