/* SPDX-License-Identifier: ISC */
/* unit: cmocka with the headers that it wants first, and small helpers for table tests. */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/core/slice.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Names the row of a table in the failure that follows. */
#define assert_row(name, condition)                                                                \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("row '%s': %s", (name), #condition);                                          \
    } while (0)

static inline void assert_slice_equal(struct slice got, const char *want)
{
    assert_int_equal(got.n, strlen(want));
    if (got.n > 0)
        assert_memory_equal(got.p, want, got.n);
}

#endif
