/* SPDX-License-Identifier: ISC */
/* No value, whatever it holds, can end a line, close its quotes or reach a terminal. */
#include <stdint.h>
#include <stdlib.h>
#include "base/core/buf.h"
#include "base/core/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;
    struct slice s;

    buf_init(&out, 4 * size + 2);
    if (log_encode_value(&out, slice_make(data, size)) != 0 || out.n < 1)
        abort();
    s = buf_slice(&out);
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_is_print(s.p[i]))
            abort();
    if (s.p[0] == '"') {
        /* Inside, a quote or a backslash comes behind a backslash only. */
        if (s.n < 2 || s.p[s.n - 1] != '"')
            abort();
        for (size_t i = 1; i < s.n - 1; i++) {
            if (s.p[i] == '"')
                abort();
            if (s.p[i] == '\\')
                i++;
            if (i >= s.n - 1)
                abort();
        }
    } else if (slice_find(s, ' ') >= 0 || slice_find(s, '=') >= 0) {
        abort();
    }
    buf_fini(&out);
    return 0;
}
