/* SPDX-License-Identifier: ISC */
/*
 * client: see client.h.  One request at a time, straight-line, each with its own time.
 *
 * A call that failed without a reply closes the connection, so that a late reply can never be taken
 * for the answer to the next request.
 */
#include "maps/client.h"

#include <stdlib.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/os/hmac.h"
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

bool client_is_lost(const struct client *c)
{
    return c->fd < 0;
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
    } else if (client_frame_send(c->fd, request, deadline_ms, buf_cstr(&c->path), err) != 0 ||
               client_frame_receive(c->fd, reply, deadline_ms, buf_cstr(&c->path), err) != 0) {
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
    random_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        if (fmt_into(out + 2 * i, 3, "%02x", (unsigned)random[i]) != 0)
            BUG("two digits fit");
}

/* --- What a cut-over needs -------------------------------------------------------------- */

/* A reply only when it is done. */
static int call_text(struct client *c, json_t *request, json_t **reply_out, struct err *err)
{
    *reply_out = NULL;
    if (!request)
        return err_set(err, ERR_PERM, EX_DATAERR, "the request is not UTF-8 text");
    if (client_call_own(c, request, reply_out, err) == 0)
        return 0;
    json_decref(*reply_out);
    *reply_out = NULL;
    return -1;
}

static int call_for_epoch(struct client *c, json_t *request, uint64_t *epoch_out, struct err *err)
{
    json_t *reply;
    int rc = call_text(c, request, &reply, err);
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
    const char *request_id, const char *why, json_t **reply_out, struct err *err)
{
    json_t *request = json_pack("{ss ss sI ss ss ss}", "op", "flip", "key", key, "epoch",
        (json_int_t)epoch, "route", route, "id", request_id, "why", why ? why : "");
    return call_text(c, request, reply_out, err);
}

int client_release(struct client *c, const char *key, uint64_t epoch, const char *request_id,
    const char *why, struct err *err)
{
    json_t *request = json_pack("{ss ss sI ss ss}", "op", "release", "key", key, "epoch",
        (json_int_t)epoch, "id", request_id, "why", why ? why : "");
    return call_for_epoch(c, request, NULL, err);
}

int client_retire(
    struct client *c, const char *key, const char *request_id, const char *why, struct err *err)
{
    json_t *request =
        json_pack("{ss ss ss ss}", "op", "retire", "key", key, "id", request_id, "why", why);
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

int client_get(struct client *c, const char *key, json_t **reply_out, struct err *err)
{
    return call_text(c, json_pack("{ss ss}", "op", "get", "key", key), reply_out, err);
}
