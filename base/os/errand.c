/* SPDX-License-Identifier: ISC */
/*
 * errand: see errand.h.  Owner and thread share the state; who lets go last frees it, with the
 * descriptor.  The thread takes no signals, so that they reach those who wait for them.
 *
 * The thread of an errand that is done is waited for: what libraries keep for each thread is freed
 * as it ends, and that must not meet what they free as the process does.
 */
#include "base/os/errand.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "base/core/mem.h"
#include "base/os/io.h"

struct errand {
    pthread_t thread;
    atomic_int users;
    atomic_bool is_done;
    int fd;
    void (*run)(void *what);
    void (*free_what)(void *what);
    void *what;
};

static void let_go(struct errand *e)
{
    if (atomic_fetch_sub(&e->users, 1) != 1)
        return;
    io_close(&e->fd);
    e->free_what(e->what);
    free(e);
}

static void *run(void *arg)
{
    struct errand *e = arg;
    e->run(e->what);
    atomic_store(&e->is_done, true);
    /* The counter of an eventfd takes one more at any time. */
    BUG_ON(eventfd_write(e->fd, 1) != 0);
    let_go(e);
    return NULL;
}

static int start_thread(struct errand *e)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&e->thread, NULL, run, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

int errand_start_own(void (*run_it)(void *what), void (*free_what)(void *what), void *what,
    struct errand **out, struct err *err)
{
    struct errand *e = mem_zalloc(sizeof(*e));
    e->run = run_it;
    e->free_what = free_what;
    e->what = what;
    atomic_init(&e->users, 1);
    e->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = e->fd < 0 ? errno : 0;
    if (r == 0) {
        atomic_init(&e->users, 2);
        r = start_thread(e);
        if (r != 0)
            atomic_init(&e->users, 1);
    }
    if (r != 0) {
        let_go(e);
        return err_sys(err, r, "cannot start a thread");
    }
    *out = e;
    return 0;
}

int errand_fd(const struct errand *e)
{
    return e->fd;
}

bool errand_is_done(const struct errand *e)
{
    return atomic_load(&e->is_done);
}

void *errand_what(const struct errand *e)
{
    BUG_ON(!errand_is_done(e));
    return e->what;
}

void errand_free(struct errand **e)
{
    if (!*e)
        return;
    pthread_t thread = (*e)->thread;
    bool is_done = errand_is_done(*e);
    let_go(*e);
    BUG_ON((is_done ? pthread_join(thread, NULL) : pthread_detach(thread)) != 0);
    *e = NULL;
}
