/* SPDX-License-Identifier: ISC */
/* How fast, how many and how much a day: buckets, and connections that keep to them. */
#include <sysexits.h>

#include "base/core/clock.h"
#include "imapsync/imap/outcome.h"
#include "imapsync/imap/pace.h"
#include "tests/unit/imap_rig.h"
#include "tests/unit/tmpdir.h"

/* --- The bucket -------------------------------------------------------------------------- */

/* Whatever is asked for, as often as one likes: never more than the rate, and a second's worth
 * once. */
static void test_a_bucket(void **state)
{
    static const uint64_t rates[] = {1, 3, 7, 1000, 1000003, PACE_RATE_MAX};
    static const uint64_t steps[] = {1, 3, 10, 999, 1000, 5000};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rates); i++) {
        for (size_t k = 0; k < COUNT_OF(steps); k++) {
            struct pace p = {0};
            uint64_t taken = 0, now = 77, start = now;
            pace_set(&p, rates[i]);
            for (int n = 0; n < 500; n++) {
                uint64_t room = pace_room(&p, now, 1);
                assert_true(room <= rates[i]);
                assert_int_equal(room > 0, pace_wait_ms(&p, now, 1) == 0);
                pace_take(&p, room);
                taken += room;
                now += steps[k];
            }
            assert_true(taken <= rates[i] + rates[i] * (now - start) / 1000 + 1);
            /* And not much less, where somebody always waits. */
            if (steps[k] <= 1000 && rates[i] >= 1000)
                assert_true(taken + rates[i] / 100 + 1 >= rates[i] * (now - start) / 1000);
        }
    }
}

/* Who waits as long as he was told gets what he waited for, and not sooner. */
static void test_waiting(void **state)
{
    static const struct {
        uint64_t rate, least, ms;
    } rows[] = {{1, 1, 1000}, {2, 1, 500}, {3, 1, 334}, {4096, 4096, 1000}, {100, 4096, 1000},
        {1000000, 4096, 5}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct pace p = {0};
        pace_set(&p, rows[i].rate);
        pace_take(&p, pace_room(&p, 5000, 1));
        assert_int_equal(pace_wait_ms(&p, 5000, rows[i].least), rows[i].ms);
        assert_int_equal(pace_room(&p, 5000 + rows[i].ms - 1, rows[i].least), 0);
        assert_true(pace_room(&p, 5000 + rows[i].ms, rows[i].least) > 0);
    }
}

static void test_odd_clocks_and_rates(void **state)
{
    struct pace p = {0};
    (void)state;
    assert_int_equal(pace_room(&p, 1000, 1), UINT64_MAX);
    assert_int_equal(pace_wait_ms(&p, 1000, 1), 0);
    pace_set(&p, 10);
    assert_int_equal(pace_room(&p, 1000, 1), 10);
    pace_take(&p, 10);
    assert_int_equal(pace_room(&p, 900, 1), 0); /* it goes back */
    assert_int_equal(pace_room(&p, 1000, 1), 1);
    assert_int_equal(pace_room(&p, UINT64_MAX, 1), 10);
    struct pace often = {0};
    pace_set(&often, 10);
    for (uint64_t i = 0; i < 10; i++) /* nobody takes any */
        assert_int_equal(pace_room(&often, 1000 + 900 * i, 1), 10);
    pace_set(&p, 2); /* a slower one */
    assert_int_equal(pace_room(&p, UINT64_MAX, 1), 2);
    pace_set(&p, 0);
    assert_int_equal(pace_room(&p, 0, 1), UINT64_MAX);
}

/* --- What one server shares --------------------------------------------------------------- */

static void test_connections(void **state)
{
    struct imap_server *s = imap_server_of("connections");
    (void)state;
    assert_ptr_equal(s, imap_server_of("connections"));
    imap_server_set(s, &(struct imap_rates){.connections = 2, .signins = 4});
    assert_int_equal(imap_server_enter(s, 1000), 0);
    assert_int_equal(imap_server_enter(s, 1000), 0);
    assert_int_equal(imap_server_enter(s, 1000), IMAP_PLACE_LOOK_MS);
    imap_server_leave(s);
    assert_int_equal(imap_server_enter(s, 1000), 0);
    imap_server_leave(s);
    assert_int_equal(imap_server_enter(s, 1000), 0);
    imap_server_leave(s);
    assert_int_equal(imap_server_enter(s, 1000), 250); /* the fifth sign-in of a second */
    assert_int_equal(imap_server_enter(s, 1250), 0);
    imap_server_leave(s);
    imap_server_leave(s);
}

/* --- A connection ------------------------------------------------------------------------- */

static void paced(struct rig *g, const char *server, const struct imap_rates *rates)
{
    rig_begin(g);
    g->place.server = imap_server_of(server);
    imap_server_set(g->place.server, rates);
    join(g);
    sign_in(g);
}

/* A body at 1,000 octets a second is no sooner there, and the server is never late. */
static void test_octets(void **state)
{
    struct rig g;
    struct imap_outcome o;
    char body[5000];
    (void)state;
    paced(&g, "octets", &(struct imap_rates){.octets = 1000});
    command(&g, "UID FETCH 1 (BODY.PEEK[])", &o);
    assert_int_equal(turn(&g, 0), 0);
    memset(body, 'x', sizeof(body));
    body[sizeof(body) - 1] = '\0';
    uint64_t start_ms = clock_ms;
    peer_says(&g, "* 1 FETCH (UID 1 BODY[] {10000}\r\n");
    peer_says(&g, body);
    peer_says(&g, body);
    peer_says(&g, "xx)\r\nc2 OK done\r\n");
    for (int i = 0; i < 1000 && !o.is_done; i++)
        assert_int_equal(turn(&g, 10 * TIMEOUT), 0);
    assert_int_equal(o.status, IMAP_STATUS_OK);
    assert_in_range(clock_ms - start_ms, 9000, 10500);
    rig_down(&g);
}

/* What is sent keeps to it as well. */
static void test_octets_up(void **state)
{
    struct rig g;
    struct imap_outcome o = {0};
    char body[5001], taken[8192];
    size_t n = 0;
    (void)state;
    paced(&g, "octets up", &(struct imap_rates){.octets = 1000});
    struct imap_client *client = imap_conn_client(g.c);
    memset(body, 'x', 5000);
    body[5000] = '\0';
    uint64_t start_ms = clock_ms;
    imap_cmd_begin(client, imap_outcome_set, &o);
    imap_cmd_text(client, body);
    imap_cmd_end(client);
    for (int i = 0; i < 1000 && n < 5005; i++) {
        assert_int_equal(turn(&g, 10 * TIMEOUT), 0);
        ssize_t r = read(g.peer, taken, sizeof(taken));
        n += r > 0 ? (size_t)r : 0;
    }
    assert_true(n >= 5000);
    assert_in_range(clock_ms - start_ms, 4000, 5500);
    rig_down(&g);
}

/* So many commands a second, of which some connections have taken theirs. */
static void test_commands(void **state)
{
    struct rig g;
    struct imap_outcome o;
    (void)state;
    paced(&g, "commands", &(struct imap_rates){.commands = 2});
    struct imap_client *client = imap_conn_client(g.c);
    uint64_t start_ms = clock_ms;
    int n = 0;
    for (int i = 0; i < 1000 && n < 10; i++) {
        if (imap_client_may_send(client)) {
            char text[100], want[100];
            command(&g, "CHECK", &o);
            assert_int_equal(fmt_into(want, sizeof(want), "c%d CHECK\r\n", n + 2), 0);
            assert_int_equal(fmt_into(text, sizeof(text), "c%d OK done\r\n", n + 2), 0);
            peer_answers(&g, want, text);
            n++;
        } else {
            assert_int_equal(turn(&g, 10 * TIMEOUT), 0);
        }
    }
    assert_int_equal(n, 10);
    assert_in_range(clock_ms - start_ms, 4000, 6000);
    /* To leave it has to say something, whatever the pace. */
    while (imap_client_may_send(client))
        command(&g, "CHECK", &o);
    imap_conn_leave(g.c);
    assert_false(imap_conn_has_left(g.c));
    rig_down(&g);
}

/* For a place it waits, and is not late; behind its time, or when the job is stopped, it ends. */
static void test_a_queue(void **state)
{
    struct rig g;
    (void)state;
    for (int way = 0; way < 3; way++) {
        bool moved = false;
        struct pollfd fd;
        int timeout_ms;
        rig_begin(&g);
        g.peer = -1;
        g.place.server = imap_server_of("queue");
        g.place.host = "127.0.0.1";
        g.place.port = 1; /* nobody is there, which is another error */
        imap_server_set(g.place.server, &(struct imap_rates){.connections = 1});
        assert_int_equal(imap_server_enter(g.place.server, clock_ms), 0);
        g.c = imap_conn_start(&g.place, &g.limits);
        for (int i = 0; i < 5; i++) {
            imap_conn_prepare(g.c, &fd, &timeout_ms);
            assert_int_equal(fd.fd, -1);
            assert_in_range(timeout_ms, 1, IMAP_PLACE_LOOK_MS);
            clock_ms += (uint64_t)timeout_ms;
            assert_int_equal(imap_conn_advance(g.c, 0, &moved, &g.err), 0);
            assert_false(moved);
        }
        if (way == 0) {
            imap_server_leave(g.place.server);
            clock_ms += IMAP_PLACE_LOOK_MS;
            bool is_over = imap_conn_advance(g.c, 0, &moved, &g.err) != 0;
            assert_true(is_over == imap_conn_is_broken(g.c));
            assert_true(moved);
        } else if (way == 1) {
            clock_ms += UINT64_C(10) * 60 * 1000;
            assert_int_equal(imap_conn_advance(g.c, 0, &moved, &g.err), -1);
            assert_int_equal(g.err.class, ERR_TEMP);
            assert_int_equal(g.err.scope, ERR_SCOPE_USER);
        } else {
            assert_int_equal(write(g.cancel, "x", 1), 1);
            assert_int_equal(imap_conn_advance(g.c, 0, &moved, &g.err), -1);
            assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_STOPPED);
        }
        imap_conn_close(&g.c);
        if (way > 0)
            imap_server_leave(g.place.server);
        close(g.limits.cancel_fd);
        close(g.cancel);
    }
    /* Whoever has left is not counted. */
    struct imap_server *s = imap_server_of("queue");
    assert_int_equal(imap_server_enter(s, clock_ms), 0);
    imap_server_leave(s);
}

/* --- The day ------------------------------------------------------------------------------ */

#define HOUR 3600
#define THEN (UINT64_C(500000) * HOUR)

static void test_hours(void **state)
{
    struct day d = {0}, again;
    struct buf text;
    (void)state;
    day_add(&d, THEN, DAY_DOWN, 100);
    day_add(&d, THEN + 2 * HOUR, DAY_DOWN, 10);
    day_add(&d, THEN + 2 * HOUR, DAY_UP, 7);
    assert_int_equal(day_used(&d, THEN + 2 * HOUR, DAY_DOWN), 110);
    assert_int_equal(day_used(&d, THEN + 2 * HOUR, DAY_UP), 7);
    /* An hour counts until 24 hours behind its end. */
    assert_int_equal(day_used(&d, THEN + 25 * HOUR - 1, DAY_DOWN), 110);
    assert_int_equal(day_used(&d, THEN + 25 * HOUR, DAY_DOWN), 10);
    assert_int_equal(day_used(&d, THEN + 27 * HOUR, DAY_DOWN), 0);
    assert_int_equal(day_free_s(&d, THEN + 5 * HOUR + 3, DAY_DOWN, 111), THEN + 5 * HOUR + 3);
    assert_int_equal(day_free_s(&d, THEN + 5 * HOUR + 3, DAY_DOWN, 110), THEN + 25 * HOUR);
    assert_int_equal(day_free_s(&d, THEN + 5 * HOUR + 3, DAY_DOWN, 10), THEN + 27 * HOUR);
    day_add(&d, THEN + 2 * HOUR, DAY_UP, UINT64_MAX);
    day_add(&d, THEN + 2 * HOUR, DAY_UP, UINT64_MAX);
    assert_true(day_used(&d, THEN + 2 * HOUR, DAY_UP) > UINT64_MAX / 26);
    /* The same hour of another day is another hour. */
    d = (struct day){0};
    day_add(&d, THEN, DAY_DOWN, 100);
    day_add(&d, THEN + DAY_HOURS * HOUR, DAY_DOWN, 1);
    assert_int_equal(day_used(&d, THEN + DAY_HOURS * HOUR, DAY_DOWN), 1);
    /* It is written and read. */
    d = (struct day){0};
    for (uint64_t i = 0; i < 40; i++)
        day_add(&d, (int64_t)(THEN + i * HOUR), i % 2 ? DAY_UP : DAY_DOWN, i + 1);
    buf_init(&text, DAY_TEXT_MAX);
    day_format(&d, THEN + 39 * HOUR, &text);
    assert_int_equal(day_parse(buf_slice(&text), &again), 0);
    for (int way = 0; way < DAY_WAYS; way++)
        assert_int_equal(
            day_used(&again, THEN + 39 * HOUR, way), day_used(&d, THEN + 39 * HOUR, way));
    buf_fini(&text);
}

static void test_a_file_that_is_none(void **state)
{
#define HEAD "octets of an IMAP mailbox by hours (since 1970, down, up)\n"
    static const char *const texts[] = {"", "x", "octets\n", HEAD "1\n", HEAD "1 2\n",
        HEAD "1 2 3 4\n", HEAD "0 2 3\n", HEAD "1 2 -3\n", HEAD "1 2 99999999999999999999\n",
        HEAD "\n1 2 3\n"};
    struct day d;
    (void)state;
    assert_int_equal(day_parse(SLICE_LIT(HEAD), &d), 0);
    assert_int_equal(day_parse(SLICE_LIT(HEAD "500000 2 3\n"), &d), 0);
    assert_int_equal(day_used(&d, THEN, DAY_UP), 3);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_row(texts[i], day_parse(slice_str(texts[i]), &d) == -1);
        assert_row(texts[i], day_used(&d, THEN, DAY_DOWN) == 0);
    }
}

/* At its last octet it ends, and so does the next one before it has begun; what may be more goes
 * on. */
static void test_a_day(void **state)
{
    static const uint64_t little[DAY_WAYS] = {[DAY_DOWN] = 1000},
                          more[DAY_WAYS] = {[DAY_DOWN] = 9000};
    struct tmpdir tmp;
    struct rig g;
    struct imap_outcome o;
    char body[2001];
    (void)state;
    tmpdir_make(&tmp);
    rig_begin(&g);
    g.place.day = imap_day_of(tmpdir_file(&tmp, "ann.day"));
    imap_day_set(g.place.day, little);
    join(&g);
    sign_in(&g);
    command(&g, "UID FETCH 1 (BODY.PEEK[])", &o);
    assert_int_equal(turn(&g, 0), 0);
    memset(body, 'x', 2000);
    body[2000] = '\0';
    peer_says(&g, "* 1 FETCH (UID 1 BODY[] {3000}\r\n");
    peer_says(&g, body);
    int n = 0;
    while (turn(&g, 0) == 0 && n++ < 10)
        peer_says(&g, "xxx");
    assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_LIMIT);
    assert_int_equal(o.status, IMAP_STATUS_CANCELLED);
    assert_int_equal(g.err.class, ERR_TEMP);
    assert_int_equal(g.err.code, EX_TEMPFAIL);
    assert_int_equal(g.err.scope, ERR_SCOPE_USER);
    assert_non_null(strstr(g.err.text, "within a day"));
    assert_non_null(strstr(g.err.text, "goes on at 20"));
    imap_conn_close(&g.c);
    g.c = imap_conn_start(&g.place, &g.limits);
    assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_LIMIT);
    imap_conn_close(&g.c);
    /* The next process reads it. */
    struct day read = {0};
    struct buf text;
    buf_init(&text, DAY_TEXT_MAX);
    FILE *f = fopen(tmpdir_file(&tmp, "ann.day"), "r");
    assert_non_null(f);
    for (int c; (c = getc(f)) != EOF;)
        assert_int_equal(buf_add_byte(&text, (unsigned char)c), 0);
    fclose(f);
    assert_int_equal(day_parse(buf_slice(&text), &read), 0);
    assert_true(day_used(&read, clock_wall_s(), DAY_DOWN) > 2000);
    buf_fini(&text);
    close(g.peer);
    imap_day_set(g.place.day, more);
    join(&g);
    sign_in(&g);
    rig_down(&g);
    tmpdir_remove(&tmp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bucket),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_odd_clocks_and_rates),
        cmocka_unit_test(test_connections),
        cmocka_unit_test(test_octets),
        cmocka_unit_test(test_octets_up),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_a_queue),
        cmocka_unit_test(test_hours),
        cmocka_unit_test(test_a_file_that_is_none),
        cmocka_unit_test(test_a_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
