/* SPDX-License-Identifier: ISC */
#include <signal.h>
#include <sys/socket.h>
#include "base/mail/smtp_conn.h"
#include "tests/unit/certs.h"
#include "tests/unit/smtp_peer.h"

struct fixture {
    struct loop *loop;
    struct loop_timer *guard;
    struct smtp_peer peer;
    struct conf_server server;
    struct tls_ctx *tls;
    struct tmpdir dir;
    struct smtp_conn *conn;
    struct smtp_conn_setup setup;
    struct buf said; /* what the connection said, a letter each */
    struct err why;
    char tls_version[16];
    enum smtp_client_kind stop_at, free_at;
    bool sends;        /* a whole message at READY */
    const char *early; /* what the server says before it has the message */
    bool has_ended;    /* the client of the owner waits for the answer to its dot */
    bool goes_away;    /* and then resets the connection */
    int early_code;
    size_t n_lines; /* of 80 bytes, in its body; the server stops reading */
};

static char letter(const struct smtp_client_event *ev)
{
    switch (ev->kind) {
    case SMTP_CLIENT_READY:
        return 'r';
    case SMTP_CLIENT_MAIL_REPLY:
        return 'm';
    case SMTP_CLIENT_RCPT_REPLY:
        return 't';
    case SMTP_CLIENT_DATA_REPLY:
        return 'd';
    case SMTP_CLIENT_DOT_REPLY:
        return '.';
    case SMTP_CLIENT_QUIT_REPLY:
        return 'q';
    case SMTP_CLIENT_FAILED:
        return 'F';
    case SMTP_CLIENT_RSET_REPLY:
    case SMTP_CLIENT_MORE:
    case SMTP_CLIENT_STARTTLS:
        break;
    }
    return '?';
}

static void on_event(void *arg, const struct smtp_client_event *ev)
{
    struct fixture *f = arg;
    struct smtp_client *client = smtp_conn_client(f->conn);

    assert_int_equal(buf_add_byte(&f->said, (unsigned char)letter(ev)), 0);
    if (ev->kind == SMTP_CLIENT_READY) {
        assert_int_equal(
            fmt_into(f->tls_version, sizeof(f->tls_version), "%s", smtp_conn_tls_version(f->conn)),
            0);
        if (f->sends) {
            assert_int_equal(smtp_client_mail(client, SLICE_LIT("a@b.example"), 0, false), 0);
            assert_int_equal(smtp_client_rcpt(client, SLICE_LIT("c@d.example")), 0);
            smtp_conn_flush(f->conn);
        }
    } else if (ev->kind == SMTP_CLIENT_RCPT_REPLY) {
        assert_int_equal(smtp_client_data(client), 0);
        assert_int_equal(buf_add_str(smtp_client_content(client), "Subject: x\r\n\r\n"), 0);
        for (size_t i = 0; i < f->n_lines; i++)
            assert_int_equal(buf_addf(smtp_client_content(client), "%078d\r\n", 0), 0);
    } else if (ev->kind == SMTP_CLIENT_DATA_REPLY) {
        if (f->n_lines > 0)
            stream_pause(f->peer.conns->stream);
        if (f->early != NULL)
            assert_int_equal(stream_write(f->peer.conns->stream, slice_str(f->early)), 0);
        if (f->goes_away)
            smtp_peer_drop(&f->peer);
        if (f->has_ended)
            smtp_conn_content_ended(f->conn);
        assert_int_equal(smtp_client_dot(client), 0);
    } else if (ev->kind == SMTP_CLIENT_DOT_REPLY && ev->is_early) {
        f->early_code = ev->reply->code;
    } else if (ev->kind == SMTP_CLIENT_DOT_REPLY) {
        assert_int_equal(smtp_client_quit(client), 0);
    } else if (ev->kind == SMTP_CLIENT_FAILED) {
        f->why = *ev->err;
    }
    if (ev->kind == f->free_at)
        smtp_conn_free(&f->conn);
    if (ev->kind == f->stop_at || ev->kind == f->free_at || ev->kind == SMTP_CLIENT_FAILED)
        loop_stop(f->loop);
}

static void on_drained(void *arg)
{
    struct fixture *f = arg;

    assert_int_equal(buf_add_byte(&f->said, 'D'), 0);
    loop_stop(f->loop);
}

static const struct smtp_conn_events events = {.event = on_event, .drained = on_drained};

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("nothing happened any more");
}

static int set_up(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));

    (void)signal(SIGPIPE, SIG_IGN);
    f->loop = loop_new();
    f->guard = loop_timer_new(f->loop, on_guard, f);
    loop_timer_start(f->guard, 30000);
    buf_init(&f->said, 100);
    smtp_peer_start(&f->peer, f->loop);
    f->server = (struct conf_server){.name = (char *)(uintptr_t) "old",
        .tls_min = (char *)(uintptr_t) "TLSv1.2",
        .tls_level = 1,
        .pipelining = true};
    f->server.smtp.host = (char *)(uintptr_t) "127.0.0.1";
    f->server.smtp.scheme = NET_SCHEME_SMTP;
    f->server.smtp.port = f->peer.port;
    f->setup = (struct smtp_conn_setup){.name = "old",
        .where = &f->server.smtp,
        .hello_name = "relay.test",
        .connect_timeout_ms = 20000,
        .reply_timeout_ms = 20000,
        .dot_timeout_ms = 20000};
    assert_int_equal(net_addr_parse(SLICE_LIT("127.0.0.1"), &f->setup.addr), 0);
    tmpdir_make(&f->dir);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    smtp_conn_free(&f->conn);
    smtp_peer_stop(&f->peer);
    loop_timer_free(&f->guard);
    loop_free(&f->loop);
    tls_ctx_free(&f->tls);
    tls_ctx_free(&f->peer.tls);
    buf_fini(&f->said);
    tmpdir_remove(&f->dir);
    free(f);
    return 0;
}

static void run(struct fixture *f)
{
    f->conn = smtp_conn_new(f->loop, &f->setup, &events, f, &f->why);
    assert_non_null(f->conn);
    loop_run(f->loop);
}

/* A certificate for mail.test, trusted by the client. */
static void use_tls(struct fixture *f, enum conf_tls policy, const char *name)
{
    struct cert ca = cert_make("Test CA", NULL, NULL);
    struct cert peer = cert_make("mail.test", "DNS:mail.test", &ca);
    char cert_file[128];

    cert_save(&ca, &f->dir, "ca");
    cert_save(&peer, &f->dir, "peer");
    assert_int_equal(
        fmt_into(cert_file, sizeof(cert_file), "%s", tmpdir_file(&f->dir, "peer.crt")), 0);
    assert_int_equal(
        tls_ctx_server(cert_file, tmpdir_file(&f->dir, "peer.key"), &f->peer.tls, &f->why), 0);
    f->server.tls = f->setup.policy = policy;
    f->server.tls_name = (char *)(uintptr_t)name;
    f->setup.tls_name = name;
    f->server.tls_ca_file = mem_strdup(tmpdir_file(&f->dir, "ca.crt"));
    assert_int_equal(tls_ctx_client(&f->server, &f->tls, &f->why), 0);
    mem_free_string(&f->server.tls_ca_file);
    f->setup.tls = f->tls;
    cert_free(&peer);
    cert_free(&ca);
}

static void one_message(void **state)
{
    struct fixture *f = *state;

    f->sends = true;
    f->stop_at = SMTP_CLIENT_QUIT_REPLY;
    run(f);
    assert_slice_equal(buf_slice(&f->said), "rmtd.q");
    assert_slice_equal(buf_slice(&f->peer.lines),
        "EHLO relay.test\nMAIL FROM:<a@b.example>\nRCPT TO:<c@d.example>\nDATA\nQUIT\n");
    assert_int_equal(f->peer.messages, 1);
    assert_int_equal(f->peer.n_content, 14);
    assert_string_equal(f->tls_version, "");
}

static void lmtp(void **state)
{
    struct fixture *f = *state;

    f->server.smtp.scheme = NET_SCHEME_LMTP;
    f->stop_at = SMTP_CLIENT_READY;
    run(f);
    assert_slice_equal(buf_slice(&f->peer.lines), "LHLO relay.test\n");
}

static void starttls(void **state)
{
    struct fixture *f = *state;

    use_tls(f, CONF_TLS_VERIFY, "mail.test");
    f->sends = true;
    f->stop_at = SMTP_CLIENT_QUIT_REPLY;
    run(f);
    assert_slice_equal(buf_slice(&f->said), "rmtd.q");
    assert_string_equal(f->tls_version, "TLSv1.3");
    assert_true(slice_starts(
        buf_slice(&f->peer.lines), SLICE_LIT("EHLO relay.test\nSTARTTLS\nEHLO relay.test\nMAIL")));
}

static void tls_from_the_first_byte(void **state)
{
    struct fixture *f = *state;

    use_tls(f, CONF_TLS_VERIFY, "mail.test");
    f->server.smtp.scheme = NET_SCHEME_SMTPS;
    f->peer.is_secure = true;
    f->stop_at = SMTP_CLIENT_READY;
    run(f);
    assert_slice_equal(buf_slice(&f->said), "r");
    assert_string_equal(f->tls_version, "TLSv1.3");
    assert_slice_equal(buf_slice(&f->peer.lines), "EHLO relay.test\n");
}

static void wrong_name(void **state)
{
    struct fixture *f = *state;

    use_tls(f, CONF_TLS_VERIFY, "other.test");
    run(f);
    assert_slice_equal(buf_slice(&f->said), "F");
    assert_non_null(strstr(f->why.text, "mismatch"));
}

static void encrypted_without_verification(void **state)
{
    struct fixture *f = *state;

    use_tls(f, CONF_TLS_ENCRYPT, "other.test");
    f->stop_at = SMTP_CLIENT_READY;
    run(f);
    assert_slice_equal(buf_slice(&f->said), "r");
    assert_string_equal(f->tls_version, "TLSv1.3");
}

/* What is plain on a loopback address cannot be listened in on. */
static void loopback_may_be_plain(void **state)
{
    struct fixture *f = *state;

    use_tls(f, CONF_TLS_VERIFY, "mail.test");
    tls_ctx_free(&f->peer.tls);
    f->stop_at = SMTP_CLIENT_READY;
    run(f);
    assert_slice_equal(buf_slice(&f->said), "r");
    assert_string_equal(f->tls_version, "");
}

static void text_before_the_handshake_is_an_attack(void **state)
{
    static const struct smtp_peer_row rows[] = {
        {"STARTTLS", "220 go\r\n250-peer\r\n250 XEVIL\r\n"}, {NULL, NULL}};
    struct fixture *f = *state;

    use_tls(f, CONF_TLS_ENCRYPT, NULL);
    f->peer.rows = rows;
    run(f);
    assert_slice_equal(buf_slice(&f->said), "F");
    assert_non_null(strstr(f->why.text, "injecting"));
}

static void tls_without_a_context(void **state)
{
    struct fixture *f = *state;

    f->setup.policy = CONF_TLS_VERIFY;
    assert_null(smtp_conn_new(f->loop, &f->setup, &events, f, &f->why));
    assert_int_equal(f->why.class, ERR_PERM);
}

static void nobody_listens(void **state)
{
    struct fixture *f = *state;

    loop_io_free(&f->peer.io);
    io_close(&f->peer.fd);
    run(f);
    assert_slice_equal(buf_slice(&f->said), "F");
    assert_non_null(strstr(f->why.text, "refused"));
}

static void closed_by_the_server(void **state)
{
    static const struct smtp_peer_row rows[] = {{"MAIL", "-"}, {NULL, NULL}};
    struct fixture *f = *state;

    f->peer.rows = rows;
    f->sends = true;
    run(f);
    assert_slice_equal(buf_slice(&f->said), "rF");
    assert_non_null(strstr(f->why.text, "closed"));
    assert_int_equal(f->why.class, ERR_TEMP);
}

static void each_step_has_a_deadline(void **state)
{
    static const struct {
        const char *name;
        struct smtp_peer_row row;
        const char *said, *why;
    } rows[] = {
        {"greeting", {"", ""}, "F", "state greeting"},
        {"EHLO", {"EHLO", ""}, "F", "state hello"},
        {"RCPT", {"RCPT", ""}, "rmF", "state open"},
        {"DATA", {"DATA", ""}, "rmtF", "state data-asked"},
        {"dot", {".", ""}, "rmtdF", "state dotted"},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct smtp_peer_row script[] = {rows[i].row, {NULL, NULL}};
        struct fixture *f = *state;

        f->peer.rows = script;
        f->sends = true;
        *(i < 2     ? &f->setup.connect_timeout_ms
            : i < 4 ? &f->setup.reply_timeout_ms
                    : &f->setup.dot_timeout_ms) = 20;
        run(f);
        assert_row(rows[i].name, slice_eq(buf_slice(&f->said), slice_str(rows[i].said)));
        assert_row(rows[i].name, strstr(f->why.text, "timed out") != NULL);
        assert_row(rows[i].name, strstr(f->why.text, rows[i].why) != NULL);
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
    }
}

static void on_late(void *arg)
{
    (void)arg;
    fail_msg("the deadline moved");
}

/* Whatever we have said meanwhile.  The timers are on one loop, which runs them in their order, so
 * no load turns them round. */
static void one_time_until_ready(void **state)
{
    static const struct smtp_peer_row script[] = {{"EHLO", ""}, {NULL, NULL}};
    struct fixture *f = *state;
    struct loop_timer *late = loop_timer_new(f->loop, on_late, f);

    f->peer.rows = script;
    f->setup.connect_timeout_ms = 200;
    f->conn = smtp_conn_new(f->loop, &f->setup, &events, f, &f->why);
    assert_non_null(f->conn);
    loop_timer_start(late, 300);
    loop_run(f->loop);
    loop_timer_free(&late);
    assert_slice_equal(buf_slice(&f->said), "F");
    assert_non_null(strstr(f->why.text, "timed out"));
}

static void on_pause(void *arg)
{
    struct fixture *f = arg;

    loop_stop(f->loop);
}

static void waiting_for_the_owner_has_no_deadline(void **state)
{
    struct fixture *f = *state;
    struct loop_timer *pause = loop_timer_new(f->loop, on_pause, f);

    f->setup.reply_timeout_ms = 1;
    f->setup.connect_timeout_ms = 10000;
    f->stop_at = SMTP_CLIENT_READY;
    run(f);
    loop_timer_start(pause, 30);
    loop_run(f->loop);
    loop_timer_free(&pause);
    assert_slice_equal(buf_slice(&f->said), "r");
}

/* Content for a server that does not read waits with us, is counted, and leaves when it reads. */
static void slow_reader(void **state)
{
    struct fixture *f = *state;
    int small = 4096;

    assert_int_equal(setsockopt(f->peer.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    f->sends = true;
    f->n_lines = 45000;
    f->stop_at = SMTP_CLIENT_DATA_REPLY;
    run(f);
    assert_true(smtp_conn_unsent(f->conn) > 0);
    assert_int_equal(f->peer.messages, 0);
    stream_resume(f->peer.conns->stream);
    loop_run(f->loop);
    assert_slice_equal(buf_slice(&f->said), "rmtdD");
    assert_int_equal(smtp_conn_unsent(f->conn), 0);
    f->stop_at = SMTP_CLIENT_DOT_REPLY;
    loop_run(f->loop);
    assert_int_equal(f->peer.n_content, 45000 * 80 + 14);
}

static void a_server_that_never_reads(void **state)
{
    struct fixture *f = *state;
    int small = 4096;

    assert_int_equal(setsockopt(f->peer.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    f->sends = true;
    f->n_lines = 45000;
    f->setup.reply_timeout_ms = 20;
    run(f);
    assert_slice_equal(buf_slice(&f->said), "rmtdF");
    assert_non_null(strstr(f->why.text, "timed out"));
}

/* The tail of the content has no time of its own behind the client's dot. */
static void one_time_for_tail_and_answer(void **state)
{
    struct fixture *f = *state;
    int small = 4096;

    assert_int_equal(setsockopt(f->peer.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
    f->sends = f->has_ended = true;
    f->n_lines = 45000;
    f->setup.reply_timeout_ms = 1000000; /* the guard is nearer */
    f->setup.dot_timeout_ms = 20;
    run(f);
    assert_slice_equal(buf_slice(&f->said), "rmtdF");
    assert_non_null(strstr(f->why.text, "timed out"));
}

/* What comes while the end of the message waits with us: no acceptance, but a refusal.  So too when
 * the server closes behind it, and our writes fail before we have read it. */
static void an_answer_before_the_message(void **state)
{
    static const struct {
        const char *said;
        bool goes_away, is_secure;
        int code;
    } rows[] = {
        {"250 stored\r\n", false, false, 0},
        {"250 stored\r\n", true, false, 0},
        {"250 stored\r\n", true, true, 0},
        {"552 too big\r\n", false, false, 552},
        {"552 too big\r\n", true, false, 552},
        {"552 too big\r\n", false, true, 552},
        {"552 too big\r\n", true, true, 552},
        {"452 full\n", true, false, 452},
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture *f = *state;
        int small = 4096;

        assert_int_equal(setsockopt(f->peer.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        if (rows[i].is_secure)
            use_tls(f, CONF_TLS_VERIFY, "mail.test");
        f->sends = true;
        f->early = rows[i].said;
        f->goes_away = rows[i].goes_away;
        f->n_lines = 45000;
        f->free_at = SMTP_CLIENT_DOT_REPLY;
        run(f);
        assert_int_equal(f->early_code, rows[i].code);
        assert_slice_equal(buf_slice(&f->said), rows[i].code != 0 ? "rmtd." : "rmtdF");
        if (rows[i].code == 0)
            assert_non_null(strstr(f->why.text, "before it had the message: 250 stored"));
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
    }
}

static void freed_in_each_callback(void **state)
{
    static const enum smtp_client_kind kinds[] = {SMTP_CLIENT_READY, SMTP_CLIENT_MAIL_REPLY,
        SMTP_CLIENT_RCPT_REPLY, SMTP_CLIENT_DATA_REPLY, SMTP_CLIENT_DOT_REPLY,
        SMTP_CLIENT_QUIT_REPLY};

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct fixture *f = *state;

        f->sends = true;
        f->free_at = kinds[i];
        run(f);
        assert_null(f->conn);
        assert_int_equal(f->said.n, i + 1);
        assert_int_equal(tear_down(state), 0);
        assert_int_equal(set_up(state), 0);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(one_message),
        TEST(lmtp),
        TEST(starttls),
        TEST(tls_from_the_first_byte),
        TEST(wrong_name),
        TEST(encrypted_without_verification),
        TEST(loopback_may_be_plain),
        TEST(text_before_the_handshake_is_an_attack),
        TEST(tls_without_a_context),
        TEST(nobody_listens),
        TEST(closed_by_the_server),
        TEST(each_step_has_a_deadline),
        TEST(one_time_until_ready),
        TEST(waiting_for_the_owner_has_no_deadline),
        TEST(slow_reader),
        TEST(a_server_that_never_reads),
        TEST(one_time_for_tail_and_answer),
        TEST(an_answer_before_the_message),
        TEST(freed_in_each_callback),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
