/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "tests/unit/unit.h"

static void test_compare(void **state)
{
    (void)state;
    assert_true(slice_eq(SLICE_LIT("ab"), SLICE_LIT("ab")));
    assert_false(slice_eq(SLICE_LIT("ab"), SLICE_LIT("aB")));
    assert_true(slice_eq(SLICE_NONE, SLICE_LIT("")));
    assert_true(slice_eq_nocase(SLICE_LIT("RCPT to"), SLICE_LIT("rcpt TO")));
    /* Only ASCII letters fold: bytes that differ by 32 elsewhere stay different. */
    assert_false(slice_eq_nocase(SLICE_LIT("@"), SLICE_LIT("`")));
    assert_false(slice_eq_nocase(SLICE_LIT("\xc4"), SLICE_LIT("\xe4")));
    assert_true(slice_starts(SLICE_LIT("abc"), SLICE_LIT("ab")));
    assert_true(slice_starts(SLICE_LIT("abc"), SLICE_LIT("")));
    assert_false(slice_starts(SLICE_LIT("a"), SLICE_LIT("ab")));
    assert_true(slice_starts_nocase(SLICE_LIT("MAIL FROM:<>"), SLICE_LIT("mail from:")));
    assert_true(slice_ends_nocase(SLICE_LIT("a@Example.ORG"), SLICE_LIT("@example.org")));
    assert_false(slice_ends_nocase(SLICE_LIT("org"), SLICE_LIT("example.org")));
}

static void test_order(void **state)
{
    static const char *const rising[] = {"", "a", "a\1", "a b", "aa", "ab", "b", "\xc3\xa4"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rising); i++) {
        for (size_t k = 0; k < COUNT_OF(rising); k++) {
            int order = slice_order(slice_str(rising[i]), slice_str(rising[k]));
            assert_int_equal((order > 0) - (order < 0), (i > k) - (i < k));
        }
    }
    assert_int_equal(slice_order(SLICE_NONE, SLICE_LIT("")), 0);
}

static void test_parts(void **state)
{
    (void)state;
    assert_slice_equal(slice_sub(SLICE_LIT("abcdef"), 2, 3), "cde");
    assert_slice_equal(slice_sub(SLICE_LIT("abc"), 2, 30), "c");
    assert_slice_equal(slice_sub(SLICE_LIT("abc"), 9, 1), "");
    assert_slice_equal(slice_sub(SLICE_NONE, 9, 1), "");
    assert_slice_equal(slice_trim(SLICE_LIT(" \t a b \t")), "a b");
    assert_slice_equal(slice_trim(SLICE_LIT(" \t ")), "");
    assert_slice_equal(slice_trim(SLICE_LIT("\r\n")), "\r\n");
}

static void test_find(void **state)
{
    (void)state;
    assert_int_equal(slice_find(SLICE_LIT("a@b@c"), '@'), 1);
    assert_int_equal(slice_rfind(SLICE_LIT("a@b@c"), '@'), 3);
    assert_int_equal(slice_find(SLICE_LIT("abc"), '@'), -1);
    assert_int_equal(slice_find(SLICE_NONE, '@'), -1);
    assert_int_equal(slice_rfind(SLICE_NONE, '@'), -1);
    assert_int_equal(slice_search(SLICE_LIT("ab\r\n.\r\n"), SLICE_LIT("\r\n.")), 2);
    assert_int_equal(slice_search(SLICE_LIT("ab"), SLICE_LIT("abc")), -1);
    assert_int_equal(slice_search(SLICE_NONE, SLICE_LIT("x")), -1);
    assert_int_equal(slice_search(SLICE_NONE, SLICE_NONE), 0);
}

static void test_split(void **state)
{
    static const struct {
        const char *in;
        const char *parts[5];
    } rows[] = {
        {"a,b", {"a", "b"}},
        {"", {""}},
        {",", {"", ""}},
        {"a,", {"a", ""}},
        {"a,,b", {"a", "", "b"}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice rest = slice_str(rows[i].in), part;
        size_t n = 0;

        while (slice_split(&rest, ',', &part)) {
            assert_row(rows[i].in, rows[i].parts[n] != NULL);
            assert_row(rows[i].in, slice_eq(part, slice_str(rows[i].parts[n])));
            n++;
        }
        assert_row(rows[i].in, rows[i].parts[n] == NULL);
    }
}

static void test_dup(void **state)
{
    char *copy = slice_dup(SLICE_LIT("abc"));

    (void)state;
    assert_string_equal(copy, "abc");
    free(copy);
    copy = slice_dup(SLICE_NONE);
    assert_string_equal(copy, "");
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_dup),
    };

    return cmocka_run_group_tests_name("slice", tests, NULL, NULL);
}
