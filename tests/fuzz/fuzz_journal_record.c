/* SPDX-License-Identifier: ISC */
/*
 * A record of a journal from any octets: what is read can be written, and is then the same octets.
 * The first octet says which record it is.
 *
 * fuzz-sources: imapsync/journal/journal_record.c imapsync/journal/journal_record_items.c
 * fuzz-sources: imapsync/journal/journal_record_spans.c
 * fuzz-sources: imapsync/journal/pack.c
 * fuzz-sources: imapsync/ends/flags.c imapsync/imap/token.c
 */
#include <stdint.h>
#include <stdlib.h>
#include "imapsync/journal/journal_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct buf *written, struct slice in)
{
    if (!slice_eq(buf_slice(written), in))
        abort();
}

static void pair(struct slice in, struct buf *out, int side)
{
    struct record_pair p;
    if (!record_unpack_pair(in, side, 42, &p))
        return;
    if (p.uid[side] != 42 || p.state < PAIR_STORED || p.state > PAIR_LOST)
        abort();
    record_pack_pair(out, &p, side);
    /* Keywords that are there and empty are read, and written without. */
    if (out->n == in.n)
        check(out, in);
}

static void refs(struct slice in, struct buf *out)
{
    struct record_pair p;
    struct slice uids;
    bool is_pair;
    uint32_t uid;
    if (!record_unpack_refs(in, 42, &is_pair, &p, &uids))
        return;
    if (is_pair) {
        record_pack_alone(out, &p, uids);
        if (out->n == in.n)
            check(out, in);
        return;
    }
    record_pack_refs(out, uids);
    check(out, in);
    while (record_next_uid(&uids, &uid))
        continue;
}

static void span(struct slice in, struct buf *out)
{
    struct record_span s, same = {0};
    if (!record_unpack_span(in, &s))
        return;
    for (size_t at = SPAN_UIDS; at-- > 0;)
        (void)record_span_set(&same, at, record_span_get(&s, at));
    if (same.n != s.n)
        abort();
    record_pack_span(out, &same);
    check(out, in);
}

static void others(uint8_t kind, struct slice in, struct buf *out)
{
    struct record_version v;
    struct record_folder f;
    struct record_intent i;
    struct record_compared c;
    struct item item;
    struct keywords k = {0};
    struct slice prefix;
    uint32_t folder, uid[SIDES];
    uint64_t id;
    if (kind == 3 && record_unpack_folder(in, &f)) {
        record_pack_folder(out, &f);
        /* Before version 6 it had no numbers. */
        check(out, f.end[SIDE_A].numbers.uidvalidity == 0 && in.n < out->n ? buf_slice(out) : in);
    } else if (kind == 4 && record_unpack_intent(in, &i)) {
        record_pack_intent(out, &i);
        check(out, in);
    } else if (kind == 5 && record_unpack_keywords(in, &k)) {
        record_pack_keywords(out, &k);
        check(out, in);
    } else if (kind == 6 && record_unpack_version(in, &v) && v.version == RECORD_VERSION) {
        record_pack_version(out, &v);
        check(out, in);
    } else if (kind == 7 && record_is_digest(in, &prefix, &folder, uid)) {
        unsigned char digest[SHA256_SIZE] = {0};
        memcpy(digest, prefix.p, prefix.n);
        record_key_digest(out, digest, folder, uid);
        check(out, in);
    } else if (kind == 8 && record_is_intent(in, &folder, &id)) {
        record_key_intent(out, folder, id);
        check(out, in);
    } else if (kind == 9 && record_unpack_compared(in, &c)) {
        record_pack_compared(out, &c);
        check(out, in);
    } else if (kind == 11 && record_unpack_item(in, &item)) {
        record_pack_item(out, &item);
        check(out, in);
    } else if (kind == 10) {
        struct record_sent s;
        while (in.n > 0 && record_next_sent(&in, &s))
            record_add_sent(out, &s);
    } else if (kind == 12) {
        span(in, out);
    }
    keywords_fini(&k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf out;
    if (size == 0 || size > RECORD_MAX)
        return 0;
    struct slice in = slice_make(data + 1, size - 1);
    buf_init(&out, RECORD_MAX);
    if (data[0] < 2)
        pair(in, &out, data[0]);
    else if (data[0] == 2)
        refs(in, &out);
    else
        others(data[0], in, &out);
    buf_fini(&out);
    return 0;
}
