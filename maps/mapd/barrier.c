/* SPDX-License-Identifier: ISC */
/*
 * barrier: see barrier.h.  Each look scans the whole directory of claims anew (maps/claims.h), so a
 * mapd that has just been restarted sees what its predecessor saw.
 */
#include "maps/mapd/barrier.h"

#include <stdlib.h>
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "maps/claims.h"

#define DELAY_MAX_MS 20

struct barrier {
    struct loop_timer *timer;
    const char *run_dir;
    uint64_t key_hash, epoch;
    uint64_t started_ms, timeout_ms, delay_ms;
    barrier_done *done;
    void *arg;
};

static void look(void *arg)
{
    struct barrier *b = arg;
    struct err err = ERR_INIT;
    enum claims_scan_verdict verdict;
    uint64_t waited_ms = clock_mono_ms() - b->started_ms;

    if (claims_scan(b->run_dir, b->key_hash, b->epoch, &verdict, &err) != 0) {
        b->done(b->arg, NULL, waited_ms, &err);
    } else if (verdict == CLAIMS_CLEAR) {
        b->done(b->arg, "clear", waited_ms, NULL);
    } else if (verdict == CLAIMS_WAS_AMBIGUOUS) {
        b->done(b->arg, "ambiguous", waited_ms, NULL);
    } else if (waited_ms >= b->timeout_ms) {
        b->done(b->arg, "timeout", waited_ms, NULL);
    } else {
        uint64_t left_ms = b->timeout_ms - waited_ms;
        loop_timer_start(b->timer, b->delay_ms < left_ms ? b->delay_ms : left_ms);
        b->delay_ms = 2 * b->delay_ms < DELAY_MAX_MS ? 2 * b->delay_ms : DELAY_MAX_MS;
    }
}

struct barrier *barrier_new(struct loop *loop, const char *run_dir, uint64_t key_hash,
    uint64_t epoch, uint64_t timeout_ms, barrier_done *done, void *arg)
{
    struct barrier *b = mem_zalloc(sizeof *b);
    b->run_dir = run_dir;
    b->key_hash = key_hash;
    b->epoch = epoch;
    b->started_ms = clock_mono_ms();
    b->timeout_ms = timeout_ms;
    b->delay_ms = 1;
    b->done = done;
    b->arg = arg;
    b->timer = loop_timer_new(loop, look, b);
    loop_timer_start(b->timer, 0);
    return b;
}

void barrier_free(struct barrier **b)
{
    if (!*b)
        return;
    loop_timer_free(&(*b)->timer);
    free(*b);
    *b = NULL;
}
