/* SPDX-License-Identifier: ISC */
/*
 * A server's compressed octets, arbitrary ones.  The first byte chooses how they are cut, and into
 * what pieces they are unpacked: whichever way, what comes out is the same, as far as it goes, and
 * no piece is larger than was asked for.  And what we pack of the same bytes unpacks to them.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/core/buf.h"
#include "base/core/err.h"
#include "imapsync/imap/compress.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUT_MAX (4u << 20) /* a bomb is not followed to its end */

/* -1: they stand for nothing, behind what is in out. */
static int unpack(struct slice in, size_t cut, size_t piece_size, struct buf *out)
{
    static unsigned char piece[IMAP_UNPACK_STEP];
    struct imap_compress *z = imap_compress_new();
    int result = 0;
    while (result == 0 && in.n > 0 && out->n < OUT_MAX / 2) {
        struct slice some = slice_sub(in, 0, cut);
        in = slice_from(in, some.n);
        imap_compress_give(z, some);
        while (result == 0 && imap_compress_holds(z) && out->n < OUT_MAX / 2) {
            struct err err = ERR_INIT;
            size_t n;
            result = imap_compress_take(z, piece, piece_size, &n, &err);
            if (n > piece_size || (result != 0 && err.class != ERR_PEER))
                abort();
            if (buf_add(out, slice_make(piece, n)) != 0)
                abort();
        }
    }
    imap_compress_free(&z);
    return result;
}

static void pack(struct slice in, size_t cut, struct buf *out)
{
    struct imap_compress *z = imap_compress_new();
    while (in.n > 0) {
        struct slice some = slice_sub(in, 0, cut);
        while (some.n > 0 || imap_compress_packed(z).n > 0) {
            size_t n = imap_compress_pack(z, some);
            some = slice_from(some, n);
            in = slice_from(in, n);
            struct slice packed = slice_sub(imap_compress_packed(z), 0, 1000);
            if (buf_add(out, packed) != 0)
                abort();
            imap_compress_sent(z, packed.n);
        }
    }
    imap_compress_free(&z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t cuts[] = {1, 2, 7, 100, 4096, IMAP_UNPACK_STEP};
    struct slice in = slice_make(data, size);
    if (size < 1)
        return 0;
    size_t cut = cuts[data[0] % 6], piece = cuts[data[0] / 6 % 6];
    in = slice_from(in, 1);
    struct buf whole, cut_up, packed, again;
    buf_init(&whole, OUT_MAX);
    buf_init(&cut_up, OUT_MAX);
    buf_init(&packed, 2 * OUT_MAX);
    buf_init(&again, OUT_MAX);
    int a = unpack(in, IMAP_UNPACK_STEP, IMAP_UNPACK_STEP, &whole);
    int b = unpack(in, cut, piece, &cut_up);
    size_t n = whole.n < cut_up.n ? whole.n : cut_up.n;
    if (memcmp(buf_slice(&whole).p, buf_slice(&cut_up).p, n) != 0)
        abort();
    if (whole.n < OUT_MAX / 2 && cut_up.n < OUT_MAX / 2 && (a != b || whole.n != cut_up.n))
        abort();
    pack(in, cut, &packed);
    if (unpack(buf_slice(&packed), piece, cut, &again) != 0 || !slice_eq(buf_slice(&again), in))
        abort();
    buf_fini(&whole);
    buf_fini(&cut_up);
    buf_fini(&packed);
    buf_fini(&again);
    return 0;
}
