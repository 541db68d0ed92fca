/* SPDX-License-Identifier: ISC */
#include "relay/data_codec.h"
#include "tests/unit/unit.h"

/* One wire text to its end in steps; returns whether the end came, and how much was used. */
static enum parse decode(
    struct slice in, size_t step, struct buf *out, unsigned *faults_out, size_t *used_out)
{
    struct data_decoder d;
    enum parse result = PARSE_MORE;
    size_t at = 0;

    data_decoder_init(&d);
    buf_clear(out);
    while (at < in.n && result == PARSE_MORE) {
        size_t used = 0;
        struct slice piece = slice_sub(in, at, step);
        result = data_decode(&d, piece, &used, out);
        at += used;
        if (result == PARSE_MORE)
            assert_int_equal(used, piece.n);
    }
    *faults_out = d.faults;
    *used_out = at;
    return result;
}

#define ROW(name, text, end, canonical, faults)                                                    \
    {                                                                                              \
        name, {(const unsigned char *)(text), sizeof(text) - 1}, end,                              \
            {(const unsigned char *)(canonical), sizeof(canonical) - 1}, faults                    \
    }

static const struct row {
    const char *name;
    struct slice in;
    bool is_end;
    struct slice canonical;
    unsigned faults;
} rows[] = {
    ROW("empty message", ".\r\n", true, "", 0),
    ROW("one line", "a\r\n.\r\n", true, "a\r\n", 0),
    ROW("dots", "..\r\n..a\r\na.\r\n.b\r\n.\r\n", true, ".\r\n.a\r\na.\r\nb\r\n", 0),
    ROW("empty lines", "\r\n\r\n.\r\n", true, "\r\n\r\n", 0),
    ROW("not ended", "a\r\n", false, "a\r\n", 0),
    ROW("CR held back", "a\r", false, "a", 0),
    /* The forms by which mail is smuggled: none of them ends a message. */
    ROW("LF . LF", "a\n.\nb", false, "a\r\n.\r\nb", DATA_BARE_LF),
    ROW("LF . CRLF", "a\n.\r\nb", false, "a\r\n.\r\nb", DATA_BARE_LF),
    ROW("CRLF . LF", "a\r\n.\nb", false, "a\r\n\r\nb", DATA_BARE_LF),
    ROW("CR . CR", "a\r.\rb", false, "a.b", DATA_BARE_CR),
    ROW("CR . LF", "a\r.\nb", false, "a.\r\nb", DATA_BARE_CR | DATA_BARE_LF),
    ROW("LF . CR", "a\n.\rb", false, "a\r\n.b", DATA_BARE_LF | DATA_BARE_CR),
    ROW("CR . CRLF", "a\r.\r\nb", false, "a.\r\nb", DATA_BARE_CR),
    ROW("CRLF . CR", "a\r\n.\rb", false, "a\r\nb", DATA_BARE_CR),
    ROW("CRLF NUL . CRLF", "a\r\n\0.\r\nb", false, "a\r\n\0.\r\nb", DATA_NUL),
    ROW("CRLF . NUL CRLF", "a\r\n.\0\r\nb", false, "a\r\n\0\r\nb", DATA_NUL),
    ROW("CRLF . CR CRLF", "a\r\n.\r\r\nb", false, "a\r\n\r\nb", DATA_BARE_CR),
    ROW("CR CRLF . CR CRLF", "a\r\r\n.\r\r\nb", false, "a\r\n\r\nb", DATA_BARE_CR),
    ROW("LF dot dot", "a\n..\r\nb\r\n.\r\n", true, "a\r\n..\r\nb\r\n", DATA_BARE_LF),
    ROW("8-bit", "\xff\xc3\xa4\r\n.\r\n", true, "\xff\xc3\xa4\r\n", 0),
};

static void test_decode(void **state)
{
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t step = 1; step <= rows[i].in.n; step++) {
            unsigned faults = 0;
            size_t used = 0;
            enum parse result = decode(rows[i].in, step, &out, &faults, &used);

            assert_row(rows[i].name, result == (rows[i].is_end ? PARSE_DONE : PARSE_MORE));
            assert_row(rows[i].name, used == rows[i].in.n);
            assert_row(rows[i].name, slice_eq(buf_slice(&out), rows[i].canonical));
            assert_row(rows[i].name, faults == rows[i].faults);
        }
    }
    buf_fini(&out);
}

/* What follows the end belongs to the next command, its NUL included. */
static void test_stops_at_end(void **state)
{
    struct buf out;
    unsigned faults = 0;
    size_t used = 0;
    struct slice in = SLICE_LIT("a\r\n.\r\n\0QUIT\n\r");

    (void)state;
    buf_init(&out, 1000);
    for (size_t step = 1; step <= in.n; step++) {
        assert_int_equal(decode(in, step, &out, &faults, &used), PARSE_DONE);
        assert_int_equal(used, 6);
        assert_int_equal(faults, 0);
    }
    buf_fini(&out);
}

static void test_full(void **state)
{
    struct buf out;
    struct data_decoder d;
    struct data_encoder e;
    size_t used = 1;

    (void)state;
    for (size_t max = 8; max <= 10; max++) {
        buf_init(&out, max);
        data_decoder_init(&d);
        assert_int_equal(
            data_decode(&d, SLICE_LIT("abcd"), &used, &out), max < 9 ? PARSE_BAD : PARSE_MORE);
        assert_int_equal(used, max < 9 ? 0 : 4);
        buf_fini(&out);
    }
    for (size_t max = 6; max <= 8; max++) {
        buf_init(&out, max);
        data_encoder_init(&e);
        assert_int_equal(data_encode(&e, SLICE_LIT("abcd"), &out), max < 7 ? -1 : 0);
        buf_fini(&out);
    }
}

static void test_encode(void **state)
{
    static const struct {
        const char *name, *in, *wire;
    } table[] = {
        {"plain", "a\r\n", "a\r\n"},
        {"dot first", ".\r\n", "..\r\n"},
        {"dots", "..\r\n.a\r\na.\r\n", "...\r\n..a\r\na.\r\n"},
        {"empty", "", ""},
        {"empty line", "\r\n.\r\n", "\r\n..\r\n"},
    };
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        struct slice in = slice_str(table[i].in);
        for (size_t step = 1; step <= in.n + 1; step++) {
            struct data_encoder e;
            data_encoder_init(&e);
            buf_clear(&out);
            for (size_t at = 0; at < in.n; at += step)
                assert_int_equal(data_encode(&e, slice_sub(in, at, step), &out), 0);
            assert_row(table[i].name, slice_eq(buf_slice(&out), slice_str(table[i].wire)));
        }
    }
    buf_fini(&out);
}

/* Lines around every length that somebody once took for a buffer size. */
static void test_long_lines(void **state)
{
    static const size_t lengths[] = {510, 511, 512, 997, 998, 999, 1000, 1001, 65535, 65536};
    struct buf text, wire, back;

    (void)state;
    buf_init(&text, 1 << 20);
    buf_init(&wire, 1 << 20);
    buf_init(&back, 1 << 20);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct data_encoder e;
        unsigned faults;
        size_t used;

        buf_clear(&text);
        buf_clear(&wire);
        for (size_t n = 0; n < lengths[i]; n++)
            assert_int_equal(buf_add_byte(&text, '.'), 0);
        assert_int_equal(buf_add_str(&text, "\r\n"), 0);
        data_encoder_init(&e);
        assert_int_equal(data_encode(&e, buf_slice(&text), &wire), 0);
        assert_int_equal(wire.n, text.n + 1);
        assert_int_equal(buf_add_str(&wire, ".\r\n"), 0);
        assert_int_equal(decode(buf_slice(&wire), 4096, &back, &faults, &used), PARSE_DONE);
        assert_true(slice_eq(buf_slice(&back), buf_slice(&text)));
    }
    buf_fini(&text);
    buf_fini(&wire);
    buf_fini(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),
        cmocka_unit_test(test_stops_at_end),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_encode),
        cmocka_unit_test(test_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
