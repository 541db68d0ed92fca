/* SPDX-License-Identifier: ISC */
#include "imapsync/copy/plan.h"
#include "tests/unit/unit.h"

struct world {
    struct plan_message m[64];
    struct plan_pair p[64];
};

static struct plan_message message_at(void *arg, size_t i)
{
    return ((struct world *)arg)->m[i];
}

static struct plan_pair pair_at(void *arg, size_t i)
{
    return ((struct world *)arg)->p[i];
}

static struct plan_input input(struct world *w, size_t n, size_t n_pairs, enum plan_mode mode)
{
    return (struct plan_input){.n_messages = n,
        .n_pairs = n_pairs,
        .message = message_at,
        .pair = pair_at,
        .arg = w,
        .mode = mode,
        .deletions_max = 10};
}

static const struct flags seen = {.system = FLAG_SEEN}, flagged = {.system = FLAG_FLAGGED};

static void test_every_case(void **state)
{
    struct world w = {
        .m = {{1, seen}, {2, seen}, {4, flagged}, {5, seen}, {8, {{0}, 0}}},
        /* 2: the same; 3: gone; 4: other flags; 5: refused before; 6: gone, was refused */
        .p = {{2, 12, seen, false}, {3, 13, seen, false}, {4, 14, seen, false},
            {5, 0, {{0}, 0}, false}, {6, 0, {{0}, 0}, false}},
    };
    struct plan_input in = input(&w, 5, 5, PLAN_MIRROR);
    struct plan p;
    (void)state;
    plan_make(&in, &p);
    static const uint32_t copies[] = {1, 5, 8};
    assert_int_equal(p.n_copies, 3);
    assert_memory_equal(p.copies, copies, sizeof(copies));
    assert_int_equal(p.n_same, 1);
    assert_int_equal(p.n_flags, 1);
    assert_int_equal(p.flags[0].tgt_uid, 14);
    assert_true(flags_eq(&p.flags[0].add, &flagged) && flags_eq(&p.flags[0].remove, &seen));
    assert_int_equal(p.n_deletions, 1);
    assert_int_equal(p.deletions[0].tgt_uid, 13);
    assert_int_equal(p.n_forgotten, 1);
    assert_int_equal(p.forgotten[0], 6);
    plan_fini(&p);

    in.mode = PLAN_ADD;
    plan_make(&in, &p);
    assert_int_equal(p.n_deletions, 0);
    assert_int_equal(p.n_copies, 3);
    plan_fini(&p);
}

/* Two messages with one copy: it goes with the last of them. */
static void test_shared_copy(void **state)
{
    struct world w = {
        .m = {{2, seen}},
        .p = {{1, 12, seen, false}, {2, 12, seen, false}, {3, 13, seen, false}},
    };
    struct plan_input in = input(&w, 1, 3, PLAN_MIRROR);
    struct plan p;
    (void)state;
    plan_make(&in, &p);
    assert_int_equal(p.n_deletions, 1);
    assert_int_equal(p.deletions[0].src_uid, 3);
    assert_int_equal(p.n_forgotten, 1);
    assert_int_equal(p.forgotten[0], 1);
    plan_fini(&p);
    in.n_messages = 0;
    plan_make(&in, &p);
    assert_int_equal(p.n_deletions, 3);
    plan_fini(&p);
}

/* What went away with its folder behind the flip is neither copied again nor touched. */
static void test_gone(void **state)
{
    struct world w = {
        .m = {{1, seen}, {2, flagged}},
        .p = {{1, 0, flagged, true}, {2, 12, flagged, false}, {3, 0, seen, true}},
    };
    static const enum plan_mode modes[] = {PLAN_MIRROR, PLAN_ADD};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct plan_input in = input(&w, 2, 3, modes[i]);
        struct plan p;
        plan_make(&in, &p);
        assert_int_equal(p.n_same, 2);
        assert_int_equal(p.n_copies + p.n_flags + p.n_deletions, 0);
        assert_int_equal(p.n_forgotten, 1);
        assert_int_equal(p.forgotten[0], 3);
        plan_fini(&p);
    }
}

static void test_deletion_limit(void **state)
{
    (void)state;
    for (size_t n = 9; n <= 11; n++) {
        struct world w = {0};
        for (uint32_t i = 0; i < n; i++)
            w.p[i] = (struct plan_pair){i + 1, 100 - i, seen, false};
        struct plan_input in = input(&w, 0, n, PLAN_MIRROR);
        struct plan p;
        plan_make(&in, &p);
        assert_int_equal(p.has_too_many_deletions, n > 10);
        assert_int_equal(p.n_deletions, n > 10 ? 0 : n);
        for (size_t i = 1; i < p.n_deletions; i++)
            assert_true(p.deletions[i - 1].tgt_uid < p.deletions[i].tgt_uid);
        plan_fini(&p);
    }
}

/* Random worlds: every message and pair is named exactly as the rules say, nothing else is. */
static void test_random(void **state)
{
    uint32_t x = 1;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        struct world w = {0};
        size_t n = 0, k = 0, new = 0, refused = 0, changed = 0, gone = 0, same = 0, forgotten = 0;
        for (uint32_t uid = 1; uid < 30; uid++) {
            x = x * 1664525 + 1013904223;
            uint32_t r = x >> 24;
            bool listed = r & 1, paired = r & 2, was_refused = r & 4, has_changed = r & 8;
            if (listed)
                w.m[n++] = (struct plan_message){uid, has_changed ? flagged : seen};
            if (paired)
                w.p[k++] = (struct plan_pair){uid, was_refused ? 0 : 1000 + uid, seen, false};
            new += listed && !paired;
            refused += listed && paired && was_refused;
            changed += listed && paired && !was_refused && has_changed;
            same += listed && paired && !was_refused && !has_changed;
            gone += !listed && paired && !was_refused;
            forgotten += !listed && paired && was_refused;
        }
        struct plan_input in = input(&w, n, k, PLAN_MIRROR);
        struct plan p;
        in.deletions_max = 64;
        plan_make(&in, &p);
        assert_int_equal(p.n_copies, new + refused);
        assert_int_equal(p.n_flags, changed);
        assert_int_equal(p.n_same, same);
        assert_int_equal(p.n_deletions, gone);
        assert_int_equal(p.n_forgotten, forgotten);
        for (size_t i = 0; i < p.n_deletions; i++)
            assert_int_equal(p.deletions[i].tgt_uid, p.deletions[i].src_uid + 1000);
        plan_fini(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_case),
        cmocka_unit_test(test_shared_copy),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_deletion_limit),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
