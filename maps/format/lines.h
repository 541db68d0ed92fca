/* SPDX-License-Identifier: ISC */
/*
 * lines: a resumable reader of texts whose long lines are folded, one logical line at a time.
 *
 *     lines_init(&l, LINES_BLANK, on_line, arg);
 *     lines_feed(&l, bytes, err) ... lines_finish(&l, err);
 *     lines_fini(&l);
 */
#ifndef MAPS_FORMAT_LINES_H
#define MAPS_FORMAT_LINES_H

#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/slice.h"

#define LINES_MAX ((size_t)16 << 20) /* of a logical line: a photograph in a directory */

enum lines_fold {
    LINES_NONE,  /* each line stands for itself (makemap(8)) */
    LINES_BLANK, /* one that begins with a blank goes on (postmap(1), aliases(5)) */
    LINES_LDIF,  /* as LINES_BLANK, without its first octet, and empty lines count (RFC 2849) */
};

/* text borrows until the callback returns and has no line end; but for LINES_LDIF, lines that are
 * empty or begin with "#" give none.  line is where it begins. */
typedef int lines_fn(void *arg, size_t line, struct slice text, struct err *err);

struct lines {
    enum lines_fold fold;
    lines_fn *fn;
    void *arg;
    size_t line;       /* of what comes next */
    size_t first_line; /* of the logical line */
    bool has_logical, is_comment;
    struct buf physical, logical;
};

void lines_init(struct lines *l, enum lines_fold fold, lines_fn *fn, void *arg);
void lines_fini(struct lines *l);
/* -1: the text begins with "line N: ", unless the callback failed. */
int lines_feed(struct lines *l, struct slice in, struct err *err) ATTR_WUR;
int lines_finish(struct lines *l, struct err *err) ATTR_WUR;

#endif
