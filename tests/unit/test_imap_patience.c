/* SPDX-License-Identifier: ISC */
#include "imapsync/imap/patience.h"
#include "tests/unit/unit.h"

#define TIMEOUT 1000

struct rig {
    struct patience p;
    uint64_t now;
};

static void rig_up(struct rig *g)
{
    g->now = 50000;
    patience_init(&g->p, TIMEOUT);
}

/* Waits for it so long, and something else takes so long before the next wait. */
static void spend(struct rig *g, uint64_t waiting_ms, uint64_t elsewhere_ms)
{
    patience_wait(&g->p, g->now, true);
    g->now += waiting_ms;
    patience_look(&g->p, g->now);
    g->now += elsewhere_ms;
}

static void test_it_ends(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g);
    assert_int_equal(patience_wait(&g.p, g.now, true), TIMEOUT);
    spend(&g, TIMEOUT - 1, 0);
    assert_false(patience_is_over(&g.p));
    assert_int_equal(patience_wait(&g.p, g.now, true), 1);
    spend(&g, 1, 0);
    assert_true(patience_is_over(&g.p));
}

static void test_only_waiting_counts(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g);
    for (int i = 0; i < 3; i++)
        spend(&g, 300, 100 * TIMEOUT);
    assert_false(patience_is_over(&g.p));
    spend(&g, 100, 0);
    assert_true(patience_is_over(&g.p));
}

/* Nothing was due for an hour; then it has its whole time. */
static void test_owing_nothing_is_not_late(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g);
    spend(&g, TIMEOUT - 1, 0);
    assert_true(patience_wait(&g.p, g.now, false) == UINT64_MAX);
    g.now += 3600000;
    patience_look(&g.p, g.now);
    assert_false(patience_is_over(&g.p));
    assert_int_equal(patience_wait(&g.p, g.now, true), TIMEOUT);
}

/* A process that was stopped in a wait of 10 ms has waited for 10 ms. */
static void test_a_stopped_process(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g);
    spend(&g, TIMEOUT - 10, 0);
    assert_int_equal(patience_wait(&g.p, g.now, true), 10);
    g.now += 3600000;
    patience_look(&g.p, g.now);
    assert_true(patience_is_over(&g.p));
    patience_progress(&g.p); /* found behind it */
    assert_false(patience_is_over(&g.p));
    patience_look(&g.p, g.now + 3600000); /* no wait, no time */
    assert_false(patience_is_over(&g.p));
}

static void test_progress(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g);
    for (int i = 0; i < 9; i++) {
        spend(&g, TIMEOUT - 1, 0);
        patience_progress(&g.p);
    }
    assert_false(patience_is_over(&g.p));
    /* But a command without octets has a total. */
    for (int i = 0; i < 2; i++) {
        spend(&g, TIMEOUT - 1, 0);
        patience_progress(&g.p);
    }
    assert_true(patience_is_over(&g.p));
    patience_answer(&g.p);
    assert_false(patience_is_over(&g.p));
}

static void test_octets(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g);
    for (int i = 0; i < 100; i++) {
        spend(&g, TIMEOUT - 1, 0);
        patience_octets(&g.p, PATIENCE_OCTETS);
    }
    assert_false(patience_is_over(&g.p));
    spend(&g, TIMEOUT - 1, 0);
    patience_octets(&g.p, PATIENCE_OCTETS - 1);
    spend(&g, 1, 0);
    assert_true(patience_is_over(&g.p));
    patience_octets(&g.p, 1);
    assert_false(patience_is_over(&g.p));
}

static void test_limit(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g);
    patience_limit(&g.p, 1500);
    spend(&g, 900, 0);
    patience_answer(&g.p);
    assert_int_equal(patience_wait(&g.p, g.now, true), 600);
    spend(&g, 600, 0);
    patience_answer(&g.p);
    assert_true(patience_is_over(&g.p));
    patience_limit(&g.p, 0);
    assert_false(patience_is_over(&g.p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_ends),
        cmocka_unit_test(test_only_waiting_counts),
        cmocka_unit_test(test_owing_nothing_is_not_late),
        cmocka_unit_test(test_a_stopped_process),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_octets),
        cmocka_unit_test(test_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
