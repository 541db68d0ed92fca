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
    bool is_slow;  /* the dot does not follow 354 at once */
    bool is_stuck; /* nothing leaves any more */
};

static void flush(struct run *r)
{
    struct slice out;

    while ((out = smtp_client_output(&r->client)).n > 0) {
        if (!r->is_stuck)
            assert_int_equal(buf_add(&r->sent, out), 0);
        smtp_client_sent(&r->client, out.n);
    }
}

static void feed(struct run *r, struct slice in)
{
    struct smtp_client_event ev;
    size_t used;

    smtp_client_stuck(&r->client, r->is_stuck);
    while (smtp_client_feed(&r->client, in, &used, &ev) != SMTP_CLIENT_MORE) {
        in = slice_from(in, used);
        assert_int_equal(buf_addf(&r->events, " %s", kind_names[ev.kind]), 0);
        if (ev.reply && ev.kind != SMTP_CLIENT_FAILED)
            assert_int_equal(buf_addf(&r->events, "%d%s", ev.reply->code,
                                 ev.is_early                                       ? "!"
                                 : ev.kind == SMTP_CLIENT_DOT_REPLY && !ev.is_last ? "+"
                                                                                   : ""),
                0);
        if (ev.is_early)
            assert_true(ev.is_last && r->client.state == SMTP_CLIENT_DEAD);
        if (ev.kind == SMTP_CLIENT_FAILED) {
            assert_non_null(ev.err);
            assert_true(ev.err->text[0] != '\0');
        }
        /* As an owner does: content and dot follow 354 at once. */
        if (ev.kind == SMTP_CLIENT_DATA_REPLY && ev.reply->code == 354 && !r->is_slow)
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
    else if (slice_eq(verb, SLICE_LIT("dot")))
        rc = smtp_client_dot(c);
    else if (slice_eq(verb, SLICE_LIT("slow"))) {
        r->is_slow = true;
        rc = 0;
    } else if (slice_eq(verb, SLICE_LIT("stuck"))) {
        r->is_stuck = true;
        rc = 0;
    } else if (slice_eq(verb, SLICE_LIT("rset")))
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
    {"pipelining switched off", {.never_pipelines = true}, false,
        OPEN "! mail\n! rcpt\n> MAIL FROM:<s@example.org> SIZE=1000 BODY=8BITMIME\n< 250 ok\n"
             "= MAIL250\n> RCPT TO:<r@example.org>\n"},
    {"multi-line greeting", {0}, false, "< 220-a\n< 220 b\n> EHLO me.example.org\n"},
    {"HELO", {0}, false,
        "< 220 hi\n> EHLO me.example.org\n< 502 what\n> HELO me.example.org\n< 250 hi\n= READY\n"},
    {"HELO refused", {0}, false,
        "< 220 hi\n> EHLO me.example.org\n< 502 what\n> HELO me.example.org\n< 550 no\n= FAILED\n"},
    {"EHLO later", {0}, false, "< 220 hi\n> EHLO me.example.org\n< 450 busy\n= FAILED\n"},
    {"no HELO where TLS is a must", {.tls = {.policy = CONF_TLS_VERIFY}}, false,
        "< 220 hi\n> EHLO me.example.org\n< 502 what\n= FAILED\n"},
    {"no HELO in LMTP", {.is_lmtp = true}, false,
        "< 220 hi\n> LHLO me.example.org\n< 502 what\n= FAILED\n"},
    {"greeting 554", {0}, false, "< 554 no service\n= FAILED\n"},
    {"greeting 421", {0}, false, "< 421 busy\n= FAILED\n"},
    {"greeting 250", {0}, false, "< 250 hi\n= FAILED\n"},
    {"greeting 354", {0}, false, "< 354 hi\n= FAILED\n"},
    {"greeting garbage", {0}, false, "< SSH-2.0-x\n= FAILED\n"},
    {"TLS", {.tls = {.policy = CONF_TLS_VERIFY}}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 220 go\n"
        "= STARTTLS\n! secured\n> EHLO me.example.org\n< 250 STARTTLS\n= READY\n"},
    {"TLS may", {.tls = {.policy = CONF_TLS_MAY}}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 220 go\n"
        "= STARTTLS\n"},
    {"TLS may, not offered", {.tls = {.policy = CONF_TLS_MAY}}, false, OPEN_PLAIN},
    {"TLS may, refused", {.tls = {.policy = CONF_TLS_MAY}}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 454 not now\n"
        "= READY\n"},
    {"TLS not offered", {.tls = {.policy = CONF_TLS_VERIFY}}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250 hi\n= FAILED\n"},
    {"TLS in the greeting line only", {.tls = {.policy = CONF_TLS_VERIFY}}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250 STARTTLS\n= FAILED\n"},
    {"TLS refused 454", {.tls = {.policy = CONF_TLS_VERIFY}}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 454 no\n"
        "= FAILED\n"},
    {"TLS answered 250", {.tls = {.policy = CONF_TLS_VERIFY}}, false,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 250 go\n"
        "= FAILED\n"},
    {"text injected before the handshake", {.tls = {.policy = CONF_TLS_MAY}}, true,
        "< 220 hi\n> EHLO me.example.org\n< 250-hi\n< 250 STARTTLS\n> STARTTLS\n< 220 go\n"
        "< 250 injected\n= FAILED\n"},
    {"TLS from the start", {.tls = {.policy = CONF_TLS_VERIFY, .is_implicit = true}}, false,
        OPEN_PLAIN},
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
    {"552 while content is sent", {0}, false,
        OPEN SEND "! slow\n< 354 go\n= DATA354\n> x\n! content\n> x\n< 552-5.3.4 too\n"
                  "< 552 5.3.4 big\n= DOT552!\n"},
    {"552 with the 354", {0}, true, OPEN SEND "! slow\n< 354 go\n< 552 no\n= DATA354 DOT552!\n"},
    {"452 while content is sent", {0}, false,
        OPEN SEND "! slow\n< 354 go\n= DATA354\n> x\n< 452 full\n= DOT452!\n"},
    {"421 while content is sent", {0}, false,
        OPEN SEND "! slow\n< 354 go\n= DATA354\n> x\n< 421 bye\n= DOT421!\n"},
    {"250 while content is sent", {0}, false,
        OPEN SEND "! slow\n< 354 go\n= DATA354\n> x\n< 250 stored\n= FAILED\n"},
    {"354 while content is sent", {0}, false,
        OPEN SEND "! slow\n< 354 go\n= DATA354\n> x\n< 354 go\n= FAILED\n"},
    {"junk while content is sent", {0}, false,
        OPEN SEND "! slow\n< 354 go\n= DATA354\n> x\n< junk\n= FAILED\n"},
    {"552 while the end waits to leave", {0}, false,
        OPEN SEND "! slow\n< 354 go\n= DATA354\n> x\n! stuck\n! content\n! dot\n< 552 no\n"
                  "= DOT552!\n"},
    {"250 while the end waits to leave", {0}, false,
        OPEN SEND "! slow\n< 354 go\n= DATA354\n> x\n! stuck\n! content\n! dot\n< 250 ok\n"
                  "= FAILED\n"},
    {"LMTP, 552 while content is sent, for all", {.is_lmtp = true}, false,
        OPEN_LMTP "! null\n! rcpt\n! rcpt\n> MAIL FROM:<>\n> RCPT TO:<r@example.org>\n"
                  "> RCPT TO:<r@example.org>\n< 250 ok\n< 250 ok\n< 250 ok\n"
                  "= MAIL250 RCPT250 RCPT250\n! data\n> DATA\n! slow\n< 354 go\n= DATA354\n"
                  "< 552 no\n= DOT552!\n"},
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

/* A client at the stage that a script leads to, which stays open. */
static void reach(struct smtp_client *c, bool is_lmtp, size_t n_rcpts)
{
    static const char *const replies[] = {"250 ok\r\n", "354 go\r\n"};
    struct smtp_client_event ev;
    size_t used;

    open_client(c, is_lmtp);
    assert_int_equal(smtp_client_mail(c, SLICE_NONE, 0, false), 0);
    for (size_t i = 0; i < n_rcpts; i++)
        assert_int_equal(smtp_client_rcpt(c, SLICE_LIT("r@example.org")), 0);
    assert_int_equal(smtp_client_data(c), 0);
    smtp_client_sent(c, smtp_client_output(c).n);
    for (size_t i = 0; i < n_rcpts + 2; i++)
        assert_int_not_equal(smtp_client_feed(c, slice_str(replies[i == n_rcpts + 1]), &used, &ev),
            SMTP_CLIENT_MORE);
    assert_int_equal(smtp_client_dot(c), 0);
    smtp_client_sent(c, smtp_client_output(c).n);
}

/* A reply that goes over a limit: to the dot its code counts, and then the connection has served.
 */
static void test_reply_over_the_limit(void **state)
{
    static const char *const codes[] = {"250 ", "550 ", "250-"};
    struct buf in;

    (void)state;
    buf_init(&in, 20000);
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        for (size_t step = 1; step <= 20000; step += 19999) {
            struct smtp_client c;
            struct smtp_client_event ev;
            size_t used, at = 0;

            buf_clear(&in);
            assert_int_equal(buf_add_str(&in, codes[i]), 0);
            while (in.n <= SMTP_REPLY_LINE_MAX)
                assert_int_equal(buf_add_byte(&in, 'x'), 0);
            assert_int_equal(buf_add_str(&in, "x\r\n250 other\r\n"), 0);
            reach(&c, false, 1);
            do {
                smtp_client_feed(&c, slice_sub(buf_slice(&in), at, step), &used, &ev);
                at += used;
            } while (ev.kind == SMTP_CLIENT_MORE);
            assert_int_equal(ev.kind, SMTP_CLIENT_DOT_REPLY);
            assert_true(ev.is_last && !ev.is_early);
            assert_int_equal(ev.reply->code, i == 1 ? 550 : 250);
            assert_int_equal(c.state, SMTP_CLIENT_DEAD);
            smtp_client_fini(&c);

            /* With LMTP the replies behind it cannot be told from its rest. */
            reach(&c, true, 2);
            assert_int_equal(
                smtp_client_feed(&c, buf_slice(&in), &used, &ev), SMTP_CLIENT_DOT_REPLY);
            assert_false(ev.is_last);
            assert_int_equal(smtp_client_feed(&c, slice_from(buf_slice(&in), used), &used, &ev),
                SMTP_CLIENT_FAILED);
            smtp_client_fini(&c);

            /* Elsewhere it is no reply. */
            open_client(&c, false);
            assert_int_equal(smtp_client_mail(&c, SLICE_NONE, 0, false), 0);
            smtp_client_sent(&c, smtp_client_output(&c).n);
            assert_int_equal(smtp_client_feed(&c, buf_slice(&in), &used, &ev), SMTP_CLIENT_FAILED);
            smtp_client_fini(&c);
        }
    }
    buf_fini(&in);
}

/* All keywords of a long answer to EHLO are learned, those of a refused one are not. */
static void test_long_hello(void **state)
{
    struct smtp_client_options options = {.hello_name = "me"};
    struct smtp_client_event ev;
    struct smtp_client c;
    struct buf in;
    size_t used;

    (void)state;
    buf_init(&in, 200000);
    assert_int_equal(buf_add_str(&in, "250-hi\n"), 0);
    for (size_t i = 2; i < SMTP_REPLY_LINES_MAX - 1; i++)
        assert_int_equal(buf_addf(&in, "250-X-%070zu\r\n", i), 0);
    assert_int_equal(buf_add_str(&in, "250-SIZE 77\n250 PIPELINING\n"), 0);
    smtp_client_init(&c, &options);
    smtp_client_feed(&c, SLICE_LIT("220 hi\r\n"), &used, &ev);
    smtp_client_sent(&c, smtp_client_output(&c).n);
    assert_int_equal(smtp_client_feed(&c, buf_slice(&in), &used, &ev), SMTP_CLIENT_READY);
    assert_int_equal(c.size_max, 77);
    assert_int_equal(
        c.caps, SMTP_CLIENT_CAP_ESMTP | SMTP_CLIENT_CAP_SIZE | SMTP_CLIENT_CAP_PIPELINING);
    smtp_client_fini(&c);
    buf_fini(&in);

    smtp_client_init(&c, &options);
    smtp_client_feed(&c, SLICE_LIT("220 hi\r\n"), &used, &ev);
    smtp_client_sent(&c, smtp_client_output(&c).n);
    smtp_client_feed(&c, SLICE_LIT("502-what\r\n502-SIZE 5\r\n502 PIPELINING\r\n"), &used, &ev);
    smtp_client_sent(&c, smtp_client_output(&c).n);
    assert_int_equal(
        smtp_client_feed(&c, SLICE_LIT("250-hi\r\n250 SIZE 5\r\n"), &used, &ev), SMTP_CLIENT_READY);
    assert_int_equal(c.caps, 0);
    assert_int_equal(c.size_max, 0);
    smtp_client_fini(&c);
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
        cmocka_unit_test(test_reply_over_the_limit),
        cmocka_unit_test(test_long_hello),
        cmocka_unit_test(test_pending_limit),
        cmocka_unit_test(test_lmtp_limit),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
