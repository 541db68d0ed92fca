/* SPDX-License-Identifier: ISC */
/*
 * buf: see buf.h.  The maximum bounds what a peer can make us hold, so running out of memory below
 * it is an ordinary failure of the adder.  Growth doubles; consumed space at the front is reused
 * only when that moves fewer bytes than were consumed, so a long-lived buffer costs O(1) per byte.
 *
 * Growth leaves a copy of the old bytes behind in freed memory.  A buffer for a secret therefore
 * reserves its maximum once, before the first byte.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/mem.h"

#define BUF_CAP_MIN 64

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_fini_wipe(struct buf *b)
{
    if (b->p != NULL)
        explicit_bzero(b->p, b->cap);
    buf_fini(b);
}

static void move_to_front(struct buf *b)
{
    if (b->off > 0) {
        memmove(b->p, b->p + b->off, b->n + 1);
        b->off = 0;
    }
}

static int grow(struct buf *b, size_t need)
{
    size_t cap = b->cap < BUF_CAP_MIN ? BUF_CAP_MIN : b->cap;
    unsigned char *p;

    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > b->max + 1)
        cap = b->max + 1;
    if (b->p != NULL)
        move_to_front(b);
    p = realloc(b->p, cap);
    if (p == NULL)
        return -1;
    b->p = p;
    b->cap = cap;
    b->p[b->n] = '\0';
    return 0;
}

unsigned char *buf_reserve(struct buf *b, size_t n)
{
    size_t need;

    /* SIZE_MAX would leave no room for the NUL. */
    if (n > b->max || b->n > b->max - n || b->max == SIZE_MAX)
        return NULL;
    need = b->n + n + 1;
    if (b->p == NULL || b->cap - b->off < need) {
        if (b->p != NULL && need <= b->cap && b->off >= b->n)
            move_to_front(b);
        else if (grow(b, need) != 0)
            return NULL;
    }
    return b->p + b->off + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
    if (n == 0)
        return;
    BUG_ON(b->p == NULL || n >= b->cap - b->off - b->n);
    b->n += n;
    b->p[b->off + b->n] = '\0';
}

int buf_add(struct buf *b, struct slice s)
{
    unsigned char *at = buf_reserve(b, s.n);

    if (at == NULL)
        return -1;
    if (s.n > 0)
        memcpy(at, s.p, s.n);
    buf_commit(b, s.n);
    return 0;
}

int buf_add_str(struct buf *b, const char *text)
{
    return buf_add(b, slice_str(text));
}

int buf_add_byte(struct buf *b, unsigned char c)
{
    return buf_add(b, slice_make(&c, 1));
}

int buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    char small[256];
    va_list again;
    unsigned char *at;
    int n;

    va_copy(again, ap);
    n = vsnprintf(small, sizeof(small), fmt, ap);
    if (n < 0 || (at = buf_reserve(b, (size_t)n)) == NULL) {
        va_end(again);
        return -1;
    }
    if ((size_t)n < sizeof(small))
        memcpy(at, small, (size_t)n);
    else
        n = vsnprintf((char *)at, (size_t)n + 1, fmt, again);
    va_end(again);
    buf_commit(b, (size_t)n);
    return 0;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int rc;

    va_start(ap, fmt);
    rc = buf_vaddf(b, fmt, ap);
    va_end(ap);
    return rc;
}

void buf_consume(struct buf *b, size_t n)
{
    BUG_ON(n > b->n);
    b->n -= n;
    b->off = b->n > 0 ? b->off + n : 0;
    if (b->p != NULL)
        b->p[b->off + b->n] = '\0';
}

void buf_truncate(struct buf *b, size_t n)
{
    BUG_ON(n > b->n);
    b->n = n;
    if (n == 0)
        b->off = 0;
    if (b->p != NULL)
        b->p[b->off + b->n] = '\0';
}

void buf_clear(struct buf *b)
{
    buf_truncate(b, 0);
}

struct slice buf_slice(const struct buf *b)
{
    return b->p != NULL ? slice_make(b->p + b->off, b->n) : SLICE_LIT("");
}

const char *buf_cstr(struct buf *b)
{
    return b->p != NULL ? (const char *)b->p + b->off : "";
}

char *buf_steal_cstr(struct buf *b)
{
    char *text;

    if (b->p == NULL)
        return mem_strdup("");
    move_to_front(b);
    text = (char *)b->p;
    *b = (struct buf){.max = b->max};
    return text;
}

int fmt_into(char *out, size_t size, const char *fmt, ...)
{
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(out, size, fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < size)
        return 0;
    if (size > 0)
        out[0] = '\0';
    return -1;
}
