/* SPDX-License-Identifier: ISC */
/*
 * client: see client.h.  One request at a time, straight-line: the descriptor is non-blocking and
 * every step polls with what is left of the call's time.
 *
 * A call that failed without a reply closes the connection, so that a late reply can never be taken
 * for the answer to the next request.
 */
#include "maps/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/sock.h"

#define PATH_MAX_BYTES 4096

struct client {
    int fd;
    uint64_t timeout_ms;
    struct buf path;
};

int client_open(const char *run_dir, uint64_t timeout_ms, struct client **out, struct err *err)
{
    struct client *c = mem_zalloc(sizeof *c);
    struct err why = ERR_INIT;

    c->fd = -1;
    c->timeout_ms = timeout_ms;
    buf_init(&c->path, PATH_MAX_BYTES);
    if (io_path(&c->path, run_dir, "mapd.sock") != 0) {
        err_set(err, ERR_PERM, EX_CONFIG, "the path %s/mapd.sock is too long", run_dir);
        client_close(&c);
        return -1;
    }
    if (sock_connect_unix(buf_cstr(&c->path), &c->fd, &why) != 0) {
        if (why.code == EX_NOPERM)
            err_set(err, ERR_PERM, EX_NOPERM, "%s", why.text);
        else
            err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s (is coexist-mapd running?)", why.text);
        client_close(&c);
        return -1;
    }
    *out = c;
    return 0;
}

void client_close(struct client **cp)
{
    struct client *c = *cp;
    if (!c)
        return;
    io_close(&c->fd);
    buf_fini(&c->path);
    free(c);
    *cp = NULL;
}

/* --- Frames ----------------------------------------------------------------------- */

static int wait_for(struct client *c, short events, uint64_t deadline_ms, struct err *err)
{
    struct pollfd p = {.fd = c->fd, .events = events};
    uint64_t now = clock_mono_ms();
    uint64_t left = now < deadline_ms ? deadline_ms - now : 0;
    int n = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);

    if (n < 0 && errno != EINTR)
        return err_sys(err, errno, "%s", buf_cstr(&c->path));
    if (n == 0 && left == 0)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: coexist-mapd did not answer within %llu ms",
            buf_cstr(&c->path), (unsigned long long)c->timeout_ms);
    return 0;
}

static bool must_wait(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static int send_all(struct client *c, struct slice bytes, uint64_t deadline_ms, struct err *err)
{
    while (bytes.n > 0) {
        ssize_t n = send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n >= 0)
            bytes = slice_from(bytes, (size_t)n);
        else if (!must_wait())
            return err_sys(err, errno, "%s: cannot send", buf_cstr(&c->path));
        else if (wait_for(c, POLLOUT, deadline_ms, err) != 0)
            return -1;
    }
    return 0;
}

static int receive_all(
    struct client *c, unsigned char *out, size_t size, uint64_t deadline_ms, struct err *err)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = recv(c->fd, out + got, size - got, 0);
        if (n > 0)
            got += (size_t)n;
        else if (n == 0)
            return err_set(err, ERR_TEMP, EX_TEMPFAIL,
                "%s: coexist-mapd ended the connection without an answer", buf_cstr(&c->path));
        else if (!must_wait())
            return err_sys(err, errno, "%s: cannot receive", buf_cstr(&c->path));
        else if (wait_for(c, POLLIN, deadline_ms, err) != 0)
            return -1;
    }
    return 0;
}

static int send_request(
    struct client *c, const json_t *request, uint64_t deadline_ms, struct err *err)
{
    char *text = json_dumps(request, JSON_COMPACT);
    int rc = -1;

    if (!text)
        return err_set(err, ERR_BUG, EX_SOFTWARE, "the request cannot be written as JSON");
    size_t n = strlen(text);
    unsigned char head[CLIENT_FRAME_HEAD] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16),
        (unsigned char)(n >> 8), (unsigned char)n};
    if (n > CLIENT_FRAME_MAX)
        err_set(err, ERR_PERM, EX_DATAERR, "the request is longer than %u bytes", CLIENT_FRAME_MAX);
    else if (send_all(c, slice_make(head, sizeof head), deadline_ms, err) == 0 &&
             send_all(c, slice_make(text, n), deadline_ms, err) == 0)
        rc = 0;
    free(text);
    return rc;
}

static int receive_reply(struct client *c, json_t **reply, uint64_t deadline_ms, struct err *err)
{
    unsigned char head[CLIENT_FRAME_HEAD];
    struct buf body;
    int rc = -1;

    if (receive_all(c, head, sizeof head, deadline_ms, err) != 0)
        return -1;
    size_t n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    buf_init(&body, CLIENT_FRAME_MAX);
    unsigned char *p = buf_reserve(&body, n);
    if (!p) {
        err_set(err, ERR_PEER, EX_PROTOCOL, "%s: a reply of %zu bytes", buf_cstr(&c->path), n);
    } else if (receive_all(c, p, n, deadline_ms, err) == 0) {
        *reply = json_loadb((const char *)p, n, 0, NULL);
        if (json_is_object(*reply))
            rc = 0;
        else
            err_set(err, ERR_PEER, EX_PROTOCOL, "%s: a reply that is no JSON object",
                buf_cstr(&c->path));
    }
    buf_fini(&body);
    return rc;
}

/* --- Calls ------------------------------------------------------------------------- */

static enum err_class parse_class(const char *name)
{
    for (enum err_class class = ERR_TEMP; class <= ERR_BUG; class ++)
        if (name && strcmp(name, err_class_name(class)) == 0)
            return class;
    return ERR_PEER;
}

int client_reply_check(const json_t *reply, struct err *err)
{
    if (json_is_true(json_object_get(reply, "ok")))
        return 0;
    const json_t *e = json_object_get(reply, "error");
    const char *text = json_string_value(json_object_get(e, "text"));
    return err_set(err, parse_class(json_string_value(json_object_get(e, "class"))),
        (int)json_integer_value(json_object_get(e, "code")), "%s",
        text ? text : "coexist-mapd refused without a reason");
}

int client_call_own(struct client *c, json_t *request, json_t **reply, struct err *err)
{
    uint64_t deadline_ms = clock_mono_ms() + c->timeout_ms;
    int rc = -1;

    *reply = NULL;
    if (c->fd < 0) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: the connection is lost", buf_cstr(&c->path));
    } else if (send_request(c, request, deadline_ms, err) != 0 ||
               receive_reply(c, reply, deadline_ms, err) != 0) {
        json_decref(*reply);
        *reply = NULL;
        io_close(&c->fd);
    } else {
        rc = client_reply_check(*reply, err);
    }
    json_decref(request);
    return rc;
}

void client_request_id(char out[CLIENT_REQUEST_ID_MAX])
{
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        BUG("getrandom gives 16 bytes at once");
    for (size_t i = 0; i < sizeof random; i++)
        if (fmt_into(out + 2 * i, 3, "%02x", (unsigned)random[i]) != 0)
            BUG("two digits fit");
}

/* --- What a cut-over needs -------------------------------------------------------------- */

static int call_for_epoch(struct client *c, json_t *request, uint64_t *epoch_out, struct err *err)
{
    json_t *reply;
    if (!request)
        return err_set(err, ERR_PERM, EX_DATAERR, "the request is not UTF-8 text");
    int rc = client_call_own(c, request, &reply, err);
    if (rc == 0 && epoch_out)
        *epoch_out = (uint64_t)json_integer_value(json_object_get(reply, "epoch"));
    json_decref(reply);
    return rc;
}

int client_hold(struct client *c, const char *key, const char *owner, const char *request_id,
    uint64_t deadline_ms, const char *why, uint64_t *epoch_out, struct err *err)
{
    json_t *request = json_pack("{ss ss ss ss sI ss}", "op", "hold", "key", key, "owner", owner,
        "id", request_id, "deadline_ms", (json_int_t)deadline_ms, "why", why ? why : "");
    return call_for_epoch(c, request, epoch_out, err);
}

int client_flip(struct client *c, const char *key, uint64_t epoch, const char *route,
    const char *request_id, const char *why, uint64_t *epoch_out, struct err *err)
{
    json_t *request = json_pack("{ss ss sI ss ss ss}", "op", "flip", "key", key, "epoch",
        (json_int_t)epoch, "route", route, "id", request_id, "why", why ? why : "");
    return call_for_epoch(c, request, epoch_out, err);
}

int client_release(struct client *c, const char *key, uint64_t epoch, const char *request_id,
    const char *why, struct err *err)
{
    json_t *request = json_pack("{ss ss sI ss ss}", "op", "release", "key", key, "epoch",
        (json_int_t)epoch, "id", request_id, "why", why ? why : "");
    return call_for_epoch(c, request, NULL, err);
}

int client_barrier(struct client *c, const char *key, uint64_t epoch, uint64_t timeout_ms,
    enum client_barrier *out, struct err *err)
{
    static const char *const NAMES[] = {"clear", "ambiguous", "timeout"};
    uint64_t own_timeout_ms = c->timeout_ms;
    json_t *reply;
    json_t *request = json_pack("{ss ss sI sI}", "op", "barrier", "key", key, "epoch",
        (json_int_t)epoch, "timeout_ms", (json_int_t)timeout_ms);

    if (!request)
        return err_set(err, ERR_PERM, EX_DATAERR, "the request is not UTF-8 text");
    c->timeout_ms += timeout_ms;
    int rc = client_call_own(c, request, &reply, err);
    c->timeout_ms = own_timeout_ms;
    const char *result = json_string_value(json_object_get(reply, "result"));
    if (rc == 0) {
        rc = err_set(err, ERR_PEER, EX_PROTOCOL, "an unknown barrier result");
        for (size_t i = 0; result && i < sizeof NAMES / sizeof NAMES[0]; i++)
            if (strcmp(result, NAMES[i]) == 0) {
                *out = (enum client_barrier)i;
                err_clear(err);
                rc = 0;
            }
    }
    json_decref(reply);
    return rc;
}

int client_get(struct client *c, const char *key, json_t **entry_out, struct err *err)
{
    json_t *reply;
    json_t *request = json_pack("{ss ss}", "op", "get", "key", key);

    if (!request)
        return err_set(err, ERR_PERM, EX_DATAERR, "the address is not UTF-8 text");
    int rc = client_call_own(c, request, &reply, err);
    if (rc == 0)
        *entry_out = json_incref(json_object_get(reply, "entry"));
    json_decref(reply);
    return rc;
}
