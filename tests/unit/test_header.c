/* SPDX-License-Identifier: ISC */
#include "base/mail/header.h"
#include "tests/unit/unit.h"

static void test_end(void **state)
{
    static const struct {
        const char *name, *text;
        size_t end;
    } rows[] = {
        {"plain", "A: b\r\n\r\nbody", 8},
        {"empty body", "A: b\r\n\r\n", 8},
        {"no header", "\r\nbody\r\n", 2},
        {"two empty lines", "A: b\r\n\r\n\r\n", 8},
        {"folded", "A: b\r\n c\r\n\r\nx", 12},
        {"none yet", "A: b\r\n", 0},
        {"nothing", "", 0},
        {"half", "A: b\r\n\r", 0},
        {"LF does not count", "A: b\n\nx", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice text = slice_str(rows[i].text);
        size_t scanned = 0, end = 0;

        assert_row(rows[i].name, header_end(text, &scanned) == rows[i].end);
        scanned = 0;
        for (size_t n = 0; n <= text.n && end == 0; n++)
            end = header_end(slice_sub(text, 0, n), &scanned);
        assert_row(rows[i].name, end == rows[i].end);
    }
}

static void test_fields(void **state)
{
    struct slice rest =
        SLICE_LIT("garbage\r\nA: one\r\nB :two\r\n\tmore\r\n: empty\r\nbad name: x\r\n"
                  "C:\r\n");
    struct header_field f;

    (void)state;
    assert_true(header_next(&rest, &f));
    assert_true(slice_eq(f.name, SLICE_LIT("A")));
    assert_true(slice_eq(f.value, SLICE_LIT(" one\r\n")));
    assert_true(header_next(&rest, &f));
    assert_true(slice_eq(f.name, SLICE_LIT("B")));
    assert_true(slice_eq(f.value, SLICE_LIT("two\r\n\tmore\r\n")));
    assert_true(header_next(&rest, &f));
    assert_true(slice_eq(f.name, SLICE_LIT("C")));
    assert_true(slice_eq(f.value, SLICE_LIT("\r\n")));
    assert_false(header_next(&rest, &f));
    assert_false(header_next(&rest, &f));
}

/* Behind an empty line is no header, and lines may end with LF alone. */
static void test_ends(void **state)
{
    static const struct {
        const char *text;
        size_t fields;
    } rows[] = {
        {"A: b\r\n\r\nB: c\r\n", 1},
        {"A: b\n\nB: c\n", 1},
        {"\r\nA: b\r\n", 0},
        {"\nA: b\n", 0},
        {"A: b\n c\nB: d", 2},
        {" blank first\r\nA: b\r\n", 1},
        {"A: b\r\n \r\nB: c\r\n", 2},
        {"\rA: b\r\nB: c\r\n", 1},
        {"\r", 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice rest = slice_str(rows[i].text);
        struct header_field f;
        size_t n = 0;

        while (header_next(&rest, &f))
            n++;
        assert_row(rows[i].text, n == rows[i].fields);
    }
}

static void test_count_and_find(void **state)
{
    struct slice block = SLICE_LIT("Received: a\r\nX: Received: no\r\nRECEIVED: b\r\n"
                                   "Subject: Received\r\n Received: folded, no field\r\n\r\n");
    struct header_field f;

    (void)state;
    assert_int_equal(header_count(block, SLICE_LIT("received"), 100), 2);
    assert_int_equal(header_count(block, SLICE_LIT("received"), 1), 1);
    assert_int_equal(header_count(block, SLICE_LIT("receive"), 100), 0);
    assert_true(header_find(block, SLICE_LIT("subject"), &f));
    assert_true(slice_eq(f.name, SLICE_LIT("Subject")));
    assert_false(header_find(block, SLICE_LIT("To"), &f));
    assert_false(header_find(SLICE_NONE, SLICE_LIT("To"), &f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_count_and_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
