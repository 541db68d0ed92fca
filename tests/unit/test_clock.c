/* SPDX-License-Identifier: ISC */
#include "base/core/clock.h"
#include "tests/unit/unit.h"

static void test_formats(void **state)
{
    static const struct {
        int64_t wall_s;
        const char *utc, *rfc5322;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z", "Thu, 1 Jan 1970 00:00:00 +0000"},
        {951782400, "2000-02-29T00:00:00Z", "Tue, 29 Feb 2000 00:00:00 +0000"},
        {1793611800, "2026-11-02T09:30:00Z", "Mon, 2 Nov 2026 09:30:00 +0000"},
        {4102444799, "2099-12-31T23:59:59Z", "Thu, 31 Dec 2099 23:59:59 +0000"},
        {-1, "1969-12-31T23:59:59Z", "Wed, 31 Dec 1969 23:59:59 +0000"},
        {253402300799, "9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 +0000"},
        {253402300800, "1970-01-01T00:00:00Z", "Thu, 1 Jan 1970 00:00:00 +0000"},
        {INT64_MAX, "1970-01-01T00:00:00Z", "Thu, 1 Jan 1970 00:00:00 +0000"},
        {INT64_MIN, "1970-01-01T00:00:00Z", "Thu, 1 Jan 1970 00:00:00 +0000"},
    };
    char utc[32], rfc5322[48];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        clock_format_utc(rows[i].wall_s, utc);
        clock_format_rfc5322(rows[i].wall_s, rfc5322);
        assert_string_equal(utc, rows[i].utc);
        assert_string_equal(rfc5322, rows[i].rfc5322);
    }
}

static void test_parse_utc(void **state)
{
    static const struct {
        const char *text;
        int64_t wall_s;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-02T09:30:00Z", 1793611800},
        {"2000-02-29", 951782400},
        {"9999-12-31T23:59:59Z", 253402300799},
        {"2026-02-29", -1},
        {"2026-13-01", -1},
        {"2026-00-10", -1},
        {"2026-11-02T24:00:00Z", -1},
        {"2026-11-02T09:30:60Z", -1},
        {"1969-12-31T23:59:59Z", -1},
        {"2026-11-02T09:30:00", -1},
        {"2026-11-02 09:30:00Z", -1},
        {"2026-11-02T09:30:00z", -1},
        {"2026-1-02T09:30:00Z0", -1},
        {"2026-11-0x", -1},
        {"20261102", -1},
        {"", -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t got = -1;
        int rc = clock_parse_utc(slice_str(rows[i].text), &got);
        assert_row(rows[i].text, rc == (rows[i].wall_s < 0 ? -1 : 0) && got == rows[i].wall_s);
    }
}

static void test_now(void **state)
{
    uint64_t ns = clock_mono_ns();

    (void)state;
    assert_true(clock_mono_ns() >= ns);
    assert_true(clock_mono_ms() >= ns / 1000000);
    assert_true(clock_wall_s() > 1700000000);
    assert_true(clock_wall_ms() / 1000 >= clock_wall_s() - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_parse_utc),
        cmocka_unit_test(test_now),
    };

    return cmocka_run_group_tests_name("clock", tests, NULL, NULL);
}
