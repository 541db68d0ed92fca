/* SPDX-License-Identifier: ISC */
/*
 * A connection over a socket pair whose other end the test writes by hand, under a clock that only
 * the test moves.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "imapsync/imap/conn.h"
#include "imapsync/imap/patience.h"
#include "tests/unit/unit.h"

#define TIMEOUT 1000
#define KEEPALIVE 300000

static uint64_t clock_ms;

static uint64_t fake_now(void)
{
    return clock_ms;
}

struct rig {
    struct imap_place place;
    struct wait_limits limits;
    struct imap_conn *c;
    int peer;
    int cancel; /* written to: stops the job */
    struct err err;
};

static void join(struct rig *g)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    g->peer = fds[1];
    g->c = imap_conn_adopt(&g->place, &g->limits, fds[0]);
}

static void rig_up(struct rig *g)
{
    int fds[2];
    clock_ms = 1000000;
    *g = (struct rig){.place = {.label = "source",
                          .host = "peer",
                          .security = IMAP_SECURITY_NONE,
                          .user = "ann",
                          .password = SLICE_LIT("ann-secret"),
                          .timeout_ms = TIMEOUT,
                          .keepalive_ms = KEEPALIVE,
                          .now_ms = fake_now}};
    assert_int_equal(pipe(fds), 0);
    g->limits = (struct wait_limits){.cancel_fd = fds[0]};
    g->cancel = fds[1];
    join(g);
}

static void rig_down(struct rig *g)
{
    imap_conn_close(&g->c);
    close(g->peer);
    close(g->limits.cancel_fd);
    close(g->cancel);
}

/* One look of the caller's loop: the wait takes as long as it was to, but no longer than `most`. */
static int turn(struct rig *g, uint64_t most_ms)
{
    struct pollfd fd;
    int timeout_ms;
    bool moved = false;
    imap_conn_prepare(g->c, &fd, &timeout_ms);
    int r = poll(&fd, 1, 0);
    if (r == 0)
        clock_ms +=
            timeout_ms >= 0 && (uint64_t)timeout_ms < most_ms ? (uint64_t)timeout_ms : most_ms;
    g->err = ERR_INIT;
    return imap_conn_advance(g->c, r > 0 ? fd.revents : 0, &moved, &g->err);
}

static void peer_says(struct rig *g, const char *text)
{
    assert_int_equal(write(g->peer, text, strlen(text)), (ssize_t)strlen(text));
}

static void assert_peer_got(struct rig *g, const char *want)
{
    char got[4096];
    ssize_t n = read(g->peer, got, sizeof(got));
    assert_slice_equal(slice_make(got, n > 0 ? (size_t)n : 0), want);
}

/* The peer takes what there is, and one turn more sees what it says to that. */
static void peer_answers(struct rig *g, const char *want, const char *text)
{
    assert_int_equal(turn(g, 0), 0);
    assert_peer_got(g, want);
    peer_says(g, text);
    assert_int_equal(turn(g, 0), 0);
}

static void sign_in(struct rig *g)
{
    peer_answers(g, "", "* OK [CAPABILITY IMAP4rev1] hi\r\n");
    peer_answers(g, "c1 LOGIN \"ann\" \"ann-secret\"\r\n", "c1 OK [CAPABILITY IMAP4rev1] in\r\n");
    assert_true(imap_conn_is_ready(g->c));
}

static void command(struct rig *g, const char *text, struct imap_outcome *o)
{
    *o = (struct imap_outcome){0};
    imap_cmd_begin(imap_conn_client(g->c), imap_outcome_set, o);
    imap_cmd_text(imap_conn_client(g->c), text);
    imap_cmd_end(imap_conn_client(g->c));
}

/* --- The server's time ------------------------------------------------------------------ */

static void test_silence(void **state)
{
    struct rig g;
    struct imap_outcome o;
    (void)state;
    rig_up(&g);
    sign_in(&g);
    command(&g, "LIST \"\" \"*\"", &o);
    assert_int_equal(turn(&g, TIMEOUT), 0); /* it was sent */
    uint64_t start_ms = clock_ms;
    assert_int_equal(turn(&g, TIMEOUT - 1), 0);
    assert_int_equal(turn(&g, TIMEOUT), -1);
    assert_int_equal(clock_ms, start_ms + TIMEOUT);
    assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_SILENT);
    assert_int_equal(g.err.class, ERR_TEMP);
    assert_int_equal(g.err.scope, ERR_SCOPE_HOST);
    assert_true(o.is_done);
    assert_int_equal(o.status, IMAP_STATUS_CANCELLED);
    assert_int_equal(turn(&g, 0), -1); /* the same again */
    assert_int_equal(g.err.scope, ERR_SCOPE_HOST);
    rig_down(&g);
}

static void test_silence_while_signing_in(void **state)
{
    static const char *const said[] = {"", "* OK hi\r\n", "* OK [CAPABILITY IMAP4rev1] hi\r\n"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(said); i++) {
        struct rig g;
        rig_up(&g);
        peer_says(&g, said[i]);
        int n = 0;
        while (turn(&g, TIMEOUT) == 0 && n++ < 100)
            ;
        assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_SILENT);
        assert_false(imap_conn_is_ready(g.c));
        rig_down(&g);
    }
}

/* Signing in has an end, however lively the server is. */
static void test_signing_in_without_end(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g);
    g.place.auth = "plain";
    peer_answers(&g, "", "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hi\r\n");
    uint64_t start_ms = clock_ms;
    int result = 0;
    for (int i = 0; i < 1000 && result == 0; i++) {
        peer_says(&g, "* CAPABILITY IMAP4rev1\r\n");
        if ((result = turn(&g, 0)) == 0)
            result = turn(&g, TIMEOUT / 2);
    }
    assert_int_equal(result, -1);
    assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_SILENT);
    assert_true(clock_ms - start_ms <= IMAP_LOGIN_TIMEOUT_MS);
    rig_down(&g);
}

/* Nobody used it for an hour; the next command has all its time. */
static void test_unused_is_not_late(void **state)
{
    struct rig g;
    struct imap_outcome o;
    (void)state;
    rig_up(&g);
    sign_in(&g);
    command(&g, "CHECK", &o);
    peer_answers(&g, "c2 CHECK\r\n", "c2 OK done\r\n");
    clock_ms += 3600000;
    command(&g, "CHECK", &o);
    assert_int_equal(turn(&g, 0), 0);
    assert_peer_got(&g, "c3 CHECK\r\n");
    assert_int_equal(turn(&g, TIMEOUT - 1), 0);
    peer_says(&g, "c3 OK done\r\n");
    assert_int_equal(turn(&g, 0), 0);
    assert_true(o.is_done);
    assert_int_equal(o.status, IMAP_STATUS_OK);
    rig_down(&g);
}

/* The process stood still between the wait and the look behind it; the answer has come. */
static void test_a_stopped_process_reads_first(void **state)
{
    struct rig g;
    struct imap_outcome o;
    struct pollfd fd;
    int timeout_ms;
    bool moved = false;
    (void)state;
    rig_up(&g);
    sign_in(&g);
    command(&g, "LIST \"\" \"*\"", &o);
    assert_int_equal(turn(&g, 0), 0);
    imap_conn_prepare(g.c, &fd, &timeout_ms);
    assert_int_equal(timeout_ms, TIMEOUT);
    clock_ms += 600000;
    peer_says(&g, "c2 OK done\r\n");
    /* Even when poll() had said before that nothing is there. */
    assert_int_equal(imap_conn_advance(g.c, 0, &moved, &g.err), 0);
    assert_true(moved);
    assert_int_equal(o.status, IMAP_STATUS_OK);
    rig_down(&g);
}

/* What keeps a command waiting, and what does not: so many such lines, one before each timeout. */
static void test_what_is_progress(void **state)
{
    static const struct {
        const char *command, *data;
        int lines; /* before it was given up; 100: never */
    } rows[] = {
        {"LIST \"\" \"*\"", "* LIST () \"/\" a\r\n", PATIENCE_BARE},
        {"LIST \"\" \"*\"", "* 1 FETCH (FLAGS ())\r\n", 1},
        {"LIST \"\" \"*\"", "* OK Still here\r\n", 1},
        {"LIST \"\" \"*\"", "* 5 EXISTS\r\n", 1},
        {"LIST \"\" \"*\"", "* STATUS a (MESSAGES 1)\r\n", PATIENCE_BARE},
        {"UID FETCH 1:* (UID)", "* 1 FETCH (UID 1)\r\n", PATIENCE_BARE},
        {"UID FETCH 1:* (UID)", "* LIST () \"/\" a\r\n", 1},
        {"EXAMINE a", "* 5 EXISTS\r\n", PATIENCE_BARE},
        {"NOOP", "* 5 EXISTS\r\n", 1},
        {"UID FETCH 1 (BODY.PEEK[])", "* 1 FETCH (BODY[] {1}\r\nx)\r\n", PATIENCE_BARE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig g;
        struct imap_outcome o;
        int n = 0;
        rig_up(&g);
        sign_in(&g);
        command(&g, rows[i].command, &o);
        assert_int_equal(turn(&g, 0), 0);
        while (n < 100) {
            if (turn(&g, TIMEOUT - 1) != 0)
                break;
            peer_says(&g, rows[i].data);
            if (turn(&g, 0) != 0)
                break;
            n++;
        }
        /* The last wait is as long as what is left of the total, so one line more may fit. */
        assert_row(rows[i].data, n == rows[i].lines || n == rows[i].lines + 1);
        assert_row(rows[i].data, imap_conn_broken(g.c) == IMAP_BROKEN_SILENT);
        rig_down(&g);
    }
}

/* A body may take as long as it likes while it comes. */
static void test_a_long_body(void **state)
{
    struct rig g;
    struct imap_outcome o;
    char octets[PATIENCE_OCTETS + 1] = {0};
    (void)state;
    rig_up(&g);
    sign_in(&g);
    command(&g, "UID FETCH 1 (BODY.PEEK[])", &o);
    assert_int_equal(turn(&g, 0), 0);
    peer_says(&g, "* 1 FETCH (UID 1 BODY[] {1000000}\r\n");
    memset(octets, 'x', PATIENCE_OCTETS);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(turn(&g, TIMEOUT - 1), 0);
        peer_says(&g, octets);
        assert_int_equal(turn(&g, 0), 0);
    }
    rig_down(&g);
}

/* A command that waits for its own octets is nobody's fault here. */
static void test_our_own_turn(void **state)
{
    struct rig g;
    struct imap_outcome o = {0};
    (void)state;
    rig_up(&g);
    sign_in(&g);
    struct imap_client *client = imap_conn_client(g.c);
    imap_cmd_begin(client, imap_outcome_set, &o);
    imap_cmd_text(client, "APPEND a ");
    imap_cmd_literal(client, 4);
    assert_int_equal(turn(&g, 0), 0);
    assert_peer_got(&g, "c2 APPEND a {4}\r\n");
    peer_says(&g, "+ go\r\n");
    for (int i = 0; i < 10; i++)
        assert_int_equal(turn(&g, 10 * TIMEOUT), 0);
    imap_cmd_octets(client, SLICE_LIT("body"));
    imap_cmd_end(client);
    peer_answers(&g, "body\r\n", "c2 OK in\r\n");
    assert_int_equal(o.status, IMAP_STATUS_OK);
    rig_down(&g);
}

static void test_paused(void **state)
{
    struct rig g;
    struct imap_outcome o;
    (void)state;
    rig_up(&g);
    sign_in(&g);
    command(&g, "LIST \"\" \"*\"", &o);
    assert_int_equal(turn(&g, 0), 0);
    imap_conn_pause(g.c, true);
    peer_says(&g, "c2 OK done\r\n");
    for (int i = 0; i < 10; i++)
        assert_int_equal(turn(&g, 10 * TIMEOUT), 0);
    assert_false(o.is_done);
    imap_conn_pause(g.c, false);
    assert_int_equal(turn(&g, 0), 0);
    assert_true(o.is_done);
    rig_down(&g);
}

/* --- The job's time ---------------------------------------------------------------------- */

/* In every state, whether somebody is silent or talks without end. */
static void test_limits(void **state)
{
    static const char *const chatter[] = {NULL, "* OK Still here\r\n", "* LIST () \"/\" a\r\n"};
    (void)state;
    for (int is_ready = 0; is_ready < 2; is_ready++) {
        for (int is_cancel = 0; is_cancel < 2; is_cancel++) {
            for (size_t i = 0; i < COUNT_OF(chatter); i++) {
                struct rig g;
                struct imap_outcome o = {.is_done = true};
                rig_up(&g);
                if (is_ready) {
                    sign_in(&g);
                    command(&g, "LIST \"\" \"*\"", &o);
                    assert_int_equal(turn(&g, 0), 0);
                }
                uint64_t start_ms = clock_ms;
                g.limits.until_ms = is_cancel ? 0 : start_ms + 50;
                for (int k = 0; k < 5; k++) {
                    if (chatter[i] && (is_ready || i == 1))
                        peer_says(&g, chatter[i]);
                    assert_int_equal(turn(&g, 9), 0);
                }
                if (is_cancel)
                    assert_int_equal(write(g.cancel, "x", 1), 1);
                int n = 0;
                while (turn(&g, 9) == 0 && n++ < 20)
                    ;
                assert_true(n < 20);
                assert_true(clock_ms - start_ms <= 59);
                assert_int_equal(
                    imap_conn_broken(g.c), is_cancel ? IMAP_BROKEN_STOPPED : IMAP_BROKEN_LIMIT);
                assert_int_equal(g.err.class, ERR_TEMP);
                assert_int_equal(g.err.scope, ERR_SCOPE_NONE);
                assert_true(o.is_done);
                rig_down(&g);
            }
        }
    }
}

/* Limits end waits; who waits for nothing is left alone and is good afterwards. */
static void test_limits_and_nothing_to_wait_for(void **state)
{
    struct rig g;
    struct imap_outcome o;
    (void)state;
    rig_up(&g);
    sign_in(&g);
    g.limits.until_ms = clock_ms - 1;
    assert_int_equal(write(g.cancel, "x", 1), 1);
    assert_int_equal(turn(&g, 10), 0);
    assert_int_equal(imap_conn_pump(&g.c, 1, &g.err), -1); /* but it does not hang */
    assert_false(imap_conn_is_broken(g.c));
    char byte;
    assert_int_equal(read(g.limits.cancel_fd, &byte, 1), 1);
    g.limits.until_ms = 0;
    command(&g, "CHECK", &o);
    peer_answers(&g, "c2 CHECK\r\n", "c2 OK done\r\n");
    assert_int_equal(o.status, IMAP_STATUS_OK);
    rig_down(&g);
}

/* The limit is over when the answer is there already. */
static void test_an_answer_in_time(void **state)
{
    struct rig g;
    struct imap_outcome o;
    (void)state;
    rig_up(&g);
    sign_in(&g);
    command(&g, "CHECK", &o);
    assert_int_equal(turn(&g, 0), 0);
    peer_says(&g, "c2 OK done\r\n");
    g.limits.until_ms = clock_ms;
    assert_int_equal(turn(&g, 0), 0);
    assert_int_equal(o.status, IMAP_STATUS_OK);
    rig_down(&g);
}

/* --- Life ------------------------------------------------------------------------------------ */

static void test_keep_alive(void **state)
{
    struct rig g;
    struct imap_outcome o;
    struct pollfd fd;
    int timeout_ms;
    (void)state;
    rig_up(&g);
    sign_in(&g);
    imap_conn_prepare(g.c, &fd, &timeout_ms);
    assert_int_equal(timeout_ms, KEEPALIVE);
    assert_int_equal(turn(&g, KEEPALIVE - 1), 0);
    assert_peer_got(&g, "");
    assert_int_equal(turn(&g, KEEPALIVE), 0);
    assert_peer_got(&g, "c2 NOOP\r\n");
    assert_int_equal(turn(&g, 1), 0);
    assert_peer_got(&g, "");
    peer_says(&g, "* 3 EXISTS\r\nc2 OK done\r\n");
    assert_int_equal(turn(&g, 0), 0);
    /* Whatever is sent counts. */
    assert_int_equal(turn(&g, KEEPALIVE - 10), 0);
    command(&g, "CHECK", &o);
    peer_answers(&g, "c3 CHECK\r\n", "c3 OK done\r\n");
    assert_int_equal(turn(&g, KEEPALIVE - 10), 0);
    assert_peer_got(&g, "");
    rig_down(&g);
}

/* A server that does not answer NOOP either is gone. */
static void test_keep_alive_finds_the_dead(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g);
    sign_in(&g);
    assert_int_equal(turn(&g, KEEPALIVE), 0);
    assert_int_equal(turn(&g, TIMEOUT), -1);
    assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_SILENT);
    rig_down(&g);
}

static void test_no_noop_inside_a_literal(void **state)
{
    struct rig g;
    struct imap_outcome o = {0};
    (void)state;
    rig_up(&g);
    sign_in(&g);
    struct imap_client *client = imap_conn_client(g.c);
    imap_cmd_begin(client, imap_outcome_set, &o);
    imap_cmd_text(client, "APPEND a ");
    imap_cmd_literal(client, 8);
    assert_int_equal(turn(&g, 0), 0);
    peer_says(&g, "+ go\r\n");
    assert_int_equal(turn(&g, 0), 0);
    imap_cmd_octets(client, SLICE_LIT("half"));
    for (int i = 0; i < 3; i++)
        assert_int_equal(turn(&g, 2 * KEEPALIVE), 0);
    imap_cmd_octets(client, SLICE_LIT("rest"));
    imap_cmd_end(client);
    assert_int_equal(turn(&g, 0), 0);
    assert_peer_got(&g, "c2 APPEND a {8}\r\nhalfrest\r\n");
    rig_down(&g);
}

/* One that is idle beside a busy one says its NOOP, and its end is found when it is used. */
static void test_beside(void **state)
{
    struct rig busy, idle;
    struct imap_outcome o;
    (void)state;
    rig_up(&idle);
    sign_in(&idle);
    rig_up(&busy);
    sign_in(&busy);
    imap_conn_beside(busy.c, idle.c);
    command(&busy, "CHECK", &o);
    clock_ms += KEEPALIVE;
    peer_says(&busy, "* OK wait\r\n");
    assert_int_equal(imap_conn_pump(&busy.c, 1, &busy.err), 0);
    assert_peer_got(&idle, "c2 NOOP\r\n");
    close(idle.peer);
    idle.peer = -1;
    peer_says(&busy, "c2 OK done\r\n");
    assert_int_equal(imap_conn_wait(busy.c, &o, &busy.err), 0);
    peer_says(&busy, "* OK more\r\n");
    assert_int_equal(imap_conn_pump(&busy.c, 1, &busy.err), 0);
    assert_true(imap_conn_is_broken(idle.c));
    assert_int_equal(imap_conn_pump(&idle.c, 1, &idle.err), -1);
    rig_down(&idle);
    rig_down(&busy);
}

/* Every callback comes, while what it writes into is still there. */
static void test_close_answers(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct rig g;
        struct imap_outcome o[3];
        rig_up(&g);
        sign_in(&g);
        for (size_t i = 0; i < 3; i++)
            command(&g, "CHECK", &o[i]);
        assert_int_equal(turn(&g, 0), 0);
        peer_says(&g, "c2 OK done\r\n");
        assert_int_equal(turn(&g, 0), 0);
        if (how == 0)
            imap_conn_close(&g.c);
        if (how == 1)
            imap_conn_abandon(g.c);
        if (how == 2) {
            close(g.peer);
            g.peer = -1;
            assert_int_equal(imap_conn_drain(g.c, &g.err), -1);
            assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_LOST);
            assert_int_equal(imap_conn_check(g.c, &o[2], "cannot check", &g.err), -1);
            assert_int_equal(g.err.scope, ERR_SCOPE_HOST);
        }
        assert_int_equal(o[0].status, IMAP_STATUS_OK);
        assert_int_equal(o[1].status, IMAP_STATUS_CANCELLED);
        assert_int_equal(o[2].status, IMAP_STATUS_CANCELLED);
        rig_down(&g);
    }
}

/* Who composes without looking loses the connection, not the process. */
static void test_overrun(void **state)
{
    static const char much[65536] = {'x'};
    struct rig g;
    struct imap_outcome o = {0};
    (void)state;
    rig_up(&g);
    sign_in(&g);
    struct imap_client *client = imap_conn_client(g.c);
    imap_cmd_begin(client, imap_outcome_set, &o);
    imap_cmd_text(client, "APPEND a ");
    imap_cmd_literal(client, UINT32_MAX);
    for (int i = 0; i < 100; i++)
        imap_cmd_octets(client, slice_make(much, sizeof(much)));
    assert_int_equal(turn(&g, 0), -1);
    assert_int_equal(g.err.class, ERR_PEER);
    assert_int_equal(o.status, IMAP_STATUS_CANCELLED);
    rig_down(&g);
}

static void test_bye(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g);
    peer_says(&g, "* BYE too many connections\r\n");
    assert_int_equal(turn(&g, 0), -1);
    assert_non_null(strstr(g.err.text, "too many connections"));
    assert_int_equal(g.err.class, ERR_TEMP);
    rig_down(&g);
}

/* Politeness has an end too, and none after a wish to stop. */
static void test_logout(void **state)
{
    (void)state;
    for (int is_stopped = 0; is_stopped < 2; is_stopped++) {
        struct rig g;
        rig_up(&g);
        sign_in(&g);
        if (is_stopped)
            assert_int_equal(write(g.cancel, "x", 1), 1);
        peer_says(&g, "* BYE bye\r\nc2 OK bye\r\n");
        imap_conn_logout(&g.c);
        assert_null(g.c);
        rig_down(&g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_silence_while_signing_in),
        cmocka_unit_test(test_signing_in_without_end),
        cmocka_unit_test(test_unused_is_not_late),
        cmocka_unit_test(test_a_stopped_process_reads_first),
        cmocka_unit_test(test_what_is_progress),
        cmocka_unit_test(test_a_long_body),
        cmocka_unit_test(test_our_own_turn),
        cmocka_unit_test(test_paused),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_limits_and_nothing_to_wait_for),
        cmocka_unit_test(test_an_answer_in_time),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_keep_alive_finds_the_dead),
        cmocka_unit_test(test_no_noop_inside_a_literal),
        cmocka_unit_test(test_beside),
        cmocka_unit_test(test_close_answers),
        cmocka_unit_test(test_overrun),
        cmocka_unit_test(test_bye),
        cmocka_unit_test(test_logout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
