/* SPDX-License-Identifier: ISC */
/*
 * visitors: the supervisor's side of remote.h: who may ask, what is asked, and the frames in reply.
 * What is asked for is durable before it is said to be, and whoever goes away does not end it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/sock.h"
#include "imapsync/jobs/status.h"
#include "imapsync/jobs/supervisor_parts.h"
#include "imapsync/journal/items.h"
#include "imapsync/journal/text.h"
#include "maps/access.h"
#include "maps/route.h"

#define SOCKET_MODE 0660
#define VISITORS_MAX 4096
#define REQUEST_MS 30000
#define STATUS_AT_ONCE 200 /* users in a frame */

/* A visitor who waits for a job. */
struct watcher {
    LIST_ENTRY(watcher) of_job, of_visitor;
    struct visitor *visitor;
    struct queue_job *job;
    enum request_kind kind;
};
LIST_HEAD(watchers, watcher);

struct visitor {
    LIST_ENTRY(visitor) link;
    struct supervisor *s;
    struct frames *frames; /* NULL: ourselves, or gone */
    void (*line)(void *arg, const json_t *line);
    void *arg;
    bool may_ask, has_asked, is_over, is_many;
    struct watchers watchers;
    size_t n_failed, n;
    int status; /* the worst, in the end */
    struct err err;
    bool is_listing, is_brief; /* status */
    char after[2 * ROUTE_KEY_MAX];
};

/* --- What they are told ----------------------------------------------------------------------- */

static void say_line(struct visitor *v, const json_t *line)
{
    if (v->line)
        v->line(v->arg, line);
    else if (v->frames)
        frames_send_own(v->frames, json_pack("{s:O}", "line", line));
}

static void say_end(struct visitor *v, int status, const char *text)
{
    v->is_over = true;
    v->status = status;
    struct err err = ERR_INIT;
    if (text[0])
        err_set(&err, ERR_TEMP, status, "%s", text);
    v->err = err;
    if (v->frames) {
        frames_send_own(v->frames,
            json_pack("{s:{s:i, s:o}}", "end", "status", status, "text", text_json(err.text)));
        frames_finish(v->frames);
    }
}

static struct watchers *of(const struct queue_job *job)
{
    return job->watchers;
}

void watchers_line(const struct queue_job *job, const json_t *line)
{
    struct watcher *w = of(job) ? LIST_FIRST(of(job)) : NULL;
    for (; w; w = LIST_NEXT(w, of_job))
        say_line(w->visitor, line);
}

static void drop_watcher(struct watcher *w)
{
    LIST_REMOVE(w, of_job);
    LIST_REMOVE(w, of_visitor);
    free(w);
}

/* One of several users. */
static void tell_one(struct visitor *v, const char *user, int status, const char *text)
{
    json_t *line = json_pack("{s:o, s:s, s:i, s:o}", "user", text_json(user), "state",
        status == 0 ? "ended" : "failed", "status", status, "text", text_json(text));
    say_line(v, line);
    json_decref(line);
}

static void count_one(struct visitor *v, const char *user, int status, const char *text)
{
    char sum[128];
    if (v->is_many)
        tell_one(v, user, status, text);
    v->n_failed += status > 1;
    v->status = status > v->status ? status : v->status;
    if (!LIST_EMPTY(&v->watchers))
        return;
    if (!v->is_many) {
        say_end(v, status, text);
        return;
    }
    if (fmt_into(sum, sizeof(sum), "%zu of %zu users have failed", v->n_failed, v->n) != 0)
        BUG("two numbers fit");
    say_end(v, v->status, v->n_failed > 0 ? sum : "");
}

void watchers_end(struct queue_job *job, enum request_kind kind, int status, const char *text)
{
    struct watcher *w, *next;
    for (w = of(job) ? LIST_FIRST(of(job)) : NULL; w; w = next) {
        struct visitor *v = w->visitor;
        next = LIST_NEXT(w, of_job);
        if (kind != REQUEST_NONE && w->kind != kind)
            continue;
        drop_watcher(w);
        count_one(v, job->user, status, text);
    }
}

static void watch(struct visitor *v, struct queue_job *job, enum request_kind kind)
{
    struct watcher *w = mem_zalloc(sizeof(*w));
    if (!job->watchers) {
        struct watchers *list = mem_zalloc(sizeof(*list));
        LIST_INIT(list);
        job->watchers = list;
    }
    *w = (struct watcher){.visitor = v, .job = job, .kind = kind};
    LIST_INSERT_HEAD(of(job), w, of_job);
    LIST_INSERT_HEAD(&v->watchers, w, of_visitor);
}

/* --- Status ----------------------------------------------------------------------------------- */

struct listing {
    struct visitor *v;
    json_t *users;
};

static int list_one(void *arg, struct move_record *r)
{
    struct listing *l = arg;
    json_array_append_new(l->users, status_user(l->v->s->queue, r, l->v->is_brief));
    if (fmt_into(l->v->after, sizeof(l->v->after), "%s", r->user) != 0)
        BUG("a user of the store fits");
    return json_array_size(l->users) == STATUS_AT_ONCE;
}

/* Some more users; those who have only been asked for come behind all others. */
static void list_more(struct visitor *v)
{
    struct listing l = {.v = v, .users = json_array()};
    struct err err = ERR_INIT;
    int result =
        users_each(v->s->store, v->after[0] ? v->after : NULL, !v->is_brief, list_one, &l, &err);
    if (result == 0)
        status_waiting(v->s->queue, l.users);
    if (result >= 0) {
        json_t *line = json_pack("{s:O}", "users", l.users);
        say_line(v, line);
        json_decref(line);
    }
    json_decref(l.users);
    v->is_listing = result == 1;
    if (result < 0)
        say_end(v, err_exit_code(&err), err.text);
    else if (result == 0)
        say_end(v, 0, "");
}

/* As fast as it is read. */
static void list(struct visitor *v)
{
    while (v->is_listing && (!v->frames || !frames_is_waiting(v->frames)))
        list_more(v);
}

/* --- What is asked ------------------------------------------------------------------------- */

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

static int take_request(const json_t *request, struct request *out, struct err *err)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    const char *to = json_string_value(json_object_get(request, "to"));
    const json_t *percent = json_object_get(request, "delete_percent");
    *out = (struct request){.kind = REQUEST_CUTOVER, .asked_ms = clock_wall_ms()};
    out->due_ms = out->asked_ms;
    if (!op)
        return err_set(err, ERR_PERM, EX_USAGE, "a request has op and user");
    if (strcmp(op, "rollback") == 0)
        out->kind = REQUEST_ROLLBACK;
    else if (strcmp(op, "retire") == 0)
        out->kind = REQUEST_RETIRE;
    else if (strcmp(op, "cutover") != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "there is no operation %s", op);
    if (percent && (!json_is_integer(percent) || json_integer_value(percent) < 0 ||
                       json_integer_value(percent) > 100))
        return err_set(err, ERR_PERM, EX_USAGE, "delete_percent is a number from 0 to 100");
    out->has_delete_percent = percent != NULL;
    out->delete_percent = (uint32_t)json_integer_value(percent);
    if (to && fmt_into(out->to, sizeof(out->to), "%s", to) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "the name of the server is too long");
    return take_codes(json_object_get(request, "accept"), &out->accept, err);
}

static int key_of(const struct supervisor *s, const json_t *user, struct buf *out, struct err *err)
{
    const char *text = json_string_value(user);
    buf_clear(out);
    if (!text)
        return err_set(err, ERR_PERM, EX_USAGE, "a request has op and user");
    if (normalise_key(s->conf, slice_str(text), out) != 0 || buf_slice(out).p[0] == '@')
        return err_set(err, ERR_PERM, EX_USAGE, "%s is no user's address", text);
    return 0;
}

/* Somebody is at work on this user, for whoever has asked before. */
static int refuse_busy(
    struct supervisor *s, struct queue_job *job, const struct request *r, struct err *err)
{
    if (!job->is_running || queue_kind_of(job->running) == REQUEST_NONE)
        return 0;
    if (s->is_once || job->running != QUEUE_CUTOVER)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s is being worked on", job->user);
    if (r->kind != REQUEST_ROLLBACK)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s is being cut over", job->user);
    process_call_back(job->worker);
    return 0;
}

static int ask(struct visitor *v, const char *user, const struct request *r, struct err *err)
{
    struct supervisor *s = v->s;
    struct queue_job *job = queue_get(s->queue, user);
    if (s->is_stopping)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "coexist-sync is being stopped");
    if (refuse_busy(s, job, r, err) != 0)
        return -1;
    if (!s->is_once && users_ask(s->store, user, r, err) != 0) {
        supervisor_fail(s, err);
        return -1;
    }
    job->is_stored = job->is_stored || !s->is_once;
    /* What was asked for before and waits is over with this. */
    if (r->kind == REQUEST_ROLLBACK && !job->is_running)
        watchers_end(job, REQUEST_CUTOVER, EX_TEMPFAIL, "stopped on request");
    queue_ask(job, r);
    watch(v, job, r->kind);
    return 0;
}

/* One user whom it cannot be asked for keeps nobody else from it. */
static void ask_each(struct visitor *v, const json_t *users, const struct request *r)
{
    struct supervisor *s = v->s;
    struct err err = ERR_INIT;
    const json_t *user;
    struct buf key;
    size_t i;
    buf_init(&key, 2 * ROUTE_KEY_MAX - 1);
    v->is_many = json_array_size(users) != 1;
    v->n = json_array_size(users);
    int result = s->is_once ? 0 : users_begin(s->store, &err);
    size_t n_refused = 0;
    json_array_foreach(users, i, user)
    {
        struct err why = ERR_INIT;
        if (result != 0 || s->failed.class != ERR_NONE)
            break;
        if (key_of(s, user, &key, &why) == 0 && ask(v, buf_cstr(&key), r, &why) == 0)
            continue;
        n_refused++;
        v->n_failed++;
        v->status = err_exit_code(&why) > v->status ? err_exit_code(&why) : v->status;
        if (v->is_many)
            tell_one(v, json_is_string(user) ? json_string_value(user) : "?", err_exit_code(&why),
                why.text);
        else
            v->err = why;
    }
    if (result == 0 && !s->is_once && s->failed.class == ERR_NONE)
        result = users_commit(s->store, &err);
    buf_fini(&key);
    if (result != 0 && s->failed.class == ERR_NONE)
        supervisor_fail(s, &err);
    if (s->failed.class != ERR_NONE)
        say_end(v, err_exit_code(&s->failed), s->failed.text);
    else if (n_refused == v->n && !v->is_many)
        say_end(v, v->status, v->err.text);
    else if (n_refused == v->n)
        say_end(
            v, v->n > 0 ? v->status : EX_USAGE, v->n > 0 ? "all users have failed" : "no users");
}

static void carry_out(struct visitor *v, const json_t *request)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    const json_t *users = json_object_get(request, "users");
    struct request r;
    struct err err = ERR_INIT;
    v->has_asked = true;
    if (v->frames)
        frames_deadline(v->frames, 0);
    if (!v->may_ask)
        err_set(&err, ERR_PERM, EX_NOPERM, "only root and our own user may ask for that");
    else if (op && strcmp(op, "status") == 0) {
        v->is_listing = true;
        v->is_brief = json_is_true(json_object_get(request, "brief"));
        list(v);
        return;
    } else if (take_request(request, &r, &err) == 0) {
        json_t *one = users ? NULL : json_array();
        if (one)
            json_array_append_new(one, json_incref(json_object_get(request, "user")));
        if (one && json_array_size(one) == 0)
            err_set(&err, ERR_PERM, EX_USAGE, "a request has op and user");
        else
            ask_each(v, users ? users : one, &r);
        json_decref(one);
    }
    if (err.class != ERR_NONE)
        say_end(v, err_exit_code(&err), err.text);
}

/* --- Visitors ------------------------------------------------------------------------------------
 */

static void visitor_free(struct visitor *v)
{
    while (!LIST_EMPTY(&v->watchers))
        drop_watcher(LIST_FIRST(&v->watchers));
    LIST_REMOVE(v, link);
    v->s->n_visitors--;
    frames_free(&v->frames);
    free(v);
}

static void on_frame(void *arg, const json_t *frame)
{
    struct visitor *v = arg;
    struct supervisor *s = v->s;
    if (v->has_asked)
        return;
    carry_out(v, frame);
    supervisor_look(s);
}

static void on_drained(void *arg)
{
    list(arg);
}

static void on_closed(void *arg)
{
    struct visitor *v = arg;
    struct supervisor *s = v->s;
    visitor_free(v);
    supervisor_look(s);
}

static const struct frames_events EVENTS = {
    .frame = on_frame, .drained = on_drained, .closed = on_closed};

static bool may_ask(int fd)
{
    struct ucred cred;
    socklen_t size = sizeof(cred);
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0 &&
           (cred.uid == 0 || cred.uid == geteuid());
}

static struct visitor *visitor_new(struct supervisor *s)
{
    struct visitor *v = mem_zalloc(sizeof(*v));
    v->s = s;
    LIST_INIT(&v->watchers);
    LIST_INSERT_HEAD(&s->visitors, v, link);
    s->n_visitors++;
    return v;
}

static void on_accepted_own(void *arg, int fd, const struct net_addr *peer ATTR_UNUSED)
{
    struct supervisor *s = arg;
    if (s->n_visitors >= VISITORS_MAX) {
        log_warn("control_full", log_u64("visitors", VISITORS_MAX));
        io_close(&fd);
        return;
    }
    struct visitor *v = visitor_new(s);
    v->may_ask = may_ask(fd);
    v->frames = frames_new_own(s->loop, fd, &EVENTS, v);
    frames_deadline(v->frames, REQUEST_MS);
}

static bool on_accept_failed(void *arg, const struct err *err)
{
    const struct supervisor *s = arg;
    log_error("accept_failed", log_err(err), log_u64("visitors", s->n_visitors));
    return false;
}

static const struct listener_events LISTENER_EVENTS = {
    .accepted_own = on_accepted_own, .failed = on_accept_failed};

int visitors_listen(struct supervisor *s, struct err *err)
{
    int fd;
    if ((s->conf->sync.user == NULL && io_mkdir(s->conf->run, 0750, err) != 0) ||
        access_sync_socket(s->conf, &s->socket_path, err) != 0)
        return -1;
    const struct net_endpoint where = {
        .scheme = NET_SCHEME_UNIX, .host = (char *)(uintptr_t)buf_cstr(&s->socket_path)};
    if (sock_listen(&where, false, SOCKET_MODE, &fd, err) != 0)
        return -1;
    s->listener = listener_new_own(s->loop, fd, &LISTENER_EVENTS, s);
    return 0;
}

struct visitor *visitor_own(struct supervisor *s, const json_t *request,
    void (*line)(void *arg, const json_t *line), void *arg)
{
    struct visitor *v = visitor_new(s);
    v->line = line;
    v->arg = arg;
    v->may_ask = true;
    carry_out(v, request);
    return v;
}

bool visitor_is_over(const struct visitor *v, int *status_out, struct err *err)
{
    *status_out = v->status;
    if (v->is_over && v->err.class != ERR_NONE)
        *err = v->err;
    return v->is_over;
}

void visitor_call_back(struct visitor *v)
{
    struct watcher *w, *next;
    for (w = LIST_FIRST(&v->watchers); w; w = next) {
        struct queue_job *job = w->job;
        next = LIST_NEXT(w, of_visitor);
        if (job->is_running) {
            process_call_back(job->worker);
            continue;
        }
        job->request = (struct request){0};
        drop_watcher(w);
        count_one(v, job->user, EX_TEMPFAIL, "stopped on request");
    }
    supervisor_look(v->s);
}

void visitors_free(struct supervisor *s)
{
    while (!LIST_EMPTY(&s->visitors))
        visitor_free(LIST_FIRST(&s->visitors));
    for (struct queue_job *job = queue_first(s->queue); job; job = job->next) {
        free(job->watchers);
        job->watchers = NULL;
    }
}

bool visitors_wait(const struct supervisor *s)
{
    const struct visitor *v = LIST_FIRST(&s->visitors);
    while (v && (v->is_over || !v->has_asked))
        v = LIST_NEXT(v, link);
    return v != NULL;
}
