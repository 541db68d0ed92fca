/* SPDX-License-Identifier: ISC */
/*
 * csv: a resumable reader of comma separated values (RFC 4180) as people have them: with ";" or a
 * tab instead of the comma, with any line end, with or without a byte order mark, in UTF-8.
 *
 *     csv_init(&csv, on_row, arg);
 *     csv_feed(&csv, bytes, err) ... csv_finish(&csv, err);
 *     csv_fini(&csv);
 */
#ifndef MAPS_FORMAT_CSV_H
#define MAPS_FORMAT_CSV_H

#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/slice.h"

#define CSV_CELLS_MAX 1024     /* exports of directories have hundreds */
#define CSV_ROW_MAX (1u << 18) /* bytes of the cells of one row */

/* cells borrow until the callback returns; blanks around unquoted cells are gone.  Empty lines give
 * no row.  -1 ends the reading, err says why. */
typedef int csv_row(
    void *arg, size_t line, const struct slice *cells, size_t n_cells, struct err *err);

enum csv_state {
    CSV_CELL_START,
    CSV_PLAIN,
    CSV_QUOTED,
    CSV_QUOTE_SEEN, /* the end of the cell, or the first of two quotes */
    CSV_QUOTED_END, /* blanks behind it */
};

struct csv {
    csv_row *row;
    void *arg;
    enum csv_state state;
    unsigned char separator; /* 0: the first one that comes */
    bool after_cr;           /* a LF belongs to the line end before it */
    bool was_quoted;         /* the present cell */
    size_t line, row_line;
    size_t mark;     /* bytes of the byte order mark that have been seen */
    struct buf text; /* of the present row */
    size_t ends[CSV_CELLS_MAX];
    bool quoted[CSV_CELLS_MAX];
    size_t n; /* finished cells of the present row */
};

void csv_init(struct csv *c, csv_row *row, void *arg);
void csv_fini(struct csv *c);
/* -1: the text begins with "line N: ", unless the callback failed. */
int csv_feed(struct csv *c, struct slice in, struct err *err) ATTR_WUR;
int csv_finish(struct csv *c, struct err *err) ATTR_WUR;

/* One cell, quoted where needed. */
int csv_write(struct buf *out, struct slice cell) ATTR_WUR;

#endif
