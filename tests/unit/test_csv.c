/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "maps/format/csv.h"
#include "tests/unit/unit.h"

#define TEXT_MAX 600000

/* Rows as text: cells in brackets, "N:" with the line in front. */
static int on_row(
    void *arg, size_t line, const struct slice *cells, size_t n_cells, struct err *err)
{
    (void)err;
    struct buf *out = arg;
    assert_int_equal(buf_addf(out, "%zu:", line), 0);
    for (size_t i = 0; i < n_cells; i++) {
        assert_int_equal(buf_add_byte(out, '['), 0);
        assert_int_equal(buf_add(out, cells[i]), 0);
        assert_int_equal(buf_add_byte(out, ']'), 0);
    }
    return 0;
}

static int read_csv(struct slice in, size_t step, struct buf *out, struct err *err)
{
    struct csv csv;
    int rc = 0;
    csv_init(&csv, on_row, out);
    for (size_t i = 0; i < in.n && rc == 0; i += step)
        rc = csv_feed(&csv, slice_sub(in, i, step), err);
    if (rc == 0)
        rc = csv_finish(&csv, err);
    csv_fini(&csv);
    return rc;
}

struct row {
    const char *name, *in, *want; /* want begins with "!": the error */
};

static const struct row ROWS[] = {
    {"nothing", "", ""},
    {"one cell", "a", "1:[a]"},
    {"two cells", "a,b\n", "1:[a][b]"},
    {"semicolon decides", "a;b,c\nd;e\n", "1:[a][b,c]2:[d][e]"},
    {"comma decides", "a,b;c\n", "1:[a][b;c]"},
    {"tab decides", "a\tb\n", "1:[a][b]"},
    {"separator in a later row", "a\nb;c\n", "1:[a]2:[b][c]"},
    {"line ends", "a\r\nb\rc\nd", "1:[a]2:[b]3:[c]4:[d]"},
    {"empty lines", "\n\r\n \na\n\n", "4:[a]"},
    {"empty cells", ",\n,,\n", "1:[][]2:[][][]"},
    {"blanks", "  a b , c\t,d  \n", "1:[a b][c][d]"},
    {"quotes", "\"a,b\",\"c\"\"d\"\n", "1:[a,b][c\"d]"},
    {"quoted blanks stay", "\" a \"\n", "1:[ a ]"},
    {"blanks around quotes", " \"a\" ,b\n", "1:[a][b]"},
    {"quoted line end", "\"a\nb\",c\nd\n", "1:[a\nb][c]3:[d]"},
    {"quoted crlf", "\"a\r\nb\"\r\nc\n", "1:[a\r\nb]3:[c]"},
    {"quoted separator does not decide", "\"a,b\";c\n", "1:[a,b][c]"},
    {"empty quoted cell is a row", "\"\"\n", "1:[]"},
    {"quoted at the end", "\"a\"", "1:[a]"},
    {"quote inside", "a\"b\n", "1:[a\"b]"},
    {"byte order mark",
        "\xef\xbb\xbf"
        "a,b\n",
        "1:[a][b]"},
    {"mark and quote", "\xef\xbb\xbf\"a\"\n", "1:[a]"},
    {"two marks", "\xef\xbb\xbf\xef\xbb\xbfz\n", "1:[z]"},
    {"marks where files were joined",
        "\xef\xbb\xbf"
        "y\r\n\xef\xbb\xbf\"z\"\n\xef\xbb\xbfx\n",
        "1:[y]2:[z]3:[x]"},
    {"a mark elsewhere is text", "z\xef\xbb\xbf,\xef\xbb\xbfy\n",
        "1:[z\xef\xbb\xbf][\xef\xbb\xbfy]"},
    {"not quite a mark", "\xef\xbb\xbe\n", "1:[\xef\xbb\xbe]"},
    {"first bytes of a mark", "\xef\xbb",
        "!line 1: this is not UTF-8 text: save the file as UTF-8"},
    {"no mark in the middle", "\xc2\xbb\xbf\n",
        "!line 1: this is not UTF-8 text: save the file as UTF-8"},
    {"Excel names its separator", "sep=;\na;b,c\n", "2:[a][b,c]"},
    {"a comma named", "\xef\xbb\xbfSEP=,\r\na;b\n", "2:[a;b]"},
    {"another separator named", "sep=|\na|b,c;d\n", "2:[a][b,c;d]"},
    {"sep= is for the first line", "a\nsep=;\n", "1:[a]2:[sep=][]"},
    {"no separator named", "sep=\na\n", "1:[sep=]2:[a]"},
    {"two characters are none", "sep=ab\n", "1:[sep=ab]"},
    {"umlauts", "M\xc3\xbcller\n", "1:[M\xc3\xbcller]"},
    {"latin 1", "a\nM\xfcller\n", "!line 2: this is not UTF-8 text: save the file as UTF-8"},
    {"overlong", "\xc0\xaf\n", "!line 1: this is not UTF-8 text: save the file as UTF-8"},
    {"overlong three", "\xe0\x80\xaf\n", "!line 1: this is not UTF-8 text: save the file as UTF-8"},
    {"surrogate", "\xed\xa0\x80\n", "!line 1: this is not UTF-8 text: save the file as UTF-8"},
    {"four bytes", "\xf0\x9f\x90\x98\n", "1:[\xf0\x9f\x90\x98]"},
    {"too high", "\xf4\x90\x80\x80\n", "!line 1: this is not UTF-8 text: save the file as UTF-8"},
    {"behind a quote", "a\n\"b\"c\n", "!line 2: text behind a closing quote"},
    {"never closes", "a\n\"b\nc\n", "!line 2: a quote opens in this row and never closes"},
};

static void check(const struct row *row, size_t step)
{
    struct slice in = slice_str(row->in);
    struct err err = ERR_INIT;
    struct buf out;
    buf_init(&out, TEXT_MAX);
    int rc = read_csv(in, step ? step : in.n + 1, &out, &err);
    if (row->want[0] == '!') {
        assert_row(row->name, rc == -1);
        assert_string_equal(err.text, row->want + 1);
    } else {
        if (rc != 0)
            fail_msg("row '%s': %s", row->name, err.text);
        assert_string_equal(buf_cstr(&out), row->want);
    }
    buf_fini(&out);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        check(&ROWS[i], 0);
        check(&ROWS[i], 1);
    }
}

static void test_nul(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    struct buf out;
    buf_init(&out, TEXT_MAX);
    assert_int_equal(read_csv(slice_make("a\0b\n", 4), 4, &out, &err), -1);
    buf_fini(&out);
}

/* A row of n bytes of text. */
static int read_long_row(size_t n)
{
    struct err err = ERR_INIT;
    struct buf in, out;
    buf_init(&in, TEXT_MAX);
    buf_init(&out, TEXT_MAX);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(buf_add_byte(&in, 'x'), 0);
    assert_int_equal(buf_add_byte(&in, '\n'), 0);
    int rc = read_csv(buf_slice(&in), 1000, &out, &err);
    if (rc != 0)
        assert_string_equal(err.text, "line 1: the row is longer than 262144 bytes");
    buf_fini(&in);
    buf_fini(&out);
    return rc;
}

static int read_many_cells(size_t n)
{
    struct err err = ERR_INIT;
    struct buf in, out;
    buf_init(&in, TEXT_MAX);
    buf_init(&out, TEXT_MAX);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(buf_add_str(&in, i ? ",x" : "x"), 0);
    int rc = read_csv(buf_slice(&in), 1000, &out, &err);
    if (rc != 0)
        assert_string_equal(err.text, "line 1: more than 1024 cells");
    buf_fini(&in);
    buf_fini(&out);
    return rc;
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(read_long_row(CSV_ROW_MAX - 1), 0);
    assert_int_equal(read_long_row(CSV_ROW_MAX), 0);
    assert_int_equal(read_long_row(CSV_ROW_MAX + 1), -1);
    assert_int_equal(read_many_cells(CSV_CELLS_MAX - 1), 0);
    assert_int_equal(read_many_cells(CSV_CELLS_MAX), 0);
    assert_int_equal(read_many_cells(CSV_CELLS_MAX + 1), -1);
}

/* What is written reads back as it was. */
static void test_write(void **state)
{
    (void)state;
    static const char *const CELLS[] = {"", "a", "a b", " a", "a ", "a,b", "a;b", "a\tb", "\"a\"",
        "a\"b", "a\nb", "a\r\nb", "M\xc3\xbcller", "\"\""};
    struct err err = ERR_INIT;
    struct buf line, want, got;
    buf_init(&line, TEXT_MAX);
    buf_init(&want, TEXT_MAX);
    buf_init(&got, TEXT_MAX);
    assert_int_equal(buf_add_str(&line, "first"), 0);
    assert_int_equal(buf_add_str(&want, "1:[first]"), 0);
    for (size_t i = 0; i < COUNT_OF(CELLS); i++) {
        assert_int_equal(buf_add_byte(&line, ','), 0);
        assert_int_equal(csv_write(&line, slice_str(CELLS[i])), 0);
        assert_int_equal(buf_addf(&want, "[%s]", CELLS[i]), 0);
    }
    /* What looks like a byte order mark at the start of a row. */
    assert_int_equal(buf_add_str(&line, "\nb\n"), 0);
    assert_int_equal(csv_write(&line, SLICE_LIT("\xef\xbb\xbfy")), 0);
    assert_int_equal(buf_add_str(&want, "4:[b]5:[\xef\xbb\xbfy]"), 0);
    assert_int_equal(read_csv(buf_slice(&line), 1, &got, &err), 0);
    assert_string_equal(buf_cstr(&got), buf_cstr(&want));
    buf_fini(&line);
    buf_fini(&want);
    buf_fini(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
