/* SPDX-License-Identifier: ISC */
#include "base/mail/uid_set.h"
#include "tests/unit/unit.h"

/* Written as a set is on the wire. */
static void assert_set(const struct uid_set *s, const char *text)
{
    struct buf b;
    uint32_t uids[200];
    size_t n = uid_set_some(s, 0, uids, COUNT_OF(uids));
    buf_init(&b, 1000);
    assert_int_equal(uids_write(&b, uids, n), 0);
    assert_string_equal(buf_cstr(&b), text);
    assert_int_equal(uid_set_size(s), n);
    assert_int_equal(uid_set_last(s), n > 0 ? uids[n - 1] : 0);
    buf_fini(&b);
}

static void test_orders(void **state)
{
    static const struct {
        const char *name;
        size_t n;
        uint32_t in[8];
        const char *out;
    } rows[] = {
        {"nothing", 0, {0}, ""},
        {"one", 1, {1}, "1"},
        {"the ends of blocks", 6, {31, 32, 63, 64, 95, 96}, "31:32,63:64,95:96"},
        {"the other way", 6, {96, 95, 64, 63, 32, 31}, "31:32,63:64,95:96"},
        {"to and fro", 8, {100, 1, 101, 2, 102, 3, 1, 100}, "1:3,100:102"},
        {"the largest", 3, {UINT32_MAX, 1, UINT32_MAX - 1}, "1,4294967294:4294967295"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct uid_set copy, s = uid_set_of(rows[i].in, rows[i].n);
        assert_set(&s, rows[i].out);
        for (size_t k = 0; k < rows[i].n; k++)
            assert_row(rows[i].name, uid_set_has(&s, rows[i].in[k]));
        /* From the end, in twos. */
        uint32_t last = 0, pair[2], all[8];
        size_t n_all = 0;
        for (size_t n; (n = uid_set_some_before(&s, last, pair, 2)) > 0; last = pair[0]) {
            assert_row(rows[i].name, n == 1 || pair[0] < pair[1]);
            for (size_t k = 0; k < n; k++)
                all[n_all++] = pair[k];
        }
        struct uid_set same = uid_set_of(all, n_all);
        assert_set(&same, rows[i].out);
        uid_set_fini(&same);
        assert_row(rows[i].name, !uid_set_has(&s, 7) && !uid_set_has(&s, 98));
        uid_set_copy(&copy, &s);
        assert_set(&copy, rows[i].out);
        uid_set_add(&copy, 4);
        uid_set_join(&copy);
        assert_row(rows[i].name, uid_set_has(&copy, 4) && !uid_set_has(&s, 4));
        uid_set_fini(&copy);
        uid_set_fini(&s);
    }
}

static void test_ranges(void **state)
{
    static const struct {
        struct uid_range in[2];
        const char *out;
    } rows[] = {{{{5, 5}, {7, 7}}, "5,7"}, {{{1, 31}, {32, 33}}, "1:33"},
        {{{30, 70}, {10, 40}}, "10:70"}, {{{64, 127}, {1, 63}}, "1:127"},
        {{{UINT32_MAX - 40, UINT32_MAX}, {1, 1}}, "1,4294967255:4294967295"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct uid_set s = {0};
        uid_set_add_range(&s, rows[i].in[0]);
        uid_set_add_range(&s, rows[i].in[1]);
        uid_set_join(&s);
        assert_set(&s, rows[i].out);
        uid_set_fini(&s);
    }
}

static void test_two(void **state)
{
    static const uint32_t low[] = {1, 3, 40, 100}, high[] = {2, 3, 64};
    struct uid_set none = {0}, a = uid_set_of(low, COUNT_OF(low)), b = {0};
    (void)state;
    for (size_t i = COUNT_OF(high); i-- > 0;)
        uid_set_add(&b, high[i]); /* and not joined */
    uid_set_join_with(&a, &none);
    assert_set(&a, "1,3,40,100");
    uid_set_join_with(&a, &b);
    assert_set(&a, "1:3,40,64,100");
    uid_set_join_with(&none, &a);
    assert_set(&none, "1:3,40,64,100");
    uid_set_fini(&a);
    uid_set_fini(&b);
    uid_set_fini(&none);
}

static void test_counts(void **state)
{
    static const struct {
        uint32_t first, last;
        size_t n;
    } rows[] = {{0, UINT32_MAX, 6}, {1, 1, 1}, {2, 30, 0}, {31, 32, 2}, {33, 64, 1}, {32, 31, 0},
        {1, 31, 2}, {64, 100, 2}, {101, UINT32_MAX - 1, 0}, {UINT32_MAX, UINT32_MAX, 1}};
    struct uid_set s = uid_set_of((const uint32_t[]){1, 31, 32, 64, 100, UINT32_MAX}, 6);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_int_equal(uid_set_count(&s, rows[i].first, rows[i].last), rows[i].n);
    assert_int_equal(uid_set_next(&s, 0), 1);
    assert_int_equal(uid_set_next(&s, 32), 64);
    assert_int_equal(uid_set_next(&s, 100), UINT32_MAX);
    assert_int_equal(uid_set_next(&s, UINT32_MAX), 0);
    uid_set_fini(&s);
}

/* What comes in the worst order, and often, takes no more room than it needs in the end. */
static void test_room(void **state)
{
    struct uid_set s = {0};
    (void)state;
    for (uint32_t times = 0; times < 20; times++) {
        for (uint32_t uid = 100000; uid > 0; uid--)
            uid_set_add(&s, 1 + uid * 7919 % 100000);
    }
    assert_true(s.cap < 10000);
    uid_set_join(&s);
    assert_int_equal(uid_set_size(&s), 100000);
    assert_int_equal(s.n, 100000 / 32 + 1);
    uid_set_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_orders), cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_two), cmocka_unit_test(test_counts), cmocka_unit_test(test_room)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
