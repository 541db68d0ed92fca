/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "base/core/buf.h"
#include "tests/unit/unit.h"

static void test_limit(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 5);
    assert_int_equal(buf_add_str(&b, "1234"), 0);
    assert_int_equal(buf_add_str(&b, "56"), -1);
    assert_string_equal(buf_cstr(&b), "1234");
    assert_int_equal(buf_add_byte(&b, '5'), 0);
    assert_int_equal(buf_add_byte(&b, '6'), -1);
    assert_int_equal(buf_add(&b, SLICE_NONE), 0);
    assert_string_equal(buf_cstr(&b), "12345");
    assert_null(buf_reserve(&b, SIZE_MAX));
    /* What was consumed makes room again. */
    buf_consume(&b, 3);
    assert_int_equal(buf_add_str(&b, "678"), 0);
    assert_int_equal(buf_add_byte(&b, '9'), -1);
    assert_string_equal(buf_cstr(&b), "45678");
    buf_fini(&b);
    assert_int_equal(buf_add_str(&b, "again"), 0);
    buf_fini_wipe(&b);
    buf_fini(&b);
}

static void test_empty(void **state)
{
    struct buf b;
    char *text;

    (void)state;
    buf_init(&b, 0);
    assert_string_equal(buf_cstr(&b), "");
    assert_slice_equal(buf_slice(&b), "");
    assert_non_null(buf_slice(&b).p);
    buf_clear(&b);
    buf_consume(&b, 0);
    buf_commit(&b, 0);
    assert_int_equal(buf_add_str(&b, ""), 0);
    assert_int_equal(buf_add_str(&b, "x"), -1);
    text = buf_steal_cstr(&b);
    assert_string_equal(text, "");
    free(text);
    buf_fini(&b);
}

static void test_format(void **state)
{
    struct buf b;
    char small[6];

    (void)state;
    buf_init(&b, 400);
    assert_int_equal(buf_addf(&b, "%d-%s", 7, "x"), 0);
    assert_int_equal(buf_addf(&b, "%0300d", 1), 0);
    assert_int_equal(b.n, 303);
    assert_int_equal(b.p[302], '1');
    assert_int_equal(buf_addf(&b, "%098d", 1), -1);
    assert_int_equal(b.n, 303);
    assert_int_equal(buf_addf(&b, "%097d", 1), 0);
    buf_fini(&b);
    assert_int_equal(fmt_into(small, sizeof(small), "%s", "12345"), 0);
    assert_string_equal(small, "12345");
    assert_int_equal(fmt_into(small, sizeof(small), "%s", "123456"), -1);
    assert_string_equal(small, "");
}

static void test_steal_and_truncate(void **state)
{
    struct buf b;
    char *text;

    (void)state;
    buf_init(&b, 100);
    assert_int_equal(buf_add_str(&b, "abcdef"), 0);
    buf_consume(&b, 2);
    buf_truncate(&b, 3);
    assert_string_equal(buf_cstr(&b), "cde");
    text = buf_steal_cstr(&b);
    assert_string_equal(text, "cde");
    assert_int_equal(b.n, 0);
    free(text);
    assert_int_equal(buf_add_str(&b, "new"), 0);
    assert_string_equal(buf_cstr(&b), "new");
    buf_fini(&b);
}

/* A queue that is filled and drained for ever stays small and keeps its order. */
static void test_queue(void **state)
{
    struct buf b;
    unsigned char in = 0, out = 0;

    (void)state;
    buf_init(&b, 1000);
    for (int round = 0; round < 5000; round++) {
        for (int i = 0; i < 1 + round % 7; i++)
            if (buf_add_byte(&b, in) == 0)
                in++;
        for (int i = 0; i < 1 + round % 5 && b.n > 0; i++) {
            assert_int_equal(buf_slice(&b).p[0], out++);
            buf_consume(&b, 1);
        }
        assert_true(b.cap <= 1001);
        assert_int_equal(buf_cstr(&b)[b.n], '\0');
    }
    buf_fini(&b);
}

static void test_reserve_commit(void **state)
{
    struct buf b;
    unsigned char *at;

    (void)state;
    buf_init(&b, 10);
    at = buf_reserve(&b, 10);
    assert_non_null(at);
    memcpy(at, "0123456789", 10);
    buf_commit(&b, 4);
    assert_string_equal(buf_cstr(&b), "0123");
    assert_null(buf_reserve(&b, 7));
    assert_non_null(buf_reserve(&b, 6));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_steal_and_truncate),
        cmocka_unit_test(test_queue),
        cmocka_unit_test(test_reserve_commit),
    };

    return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
