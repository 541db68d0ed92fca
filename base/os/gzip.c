/* SPDX-License-Identifier: ISC */
/*
 * gzip: see gzip.h; zlib's streams with the header and the sum of RFC 1952.
 *
 * zlib counts its input in an unsigned int, so a large slice goes in in portions.
 */
#include "base/os/gzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <sysexits.h>
#include <zlib.h>
#include "base/core/mem.h"

#define LEVEL 6
#define MEMORY 8                   /* zlib's default */
#define GZIP_ONLY (MAX_WBITS + 16) /* zlib's way to name the format */
#define PIECE (64u << 10)
#define PORTION ((size_t)1 << 30)

struct gzip {
    z_stream out;
};

struct gzip *gzip_new(void)
{
    struct gzip *z = mem_zalloc(sizeof *z);
    if (deflateInit2(&z->out, LEVEL, Z_DEFLATED, GZIP_ONLY, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        BUG("zlib does not start");
    return z;
}

void gzip_free(struct gzip **z)
{
    if (!*z)
        return;
    deflateEnd(&(*z)->out);
    free(*z);
    *z = NULL;
}

static int pack(struct gzip *z, int flush, struct buf *packed)
{
    unsigned char piece[PIECE];

    do {
        z->out.next_out = piece;
        z->out.avail_out = sizeof piece;
        int r = deflate(&z->out, flush);
        BUG_ON(r != Z_OK && r != Z_BUF_ERROR && r != Z_STREAM_END);
        if (buf_add(packed, slice_make(piece, sizeof piece - z->out.avail_out)) != 0)
            return -1;
    } while (z->out.avail_out == 0);
    return 0;
}

int gzip_add(struct gzip *z, struct slice plain, struct buf *packed)
{
    int rc = 0;

    while (rc == 0 && plain.n > 0) {
        struct slice some = slice_sub(plain, 0, PORTION);
        z->out.next_in = (unsigned char *)(uintptr_t)some.p;
        z->out.avail_in = (unsigned)some.n;
        rc = pack(z, Z_NO_FLUSH, packed);
        plain = slice_from(plain, some.n);
    }
    return rc;
}

int gzip_end(struct gzip *z, struct buf *packed)
{
    return pack(z, Z_FINISH, packed);
}

static int damaged(struct err *err)
{
    return err_set(err, ERR_PERM, EX_DATAERR, "it is no whole gzip file");
}

/* All that the portion stands for. *r_out: zlib's last word. */
static int unpack(z_stream *in, struct slice portion, int *r_out,
    int (*fn)(void *arg, struct slice piece, struct err *err), void *arg, struct err *err)
{
    unsigned char piece[PIECE];

    in->next_in = (unsigned char *)(uintptr_t)portion.p;
    in->avail_in = (unsigned)portion.n;
    do {
        in->next_out = piece;
        in->avail_out = sizeof piece;
        *r_out = inflate(in, Z_NO_FLUSH);
        if (*r_out != Z_OK && *r_out != Z_STREAM_END && *r_out != Z_BUF_ERROR)
            return damaged(err);
        struct slice plain = slice_make(piece, sizeof piece - in->avail_out);
        if (plain.n > 0 && fn(arg, plain, err) != 0)
            return -1;
    } while (*r_out == Z_OK && in->avail_out == 0);
    return 0;
}

int gzip_unpack(struct slice packed, int (*fn)(void *arg, struct slice piece, struct err *err),
    void *arg, struct err *err)
{
    z_stream in = {0};
    int r = Z_OK, rc = 0;

    if (inflateInit2(&in, GZIP_ONLY) != Z_OK)
        BUG("zlib does not start");
    while (rc == 0 && r != Z_STREAM_END && packed.n > 0) {
        struct slice some = slice_sub(packed, 0, PORTION);
        rc = unpack(&in, some, &r, fn, arg, err);
        packed = slice_from(packed, some.n - in.avail_in);
        if (rc == 0 && r != Z_STREAM_END && in.avail_in > 0)
            rc = damaged(err);
    }
    if (rc == 0 && (r != Z_STREAM_END || packed.n > 0))
        rc = damaged(err);
    inflateEnd(&in);
    return rc;
}
