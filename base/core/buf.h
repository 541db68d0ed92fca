/* SPDX-License-Identifier: ISC */
/*
 * buf: a growing buffer with a maximum that is given at creation.  Going over the maximum is an
 * error that the caller sees, never a truncation.  Bytes are added at the end and consumed at the
 * front; the buffer is always followed by one NUL that does not count, so buf_cstr() is free.
 */
#ifndef BASE_CORE_BUF_H
#define BASE_CORE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include "base/core/attr.h"
#include "base/core/slice.h"

struct buf {
    unsigned char *p; /* start of the allocation */
    size_t off;       /* first byte that has not been consumed */
    size_t n;         /* unconsumed bytes */
    size_t cap;
    size_t max;
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
/* As buf_fini, after wiping every byte: for secrets. */
void buf_fini_wipe(struct buf *b);

/* All adders return 0, or -1 with the buffer unchanged when the maximum would be passed. */
int buf_add(struct buf *b, struct slice s) ATTR_WUR;
int buf_add_str(struct buf *b, const char *text) ATTR_WUR;
int buf_add_byte(struct buf *b, unsigned char c) ATTR_WUR;
int buf_addf(struct buf *b, const char *fmt, ...) ATTR_WUR ATTR_PRINTF(2, 3);
int buf_vaddf(struct buf *b, const char *fmt, va_list ap) ATTR_WUR ATTR_PRINTF(2, 0);

/* Room for at least n bytes at the end, or NULL at the maximum; buf_commit() then counts them. */
unsigned char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

void buf_consume(struct buf *b, size_t n); /* n <= b->n */
void buf_truncate(struct buf *b, size_t n);
void buf_clear(struct buf *b);

/* Borrowed until the next change of the buffer. */
struct slice buf_slice(const struct buf *b);
const char *buf_cstr(struct buf *b);
/* Hands the text over as a heap string and leaves the buffer empty. */
char *buf_steal_cstr(struct buf *b);

/* snprintf that treats truncation as failure: 0, or -1 and an empty string. */
int fmt_into(char *out, size_t size, const char *fmt, ...) ATTR_WUR ATTR_PRINTF(3, 4);

#endif
