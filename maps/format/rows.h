/* SPDX-License-Identifier: ISC */
/*
 * rows: an import file in CSV as the rows that the map's control protocol takes (maps/store/
 * control.h): {"key": ..., "set": {...}}.
 *
 * With a header line, columns may stand in any order: key (or address, email, emailaddress,
 * recipient), route (or server), kind, deliver_as, note (or comment).  Without one, a row is an
 * address and, if there is a second cell, its route.
 */
#ifndef MAPS_FORMAT_ROWS_H
#define MAPS_FORMAT_ROWS_H

#include <jansson.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "maps/format/csv.h"

/* Takes over row. */
typedef int rows_row(void *arg, size_t line, json_t *row_own, struct err *err);

enum rows_column { ROWS_KEY, ROWS_ROUTE, ROWS_KIND, ROWS_DELIVER_AS, ROWS_NOTE, ROWS_COLUMNS };

struct rows {
    struct csv csv;
    rows_row *row;
    void *arg;
    const char *default_route; /* for rows without one; NULL: they keep theirs */
    bool has_columns;
    enum rows_column columns[CSV_CELLS_MAX];
    size_t n_columns;
};

void rows_init(struct rows *r, const char *default_route, rows_row *row, void *arg);
void rows_fini(struct rows *r);
/* -1: the text begins with "line N: ", unless the callback failed. */
int rows_feed(struct rows *r, struct slice in, struct err *err) ATTR_WUR;
int rows_finish(struct rows *r, struct err *err) ATTR_WUR;

#endif
