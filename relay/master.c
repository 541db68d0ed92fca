/* SPDX-License-Identifier: ISC */
/*
 * master: see master.h.
 *
 * It has no event loop, because a loop cannot be handed over by fork: it waits in poll() for its
 * signals, as bytes of a signalfd, and for the pipes by which new workers say that they serve, or
 * why they cannot.  After each event step() compares what there is with what there should be.
 *
 * Reload: new workers are started beside the old ones, on the same sockets; when all of them serve,
 * the old ones are told to retire.  That may take them an hour or more, so several reloads leave
 * several generations; of more than RETIRED_MAX the oldest stops.  When the configuration is bad,
 * or one of the new workers does not come up, the new ones are ended and nothing has changed.
 *
 * Workers hold the reading end of a pipe whose writing end only the master has, so that they know
 * when it dies, however it does.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/os/daemon.h"
#include "base/os/io.h"
#include "relay/listeners.h"
#include "relay/master.h"
#include "relay/master_parts.h"
#include "relay/site.h"
#include "relay/worker.h"

#define YOUNG_MS 500      /* a worker that dies within this time died young */
#define PAUSE_FIRST_MS 50 /* before the third start in a row; doubled each time */
#define PAUSE_MAX_MS 1000 /* meanwhile connections wait in the queue of its socket */

/* --- Stop and reload ---------------------------------------------------------------------- */

static void stop(struct master *m)
{
    if (m->is_stopping)
        return;
    m->is_stopping = true;
    daemon_notify("STOPPING=1");
    listeners_free(&m->listeners);
    for (struct proc *p = m->procs; p != NULL; p = p->next)
        master_stop(p);
}

static void reload_failed(struct master *m, const struct err *why)
{
    log_error("reload_failed", log_err(why));
    if (m->next_site != NULL) {
        master_each_of(m, m->last_generation, master_stop);
        listeners_undo(m->listeners);
        site_free(&m->next_site);
    }
    daemon_notify("READY=1");
}

static int try_reload(struct master *m, struct err *err)
{
    struct conf *conf = NULL;
    unsigned workers;

    if (conf_load(m->site->conf->path, &conf, err) != 0 ||
        site_new_own(&conf, &m->next_site, err) != 0)
        return -1;
    m->last_generation++;
    workers = m->next_site->workers;
    if (listeners_open(m->listeners, m->next_site->conf, workers, err) != 0) {
        site_free(&m->next_site);
        return -1;
    }
    for (unsigned slot = 0; slot < workers; slot++)
        if (master_start(m, m->next_site, m->last_generation, slot, err) != 0)
            return -1;
    return 0;
}

static void reload(struct master *m)
{
    struct err err = ERR_INIT;

    m->is_reload_asked = false;
    daemon_notify("RELOADING=1");
    if (try_reload(m, &err) != 0)
        reload_failed(m, &err);
}

static void finish_reload(struct master *m)
{
    master_each_of(m, m->generation, master_retire);
    m->generation = m->last_generation;
    master_stop_oldest(m);
    site_free(&m->site);
    m->site = m->next_site;
    m->next_site = NULL;
    listeners_prune(m->listeners, m->site->conf);
    memset(m->slots, 0, sizeof(m->slots));
    log_to_syslog(m->site->conf->log_syslog);
    log_info(
        "reloaded", log_str("file", m->site->conf->path), log_u64("workers", m->site->workers));
    daemon_notify("READY=1");
}

/* --- Deaths ------------------------------------------------------------------------------- */

static void describe(const struct proc *p, int status, struct err *out)
{
    int code = WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EX_SOFTWARE;

    if (p->why[0] != '\0')
        err_set(out, ERR_TEMP, code, "%s", p->why);
    else if (WIFSIGNALED(status))
        err_set(out, ERR_TEMP, code, "worker %u was ended by signal %d (%s)", p->slot,
            WTERMSIG(status), strsignal(WTERMSIG(status)));
    else
        err_set(
            out, ERR_TEMP, code, "worker %u ended with status %d", p->slot, WEXITSTATUS(status));
}

/* A draining worker that ends otherwise than it was told to: by what we sent, in its first or last
 * moments, or by itself. */
static bool is_crash(const struct proc *p, int status)
{
    if (WIFEXITED(status))
        return p->is_ready && WEXITSTATUS(status) != EX_OK;
    return WTERMSIG(status) != SIGTERM && WTERMSIG(status) != WORKER_RETIRE &&
           p->kill_ms != UINT64_MAX;
}

static uint64_t pause_for(struct slot *slot, uint64_t lived_ms)
{
    uint64_t pause_ms = 0;

    if (lived_ms >= YOUNG_MS)
        slot->n_young = 0;
    if (slot->n_young > 0)
        pause_ms = PAUSE_FIRST_MS << (slot->n_young < 10 ? slot->n_young - 1 : 9);
    slot->n_young++;
    return pause_ms < PAUSE_MAX_MS ? pause_ms : PAUSE_MAX_MS;
}

static void died(struct master *m, const struct proc *p, int status)
{
    struct err why = ERR_INIT;
    uint64_t now = clock_mono_ms(), pause_ms;

    describe(p, status, &why);
    if (p->is_draining) {
        if (is_crash(p, status))
            log_error("worker_died", log_u64("slot", p->slot), log_i64("pid", p->pid),
                log_err(&why), log_u64("pause_ms", 0));
        return;
    }
    if (p->generation != m->generation) {
        reload_failed(m, &why);
    } else if (!m->is_up) {
        m->status = err_exit_code(&why);
        *m->err = why;
        stop(m);
    } else {
        pause_ms = pause_for(&m->slots[p->slot], now - p->started_ms);
        m->slots[p->slot].start_ms = now + pause_ms;
        log_error("worker_died", log_u64("slot", p->slot), log_i64("pid", p->pid), log_err(&why),
            log_u64("pause_ms", pause_ms));
    }
}

static void bury(struct master *m)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct proc **at = &m->procs, *p;

        while (*at != NULL && (*at)->pid != pid)
            at = &(*at)->next;
        p = *at;
        if (p == NULL)
            continue;
        *at = p->next;
        if (p->ready_fd >= 0)
            master_listen_to(p); /* its last words */
        io_close(&p->ready_fd);
        died(m, p, status);
        free(p);
    }
}

/* --- The loop ----------------------------------------------------------------------------- */

static void take_signals(struct master *m)
{
    struct signalfd_siginfo info;

    while (read(m->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            bury(m);
        else if (info.ssi_signo == SIGHUP)
            m->is_reload_asked = true;
        else
            stop(m);
    }
}

/* Nothing else is under way. */
static bool may_start(const struct master *m)
{
    return m->is_up && !m->is_stopping && m->next_site == NULL;
}

static void start_missing(struct master *m, uint64_t now)
{
    for (unsigned slot = 0; slot < m->site->workers; slot++) {
        struct err err = ERR_INIT;

        if (master_serving(m, slot) != NULL || now < m->slots[slot].start_ms)
            continue;
        if (master_start(m, m->site, m->generation, slot, &err) == 0)
            continue;
        log_error("worker_failed", log_u64("slot", slot), log_err(&err));
        m->slots[slot].start_ms = now + PAUSE_MAX_MS;
    }
}

static void kill_overdue(struct master *m, uint64_t now)
{
    for (struct proc *p = m->procs; p != NULL; p = p->next)
        if (p->is_draining && now >= p->kill_ms) {
            log_error("worker_killed", log_u64("slot", p->slot), log_i64("pid", p->pid),
                log_str("error", "it did not end"));
            p->kill_ms = UINT64_MAX;
            (void)kill(p->pid, SIGKILL);
        }
}

static void step(struct master *m)
{
    uint64_t now = clock_mono_ms();

    kill_overdue(m, now);
    if (m->is_stopping)
        return;
    if (!m->is_up && master_all_ready(m, m->site, m->generation)) {
        m->is_up = true;
        daemon_ready();
    }
    if (m->next_site != NULL && master_all_ready(m, m->next_site, m->last_generation))
        finish_reload(m);
    if (may_start(m) && m->is_reload_asked)
        reload(m);
    if (may_start(m))
        start_missing(m, now);
}

/* Until the next thing that step() would do by the clock; -1: none. */
static int timeout_ms(const struct master *m)
{
    uint64_t now = clock_mono_ms(), next = UINT64_MAX;

    for (const struct proc *p = m->procs; p != NULL; p = p->next)
        if (p->is_draining && p->kill_ms < next)
            next = p->kill_ms;
    for (unsigned slot = 0; may_start(m) && slot < m->site->workers; slot++)
        if (master_serving(m, slot) == NULL && m->slots[slot].start_ms < next)
            next = m->slots[slot].start_ms;
    return next == UINT64_MAX ? -1 : next > now ? (int)(next - now) : 0;
}

static void wait_for_events(struct master *m)
{
    struct pollfd fds[1 + 3 * CONF_WORKERS_MAX] = {{.fd = m->signal_fd, .events = POLLIN}};
    struct proc *speakers[1 + 3 * CONF_WORKERS_MAX];
    nfds_t n = 1;

    for (struct proc *p = m->procs; p != NULL && n < 3 * CONF_WORKERS_MAX; p = p->next) {
        if (p->ready_fd < 0)
            continue;
        speakers[n] = p;
        fds[n++] = (struct pollfd){.fd = p->ready_fd, .events = POLLIN};
    }
    if (poll(fds, n, timeout_ms(m)) <= 0)
        return;
    for (nfds_t i = 1; i < n; i++)
        if (fds[i].revents != 0)
            master_listen_to(speakers[i]);
    if (fds[0].revents != 0)
        take_signals(m);
}

/* --- The start ---------------------------------------------------------------------------- */

static int open_all(struct master *m, struct conf **conf, struct err *err)
{
    static const int signals[] = {SIGHUP, SIGTERM, SIGINT, SIGCHLD};
    sigset_t mask;
    unsigned workers;

    if (site_new_own(conf, &m->site, err) != 0)
        return -1;
    workers = m->site->workers;
    m->listeners = listeners_new();
    if (listeners_open(m->listeners, m->site->conf, workers, err) != 0)
        return -1;
    if (pipe2(m->life, O_CLOEXEC) != 0)
        return err_sys(err, errno, "pipe");
    (void)sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
        (void)sigaddset(&mask, signals[i]);
    (void)sigprocmask(SIG_BLOCK, &mask, &m->old_mask);
    m->signal_fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
    if (m->signal_fd < 0)
        return err_sys(err, errno, "signalfd");
    for (unsigned slot = 0; slot < workers; slot++)
        if (master_start(m, m->site, m->generation, slot, err) != 0)
            return -1;
    return 0;
}

int master_run_own(struct conf **conf, struct err *err)
{
    struct master m = {.signal_fd = -1, .life = {-1, -1}, .err = err};

    daemon_setup();
    if (open_all(&m, conf, err) != 0) {
        m.status = err_exit_code(err);
        stop(&m);
    }
    while (!m.is_stopping || m.procs != NULL) {
        step(&m);
        wait_for_events(&m);
    }
    listeners_free(&m.listeners);
    io_close(&m.signal_fd);
    io_close(&m.life[0]);
    io_close(&m.life[1]);
    site_free(&m.next_site);
    site_free(&m.site);
    if (m.status == EX_OK)
        log_info("stopped");
    return m.status;
}
