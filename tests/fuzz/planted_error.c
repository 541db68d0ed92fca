/* SPDX-License-Identifier: ISC */
/*
 * No parser: a sum that overflows in every input.  UndefinedBehaviorSanitizer only prints such an
 * error and goes on unless it is built to stop, so run_fuzz.py runs this target first and fails
 * when nobody notices.
 */
#include <limits.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    volatile int sum = INT_MAX;

    (void)data;
    sum += (int)size + 1;
    return 0;
}
