/* SPDX-License-Identifier: ISC */
#include <stdalign.h>
#include "base/core/arena.h"
#include "tests/unit/unit.h"

static void test_alloc(void **state)
{
    struct arena *a = arena_new(1 << 20);

    (void)state;
    for (size_t size = 0; size < 300; size++) {
        unsigned char *p = arena_alloc(a, size);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, size);
    }
    assert_non_null(arena_alloc(a, 100000));
    assert_non_null(arena_alloc(a, 8));
    arena_reset(a);
    /* Memory that is used again is zeroed again. */
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(*(unsigned char *)arena_alloc(a, 16), 0);
    arena_free(&a);
    assert_null(a);
    arena_free(&a);
}

static void test_limit(void **state)
{
    size_t unit = alignof(max_align_t);
    struct arena *a = arena_new(4 * unit);

    (void)state;
    assert_non_null(arena_alloc(a, 3 * unit));
    assert_null(arena_alloc(a, unit + 1));
    assert_non_null(arena_alloc(a, unit));
    assert_null(arena_alloc(a, 1));
    assert_null(arena_dup(a, SLICE_LIT("x")).p);
    assert_null(arena_alloc(a, SIZE_MAX));
    arena_reset(a);
    assert_non_null(arena_alloc(a, 4 * unit));
    arena_free(&a);
}

static void test_copies(void **state)
{
    struct arena *a = arena_new(1000);
    struct slice s = arena_dup(a, SLICE_LIT("abc"));

    (void)state;
    assert_slice_equal(s, "abc");
    assert_non_null(arena_dup(a, SLICE_NONE).p);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alloc),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_copies),
    };

    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
