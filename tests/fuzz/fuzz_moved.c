/* SPDX-License-Identifier: ISC */
/* What a restore reads of cut-overs: what is taken for a line is one that could have been written.
 */
#include <stdint.h>
#include <stdlib.h>
#include "maps/moved.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct slice line)
{
    struct moved m;
    struct buf again;

    if (!moved_parse(line, &m))
        return;
    buf_init(&again, MOVED_LINE_MAX);
    if (moved_line(&m, slice_sub(line, 0, 20), &again) != 0 || again.n != line.n + 1)
        abort();
    buf_fini(&again);
}

/* Parts for a line that has the right hash, which no fuzzer would guess; and the octets as they
 * are. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size), part[3] = {{0}};
    struct moved out;
    struct buf line;

    check(rest);
    for (size_t i = 0; i < 3; i++)
        if (!slice_split(&rest, '|', &part[i]))
            part[i] = SLICE_NONE;
    const struct moved in = {part[0], part[1], part[2]};
    buf_init(&line, MOVED_LINE_MAX);
    if (moved_line(&in, SLICE_LIT("2023-11-14T22:13:20Z"), &line) == 0 &&
        (!moved_parse(slice_sub(buf_slice(&line), 0, line.n - 1), &out) ||
            !slice_eq(out.user, in.user) || !slice_eq(out.server, in.server) ||
            !slice_eq(out.by, in.by)))
        abort();
    buf_fini(&line);
    return 0;
}
