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
            assert_true(used == piece.n || out->line.p != NULL);
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
        {"LF alone", "250 OK\n", PARSE_DONE, 250, "", "OK", 1, 0},
        {"LF alone, no text", "250\n", PARSE_DONE, 250, "", "", 1, 0},
        {"LF alone and CRLF", "250-a\n250-b\r\n250 c\n", PARSE_DONE, 250, "", "a\nb\nc", 3, 0},
        {"LF alone, something behind", "220 go\n250 x\r\n", PARSE_DONE, 220, "", "go", 1, 7},
        {"LF alone, a CR behind", "220 go\n\r", PARSE_DONE, 220, "", "go", 1, 1},
        {"two CR", "250 OK\r\r\n", PARSE_DONE, 250, "", "OK", 1, 0},
        {"CR in the text", "250 O\rK\r\n", PARSE_DONE, 250, "", "O\rK", 1, 0},
        {"CR behind the code", "250\r OK\r\n", PARSE_DONE, 250, "", "\r OK", 1, 0},
        {"last code counts", "250-a\r\n550 b\r\n", PARSE_DONE, 550, "", "a\nb", 2, 0},
        {"last code counts, other way", "550-5.1.1 a\r\n250 b\r\n", PARSE_DONE, 250, "",
            "5.1.1 a\nb", 2, 0},
        {"a line without a code", "550-5.7.1 a\r\nmore\r\n550 5.7.1 b\r\n", PARSE_DONE, 550,
            "5.7.1", "a\nb", 3, 0},
        {"an empty line between", "250-a\r\n\r\n250 b\r\n", PARSE_DONE, 250, "", "a\nb", 3, 0},
        {"a short code between", "250-a\r\n25\r\n250 b\r\n", PARSE_DONE, 250, "", "a\nb", 3, 0},
        {"four digits between", "250-a\r\n2500 x\r\n250 b\r\n", PARSE_DONE, 250, "", "a\nb", 3, 0},
        {"150 between", "250-a\r\n150 x\r\n250 b\r\n", PARSE_DONE, 250, "", "a\nb", 3, 0},
        {"650 between", "250-a\r\n650 x\r\n250 b\r\n", PARSE_DONE, 250, "", "a\nb", 3, 0},
        {"lines without a code at the end", "250-a\r\nmore\r\n", PARSE_MORE, 0, "", "", 0, 0},
        {"no blank", "250OK\r\n", PARSE_DONE, 250, "", "OK", 1, 0},
        {"tab behind the code", "250\tOK\r\n", PARSE_DONE, 250, "", "\tOK", 1, 0},
        {"blanks only", "250   \r\n", PARSE_DONE, 250, "", "  ", 1, 0},
        {"lowest code", "200 x\r\n", PARSE_DONE, 200, "", "x", 1, 0},
        {"highest code", "599 x\r\n", PARSE_DONE, 599, "", "x", 1, 0},
        {"enhanced of one part", "550 5 x\r\n", PARSE_DONE, 550, "", "5 x", 1, 0},
        {"enhanced, four digits at the end", "550 5.1.1234 x\r\n", PARSE_DONE, 550, "",
            "5.1.1234 x", 1, 0},
        {"enhanced without a digit", "550 5..1 x\r\n", PARSE_DONE, 550, "", "5..1 x", 1, 0},
        {"enhanced later only, other class", "550-a\r\n550 2.7.1 b\r\n", PARSE_DONE, 550, "",
            "a\n2.7.1 b", 2, 0},
        {"first digit low", "150 OK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"first digit high", "650 OK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"no digit", "25x OK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"two digits", "25 OK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"two digits alone", "25\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"two digits and LF", "25\n", PARSE_BAD, 0, "", "", 0, 0},
        {"four digits", "2500 OK\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"other protocol", "+OK ready\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"empty line", "\r\n", PARSE_BAD, 0, "", "", 0, 0},
        {"LF", "\n", PARSE_BAD, 0, "", "", 0, 0},
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
            if (result == PARSE_BAD)
                assert_row(rows[i].name, reply.code == 0);
            if (result != PARSE_DONE)
                continue;
            assert_row(rows[i].name, reply.code == rows[i].code);
            assert_row(rows[i].name, strcmp(reply.enhanced, rows[i].enhanced) == 0);
            assert_row(rows[i].name, slice_eq(reply.text, slice_str(rows[i].text)));
            assert_row(rows[i].name, reply.n_lines == rows[i].n_lines);
            assert_row(rows[i].name, in.n - used == rows[i].rest);
            assert_row(rows[i].name, smtp_reply_is_between(&p));
        }
    }
}

static void test_any_byte_is_text(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        unsigned char in[] = {'2', '5', '0', ' ', 'a', (unsigned char)c, 'b', '\r', '\n'};
        struct smtp_reply_parser p;
        struct smtp_reply reply;
        size_t used;

        if (c == '\n')
            continue;
        for (size_t step = 1; step <= sizeof(in); step += sizeof(in) - 1) {
            assert_int_equal(feed(&p, slice_make(in, sizeof(in)), step, &used, &reply), PARSE_DONE);
            assert_true(slice_eq(reply.text, slice_make(in + 4, 3)));
        }
    }
}

static void add_x(struct buf *b, size_t n)
{
    while (n-- > 0)
        assert_int_equal(buf_add_byte(b, 'x'), 0);
}

/* With both line ends; beyond the limit it is no reply, and the code is known all the same. */
static void test_line_limit(void **state)
{
    static const char *const ends[] = {"\r\n", "\n"};

    (void)state;
    assert_int_equal(SMTP_REPLY_LINE_MAX, 8192);
    for (size_t e = 0; e < COUNT_OF(ends); e++) {
        for (size_t n = SMTP_REPLY_LINE_MAX - 1; n <= SMTP_REPLY_LINE_MAX + 1; n++) {
            bool fits = n <= SMTP_REPLY_LINE_MAX;
            struct smtp_reply_parser p;
            struct smtp_reply reply;
            struct buf line;
            size_t used;

            buf_init(&line, 10000);
            assert_int_equal(buf_add_str(&line, "550 5.7.1 "), 0);
            add_x(&line, n - 10 - strlen(ends[e]));
            assert_int_equal(buf_add_str(&line, ends[e]), 0);
            for (size_t step = 1; step <= n; step += n - 1) {
                assert_int_equal(
                    feed(&p, buf_slice(&line), step, &used, &reply), fits ? PARSE_DONE : PARSE_BAD);
                assert_int_equal(reply.code, 550);
                assert_string_equal(reply.enhanced, "5.7.1");
                assert_int_equal(reply.text.n, SMTP_REPLY_TEXT_MAX - 6);
                assert_int_equal(used, fits ? n : SMTP_REPLY_LINE_MAX + 1);
            }
            buf_fini(&line);
        }
    }
}

static void test_lines_limit(void **state)
{
    (void)state;
    assert_int_equal(SMTP_REPLY_LINES_MAX, 1000);
    for (size_t n = SMTP_REPLY_LINES_MAX - 1; n <= SMTP_REPLY_LINES_MAX + 1; n++) {
        struct smtp_reply_parser p;
        struct smtp_reply reply;
        struct buf b;
        size_t used;

        buf_init(&b, 20000);
        for (size_t i = 1; i < n; i++)
            assert_int_equal(buf_add_str(&b, i % 2 ? "250-x\r\n" : "250-x\n"), 0);
        assert_int_equal(buf_add_str(&b, "250 x\r\n"), 0);
        for (size_t step = 1; step <= 1000; step += 999) {
            assert_int_equal(feed(&p, buf_slice(&b), step, &used, &reply),
                n <= SMTP_REPLY_LINES_MAX ? PARSE_DONE : PARSE_BAD);
            assert_int_equal(reply.code, 250);
            assert_int_equal(reply.n_lines, n <= SMTP_REPLY_LINES_MAX ? n : SMTP_REPLY_LINES_MAX);
        }
        buf_fini(&b);
    }
}

/* Lines without a code count too: nobody is listened to for ever. */
static void test_junk_lines_limit(void **state)
{
    struct smtp_reply_parser p;
    struct smtp_reply reply;
    struct buf b;
    size_t used;

    (void)state;
    buf_init(&b, 20000);
    assert_int_equal(buf_add_str(&b, "250-x\r\n"), 0);
    for (size_t i = 1; i < SMTP_REPLY_LINES_MAX; i++)
        assert_int_equal(buf_add_str(&b, "junk\r\n"), 0);
    assert_int_equal(feed(&p, buf_slice(&b), 100, &used, &reply), PARSE_BAD);
    assert_int_equal(used, b.n);
    buf_fini(&b);
    buf_init(&b, 20000);
    assert_int_equal(buf_add_str(&b, "250-x\r\n"), 0);
    add_x(&b, SMTP_REPLY_LINE_MAX + 1);
    assert_int_equal(feed(&p, buf_slice(&b), 100, &used, &reply), PARSE_BAD);
    assert_int_equal(used, b.n);
    buf_fini(&b);
}

/* The text of all lines, LF between them included; what does not fit is not kept. */
static void test_text_limit(void **state)
{
    (void)state;
    for (size_t n = SMTP_REPLY_TEXT_MAX - 2; n <= SMTP_REPLY_TEXT_MAX + 600; n++) {
        struct smtp_reply_parser p;
        struct smtp_reply reply;
        struct buf b;
        size_t used, left = n;

        buf_init(&b, 10000);
        while (left > 0) {
            size_t len = left > 500 ? 499 : left;
            assert_int_equal(buf_add_str(&b, left > 500 ? "250-" : "250 "), 0);
            add_x(&b, len);
            assert_int_equal(buf_add_str(&b, "\r\n"), 0);
            left -= left > 500 ? 500 : left;
        }
        assert_int_equal(feed(&p, buf_slice(&b), 10000, &used, &reply), PARSE_DONE);
        /* The CR of a line is no text, and has its place there until LF comes. */
        assert_int_equal(reply.text.n, n < SMTP_REPLY_TEXT_MAX ? n : SMTP_REPLY_TEXT_MAX);
        assert_int_equal(used, b.n);
        buf_fini(&b);
    }
}

/* Each line is told as it ends, its head at least. */
static void test_each_line(void **state)
{
    static const char in[] = "250-first\r\n250-SIZE 77\n250\r\n";
    static const char *const lines[] = {"first", "SIZE 77", ""};

    (void)state;
    for (size_t step = 1; step <= sizeof(in); step += sizeof(in) - 1) {
        struct smtp_reply_parser p;
        struct smtp_reply reply;
        size_t at = 0, used, n = 0;

        smtp_reply_init(&p);
        while (at < sizeof(in) - 1) {
            (void)smtp_reply_feed(&p, slice_sub(slice_str(in), at, step), &used, &reply);
            at += used;
            if (reply.line.p == NULL)
                continue;
            assert_true(n < 3 && slice_eq(reply.line, slice_str(lines[n])));
            assert_int_equal(reply.n_lines, ++n);
        }
        assert_int_equal(n, 3);
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
        cmocka_unit_test(test_any_byte_is_text),
        cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_lines_limit),
        cmocka_unit_test(test_junk_lines_limit),
        cmocka_unit_test(test_text_limit),
        cmocka_unit_test(test_each_line),
        cmocka_unit_test(test_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
