/* SPDX-License-Identifier: ISC */
/* lookup: see lookup.h: an errand. */
#include "base/os/lookup.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/os/errand.h"
#include "base/os/sock.h"

struct question {
    char *host;
    lookup_fn *fn;
    int result;
    struct net_addr addrs[LOOKUP_MAX];
    size_t n;
    struct err err;
};

struct lookup {
    struct errand *errand;
};

static void ask(void *what)
{
    struct question *q = what;
    q->result = q->fn(q->host, q->addrs, LOOKUP_MAX, &q->n, &q->err);
}

static void free_question(void *what)
{
    struct question *q = what;
    free(q->host);
    free(q);
}

int lookup_start(const char *host, lookup_fn *fn, struct lookup **out, struct err *err)
{
    struct lookup *l = mem_zalloc(sizeof(*l));
    struct question *q = mem_zalloc(sizeof(*q));
    q->host = mem_strdup(host);
    q->fn = fn ? fn : sock_resolve;
    if (errand_start_own(ask, free_question, q, &l->errand, err) != 0) {
        free(l);
        return err_wrap(err, "look up %s", host);
    }
    *out = l;
    return 0;
}

int lookup_fd(const struct lookup *l)
{
    return errand_fd(l->errand);
}

bool lookup_is_done(const struct lookup *l)
{
    return errand_is_done(l->errand);
}

int lookup_answer(const struct lookup *l, struct net_addr *out, size_t *n_out, struct err *err)
{
    const struct question *q = errand_what(l->errand);
    *n_out = 0;
    if (q->result != 0) {
        if (err)
            *err = q->err;
        return -1;
    }
    if (q->n == 0)
        return err_set(err, ERR_TEMP, EX_NOHOST, "look up %s: no address", q->host);
    memcpy(out, q->addrs, q->n * sizeof(*out));
    *n_out = q->n;
    return 0;
}

void lookup_free(struct lookup **l)
{
    if (!*l)
        return;
    errand_free(&(*l)->errand);
    free(*l);
    *l = NULL;
}
