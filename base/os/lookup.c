/* SPDX-License-Identifier: ISC */
/*
 * lookup: see lookup.h.  Owner and thread share the state; who lets go last frees it, with the
 * descriptor.  The thread takes no signals, so that they reach those who wait for them.
 */
#include "base/os/lookup.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <errno.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/sock.h"

struct lookup {
    atomic_int users;
    atomic_bool is_done;
    int fd;
    char *host;
    lookup_fn *fn;
    /* The thread's until it is done, then the owner's. */
    int result;
    struct net_addr addrs[LOOKUP_MAX];
    size_t n;
    struct err err;
};

static void let_go(struct lookup *l)
{
    if (atomic_fetch_sub(&l->users, 1) != 1)
        return;
    io_close(&l->fd);
    free(l->host);
    free(l);
}

static void *run(void *arg)
{
    struct lookup *l = arg;
    l->result = l->fn(l->host, l->addrs, LOOKUP_MAX, &l->n, &l->err);
    atomic_store(&l->is_done, true);
    /* The counter of an eventfd takes one more at any time. */
    BUG_ON(eventfd_write(l->fd, 1) != 0);
    let_go(l);
    return NULL;
}

static int start_thread(struct lookup *l)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, before;
    BUG_ON(pthread_attr_init(&attr) != 0);
    BUG_ON(pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) != 0);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&thread, &attr, run, l);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return r;
}

int lookup_start(const char *host, lookup_fn *fn, struct lookup **out, struct err *err)
{
    struct lookup *l = mem_zalloc(sizeof(*l));
    l->host = mem_strdup(host);
    l->fn = fn ? fn : sock_resolve;
    atomic_init(&l->users, 1);
    l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int r = l->fd < 0 ? errno : 0;
    if (r == 0) {
        atomic_init(&l->users, 2);
        r = start_thread(l);
        if (r != 0)
            atomic_init(&l->users, 1);
    }
    if (r != 0) {
        let_go(l);
        err_sys(err, r, "look up %s", host);
        return -1;
    }
    *out = l;
    return 0;
}

int lookup_fd(const struct lookup *l)
{
    return l->fd;
}

bool lookup_is_done(const struct lookup *l)
{
    return atomic_load(&l->is_done);
}

int lookup_answer(const struct lookup *l, struct net_addr *out, size_t *n_out, struct err *err)
{
    BUG_ON(!lookup_is_done(l));
    *n_out = 0;
    if (l->result != 0) {
        if (err)
            *err = l->err;
        return -1;
    }
    if (l->n == 0)
        return err_set(err, ERR_TEMP, EX_NOHOST, "look up %s: no address", l->host);
    memcpy(out, l->addrs, l->n * sizeof(*out));
    *n_out = l->n;
    return 0;
}

void lookup_free(struct lookup **l)
{
    if (!*l)
        return;
    let_go(*l);
    *l = NULL;
}
