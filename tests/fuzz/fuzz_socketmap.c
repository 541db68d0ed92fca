/* SPDX-License-Identifier: ISC */
/*
 * Socket map requests as a client sends them, answered from a small map.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/num.h"
#include "base/core/parse.h"
#include "maps/lookup/socketmap.h"
#include "tests/fuzz/small_site.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The reply is one netstring with one of three statuses. */
static void check_reply(struct slice wire)
{
    ptrdiff_t colon = slice_find(wire, ':');
    struct slice text;
    uint64_t length;

    BUG_ON(wire.n > SOCKETMAP_REPLY_MAX || colon < 0);
    BUG_ON(num_u64(slice_sub(wire, 0, (size_t)colon), 0, SOCKETMAP_REPLY_MAX, &length) != 0);
    text = slice_sub(wire, (size_t)colon + 1, length);
    BUG_ON(
        text.n != length || (size_t)colon + 1 + text.n + 1 != wire.n || wire.p[wire.n - 1] != ',');
    BUG_ON(!slice_starts(text, SLICE_LIT("OK ")) && !slice_starts(text, SLICE_LIT("NOTFOUND ")) &&
           !slice_starts(text, SLICE_LIT("TEMP ")));
}

/* Any address may be the one of any entry. */
static void find(void *arg, struct slice key, socketmap_on_origin *on_origin, void *to)
{
    static const char *const keys[] = {"a@a.test", "s@a.test", "s2@b.test", "h@a.test", "r@a.test",
        "u@a.test", "@b.test", "@a.test"};

    (void)arg;
    (void)key;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (!on_origin(to, slice_str(keys[i])))
            return;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct socketmap_site site = {.conf = &small_site_conf,
        .view = small_site_view(),
        .origins = {.find = find},
        .mem = arena_new(SOCKETMAP_MEM_MAX)};
    struct socketmap_request r, again;
    enum parse parsed;
    size_t used, used_again;

    while ((parsed = socketmap_parse(in, &r, &used)) == PARSE_DONE) {
        struct buf out;

        BUG_ON(used > in.n || used > SOCKETMAP_WIRE_MAX);
        /* What lies behind a request changes nothing about it, and it needs its last byte. */
        BUG_ON(socketmap_parse(slice_sub(in, 0, used), &again, &used_again) != PARSE_DONE);
        BUG_ON(used_again != used || again.key.n != r.key.n);
        BUG_ON(socketmap_parse(slice_sub(in, 0, used - 1), &again, &used_again) != PARSE_MORE);
        buf_init(&out, SOCKETMAP_REPLY_MAX);
        BUG_ON(socketmap_answer(&site, &r, 1000, &out, NULL) != 0);
        check_reply(buf_slice(&out));
        buf_fini(&out);
        in = slice_from(in, used);
    }
    BUG_ON(parsed == PARSE_MORE && in.n >= SOCKETMAP_WIRE_MAX);
    arena_free(&site.mem);
    return 0;
}
