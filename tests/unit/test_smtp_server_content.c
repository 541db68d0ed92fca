/* SPDX-License-Identifier: ISC */
/*
 * What the server engine takes for content, and for its end: smuggling, limits, and doubt in what
 * is thrown away.
 */
#include "tests/unit/smtp_server_run.h"
#include "tests/unit/unit.h"

static void open_data(struct run *r, const char *name, const struct smtp_server_options *options)
{
    start(r, name, options);
    feed(r, SLICE_LIT("EHLO x\r\n"));
    feed(r, SLICE_LIT("MAIL FROM:<>\r\n"));
    reply(r, 250);
    feed(r, SLICE_LIT("RCPT TO:<x@y.z>\r\n"));
    reply(r, 250);
    feed(r, SLICE_LIT("DATA\r\n"));
    reply(r, 354);
    buf_clear(&r->codes);
    buf_clear(&r->events);
}

/* A1: no doubtful end ever starts a second transaction, wherever the bytes are cut. */
static void test_smuggling(void **state)
{
    static const struct {
        const char *name;
        struct slice end;
        bool is_message; /* normalised and passed on; else refused and closed */
    } forms[] = {
        {"LF.LF", SLICE_LIT("\n.\n"), true},
        {"LF.CRLF", SLICE_LIT("\n.\r\n"), true},
        {"CRLF.LF", SLICE_LIT("\r\n.\n"), true},
        {"CR.CR", SLICE_LIT("\r.\r"), false},
        {"CR.LF", SLICE_LIT("\r.\n"), false},
        {"LF.CR", SLICE_LIT("\n.\r"), false},
        {"CR.CRLF", SLICE_LIT("\r.\r\n"), false},
        {"CRLF.CR", SLICE_LIT("\r\n.\r"), false},
        {"CRLF NUL.CRLF", SLICE_LIT("\r\n\0.\r\n"), false},
        {"CRLF.NUL CRLF", SLICE_LIT("\r\n.\0\r\n"), false},
        {"CRLF.CR CRLF", SLICE_LIT("\r\n.\r\r\n"), false},
        {"CR CRLF.CR CRLF", SLICE_LIT("\r\r\n.\r\r\n"), false},
    };
    struct slice second =
        SLICE_LIT("MAIL FROM:<evil@x.y>\r\nRCPT TO:<v@y.z>\r\nDATA\r\nX\r\n.\r\n");

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        for (int refuses_lf = 0; refuses_lf < 2; refuses_lf++) {
            struct smtp_server_options options = plain;
            struct buf all;
            bool is_message = forms[i].is_message && !refuses_lf;

            options.bare_lf = refuses_lf ? CONF_BARE_LF_REFUSE : CONF_BARE_LF_NORMALISE;
            options.size_max = 1000;
            buf_init(&all, 1000);
            assert_int_equal(buf_add_str(&all, "Subject: x\r\n\r\nbody"), 0);
            assert_int_equal(buf_add(&all, forms[i].end), 0);
            assert_int_equal(buf_add(&all, second), 0);
            for (size_t cut = 0; cut <= all.n; cut++) {
                struct run r;

                open_data(&r, forms[i].name, &options);
                feed(&r, slice_sub(buf_slice(&all), 0, cut));
                feed(&r, slice_from(buf_slice(&all), cut));
                if (is_message) {
                    expect(&r, &r.events, SLICE_LIT("END"));
                    assert_int_equal(r.codes.n, 0);
                    assert_true(slice_search(buf_slice(&r.content), SLICE_LIT("DATA\r\n")) > 0);
                } else {
                    expect(&r, &r.events, SLICE_LIT("SPOILED CLOSE"));
                    expect(&r, &r.codes, SLICE_LIT("550"));
                }
                assert_int_equal(r.in.n, 0);
                stop(&r);
            }
            buf_fini(&all);
        }
    }
}

/* The declared limit holds for what really comes, and a big message is read to its end. */
static void test_content_limit(void **state)
{
    (void)state;
    for (size_t n = 99; n <= 101; n++) {
        for (size_t step = 1; step <= 50; step += 49) {
            char text[110];
            struct run r;
            struct slice in;

            memset(text, 'x', sizeof(text));
            memcpy(text + n - 2, "\r\n.\r\n", 5);
            in = slice_make(text, n + 3);
            open_data(&r, "size", &plain);
            for (size_t at = 0; at < in.n; at += step)
                feed(&r, slice_sub(in, at, step));
            expect(&r, &r.events, n <= 100 ? SLICE_LIT("END") : SLICE_LIT("SPOILED"));
            expect(&r, &r.codes, n <= 100 ? SLICE_NONE : SLICE_LIT("552"));
            if (n > 100) {
                feed(&r, SLICE_LIT("NOOP\r\n"));
                expect(&r, &r.codes, SLICE_LIT("250"));
            }
            stop(&r);
        }
    }
}

static void test_discard_limit(void **state)
{
    struct run r;

    (void)state;
    open_data(&r, "endless", &plain);
    for (size_t i = 0; i < 201; i++)
        feed(&r, SLICE_LIT("x"));
    expect(&r, &r.events, SLICE_LIT("SPOILED"));
    feed(&r, SLICE_LIT("x"));
    expect(&r, &r.events, SLICE_LIT("CLOSE"));
    expect(&r, &r.codes, SLICE_LIT("552"));
    stop(&r);
}

/* In a message that is too big already. */
static void start_big(struct run *r, const char *name, const struct smtp_server_options *options)
{
    static const char *const lines[] = {
        "EHLO x\r\n", "MAIL FROM:<>\r\n", "RCPT TO:<r@b.c>\r\n", "DATA\r\n", SIXTY SIXTY};

    start(r, name, options);
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        feed(r, slice_str(lines[i]));
        if (r->server.asked != SMTP_SERVER_MORE)
            reply(r, i == 3 ? 354 : 250);
    }
    buf_clear(&r->codes);
    expect(r, &r->events, SLICE_LIT("MAIL RCPT DATA SPOILED"));
}

/* What is thrown away may hide an end as well as what is kept. */
static void test_doubt_in_what_is_thrown_away(void **state)
{
    static const struct {
        const char *name, *tail;
        enum conf_bare_lf bare_lf;
        bool closes;
    } rows[] = {
        {"nothing", "", CONF_BARE_LF_NORMALISE, false},
        {"CR", "a\rb\r\n", CONF_BARE_LF_NORMALISE, true},
        {"CR before the end", "a\r", CONF_BARE_LF_NORMALISE, true},
        {"dot CR", ".\rx\r\n", CONF_BARE_LF_NORMALISE, true},
        {"LF", "a\nb\r\n", CONF_BARE_LF_NORMALISE, false},
        {"LF", "a\nb\r\n", CONF_BARE_LF_REFUSE, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows) * 2; i++) {
        struct smtp_server_options options = plain;
        struct run r;

        options.bare_lf = rows[i / 2].bare_lf;
        start_big(&r, rows[i / 2].name, &options);
        if (i % 2 == 0) {
            feed(&r, slice_str(rows[i / 2].tail));
            feed(&r, SLICE_LIT("\r\n.\r\n"));
        } else {
            feed_bytes(&r, slice_str(rows[i / 2].tail));
            feed_bytes(&r, SLICE_LIT("\r\n.\r\n"));
        }
        expect(&r, &r.codes, SLICE_LIT("552"));
        expect(&r, &r.events, rows[i / 2].closes ? SLICE_LIT("CLOSE") : SLICE_NONE);
        stop(&r);
    }
    /* NUL, which no string can have. */
    struct run r;
    start_big(&r, "NUL", &plain);
    feed(&r, SLICE_LIT("a\0b\r\n.\r\n"));
    expect(&r, &r.events, SLICE_LIT("CLOSE"));
    stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_content_limit),
        cmocka_unit_test(test_discard_limit),
        cmocka_unit_test(test_doubt_in_what_is_thrown_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
