/* SPDX-License-Identifier: ISC */
/* From connect() to the end: TLS, many at once, keeping alive, and whose answers come when. */
#include <signal.h>
#include <sysexits.h>

#include "base/os/io.h"
#include "base/os/sock.h"
#include "tests/unit/imap_rig.h"
#include "tests/unit/certs.h"

static struct tmpdir dir;
static struct tls_ctx *server_ctx, *client_ctx;

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    struct cert ca, leaf;
    char cert_path[128], ca_path[128];
    struct conf_server policy = {.tls = CONF_TLS_VERIFY,
        .tls_min = (char *)(uintptr_t) "TLSv1.2",
        .tls_level = 1,
        .tls_ca_file = ca_path};
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    tmpdir_make(&dir);
    ca = cert_make("Test CA", NULL, NULL);
    leaf = cert_make("peer", "DNS:peer", &ca);
    cert_save(&ca, &dir, "ca");
    cert_save(&leaf, &dir, "leaf");
    cert_free(&leaf);
    cert_free(&ca);
    assert_int_equal(fmt_into(ca_path, sizeof(ca_path), "%s", tmpdir_file(&dir, "ca.crt")), 0);
    assert_int_equal(
        fmt_into(cert_path, sizeof(cert_path), "%s", tmpdir_file(&dir, "leaf.crt")), 0);
    assert_int_equal(
        tls_ctx_server(cert_path, tmpdir_file(&dir, "leaf.key"), &server_ctx, &err), 0);
    assert_int_equal(tls_ctx_client(&policy, &client_ctx, &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_ctx_free(&server_ctx);
    tls_ctx_free(&client_ctx);
    tmpdir_remove(&dir);
    return 0;
}

/* Somebody listens there, and nobody answers. */
static int full_listener(uint16_t *port_out, int *fds, size_t n)
{
    struct net_endpoint where = {.host = (char[]){"127.0.0.1"}};
    struct net_addr addr;
    struct err err = ERR_INIT;
    int fd = -1;
    assert_int_equal(sock_listen(&where, false, 0, &fd, &err), 0);
    assert_int_equal(sock_local(fd, &addr, port_out, &err), 0);
    assert_int_equal(listen(fd, 0), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(sock_connect(&addr, *port_out, &fds[i], &err), 0);
    return fd;
}

enum { END_TIMEOUT, END_LIMIT, END_CANCEL, END_KINDS };

static void assert_ends(struct rig *g, int kind)
{
    static const enum imap_broken why[] = {
        IMAP_BROKEN_SILENT, IMAP_BROKEN_LIMIT, IMAP_BROKEN_STOPPED};
    uint64_t start_ms = clock_ms;
    g->limits.until_ms = kind == END_LIMIT ? clock_ms + TIMEOUT / 2 : 0;
    if (kind == END_CANCEL)
        assert_int_equal(write(g->cancel, "x", 1), 1);
    /* Who waits is woken by the descriptor: no time passes. */
    int n = 0;
    while (turn(g, kind == END_CANCEL ? 0 : TIMEOUT) == 0 && n++ < 10)
        ;
    assert_int_equal(imap_conn_broken(g->c), why[kind]);
    assert_int_equal(clock_ms - start_ms, kind == END_TIMEOUT ? TIMEOUT
                                          : kind == END_LIMIT ? TIMEOUT / 2
                                                              : 0);
}

static void test_limits_while_connecting(void **state)
{
    (void)state;
    for (int kind = 0; kind < END_KINDS; kind++) {
        struct rig g;
        int fds[3];
        rig_begin(&g);
        g.place.host = "127.0.0.1";
        g.peer = full_listener(&g.place.port, fds, COUNT_OF(fds));
        g.c = imap_conn_start(&g.place, &g.limits);
        assert_ends(&g, kind);
        for (size_t i = 0; i < COUNT_OF(fds); i++)
            io_close(&fds[i]);
        rig_down(&g);
    }
}

/* One for each name: a thread that was forgotten may come to its own late. */
static int gates[END_KINDS + 2][2];

static int slow_resolve(
    const char *host, struct net_addr *out, size_t max, size_t *n_out, struct err *err)
{
    char byte;
    *n_out = 0;
    if (read(gates[host[0] - 'a'][0], &byte, 1) != 1 || byte != 'y')
        return err_set(err, ERR_PERM, EX_NOHOST, "look up %s: no such name", host);
    return sock_resolve("127.0.0.1", out, max, n_out, err);
}

/* A resolver that does not answer keeps nobody longer than a server that does not. */
static void test_limits_while_looking_up(void **state)
{
    (void)state;
    for (int kind = 0; kind < END_KINDS + 2; kind++) {
        struct rig g;
        rig_begin(&g);
        const char name[] = {(char)('a' + kind), '.', 'x', '\0'};
        assert_int_equal(pipe(gates[kind]), 0);
        g.place.host = name;
        g.place.resolve = slow_resolve;
        g.peer = full_listener(&g.place.port, NULL, 0);
        g.c = imap_conn_start(&g.place, &g.limits);
        assert_int_equal(turn(&g, 0), 0);
        if (kind < END_KINDS)
            assert_ends(&g, kind);
        assert_int_equal(write(gates[kind][1], kind == END_KINDS ? "n" : "y", 1), 1);
        if (kind == END_KINDS) {
            assert_int_equal(imap_conn_pump(&g.c, 1, &g.err), -1);
            assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_LOST);
            assert_int_equal(g.err.code, EX_NOHOST);
        }
        if (kind > END_KINDS) {
            assert_int_equal(imap_conn_pump(&g.c, 1, &g.err), 0); /* the name */
            assert_int_equal(imap_conn_pump(&g.c, 1, &g.err), 0); /* the connection */
            assert_false(imap_conn_is_broken(g.c));
        }
        rig_down(&g);
    }
}

static void test_nobody_is_there(void **state)
{
    struct rig g;
    (void)state;
    rig_begin(&g);
    int fd = full_listener(&g.place.port, NULL, 0);
    close(fd);
    g.place.host = "127.0.0.1";
    g.peer = -1;
    g.c = imap_conn_start(&g.place, &g.limits);
    assert_int_equal(imap_conn_pump(&g.c, 1, &g.err), -1);
    assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_SILENT);
    assert_non_null(strstr(g.err.text, "source"));
    rig_down(&g);
}

/* The handshake is a wait like any other. */
static void test_limits_while_securing(void **state)
{
    (void)state;
    for (int kind = 0; kind < END_KINDS; kind++) {
        struct rig g;
        rig_begin(&g);
        g.place.security = IMAP_SECURITY_TLS;
        g.place.tls = client_ctx;
        g.place.tls_name = "peer";
        join(&g);
        assert_int_equal(turn(&g, 0), 0);
        struct pollfd hello = {.fd = g.peer, .events = POLLIN};
        assert_int_equal(poll(&hello, 1, 0), 1);
        assert_ends(&g, kind);
        rig_down(&g);
    }
}

static void test_limits_while_logging_out(void **state)
{
    (void)state;
    for (int kind = END_LIMIT; kind < END_KINDS; kind++) {
        struct rig g;
        rig_up(&g);
        sign_in(&g);
        imap_conn_leave(g.c);
        assert_false(imap_conn_has_left(g.c));
        assert_ends(&g, kind);
        assert_true(imap_conn_has_left(g.c));
        rig_down(&g);
    }
}

/* --- TLS --------------------------------------------------------------------------------- */

/* Both sides by turns until ours has come to this. */
static void peer_tls(struct rig *g, const char *says)
{
    char got[4096];
    size_t n;
    bool has_said = false;
    for (int i = 0; i < 100; i++) {
        (void)turn(g, 0);
        if (tls_handshake(g->tls, &g->err) != TLS_DONE)
            continue;
        if (!has_said)
            assert_int_equal(tls_write(g->tls, says, strlen(says), &n, &g->err), TLS_DONE);
        has_said = true;
        (void)tls_read(g->tls, got, sizeof(got), &n, &g->err);
    }
    assert_true(has_said);
}

static void test_tls(void **state)
{
    (void)state;
    for (int is_starttls = 0; is_starttls < 2; is_starttls++) {
        struct rig g;
        rig_begin(&g);
        g.place.security = is_starttls ? IMAP_SECURITY_STARTTLS : IMAP_SECURITY_TLS;
        g.place.tls = client_ctx;
        g.place.tls_name = "peer";
        join(&g);
        if (is_starttls) {
            peer_answers(&g, "", "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n");
            peer_answers(&g, "c1 STARTTLS\r\n", "c1 OK go\r\n");
        }
        assert_int_equal(tls_new(server_ctx, g.peer, NULL, &g.tls, &g.err), 0);
        if (!is_starttls)
            peer_tls(&g, "* OK [CAPABILITY IMAP4rev1] hi\r\n");
        else
            peer_tls(&g, "* CAPABILITY IMAP4rev1\r\nc2 OK\r\n");
        peer_tls(&g, is_starttls ? "c3 OK [CAPABILITY IMAP4rev1] in\r\n"
                                 : "c1 OK [CAPABILITY IMAP4rev1] in\r\n");
        assert_int_equal(turn(&g, 0), 0);
        assert_true(imap_conn_is_ready(g.c));
        imap_conn_close(&g.c);
        rig_down(&g);
    }
}

/* --- Many ---------------------------------------------------------------------------------- */

#define MANY 40

/* In one thread, each as far as its server has answered. */
static void test_many_sign_ins(void **state)
{
    static struct rig rigs[MANY];
    size_t n_ready = 0;
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        rig_up(&rigs[i]);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(turn(&rigs[i], 0), 0);
    for (size_t i = MANY; i-- > 0;)
        peer_answers(&rigs[i], "", "* OK [CAPABILITY IMAP4rev1] hi\r\n");
    for (size_t i = 0; i < MANY; i += 2)
        peer_answers(
            &rigs[i], "c1 LOGIN \"ann\" \"ann-secret\"\r\n", "c1 OK [CAPABILITY IMAP4rev1] in\r\n");
    for (size_t i = 0; i < MANY; i++)
        n_ready += imap_conn_is_ready(rigs[i].c);
    assert_int_equal(n_ready, MANY / 2);
    for (size_t i = 0; i < MANY; i++)
        rig_down(&rigs[i]);
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

/* A busy one and an idle one are pumped together: the idle one says its NOOP meanwhile. */
static void test_an_idle_one_beside_a_busy_one(void **state)
{
    struct rig busy, idle;
    struct imap_outcome o;
    struct err err = ERR_INIT;
    (void)state;
    rig_up(&idle);
    sign_in(&idle);
    rig_up(&busy);
    sign_in(&busy);
    struct imap_conn *both[] = {busy.c, idle.c};
    command(&busy, "CHECK", &o);
    clock_ms += KEEPALIVE;
    assert_int_equal(imap_conn_pump(both, 2, &err), 0);
    assert_peer_got(&idle, "c2 NOOP\r\n");
    peer_says(&busy, "c2 OK done\r\n");
    while (!o.is_done)
        assert_int_equal(imap_conn_pump(both, 2, &err), 0);
    close(idle.peer);
    idle.peer = -1;
    assert_int_equal(imap_conn_pump(both, 2, &err), -1);
    assert_true(imap_conn_is_broken(idle.c));
    assert_false(imap_conn_is_broken(busy.c));
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
            assert_int_equal(imap_conn_pump(&g.c, 1, &g.err), -1);
            assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_LOST);
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
        imap_conn_leave(g.c);
        if (!is_stopped)
            peer_says(&g, "* BYE bye\r\nc2 OK bye\r\n");
        assert_int_equal(turn(&g, 0), is_stopped ? -1 : 0);
        assert_true(imap_conn_has_left(g.c));
        assert_int_equal(imap_conn_is_broken(g.c), is_stopped);
        rig_down(&g);
    }
}

/* What was asked before it has the time that it would have without. */
static void test_logout_behind_others(void **state)
{
    enum { PATIENT = 60 * TIMEOUT };
    struct rig g;
    struct imap_outcome o;
    (void)state;
    rig_begin(&g);
    g.place.timeout_ms = PATIENT;
    join(&g);
    sign_in(&g);
    command(&g, "LIST \"\" *", &o);
    imap_conn_leave(g.c);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(turn(&g, PATIENT / 2), 0);
        peer_says(&g, "* LIST () \"/\" a\r\n");
        assert_int_equal(turn(&g, 0), 0);
    }
    peer_says(&g, "c2 OK done\r\n");
    assert_int_equal(turn(&g, 0), 0);
    assert_int_equal(o.status, IMAP_STATUS_OK);
    assert_false(imap_conn_has_left(g.c));
    uint64_t start_ms = clock_ms;
    assert_int_equal(turn(&g, PATIENT), -1);
    assert_true(clock_ms - start_ms < PATIENT);
    rig_down(&g);
}

/* Unless nobody waits for it. */
static void test_logout_behind_nobodys(void **state)
{
    enum { PATIENT = 60 * TIMEOUT };
    struct rig g;
    struct imap_outcome o;
    (void)state;
    rig_begin(&g);
    g.place.timeout_ms = PATIENT;
    join(&g);
    sign_in(&g);
    command(&g, "ENABLE QRESYNC", &o);
    imap_conn_leave(g.c);
    imap_conn_leave_soon(g.c);
    assert_int_equal(turn(&g, 0), 0); /* it is said */
    uint64_t start_ms = clock_ms;
    assert_int_equal(turn(&g, PATIENT), -1);
    assert_true(clock_ms - start_ms < PATIENT);
    rig_down(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_while_connecting),
        cmocka_unit_test(test_limits_while_looking_up),
        cmocka_unit_test(test_nobody_is_there),
        cmocka_unit_test(test_limits_while_securing),
        cmocka_unit_test(test_limits_while_logging_out),
        cmocka_unit_test(test_tls),
        cmocka_unit_test(test_many_sign_ins),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_keep_alive_finds_the_dead),
        cmocka_unit_test(test_no_noop_inside_a_literal),
        cmocka_unit_test(test_an_idle_one_beside_a_busy_one),
        cmocka_unit_test(test_close_answers),
        cmocka_unit_test(test_overrun),
        cmocka_unit_test(test_bye),
        cmocka_unit_test(test_logout),
        cmocka_unit_test(test_logout_behind_others),
        cmocka_unit_test(test_logout_behind_nobodys),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
