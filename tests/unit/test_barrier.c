/* SPDX-License-Identifier: ISC */
/* Barriers, with hosts that answer what the tests say, when the tests say it. */
#include "base/core/clock.h"
#include "maps/mapd/barrier.h"
#include "tests/unit/unit.h"

#define MANY 500

/* --- In place of the hosts -------------------------------------------------------------- */

struct hosts {
    enum claims_scan_verdict says;
    struct err err;
    uint64_t takes_ms;
    bool is_slow; /* answers when the test does it */
    size_t asked, questions, most_questions;
    uint64_t last_ms, gap_ms; /* between the last two */
    struct claims_question *open;
    size_t n_open;
    hosts_answered *answered;
    void *arg;
};

static void give_answer(struct hosts *h)
{
    struct claims_question *open = h->open;
    for (size_t i = 0; i < h->n_open; i++)
        open[i].verdict = h->says;
    h->open = NULL;
    h->answered(h->arg, h->err.class == ERR_NONE ? NULL : &h->err);
}

void hosts_ask(struct hosts *h, struct claims_question *questions, size_t n,
    hosts_answered *answered, void *arg)
{
    uint64_t start_ms = clock_mono_ms();
    assert_null(h->open);
    h->asked++;
    h->questions = n;
    h->most_questions = n > h->most_questions ? n : h->most_questions;
    h->gap_ms = start_ms - h->last_ms;
    while (clock_mono_ms() < start_ms + h->takes_ms)
        ;
    h->last_ms = clock_mono_ms();
    h->open = questions;
    h->n_open = n;
    h->answered = answered;
    h->arg = arg;
    if (!h->is_slow)
        give_answer(h);
}

/* ------------------------------------------------------------------------------------------ */

static struct loop *loop;
static struct loop_timer *watchdog;
static struct hosts hosts;
static struct barriers *barriers;

/* One that waits, and how it ended. */
struct waiter {
    struct barrier *barrier;
    const char *result;
    bool has_failed;
    size_t asked; /* questions until then */
};
static size_t ended, stop_at;

static void too_late(void *arg)
{
    (void)arg;
    fail_msg("a barrier does not end");
}

static int set_up(void **state)
{
    (void)state;
    hosts = (struct hosts){.says = CLAIMS_BUSY};
    ended = 0;
    loop = loop_new();
    watchdog = loop_timer_new(loop, too_late, NULL);
    loop_timer_start(watchdog, 60000);
    barriers = barriers_new(loop, &hosts);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    barriers_free(&barriers);
    loop_timer_free(&watchdog);
    loop_free(&loop);
    return 0;
}

static void done(void *arg, const char *result, uint64_t waited_ms, const struct err *err)
{
    struct waiter *w = arg;
    (void)waited_ms;
    w->result = result;
    w->has_failed = err != NULL;
    w->asked = hosts.asked;
    barrier_free(&w->barrier);
    if (++ended == stop_at)
        loop_stop(loop);
}

static void wait_for(struct waiter *w, uint64_t timeout_ms)
{
    *w = (struct waiter){0};
    w->barrier = barrier_new(barriers, 7, 7, timeout_ms, done, w);
}

static void run_until(size_t n)
{
    stop_at = n;
    loop_run(loop);
}

static void stop(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

/* As long as the loop needs for what it has to do at once. */
static void run_ms(uint64_t ms)
{
    struct loop_timer *t = loop_timer_new(loop, stop, NULL);
    stop_at = 0;
    loop_timer_start(t, ms);
    loop_run(loop);
    loop_timer_free(&t);
}

static void test_one_question_for_all(void **state)
{
    static struct waiter w[MANY];
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        wait_for(&w[i], 100);
    run_until(MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_string_equal(w[i].result, "timeout");
    assert_int_equal(hosts.most_questions, MANY);
    /* After 0, 1, 3, 7, 15, 31, 51, 71, 91 and 100 ms. */
    assert_in_range(hosts.asked, 2, 12);
}

static void test_verdicts(void **state)
{
    struct waiter w;
    (void)state;
    hosts.says = CLAIMS_CLEAR;
    wait_for(&w, 0);
    run_until(1);
    assert_string_equal(w.result, "clear");
    hosts.says = CLAIMS_WAS_AMBIGUOUS;
    wait_for(&w, 0);
    run_until(2);
    assert_string_equal(w.result, "ambiguous");
    /* No time at all is one look. */
    hosts.says = CLAIMS_BUSY;
    wait_for(&w, 0);
    run_until(3);
    assert_string_equal(w.result, "timeout");
    assert_int_equal(hosts.asked, 3);
    err_set(&hosts.err, ERR_TEMP, 75, "no claims");
    wait_for(&w, 1000);
    run_until(4);
    assert_null(w.result);
    assert_true(w.has_failed);
}

/* Its epoch may have been published behind the look of the hosts. */
static void test_a_late_comer_is_asked_for_anew(void **state)
{
    struct waiter first, late;
    (void)state;
    hosts.is_slow = true;
    hosts.says = CLAIMS_CLEAR;
    wait_for(&first, 60000);
    run_ms(2);
    assert_int_equal(hosts.asked, 1);
    wait_for(&late, 60000);
    run_ms(2);
    assert_int_equal(hosts.asked, 1); /* one round at a time */
    give_answer(&hosts);
    assert_string_equal(first.result, "clear");
    assert_null(late.result);
    hosts.is_slow = false;
    run_until(2);
    assert_string_equal(late.result, "clear");
    assert_int_equal(hosts.asked, 2);
    assert_int_equal(hosts.questions, 1);
}

static void test_leaving_while_hosts_are_asked(void **state)
{
    struct waiter stays, leaves;
    (void)state;
    wait_for(&leaves, 60000);
    barrier_free(&leaves.barrier);
    run_ms(2);
    assert_int_equal(hosts.asked, 0);
    hosts.is_slow = true;
    hosts.says = CLAIMS_CLEAR;
    wait_for(&leaves, 60000);
    wait_for(&stays, 60000);
    run_ms(2);
    barrier_free(&leaves.barrier);
    give_answer(&hosts);
    assert_string_equal(stays.result, "clear");
    assert_null(leaves.result);
    run_ms(5);
    assert_int_equal(hosts.asked, 1); /* nobody waits, so nobody is asked */
}

/* A slow look at many files leaves the loop to the others. */
static void test_a_pause_behind_a_slow_look(void **state)
{
    struct waiter first, second;
    (void)state;
    hosts.takes_ms = 3;
    hosts.says = CLAIMS_CLEAR;
    wait_for(&first, 60000);
    run_until(1);
    wait_for(&second, 60000);
    run_until(2);
    assert_int_equal(hosts.asked, 2);
    assert_true(hosts.gap_ms >= (BARRIER_SHARE - 1) * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_question_for_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_verdicts, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_late_comer_is_asked_for_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leaving_while_hosts_are_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_pause_behind_a_slow_look, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
