/* SPDX-License-Identifier: ISC */
/* The queue: who comes first, who has a place, who is tried again, and who is set aside. */
#include <sysexits.h>

#include "base/core/num.h"
#include "imapsync/jobs/queue.h"
#include "tests/unit/unit.h"

#define NOW 1700000000000
#define SWEEP_MS 60000

static const struct queue_limits limits = {
    .jobs_max = 8, .copies_max = 2, .deltas_max = 4, .deaths_max = 3, .sweep_ms = SWEEP_MS};

static struct queue_job *ask(struct queue *q, const char *user, enum request_kind kind, int64_t due)
{
    struct queue_job *job = queue_get(q, user);
    const struct request r = {.kind = kind, .asked_ms = due, .due_ms = due};
    queue_ask(job, &r);
    return job;
}

static struct queue_job *swept(struct queue *q, const char *user, int64_t swept_ms)
{
    struct queue_job *job = queue_get(q, user);
    job->is_forward = true;
    job->swept_ms = swept_ms;
    return job;
}

static struct err error_of(enum err_class class)
{
    struct err err = ERR_INIT;
    err_set(&err, class, EX_TEMPFAIL, "this is why");
    return err;
}

/* Both servers of the job have been met often. */
static void open_wide(struct queue *q, struct queue_job *job)
{
    for (int i = 0; i < 20; i++) {
        job->was_answered = false;
        queue_answered(q, job);
    }
    job->was_answered = false;
}

static void assert_next(struct queue *q, const char *user)
{
    const struct queue_job *job = queue_next(q, NOW);
    assert_row(user, job != NULL);
    assert_string_equal(job->user, user);
}

static void test_classes_in_their_order(void **state)
{
    (void)state;
    struct queue *q = queue_new(&limits);
    swept(q, "swept", NOW - 2 * SWEEP_MS);
    ask(q, "late", REQUEST_CUTOVER, NOW - 1);
    ask(q, "early", REQUEST_CUTOVER, NOW - 2);
    ask(q, "tomorrow", REQUEST_CUTOVER, NOW + 1);
    ask(q, "back", REQUEST_ROLLBACK, NOW);
    ask(q, "retired", REQUEST_RETIRE, NOW - 5);
    ask(q, "held", REQUEST_CUTOVER, NOW - 9)->is_held = true;
    swept(q, "fresh", NOW - SWEEP_MS + 1);
    assert_next(q, "held");
    assert_int_equal(queue_find(q, "held")->running, QUEUE_RELEASE);
    assert_next(q, "back");
    assert_next(q, "early");
    assert_next(q, "late");
    assert_next(q, "retired");
    assert_next(q, "swept");
    assert_null(queue_next(q, NOW));
    assert_int_equal(queue_wait_ms(q, NOW), 1);
    assert_int_equal(queue_n_running(q), 6);
    queue_free(&q);
}

static void test_a_rollback_needs_no_place(void **state)
{
    (void)state;
    struct queue_limits one = limits;
    one.jobs_max = 1;
    struct queue *q = queue_new(&one);
    ask(q, "a", REQUEST_CUTOVER, NOW);
    ask(q, "b", REQUEST_CUTOVER, NOW);
    assert_next(q, "a");
    assert_null(queue_next(q, NOW));
    ask(q, "c", REQUEST_ROLLBACK, NOW);
    queue_get(q, "d")->is_held = true;
    assert_next(q, "d");
    assert_next(q, "c");
    assert_null(queue_next(q, NOW));
    struct err none = ERR_INIT;
    assert_int_equal(queue_ended(q, queue_find(q, "a"), QUEUE_GOOD, &none, NOW), QUEUE_OVER);
    assert_next(q, "b");
    queue_free(&q);
}

static void test_places_of_a_server(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_first;
        uint32_t connections;
        unsigned want;
    } rows[] = {{"first copies", true, 0, 2}, {"all else", false, 0, 4},
        {"a server that takes one connection", false, 1, 1}, {"and three", false, 3, 3}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct queue *q = queue_new(&limits);
        queue_set_server(q, "new", rows[i].connections);
        unsigned n = 0;
        for (int k = 0; k < 8; k++) {
            char name[16];
            assert_int_equal(fmt_into(name, sizeof(name), "u%d", k), 0);
            queue_placed(q, ask(q, name, REQUEST_CUTOVER, NOW), k % 2 ? "old" : "older", "new",
                rows[i].is_first);
        }
        open_wide(q, queue_find(q, "u0"));
        open_wide(q, queue_find(q, "u1"));
        while (queue_next(q, NOW))
            n++;
        assert_row(rows[i].name, n == rows[i].want);
        queue_free(&q);
    }
}

/* One job until it is let in, then one more for each that is. */
static void test_a_server_that_is_met_for_the_first_time(void **state)
{
    (void)state;
    struct queue *q = queue_new(&limits);
    for (const char *u = "abcdef"; *u; u++) {
        const char name[2] = {*u, '\0'};
        queue_placed(q, swept(q, name, NOW - SWEEP_MS - ('z' - *u)), "old", "new", false);
    }
    assert_next(q, "a");
    assert_null(queue_next(q, NOW));
    assert_int_equal(queue_wait_ms(q, NOW), -1);
    queue_answered(q, queue_find(q, "a"));
    queue_answered(q, queue_find(q, "a"));
    assert_next(q, "b");
    assert_null(queue_next(q, NOW));
    /* It falls silent: nobody else is sent there for a while, and then just one. */
    const struct err err = error_of(ERR_TEMP);
    queue_silent(q, "old", NOW);
    assert_int_equal(queue_ended(q, queue_find(q, "a"), QUEUE_FAILED, &err, NOW), QUEUE_OVER);
    assert_int_equal(queue_ended(q, queue_find(q, "b"), QUEUE_FAILED, &err, NOW), QUEUE_OVER);
    assert_null(queue_next(q, NOW));
    assert_string_equal(queue_waits_for(queue_find(q, "c"), NOW), "old");
    assert_int_equal(queue_wait_ms(q, NOW), QUEUE_SILENT_MS);
    assert_non_null(queue_next(q, NOW + QUEUE_SILENT_MS));
    assert_null(queue_next(q, NOW + QUEUE_SILENT_MS));
    queue_silent(q, "old", NOW + QUEUE_SILENT_MS);
    assert_string_equal(queue_waits_for(queue_find(q, "d"), NOW + 3 * QUEUE_SILENT_MS - 1), "old");
    assert_null(queue_waits_for(queue_find(q, "d"), NOW + 3 * QUEUE_SILENT_MS));
    /* Somebody says that it is another matter now. */
    queue_try_again(q);
    assert_null(queue_waits_for(queue_find(q, "d"), NOW));
    queue_free(&q);
}

/* Whether it is time to retire somebody says who asks. */
static void test_a_retirement_is_tried_once(void **state)
{
    (void)state;
    struct queue *q = queue_new(&limits);
    const struct err err = error_of(ERR_TEMP);
    struct queue_job *job = ask(q, "a", REQUEST_RETIRE, NOW);
    assert_next(q, "a");
    assert_int_equal(queue_ended(q, job, QUEUE_FAILED, &err, NOW), QUEUE_OVER);
    assert_null(queue_next(q, NOW + QUEUE_RETRY_MAX_MS));
    queue_free(&q);
}

/* Servers of a user whom nobody knows are known when its worker has asked the map. */
static void test_places_that_are_taken_on_the_way(void **state)
{
    (void)state;
    struct queue *q = queue_new(&limits);
    struct queue_job *a = ask(q, "a", REQUEST_CUTOVER, NOW), *b = ask(q, "b", REQUEST_CUTOVER, NOW);
    assert_next(q, "a");
    assert_next(q, "b");
    queue_placed(q, a, "old", "new", true);
    assert_true(queue_enter(q, a, NOW));
    queue_placed(q, b, "old", "new", true);
    assert_false(queue_enter(q, b, NOW));
    assert_null(queue_entered(q, NOW));
    queue_answered(q, a);
    assert_ptr_equal(queue_entered(q, NOW), b);
    assert_null(queue_entered(q, NOW));
    /* The first copy is through: its place is of the other kind, and nothing is counted twice. */
    queue_placed(q, a, "old", "new", false);
    assert_true(queue_enter(q, a, NOW));
    struct err none = ERR_INIT;
    assert_int_equal(queue_ended(q, a, QUEUE_GOOD, &none, NOW), QUEUE_OVER);
    assert_int_equal(queue_ended(q, b, QUEUE_GOOD, &none, NOW), QUEUE_OVER);
    queue_placed(q, ask(q, "c", REQUEST_CUTOVER, NOW), "old", "new", true);
    assert_next(q, "c");
    queue_free(&q);
}

static void test_what_becomes_of_a_request(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum queue_outcome outcome;
        enum err_class class;
        enum queue_verdict want;
        int64_t wait_ms;
    } rows[] = {
        {"it is done", QUEUE_GOOD, ERR_NONE, QUEUE_OVER, 0},
        {"it can never be done", QUEUE_FAILED, ERR_PERM, QUEUE_OVER, 0},
        {"it may be later", QUEUE_FAILED, ERR_TEMP, QUEUE_LATER, QUEUE_RETRY_MS},
        {"its worker has died", QUEUE_DIED, ERR_BUG, QUEUE_LATER, 0},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct queue *q = queue_new(&limits);
        const struct err err = error_of(rows[i].class);
        struct queue_job *job = ask(q, "a", REQUEST_CUTOVER, NOW);
        assert_next(q, "a");
        assert_row(rows[i].name, queue_ended(q, job, rows[i].outcome, &err, NOW) == rows[i].want);
        bool stays = rows[i].want == QUEUE_LATER;
        assert_row(rows[i].name, queue_is_asked(job) == stays);
        assert_row(rows[i].name, !stays || job->request.due_ms == NOW + rows[i].wait_ms);
        queue_free(&q);
    }
}

static void test_back_off_of_a_user(void **state)
{
    (void)state;
    struct queue *q = queue_new(&limits);
    const struct err err = error_of(ERR_TEMP);
    struct queue_job *job = ask(q, "a", REQUEST_CUTOVER, NOW);
    int64_t now = NOW, waits[] = {1, 2, 4, 8, 16, 32, 60, 60};
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        assert_ptr_equal(queue_next(q, now), job);
        assert_int_equal(queue_ended(q, job, QUEUE_FAILED, &err, now), QUEUE_LATER);
        assert_int_equal(queue_wait_ms(q, now), waits[i] * 60000);
        assert_null(queue_next(q, now + waits[i] * 60000 - 1));
        now += waits[i] * 60000;
    }
    assert_string_equal(job->request.why, "this is why");
    assert_ptr_equal(queue_next(q, now), job);
    assert_int_equal(queue_ended(q, job, QUEUE_FAILED, &err, now), QUEUE_OVER);
    assert_int_equal(queue_wait_ms(q, now), -1);
    queue_free(&q);
}

static void test_set_aside_after_so_many_deaths(void **state)
{
    (void)state;
    struct queue *q = queue_new(&limits);
    const struct err err = error_of(ERR_BUG);
    struct queue_job *job = ask(q, "a", REQUEST_CUTOVER, NOW);
    for (uint32_t i = 1; i <= limits.deaths_max; i++) {
        assert_ptr_equal(queue_next(q, NOW + 10000), job);
        assert_int_equal(queue_ended(q, job, QUEUE_DIED, &err, NOW),
            i < limits.deaths_max ? QUEUE_LATER : QUEUE_ASIDE);
        assert_int_equal(job->request.deaths, i);
    }
    assert_string_equal(job->request.why, "this is why");
    assert_null(queue_next(q, NOW + 10000));
    assert_int_equal(queue_wait_ms(q, NOW), -1);
    /* His mail is let through all the same, as often again. */
    job->is_held = true;
    for (uint32_t i = 1; i <= limits.deaths_max; i++) {
        assert_ptr_equal(queue_next(q, NOW + 10000), job);
        assert_int_equal(job->running, QUEUE_RELEASE);
        assert_int_equal(queue_ended(q, job, QUEUE_DIED, &err, NOW), QUEUE_ASIDE);
    }
    assert_null(queue_next(q, NOW + 10000));
    /* Somebody asks anew. */
    job->is_held = false;
    ask(q, "a", REQUEST_CUTOVER, NOW);
    assert_ptr_equal(queue_next(q, NOW), job);
    struct err none = ERR_INIT;
    assert_int_equal(queue_ended(q, job, QUEUE_GOOD, &none, NOW), QUEUE_OVER);
    assert_int_equal(job->request.deaths, 0);
    queue_free(&q);
}

/* The worker has died while mail waited: that is over first, then the step is begun again. */
static void test_died_under_a_hold(void **state)
{
    (void)state;
    struct queue *q = queue_new(&limits);
    const struct err err = error_of(ERR_BUG);
    struct err none = ERR_INIT;
    struct queue_job *job = ask(q, "a", REQUEST_CUTOVER, NOW);
    assert_next(q, "a");
    job->is_held = true;
    assert_int_equal(queue_ended(q, job, QUEUE_DIED, &err, NOW), QUEUE_LATER);
    assert_next(q, "a");
    assert_int_equal(job->running, QUEUE_RELEASE);
    job->is_held = false;
    assert_int_equal(queue_ended(q, job, QUEUE_GOOD, &none, NOW), QUEUE_LATER);
    assert_next(q, "a");
    assert_int_equal(job->running, QUEUE_CUTOVER);
    assert_int_equal(job->request.deaths, 1);
    queue_free(&q);
}

static void test_asked_for_the_opposite_meanwhile(void **state)
{
    (void)state;
    struct queue *q = queue_new(&limits);
    const struct err err = error_of(ERR_TEMP);
    struct queue_job *job = ask(q, "a", REQUEST_CUTOVER, NOW);
    assert_next(q, "a");
    ask(q, "a", REQUEST_ROLLBACK, NOW);
    assert_int_equal(queue_ended(q, job, QUEUE_FAILED, &err, NOW), QUEUE_LATER);
    assert_next(q, "a");
    assert_int_equal(job->running, QUEUE_ROLLBACK);
    queue_free(&q);
}

static void test_sweeps_that_fail(void **state)
{
    (void)state;
    struct queue *q = queue_new(&limits);
    const struct err err = error_of(ERR_TEMP);
    struct err none = ERR_INIT;
    struct queue_job *job = swept(q, "a", NOW - SWEEP_MS);
    int64_t now = NOW;
    static const int waits[] = {2, 4, 8, 16, 16};
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        assert_ptr_equal(queue_next(q, now), job);
        assert_int_equal(queue_ended(q, job, QUEUE_FAILED, &err, now), QUEUE_OVER);
        assert_int_equal(queue_wait_ms(q, now), waits[i] * SWEEP_MS);
        now += (int64_t)waits[i] * SWEEP_MS;
    }
    assert_ptr_equal(queue_next(q, now), job);
    assert_int_equal(queue_ended(q, job, QUEUE_GOOD, &none, now), QUEUE_OVER);
    assert_int_equal(queue_wait_ms(q, now), SWEEP_MS);
    queue_free(&q);
}

/* A command without a daemon: what it was asked for, and nothing else. */
static void test_for_one_command(void **state)
{
    (void)state;
    struct queue_limits once = limits;
    once.is_once = true;
    struct queue *q = queue_new(&once);
    const struct err err = error_of(ERR_TEMP);
    swept(q, "swept", 0);
    ask(q, "other", REQUEST_CUTOVER, 0)->is_resting = true;
    queue_get(q, "held")->is_held = true;
    struct queue_job *job = ask(q, "a", REQUEST_CUTOVER, NOW);
    job->is_held = true; /* settled by the cut-over itself */
    assert_next(q, "a");
    assert_int_equal(job->running, QUEUE_CUTOVER);
    assert_null(queue_next(q, NOW));
    assert_int_equal(queue_ended(q, job, QUEUE_FAILED, &err, NOW), QUEUE_OVER);
    assert_null(queue_next(q, NOW));
    queue_free(&q);
}

/* Ten thousand users at once: each of them is worked on, once, and the limits hold all the time. */
static void test_ten_thousand_at_once(void **state)
{
    (void)state;
    enum { USERS = 10000 };
    struct queue *q = queue_new(&limits);
    static unsigned times[USERS];
    struct queue_job *running[64];
    size_t n_running = 0, n_done = 0, most = 0;
    struct err none = ERR_INIT;
    char name[32];
    for (unsigned i = 0; i < USERS; i++) {
        assert_int_equal(fmt_into(name, sizeof(name), "u%u", i), 0);
        queue_placed(
            q, ask(q, name, REQUEST_CUTOVER, NOW), "old", i % 2 ? "new" : "newer", i % 3 == 0);
    }
    while (n_done < USERS) {
        struct queue_job *job;
        while ((job = queue_next(q, NOW)) != NULL) {
            uint32_t i;
            assert_int_equal(num_u32(slice_str(job->user + 1), 0, USERS - 1, &i), 0);
            times[i]++;
            queue_answered(q, job);
            running[n_running++] = job;
        }
        assert_true(n_running > 0 && n_running <= limits.copies_max + limits.deltas_max);
        most = n_running > most ? n_running : most;
        assert_int_equal(queue_ended(q, running[0], QUEUE_GOOD, &none, NOW), QUEUE_OVER);
        running[0] = running[--n_running];
        n_done++;
    }
    for (unsigned i = 0; i < USERS; i++)
        assert_int_equal(times[i], 1);
    assert_int_equal(most, limits.copies_max + limits.deltas_max);
    queue_free(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes_in_their_order),
        cmocka_unit_test(test_a_rollback_needs_no_place),
        cmocka_unit_test(test_places_of_a_server),
        cmocka_unit_test(test_a_server_that_is_met_for_the_first_time),
        cmocka_unit_test(test_a_retirement_is_tried_once),
        cmocka_unit_test(test_places_that_are_taken_on_the_way),
        cmocka_unit_test(test_what_becomes_of_a_request),
        cmocka_unit_test(test_back_off_of_a_user),
        cmocka_unit_test(test_set_aside_after_so_many_deaths),
        cmocka_unit_test(test_died_under_a_hold),
        cmocka_unit_test(test_asked_for_the_opposite_meanwhile),
        cmocka_unit_test(test_sweeps_that_fail),
        cmocka_unit_test(test_for_one_command),
        cmocka_unit_test(test_ten_thousand_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
