/* SPDX-License-Identifier: ISC */
#include "base/mail/smtp_reply.h"
#include "base/core/buf.h"
#include "tests/unit/unit.h"

/* Feeds the input in pieces of `step` bytes; the rest behind the reply stays unused. */
static enum parse feed(struct smtp_reply_parser *p, struct slice in, size_t step, size_t *used_out,
    struct smtp_reply *out)
{
    enum parse result = PARSE_MORE;
    size_t at = 0;

    smtp_reply_init(p);
    while (at < in.n && result == PARSE_MORE) {
        size_t used = 0;
        struct slice piece = slice_sub(in, at, step);
        result = smtp_reply_feed(p, piece, &used, out);
        at += used;
        if (result == PARSE_MORE)
            assert_int_equal(used, piece.n);
    }
    *used_out = at;
    return result;
}

static void test_table(void **state)
{
    static const struct {
        const char *name, *in;
        enum parse result;
        int code;
        const char *enhanced, *text;
        size_t n_lines, rest;
    } rows[] = {
        {"simple", "250 OK\r\n", PARSE_DONE, 250, "", "OK", 1, 0},
        {"enhanced", "550 5.1.1 no such user\r\n", PARSE_DONE, 550, "5.1.1", "no such user", 1, 0},
        {"enhanced alone", "250 2.0.0\r\n", PARSE_DONE, 250, "2.0.0", "", 1, 0},
        {"enhanced long", "450 4.999.999 x\r\n", PARSE_DONE, 450, "4.999.999", "x", 1, 0},
        {"enhanced of another class", "550 4.1.1 x\r\n", PARSE_DONE, 550, "", "4.1.1 x", 1, 0},
        {"enhanced malformed", "550 5.1 x\r\n", PARSE_DONE, 550, "", "5.1 x", 1, 0},
        {"enhanced too long", "550 5.1234.1 x\r\n", PARSE_DONE, 550, "", "5.1234.1 x", 1, 0},
        {"enhanced glued", "550 5.1.1x\r\n", PARSE_DONE, 550, "", "5.1.1x", 1, 0},
        {"enhanced two-digit class", "550 55.1.1 x\r\n", PARSE_DONE, 550, "", "55.1.1 x", 1, 0},
        {"no text", "354 \r\n", PARSE_DONE, 354, "", "", 1, 0},
        {"no text, no blank", "220\r\n", PARSE_DONE, 220, "", "", 1, 0},
        {"lines", "250-a\r\n250-b\r\n250 c\r\n", PARSE_DONE, 250, "", "a\nb\nc", 3, 0},
        {"enhanced lines", "550-5.7.1 a\r\n550 5.7.1 b\r\n", PARSE_DONE, 550, "5.7.1", "a\nb", 2,
            0},
        {"enhanced later only", "550-a\r\n550 5.7.1 b\r\n", PARSE_DONE, 550, "", "a\nb", 2, 0},
        {"something behind", "250 OK\r\n354 go\r\n", PARSE_DONE, 250, "", "OK", 1, 8},
        {"8-bit text", "250 \xc3\xa4\x1b\r\n", PARSE_DONE, 250, "", "\xc3\xa4\x1b", 1, 0},
        {"unfinished", "250 OK\r", PARSE_MORE, 0, "", "", 0, 0},
        {"unfinished lines", "250-OK\r\n", PARSE_MORE, 0, "", "", 0, 0},
        {"differing codes", "250-a\r\n251 b\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"bare LF", "250 OK\n", PARSE_BAD, 0, "", "", 0, 0},
        {"bare CR", "250 O\rK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"first digit low", "150 OK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"first digit high", "650 OK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"no digit", "25x OK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"two digits", "25 OK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"four digits", "2500 OK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"tab behind the code", "250\tOK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"other protocol", "+OK ready\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"empty line", "\r\n", PARSE_BAD, 0, "", "", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t step = 1; step <= 64; step += 63) {
            struct smtp_reply_parser p;
            struct smtp_reply reply = {0};
            struct slice in = slice_str(rows[i].in);
            size_t used = 0;
            enum parse result = feed(&p, in, step, &used, &reply);

            assert_row(rows[i].name, result == rows[i].result);
            if (result != PARSE_DONE)
                continue;
            assert_row(rows[i].name, reply.code == rows[i].code);
            assert_row(rows[i].name, strcmp(reply.enhanced, rows[i].enhanced) == 0);
            assert_row(rows[i].name, slice_eq(reply.text, slice_str(rows[i].text)));
            assert_row(rows[i].name, reply.n_lines == rows[i].n_lines);
            assert_row(rows[i].name, in.n - used == rows[i].rest);
        }
    }
}

static void test_nul(void **state)
{
    struct smtp_reply_parser p;
    struct smtp_reply reply;
    size_t used;

    (void)state;
    assert_int_equal(feed(&p, slice_make("250 \0\r\n", 7), 7, &used, &reply), PARSE_BAD);
}

static void test_line_limit(void **state)
{
    (void)state;
    for (size_t n = SMTP_REPLY_LINE_MAX - 1; n <= SMTP_REPLY_LINE_MAX + 1; n++) {
        char line[SMTP_REPLY_LINE_MAX + 1];
        struct smtp_reply_parser p;
        struct smtp_reply reply;
        size_t used;
        enum parse want = n <= SMTP_REPLY_LINE_MAX ? PARSE_DONE : PARSE_BAD;

        memset(line, 'x', sizeof(line));
        memcpy(line, "250 ", 4);
        memcpy(line + n - 2, "\r\n", 2);
        assert_int_equal(feed(&p, slice_make(line, n), n, &used, &reply), want);
        assert_int_equal(feed(&p, slice_make(line, n), 1, &used, &reply), want);
    }
}

static void test_lines_limit(void **state)
{
    (void)state;
    for (size_t n = SMTP_REPLY_LINES_MAX - 1; n <= SMTP_REPLY_LINES_MAX + 1; n++) {
        struct smtp_reply_parser p;
        struct smtp_reply reply;
        struct buf b;
        size_t used;

        buf_init(&b, 10000);
        for (size_t i = 1; i < n; i++)
            assert_int_equal(buf_add_str(&b, "250-x\r\n"), 0);
        assert_int_equal(buf_add_str(&b, "250 x\r\n"), 0);
        assert_int_equal(feed(&p, buf_slice(&b), 1000, &used, &reply),
            n <= SMTP_REPLY_LINES_MAX ? PARSE_DONE : PARSE_BAD);
        buf_fini(&b);
    }
}

/* The text of all lines, LF between them included. */
static void test_text_limit(void **state)
{
    (void)state;
    for (size_t n = SMTP_REPLY_TEXT_MAX - 1; n <= SMTP_REPLY_TEXT_MAX + 1; n++) {
        struct smtp_reply_parser p;
        struct smtp_reply reply;
        struct buf b;
        size_t used, left = n;

        buf_init(&b, 10000);
        while (left > 0) {
            size_t len = left > 500 ? 499 : left;
            assert_int_equal(buf_add_str(&b, left > 500 ? "250-" : "250 "), 0);
            for (size_t i = 0; i < len; i++)
                assert_int_equal(buf_add_byte(&b, 'x'), 0);
            assert_int_equal(buf_add_str(&b, "\r\n"), 0);
            left -= left > 500 ? 500 : left;
        }
        assert_int_equal(feed(&p, buf_slice(&b), 10000, &used, &reply),
            n <= SMTP_REPLY_TEXT_MAX ? PARSE_DONE : PARSE_BAD);
        if (n <= SMTP_REPLY_TEXT_MAX)
            assert_int_equal(reply.text.n, n);
        buf_fini(&b);
    }
}

static void test_clean(void **state)
{
    char out[SMTP_REPLY_CLEAN_MAX];
    unsigned char in[SMTP_REPLY_CLEAN_MAX + 1];

    (void)state;
    smtp_reply_clean(SLICE_LIT("a\nb\tc\x1b[1m\xc3\x7f"), out);
    assert_string_equal(out, "a b c?[1m??");
    memset(in, 'x', sizeof(in));
    for (size_t n = SMTP_REPLY_CLEAN_MAX - 2; n <= SMTP_REPLY_CLEAN_MAX; n++) {
        smtp_reply_clean(slice_make(in, n), out);
        assert_int_equal(
            strlen(out), n < SMTP_REPLY_CLEAN_MAX ? n : (size_t)SMTP_REPLY_CLEAN_MAX - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_lines_limit),
        cmocka_unit_test(test_text_limit),
        cmocka_unit_test(test_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
