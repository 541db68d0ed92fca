/* SPDX-License-Identifier: ISC */
/*
 * server_conn: connections on RUN/mapd.sock.
 *
 * A connection has at most one request in the works; what follows waits unread until its reply has
 * left, so replies are in order and a client cannot make us hold more than one frame and one reply.
 * Rights come from the kernel: those whom the configuration names may change the map, whoever else
 * may open the socket may read it.  Their names were looked up at the start: no directory service
 * is asked for a connection, which could keep all others waiting.  When no place is left, whoever
 * has been silent for longest makes room for whoever comes, readers before writers.
 *
 * Whoever sends what is no frame, no JSON or no object is dropped with a log line; nobody else
 * notices.  A connection that ends while its request is in the store thread stays until the job is
 * back, since the job uses its session.
 */
#include "maps/mapd/server_parts.h"

#include <jansson.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "maps/client.h"

void server_conn_free(struct conn *c)
{
    LIST_REMOVE(c, link);
    c->server->n_conns--;
    barrier_free(&c->barrier);
    control_session_fini(&c->session);
    free(c);
}

void server_conn_close(struct conn *c)
{
    stream_free(&c->stream);
    if (!c->is_busy || c->barrier)
        server_conn_free(c);
}

void server_conn_drop(struct conn *c, const char *why)
{
    log_warn("control_dropped", log_str("who", c->session.who), log_str("reason", why));
    server_conn_close(c);
}

void server_conn_reply_own(struct conn *c, json_t *reply)
{
    char *text = json_dumps(reply, JSON_COMPACT);
    size_t n = text ? strlen(text) : 0;
    unsigned char head[CLIENT_FRAME_HEAD];

    client_frame_put_head(n, head);
    json_decref(reply);
    c->is_busy = false;
    if (!text || n > CLIENT_FRAME_MAX) {
        server_conn_drop(c, "the reply does not fit a frame");
    } else {
        stream_cork(c->stream);
        int rc = stream_write(c->stream, slice_make(head, sizeof head));
        if (rc == 0)
            rc = stream_write(c->stream, slice_make(text, n));
        stream_uncork(c->stream);
        if (rc != 0)
            server_conn_drop(c, "it does not read its replies");
        else if (stream_unsent(c->stream) > 0)
            stream_deadline(c->stream, SERVER_FRAME_TIMEOUT_MS);
        else
            stream_resume(c->stream);
    }
    free(text);
}

static void on_drained(void *arg)
{
    struct conn *c = arg;
    stream_deadline(c->stream, 0);
    stream_resume(c->stream);
}

static void conn_refuse(struct conn *c, const struct err *err)
{
    server_conn_reply_own(c, control_error(err));
}

/* --- Barriers ---------------------------------------------------------------------------- */

static void barrier_ended(void *arg, const char *result, uint64_t waited_ms, const struct err *err)
{
    struct conn *c = arg;

    barrier_free(&c->barrier);
    if (!result) {
        log_error("barrier_failed", log_err(err));
        conn_refuse(c, err);
        return;
    }
    log_info("barrier", log_str("result", result), log_u64("waited_ms", waited_ms),
        log_str("who", c->session.who));
    server_conn_reply_own(c,
        json_pack("{sb ss sI}", "ok", true, "result", result, "waited_ms", (json_int_t)waited_ms));
}

static int barrier_start(struct conn *c, const json_t *request, struct err *err)
{
    struct server *s = c->server;
    uint64_t epoch, timeout_ms, max_ms = s->conf->mapd.barrier_max_ms;
    struct buf key;
    int rc = -1;

    buf_init(&key, 2 * ROUTE_KEY_MAX);
    if (control_may(&c->session, false, err) == 0 &&
        control_key(s->conf, request, &key, err) == 0 &&
        control_number(request, "epoch", INT64_MAX, true, &epoch, err) == 0 &&
        control_number(request, "timeout_ms", max_ms, true, &timeout_ms, err) == 0)
        rc = 0;
    if (rc == 0)
        c->barrier = barrier_new(
            s->barriers, route_key_hash(buf_slice(&key)), epoch, timeout_ms, barrier_ended, c);
    buf_fini(&key);
    return rc;
}

/* --- Requests ------------------------------------------------------------------------------ */

static void start_request_own(struct conn *c, json_t *request)
{
    struct err err = ERR_INIT;

    LIST_REMOVE(c, link);
    LIST_INSERT_HEAD(&c->server->conns, c, link);
    c->is_busy = true;
    c->is_in_frame = false;
    stream_deadline(c->stream, 0);
    stream_pause(c->stream);
    if (control_kind(request) == CONTROL_BARRIER) {
        int rc = barrier_start(c, request, &err);
        json_decref(request);
        if (rc != 0)
            conn_refuse(c, &err);
        return;
    }
    if (control_kind(request) == CONTROL_LEARNT) {
        json_t *reply = control_may(&c->session, true, &err) == 0
                            ? learn_answer(c->server->learn, request)
                            : control_error(&err);
        json_decref(request);
        server_conn_reply_own(c, reply);
        return;
    }
    struct job *job = mem_zalloc(sizeof *job);
    job->owner = c;
    job->session = &c->session;
    job->request = request;
    worker_submit(c->server->worker, job);
}

static size_t on_data(void *arg, struct slice in)
{
    struct conn *c = arg;
    size_t max = c->session.may_write ? CLIENT_FRAME_MAX : SERVER_READER_FRAME_MAX;

    if (c->is_busy)
        return 0;
    if (!c->is_in_frame) {
        c->is_in_frame = true;
        stream_deadline(c->stream, SERVER_FRAME_TIMEOUT_MS);
    }
    if (in.n < CLIENT_FRAME_HEAD)
        return 0;
    size_t n = client_frame_length(in.p);
    if (n == 0 || n > max) {
        server_conn_drop(c, "the length of its frame is out of range");
        return in.n;
    }
    if (in.n - CLIENT_FRAME_HEAD < n)
        return 0;
    json_t *request =
        json_loadb((const char *)in.p + CLIENT_FRAME_HEAD, n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(request)) {
        json_decref(request);
        server_conn_drop(c, "its request is no JSON object");
        return in.n;
    }
    start_request_own(c, request);
    return CLIENT_FRAME_HEAD + n;
}

static void on_closed(void *arg, const struct err *why)
{
    struct conn *c = arg;
    if (why && why->class != ERR_NONE)
        log_debug("control_closed", log_str("who", c->session.who), log_err(why));
    server_conn_close(c);
}

static const struct stream_events EVENTS = {
    .data = on_data, .drained = on_drained, .closed = on_closed};

/* --- Accepting -------------------------------------------------------------------------------- */

static void name_peer(
    const struct server *s, int fd, uid_t *uid_out, struct control_session *session)
{
    struct ucred cred;
    socklen_t size = sizeof cred;

    /* A process in another namespace has no number here, and so no login: 0. */
    *uid_out = (uid_t)-1;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0)
        *uid_out = cred.uid;
    pid_t pid = *uid_out == (uid_t)-1 ? 0 : cred.pid;
    const struct access_writer *writer = access_writer(&s->writers, *uid_out);
    session->may_write = writer != NULL;
    session->is_shut_out = access_is_consumer(&s->writers, *uid_out);
    char number[32];
    if (fmt_into(number, sizeof number, "uid%lu", (unsigned long)*uid_out) != 0)
        BUG("a number fits");
    access_who(pid, *uid_out, writer ? writer->name : number, session->who, sizeof session->who);
}

/* Nobody may keep others from a hold, a flip or an answer by a connection that does nothing: the
 * one that has been silent for longest goes, if it waits for nothing and has nothing staged; those
 * who may only read go before those who may write. */
static bool make_room(struct server *s)
{
    struct conn *c, *oldest = NULL;
    LIST_FOREACH(c, &s->conns, link)
    if (!c->is_busy && !c->session.import && !c->session.restore &&
        (!oldest || oldest->session.may_write || !c->session.may_write))
        oldest = c;
    if (oldest)
        server_conn_drop(oldest, "its place is needed");
    return oldest != NULL;
}

static void on_accepted_own(void *arg, int fd, const struct net_addr *peer ATTR_UNUSED)
{
    struct server *s = arg;
    const struct stream_limits limits = {
        .in_max = CLIENT_FRAME_HEAD + CLIENT_FRAME_MAX, .out_max = 2 * CLIENT_FRAME_MAX};
    struct control_session session = {0};
    uid_t uid;

    name_peer(s, fd, &uid, &session);
    if (s->n_conns >= SERVER_CLIENTS_MAX) {
        if (!s->is_full)
            log_warn("control_full", log_u64("clients", SERVER_CLIENTS_MAX));
        s->is_full = true;
        if (!make_room(s)) {
            io_close(&fd);
            return;
        }
    } else {
        s->is_full = false;
    }
    struct conn *c = mem_zalloc(sizeof *c);
    c->server = s;
    c->session = session;
    c->uid = uid;
    LIST_INSERT_HEAD(&s->conns, c, link);
    s->n_conns++;
    c->stream = stream_new_own(s->loop, fd, false, &EVENTS, c, limits);
}

static bool on_accept_failed(void *arg, const struct err *err)
{
    const struct server *s = arg;

    log_error("accept_failed", log_err(err), log_u64("clients", s->n_conns));
    return false;
}

const struct listener_events server_conn_events = {
    .accepted_own = on_accepted_own, .failed = on_accept_failed};
