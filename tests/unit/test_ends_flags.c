/* SPDX-License-Identifier: ISC */
#include "base/core/buf.h"
#include "imapsync/ends/flags.h"
#include "imapsync/ends/date.h"
#include "tests/unit/unit.h"

static void test_flags(void **state)
{
    static const struct {
        const char *in, *out;
        size_t lost;
    } rows[] = {
        {"", "", 0},
        {"\\Seen", "\\Seen", 0},
        {"\\seen \\RECENT \\Answered \\X", "\\Answered \\Seen", 0},
        {"Work $Junk work", "Work $Junk", 0},
        {"a]b [c] d", "d", 2},
        {"\xc3\xa4", "", 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct keywords k = {0};
        struct flags f;
        struct buf b;
        buf_init(&b, 1000);
        assert_row(rows[i].in, flags_parse(slice_str(rows[i].in), &k, &f) == rows[i].lost);
        assert_row(rows[i].in, flags_format(&f, &k, &b) == 0);
        assert_row(rows[i].in, slice_eq(buf_slice(&b), slice_str(rows[i].out)));
        buf_fini(&b);
        keywords_fini(&k);
    }
}

static void test_flag_sets(void **state)
{
    struct keywords k = {0};
    struct flags a, b, r;
    (void)state;
    flags_parse(SLICE_LIT("\\Seen one two"), &k, &a);
    flags_parse(SLICE_LIT("\\Flagged two three"), &k, &b);
    r = flags_minus(&a, &b);
    flags_parse(SLICE_LIT("\\Seen one"), &k, &b);
    assert_true(flags_eq(&r, &b));
    r = flags_minus(&a, &a);
    assert_true(flags_empty(&r));
    r = flags_and(&a, &b);
    assert_true(flags_eq(&r, &b));
    keywords_fini(&k);
}

static void test_keyword_limits(void **state)
{
    struct keywords k = {0};
    struct flags f;
    struct buf name;
    (void)state;
    for (unsigned i = 0; i < KEYWORDS_MAX + 1; i++) {
        buf_init(&name, 100);
        assert_int_equal(buf_addf(&name, "k%u", i), 0);
        assert_int_equal(flags_parse(buf_slice(&name), &k, &f), i < KEYWORDS_MAX ? 0 : 1);
        buf_fini(&name);
    }
    keywords_fini(&k);
    for (size_t n = KEYWORD_NAME_MAX - 1; n <= KEYWORD_NAME_MAX + 1; n++) {
        buf_init(&name, 1000);
        memset(buf_reserve(&name, n), 'k', n);
        buf_commit(&name, n);
        assert_int_equal(keywords_bit(&k, buf_slice(&name)) >= 0, n <= KEYWORD_NAME_MAX);
        keywords_fini(&k);
        buf_fini(&name);
    }
}

static void test_dates(void **state)
{
    static const struct {
        const char *text;
        int64_t s;
        int zone;
    } rows[] = {
        {" 1-Jan-1970 00:00:00 +0000", 0, 0},
        {"17-Jul-1996 02:44:25 -0700", 837596665, -420},
        {"29-Feb-2020 12:00:00 +0530", 1582957800, 330},
        {"31-Dec-1969 23:59:59 +0000", -1, 0},
        {" 9-Sep-2001 01:46:40 +0000", 1000000000, 0},
        {"31-Dec-9999 23:59:59 -1130", 253402342199, -690},
    };
    static const char *const bad[] = {"", "1-Jan-1970 00:00:00", "01-Foo-1970 00:00:00 +0000",
        "00-Jan-1970 00:00:00 +0000", "32-Jan-1970 00:00:00 +0000", "01-Jan-1970 24:00:00 +0000",
        "01-Jan-1970 00:60:00 +0000", "01-Jan-1970 00:00:00 *0000", "01-Jan-19x0 00:00:00 +0000"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t s;
        int16_t zone;
        struct buf b;
        buf_init(&b, 100);
        assert_row(rows[i].text, date_parse(slice_str(rows[i].text), &s, &zone));
        assert_row(rows[i].text, s == rows[i].s && zone == rows[i].zone);
        assert_row(rows[i].text, date_format(s, zone, &b) == 0);
        assert_row(rows[i].text, slice_eq(buf_slice(&b), slice_str(rows[i].text)));
        buf_fini(&b);
    }
    int64_t s;
    int16_t zone;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_row(bad[i], !date_parse(slice_str(bad[i]), &s, &zone));
    /* No clock on earth is so far from UTC. */
    assert_true(date_parse(SLICE_LIT("02-Jan-1970 00:00:00 +2400"), &s, &zone));
    assert_true(s == 0 && zone == 0);
    /* Some servers leave the blank of a one-digit day out. */
    assert_true(date_parse(SLICE_LIT("1-Jan-1970 00:00:00 +0000"), &s, &zone));
    assert_int_equal(s, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_flag_sets),
        cmocka_unit_test(test_keyword_limits),
        cmocka_unit_test(test_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
