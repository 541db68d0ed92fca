/* SPDX-License-Identifier: ISC */
/*
 * service: one thread for signals and the listening socket (loop), one for each visitor, who waits
 * for what it has asked for, and one that tends: it recovers what a kill has left, and sweeps.
 *
 * A visitor that goes away does not end its cut-over.  At SIGTERM those whose users' mail waits
 * come to their end, since that is a matter of seconds; all others are left where they are, for
 * which their journals are made, and the process ends without them.
 *
 * What the threads share is in struct service, under its mutex.  Jobs go on with the configuration
 * that they began with; each is freed when the last of its users lets go.
 */
#include "imapsync/move/service.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/daemon.h"
#include "base/os/io.h"
#include "base/os/listener.h"
#include "base/os/loop.h"
#include "base/os/sock.h"
#include "imapsync/move/cutover.h"
#include "maps/access.h"
#include "maps/client_frame.h"
#include "maps/route.h"

#define SOCKET_MODE 0660
#define PATH_LENGTH_MAX 4096
#define TEND_EVERY_MIN_MS 50
#define TEND_EVERY_MAX_MS 15000
#define LINE_TIMEOUT_MS 2000
#define SWEEP_WAIT_MS 10000 /* our own sweep may be at work on the user */
#define USER_MAX (2 * ROUTE_KEY_MAX)

/* A cut-over that somebody has asked for. */
struct running {
    struct running *next;
    char user[USER_MAX];
    bool wants_back;
};

/* A configuration and how many use it; the service is one of them while it is the newest. */
struct used_conf {
    struct conf *conf;
    unsigned n_users;
};

struct service {
    const char *conf_path;
    struct loop *loop;
    struct listener *listener;
    struct loop_signal *on_term, *on_int, *on_hup;
    struct loop_timer *tick;
    struct buf socket_path;
    int lock_fd;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct used_conf *now;
    struct running *running;
    unsigned n_jobs, n_threads, n_critical;
    bool is_tending, is_stopping;
};

struct visitor {
    struct service *s;
    struct used_conf *used;
    const struct conf *conf;
    int fd;
    bool is_gone; /* does not read what we say */
    bool is_critical;
    struct running *running;
};

static struct used_conf *use_own(struct conf *conf)
{
    struct used_conf *u = mem_zalloc(sizeof(*u));
    *u = (struct used_conf){.conf = conf, .n_users = 1};
    return u;
}

static struct used_conf *use_now(struct service *s)
{
    pthread_mutex_lock(&s->mutex);
    struct used_conf *u = s->now;
    u->n_users++;
    pthread_mutex_unlock(&s->mutex);
    return u;
}

static void unuse(struct service *s, struct used_conf *u)
{
    pthread_mutex_lock(&s->mutex);
    bool is_last = --u->n_users == 0;
    pthread_mutex_unlock(&s->mutex);
    if (!is_last)
        return;
    conf_free(&u->conf);
    free(u);
}

/* --- What a job tells ------------------------------------------------------------------- */

static void log_line(const json_t *line)
{
    const char *user = json_string_value(json_object_get(line, "user"));
    const char *state = json_string_value(json_object_get(line, "state"));
    const char *text = json_string_value(json_object_get(line, "text"));
    if (!json_object_get(line, "progress") && user && state && text)
        log_info("cutover", log_str("user", user), log_str("state", state), log_str("text", text));
}

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
    log_line(line);
    send_own(v, json_pack("{s:O}", "line", line));
}

static bool on_wants_back(void *arg)
{
    struct visitor *v = arg;
    pthread_mutex_lock(&v->s->mutex);
    bool wants = v->running->wants_back;
    pthread_mutex_unlock(&v->s->mutex);
    return wants;
}

/* Who would take a hold while the process is about to end waits here for that end. */
static void on_critical(void *arg, bool is_critical)
{
    struct visitor *v = arg;
    struct service *s = v->s;
    if (is_critical == v->is_critical)
        return;
    pthread_mutex_lock(&s->mutex);
    while (is_critical && s->is_stopping)
        pthread_cond_wait(&s->changed, &s->mutex);
    v->is_critical = is_critical;
    if (is_critical)
        s->n_critical++;
    else
        s->n_critical--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

static const struct move_events visitor_events = {.line = on_line,
    .wants_back = on_wants_back,
    .critical = on_critical,
    .lock_wait_ms = SWEEP_WAIT_MS};

/* --- Requests ----------------------------------------------------------------------------- */

static struct running *find_running_locked(struct service *s, const char *user)
{
    struct running *r = s->running;
    while (r && strcmp(r->user, user) != 0)
        r = r->next;
    return r;
}

/* Waits for a place among sync.jobs_max. */
static int job_begin(struct visitor *v, const char *user, struct err *err)
{
    struct service *s = v->s;
    struct running *r = mem_zalloc(sizeof(*r));
    int result = fmt_into(r->user, sizeof(r->user), "%s", user);
    pthread_mutex_lock(&s->mutex);
    if (result != 0 || find_running_locked(s, user)) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s is being cut over", user);
        free(r);
        result = -1;
    } else {
        r->next = s->running;
        s->running = v->running = r;
        while (s->n_jobs >= v->conf->sync.jobs_max && !r->wants_back)
            pthread_cond_wait(&s->changed, &s->mutex);
        s->n_jobs++;
    }
    pthread_mutex_unlock(&s->mutex);
    return result;
}

static void job_end(struct visitor *v)
{
    struct service *s = v->s;
    on_critical(v, false);
    pthread_mutex_lock(&s->mutex);
    struct running **at = &s->running;
    while (*at != v->running)
        at = &(*at)->next;
    *at = v->running->next;
    s->n_jobs--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
    free(v->running);
    v->running = NULL;
}

static void stop_running(struct service *s, const char *user)
{
    pthread_mutex_lock(&s->mutex);
    struct running *r;
    while ((r = find_running_locked(s, user)) != NULL) {
        r->wants_back = true;
        pthread_cond_broadcast(&s->changed);
        pthread_cond_wait(&s->changed, &s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
}

static int carry_out(struct visitor *v, const json_t *request, struct err *err)
{
    const char *op = json_string_value(json_object_get(request, "op"));
    const char *user = json_string_value(json_object_get(request, "user"));
    const char *to = json_string_value(json_object_get(request, "to"));
    struct buf key;
    int result = -1;
    buf_init(&key, USER_MAX - 1);
    if (!op || !user) {
        err_set(err, ERR_PERM, EX_USAGE, "a request has op and user");
    } else if (normalise_key(v->conf, slice_str(user), &key) != 0) {
        err_set(err, ERR_PERM, EX_USAGE, "%s is no user's address", user);
    } else if (strcmp(op, "cutover") != 0 && strcmp(op, "rollback") != 0) {
        err_set(err, ERR_PERM, EX_USAGE, "there is no operation %s", op);
    } else {
        bool is_back = op[0] == 'r';
        if (is_back)
            stop_running(v->s, buf_cstr(&key));
        if (job_begin(v, buf_cstr(&key), err) == 0) {
            result = is_back ? cutover_back(v->conf, user, &visitor_events, v, err)
                             : cutover_run(v->conf, user, to, &visitor_events, v, err);
            job_end(v);
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

static void thread_ends(struct service *s)
{
    pthread_mutex_lock(&s->mutex);
    s->n_threads--;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->mutex);
}

static void *visit(void *arg)
{
    struct visitor *v = arg;
    struct service *s = v->s;
    struct err err = ERR_INIT;
    json_t *request;
    int result = -1;
    if (client_frame_receive(
            v->fd, &request, clock_mono_ms() + SERVICE_REQUEST_MS, "visitor", &err) != 0) {
        log_debug("visitor_dropped", log_err(&err));
    } else {
        if (may_ask(v->fd))
            result = carry_out(v, request, &err);
        else
            err_set(&err, ERR_PERM, EX_NOPERM, "only root and our own user may ask for that");
        json_decref(request);
        send_own(v, json_pack("{s:{s:i, s:s}}", "end", "status",
                        result < 0 ? err_exit_code(&err) : result, "text", err.text));
    }
    io_close(&v->fd);
    unuse(s, v->used);
    free(v);
    thread_ends(s);
    return NULL;
}

static int thread_start(struct service *s, void *(*run)(void *), void *arg)
{
    pthread_t thread;
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_mutex_lock(&s->mutex);
    int result = pthread_create(&thread, &attr, run, arg) == 0 ? 0 : -1;
    s->n_threads += result == 0;
    pthread_mutex_unlock(&s->mutex);
    pthread_attr_destroy(&attr);
    return result;
}

static void on_accepted_own(void *arg, int fd, const struct net_addr *peer ATTR_UNUSED)
{
    struct service *s = arg;
    struct visitor *v = mem_zalloc(sizeof(*v));
    v->s = s;
    v->fd = fd;
    v->used = use_now(s);
    v->conf = v->used->conf;
    pthread_mutex_lock(&s->mutex);
    bool is_full = s->n_threads >= SERVICE_VISITORS_MAX;
    pthread_mutex_unlock(&s->mutex);
    if (is_full || thread_start(s, visit, v) != 0) {
        log_warn("control_full", log_u64("visitors", SERVICE_VISITORS_MAX));
        io_close(&v->fd);
        unuse(s, v->used);
        free(v);
    }
}

static bool on_accept_failed(void *arg, const struct err *err)
{
    struct service *s = arg;
    pthread_mutex_lock(&s->mutex);
    unsigned n_threads = s->n_threads;
    pthread_mutex_unlock(&s->mutex);
    log_error("accept_failed", log_err(err), log_u64("threads", n_threads));
    return false;
}

static const struct listener_events listener_events = {
    .accepted_own = on_accepted_own, .failed = on_accept_failed};

/* --- Tending -----------------------------------------------------------------------------------
 */

/* A walk over all users. */
struct round {
    struct service *s;
    char **silent; /* servers that did not answer in it: one timeout each, not one for each user */
    size_t n_silent;
};

static bool on_is_silent(void *arg, const char *server)
{
    const struct round *r = arg;
    for (size_t i = 0; i < r->n_silent; i++) {
        if (strcmp(r->silent[i], server) == 0)
            return true;
    }
    return false;
}

static void on_silent(void *arg, const char *server)
{
    struct round *r = arg;
    if (on_is_silent(r, server))
        return;
    r->silent = mem_realloc_array(r->silent, r->n_silent + 1, sizeof(*r->silent));
    r->silent[r->n_silent++] = mem_strdup(server);
    log_warn("server_silent", log_str("server", server),
        log_str("text", "users with a mailbox there are swept in a later round"));
}

static void on_tended(void *arg ATTR_UNUSED, const json_t *line)
{
    const json_t *late = json_object_get(line, "late");
    if (!late || json_integer_value(late) > 0)
        log_line(line);
}

static const struct move_events tend_events = {
    .line = on_tended, .silent = on_silent, .is_silent = on_is_silent};

static int tend_one(void *arg, const char *dir)
{
    struct round *r = arg;
    struct service *s = r->s;
    struct err err = ERR_INIT;
    pthread_mutex_lock(&s->mutex);
    bool is_stopping = s->is_stopping;
    pthread_mutex_unlock(&s->mutex);
    if (is_stopping)
        return 1;
    struct used_conf *used = use_now(s);
    if (cutover_tend(used->conf, dir, &tend_events, r, &err) != 0)
        log_warn("tend_failed", log_str("dir", dir), log_err(&err));
    unuse(s, used);
    return 0;
}

/* A sweep may have to wait a minute for a server that hangs; who is held does not need it. */
static int tend_held(void *arg, const char *dir)
{
    struct move_record r;
    struct err ignored = ERR_INIT;
    if (move_record_load(dir, &r, &ignored) != 0 || !move_may_hold(r.state))
        return 0;
    return tend_one(arg, dir);
}

static void *tend(void *arg)
{
    struct service *s = arg;
    struct round r = {.s = s};
    struct err err = ERR_INIT;
    struct used_conf *used = use_now(s);
    if (move_record_each(used->conf, tend_held, &r, &err) < 0 ||
        move_record_each(used->conf, tend_one, &r, &err) < 0)
        log_error("tend_failed", log_err(&err));
    unuse(s, used);
    for (size_t i = 0; i < r.n_silent; i++)
        free(r.silent[i]);
    free(r.silent);
    pthread_mutex_lock(&s->mutex);
    s->is_tending = false;
    pthread_mutex_unlock(&s->mutex);
    thread_ends(s);
    return NULL;
}

static void on_tick(void *arg)
{
    struct service *s = arg;
    pthread_mutex_lock(&s->mutex);
    bool is_free = !s->is_tending;
    s->is_tending = true;
    pthread_mutex_unlock(&s->mutex);
    if (is_free && thread_start(s, tend, s) != 0) {
        log_warn("tend_failed", log_str("error", "no thread"));
        pthread_mutex_lock(&s->mutex);
        s->is_tending = false;
        pthread_mutex_unlock(&s->mutex);
    }
}

static void set_tick(struct service *s, const struct conf *conf)
{
    uint64_t every_ms = conf->sync.sweep_interval_ms / 4;
    every_ms = every_ms < TEND_EVERY_MIN_MS ? TEND_EVERY_MIN_MS : every_ms;
    loop_timer_repeat(s->tick, every_ms > TEND_EVERY_MAX_MS ? TEND_EVERY_MAX_MS : every_ms);
}

/* --- Signals
 * -------------------------------------------------------------------------------------- */

static void on_stop(void *arg, int signum ATTR_UNUSED)
{
    struct service *s = arg;
    daemon_notify("STOPPING=1");
    loop_stop(s->loop);
}

static void on_reload(void *arg, int signum ATTR_UNUSED)
{
    struct service *s = arg;
    struct err err = ERR_INIT;
    struct conf *conf = NULL;
    struct used_conf *before = s->now; /* only this thread changes it */
    const struct conf *now = before->conf;
    daemon_notify("RELOADING=1");
    int result = conf_load(s->conf_path, &conf, &err);
    if (result == 0 && (strcmp(conf->state, now->state) != 0 || strcmp(conf->run, now->run) != 0))
        result = err_set(&err, ERR_PERM, EX_CONFIG, "state and run only change with a restart");
    if (result != 0) {
        log_error("reload_failed", log_err(&err));
        conf_free(&conf);
    } else {
        struct used_conf *used = use_own(conf);
        pthread_mutex_lock(&s->mutex);
        s->now = used;
        pthread_mutex_unlock(&s->mutex);
        unuse(s, before);
        set_tick(s, conf);
        log_info("reloaded", log_str("file", s->conf_path));
    }
    daemon_notify("READY=1");
}

/* --- Life
 * ------------------------------------------------------------------------------------------ */

static int take_lock(struct service *s, const struct conf *conf, struct err *err)
{
    struct buf path;
    int result = -1;
    buf_init(&path, PATH_LENGTH_MAX);
    if (io_path(&path, conf->state, "sync") != 0)
        err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", conf->state);
    else if (io_mkdir(conf->state, 0755, err) == 0 && io_mkdir(buf_cstr(&path), 0700, err) == 0 &&
             io_path(&path, conf->state, "sync", "run.lock") == 0 &&
             io_lock_file(buf_cstr(&path), &s->lock_fd, err) == 0)
        result = 0;
    buf_fini(&path);
    return result;
}

static int start(struct service *s, const struct conf *conf, struct err *err)
{
    int listen_fd;

    if (access_become_sync(conf, err) != 0 || take_lock(s, conf, err) != 0 ||
        (conf->sync.user == NULL && io_mkdir(conf->run, 0750, err) != 0))
        return -1;
    if (access_sync_socket(conf, &s->socket_path, err) != 0)
        return -1;
    struct net_endpoint where = {
        .scheme = NET_SCHEME_UNIX, .host = (char *)(uintptr_t)buf_cstr(&s->socket_path)};
    if (sock_listen(&where, false, SOCKET_MODE, &listen_fd, err) != 0)
        return -1;
    s->listener = listener_new_own(s->loop, listen_fd, &listener_events, s);
    s->tick = loop_timer_new(s->loop, on_tick, s);
    set_tick(s, conf);
    on_tick(s); /* what the last process has left comes first */
    return 0;
}

/* Nobody takes a hold any more; those who have one come to its end.  true: no thread is left. */
static bool wait_for_jobs(struct service *s)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SERVICE_STOP_MS / 1000;
    pthread_mutex_lock(&s->mutex);
    s->is_stopping = true;
    int late = 0;
    while (s->n_critical > 0 && late == 0)
        late = pthread_cond_timedwait(&s->changed, &s->mutex, &until);
    if (late != 0)
        log_error("stop_late", log_u64("held", s->n_critical));
    /* Threads that are just ending get a moment. */
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 1;
    late = 0;
    while (s->n_threads > s->n_jobs && late == 0)
        late = pthread_cond_timedwait(&s->changed, &s->mutex, &until);
    bool is_alone = s->n_threads == 0;
    pthread_mutex_unlock(&s->mutex);
    return is_alone;
}

static void service_fini(struct service *s)
{
    loop_timer_free(&s->tick);
    listener_free(&s->listener);
    loop_signal_free(&s->on_term);
    loop_signal_free(&s->on_int);
    loop_signal_free(&s->on_hup);
    io_close(&s->lock_fd);
    loop_free(&s->loop);
    buf_fini(&s->socket_path);
    unuse(s, s->now);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->mutex);
}

int service_run_own(const char *conf_path, struct conf *conf, struct err *err)
{
    struct service s = {.conf_path = conf_path, .now = use_own(conf), .lock_fd = -1};
    pthread_mutex_init(&s.mutex, NULL);
    pthread_cond_init(&s.changed, NULL);
    buf_init(&s.socket_path, PATH_LENGTH_MAX);
    s.loop = loop_new();
    s.on_term = loop_signal_new(s.loop, SIGTERM, on_stop, &s);
    s.on_int = loop_signal_new(s.loop, SIGINT, on_stop, &s);
    s.on_hup = loop_signal_new(s.loop, SIGHUP, on_reload, &s);
    int result = start(&s, conf, err);
    if (result == 0) {
        daemon_ready();
        loop_run(s.loop);
        unlink(buf_cstr(&s.socket_path));
        bool is_alone = wait_for_jobs(&s);
        log_info("stopped");
        if (!is_alone)
            _exit(0);
    }
    service_fini(&s);
    return result;
}
