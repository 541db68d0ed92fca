/* SPDX-License-Identifier: ISC */
/* master_workers: the workers of a master, started, heard, retired and stopped; see master.h. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "relay/listeners.h"
#include "relay/master_parts.h"
#include "relay/site.h"
#include "relay/worker.h"

#define RETIRED_MAX 8 /* generations that finish what they have */

/* In the child; ends there. */
static void run_worker(
    struct master *m, const struct site *site, unsigned slot, int ready_fd) ATTR_NORETURN;
static void run_worker(struct master *m, const struct site *site, unsigned slot, int ready_fd)
{
    struct worker_setup setup = {.conf = site->conf,
        .slot = slot,
        .keys = site->keys,
        .server_tls = site->server_tls,
        .client_tls = site->client_tls,
        .ready_fd = ready_fd,
        .master_fd = m->life[0]};

    io_close(&m->signal_fd);
    io_close(&m->life[1]);
    for (struct proc *p = m->procs; p != NULL; p = p->next)
        io_close(&p->ready_fd);
    setup.listeners =
        listeners_keep(m->listeners, site->conf, slot, site->workers, &setup.n_listeners);
    log_to_syslog(site->conf->log_syslog);
    /* One for the whole group is the master's; it may be waiting for us already. */
    (void)signal(SIGHUP, SIG_IGN);
    (void)sigprocmask(SIG_SETMASK, &m->old_mask, NULL);
    exit(worker_run(&setup));
}

int master_start(
    struct master *m, const struct site *site, unsigned generation, unsigned slot, struct err *err)
{
    int ready[2];
    struct proc *p;
    pid_t pid;

    if (pipe2(ready, O_CLOEXEC) != 0)
        return err_sys(err, errno, "pipe");
    pid = fork();
    if (pid < 0) {
        err_sys(err, errno, "fork");
        io_close(&ready[0]);
        io_close(&ready[1]);
        return -1;
    }
    if (pid == 0) {
        io_close(&ready[0]);
        run_worker(m, site, slot, ready[1]);
    }
    io_close(&ready[1]);
    p = mem_zalloc(sizeof(*p));
    p->pid = pid;
    p->slot = slot;
    p->generation = generation;
    p->ready_fd = ready[0];
    p->started_ms = clock_mono_ms();
    p->retire_max_ms = worker_retire_max_ms(&site->conf->relay);
    p->stop_max_ms = worker_stop_max_ms(&site->conf->relay);
    p->next = m->procs;
    m->procs = p;
    return 0;
}

void master_retire(struct proc *p)
{
    if (p->is_draining)
        return;
    p->is_draining = true;
    p->kill_ms = clock_mono_ms() + p->retire_max_ms;
    (void)kill(p->pid, WORKER_RETIRE);
}

void master_stop(struct proc *p)
{
    if (p->is_stopping)
        return;
    p->is_draining = p->is_stopping = true;
    p->kill_ms = clock_mono_ms() + p->stop_max_ms;
    (void)kill(p->pid, SIGTERM);
}

void master_each_of(struct master *m, unsigned generation, void (*fn)(struct proc *p))
{
    for (struct proc *p = m->procs; p != NULL; p = p->next)
        if (p->generation == generation)
            fn(p);
}

void master_stop_oldest(struct master *m)
{
    for (unsigned n = 0, newest = m->generation;; n++) {
        const struct proc *next = NULL;

        for (const struct proc *p = m->procs; p != NULL; p = p->next)
            if (p->generation < newest && !p->is_stopping &&
                (next == NULL || p->generation > next->generation))
                next = p;
        if (next == NULL)
            return;
        newest = next->generation;
        if (n >= RETIRED_MAX)
            master_each_of(m, newest, master_stop);
    }
}

bool master_all_ready(const struct master *m, const struct site *site, unsigned generation)
{
    unsigned n = 0;

    for (const struct proc *p = m->procs; p != NULL; p = p->next)
        n += p->generation == generation && p->is_ready && !p->is_draining;
    return n == site->workers;
}

const struct proc *master_serving(const struct master *m, unsigned slot)
{
    for (const struct proc *p = m->procs; p != NULL; p = p->next)
        if (p->slot == slot && p->generation == m->generation && !p->is_draining)
            return p;
    return NULL;
}

void master_listen_to(struct proc *p)
{
    ssize_t n = read(p->ready_fd, p->why, sizeof(p->why) - 1);

    if (n < 0 && errno == EINTR)
        return;
    p->why[n > 0 ? n : 0] = '\0';
    p->is_ready = strcmp(p->why, WORKER_READY) == 0;
    if (p->is_ready)
        p->why[0] = '\0';
    io_close(&p->ready_fd);
}
