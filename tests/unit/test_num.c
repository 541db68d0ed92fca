/* SPDX-License-Identifier: ISC */
#include "base/core/num.h"
#include "tests/unit/unit.h"

static void test_decimal(void **state)
{
    static const struct {
        const char *text;
        uint64_t min, max;
        int rc;
        uint64_t value;
    } rows[] = {
        {"0", 0, 10, 0, 0},
        {"007", 0, 10, 0, 7},
        {"4", 5, 10, -1, 0},
        {"5", 5, 10, 0, 5},
        {"10", 5, 10, 0, 10},
        {"11", 5, 10, -1, 0},
        {"18446744073709551615", 0, UINT64_MAX, 0, UINT64_MAX},
        {"18446744073709551616", 0, UINT64_MAX, -1, 0},
        {"99999999999999999999999", 0, UINT64_MAX, -1, 0},
        {"", 0, 10, -1, 0},
        {"-1", 0, 10, -1, 0},
        {"+1", 0, 10, -1, 0},
        {" 1", 0, 10, -1, 0},
        {"1 ", 0, 10, -1, 0},
        {"1x", 0, 10, -1, 0},
        {"0x1", 0, 10, -1, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t v = 42;

        assert_row(rows[i].text,
            num_u64(slice_str(rows[i].text), rows[i].min, rows[i].max, &v) == rows[i].rc);
        assert_row(rows[i].text, v == (rows[i].rc == 0 ? rows[i].value : 42));
    }
}

static void test_u32(void **state)
{
    uint32_t v = 1;

    (void)state;
    assert_int_equal(num_u32(SLICE_LIT("4294967295"), 0, UINT32_MAX, &v), 0);
    assert_true(v == UINT32_MAX);
    assert_int_equal(num_u32(SLICE_LIT("4294967296"), 0, UINT32_MAX, &v), -1);
    assert_int_equal(num_u32(SLICE_NONE, 0, UINT32_MAX, &v), -1);
    assert_true(v == UINT32_MAX);
}

static void test_hex(void **state)
{
    unsigned char out[3] = {0};

    (void)state;
    assert_int_equal(num_hex(SLICE_LIT("00aBf9"), out, 3), 0);
    assert_memory_equal(out, "\x00\xab\xf9", 3);
    assert_int_equal(num_hex(SLICE_LIT("00aBf"), out, 3), -1);
    assert_int_equal(num_hex(SLICE_LIT("00aBf900"), out, 3), -1);
    assert_int_equal(num_hex(SLICE_LIT("00aBfg"), out, 3), -1);
    assert_int_equal(num_hex(SLICE_LIT(""), out, 0), 0);
}

static void test_units(void **state)
{
    static const struct {
        const char *text;
        int duration_rc;
        uint64_t ms;
        int bytes_rc;
        uint64_t bytes;
    } rows[] = {
        {"0", 0, 0, 0, 0},
        {"20", 0, 20000, 0, 20},
        {"250ms", 0, 250, -1, 0},
        {"20s", 0, 20000, -1, 0},
        {"5m", 0, 300000, 0, 5U << 20},
        {"5M", 0, 300000, 0, 5U << 20},
        {"1h", 0, 3600000, -1, 0},
        {"7d", 0, 604800000, -1, 0},
        {"64k", -1, 0, 0, 65536},
        {"64K", -1, 0, 0, 65536},
        {"1G", -1, 0, 0, 1U << 30},
        {"18446744073709551615ms", 0, UINT64_MAX, -1, 0},
        {"18446744073709552s", -1, 0, -1, 0},
        {"17179869184g", -1, 0, -1, 0},
        {"17179869183g", -1, 0, 0, 17179869183U * (1ULL << 30)},
        {"", -1, 0, -1, 0},
        {"s", -1, 0, -1, 0},
        {"k", -1, 0, -1, 0},
        {"1 s", -1, 0, -1, 0},
        {"1.5h", -1, 0, -1, 0},
        {"-1s", -1, 0, -1, 0},
        {"1ss", -1, 0, -1, 0},
        {"1kb", -1, 0, -1, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint64_t v = 42;

        assert_row(
            rows[i].text, num_duration_ms(slice_str(rows[i].text), &v) == rows[i].duration_rc);
        assert_row(rows[i].text, v == (rows[i].duration_rc == 0 ? rows[i].ms : 42));
        v = 42;
        assert_row(rows[i].text, num_bytes(slice_str(rows[i].text), &v) == rows[i].bytes_rc);
        assert_row(rows[i].text, v == (rows[i].bytes_rc == 0 ? rows[i].bytes : 42));
    }
}

static void test_checked_arithmetic(void **state)
{
    size_t v;

    (void)state;
    assert_false(num_add_overflows(SIZE_MAX - 1, 1, &v));
    assert_true(num_add_overflows(SIZE_MAX, 1, &v));
    assert_false(num_mul_overflows(SIZE_MAX / 2, 2, &v));
    assert_true(num_mul_overflows(SIZE_MAX / 2 + 1, 2, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal),
        cmocka_unit_test(test_u32),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_units),
        cmocka_unit_test(test_checked_arithmetic),
    };

    return cmocka_run_group_tests_name("num", tests, NULL, NULL);
}
