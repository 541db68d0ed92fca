/* SPDX-License-Identifier: ISC */
/*
 * control: see control.h.  One thread for each visitor, who waits for what it has asked for.  One
 * that goes away does not end its cut-over.
 */
#include "imapsync/move/control.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/listener.h"
#include "imapsync/journal/text.h"
#include "imapsync/move/cutover.h"
#include "imapsync/move/lines.h"
#include "maps/client_frame.h"
#include "maps/route.h"

#define LINE_TIMEOUT_MS 2000
#define SWEEP_WAIT_MS 10000 /* our own sweep may be at work on the user */
#define USER_MAX (2 * ROUTE_KEY_MAX)

struct visitor {
    struct control *c;
    struct used_conf *used;
    int fd;
    bool is_gone; /* does not read what we say */
    struct jobs_job *job;
};

/* --- What a job tells ------------------------------------------------------------------- */

static void send_own(struct visitor *v, json_t *frame)
{
    struct err err = ERR_INIT;
    if (!v->is_gone &&
        client_frame_send(v->fd, frame, clock_mono_ms() + LINE_TIMEOUT_MS, "visitor", &err) != 0)
        v->is_gone = true;
    json_decref(frame);
}

static void on_line(void *arg, const json_t *line)
{
    struct visitor *v = arg;
    lines_log(line);
    send_own(v, json_pack("{s:O}", "line", line));
}

static bool on_wants_back(void *arg)
{
    const struct visitor *v = arg;
    return jobs_wants_back(v->job);
}

static int on_cancel_fd(void *arg)
{
    const struct visitor *v = arg;
    return jobs_cancel_fd(v->job);
}

static void on_critical(void *arg, bool is_critical)
{
    struct visitor *v = arg;
    jobs_critical(v->job, is_critical);
}

static const struct move_events visitor_events = {.line = on_line,
    .wants_back = on_wants_back,
    .cancel_fd = on_cancel_fd,
    .critical = on_critical,
    .lock_wait_ms = SWEEP_WAIT_MS};

/* --- Requests ----------------------------------------------------------------------------- */

static int take_codes(const json_t *codes, uint32_t *out, struct err *err)
{
    const char *names[ITEM_CODES + 1] = {NULL};
    const size_t n = json_array_size(codes);
    for (size_t i = 0; i < n && i < ITEM_CODES; i++)
        names[i] = json_string_value(json_array_get(codes, i));
    for (size_t i = 0; i < n; i++) {
        if (i == ITEM_CODES || !names[i])
            return err_set(err, ERR_PERM, EX_USAGE, "accept is a list of codes");
    }
    return item_codes_named(names, out, err);
}

static int carry_out(struct visitor *v, const json_t *request, struct err *err)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    const char *user = json_string_value(json_object_get(request, "user"));
    const json_t *percent = json_object_get(request, "delete_percent");
    struct cutover_wish wish = {.to = json_string_value(json_object_get(request, "to")),
        .has_delete_percent = json_is_integer(percent),
        .delete_percent = (unsigned)json_integer_value(percent)};
    const struct conf *conf = v->used->conf;
    struct buf key;
    int result = -1;
    buf_init(&key, USER_MAX - 1);
    if (!op || !user) {
        err_set(err, ERR_PERM, EX_USAGE, "a request has op and user");
    } else if (normalise_key(conf, slice_str(user), &key) != 0) {
        err_set(err, ERR_PERM, EX_USAGE, "%s is no user's address", user);
    } else if (strcmp(op, "cutover") != 0 && strcmp(op, "rollback") != 0 &&
               strcmp(op, "retire") != 0) {
        err_set(err, ERR_PERM, EX_USAGE, "there is no operation %s", op);
    } else if (percent && (json_integer_value(percent) < 0 || json_integer_value(percent) > 100)) {
        err_set(err, ERR_PERM, EX_USAGE, "delete_percent is a number from 0 to 100");
    } else if (take_codes(json_object_get(request, "accept"), &wish.accept, err) == 0) {
        bool is_back = strcmp(op, "rollback") == 0, is_retire = strcmp(op, "retire") == 0;
        if (is_back)
            jobs_call_back(v->c->jobs, buf_cstr(&key));
        /* Somebody who wants a user back does not queue behind copies. */
        if (jobs_begin(v->c->jobs, buf_cstr(&key), is_back ? UINT_MAX : conf->sync.jobs_max,
                &v->job, err) == 0) {
            result = is_back     ? cutover_back(conf, user, &visitor_events, v, err)
                     : is_retire ? cutover_retire(conf, user, &visitor_events, v, err)
                                 : cutover_run(conf, user, &wish, &visitor_events, v, err);
            jobs_end(&v->job);
        }
    }
    buf_fini(&key);
    return result;
}

/* --- Visitors -------------------------------------------------------------------------------- */

static bool may_ask(int fd)
{
    struct ucred cred;
    socklen_t size = sizeof(cred);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0 &&
           (cred.uid == 0 || cred.uid == geteuid());
}

static void *visit(void *arg)
{
    struct visitor *v = arg;
    struct control *c = v->c;
    struct err err = ERR_INIT;
    json_t *request;
    int result = -1;
    if (client_frame_receive(
            v->fd, &request, clock_mono_ms() + CONTROL_REQUEST_MS, "visitor", &err) != 0) {
        log_debug("visitor_dropped", log_err(&err));
    } else {
        if (may_ask(v->fd))
            result = carry_out(v, request, &err);
        else
            err_set(&err, ERR_PERM, EX_NOPERM, "only root and our own user may ask for that");
        json_decref(request);
        send_own(v, json_pack("{s:{s:i, s:o}}", "end", "status",
                        result < 0 ? err_exit_code(&err) : result, "text", text_json(err.text)));
    }
    io_close(&v->fd);
    conf_use_drop(c->confs, v->used);
    free(v);
    jobs_thread_ends(c->jobs);
    return NULL;
}

static void on_accepted_own(void *arg, int fd, const struct net_addr *peer ATTR_UNUSED)
{
    struct control *c = arg;
    struct visitor *v = mem_zalloc(sizeof(*v));
    *v = (struct visitor){.c = c, .fd = fd, .used = conf_use_take(c->confs)};
    if (jobs_threads(c->jobs) >= CONTROL_VISITORS_MAX ||
        jobs_thread_start(c->jobs, visit, v) != 0) {
        log_warn("control_full", log_u64("visitors", CONTROL_VISITORS_MAX));
        io_close(&v->fd);
        conf_use_drop(c->confs, v->used);
        free(v);
    }
}

static bool on_accept_failed(void *arg, const struct err *err)
{
    struct control *c = arg;
    log_error("accept_failed", log_err(err), log_u64("threads", jobs_threads(c->jobs)));
    return false;
}

static const struct listener_events listener_events = {
    .accepted_own = on_accepted_own, .failed = on_accept_failed};

void control_start_own(
    struct control *c, struct loop *loop, int listen_fd, struct jobs *jobs, struct conf_use *confs)
{
    *c = (struct control){.jobs = jobs, .confs = confs};
    c->listener = listener_new_own(loop, listen_fd, &listener_events, c);
}

void control_fini(struct control *c)
{
    listener_free(&c->listener);
}
