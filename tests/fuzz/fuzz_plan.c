/* SPDX-License-Identifier: ISC */
/*
 * Two mailboxes, their users and a policy from any octets: each choice is the next one.  What has
 * to be true of the plans is in plan_world_pass.h.
 *
 * fuzz-sources: imapsync/plan/plan.c imapsync/plan/plan_lost.c imapsync/plan/plan_moves.c
 * fuzz-sources: imapsync/plan/plan_late.c imapsync/plan/plan_limits.c imapsync/plan/plan_flags.c
 */
#include <stdint.h>
#include "tests/unit/plan_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *rest;
static size_t n_rest;
static struct world w;

static unsigned pick(unsigned n)
{
    if (n_rest == 0)
        return 0;
    n_rest--;
    return *rest++ % n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rest = data;
    n_rest = size;
    world_begin(&w, pick(PLAN_POLICIES), pick);
    unsigned can = pick(64);
    w.has_ids = can & 1;
    w.is_gmail = can & 2;
    w.can_move = !(can & 4);
    w.can_remove = !(can & 8);
    w.refuses = can & 16;
    w.is_small = can & 32;
    for (unsigned turn = 0; n_rest > 0 && turn < 64; turn++) {
        for (unsigned n = pick(10); n > 0; n--)
            world_source_acts(&w);
        for (unsigned n = pick(4); n > 0; n--)
            world_target_acts(&w);
        if (pick(16) == 0)
            w.policy = pick(PLAN_POLICIES);
        if (pick(16) == 0)
            world_flip(&w);
        world_pass(&w, pick(2));
    }
    w.refuses = false;
    for (unsigned i = 0; i < 6; i++)
        world_pass(&w, true);
    WORLD_CHECK(w.is_quiet);
    return 0;
}
