/* SPDX-License-Identifier: ISC */
/*
 * Dialogues with the server engine (content is in test_smtp_server_content.c), written as scripts:
 *     < text    the client sends a line; several in a row arrive in one piece
 *     > code    the codes of all replies so far
 *     = KIND    the events so far
 *     ! code    the owner answers
 * Each script runs with whole pieces and byte by byte, unless it is about pieces.
 */
#include "tests/unit/smtp_server_run.h"
#include "tests/unit/unit.h"

static void run(
    const char *name, const struct smtp_server_options *options, const char *script, bool bytewise)
{
    struct run r;
    struct slice rest = slice_str(script), line;
    struct buf pending;

    start(&r, name, options);
    buf_init(&pending, 10000);
    while (slice_split(&rest, '\n', &line)) {
        struct slice text = slice_from(line, 2);
        if (line.n == 0)
            continue;
        if (line.p[0] == '<') {
            assert_int_equal(buf_add(&pending, text), 0);
            assert_int_equal(buf_add_str(&pending, "\r\n"), 0);
            continue;
        }
        if (bytewise)
            feed_bytes(&r, buf_slice(&pending));
        else if (pending.n > 0)
            feed(&r, buf_slice(&pending));
        buf_clear(&pending);
        if (line.p[0] == '>')
            expect(&r, &r.codes, text);
        else if (line.p[0] == '=')
            expect(&r, &r.events, text);
        else if (slice_eq(text, SLICE_LIT("secured")))
            smtp_server_secured(&r.server);
        else
            reply(&r, (text.p[0] - '0') * 100 + (text.p[1] - '0') * 10 + (text.p[2] - '0'));
    }
    expect(&r, &r.codes, SLICE_NONE);
    expect(&r, &r.events, SLICE_NONE);
    buf_fini(&pending);
    stop(&r);
}

#define HELLO "< EHLO me\n> 250\n"
#define MAIL "< MAIL FROM:<a@b.c>\n= MAIL\n! 250\n> 250\n"
#define RCPT "< RCPT TO:<r@b.c>\n= RCPT\n! 250\n> 250\n"
#define DATA "< DATA\n= DATA\n! 354\n> 354\n"

static const struct script {
    const char *name;
    int pieces; /* 0: both, 1: whole only */
    const char *text;
} scripts[] = {
    {"one message", 0,
        HELLO MAIL RCPT DATA "< a\n< .\n= END\n! 250\n> 250\n" MAIL "< QUIT\n> 221\n= CLOSE\n"},
    {"HELO", 0, "< HELO me\n> 250\n" MAIL},
    {"pipelined, and answered one by one", 0,
        HELLO "< MAIL FROM:<a@b.c>\n< RCPT TO:<r@b.c>\n< RCPT TO:<s@b.c>\n< DATA\n= MAIL\n"
              "! 250\n> 250\n= RCPT\n! 250\n> 250\n= RCPT\n! 550\n> 550\n= DATA\n! 354\n> 354\n"},
    {"MAIL refused", 0,
        HELLO "< MAIL FROM:<a@b.c>\n= MAIL\n! 450\n> 450\n< RCPT TO:<r@b.c>\n> 503\n"},
    {"RCPT refused", 0,
        HELLO MAIL "< RCPT TO:<r@b.c>\n= RCPT\n! 450\n> 450\n< DATA\n> 554\n" RCPT DATA},
    {"DATA refused", 0,
        HELLO MAIL RCPT
        "< DATA\n= DATA\n! 451\n> 451\n< RCPT TO:<r@b.c>\n< NOOP\n> 503 250\n" MAIL},
    {"message refused", 0,
        HELLO MAIL RCPT DATA "< a\n< .\n= END\n! 554\n> 554\n< RCPT TO:<r@b.c>\n> 503\n" MAIL},
    {"RSET", 0, HELLO MAIL RCPT "< RSET\n> 250\n= RESET\n< DATA\n> 503\n" MAIL "< DATA\n> 554\n"},
    {"EHLO resets", 0, HELLO MAIL RCPT "< EHLO you\n> 250\n= RESET\n< DATA\n> 503\n"},
    {"HELO resets", 0, HELLO MAIL "< HELO you\n> 250\n= RESET\n< RCPT TO:<r@b.c>\n> 503\n"},
    {"a bad EHLO resets nothing", 0, HELLO MAIL RCPT "< EHLO\n> 501\n" DATA},
    {"STARTTLS", 0,
        HELLO "< STARTTLS\n> 220\n= STARTTLS\n! secured\n< MAIL FROM:<a@b.c>\n> 503\n" HELLO
              "< STARTTLS\n> 503\n" MAIL},
    {"STARTTLS within a transaction", 0, HELLO MAIL "< STARTTLS\n> 503\n" RCPT DATA},
    {"STARTTLS before EHLO", 0, "< STARTTLS\n> 503\n"},
    {"text behind STARTTLS", 1, HELLO "< STARTTLS\n< MAIL FROM:<a@b.c>\n> 503\n= CLOSE\n"},
    {"text behind EHLO", 1, "< EHLO me\n< MAIL FROM:<a@b.c>\n> 503\n= CLOSE\n"},
    {"text behind DATA", 1, HELLO MAIL RCPT "< DATA\n< a\n> 503\n= CLOSE\n"},
    {"text behind QUIT", 1, HELLO "< QUIT\n< MAIL FROM:<a@b.c>\n> 221\n= CLOSE\n"},
    {"text behind the end", 1,
        HELLO MAIL RCPT DATA "< a\n< .\n< MAIL FROM:<a@b.c>\n= END\n! 250\n> 250\n= MAIL\n"},
    {"small talk", 0, "< NOOP\n< VRFY x\n< HELP\n< RSET\n< EXPN y\n> 250 252 214 250 502\n"},
    {"not offered", 0, HELLO "< AUTH PLAIN x\n< BDAT 3 LAST\n< ETRN x\n> 502 502 502\n"},
    {"LHLO in SMTP", 0, "< LHLO me\n> 500\n< MAIL FROM:<a@b.c>\n> 503\n"},
    {"declared size", 0,
        HELLO "< MAIL FROM:<> SIZE=101\n> 552\n< MAIL FROM:<> SIZE=100\n= MAIL\n! 250\n> 250\n"},
    {"8-bit", 0, HELLO "< MAIL FROM:<> BODY=8BITMIME\n= MAIL\n! 250\n> 250\n"},
    {"parameters after HELO", 0,
        "< HELO me\n> 250\n< MAIL FROM:<> SIZE=101 BODY=8BITMIME\n> 552\n"
        "< MAIL FROM:<> SIZE=100 BODY=8BITMIME\n= MAIL\n! 250\n> 250\n"},
    {"recipients at the limit", 0, HELLO MAIL RCPT RCPT RCPT "< RCPT TO:<r@b.c>\n> 452\n" DATA},
    {"errors at the limit", 0,
        HELLO "< X\n< X\n< X\n< X\n> 500 500 500 500\n< X\n> 421\n= CLOSE\n"},
    {"refused recipients are errors", 0,
        HELLO MAIL "< X\n< X\n< X\n> 500 500 500\n< RCPT TO:<r@b.c>\n= RCPT\n! 550\n> 550\n"
                   "< RCPT TO:<r@b.c>\n= RCPT\n! 550\n> 421\n= CLOSE\n"},
    {"deferred recipients are not", 0,
        HELLO MAIL "< X\n< X\n< X\n< X\n> 500 500 500 500\n< RCPT TO:<r@b.c>\n= RCPT\n! 450\n"
                   "> 450\n"},
    {"messages are measured one by one", 0,
        HELLO MAIL RCPT DATA "< " SIXTY "\n< .\n= END\n! 250\n> 250\n" MAIL RCPT DATA "< " SIXTY
                             "\n< .\n= END\n! 250\n> 250\n"},
    {"a message behind one that was too big", 0,
        HELLO MAIL RCPT DATA "< " SIXTY "\n< " SIXTY "\n< .\n= SPOILED\n> 552\n" MAIL RCPT DATA
                             "< a\n< .\n= END\n! 250\n> 250\n"},
    {"too big with one error left", 0,
        HELLO "< X\n< X\n< X\n> 500 500 500\n" MAIL RCPT DATA "< " SIXTY "\n< " SIXTY
              "\n< .\n= SPOILED\n> 552\n" MAIL},
    {"too big is one error too many", 0,
        HELLO "< X\n< X\n< X\n< X\n> 500 500 500 500\n" MAIL RCPT DATA "< " SIXTY "\n< " SIXTY
              "\n< .\n= SPOILED CLOSE\n> 552 421\n"},
    {"text behind HELO", 1, "< HELO me\n< MAIL FROM:<a@b.c>\n> 503\n= CLOSE\n"},
    {"a message pays off errors", 0,
        HELLO "< X\n< X\n< X\n< X\n> 500 500 500 500\n" MAIL RCPT DATA "< .\n= END\n! 250\n> 250\n"
              "< X\n> 500\n"},
};

static void test_scripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(scripts); i++) {
        run(scripts[i].name, &plain, scripts[i].text, false);
        if (scripts[i].pieces == 0)
            run(scripts[i].name, &plain, scripts[i].text, true);
    }
}

static void test_lmtp(void **state)
{
    struct smtp_server_options options = plain;

    (void)state;
    options.is_lmtp = true;
    for (int bytewise = 0; bytewise < 2; bytewise++) {
        run("LMTP answers each", &options,
            "< EHLO me\n> 500\n< LHLO me\n> 250\n" MAIL RCPT "< RCPT TO:<r@b.c>\n= RCPT\n! 550\n"
            "> 550\n" RCPT DATA "< a\n< .\n= END\n! 250\n> 250\n! 452\n> 452\n" MAIL,
            bytewise);
        run("LMTP spoiled", &options,
            "< LHLO me\n> 250\n" MAIL RCPT RCPT DATA "< a\rb\n< .\n= SPOILED CLOSE\n> 550 550\n",
            bytewise);
    }
}

/* A3: each command in each state. */
static void test_every_state(void **state)
{
    static const struct {
        const char *command;
        int hello, idle, envelope, with_rcpt; /* the reply, or 0 for an event that asks */
    } rows[] = {
        {"EHLO me", 250, 250, 250, 250},
        {"HELO me", 250, 250, 250, 250},
        {"LHLO me", 500, 500, 500, 500},
        {"MAIL FROM:<a@b.c>", 503, 0, 503, 503},
        {"RCPT TO:<r@b.c>", 503, 503, 0, 0},
        {"DATA", 503, 503, 554, 0},
        {"STARTTLS", 503, 220, 503, 503},
        {"RSET", 250, 250, 250, 250},
        {"NOOP", 250, 250, 250, 250},
        {"VRFY x", 252, 252, 252, 252},
        {"HELP", 214, 214, 214, 214},
        {"EXPN x", 502, 502, 502, 502},
        {"AUTH PLAIN", 502, 502, 502, 502},
        {"BDAT 0 LAST", 502, 502, 502, 502},
        {"FOO", 500, 500, 500, 500},
        {"QUIT", 221, 221, 221, 221},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int where = 0; where < 4; where++) {
            int want = (&rows[i].hello)[where];
            struct run r;
            char code[4];

            start(&r, rows[i].command, &plain);
            if (where > 0)
                feed(&r, SLICE_LIT("EHLO x\r\n"));
            if (where > 1) {
                feed(&r, SLICE_LIT("MAIL FROM:<>\r\n"));
                reply(&r, 250);
            }
            if (where > 2) {
                feed(&r, SLICE_LIT("RCPT TO:<x@y.z>\r\n"));
                reply(&r, 250);
            }
            buf_clear(&r.codes);
            feed(&r, slice_str(rows[i].command));
            feed(&r, SLICE_LIT("\r\n"));
            assert_int_equal(fmt_into(code, sizeof(code), "%03d", want), 0);
            if (want == 0) {
                assert_row(rows[i].command, r.codes.n == 0);
                assert_row(rows[i].command, r.server.asked != SMTP_SERVER_MORE);
            } else {
                expect(&r, &r.codes, slice_str(code));
                assert_row(rows[i].command, r.server.asked == SMTP_SERVER_MORE);
            }
            assert_non_null(smtp_server_state_name(r.server.state));
            stop(&r);
        }
    }
}

static void test_line_limit(void **state)
{
    (void)state;
    for (size_t n = SMTP_COMMAND_MAX - 1; n <= SMTP_COMMAND_MAX + 1; n++) {
        char line[SMTP_COMMAND_MAX + 1];
        struct run r;

        memset(line, 'x', sizeof(line));
        memcpy(line, "NOOP ", 5);
        memcpy(line + n - 2, "\r\n", 2);
        start(&r, "line", &plain);
        feed_bytes(&r, slice_make(line, n));
        expect(&r, &r.codes, n <= SMTP_COMMAND_MAX ? SLICE_LIT("250") : SLICE_LIT("500"));
        expect(&r, &r.events, n <= SMTP_COMMAND_MAX ? SLICE_NONE : SLICE_LIT("CLOSE"));
        stop(&r);
    }
}

static void test_line_ends(void **state)
{
    static const char *const bad[] = {"NOOP\n", "\n", "NOOP\nMAIL FROM:<>\r\n"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct run r;

        start(&r, bad[i], &plain);
        feed(&r, slice_str(bad[i]));
        expect(&r, &r.codes, SLICE_LIT("500"));
        expect(&r, &r.events, SLICE_LIT("CLOSE"));
        stop(&r);
    }
}

static void test_idle_limit(void **state)
{
    struct run r;

    (void)state;
    start(&r, "idle", &plain);
    /* Errors only count from the limit on: errors_max of them are still answered. */
    for (size_t i = 0; i < SMTP_SERVER_IDLE_COMMANDS_MAX + plain.errors_max; i++)
        feed(&r, SLICE_LIT("NOOP\r\n"));
    assert_int_equal(r.codes.n, 4 * (SMTP_SERVER_IDLE_COMMANDS_MAX + plain.errors_max));
    assert_int_equal(r.events.n, 0);
    buf_clear(&r.codes);
    feed(&r, SLICE_LIT("NOOP\r\n"));
    expect(&r, &r.codes, SLICE_LIT("421"));
    expect(&r, &r.events, SLICE_LIT("CLOSE"));
    stop(&r);
}

/* A flood in one piece neither overflows the output nor is lost. */
static void test_flood(void **state)
{
    struct smtp_server_options options = plain;
    struct run r;
    struct buf flood;

    (void)state;
    options.errors_max = 100000;
    buf_init(&flood, 1 << 20);
    for (size_t i = 0; i < 20000; i++)
        assert_int_equal(buf_add_str(&flood, "NOOP\r\n"), 0);
    start(&r, "flood", &options);
    feed(&r, buf_slice(&flood));
    assert_int_equal(r.codes.n, 4 * 20000);
    buf_fini(&flood);
    stop(&r);
}

static void test_hello_offers(void **state)
{
    struct buf scratch;
    struct smtp_server s;
    struct smtp_server_event ev;
    size_t used;

    (void)state;
    buf_init(&scratch, 1000);
    smtp_server_init(&s, &plain, &scratch);
    smtp_server_greet(&s, NULL);
    assert_string_equal(buf_cstr(&s.output), "220 gw.example.org ESMTP coexist\r\n");
    buf_clear(&s.output);
    smtp_server_feed(&s, SLICE_LIT("EHLO x\r\n"), &used, &ev);
    assert_string_equal(buf_cstr(&s.output),
        "250-gw.example.org\r\n250-PIPELINING\r\n250-SIZE 100\r\n250-8BITMIME\r\n250-STARTTLS\r\n"
        "250 ENHANCEDSTATUSCODES\r\n");
    /* Inside TLS it is not offered again. */
    assert_int_equal(
        smtp_server_feed(&s, SLICE_LIT("STARTTLS\r\n"), &used, &ev), SMTP_SERVER_STARTTLS);
    smtp_server_secured(&s);
    buf_clear(&s.output);
    smtp_server_feed(&s, SLICE_LIT("EHLO x\r\n"), &used, &ev);
    assert_string_equal(buf_cstr(&s.output),
        "250-gw.example.org\r\n250-PIPELINING\r\n250-SIZE 100\r\n250-8BITMIME\r\n"
        "250 ENHANCEDSTATUSCODES\r\n");
    smtp_server_fini(&s);

    struct smtp_server_options bare = plain;
    bare.offers_starttls = false;
    smtp_server_init(&s, &bare, &scratch);
    smtp_server_greet(&s, NULL);
    smtp_server_feed(&s, SLICE_LIT("EHLO x\r\n"), &used, &ev);
    assert_true(slice_search(buf_slice(&s.output), SLICE_LIT("STARTTLS")) < 0);
    smtp_server_fini(&s);
    buf_fini(&scratch);
}

/* A sender without a domain. */
static void test_bare_sender(void **state)
{
    static const struct {
        const char *line, *sender; /* NULL: refused */
    } rows[] = {
        {"MAIL FROM:<root>\r\n", "root@gw.example.org"},
        {"MAIL FROM:root SIZE=9\r\n", "root@gw.example.org"},
        {"MAIL FROM:<\"a b\">\r\n", "\"a b\"@gw.example.org"},
        {"MAIL FROM:<Postmaster>\r\n", "Postmaster@gw.example.org"},
        {"MAIL FROM:<>\r\n", ""},
        {"MAIL FROM:<a@b.c>\r\n", "a@b.c"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run r;

        start(&r, rows[i].line, &plain);
        feed(&r, SLICE_LIT("EHLO me\r\n"));
        feed(&r, slice_str(rows[i].line));
        assert_row(rows[i].line, r.server.asked == SMTP_SERVER_GOT_MAIL);
        assert_slice_equal(r.server.command.mailbox, rows[i].sender);
        assert_row(rows[i].line, r.server.command.path == (rows[i].sender[0] ? ADDRESS_PATH_MAILBOX
                                                                             : ADDRESS_PATH_NULL));
        stop(&r);
    }
}

/* What is kept of a client's name is one word, whatever it says. */
static void test_kept_name(void **state)
{
    char line[6 + 256 + 2] = "EHLO x", *name = line + 5;
    size_t n = 1;

    (void)state;
    for (char c = ' '; c <= '~'; c++)
        name[n++] = c;
    name[n] = 'x';
    memcpy(name + n + 1, "\r\n", 2);
    for (int is_strict = 0; is_strict <= 1; is_strict++) {
        struct smtp_server_options options = plain;
        struct run r;

        options.is_strict = is_strict;
        start(&r, "name", &options);
        feed(&r, slice_make(line, 5 + n + 3));
        expect(&r, &r.codes, is_strict ? SLICE_LIT("501") : SLICE_LIT("250"));
        assert_string_equal(r.server.hello, is_strict ? ""
                                                      : "x?!?#$%&'??*+?-./0123456789:?"
                                                        "?=?"
                                                        "?"
                                                        "?ABCDEFGHIJKLMNOPQRSTUVWXYZ[?]^_`"
                                                        "abcdefghijklmnopqrstuvwxyz{|}~x");
        stop(&r);
    }
}

/* With our name behind it the sender would be too long. */
static void test_bare_sender_limit(void **state)
{
    char host[ADDRESS_DOMAIN_MAX + 1], line[ADDRESS_MAX + 20];
    struct smtp_server_options options = plain;
    const size_t n_local = 200;

    (void)state;
    options.hostname = host;
    memset(host, 'h', sizeof(host));
    for (size_t i = 50; i < sizeof(host); i += 51)
        host[i] = '.';
    for (size_t n = ADDRESS_MAX - 1; n <= ADDRESS_MAX + 1; n++) {
        struct run r;
        struct slice name = slice_make(host, n - n_local - 1);

        host[name.n] = '\0';
        start(&r, "long", &options);
        feed(&r, SLICE_LIT("EHLO me\r\n"));
        buf_clear(&r.codes);
        memset(line, 'a', sizeof(line));
        memcpy(line, "MAIL FROM:<", 11);
        memcpy(line + 11 + n_local, ">\r\n", 3);
        feed(&r, slice_make(line, 11 + n_local + 3));
        assert_int_equal(
            r.server.asked, n <= ADDRESS_MAX ? SMTP_SERVER_GOT_MAIL : SMTP_SERVER_MORE);
        expect(&r, &r.codes, n <= ADDRESS_MAX ? SLICE_NONE : SLICE_LIT("501"));
        stop(&r);
        host[name.n] = 'h';
    }
}

/* What moves no mail is counted, what may move some is not. */
static void test_what_idles(void **state)
{
    static const struct {
        const char *line;
        uint32_t counts;
    } rows[] = {{"EHLO x", 1}, {"HELO x", 1}, {"RSET", 1}, {"NOOP", 1}, {"VRFY x", 1}, {"HELP", 1},
        {"STARTTLS", 1}, {"MAIL FROM:<>", 0}, {"QUIT", 0}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct run r;

        start(&r, rows[i].line, &plain);
        feed(&r, SLICE_LIT("EHLO me\r\n"));
        feed(&r, slice_str(rows[i].line));
        feed(&r, SLICE_LIT("\r\n"));
        assert_row(rows[i].line, r.server.n_idle_commands == 1 + rows[i].counts);
        stop(&r);
    }
    struct run r;
    start(&r, "transaction", &plain);
    feed(&r, SLICE_LIT("EHLO me\r\n"));
    feed(&r, SLICE_LIT("MAIL FROM:<>\r\n"));
    reply(&r, 250);
    feed(&r, SLICE_LIT("RCPT TO:<a@b.c>\r\n"));
    reply(&r, 250);
    feed(&r, SLICE_LIT("DATA\r\n"));
    assert_int_equal(r.server.n_idle_commands, 1);
    stop(&r);
}

static void test_what_tls_forgets(void **state)
{
    struct run r;

    (void)state;
    start(&r, "tls", &plain);
    feed(&r, SLICE_LIT("EHLO before\r\n"));
    assert_string_equal(r.server.hello, "before");
    assert_true(r.server.is_esmtp);
    feed(&r, SLICE_LIT("STARTTLS\r\n"));
    smtp_server_secured(&r.server);
    assert_string_equal(r.server.hello, "");
    assert_false(r.server.is_esmtp);
    assert_int_equal(r.server.n_idle_commands, 0);
    feed(&r, SLICE_LIT("HELO be\r\n"));
    assert_string_equal(r.server.hello, "be");
    assert_false(r.server.is_esmtp);
    stop(&r);
}

static void test_closed_once(void **state)
{
    struct run r;
    struct answer a;

    (void)state;
    answer_set(&a, 421, "4.3.2", "stop");
    start(&r, "twice", &plain);
    smtp_server_close(&r.server, &a);
    smtp_server_close(&r.server, &a);
    take_output(&r);
    expect(&r, &r.codes, SLICE_LIT("421"));
    stop(&r);
}

static void test_strict(void **state)
{
    struct smtp_server_options options = plain;

    (void)state;
    options.is_strict = true;
    run("strict", &options,
        "< HELO me\n> 250\n< MAIL FROM:<> SIZE=1\n> 555\n< MAIL FROM:<root>\n> 501\n"
        "< MAIL FROM:a@b.c\n> 501\n< EHLO me\n> 250\n< MAIL FROM:<> SIZE=1\n= MAIL\n",
        false);
}

static void test_refused_greeting_and_close(void **state)
{
    struct run r;
    struct answer a;
    struct buf scratch;
    struct smtp_server s;
    struct smtp_server_event ev;
    size_t used = 0;

    (void)state;
    buf_init(&scratch, 1000);
    answer_set(&a, 421, "4.3.2", "too busy");
    smtp_server_init(&s, &plain, &scratch);
    smtp_server_greet(&s, &a);
    assert_string_equal(buf_cstr(&s.output), "421 4.3.2 too busy\r\n");
    assert_int_equal(smtp_server_feed(&s, SLICE_LIT("EHLO x\r\n"), &used, &ev), SMTP_SERVER_CLOSE);
    assert_int_equal(used, 8);
    assert_int_equal(ev.answer->code, 421);
    smtp_server_fini(&s);

    smtp_server_init(&s, &plain, &scratch);
    assert_int_equal(smtp_server_feed(&s, SLICE_LIT("EHLO x\r\n"), &used, &ev), SMTP_SERVER_CLOSE);
    assert_int_equal(ev.answer->code, 554);
    smtp_server_fini(&s);
    buf_fini(&scratch);

    /* A deadline in the middle of a question: the answer that comes late is dropped. */
    start(&r, "close", &plain);
    feed(&r, SLICE_LIT("EHLO x\r\n"));
    assert_true(smtp_server_is_between(&r.server));
    feed(&r, SLICE_LIT("MAIL FROM:<>\r\n"));
    assert_false(smtp_server_is_between(&r.server));
    buf_clear(&r.codes);
    smtp_server_close(&r.server, &a);
    reply(&r, 250);
    expect(&r, &r.codes, SLICE_LIT("421"));
    expect(&r, &r.events, SLICE_LIT("MAIL CLOSE"));
    stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_lmtp),
        cmocka_unit_test(test_every_state),
        cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_idle_limit),
        cmocka_unit_test(test_flood),
        cmocka_unit_test(test_hello_offers),
        cmocka_unit_test(test_bare_sender),
        cmocka_unit_test(test_bare_sender_limit),
        cmocka_unit_test(test_kept_name),
        cmocka_unit_test(test_what_idles),
        cmocka_unit_test(test_what_tls_forgets),
        cmocka_unit_test(test_closed_once),
        cmocka_unit_test(test_strict),
        cmocka_unit_test(test_refused_greeting_and_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
