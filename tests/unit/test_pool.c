/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include <stddef.h>
#include "relay/pool_parts.h"
#include "tests/unit/smtp_peer.h"

enum { ASKERS = 8 };

struct asker {
    struct fixture *f;
    struct pool_user user;
    enum pool_pace pace;
    int ended;
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
    struct pool *pool;
    struct pool_target *targets[2];
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

    f->pool = pool_new(f->loop, &f->conf.relay);
    for (int i = 0; i < 2; i++) {
        struct pool_hop hop = {.name = f->servers[i].name,
            .where = &f->servers[i].smtp,
            .connections_max = f->servers[i].smtp_connections_max};

        assert_int_equal(pool_target(f->pool, &hop, &f->targets[i], &err), 0);
    }
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < ASKERS; i++) {
        pool_cancel(&f->askers[i].request);
        if (f->askers[i].conn != NULL)
            pool_put_own(f->targets[0], &f->askers[i].conn, POOL_CLOSE);
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

static struct asker *asker_of(const struct pool_user *user)
{
    return (struct asker *)((uintptr_t)user - offsetof(struct asker, user));
}

static void on_done(struct pool_user *user, struct smtp_conn *conn, const struct err *why)
{
    struct asker *a = asker_of(user);

    a->called++;
    a->request = NULL;
    a->conn = conn;
    if (conn == NULL)
        a->why = *why;
    else
        smtp_conn_set_owner(conn, &asker_events, a);
}

static enum pool_pace on_pace(const struct pool_user *user)
{
    return asker_of(user)->pace;
}

static void on_end(struct pool_user *user)
{
    struct asker *a = asker_of(user);

    a->ended++;
    assert_true(a->pace != POOL_PACE_BOUND);
    pool_put_own(a->f->targets[0], &a->conn, POOL_RESET);
}

static const struct pool_user_events asker_user_events = {
    .served = on_done, .pace = on_pace, .end = on_end};

/* The last byte of the network says who it is; within it all are one. */
static void is_client(struct fixture *f, int i, unsigned char who)
{
    f->askers[i].user.client.b[7] = who;
    f->askers[i].user.client.b[15] = (unsigned char)i;
}

static void ask(struct fixture *f, int i)
{
    f->askers[i].user.events = &asker_user_events;
    f->askers[i].request = pool_ask(f->targets[0], &f->askers[i].user);
    assert_int_equal(f->askers[i].called, 0);
}

static void put(struct fixture *f, int i, enum pool_give_back how)
{
    pool_put_own(f->targets[0], &f->askers[i].conn, how);
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
    assert_null(pool_take(f->targets[0], &f->askers[0].user));
    ask(f, 0);
    ask(f, 1);
    ask(f, 2);
    until(f, three_called);
    a = f->askers[0].conn;
    b = f->askers[1].conn;
    put(f, 0, POOL_KEEP);
    put(f, 1, POOL_KEEP);
    assert_null(pool_take(f->targets[1], &f->askers[0].user));
    assert_ptr_equal(pool_take(f->targets[0], &f->askers[0].user), b);
    assert_ptr_equal(pool_take(f->targets[0], &f->askers[0].user), a);
    assert_null(pool_take(f->targets[0], &f->askers[0].user));
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
    put(f, 1, POOL_KEEP);
    assert_null(pool_take(f->targets[0], &f->askers[0].user)); /* it is promised */
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
    put(f, 1, POOL_CLOSE);
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
    put(f, 0, POOL_RESET);
    assert_null(pool_take(f->targets[0], &f->askers[0].user));
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
    put(f, 0, POOL_KEEP);
    assert_null(
        pool_take(f->targets[0], &f->askers[0].user)); /* a reply is owed: it is reset first */
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
    put(f, 0, POOL_KEEP);
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
    put(f, 0, POOL_KEEP);
    pool_cancel(&f->askers[3].request); /* was ready */
    f->is_there = NULL;
    until(f, first_called);
    while (f->askers[4].called == 0)
        until(f, first_called);
    assert_int_equal(f->askers[3].called, 0);
    assert_non_null(f->askers[4].conn);
}

static void stop_listening(struct fixture *f)
{
    loop_io_free(&f->peers[0].io);
    io_close(&f->peers[0].fd);
}

static void nobody_listens(void **state)
{
    struct fixture *f = *state;

    stop_listening(f);
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
    put(f, 0, POOL_KEEP);
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
    put(f, 0, POOL_KEEP);
    until(f, none_open);
    assert_true(slice_search(buf_slice(&f->peers[0].lines), SLICE_LIT("QUIT\n")) > 0);
}

static void an_idle_one_dies(void **state)
{
    struct fixture *f = *state;

    start(f);
    ask(f, 0);
    until(f, first_called);
    put(f, 0, POOL_KEEP);
    stream_finish(f->peers[0].conns->stream);
    until(f, none_open);
    assert_null(pool_take(f->targets[0], &f->askers[0].user));
}

static void draining(void **state)
{
    struct fixture *f = *state;

    start(f);
    ask(f, 0);
    ask(f, 1);
    ask(f, 2);
    until(f, three_called);
    put(f, 0, POOL_KEEP);
    pool_drain(f->pool);
    assert_null(pool_take(f->targets[0], &f->askers[0].user));
    assert_false(pool_is_empty(f->pool));
    put(f, 1, POOL_KEEP);
    put(f, 2, POOL_RESET);
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

/* --- Targets that are down ---------------------------------------------------------------- */

static bool is_up(struct fixture *f)
{
    return f->peers[0].accepted > 0 && f->peers[0].lines.n > 0;
}

/* The first one waits to find out, the next ones do not, until a try finds out that it is up. */
static void known_to_be_down(void **state)
{
    static const struct smtp_peer_row silent[] = {{"", ""}, {NULL, NULL}};
    struct fixture *f = *state;
    uint64_t started;

    f->peers[0].rows = silent;
    f->conf.relay.connect_timeout_ms = 300;
    start(f);
    ask(f, 0);
    until(f, first_called);
    assert_null(f->askers[0].conn);
    started = loop_now_ms(f->loop);
    for (int i = 1; i < 4; i++)
        ask(f, i);
    until(f, fourth_called);
    assert_true(loop_now_ms(f->loop) - started < 200);
    for (int i = 1; i < 4; i++) {
        assert_null(f->askers[i].conn);
        assert_non_null(strstr(f->askers[i].why.text, "timed out"));
    }
    assert_int_equal(f->peers[0].accepted, 1);
    f->peers[0].rows = NULL;
    until(f, is_up);
    f->askers[0].called = 0;
    do {
        ask(f, 0);
        until(f, first_called);
        f->askers[0].called = 0;
    } while (f->askers[0].conn == NULL);
    /* One was tried at a time, and the one that was tried serves. */
    assert_in_range(f->peers[0].accepted, 2, 3);
}

/* Some addresses of it work: it is not down. */
static void one_address_of_two(void **state)
{
    struct fixture *f = *state;

    f->servers[0].smtp.host = (char *)(uintptr_t) "localhost"; /* ::1 too, where nobody listens */
    start(f);
    for (int i = 0; i < 3; i++) {
        ask(f, i);
        f->askers[0].called = i == 0 ? 0 : 1;
    }
    until(f, three_called);
    for (int i = 0; i < 3; i++)
        assert_non_null(f->askers[i].conn);
}

/* With a connection alive nobody is refused, though no new one can be had; without one, whoever
 * asks is the one to find out. */
static void not_down_while_a_connection_lives(void **state)
{
    struct fixture *f = *state;

    start(f);
    ask(f, 0);
    until(f, first_called);
    stop_listening(f);
    ask(f, 3);
    put(f, 0, POOL_KEEP);
    until(f, fourth_called);
    assert_non_null(f->askers[3].conn);
    put(f, 3, POOL_CLOSE);
    f->askers[0].called = 0;
    ask(f, 0);
    until(f, first_called);
    assert_null(f->askers[0].conn);
    assert_non_null(strstr(f->askers[0].why.text, "refused"));
}

/* --- Shares ------------------------------------------------------------------------------- */

static void start_with(struct fixture *f, unsigned connections_max)
{
    f->servers[0].smtp_connections_max = connections_max;
    start(f);
}

/* The one that has least comes first, whoever asked first. */
static void less_than_a_share_comes_first(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 6; i++)
        is_client(f, i, i == 5 ? 2 : 1);
    start_with(f, 3);
    for (int i = 0; i < 5; i++)
        ask(f, i);
    until(f, three_called);
    ask(f, 5);
    put(f, 0, POOL_KEEP);
    while (f->askers[5].called == 0)
        until(f, three_called);
    assert_int_equal(f->askers[3].called + f->askers[4].called, 0);
    put(f, 1, POOL_KEEP);
    until(f, fourth_called);
    assert_int_equal(f->askers[4].called, 0);
}

static bool last_called(struct fixture *f)
{
    return f->askers[ASKERS - 1].called > 0;
}

/* Who waits is client 9 with the last asker; the rows say who has what. */
struct shares_row {
    const char *name;
    unsigned char who[4];
    enum pool_pace pace[4];
    int ends; /* an asker, or -1 */
};

static void shares(struct fixture *f, const struct shares_row *row)
{
    start_with(f, 4);
    is_client(f, ASKERS - 1, 9);
    for (int i = 0; i < 4; i++) {
        is_client(f, i, row->who[i]);
        f->askers[i].pace = row->pace[i];
        ask(f, i);
        while (f->askers[i].called == 0)
            until(f, first_called);
    }
    ask(f, ASKERS - 1);
    f->askers[ASKERS - 1].request->since_ms -= POOL_GREED_MS;
    if (row->ends < 0) {
        pool_line_tick(f->targets[0]);
        assert_row(row->name, f->askers[ASKERS - 1].called == 0);
    } else {
        until(f, last_called);
        assert_row(row->name, f->askers[ASKERS - 1].conn != NULL);
    }
    for (int i = 0; i < 4; i++)
        assert_row(row->name, f->askers[i].ended == (i == row->ends));
}

static void who_ends_when_others_wait(void **state)
{
    static const enum pool_pace D = POOL_PACE_DECENT, S = POOL_PACE_SLOW, B = POOL_PACE_BOUND;
    const struct shares_row rows[] = {
        {"the oldest of one that has all", {1, 1, 1, 1}, {D, D, D, D}, 0},
        {"the oldest that may end", {1, 1, 1, 1}, {B, D, D, D}, 1},
        {"the oldest of the one with most", {2, 1, 1, 1}, {D, D, D, D}, 1},
        {"nobody has more than a share", {1, 2, 3, 4}, {D, D, D, D}, -1},
        {"a slow one, whoever it is", {1, 1, 1, 2}, {D, D, D, S}, 3},
        {"of the slow ones, one of the greediest", {1, 2, 2, 3}, {S, D, S, S}, 2},
        {"no dot is cut", {1, 1, 1, 1}, {B, B, B, B}, -1},
        {"its own decent ones are not ended", {9, 9, 9, 9}, {D, D, D, D}, -1},
        {"its own slow ones are", {9, 9, 9, 9}, {D, D, S, D}, 2},
    };

    tear_down(state);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(set_up(state), 0);
        shares(*state, &rows[i]);
        tear_down(state);
    }
    assert_int_equal(set_up(state), 0);
    start(*state);
}

/* Before its time nobody is greedy, and slow ones are ended at once. */
static void greed_takes_time(void **state)
{
    struct fixture *f = *state;

    start_with(f, 3);
    for (int i = 0; i < 3; i++)
        ask(f, i);
    until(f, three_called);
    is_client(f, 3, 9);
    ask(f, 3);
    pool_line_tick(f->targets[0]);
    assert_int_equal(f->askers[0].ended + f->askers[1].ended + f->askers[2].ended, 0);
    f->askers[1].pace = POOL_PACE_SLOW;
    pool_line_tick(f->targets[0]);
    assert_int_equal(f->askers[1].ended, 1);
    until(f, fourth_called);
    assert_non_null(f->askers[3].conn);
}

/* Servers that are one next hop share its connections. */
static void one_target_for_one_hop(void **state)
{
    struct fixture *f = *state;
    struct pool_hop hop = {.name = "same", .where = &f->servers[0].smtp, .connections_max = 7};
    struct net_endpoint lmtp = f->servers[0].smtp;
    struct pool_target *t;
    struct err err = ERR_INIT;

    start(f);
    assert_int_equal(pool_target(f->pool, &hop, &t, &err), 0);
    assert_ptr_equal(t, f->targets[0]);
    assert_ptr_not_equal(t, f->targets[1]);
    hop.policy = CONF_TLS_MAY;
    assert_int_equal(pool_target(f->pool, &hop, &t, &err), 0);
    assert_ptr_not_equal(t, f->targets[0]);
    hop.policy = CONF_TLS_NONE;
    hop.tls_name = "other.example";
    assert_int_equal(pool_target(f->pool, &hop, &t, &err), 0);
    assert_ptr_not_equal(t, f->targets[0]);
    hop.tls_name = NULL;
    lmtp.scheme = NET_SCHEME_LMTP;
    hop.where = &lmtp;
    assert_int_equal(pool_target(f->pool, &hop, &t, &err), 0);
    assert_ptr_not_equal(t, f->targets[0]);
    pool_free(&f->pool); /* lmtp is gone with us */
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
        TEST(one_target_for_one_hop),
        TEST(greed_takes_time),
        TEST(who_ends_when_others_wait),
        TEST(less_than_a_share_comes_first),
        TEST(not_down_while_a_connection_lives),
        TEST(one_address_of_two),
        TEST(known_to_be_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
