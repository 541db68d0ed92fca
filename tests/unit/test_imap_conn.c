/* SPDX-License-Identifier: ISC */
/* What is progress, what is late, and what the job's own limits end. */
#include <sysexits.h>

#include "imapsync/imap/patience.h"
#include "tests/unit/imap_rig.h"

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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
