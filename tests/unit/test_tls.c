/* SPDX-License-Identifier: ISC */
/* Both ends of TLS over stream, on one loop and a socketpair. */
#include <signal.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/os/stream.h"
#include "base/os/tls.h"
#include "tests/unit/certs.h"

static struct tmpdir dir;
static char fingerprint[96];
static struct tls_ctx *server_ctx;
static char ca_path[128], other_ca_path[128];

static struct tls_pin leaf_pin;

static void pin_save(const struct cert *c, const char *file, struct tls_pin *pin)
{
    unsigned char *der = NULL;
    struct err err = ERR_INIT;
    int n = i2d_PUBKEY(c->key, &der);

    assert_true(n > 0);
    tls_pin_of(slice_make(der, (size_t)n), pin);
    assert_int_equal(tls_pins_add(tmpdir_file(&dir, file), pin, "test", &err), 0);
    OPENSSL_free(der);
}

static int set_up(void **state)
{
    struct cert ca, other, leaf;
    struct err err = ERR_INIT;
    unsigned char digest[32];
    unsigned n = sizeof(digest);
    char cert_path[128];

    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    tmpdir_make(&dir);
    ca = cert_make("Test CA", NULL, NULL);
    other = cert_make("Other CA", NULL, NULL);
    leaf = cert_make("mail.example.org", "DNS:mail.example.org,IP:127.0.0.1", &ca);
    cert_save(&ca, &dir, "ca");
    cert_save(&other, &dir, "other");
    cert_save(&leaf, &dir, "leaf");
    assert_int_equal(X509_digest(leaf.x509, EVP_sha256(), digest, &n), 1);
    for (size_t i = 0; i < sizeof(digest); i++)
        assert_int_equal(fmt_into(fingerprint + 3 * i, sizeof(fingerprint) - 3 * i,
                             i < 31 ? "%02x:" : "%02x", digest[i]),
            0);
    pin_save(&leaf, "leaf.pins", &leaf_pin);
    struct tls_pin other_pin;
    pin_save(&other, "other.pins", &other_pin);
    cert_free(&leaf);
    cert_free(&other);
    cert_free(&ca);
    assert_int_equal(fmt_into(ca_path, sizeof(ca_path), "%s", tmpdir_file(&dir, "ca.crt")), 0);
    assert_int_equal(
        fmt_into(other_ca_path, sizeof(other_ca_path), "%s", tmpdir_file(&dir, "other.crt")), 0);
    assert_int_equal(
        fmt_into(cert_path, sizeof(cert_path), "%s", tmpdir_file(&dir, "leaf.crt")), 0);
    assert_int_equal(
        tls_ctx_server(cert_path, tmpdir_file(&dir, "leaf.key"), &server_ctx, &err), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tls_ctx_free(&server_ctx);
    tmpdir_remove(&dir);
    return 0;
}

/* --- Two ends ------------------------------------------------------------------- */

struct side {
    struct loop *loop;
    struct stream *s;
    struct buf got;
    struct err why;
    size_t stop_at;
    int *still_to_close;
    bool secured, closed, echo, starts_tls;
};

static size_t on_data(void *arg, struct slice in)
{
    struct side *e = arg;
    struct err err = ERR_INIT;

    assert_int_equal(buf_add(&e->got, in), 0);
    if (e->starts_tls) {
        /* "STARTTLS" and whatever was slipped in behind it came as one: only the first counts. */
        e->starts_tls = false;
        assert_int_equal(stream_write(e->s, SLICE_LIT("220 go")), 0);
        assert_int_equal(stream_start_tls(e->s, server_ctx, NULL, false, &err), 0);
        assert_int_equal(stream_write(e->s, SLICE_LIT("secret")), 0);
        buf_clear(&e->got);
        return 8;
    }
    if (e->echo)
        assert_int_equal(stream_write(e->s, in), 0);
    if (e->stop_at > 0 && e->got.n >= e->stop_at)
        loop_stop(e->loop);
    return in.n;
}

static void on_secured(void *arg)
{
    struct side *e = arg;

    e->secured = true;
    assert_non_null(stream_tls(e->s));
}

static void on_closed(void *arg, const struct err *why)
{
    struct side *e = arg;

    e->closed = true;
    e->why = *why;
    if (--*e->still_to_close == 0)
        loop_stop(e->loop);
}

static const struct stream_events events = {
    .data = on_data, .secured = on_secured, .closed = on_closed};

struct pair {
    struct loop *loop;
    struct loop_timer *guard;
    struct side client, server;
    struct tls_ctx *client_ctx;
    int raw, still_to_close;
};

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("nothing happened any more");
}

static void side_init(struct pair *p, struct side *e, int fd)
{
    e->loop = p->loop;
    e->still_to_close = &p->still_to_close;
    buf_init(&e->got, 8U << 20);
    e->s = stream_new_own(p->loop, fd, false, &events, e,
        (struct stream_limits){.in_max = 1000, .out_max = 8U << 20});
}

static void pair_begin(struct pair *p, bool raw_client)
{
    int fds[2];

    *p = (struct pair){.loop = loop_new(), .raw = -1, .still_to_close = 2};
    p->guard = loop_timer_new(p->loop, on_guard, p);
    loop_timer_start(p->guard, 30000);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    side_init(p, &p->server, fds[0]);
    if (raw_client)
        p->raw = fds[1];
    else
        side_init(p, &p->client, fds[1]);
}

static void pair_end(struct pair *p)
{
    stream_free(&p->client.s);
    stream_free(&p->server.s);
    buf_fini(&p->client.got);
    buf_fini(&p->server.got);
    tls_ctx_free(&p->client_ctx);
    loop_timer_free(&p->guard);
    loop_free(&p->loop);
    if (p->raw >= 0)
        close(p->raw);
}

static void pair_tls(struct pair *p, const struct conf_server *policy, const char *name)
{
    struct err err = ERR_INIT;

    pair_begin(p, false);
    assert_int_equal(tls_ctx_client(policy, &p->client_ctx, &err), 0);
    assert_int_equal(stream_start_tls(p->server.s, server_ctx, NULL, false, &err), 0);
    assert_int_equal(stream_start_tls(p->client.s, p->client_ctx, name, true, &err), 0);
    assert_null(stream_tls(p->client.s));
}

/* --- Tests ------------------------------------------------------------------------ */

static void test_policies(void **state)
{
    static const char wrong[] = "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:"
                                "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff";
    const struct {
        const char *label;
        enum conf_tls tls;
        const char *ca_file, *name, *print, *reason; /* reason NULL: works */
    } rows[] = {
        {"verified", CONF_TLS_VERIFY, ca_path, "mail.example.org", NULL, NULL},
        {"verified address", CONF_TLS_VERIFY, ca_path, "127.0.0.1", NULL, NULL},
        {"wrong name", CONF_TLS_VERIFY, ca_path, "mx.example.org", NULL, "hostname mismatch"},
        {"wrong address", CONF_TLS_VERIFY, ca_path, "127.0.0.2", NULL, "IP address mismatch"},
        {"unknown CA", CONF_TLS_VERIFY, other_ca_path, "mail.example.org", NULL, "unable to get"},
        {"system CAs", CONF_TLS_VERIFY, NULL, "mail.example.org", NULL, "unable to get"},
        {"encrypt", CONF_TLS_ENCRYPT, NULL, "mx.example.org", NULL, NULL},
        {"may", CONF_TLS_MAY, NULL, NULL, NULL, NULL},
        {"fingerprint", CONF_TLS_FINGERPRINT, NULL, "any.name", fingerprint, NULL},
        {"public key", CONF_TLS_PIN, NULL, "any.name", "leaf.pins", NULL},
        {"another key", CONF_TLS_PIN, NULL, "mail.example.org", "other.pins", "public key"},
        {"wrong print", CONF_TLS_FINGERPRINT, NULL, "mail.example.org", wrong, "fingerprint"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct conf_server policy = {.name = (char[]){"new"},
            .tls = rows[i].tls,
            .tls_ca_file = (char *)(uintptr_t)rows[i].ca_file,
            .tls_level = 1};
        struct pair p;
        char seen[96], pin_path[128];

        if (rows[i].tls == CONF_TLS_PIN) {
            assert_int_equal(
                fmt_into(pin_path, sizeof(pin_path), "%s", tmpdir_file(&dir, rows[i].print)), 0);
            policy.tls_pin_file = pin_path;
        } else {
            policy.tls_fingerprint = (char *)(uintptr_t)rows[i].print;
        }

        pair_tls(&p, &policy, rows[i].name);
        if (rows[i].reason == NULL) {
            p.server.echo = true;
            p.client.stop_at = 5;
            assert_int_equal(stream_write(p.client.s, SLICE_LIT("hello")), 0);
            loop_run(p.loop);
            assert_row(rows[i].label, p.client.secured && p.server.secured);
            assert_string_equal(buf_cstr(&p.client.got), "hello");
            assert_string_equal(tls_version(stream_tls(p.client.s)), "TLSv1.3");
            assert_row(rows[i].label, tls_cipher(stream_tls(p.client.s))[0] != '\0');
            tls_peer_fingerprint(stream_tls(p.client.s), seen);
            assert_string_equal(seen, fingerprint);
            struct tls_pin pin;
            assert_true(tls_peer_pin(stream_tls(p.client.s), &pin));
            assert_string_equal(pin.text, leaf_pin.text);
            assert_false(tls_peer_pin(stream_tls(p.server.s), &pin));
            struct tls_binding ours, theirs;
            assert_true(tls_binding(stream_tls(p.client.s), &ours));
            assert_true(tls_binding(stream_tls(p.server.s), &theirs));
            assert_true(ours.is_exporter && ours.n == 32);
            assert_memory_equal(ours.octets, theirs.octets, 32);
            tls_peer_fingerprint(stream_tls(p.server.s), seen);
            assert_string_equal(seen, "");
        } else {
            loop_run(p.loop);
            assert_row(rows[i].label, !p.client.secured && p.client.closed);
            assert_row(rows[i].label, p.client.why.class == ERR_PEER);
            if (strstr(p.client.why.text, rows[i].reason) == NULL)
                fail_msg("row '%s': %s", rows[i].label, p.client.why.text);
        }
        pair_end(&p);
    }
}

static void test_large_transfer(void **state)
{
    static unsigned char block[100003];
    struct conf_server policy = {.tls = CONF_TLS_ENCRYPT, .tls_level = 1};
    struct pair p;
    size_t total = 20 * sizeof(block);

    (void)state;
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (unsigned char)(i * 13 >> 2);
    pair_tls(&p, &policy, "x");
    p.server.echo = true;
    p.client.stop_at = total;
    for (int i = 0; i < 20; i++)
        assert_int_equal(stream_write(p.client.s, slice_make(block, sizeof(block))), 0);
    loop_run(p.loop);
    assert_int_equal(p.client.got.n, total);
    for (size_t i = 0; i < total; i += sizeof(block))
        assert_memory_equal(buf_slice(&p.client.got).p + i, block, sizeof(block));
    /* A goodbye in order: both sides see a clean end. */
    stream_finish(p.client.s);
    loop_run(p.loop);
    assert_true(p.client.closed && p.server.closed);
    assert_int_equal(p.client.why.class, ERR_NONE);
    assert_int_equal(p.server.why.class, ERR_NONE);
    pair_end(&p);
}

/* CVE-2011-0411 and its kin: a command behind STARTTLS must not be taken for one from inside. */
static void test_plain_text_before_tls_is_thrown_away(void **state)
{
    struct conf_server policy = {.tls = CONF_TLS_ENCRYPT, .tls_level = 1};
    struct err err = ERR_INIT;
    struct pair p;
    char in[16];
    struct side client = {0};

    (void)state;
    pair_begin(&p, true);
    p.server.starts_tls = true;
    p.server.stop_at = 2;
    assert_int_equal(write(p.raw, "STARTTLSMAIL FROM:<evil>", 24), 24);
    /* The answer leaves in the clear, what was written behind it does not. */
    struct loop_timer *step = loop_timer_new(p.loop, (void (*)(void *))loop_stop, p.loop);
    loop_timer_start(step, 1);
    while (p.server.starts_tls)
        loop_run(p.loop);
    assert_int_equal(recv(p.raw, in, sizeof(in), 0), 6);
    assert_memory_equal(in, "220 go", 6);
    loop_timer_free(&step);
    side_init(&p, &client, p.raw);
    p.client = client;
    p.raw = -1;
    stream_free(&p.client.s);
    pair_end(&p);

    /* The same with a client that behaves: the secret arrives inside. */
    pair_begin(&p, false);
    p.server.starts_tls = true;
    assert_int_equal(tls_ctx_client(&policy, &p.client_ctx, &err), 0);
    assert_int_equal(stream_write(p.client.s, SLICE_LIT("STARTTLS")), 0);
    p.client.stop_at = 6;
    loop_run(p.loop);
    assert_string_equal(buf_cstr(&p.client.got), "220 go");
    buf_clear(&p.client.got);
    assert_int_equal(stream_start_tls(p.client.s, p.client_ctx, "x", true, &err), 0);
    loop_run(p.loop);
    assert_string_equal(buf_cstr(&p.client.got), "secret");
    assert_int_equal(p.server.got.n, 0);
    pair_end(&p);
}

static void test_plain_peer(void **state)
{
    struct err err = ERR_INIT;
    struct pair p;

    (void)state;
    pair_begin(&p, true);
    p.still_to_close = 1;
    assert_int_equal(stream_start_tls(p.server.s, server_ctx, NULL, false, &err), 0);
    assert_int_equal(write(p.raw, "EHLO not.tls\r\n", 14), 14);
    loop_run(p.loop);
    assert_true(p.server.closed && !p.server.secured);
    assert_int_equal(p.server.why.class, ERR_PEER);
    pair_end(&p);

    pair_begin(&p, true);
    p.still_to_close = 1;
    assert_int_equal(stream_start_tls(p.server.s, server_ctx, NULL, false, &err), 0);
    close(p.raw);
    p.raw = -1;
    loop_run(p.loop);
    assert_true(p.server.closed);
    assert_int_not_equal(p.server.why.class, ERR_NONE);
    pair_end(&p);
}

static void test_minimum_version(void **state)
{
    struct conf_server policy = {.name = (char[]){"old"}, .tls = CONF_TLS_ENCRYPT, .tls_level = 1};
    static const char *const good[] = {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"};
    struct tls_ctx *ctx;
    struct err err = ERR_INIT;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        policy.tls_min = (char *)(uintptr_t)good[i];
        assert_int_equal(tls_ctx_client(&policy, &ctx, &err), 0);
        tls_ctx_free(&ctx);
    }
    policy.tls_min = (char[]){"SSLv3"};
    assert_int_equal(tls_ctx_client(&policy, &ctx, &err), -1);
    assert_int_equal(err.code, EX_CONFIG);
}

static void test_bad_settings(void **state)
{
    struct conf_server policy = {.name = (char[]){"new"}, .tls = CONF_TLS_VERIFY, .tls_level = 1};
    struct tls_ctx *ctx = NULL;
    struct tls *t;
    struct err err = ERR_INIT;
    char cert[128];

    (void)state;
    assert_int_equal(fmt_into(cert, sizeof(cert), "%s", tmpdir_file(&dir, "leaf.crt")), 0);
    assert_int_equal(tls_ctx_server("/nonexistent", tmpdir_file(&dir, "leaf.key"), &ctx, &err), -1);
    assert_int_equal(tls_ctx_server(cert, "/nonexistent", &ctx, &err), -1);
    assert_int_equal(tls_ctx_server(cert, tmpdir_file(&dir, "other.key"), &ctx, &err), -1);
    assert_non_null(strstr(err.text, "does not fit"));
    assert_int_equal(chmod(tmpdir_file(&dir, "other.key"), 0644), 0);
    assert_int_equal(tls_ctx_server(cert, dir.name, &ctx, &err), -1);
    assert_int_equal(err.code, EX_NOPERM);
    policy.tls_ca_file = (char[]){"/nonexistent"};
    assert_int_equal(tls_ctx_client(&policy, &ctx, &err), -1);
    policy.tls_ca_file = NULL;
    assert_int_equal(tls_ctx_client(&policy, &ctx, &err), 0);
    assert_int_equal(tls_new(ctx, 0, NULL, &t, &err), -1);
    tls_ctx_free(&ctx);
    policy.tls = CONF_TLS_FINGERPRINT;
    assert_int_equal(tls_ctx_client(&policy, &ctx, &err), -1);
    policy.tls_fingerprint = (char[]){"00:11"};
    assert_int_equal(tls_ctx_client(&policy, &ctx, &err), -1);
    tls_ctx_free(&ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_large_transfer),
        cmocka_unit_test(test_plain_text_before_tls_is_thrown_away),
        cmocka_unit_test(test_plain_peer),
        cmocka_unit_test(test_minimum_version),
        cmocka_unit_test(test_bad_settings),
    };

    return cmocka_run_group_tests_name("tls", tests, set_up, tear_down);
}
