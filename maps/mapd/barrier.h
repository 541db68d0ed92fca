/* SPDX-License-Identifier: ISC */
/*
 * barrier: waits until no delivery that was decided before an epoch can still be committed, by
 * looking at the claims again and again, 1 ms after the first look and at most 20 ms apart.  Runs
 * on the loop; nobody else waits.
 */
#ifndef MAPS_MAPD_BARRIER_H
#define MAPS_MAPD_BARRIER_H

#include <stdint.h>
#include "base/core/err.h"
#include "base/os/loop.h"

struct barrier;

/* result: "clear", "ambiguous", "timeout", or NULL with err.  Called from the loop, never from
 * barrier_new; the callee frees the barrier. */
typedef void barrier_done(void *arg, const char *result, uint64_t waited_ms, const struct err *err);

/* run_dir is borrowed. */
struct barrier *barrier_new(struct loop *loop, const char *run_dir, uint64_t key_hash,
    uint64_t epoch, uint64_t timeout_ms, barrier_done *done, void *arg);
void barrier_free(struct barrier **b);

#endif
