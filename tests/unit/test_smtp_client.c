/* SPDX-License-Identifier: ISC */
/*
 * Dialogues with the client engine, written as scripts:
 *     < text    the server sends a line; several in a row arrive in one piece
 *     > text    the client has sent exactly these lines so far
 *     = KIND    the events so far, with the code of the reply
 *     ! verb    the owner acts
 * Each script runs with whole pieces and byte by byte.
 */
#include "base/mail/smtp_client.h"
#include "tests/unit/unit.h"

static const char *const kind_names[] = {
    "MORE", "READY", "STARTTLS", "MAIL", "RCPT", "DATA", "DOT", "RSET", "QUIT", "FAILED"};

struct run {
    const char *name;
    struct smtp_client client;
    struct buf events, sent, in;
};

static void flush(struct run *r)
{
    struct slice out;

    while ((out = smtp_client_output(&r->client)).n > 0) {
        assert_int_equal(buf_add(&r->sent, out), 0);
        smtp_client_sent(&r->client, out.n);
    }
}

static void feed(struct run *r, struct slice in)
{
    struct smtp_client_event ev;
    size_t used;

    while (smtp_client_feed(&r->client, in, &used, &ev) != SMTP_CLIENT_MORE) {
        in = slice_from(in, used);
        assert_int_equal(buf_addf(&r->events, " %s", kind_names[ev.kind]), 0);
        if (ev.reply && ev.kind != SMTP_CLIENT_FAILED)
            assert_int_equal(buf_addf(&r->events, "%d%s", ev.reply->code,
                                 ev.kind == SMTP_CLIENT_DOT_REPLY && !ev.is_last ? "+" : ""),
                0);
        if (ev.kind == SMTP_CLIENT_FAILED) {
            assert_non_null(ev.err);
            assert_true(ev.err->text[0] != '\0');
        }
        /* As an owner does: content and dot follow 354 at once. */
        if (ev.kind == SMTP_CLIENT_DATA_REPLY && ev.reply->code == 354)
            assert_int_equal(smtp_client_dot(&r->client), 0);
    }
    assert_int_equal(used, in.n);
    flush(r);
}

static void feed_pending(struct run *r, bool bytewise)
{
    struct slice in = buf_slice(&r->in);

    if (bytewise)
        for (size_t i = 0; i < in.n; i++)
            feed(r, slice_sub(in, i, 1));
    else if (in.n > 0)
        feed(r, in);
    buf_clear(&r->in);
}

static void act(struct run *r, struct slice verb)
{
    struct smtp_client *c = &r->client;
    int rc = -1;

    if (slice_eq(verb, SLICE_LIT("mail")))
        rc = smtp_client_mail(c, SLICE_LIT("s@example.org"), 1000, true);
    else if (slice_eq(verb, SLICE_LIT("null")))
        rc = smtp_client_mail(c, SLICE_NONE, 0, false);
    else if (slice_eq(verb, SLICE_LIT("rcpt")))
        rc = smtp_client_rcpt(c, SLICE_LIT("r@example.org"));
    else if (slice_eq(verb, SLICE_LIT("data")))
        rc = smtp_client_data(c);
    else if (slice_eq(verb, SLICE_LIT("content")))
        rc = buf_add_str(smtp_client_content(c), "x\r\n");
    else if (slice_eq(verb, SLICE_LIT("rset")))
        rc = smtp_client_rset(c);
    else if (slice_eq(verb, SLICE_LIT("quit")))
        rc = smtp_client_quit(c);
    else if (slice_eq(verb, SLICE_LIT("secured"))) {
        smtp_client_secured(c);
        rc = 0;
    }
    assert_row(r->name, rc == 0);
    flush(r);
}

static void run(
    const char *name, struct smtp_client_options options, const char *script, bool bytewise)
{
    struct run r = {.name = name};
    struct slice rest = slice_str(script), line;

    options.hello_name = "me.example.org";
    smtp_client_init(&r.client, &options);
    buf_init(&r.events, 10000);
    buf_init(&r.sent, 10000);
    buf_init(&r.in, 10000);
    while (slice_split(&rest, '\n', &line)) {
        struct slice text = slice_from(line, 2);
        if (line.n == 0)
            continue;
        if (line.p[0] == '<') {
            assert_int_equal(buf_add(&r.in, text), 0);
            assert_int_equal(buf_add_str(&r.in, "\r\n"), 0);
            continue;
        }
        feed_pending(&r, bytewise);
        if (line.p[0] == '!') {
            act(&r, text);
        } else if (line.p[0] == '>') {
            struct slice got = buf_slice(&r.sent);
            ptrdiff_t lf = slice_find(got, '\n');
            if (lf < 1 || !slice_eq(slice_sub(got, 0, (size_t)lf - 1), text))
                fail_msg("'%s': expected %.*s, sent %s", name, SLICE_ARG(text), buf_cstr(&r.sent));
            buf_consume(&r.sent, (size_t)lf + 1);
        } else {
            struct slice got = slice_trim(buf_slice(&r.events));
            if (!slice_eq(got, text))
                fail_msg("'%s': expected %.*s, events %.*s", name, SLICE_ARG(text), SLICE_ARG(got));
            buf_clear(&r.events);
        }
    }
    feed_pending(&r, bytewise);
    if (r.sent.n > 0 || r.events.n > 0)
        fail_msg("'%s': sent %s, events %s", name, buf_cstr(&r.sent), buf_cstr(&r.events));
    smtp_client_fini(&r.client);
    buf_fini(&r.events);
    buf_fini(&r.sent);
    buf_fini(&r.in);
}

#define OPEN                                                                                       \
    "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250-PIPELINING\n< 250-size 5000\n"               \
    "< 250 8bitmime\n= READY\n"
#define OPEN_PLAIN "< 220 hi\n> EHLO me.example.org\n< 250 hi\n= READY\n"
#define OPEN_LMTP "< 220 hi\n> LHLO me.example.org\n< 250-hi\n< 250 PIPELINING\n= READY\n"
#define SEND                                                                                       \
    "! mail\n! rcpt\n> MAIL FROM:<s@example.org> SIZE=1000 BODY=8BITMIME\n"                        \
    "> RCPT TO:<r@example.org>\n< 250 ok\n< 250 ok\n= MAIL250 RCPT250\n"                           \
    "! data\n> DATA\n! content\n"

static const struct script {
    const char *name;
    struct smtp_client_options options;
    bool whole_only; /* a server that answers ahead is seen when it does so in one piece */
    const char *text;
} scripts[] = {
    {"one message", {0}, false,
        OPEN SEND "< 354 go\n= DATA354\n> x\n> .\n< 250 kept\n= DOT250\n"
                  "! null\n> MAIL FROM:<>\n< 250 ok\n= MAIL250\n"},
    {"no pipelining, no size", {0}, false,
        OPEN_PLAIN "! mail\n! rcpt\n! rcpt\n! data\n> MAIL FROM:<s@example.org>\n"
                   "< 250 ok\n= MAIL250\n> RCPT TO:<r@example.org>\n< 250 ok\n= RCPT250\n"
                   "> RCPT TO:<r@example.org>\n< 450 later\n= RCPT450\n> DATA\n"
                   "! content\n< 354 go\n= DATA354\n> x\n> .\n< 550 no\n= DOT550\n"},
    {"multi-line greeting", {0}, false, "< 220-a\n< 220 b\n> EHLO me.example.org\n"},
    {"HELO", {0}, false,
        "< 220 hi\n> EHLO me.example.org\n< 502 what\n> HELO me.example.org\n< 250 hi\n= READY\n"},
    {"HELO refused", {0}, false,
        "< 220 hi\n> EHLO me.example.org\n< 502 what\n> HELO me.example.org\n< 550 no\n= FAILED\n"},
    {"EHLO later", {0}, false, "< 220 hi\n> EHLO me.example.org\n< 450 busy\n= FAILED\n"},
    {"no HELO where TLS is a must", {.tls = SMTP_CLIENT_TLS_MUST}, false,
        "< 220 hi\n> EHLO me.example.org\n< 502 what\n= FAILED\n"},
    {"no HELO in LMTP", {.is_lmtp = true}, false,
        "< 220 hi\n> LHLO me.example.org\n< 502 what\n= FAILED\n"},
    {"greeting 554", {0}, false, "< 554 no service\n= FAILED\n"},
    {"greeting 421", {0}, false, "< 421 busy\n= FAILED\n"},
    {"greeting 250", {0}, false, "< 250 hi\n= FAILED\n"},
    {"greeting 354", {0}, false, "< 354 hi\n= FAILED\n"},
    {"greeting garbage", {0}, false, "< SSH-2.0-x\n= FAILED\n"},
    {"TLS", {.tls = SMTP_CLIENT_TLS_MUST}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 220 go\n"
        "= STARTTLS\n! secured\n> EHLO me.example.org\n< 250 STARTTLS\n= READY\n"},
    {"TLS may", {.tls = SMTP_CLIENT_TLS_MAY}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 220 go\n"
        "= STARTTLS\n"},
    {"TLS may, not offered", {.tls = SMTP_CLIENT_TLS_MAY}, false, OPEN_PLAIN},
    {"TLS may, refused", {.tls = SMTP_CLIENT_TLS_MAY}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 454 not now\n"
        "= READY\n"},
    {"TLS not offered", {.tls = SMTP_CLIENT_TLS_MUST}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250 hi\n= FAILED\n"},
    {"TLS in the greeting line only", {.tls = SMTP_CLIENT_TLS_MUST}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250 STARTTLS\n= FAILED\n"},
    {"TLS refused 454", {.tls = SMTP_CLIENT_TLS_MUST}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 454 no\n"
        "= FAILED\n"},
    {"TLS answered 250", {.tls = SMTP_CLIENT_TLS_MUST}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 250 go\n"
        "= FAILED\n"},
    {"text injected before the handshake", {.tls = SMTP_CLIENT_TLS_MAY}, true,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 220 go\n"
        "< 250 injected\n= FAILED\n"},
    {"TLS from the start", {.tls = SMTP_CLIENT_TLS_MUST, .is_secure = true}, false, OPEN_PLAIN},
    {"LMTP answers each", {.is_lmtp = true}, false,
        OPEN_LMTP "! null\n! rcpt\n! rcpt\n! rcpt\n> MAIL FROM:<>\n> RCPT TO:<r@example.org>\n"
                  "> RCPT TO:<r@example.org>\n> RCPT TO:<r@example.org>\n"
                  "< 250 ok\n< 250 ok\n< 550 no\n< 250 ok\n= MAIL250 RCPT250 RCPT550 RCPT250\n"
                  "! data\n> DATA\n! content\n< 354 go\n= DATA354\n> x\n> .\n"
                  "< 250 kept\n= DOT250+\n< 452 full\n= DOT452\n! quit\n> QUIT\n< 221 bye\n"
                  "= QUIT221\n"},
    {"RSET", {0}, false,
        OPEN "! mail\n! rset\n> MAIL FROM:<s@example.org> SIZE=1000 BODY=8BITMIME\n"
             "> RSET\n< 250 ok\n< 250 ok\n= MAIL250 RSET250\n"},
    {"RSET refused", {0}, false, OPEN "! rset\n> RSET\n< 500 what\n= FAILED\n"},
    {"421 to MAIL", {0}, false, OPEN "! null\n> MAIL FROM:<>\n< 421 closing\n= FAILED\n"},
    {"354 to MAIL", {0}, false, OPEN "! null\n> MAIL FROM:<>\n< 354 go\n= FAILED\n"},
    {"354 to RCPT", {0}, false,
        OPEN "! null\n! rcpt\n> MAIL FROM:<>\n> RCPT TO:<r@example.org>\n< 250 ok\n< 354 go\n"
             "= MAIL250 FAILED\n"},
    {"250 to DATA", {0}, false, OPEN SEND "< 250 fine\n= FAILED\n"},
    {"451 to DATA", {0}, false, OPEN SEND "< 451 later\n= DATA451\n! null\n> MAIL FROM:<>\n"},
    {"354 without a recipient", {0}, false,
        OPEN "! null\n! rcpt\n! data\n> MAIL FROM:<>\n> RCPT TO:<r@example.org>\n> DATA\n< 250 ok\n"
             "< 550 no\n< 354 go\n= MAIL250 RCPT550 FAILED\n"},
    {"354 to the dot", {0}, false, OPEN SEND "< 354 go\n= DATA354\n> x\n> .\n< 354 go\n= FAILED\n"},
    {"421 to the dot", {0}, false,
        OPEN SEND "< 354 go\n= DATA354\n> x\n> .\n< 421 bye\n= DOT421\n"},
    {"250 ahead of the dot", {0}, true, OPEN SEND "< 354 go\n< 250 kept\n= DATA354 FAILED\n"},
    {"all replies at once", {0}, true,
        "< 220 hi\n< 250 hi\n< 250 ok\n< 250 ok\n< 354 go\n< 250 kept\n= FAILED\n"},
    {"a reply out of nowhere", {0}, false, OPEN "< 250 ok\n= FAILED\n"},
    {"421 when idle", {0}, false, OPEN "< 421 bye\n= FAILED\n"},
    {"garbage for a reply", {0}, false, OPEN "! null\n> MAIL FROM:<>\n< ok\n= FAILED\n"},
};

static void test_scripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        run(scripts[i].name, scripts[i].options, scripts[i].text, false);
        if (!scripts[i].whole_only)
            run(scripts[i].name, scripts[i].options, scripts[i].text, true);
    }
}

static void open_client(struct smtp_client *c, bool is_lmtp)
{
    struct smtp_client_options options = {.hello_name = "me", .is_lmtp = is_lmtp};
    struct smtp_client_event ev;
    struct slice all[] = {SLICE_LIT("220 hi\r\n"), SLICE_LIT("250-hi\r\n250-SIZE 77\r\n"
                                                             "250 PIPELINING\r\n")};
    size_t used;

    smtp_client_init(c, &options);
    assert_int_equal(smtp_client_feed(c, all[0], &used, &ev), SMTP_CLIENT_MORE);
    smtp_client_sent(c, smtp_client_output(c).n);
    assert_int_equal(smtp_client_feed(c, all[1], &used, &ev), SMTP_CLIENT_READY);
    assert_true(smtp_client_is_idle(c));
    assert_int_equal(c->size_max, 77);
}

static void test_pending_limit(void **state)
{
    struct smtp_client c;

    (void)state;
    open_client(&c, false);
    assert_int_equal(smtp_client_mail(&c, SLICE_NONE, 0, false), 0);
    for (size_t i = 1; i < SMTP_CLIENT_PENDING_MAX; i++)
        assert_int_equal(smtp_client_rcpt(&c, SLICE_LIT("r@example.org")), 0);
    assert_int_equal(smtp_client_rcpt(&c, SLICE_LIT("r@example.org")), -1);
    assert_false(smtp_client_is_idle(&c));
    smtp_client_fini(&c);
}

static void test_lmtp_limit(void **state)
{
    struct smtp_client c;

    (void)state;
    open_client(&c, true);
    assert_int_equal(smtp_client_mail(&c, SLICE_NONE, 0, false), 0);
    for (size_t i = 0; i < SMTP_CLIENT_LMTP_RCPTS_MAX; i++)
        assert_int_equal(smtp_client_rcpt(&c, SLICE_LIT("r@example.org")), 0);
    assert_int_equal(smtp_client_rcpt(&c, SLICE_LIT("r@example.org")), -1);
    smtp_client_fini(&c);
}

static void test_paths(void **state)
{
    static const struct {
        const char *path;
        int rc;
    } rows[] = {
        {"a@b", 0},
        {"\"a b\"@c", 0},
        {"\"a>b\"@c", 0},
        {"\"a\\\"b\"@c", 0},
        {"", -1},
        {"a b@c", -1},
        {"a>@c", -1},
        {"<a@c", -1},
        {"a@c\r\nDATA", -1},
        {"a@c\n", -1},
        {"\"a@c", -1},
        {"\"a\\", -1},
        {"\xc3\xa4@c", -1},
        {"a\x7f@c", -1},
    };
    char longest[SMTP_CLIENT_PATH_MAX + 1];
    struct smtp_client c;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        open_client(&c, false);
        assert_row(rows[i].path, smtp_client_rcpt(&c, slice_str(rows[i].path)) == rows[i].rc);
        smtp_client_fini(&c);
    }
    memset(longest, 'a', sizeof(longest));
    open_client(&c, false);
    assert_int_equal(smtp_client_rcpt(&c, slice_make("a\0b", 3)), -1);
    assert_int_equal(smtp_client_rcpt(&c, slice_make(longest, sizeof(longest) - 2)), 0);
    assert_int_equal(smtp_client_rcpt(&c, slice_make(longest, sizeof(longest) - 1)), 0);
    assert_int_equal(smtp_client_rcpt(&c, slice_make(longest, sizeof(longest))), -1);
    smtp_client_fini(&c);
}

/* A command in the wrong state is refused, nothing is sent. */
static void test_states(void **state)
{
    struct smtp_client_options options = {.hello_name = "me"};
    struct smtp_client c;

    (void)state;
    smtp_client_init(&c, &options);
    assert_int_equal(smtp_client_mail(&c, SLICE_NONE, 0, false), -1);
    assert_int_equal(smtp_client_rcpt(&c, SLICE_LIT("a@b")), -1);
    assert_int_equal(smtp_client_data(&c), -1);
    assert_int_equal(smtp_client_rset(&c), -1);
    assert_int_equal(smtp_client_quit(&c), -1);
    assert_int_equal(smtp_client_output(&c).n, 0);
    assert_string_equal(smtp_client_state_name(c.state), "greeting");
    smtp_client_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_pending_limit),
        cmocka_unit_test(test_lmtp_limit),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
