/* SPDX-License-Identifier: ISC */
#include "base/mail/uids.h"
#include "tests/unit/unit.h"

static void test_sets(void **state)
{
    static const struct {
        const char *set;
        int n; /* -1: invalid */
    } rows[] = {
        {"", 0},
        {"1", 1},
        {"1:3", 3},
        {"3:1", 3},
        {"1,5,9:11", 5},
        {"4294967295", 1},
        {"1:8", 8},
        {"1:9", -1},
        {"1:4294967295", -1},
        {"0", -1},
        {"1,", -1},
        {",1", -1},
        {"1:", -1},
        {"1:2:3", -1},
        {"*", -1},
        {"a", -1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint32_t uids[8];
        size_t n = 0;
        int r = uids_read(slice_str(rows[i].set), uids, COUNT_OF(uids), &n);
        assert_row(rows[i].set, r == (rows[i].n < 0 ? -1 : 0));
        assert_row(rows[i].set, rows[i].n < 0 || n == (size_t)rows[i].n);
    }
    struct buf b;
    static const uint32_t uids[] = {1, 2, 3, 7, 9, 10, UINT32_MAX};
    buf_init(&b, 100);
    assert_int_equal(uids_write(&b, uids, COUNT_OF(uids)), 0);
    assert_slice_equal(buf_slice(&b), "1:3,7,9:10,4294967295");
    buf_fini(&b);
    buf_init(&b, 6);
    assert_int_not_equal(uids_write(&b, uids, COUNT_OF(uids)), 0);
    assert_int_equal(b.n, 0);
    buf_fini(&b);
}

static void test_arrays(void **state)
{
    static const struct {
        const char *name;
        size_t n;
        uint32_t in[6];
        const char *sorted;
    } rows[] = {
        {"nothing", 0, {0}, ""},
        {"one", 1, {5}, "5"},
        {"in order", 3, {1, 2, 3}, "1:3"},
        {"the other way", 3, {3, 2, 1}, "1:3"},
        {"repeated", 6, {4, 4, 9, 4, 9, 9}, "4,9"},
        {"the largest", 4, {UINT32_MAX, 1, UINT32_MAX - 1, UINT32_MAX}, "1,4294967294:4294967295"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf b;
        uint32_t v[6];
        memcpy(v, rows[i].in, sizeof(v));
        size_t n = uids_sort(v, rows[i].n);
        buf_init(&b, 100);
        assert_row(rows[i].name, uids_write(&b, v, n) == 0);
        assert_slice_equal(buf_slice(&b), rows[i].sorted);
        buf_fini(&b);
        for (size_t k = 0; k < rows[i].n; k++)
            assert_row(rows[i].name, uids_have(v, n, rows[i].in[k]));
        assert_row(rows[i].name, !uids_have(v, n, 7));
    }
    assert_false(uids_have(NULL, 0, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sets), cmocka_unit_test(test_arrays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
