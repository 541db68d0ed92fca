/* SPDX-License-Identifier: ISC */
/*
 * listeners: see listeners.h.
 *
 * When a reload lowers the number of workers, the sockets that are left over are served by the
 * remaining ones: closing a socket would reset the connections in its queue.
 *
 * SO_REUSEPORT would let a second relay of the same user share our port in silence.  So an address
 * is first bound without it, which fails while anybody listens there.  The workers of a master that
 * was killed let go of their sockets within moments; so long the start waits.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "base/os/sock.h"
#include "relay/listeners.h"

#define IN_USE_WAIT_MS 1000
#define IN_USE_POLL_MS 20

struct listener {
    char *host;
    uint16_t port;
    int *fds;
    size_t n_fds;
    size_t n_before; /* the last listeners_open() */
};

struct listeners {
    struct listener *v;
    size_t n;
    struct worker_listener *kept;
};

struct listeners *listeners_new(void)
{
    return mem_zalloc(sizeof(struct listeners));
}

static void remove_at(struct listeners *l, size_t i)
{
    struct listener *gone = &l->v[i];

    for (size_t k = 0; k < gone->n_fds; k++)
        io_close(&gone->fds[k]);
    free(gone->fds);
    free(gone->host);
    l->v[i] = l->v[--l->n];
}

void listeners_free(struct listeners **l)
{
    if (*l == NULL)
        return;
    while ((*l)->n > 0)
        remove_at(*l, 0);
    free((*l)->v);
    free((*l)->kept);
    free(*l);
    *l = NULL;
}

static struct listener *find(struct listeners *l, const struct net_endpoint *where)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].port == where->port && strcmp(l->v[i].host, where->host) == 0)
            return &l->v[i];
    return NULL;
}

static const struct net_endpoint *wanted(const struct conf *conf, const struct listener *l)
{
    for (size_t i = 0; i < conf->relay.listen.n; i++) {
        const struct net_endpoint *e = &conf->relay.listen.v[i];

        if (e->port == l->port && strcmp(e->host, l->host) == 0)
            return e;
    }
    return NULL;
}

static int check_free(const struct net_endpoint *where, struct err *err)
{
    const struct timespec pause = {.tv_nsec = IN_USE_POLL_MS * 1000000L};
    uint64_t until_ms = clock_mono_ms() + IN_USE_WAIT_MS;
    int fd;

    while (sock_listen(where, false, 0, &fd, err) != 0) {
        if (clock_mono_ms() >= until_ms || err->code != EX_UNAVAILABLE)
            return -1;
        (void)nanosleep(&pause, NULL);
    }
    io_close(&fd);
    return 0;
}

static struct listener *add(struct listeners *l, const struct net_endpoint *where)
{
    l->v = mem_realloc_array(l->v, l->n + 1, sizeof(*l->v));
    l->v[l->n] = (struct listener){.host = mem_strdup(where->host), .port = where->port};
    return &l->v[l->n++];
}

static int open_sockets(
    struct listener *at, const struct net_endpoint *where, unsigned workers, struct err *err)
{
    if (at->n_fds < workers)
        at->fds = mem_realloc_array(at->fds, workers, sizeof(*at->fds));
    while (at->n_fds < workers) {
        if (sock_listen(where, true, 0, &at->fds[at->n_fds], err) != 0)
            return -1;
        at->n_fds++;
    }
    return 0;
}

int listeners_open(struct listeners *l, const struct conf *conf, unsigned workers, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < l->n; i++)
        l->v[i].n_before = l->v[i].n_fds;
    for (size_t i = 0; i < conf->relay.listen.n && rc == 0; i++) {
        const struct net_endpoint *where = &conf->relay.listen.v[i];
        struct listener *at = find(l, where);

        if (at == NULL) {
            rc = check_free(where, err);
            if (rc == 0)
                at = add(l, where);
        }
        if (rc == 0)
            rc = open_sockets(at, where, workers, err);
    }
    if (rc != 0)
        listeners_undo(l);
    return rc;
}

void listeners_undo(struct listeners *l)
{
    for (size_t i = l->n; i-- > 0;) {
        struct listener *at = &l->v[i];

        while (at->n_fds > at->n_before)
            io_close(&at->fds[--at->n_fds]);
        if (at->n_fds == 0)
            remove_at(l, i);
    }
}

void listeners_prune(struct listeners *l, const struct conf *conf)
{
    for (size_t i = l->n; i-- > 0;)
        if (wanted(conf, &l->v[i]) == NULL)
            remove_at(l, i);
}

const struct worker_listener *listeners_keep(
    struct listeners *l, const struct conf *conf, unsigned slot, unsigned workers, size_t *n_out)
{
    size_t n = 0;

    listeners_prune(l, conf);
    for (size_t i = 0; i < l->n; i++) {
        struct listener *at = &l->v[i];
        bool is_lmtp = wanted(conf, at)->scheme == NET_SCHEME_LMTP;

        for (size_t k = 0; k < at->n_fds; k++) {
            if (k % workers != slot) {
                io_close(&at->fds[k]);
                continue;
            }
            l->kept = mem_realloc_array(l->kept, n + 1, sizeof(*l->kept));
            l->kept[n++] = (struct worker_listener){.fd = at->fds[k], .is_lmtp = is_lmtp};
            at->fds[k] = -1; /* the worker's now */
        }
    }
    *n_out = n;
    return l->kept;
}
