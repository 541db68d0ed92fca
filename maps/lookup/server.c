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
#include <sys/queue.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/listener.h"
#include "base/os/loop.h"
#include "base/os/sock.h"
#include "base/os/stream.h"
#include "maps/consumer.h"
#include "maps/lookup/deliveries.h"
#include "maps/lookup/server.h"
#include "maps/lookup/socketmap.h"
#include "maps/snapshot.h"

/* Any local user may ask, as with a listener on 127.0.0.1. */
#define SERVER_UNIX_MODE 0666

struct client {
    struct lookup_server *server;
    struct stream *stream;
    TAILQ_ENTRY(client) link;
};

struct lookup_server {
    struct loop *loop;
    const struct conf *conf;
    struct snapshot *snapshot;
    struct consumer *consumer;
    struct deliveries *deliveries;
    struct socketmap_site site;
    struct listener *listener;
    TAILQ_HEAD(clients, client) clients; /* the longest silence first */
    size_t n_clients;
    bool is_map_trusted;
    char *unix_path; /* unlinked at the end; NULL for inet */
};

static void client_free(struct client *c)
{
    TAILQ_REMOVE(&c->server->clients, c, link);
    c->server->n_clients--;
    stream_free(&c->stream);
    free(c);
}

static void client_is_active(struct client *c)
{
    TAILQ_REMOVE(&c->server->clients, c, link);
    TAILQ_INSERT_TAIL(&c->server->clients, c, link);
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

static void on_routed(void *arg, const struct decision *d)
{
    const struct lookup_server *s = arg;

    consumer_saw(s->consumer, d, MAIL_LOG_UNKNOWN);
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
        int64_t now_s = clock_wall_s();
        if (socketmap_answer(&s->site, &request, now_s, &out, &result) != 0)
            BUG("a reply longer than SOCKETMAP_REPLY_MAX");
        consumer_used(s->consumer, snapshot_sequence(s->snapshot), now_s);
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

/* Who has been silent longest; false: nobody is there. */
static bool evict_one(struct lookup_server *s)
{
    if (TAILQ_EMPTY(&s->clients))
        return false;
    log_debug("client_evicted", log_u64("clients", s->n_clients));
    client_free(TAILQ_FIRST(&s->clients));
    return true;
}

static void on_accepted_own(void *arg, int fd, const struct net_addr *peer ATTR_UNUSED)
{
    struct lookup_server *s = arg;
    struct client *c = mem_zalloc(sizeof(*c));

    if (s->n_clients >= s->conf->lookup.clients_max)
        (void)evict_one(s);
    c->server = s;
    c->stream = stream_new_own(s->loop, fd, false, &client_events, c,
        (struct stream_limits){.in_max = SOCKETMAP_WIRE_MAX, .out_max = SERVER_UNSENT_MAX});
    TAILQ_INSERT_TAIL(&s->clients, c, link);
    s->n_clients++;
    stream_deadline(c->stream, s->conf->lookup.idle_timeout_ms);
}

/* Out of descriptors: who is silent goes, as with clients_max. */
static bool on_accept_failed(void *arg, const struct err *err)
{
    struct lookup_server *s = arg;

    log_error("accept_failed", log_err(err), log_u64("clients", s->n_clients));
    return evict_one(s);
}

static const struct listener_events listener_events = {
    .accepted_own = on_accepted_own, .failed = on_accept_failed};

int lookup_server_new(
    struct loop *loop, const struct conf *conf, struct lookup_server **out, struct err *err)
{
    struct lookup_server *s;
    int fd;

    if (sock_listen(&conf->lookup.socketmap, false, SERVER_UNIX_MODE, &fd, err) != 0)
        return err_wrap(err, "lookup.socketmap");
    s = mem_zalloc(sizeof(*s));
    s->loop = loop;
    s->conf = conf;
    s->is_map_trusted = true;
    TAILQ_INIT(&s->clients);
    if (conf->lookup.socketmap.scheme == NET_SCHEME_UNIX)
        s->unix_path = mem_strdup(conf->lookup.socketmap.host);
    s->snapshot = snapshot_new(conf->run);
    s->consumer = consumer_new(conf->run, "lookup");
    s->deliveries = deliveries_new(s->snapshot, conf);
    s->site = (struct socketmap_site){.conf = conf,
        .view = snapshot_view(s->snapshot),
        .origins = deliveries_origins(s->deliveries),
        .mem = arena_new(SOCKETMAP_MEM_MAX),
        .routed = on_routed,
        .routed_arg = s};
    s->listener = listener_new_own(loop, fd, &listener_events, s);
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
    listener_free(&s->listener);
    while (!TAILQ_EMPTY(&s->clients))
        client_free(TAILQ_FIRST(&s->clients));
    if (s->unix_path != NULL)
        unlink(s->unix_path);
    free(s->unix_path);
    arena_free(&s->site.mem);
    deliveries_free(&s->deliveries);
    consumer_free(&s->consumer);
    snapshot_free(&s->snapshot);
    free(s);
    *sp = NULL;
}
