/* SPDX-License-Identifier: ISC */
/* hosts: see hosts.h.  This host is asked by looking at its claims, which takes no waiting. */
#include "maps/mapd/hosts.h"

#include <stdlib.h>
#include "base/core/mem.h"

struct hosts {
    const char *run_dir;
};

struct hosts *hosts_new(const char *run_dir)
{
    struct hosts *h = mem_zalloc(sizeof *h);
    h->run_dir = run_dir;
    return h;
}

void hosts_free(struct hosts **h)
{
    free(*h);
    *h = NULL;
}

void hosts_ask(struct hosts *h, struct claims_question *questions, size_t n,
    hosts_answered *answered, void *arg)
{
    struct err err = ERR_INIT;
    int rc = claims_scan(h->run_dir, questions, n, &err);
    answered(arg, rc == 0 ? NULL : &err);
}

int hosts_sweep(struct hosts *h, struct err *err)
{
    return claims_scan(h->run_dir, NULL, 0, err);
}
