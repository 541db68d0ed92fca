/* SPDX-License-Identifier: ISC */
/*
 * compress: see compress.h.
 *
 * Level 1: mail is mostly base64, of which a higher one saves a percent or two more at several
 * times the cost.  The stream is flushed where the client has nothing more to say, since the server
 * answers what it can read, and not before.
 */
#include "imapsync/imap/compress.h"

#include <stdlib.h>
#include <sysexits.h>
#include <zlib.h>

#include "base/core/buf.h"
#include "base/core/mem.h"

#define RAW_DEFLATE (-MAX_WBITS) /* without zlib's header: RFC 4978 3 */
#define LEVEL 1
#define MEMORY 8 /* zlib's default */
#define PACKED_MAX                                                                                 \
    (4 * (IMAP_PACK_STEP)) /* a step that cannot be packed, and what zlib had kept                 \
                            */

struct imap_compress {
    z_stream out, in;
    struct buf packed;                    /* to be sent */
    unsigned char held[IMAP_UNPACK_STEP]; /* that have come; `in` points into it */
    bool was_full;                        /* the last take() has filled its piece */
};

bool imap_compress_is_worth(enum imap_compress_when when, uint64_t trip_ms)
{
    return when == IMAP_COMPRESS_YES ||
           (when == IMAP_COMPRESS_AUTO && trip_ms >= IMAP_SLOW_TRIP_MS);
}

struct imap_compress *imap_compress_new(void)
{
    struct imap_compress *z = mem_zalloc(sizeof(*z));
    buf_init(&z->packed, PACKED_MAX);
    BUG_ON(
        deflateInit2(&z->out, LEVEL, Z_DEFLATED, RAW_DEFLATE, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK ||
        inflateInit2(&z->in, RAW_DEFLATE) != Z_OK);
    return z;
}

void imap_compress_free(struct imap_compress **z)
{
    if (!*z)
        return;
    deflateEnd(&(*z)->out);
    inflateEnd(&(*z)->in);
    buf_fini_wipe(&(*z)->packed);
    free(*z);
    *z = NULL;
}

/* --- Out ----------------------------------------------------------------------------- */

size_t imap_compress_pack(struct imap_compress *z, struct slice plain)
{
    unsigned char piece[16u << 10];
    struct slice some = slice_sub(plain, 0, IMAP_PACK_STEP);
    if (z->packed.n > 0)
        return 0;
    z->out.next_in = (unsigned char *)(uintptr_t)some.p;
    z->out.avail_in = (unsigned)some.n;
    do {
        z->out.next_out = piece;
        z->out.avail_out = sizeof(piece);
        int r = deflate(&z->out, some.n == plain.n ? Z_SYNC_FLUSH : Z_NO_FLUSH);
        BUG_ON(r != Z_OK && r != Z_BUF_ERROR);
        BUG_ON(buf_add(&z->packed, slice_make(piece, sizeof(piece) - z->out.avail_out)) != 0);
    } while (z->out.avail_out == 0 || z->out.avail_in > 0);
    return some.n;
}

struct slice imap_compress_packed(const struct imap_compress *z)
{
    return buf_slice(&z->packed);
}

void imap_compress_sent(struct imap_compress *z, size_t n)
{
    buf_consume(&z->packed, n);
}

/* --- In ------------------------------------------------------------------------------ */

void imap_compress_give(struct imap_compress *z, struct slice packed)
{
    BUG_ON(imap_compress_holds(z) || packed.n > sizeof(z->held));
    for (size_t i = 0; i < packed.n; i++)
        z->held[i] = packed.p[i];
    z->in.next_in = z->held;
    z->in.avail_in = (unsigned)packed.n;
}

bool imap_compress_holds(const struct imap_compress *z)
{
    return z->in.avail_in > 0 || z->was_full;
}

int imap_compress_take(
    struct imap_compress *z, void *out, size_t size, size_t *n_out, struct err *err)
{
    BUG_ON(size == 0 || size > IMAP_UNPACK_STEP);
    z->in.next_out = out;
    z->in.avail_out = (unsigned)size;
    int r = inflate(&z->in, Z_SYNC_FLUSH);
    *n_out = size - z->in.avail_out;
    z->was_full = z->in.avail_out == 0;
    /* Nothing to read and nothing to write is no error. */
    if (r == Z_OK || r == Z_BUF_ERROR)
        return 0;
    BUG_ON(r == Z_STREAM_ERROR);
    err_set(err, ERR_PEER, EX_PROTOCOL, "the server broke the protocol: %s",
        r == Z_STREAM_END ? "it has ended the compression"
                          : "what it sends cannot be decompressed");
    return err_scope_set(err, ERR_SCOPE_HOST);
}
