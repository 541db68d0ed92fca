/* SPDX-License-Identifier: ISC */
/*
 * gzip: octets into what gzip(1) reads (RFC 1952), and back.  No file, no clock.
 *
 *     struct gzip *z = gzip_new();
 *     gzip_add(z, slice, &packed) ...     appends to packed what is ready
 *     gzip_end(z, &packed)
 *     gzip_free(&z)
 */
#ifndef BASE_OS_GZIP_H
#define BASE_OS_GZIP_H

#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/slice.h"

struct gzip;

struct gzip *gzip_new(void);
void gzip_free(struct gzip **z);
/* -1: packed is full. */
int gzip_add(struct gzip *z, struct slice plain, struct buf *packed) ATTR_WUR;
int gzip_end(struct gzip *z, struct buf *packed) ATTR_WUR;

/* Gives what one whole file of gzip stands for in pieces, until fn returns non-zero (it filled
 * err).  EX_DATAERR: it is cut short, damaged, or something else. */
int gzip_unpack(struct slice packed, int (*fn)(void *arg, struct slice piece, struct err *err),
    void *arg, struct err *err) ATTR_WUR;

#endif
