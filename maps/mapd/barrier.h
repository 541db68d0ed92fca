/* SPDX-License-Identifier: ISC */
/*
 * barrier: waits until no delivery that was decided before an epoch can still be committed, by
 * asking all hosts for their claims again and again: at once, 1 ms later, and then at most 20 ms
 * apart, with one question for all barriers that wait.  Runs on the loop; nobody else waits.
 *
 *     struct barriers *all = barriers_new(loop, hosts);
 *     barrier_new(all, key_hash, epoch, timeout_ms, done, arg);
 */
#ifndef MAPS_MAPD_BARRIER_H
#define MAPS_MAPD_BARRIER_H

#include <stdint.h>
#include "base/core/err.h"
#include "base/os/loop.h"
#include "maps/mapd/hosts.h"

#define BARRIER_DELAY_MAX_MS 20
/* Asking takes at most one part in so many of the loop's time, however many files there are and
 * however often somebody comes. */
#define BARRIER_SHARE 20

struct barriers;
struct barrier;

/* result: "clear", "ambiguous", "timeout", or NULL with err.  Called from the loop, never from
 * barrier_new; the callee frees the barrier. */
typedef void barrier_done(void *arg, const char *result, uint64_t waited_ms, const struct err *err);

/* hosts is borrowed, and asked by nobody else. */
struct barriers *barriers_new(struct loop *loop, struct hosts *hosts);
void barriers_free(struct barriers **all); /* none may be left */

struct barrier *barrier_new(struct barriers *all, uint64_t key_hash, uint64_t epoch,
    uint64_t timeout_ms, barrier_done *done, void *arg);
void barrier_free(struct barrier **b);

#endif
