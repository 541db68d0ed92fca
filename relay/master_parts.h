/* SPDX-License-Identifier: ISC */
/* master_parts: what the files of master share among themselves. */
#ifndef RELAY_MASTER_PARTS_H
#define RELAY_MASTER_PARTS_H

#include <signal.h>
#include "relay/listeners.h"
#include "relay/master.h"
#include "relay/site.h"

struct proc {
    struct proc *next;
    pid_t pid;
    unsigned slot, generation;
    int ready_fd; /* -1 once it has spoken */
    uint64_t started_ms;
    uint64_t retire_max_ms, stop_max_ms; /* so long it may take to end */
    uint64_t kill_ms;                    /* draining: then it is killed */
    bool is_ready;
    bool is_draining, is_stopping; /* stopping: draining, and soon */
    char why[ERR_TEXT_MAX];        /* it cannot serve */
};

struct slot {
    uint64_t start_ms; /* not before */
    unsigned n_young;  /* deaths in a row */
};

struct master {
    struct site *site, *next_site;        /* next: while a reload is under way */
    unsigned generation, last_generation; /* of site; of next_site or of the last failed one */
    struct listeners *listeners;
    struct proc *procs;
    struct slot slots[CONF_WORKERS_MAX];
    int signal_fd, life[2];
    sigset_t old_mask;
    bool is_up, is_stopping, is_reload_asked;
    int status; /* of the end */
    struct err *err;
};

int master_start(
    struct master *m, const struct site *site, unsigned generation, unsigned slot, struct err *err);
/* It finishes what it has. */
void master_retire(struct proc *p);
void master_stop(struct proc *p);
void master_each_of(struct master *m, unsigned generation, void (*fn)(struct proc *p));
/* Whoever has retired is safe from the next reloads, but not from any number of them. */
void master_stop_oldest(struct master *m);
bool master_all_ready(const struct master *m, const struct site *site, unsigned generation);
/* NULL: nobody serves there. */
const struct proc *master_serving(const struct master *m, unsigned slot);
/* A worker spoke, or ended before it did. */
void master_listen_to(struct proc *p);

#endif
