/* SPDX-License-Identifier: ISC */
#include "imapsync/speed.h"
#include "tests/unit/unit.h"

/* So many seconds at this speed, told every so many milliseconds. */
static void go(struct speed *s, struct speed_sample *at, unsigned seconds, unsigned step_ms,
    uint64_t messages_s, uint64_t octets_s)
{
    const struct speed_sample from = *at;
    for (uint64_t ms = step_ms; ms <= seconds * 1000u; ms += step_ms) {
        *at = (struct speed_sample){from.ms + ms, from.messages + messages_s * ms / 1000,
            from.octets + octets_s * ms / 1000};
        speed_add(s, at->ms, at->messages, at->octets);
    }
}

static void assert_near(double got, double want)
{
    if (got < want * 0.98 - 1e-9 || got > want * 1.02 + 1e-9)
        fail_msg("%f is not about %f", got, want);
}

static void test_nobody_can_tell_yet(void **state)
{
    struct speed s = {0};
    (void)state;
    struct speed_now now = speed_now(&s);
    assert_near(now.messages, 0);
    speed_add(&s, 5000, 0, 0);
    speed_add(&s, 5900, 90, 9000);
    now = speed_now(&s);
    assert_near(now.messages, 0);
    assert_int_equal(speed_left_ms(&now, 100, 0), -1);
    assert_int_equal(speed_left_ms(&now, 0, 0), 0);
    speed_add(&s, 6000, 100, 10000);
    now = speed_now(&s);
    assert_near(now.messages, 100);
    assert_near(now.octets, 10000);
    assert_int_equal(speed_left_ms(&now, 1000, 0), 10000);
}

/* However often it is told: a fast copy tells of each message. */
static void test_steady(void **state)
{
    static const unsigned steps[] = {1, 7, 100, 500, 1300, 20000};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        struct speed s = {0};
        struct speed_sample at = {1000000, 0, 0};
        speed_add(&s, at.ms, 0, 0);
        go(&s, &at, 100, steps[i], 20, 1 << 20);
        struct speed_now now = speed_now(&s);
        assert_near(now.messages, 20);
        assert_near(now.octets, 1 << 20);
    }
}

static void test_the_last_half_minute_counts(void **state)
{
    struct speed s = {0};
    struct speed_sample at = {1, 0, 0};
    (void)state;
    speed_add(&s, at.ms, 0, 0);
    go(&s, &at, 300, 100, 500, 5000);
    assert_near(speed_now(&s).messages, 500);
    go(&s, &at, 40, 100, 10, 5000000);
    assert_near(speed_now(&s).messages, 10);
    assert_near(speed_now(&s).octets, 5000000);
}

/* One large message, of which nothing is told before it is there. */
static void test_a_stop_is_seen(void **state)
{
    struct speed s = {0};
    struct speed_sample at = {1, 0, 0};
    (void)state;
    speed_add(&s, at.ms, 0, 0);
    go(&s, &at, 60, 100, 10, 1000);
    speed_add(&s, at.ms + 300000, at.messages + 1, at.octets + 300000000);
    struct speed_now now = speed_now(&s);
    assert_near(now.octets, 1000000);
    assert_true(now.messages < 1);
}

static void test_begun_anew(void **state)
{
    struct speed s = {0};
    (void)state;
    speed_add(&s, 1000, 500, 1000);
    speed_add(&s, 3000, 0, 0);
    speed_add(&s, 5000, 20, 2000);
    assert_near(speed_now(&s).messages, 10);
}

static void test_left(void **state)
{
    static const struct {
        const char *name;
        struct speed_now now;
        uint64_t messages, octets;
        int64_t left_ms;
    } rows[] = {
        {"nothing is left", {0, 0}, 0, 0, 0},
        {"nothing goes on", {0, 0}, 5, 0, -1},
        {"by messages", {10, 1000}, 50, 0, 5000},
        {"octets take longer", {10, 1000}, 50, 60000, 60000},
        {"messages do", {1, 1000}, 50, 6000, 50000},
        {"octets do not move", {1, 0}, 50, 6000, -1},
        {"for ever", {1e-9, 0}, UINT32_MAX, 0, -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].name,
            speed_left_ms(&rows[i].now, rows[i].messages, rows[i].octets) == rows[i].left_ms);
}

static void test_a_pace_bounds_it(void **state)
{
    static const struct {
        const char *name;
        int64_t left_ms;
        uint64_t bound_s;
        int64_t want_ms;
    } rows[] = {
        {"no pace", 5000, 0, 5000},
        {"no pace, and nobody can tell", -1, 0, -1},
        {"a pace that is no bound", 5000, 3, 5000},
        {"slower for a while than now", 5000, 86400, 86400000},
        {"nothing goes on", -1, 86400, 86400000},
        {"beyond all numbers", 5000, UINT64_MAX, INT64_MAX},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(
            rows[i].name, speed_no_sooner_ms(rows[i].left_ms, rows[i].bound_s) == rows[i].want_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_can_tell_yet),
        cmocka_unit_test(test_steady),
        cmocka_unit_test(test_the_last_half_minute_counts),
        cmocka_unit_test(test_a_stop_is_seen),
        cmocka_unit_test(test_begun_anew),
        cmocka_unit_test(test_left),
        cmocka_unit_test(test_a_pace_bounds_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
