/* SPDX-License-Identifier: ISC */
/* The store thread: what waits together, and what must not. */
#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>
/* The clocks of this program are set by the tests. */
#define clock_wall_ms real_wall_ms
#define clock_mono_ms real_mono_ms
#include "base/core/clock.c"
#undef clock_wall_ms
#undef clock_mono_ms
#include "base/core/log.h"
#include "base/core/mem.h"
#include "maps/mapd/worker.h"
#include "maps/snapshot.h"
#include "maps/snapshot_file.h"
#include "tests/unit/tmpdir.h"

#define BUSY_ROWS 8000 /* a wave that takes long enough for the next jobs to gather */
#define HOLD_MS 60000

static char old_name[] = "old", domain_name[] = "example.org";
static struct conf_server servers[] = {
    {.name = old_name, .smtp = {NET_SCHEME_SMTP, (char[]){"10.1.1.5"}, 25}}};
static struct conf_domain domains[] = {
    {.name = domain_name, .default_server = CONF_SERVER_NONE, .fold_local_part = true}};
static const struct conf CONF = {.servers = servers,
    .n_servers = 1,
    .domains = domains,
    .n_domains = 1,
    .mapd = {.hold_max_ms = HOLD_MS}};

static _Atomic int64_t wall_step_ms;
static _Atomic uint64_t passed_ms; /* time that the tests let pass */

uint64_t clock_mono_ms(void);
uint64_t clock_mono_ms(void)
{
    return real_mono_ms() + passed_ms;
}

int64_t clock_wall_ms(void);
int64_t clock_wall_ms(void)
{
    return real_wall_ms() + wall_step_ms + (int64_t)passed_ms;
}

static struct tmpdir dir;
static struct store *store;
static struct publish *publish;
static struct worker *worker;
static struct control_session sessions[3];
static struct job *finished;

static void must(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%s", err->text);
}

static void nothing(void *arg)
{
    (void)arg;
}

static int set_up(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    log_set_level(LOG_LEVEL_ERROR);
    tmpdir_make(&dir);
    wall_step_ms = 0;
    passed_ms = 0;
    must(store_create(dir.path, 8U << 20, &err), &err);
    must(store_open(dir.path, 8U << 20, &store, &err), &err);
    must(publish_open(dir.path, store, &publish, &err), &err);
    must(publish_stage(publish, NULL, &err), &err);
    publish_staged(publish);
    for (size_t i = 0; i < 3; i++)
        sessions[i] = (struct control_session){.who = "tester", .may_write = true};
    must(worker_new(&CONF, store, publish, nothing, NULL, &worker, &err), &err);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    worker_stop(worker);
    while (finished || (finished = worker_take(worker))) {
        struct job *next = finished->next;
        job_free(&finished);
        finished = next;
    }
    worker_free(&worker);
    for (size_t i = 0; i < 3; i++)
        control_session_fini(&sessions[i]);
    publish_close(&publish);
    store_close(&store);
    tmpdir_remove(&dir);
    return 0;
}

static void submit_own(size_t session, json_t *request)
{
    struct job *job = mem_zalloc(sizeof *job);
    assert_non_null(request);
    job->session = &sessions[session];
    job->request = request;
    worker_submit(worker, job);
}

static void submit(size_t session, const char *text)
{
    submit_own(session, json_loads(text, 0, NULL));
}

/* The next job that comes back; the caller's. */
static struct job *take(void)
{
    for (int i = 0; !finished && i < 30000; i++) {
        finished = worker_take(worker);
        if (!finished)
            poll(NULL, 0, 1);
    }
    struct job *job = finished;
    assert_non_null(job);
    finished = job->next;
    return job;
}

static void expect_ok(void)
{
    struct job *job = take();
    if (!json_is_true(json_object_get(job->reply, "ok")))
        fail_msg("%s", json_dumps(job->reply, 0));
    job_free(&job);
}

/* A request that keeps the thread busy. */
static json_t *busy(const char *op, const char *member)
{
    json_t *rows = json_array();
    for (int i = 0; i < BUSY_ROWS; i++) {
        char key[64];
        assert_int_equal(fmt_into(key, sizeof key, "u%d@example.org", i), 0);
        json_array_append_new(rows, json_pack("{ss s{ss}}", "key", key, "set", "route", "old"));
    }
    return json_pack("{ss so}", "op", op, member, rows);
}

static void test_a_hold_behind_a_wave_has_all_its_time(void **state)
{
    (void)state;
    submit(1, "{\"op\":\"set\",\"key\":\"ann@example.org\",\"set\":{\"route\":\"old\"}}");
    expect_ok();
    json_t *first = busy("apply", "changes"), *second = busy("apply", "changes");
    const uint64_t began_ms = clock_mono_ms();
    /* The first one keeps the thread busy while the second one and the hold gather. */
    submit_own(0, first);
    submit_own(1, second);
    submit(
        2, "{\"op\":\"hold\",\"key\":\"ann@example.org\",\"owner\":\"t\",\"deadline_ms\":60000}");
    for (int i = 0; i < 2; i++)
        expect_ok();
    struct job *job = take();
    json_t *entry = json_object_get(job->reply, "entry");
    int64_t left =
        json_integer_value(json_object_get(json_object_get(entry, "hold"), "deadline_ms")) -
        clock_wall_ms();
    job_free(&job);
    /* The waves take nearly all of the time since; how much that is, the machine says. */
    if (HOLD_MS - left > (int64_t)(clock_mono_ms() - began_ms) / 2)
        fail_msg("%lld ms are missing", (long long)(HOLD_MS - left));
}

static bool is_held(void)
{
    submit(2, "{\"op\":\"get\",\"key\":\"ann@example.org\"}");
    struct job *job = take();
    const char *state =
        json_string_value(json_object_get(json_object_get(job->reply, "entry"), "state"));
    assert_non_null(state);
    bool held = strcmp(state, "held") == 0;
    job_free(&job);
    return held;
}

static void hold(const char *request)
{
    submit(1, "{\"op\":\"set\",\"key\":\"ann@example.org\",\"set\":{\"route\":\"old\"}}");
    expect_ok();
    submit(2, request);
    expect_ok();
    assert_true(is_held());
}

static void test_a_hold_does_not_follow_the_clock_back(void **state)
{
    (void)state;
    hold("{\"op\":\"hold\",\"key\":\"ann@example.org\",\"owner\":\"t\",\"deadline_ms\":60000}");
    wall_step_ms = -3600000;
    assert_true(is_held());
    passed_ms += 60000;
    assert_false(is_held());
}

static void test_a_hold_does_not_follow_the_clock_forth(void **state)
{
    (void)state;
    hold("{\"op\":\"hold\",\"key\":\"ann@example.org\",\"owner\":\"t\",\"deadline_ms\":60000}");
    wall_step_ms = 3600000;
    assert_true(is_held());
    assert_true(is_held());
}

/* Behind a mark that the map is not valid, the next change publishes all of it. */
static void test_invalid_until_the_next_change(void **state)
{
    (void)state;
    struct snapshot *reader = snapshot_new(dir.path);
    struct route_store bytes;
    struct route_entry entry;
    submit(0, "{\"op\":\"set\",\"key\":\"ann@example.org\",\"set\":{\"route\":\"old\"}}");
    expect_ok();
    publish_invalidate(publish);
    assert_int_equal(
        snapshot_get(reader, SLICE_LIT("ann@example.org"), &bytes, &entry), ROUTE_UNKNOWN);
    submit(0, "{\"op\":\"set\",\"key\":\"bob@example.org\",\"set\":{\"route\":\"old\"}}");
    expect_ok();
    assert_int_equal(
        snapshot_get(reader, SLICE_LIT("ann@example.org"), &bytes, &entry), ROUTE_FOUND);
    assert_int_equal(
        snapshot_get(reader, SLICE_LIT("bob@example.org"), &bytes, &entry), ROUTE_FOUND);
    snapshot_free(&reader);
}

static void test_rows_are_taken_once(void **state)
{
    (void)state;
    char path[512];
    submit(0, "{\"op\":\"begin\"}");
    submit_own(0, busy("put", "rows"));
    submit(1, "{\"op\":\"begin\"}");
    for (int i = 0; i < 3; i++)
        expect_ok();
    submit(0, "{\"op\":\"commit\"}");
    /* From now on no change can be published, so every transaction fails. */
    assert_int_equal(fmt_into(path, sizeof path, "%s/" SNAPSHOT_CTL_NAME, dir.path), 0);
    assert_int_equal(unlink(path), 0);
    submit(
        1, "{\"op\":\"put\",\"rows\":[{\"key\":\"a@example.org\",\"set\":{\"route\":\"old\"}}]}");
    submit(2, "{\"op\":\"set\",\"key\":\"b@example.org\",\"set\":{\"route\":\"old\"}}");
    unsigned n_taken = 0, n_failed = 0;
    for (int i = 0; i < 3; i++) { /* the commit comes when it comes, and may have been quicker */
        struct job *job = take();
        n_taken += json_integer_value(json_object_get(job->reply, "rows")) == 1;
        n_failed += !json_is_true(json_object_get(job->reply, "ok"));
        job_free(&job);
    }
    assert_int_equal(n_taken, 1);
    assert_in_range(n_failed, 1, 2);
}

/* A commit that is not through when the thread ends says so; nothing of it happened. */
static void test_the_end_of_an_import(void **state)
{
    (void)state;
    submit(0, "{\"op\":\"begin\"}");
    submit_own(0, busy("put", "rows"));
    submit(0, "{\"op\":\"commit\"}");
    for (int i = 0; i < 3; i++)
        expect_ok();
    assert_int_equal(store_live_count(store), BUSY_ROWS);
    /* It waits for the fold of the first one, which takes longer than the two requests. */
    submit(1, "{\"op\":\"begin\"}");
    submit(
        1, "{\"op\":\"put\",\"rows\":[{\"key\":\"a@example.org\",\"set\":{\"route\":\"old\"}}]}");
    submit(1, "{\"op\":\"commit\"}");
    worker_stop(worker);
    expect_ok();
    expect_ok();
    struct job *job = take();
    bool is_ok = json_is_true(json_object_get(job->reply, "ok"));
    assert_int_equal(store_live_count(store), BUSY_ROWS + (is_ok ? 1 : 0));
    job_free(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_end_of_an_import, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_hold_behind_a_wave_has_all_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_hold_does_not_follow_the_clock_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_hold_does_not_follow_the_clock_forth, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_invalid_until_the_next_change, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rows_are_taken_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
