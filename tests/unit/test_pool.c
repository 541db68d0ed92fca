/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include "relay/pool.h"
#include "tests/unit/smtp_peer.h"

enum { ASKERS = 8 };

struct asker {
    struct fixture *f;
    struct pool_request *request;
    struct smtp_conn *conn;
    struct err why;
    int called;
};

struct fixture {
    struct loop *loop;
    struct loop_timer *guard, *poll;
    struct smtp_peer peers[2];
    struct conf conf;
    struct conf_server servers[2];
    struct tls_ctx *tls[2];
    struct pool *pool;
    struct asker askers[ASKERS];
    bool (*is_there)(struct fixture *f);
};

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("nothing happened any more");
}

static void on_poll(void *arg)
{
    struct fixture *f = arg;

    if (f->is_there(f))
        loop_stop(f->loop);
}

/* Runs the loop until the condition holds. */
static void until(struct fixture *f, bool (*is_there)(struct fixture *f))
{
    f->is_there = is_there;
    loop_timer_repeat(f->poll, 1);
    loop_run(f->loop);
    loop_timer_stop(f->poll);
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));

    (void)signal(SIGPIPE, SIG_IGN);
    f->loop = loop_new();
    f->guard = loop_timer_new(f->loop, on_guard, f);
    loop_timer_start(f->guard, 30000);
    f->poll = loop_timer_new(f->loop, on_poll, f);
    for (int i = 0; i < 2; i++) {
        smtp_peer_start(&f->peers[i], f->loop);
        f->servers[i].name = (char *)(uintptr_t)(i == 0 ? "old" : "new");
        f->servers[i].smtp.host = (char *)(uintptr_t) "127.0.0.1";
        f->servers[i].smtp.scheme = NET_SCHEME_SMTP;
        f->servers[i].smtp.port = f->peers[i].port;
        f->servers[i].smtp_connections_max = 3;
    }
    f->conf.servers = f->servers;
    f->conf.n_servers = 2;
    f->conf.relay.hostname = (char *)(uintptr_t) "relay.test";
    f->conf.relay.connect_timeout_ms = 20000;
    f->conf.relay.reply_timeout_ms = 20000;
    f->conf.relay.dot_timeout_ms = 20000;
    f->conf.relay.idle_pool_ms = 20000;
    for (int i = 0; i < ASKERS; i++)
        f->askers[i].f = f;
    *state = f;
    return 0;
}

static void start(struct fixture *f)
{
    struct err err = ERR_INIT;

    f->pool = pool_new(f->loop, &f->conf, f->tls, &err);
    assert_non_null(f->pool);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < ASKERS; i++) {
        pool_cancel(&f->askers[i].request);
        if (f->askers[i].conn != NULL)
            pool_put_own(f->pool, 0, &f->askers[i].conn, CUT_RELEASE_CLOSE);
    }
    pool_free(&f->pool);
    smtp_peer_stop(&f->peers[0]);
    smtp_peer_stop(&f->peers[1]);
    loop_timer_free(&f->guard);
    loop_timer_free(&f->poll);
    loop_free(&f->loop);
    free(f);
    return 0;
}

static void on_event(void *arg, const struct smtp_client_event *ev)
{
    (void)arg, (void)ev;
}

static const struct smtp_conn_events asker_events = {.event = on_event};

static void on_done(void *arg, struct smtp_conn *conn, const struct err *why)
{
    struct asker *a = arg;

    a->called++;
    a->request = NULL;
    a->conn = conn;
    if (conn == NULL)
        a->why = *why;
    else
        smtp_conn_set_owner(conn, &asker_events, a);
}

static void ask(struct fixture *f, int i)
{
    f->askers[i].request = pool_ask(f->pool, 0, on_done, &f->askers[i]);
    assert_int_equal(f->askers[i].called, 0);
}

static void put(struct fixture *f, int i, enum cutthrough_release how)
{
    pool_put_own(f->pool, 0, &f->askers[i].conn, how);
}

static bool first_called(struct fixture *f)
{
    return f->askers[0].called > 0;
}

static bool three_called(struct fixture *f)
{
    return f->askers[0].called > 0 && f->askers[1].called > 0 && f->askers[2].called > 0;
}

static bool fourth_called(struct fixture *f)
{
    return f->askers[3].called > 0;
}

static bool none_open(struct fixture *f)
{
    return f->peers[0].open == 0 && f->peers[1].open == 0 && pool_is_empty(f->pool);
}

static void the_last_used_is_used_first(void **state)
{
    struct fixture *f = *state;
    struct smtp_conn *a, *b;

    start(f);
    assert_null(pool_take(f->pool, 0));
    ask(f, 0);
    ask(f, 1);
    ask(f, 2);
    until(f, three_called);
    a = f->askers[0].conn;
    b = f->askers[1].conn;
    put(f, 0, CUT_RELEASE_KEEP);
    put(f, 1, CUT_RELEASE_KEEP);
    assert_null(pool_take(f->pool, 1));
    assert_ptr_equal(pool_take(f->pool, 0), b);
    assert_ptr_equal(pool_take(f->pool, 0), a);
    assert_null(pool_take(f->pool, 0));
    assert_int_equal(f->peers[0].accepted, 3);
    assert_int_equal(f->peers[1].accepted, 0);
    f->askers[0].conn = a;
    f->askers[1].conn = b;
}

static void the_fourth_waits_for_a_place(void **state)
{
    struct fixture *f = *state;
    struct smtp_conn *a;

    start(f);
    for (int i = 0; i < 4; i++)
        ask(f, i);
    until(f, three_called);
    assert_int_equal(f->askers[3].called, 0);
    assert_int_equal(f->peers[0].accepted, 3);
    a = f->askers[1].conn;
    put(f, 1, CUT_RELEASE_KEEP);
    assert_null(pool_take(f->pool, 0)); /* it is promised */
    until(f, fourth_called);
    assert_ptr_equal(f->askers[3].conn, a);
}

static void a_closed_one_makes_room(void **state)
{
    struct fixture *f = *state;

    start(f);
    for (int i = 0; i < 4; i++)
        ask(f, i);
    until(f, three_called);
    put(f, 1, CUT_RELEASE_CLOSE);
    until(f, fourth_called);
    assert_non_null(f->askers[3].conn);
    assert_int_equal(f->peers[0].accepted, 4);
}

static void reset_before_the_next_one(void **state)
{
    struct fixture *f = *state;
    struct smtp_client *client;

    start(f);
    ask(f, 0);
    until(f, first_called);
    client = smtp_conn_client(f->askers[0].conn);
    assert_int_equal(smtp_client_mail(client, SLICE_LIT("a@b.example"), 0, false), 0);
    smtp_conn_flush(f->askers[0].conn);
    put(f, 0, CUT_RELEASE_RESET);
    assert_null(pool_take(f->pool, 0));
    f->askers[0].called = 0;
    for (int i = 0; i < 3; i++)
        ask(f, i);
    until(f, three_called);
    assert_int_equal(f->peers[0].accepted, 3);
    assert_true(slice_search(buf_slice(&f->peers[0].lines), SLICE_LIT("RSET\n")) > 0);
}

static void kept_though_not_idle(void **state)
{
    struct fixture *f = *state;

    start(f);
    ask(f, 0);
    until(f, first_called);
    assert_int_equal(
        smtp_client_mail(smtp_conn_client(f->askers[0].conn), SLICE_LIT("a@b.example"), 0, false),
        0);
    put(f, 0, CUT_RELEASE_KEEP);
    assert_null(pool_take(f->pool, 0)); /* a reply is owed: it is reset first */
}

static void say_unasked(struct fixture *f)
{
    for (struct smtp_peer_conn *c = f->peers[0].conns; c != NULL; c = c->next)
        assert_int_equal(stream_write(c->stream, SLICE_LIT("550 5.1.1 no such user\r\n")), 0);
}

/* A reply that nobody asked for is there when the connection comes back, or comes right behind it:
 * in both cases who waits would take it as the one to MAIL. */
static void what_was_not_asked_for(struct fixture *f, bool is_before)
{
    start(f);
    for (int i = 0; i < 4; i++)
        ask(f, i);
    until(f, three_called);
    if (is_before)
        say_unasked(f);
    put(f, 0, CUT_RELEASE_KEEP);
    if (!is_before)
        say_unasked(f);
    until(f, fourth_called);
    assert_int_equal(f->askers[3].called, 1);
    assert_non_null(f->askers[3].conn);
    assert_int_equal(f->peers[0].accepted, 4);
}

static void unasked_before_it_comes_back(void **state)
{
    what_was_not_asked_for(*state, true);
}

static void unasked_after_it_came_back(void **state)
{
    what_was_not_asked_for(*state, false);
}

static void canceled(void **state)
{
    struct fixture *f = *state;

    start(f);
    for (int i = 0; i < 4; i++)
        ask(f, i);
    pool_cancel(&f->askers[3].request);
    assert_null(f->askers[3].request);
    until(f, three_called);
    ask(f, 3);
    ask(f, 4);
    put(f, 0, CUT_RELEASE_KEEP);
    pool_cancel(&f->askers[3].request); /* was ready */
    f->is_there = NULL;
    until(f, first_called);
    while (f->askers[4].called == 0)
        until(f, first_called);
    assert_int_equal(f->askers[3].called, 0);
    assert_non_null(f->askers[4].conn);
}

static void nobody_listens(void **state)
{
    struct fixture *f = *state;

    loop_io_free(&f->peers[0].io);
    io_close(&f->peers[0].fd);
    start(f);
    for (int i = 0; i < ASKERS; i++)
        ask(f, i);
    until(f, fourth_called);
    for (int i = 0; i < ASKERS; i++) {
        assert_int_equal(f->askers[i].called, 1);
        assert_null(f->askers[i].conn);
        assert_non_null(strstr(f->askers[i].why.text, "refused"));
        assert_non_null(strstr(f->askers[i].why.text, "127.0.0.1:"));
    }
}

static void a_name_is_looked_up(void **state)
{
    struct fixture *f = *state;

    f->servers[0].smtp.host = (char *)(uintptr_t) "localhost";
    start(f);
    ask(f, 0);
    until(f, first_called);
    assert_non_null(f->askers[0].conn);
}

static void a_name_that_nobody_has(void **state)
{
    struct fixture *f = *state;

    f->servers[0].smtp.host = (char *)(uintptr_t) "no..host";
    start(f);
    ask(f, 0);
    ask(f, 1);
    pool_cancel(&f->askers[1].request);
    until(f, first_called);
    assert_null(f->askers[0].conn);
    assert_non_null(strstr(f->askers[0].why.text, "no..host"));
}

static void closed_during_a_look_up(void **state)
{
    struct fixture *f = *state;

    f->servers[0].smtp.host = (char *)(uintptr_t) "localhost";
    start(f);
    ask(f, 0);
}

static void no_greeting(void **state)
{
    static const struct smtp_peer_row rows[] = {{"", ""}, {NULL, NULL}};
    struct fixture *f = *state;

    f->peers[0].rows = rows;
    f->conf.relay.connect_timeout_ms = 20;
    start(f);
    ask(f, 0);
    until(f, first_called);
    assert_null(f->askers[0].conn);
    assert_non_null(strstr(f->askers[0].why.text, "timed out"));
}

/* The server refuses more connections than it has: those in line wait for the ones that live. */
static void the_servers_own_limit(void **state)
{
    static const struct smtp_peer_row rows[] = {{"", "-421 too many\r\n"}, {NULL, NULL}};
    struct fixture *f = *state;

    start(f);
    ask(f, 0);
    until(f, first_called);
    f->peers[0].rows = rows;
    ask(f, 3);
    ask(f, 4);
    while (f->peers[0].accepted < 3)
        until(f, first_called);
    until(f, first_called);
    assert_int_equal(f->askers[3].called, 0);
    put(f, 0, CUT_RELEASE_KEEP);
    until(f, fourth_called);
    assert_non_null(f->askers[3].conn);
    assert_int_equal(f->askers[4].called, 0);
}

static void idle_ones_leave(void **state)
{
    struct fixture *f = *state;

    f->conf.relay.idle_pool_ms = 20;
    start(f);
    ask(f, 0);
    until(f, first_called);
    put(f, 0, CUT_RELEASE_KEEP);
    until(f, none_open);
    assert_true(slice_search(buf_slice(&f->peers[0].lines), SLICE_LIT("QUIT\n")) > 0);
}

static void an_idle_one_dies(void **state)
{
    struct fixture *f = *state;

    start(f);
    ask(f, 0);
    until(f, first_called);
    put(f, 0, CUT_RELEASE_KEEP);
    stream_finish(f->peers[0].conns->stream);
    until(f, none_open);
    assert_null(pool_take(f->pool, 0));
}

static void draining(void **state)
{
    struct fixture *f = *state;

    start(f);
    ask(f, 0);
    ask(f, 1);
    ask(f, 2);
    until(f, three_called);
    put(f, 0, CUT_RELEASE_KEEP);
    pool_drain(f->pool);
    assert_null(pool_take(f->pool, 0));
    assert_false(pool_is_empty(f->pool));
    put(f, 1, CUT_RELEASE_KEEP);
    put(f, 2, CUT_RELEASE_RESET);
    until(f, none_open);
}

static bool both_known(struct fixture *f)
{
    return pool_size_most(f->pool) == 1000;
}

static void learns_what_servers_take(void **state)
{
    struct fixture *f = *state;

    start(f);
    assert_true(pool_size_most(f->pool) == UINT64_MAX);
    pool_probe(f->pool);
    until(f, both_known);
    assert_int_equal(f->peers[0].accepted + f->peers[1].accepted, 2);
}

static bool most_is_known(struct fixture *f)
{
    return pool_size_most(f->pool) != UINT64_MAX;
}

/* Neither the one that takes less nor one without mail counts; one that is not known may take
 * anything. */
static void the_most_able_server_counts(void **state)
{
    static const struct smtp_peer_row rows[] = {
        {"EHLO", "250-peer\r\n250 SIZE 5000\r\n"}, {NULL, NULL}};
    struct fixture *f = *state;

    f->peers[1].rows = rows;
    start(f);
    ask(f, 0);
    until(f, first_called);
    assert_true(pool_size_most(f->pool) == UINT64_MAX);
    pool_probe(f->pool);
    until(f, most_is_known);
    assert_true(pool_size_most(f->pool) == 5000);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_last_used_is_used_first),
        TEST(the_fourth_waits_for_a_place),
        TEST(a_closed_one_makes_room),
        TEST(reset_before_the_next_one),
        TEST(kept_though_not_idle),
        TEST(unasked_before_it_comes_back),
        TEST(unasked_after_it_came_back),
        TEST(canceled),
        TEST(nobody_listens),
        TEST(a_name_is_looked_up),
        TEST(a_name_that_nobody_has),
        TEST(closed_during_a_look_up),
        TEST(no_greeting),
        TEST(the_servers_own_limit),
        TEST(idle_ones_leave),
        TEST(an_idle_one_dies),
        TEST(draining),
        TEST(learns_what_servers_take),
        TEST(the_most_able_server_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
