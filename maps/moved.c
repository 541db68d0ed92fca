/* SPDX-License-Identifier: ISC */
/* moved: see moved.h. */
#include "maps/moved.h"

#include <inttypes.h>

#include "base/core/num.h"
#include "maps/route.h"

#define SPACE_FOR_TIME 20 /* "2026-11-28T17:30:00Z" */
#define HASH_SIZE 16

static bool is_part(struct slice s)
{
    if (s.n == 0 || s.n > ROUTE_KEY_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < ' ' || s.p[i] == 0x7f)
            return false;
    }
    return true;
}

int moved_line(const struct moved *m, struct slice when, struct buf *out)
{
    size_t before = out->n;
    if (!is_part(m->user) || !is_part(m->server) || !is_part(m->by) || when.n != SPACE_FOR_TIME ||
        !is_part(when))
        return -1;
    if (buf_addf(out, "%.*s\t%.*s\t%.*s\t%.*s", SLICE_ARG(when), SLICE_ARG(m->user),
            SLICE_ARG(m->server), SLICE_ARG(m->by)) != 0)
        return -1;
    uint64_t hash = route_key_hash(slice_from(buf_slice(out), before));
    if (buf_addf(out, "\t%016" PRIx64 "\n", hash) == 0)
        return 0;
    buf_truncate(out, before);
    return -1;
}

bool moved_parse(struct slice line, struct moved *out)
{
    struct slice rest = line, when, hash;
    unsigned char sum[HASH_SIZE / 2];
    uint64_t given = 0;
    if (line.n > MOVED_LINE_MAX || !slice_split(&rest, '\t', &when) ||
        !slice_split(&rest, '\t', &out->user) || !slice_split(&rest, '\t', &out->server) ||
        !slice_split(&rest, '\t', &out->by) || !slice_split(&rest, '\t', &hash) || rest.p ||
        when.n != SPACE_FOR_TIME || !is_part(when) || hash.n != HASH_SIZE || !is_part(out->user) ||
        !is_part(out->server) || !is_part(out->by) || num_hex(hash, sum, sizeof(sum)) != 0)
        return false;
    for (size_t i = 0; i < sizeof(sum); i++)
        given = given << 8 | sum[i];
    return given == route_key_hash(slice_sub(line, 0, line.n - HASH_SIZE - 1));
}
