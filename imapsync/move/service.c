/* SPDX-License-Identifier: ISC */
/*
 * service: one thread for signals and the listening socket (loop), those of the visitors
 * (control.h), and one that walks over all users: it recovers what a kill has left, and sweeps.
 *
 * At SIGTERM those whose users' mail waits come to their end, since that is a matter of seconds;
 * all others are left where they are, for which their journals are made, and the process ends
 * without them.
 */
#include "imapsync/move/service.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/log.h"
#include "base/os/daemon.h"
#include "base/os/io.h"
#include "base/os/loop.h"
#include "base/os/sock.h"
#include "imapsync/ends/imap_account.h"
#include "imapsync/move/control.h"
#include "imapsync/move/round.h"
#include "maps/access.h"

#define SOCKET_MODE 0660
#define PATH_LENGTH_MAX 4096
#define TEND_EVERY_MIN_MS 50
#define TEND_EVERY_MAX_MS 15000

struct service {
    const char *conf_path;
    struct loop *loop;
    struct control control;
    struct loop_signal *on_term, *on_int, *on_hup;
    struct loop_timer *tick;
    struct buf socket_path;
    int lock_fd;
    struct conf_use confs;
    struct jobs jobs;
    atomic_bool is_tending;
};

/* --- Tending -----------------------------------------------------------------------------------
 */

static void *tend(void *arg)
{
    struct service *s = arg;
    round_run(&s->jobs, &s->confs);
    atomic_store(&s->is_tending, false);
    jobs_thread_ends(&s->jobs);
    return NULL;
}

static void on_tick(void *arg)
{
    struct service *s = arg;
    if (!atomic_exchange(&s->is_tending, true) && jobs_thread_start(&s->jobs, tend, s) != 0) {
        log_warn("tend_failed", log_str("error", "no thread"));
        atomic_store(&s->is_tending, false);
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
    const struct conf *now = s->confs.now->conf; /* only this thread changes it */
    daemon_notify("RELOADING=1");
    int result = conf_load(s->conf_path, &conf, &err);
    if (result == 0 && (strcmp(conf->state, now->state) != 0 || strcmp(conf->run, now->run) != 0))
        result = err_set(&err, ERR_PERM, EX_CONFIG, "state and run only change with a restart");
    if (result != 0) {
        log_error("reload_failed", log_err(&err));
        conf_free(&conf);
    } else {
        conf_use_replace_own(&s->confs, conf);
        imap_account_try_again();
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
    control_start_own(&s->control, s->loop, listen_fd, &s->jobs, &s->confs);
    s->tick = loop_timer_new(s->loop, on_tick, s);
    set_tick(s, conf);
    on_tick(s); /* what the last process has left comes first */
    return 0;
}

static void service_fini(struct service *s)
{
    loop_timer_free(&s->tick);
    control_fini(&s->control);
    loop_signal_free(&s->on_term);
    loop_signal_free(&s->on_int);
    loop_signal_free(&s->on_hup);
    io_close(&s->lock_fd);
    loop_free(&s->loop);
    buf_fini(&s->socket_path);
    conf_use_fini(&s->confs);
    jobs_fini(&s->jobs);
}

int service_run_own(const char *conf_path, struct conf *conf, struct err *err)
{
    struct service s = {.conf_path = conf_path, .lock_fd = -1};
    conf_use_init_own(&s.confs, conf);
    jobs_init(&s.jobs);
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
        bool is_alone = jobs_stop(&s.jobs, SERVICE_STOP_MS);
        log_info("stopped");
        if (!is_alone)
            _exit(0);
    }
    service_fini(&s);
    return result;
}
