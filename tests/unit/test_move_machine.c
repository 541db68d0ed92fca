/* SPDX-License-Identifier: ISC */
/* The table of a cut-over: every state with every event, and what holds for all ways through it. */
#include "imapsync/move/machine.h"
#include "tests/unit/unit.h"

/* What follows, by event: begin, done, back, return, on-old, on-new, retire. */
static const struct {
    enum move_state from;
    enum move_state next[MOVE_EVENTS];
} rows[] = {
    {MOVE_NONE, {MOVE_PREPARED, MOVE_NONE, MOVE_NONE, MOVE_NONE, MOVE_NONE, MOVE_NONE, MOVE_NONE}},
    {MOVE_PREPARED, {MOVE_PREPARED, MOVE_COPYING, MOVE_ROLLED_BACK, MOVE_NONE, MOVE_PREPARED,
                        MOVE_NONE, MOVE_NONE}},
    {MOVE_COPYING, {MOVE_PREPARED, MOVE_SYNCED, MOVE_ROLLED_BACK, MOVE_NONE, MOVE_COPYING,
                       MOVE_NONE, MOVE_NONE}},
    {MOVE_SYNCED, {MOVE_PREPARED, MOVE_HOLDING, MOVE_ROLLED_BACK, MOVE_NONE, MOVE_SYNCED, MOVE_NONE,
                      MOVE_NONE}},
    {MOVE_HOLDING,
        {MOVE_NONE, MOVE_DRAINING, MOVE_NONE, MOVE_NONE, MOVE_RELEASED, MOVE_FLIPPED, MOVE_NONE}},
    {MOVE_DRAINING,
        {MOVE_NONE, MOVE_DELTA, MOVE_NONE, MOVE_NONE, MOVE_RELEASED, MOVE_FLIPPED, MOVE_NONE}},
    {MOVE_DELTA,
        {MOVE_NONE, MOVE_VERIFIED, MOVE_NONE, MOVE_NONE, MOVE_RELEASED, MOVE_FLIPPED, MOVE_NONE}},
    {MOVE_VERIFIED,
        {MOVE_NONE, MOVE_FLIPPED, MOVE_NONE, MOVE_NONE, MOVE_RELEASED, MOVE_FLIPPED, MOVE_NONE}},
    {MOVE_FLIPPED, {MOVE_FLIPPED, MOVE_SWEEPING, MOVE_NONE, MOVE_PREPARED, MOVE_ROLLED_BACK,
                       MOVE_FLIPPED, MOVE_NONE}},
    {MOVE_SWEEPING, {MOVE_SWEEPING, MOVE_DONE, MOVE_NONE, MOVE_PREPARED, MOVE_ROLLED_BACK,
                        MOVE_SWEEPING, MOVE_NONE}},
    {MOVE_DONE, {MOVE_SWEEPING, MOVE_NONE, MOVE_NONE, MOVE_PREPARED, MOVE_ROLLED_BACK, MOVE_DONE,
                    MOVE_RETIRED}},
    {MOVE_RELEASED, {MOVE_PREPARED, MOVE_NONE, MOVE_ROLLED_BACK, MOVE_NONE, MOVE_RELEASED,
                        MOVE_NONE, MOVE_NONE}},
    {MOVE_ROLLED_BACK, {MOVE_PREPARED, MOVE_NONE, MOVE_ROLLED_BACK, MOVE_NONE, MOVE_ROLLED_BACK,
                           MOVE_NONE, MOVE_NONE}},
    {MOVE_RETIRED,
        {MOVE_PREPARED, MOVE_NONE, MOVE_NONE, MOVE_NONE, MOVE_RETIRED, MOVE_NONE, MOVE_RETIRED}},
};

static void test_every_state_and_event(void **state)
{
    (void)state;
    assert_int_equal(COUNT_OF(rows), MOVE_STATES);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(rows[i].from, i);
        for (int e = 0; e < MOVE_EVENTS; e++) {
            enum move_state got = move_next(rows[i].from, (enum move_event)e);
            if (got != rows[i].next[e])
                fail_msg("%s at %s: %s, not %s", move_event_name((enum move_event)e),
                    move_state_name(rows[i].from), move_state_name(got),
                    move_state_name(rows[i].next[e]));
        }
    }
}

static void test_the_straight_way(void **state)
{
    (void)state;
    enum move_state s = move_next(MOVE_NONE, MOVE_EVENT_BEGIN), last = MOVE_NONE;
    size_t steps = 0;
    while (s != MOVE_NONE) {
        assert_true(s > last); /* the order of the enum is the order of the steps */
        last = s;
        s = move_next(s, MOVE_EVENT_DONE);
        steps++;
    }
    assert_int_equal(last, MOVE_DONE);
    assert_int_equal(steps, 10);
}

static bool is_on_old(enum move_state s)
{
    return !move_is_forward(s) && !move_may_hold(s);
}

/* What must be true of any table, whatever its rows are. */
static void test_what_holds_for_all(void **state)
{
    (void)state;
    for (size_t i = 0; i < MOVE_STATES; i++) {
        enum move_state s = (enum move_state)i;
        assert_false(move_may_hold(s) && move_is_forward(s));
        for (int e = 0; e < MOVE_EVENTS; e++) {
            enum move_state to = move_next(s, (enum move_event)e);
            if (to == MOVE_NONE)
                continue;
            /* Only the map leads out of a hold, apart from the work that was done. */
            if (move_may_hold(s))
                assert_true(
                    e == MOVE_EVENT_DONE || e == MOVE_EVENT_ON_OLD || e == MOVE_EVENT_ON_NEW);
            /* Forward only by a flip that was done or that the map tells of. */
            if (move_is_forward(to) && !move_is_forward(s))
                assert_true(e == MOVE_EVENT_ON_NEW || (s == MOVE_VERIFIED && e == MOVE_EVENT_DONE));
            /* Back only because the map says so; the other way with new as old, from the start; and
             * sweeps end for good only where they have found all. */
            if (move_is_forward(s) && !move_is_forward(to))
                assert_true(e == MOVE_EVENT_ON_OLD ||
                            (e == MOVE_EVENT_RETURN && to == MOVE_PREPARED) ||
                            (e == MOVE_EVENT_RETIRE && s == MOVE_DONE && to == MOVE_RETIRED));
            if (e == MOVE_EVENT_RETURN)
                assert_true(move_is_forward(s));
            /* A hold begins in one place, behind a copy that is in step. */
            if (move_may_hold(to) && !move_may_hold(s))
                assert_true(s == MOVE_SYNCED && to == MOVE_HOLDING);
        }
        /* Somebody may begin again from everywhere, once the map has been asked. */
        if (move_may_hold(s)) {
            assert_true(is_on_old(move_next(s, MOVE_EVENT_ON_OLD)));
            assert_true(move_is_forward(move_next(s, MOVE_EVENT_ON_NEW)));
        } else {
            assert_int_not_equal(move_next(s, MOVE_EVENT_BEGIN), MOVE_NONE);
        }
        /* Where there is work there is a state behind it. */
        if (move_work(s) != MOVE_WORK_NONE)
            assert_int_not_equal(move_next(s, MOVE_EVENT_DONE), MOVE_NONE);
    }
}

/* Restart: from each state, what the map may say leads to a state from which `begin` goes on, and
 * with the user on the side that the map has named. */
static void test_restart_in_each_state(void **state)
{
    (void)state;
    for (size_t i = 1; i < MOVE_STATES; i++) {
        for (int on_new = 0; on_new < 2; on_new++) {
            enum move_state s = (enum move_state)i;
            enum move_event said = on_new ? MOVE_EVENT_ON_NEW : MOVE_EVENT_ON_OLD;
            enum move_state to = move_next(s, said);
            /* Before a hold nobody of ours can have flipped: the command refuses that. */
            if (is_on_old(s) && on_new) {
                assert_int_equal(to, MOVE_NONE);
                continue;
            }
            assert_int_equal(move_is_forward(to), on_new);
            assert_false(move_may_hold(to));
            assert_int_not_equal(move_next(to, MOVE_EVENT_BEGIN), MOVE_NONE);
        }
    }
}

static void test_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < MOVE_STATES; i++) {
        enum move_state back;
        assert_int_equal(
            move_state_parse(slice_str(move_state_name((enum move_state)i)), &back), 0);
        assert_int_equal(back, i);
    }
    enum move_state untouched = MOVE_DONE;
    assert_int_equal(move_state_parse(SLICE_LIT("don"), &untouched), -1);
    assert_int_equal(move_state_parse(SLICE_LIT(""), &untouched), -1);
    assert_int_equal(untouched, MOVE_DONE);
    for (int e = 0; e < MOVE_EVENTS; e++)
        assert_non_null(move_event_name((enum move_event)e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_state_and_event),
        cmocka_unit_test(test_the_straight_way),
        cmocka_unit_test(test_what_holds_for_all),
        cmocka_unit_test(test_restart_in_each_state),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
