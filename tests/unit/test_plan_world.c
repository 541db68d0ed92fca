/* SPDX-License-Identifier: ISC */
/* Plans of random mailboxes: see plan_world.h for what is checked of each. */
#include "tests/unit/plan_world.h"
#include "tests/unit/unit.h"

static uint64_t seed;

static unsigned pick(unsigned n)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % n;
}

static struct world w;

/* Nothing moves any more: how many passes there are until one has nothing to do. */
static unsigned passes_until_quiet(void)
{
    for (unsigned i = 0; i < 6; i++) {
        world_pass(&w, i > 2);
        if (w.is_quiet)
            return i;
    }
    fail_msg("seed %llu: there is always something to do", (unsigned long long)seed);
    return 6;
}

static void assert_same_boxes(uint64_t at)
{
    for (size_t i = 0; i < WORLD_FOLDERS; i++) {
        for (unsigned c = 0; c < WORLD_CONTENTS; c++) {
            size_t n = world_count(&w.f[i].source, c), k = world_count(&w.f[i].target, c);
            if (n != k)
                fail_msg("seed %llu: folder %zu has %zu of content %u, and %zu there",
                    (unsigned long long)at, i, n, c, k);
        }
        for (size_t k = 0; k < w.f[i].n_pairs; k++) {
            const struct plan_pair *p = &w.f[i].pairs[k].p;
            const struct world_message *s = world_find(&w.f[i].source, p->src_uid);
            const struct world_message *t = world_find(&w.f[i].target, p->tgt_uid);
            assert_true(s && t && flags_eq(&s->flags, &t->flags));
        }
    }
}

/* Nobody works on the target: it becomes the same as the source, equal ones as often. */
static void test_a_mirror_is_the_same(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 3000; round++) {
        seed = round;
        world_begin(&w, PLAN_MIRROR, pick);
        w.has_ids = pick(2);
        for (unsigned turn = 1 + pick(6); turn > 0; turn--) {
            for (unsigned n = pick(12); n > 0; n--)
                world_source_acts(&w);
            world_pass(&w, pick(2));
        }
        assert_true(passes_until_quiet() <= 1);
        assert_same_boxes(round);
    }
}

/* Both users at work, and servers that can this and that. */
static void test_any_policy(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 12000; round++) {
        seed = round;
        world_begin(&w, pick(PLAN_POLICIES), pick);
        w.has_ids = pick(2);
        w.is_gmail = pick(4) == 0;
        w.can_move = pick(4) != 0;
        w.can_remove = pick(4) != 0;
        w.refuses = pick(4) == 0;
        w.is_small = pick(4) == 0;
        for (unsigned turn = 1 + pick(6); turn > 0; turn--) {
            for (unsigned n = pick(10); n > 0; n--)
                world_source_acts(&w);
            for (unsigned n = pick(4); n > 0; n--)
                world_target_acts(&w);
            world_pass(&w, pick(2));
        }
        w.refuses = false;
        passes_until_quiet();
    }
}

/* A history: mirror, flip, sweeps.  Behind the flip nothing leaves the target and nothing comes
 * that has not arrived: of each content at most as many copies were made as messages arrived. */
static void test_nothing_comes_back(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 6000; round++) {
        seed = round;
        world_begin(&w, PLAN_MIRROR, pick);
        w.has_ids = pick(2);
        for (unsigned turn = 1 + pick(3); turn > 0; turn--) {
            for (unsigned n = pick(12); n > 0; n--)
                world_source_acts(&w);
            world_pass(&w, pick(2));
        }
        passes_until_quiet();
        if (pick(2))
            world_flip(&w);
        w.policy = PLAN_FIRST_SWEEP;
        for (unsigned turn = 1 + pick(5); turn > 0; turn--) {
            size_t before = 0, after = 0;
            for (unsigned n = pick(6); n > 0; n--)
                world_source_acts(&w);
            for (unsigned n = pick(6); n > 0; n--)
                world_target_acts(&w);
            for (size_t i = 0; i < WORLD_FOLDERS; i++)
                before += w.f[i].target.n;
            world_pass(&w, pick(2));
            for (size_t i = 0; i < WORLD_FOLDERS; i++)
                after += w.f[i].target.n;
            assert_true(after >= before);
            w.policy = PLAN_AFTER_FLIP;
        }
        for (unsigned c = 0; c < WORLD_CONTENTS; c++)
            assert_true(w.copied[c] <= w.arrived[c]);
    }
}

/* What is copied on the way there is known on the way back, and nothing is expunged on it. */
static void test_never_less_on_the_way_back(void **state)
{
    (void)state;
    for (uint64_t round = 1; round <= 3000; round++) {
        seed = round;
        world_begin(&w, PLAN_REVERSE, pick);
        for (unsigned turn = 1 + pick(6); turn > 0; turn--) {
            size_t before = 0, after = 0;
            for (unsigned n = pick(10); n > 0; n--)
                world_source_acts(&w);
            for (size_t i = 0; i < WORLD_FOLDERS; i++)
                before += w.f[i].target.n;
            world_pass(&w, pick(2));
            for (size_t i = 0; i < WORLD_FOLDERS; i++)
                after += w.f[i].target.n;
            assert_true(after >= before);
        }
        passes_until_quiet();
        for (size_t i = 0; i < WORLD_TRASH; i++) {
            for (unsigned c = 0; c < WORLD_CONTENTS; c++)
                assert_int_equal(world_count(&w.f[i].source, c), world_count(&w.f[i].target, c));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mirror_is_the_same),
        cmocka_unit_test(test_any_policy),
        cmocka_unit_test(test_nothing_comes_back),
        cmocka_unit_test(test_never_less_on_the_way_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
