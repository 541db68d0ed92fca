/* SPDX-License-Identifier: ISC */
/*
 * rows: an import file in CSV as the rows that the map's control protocol takes (maps/store/
 * control.h): {"key": ..., "set": {...}}.
 *
 * With a header line, columns may stand in any order; what has no name of ours or of the caller is
 * left out with a note.  The names are those of the fields of `set`
 * (maps/store/control.h says what they hold), and `maptool set`, `list --json` and `export` use
 * the same:
 *
 *     key         or address, email, emailaddress, mail, recipient
 *     route       or server
 *     kind        mailbox, alias, group, forward, reject
 *     deliver_as
 *     note        or comment
 *     to          or targets, members: addresses with commas between them
 *     owner       gets the errors
 *     senders     any, inside, members, or addresses and @domains with commas
 *     code, text  the answer of a reject entry
 *     also, until the second server of an entry, and the end of that
 *     source      the import that the entry belongs to
 *
 * Without a header line, a row is an address and, if there is a second cell, its route.
 * Lines that begin with "#" and hold no address are comments.
 */
#ifndef MAPS_FORMAT_ROWS_H
#define MAPS_FORMAT_ROWS_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "maps/format/csv.h"
#include "maps/format/sink.h"

#define ROWS_CELL_MAX 8192 /* bytes of a cell that is used: the addresses of an alias */
#define ROWS_NAMES_MAX 32

enum rows_column {
    ROWS_KEY,
    ROWS_ROUTE,
    ROWS_KIND,
    ROWS_DELIVER_AS,
    ROWS_NOTE,
    ROWS_TO,
    ROWS_OWNER,
    ROWS_SENDERS,
    ROWS_CODE,
    ROWS_TEXT,
    ROWS_ALSO,
    ROWS_UNTIL,
    ROWS_SOURCE,
    ROWS_COLUMNS,
    ROWS_IGNORED = ROWS_COLUMNS,
};

/* What a column is called in this file. */
struct rows_name {
    enum rows_column column; /* ROWS_IGNORED: known, and not wanted */
    struct slice name;
};

struct rows {
    struct csv csv;
    const struct sink *sink;
    struct rows_name names[ROWS_NAMES_MAX];
    size_t n_names;
    bool has_columns;
    enum rows_column columns[CSV_CELLS_MAX];
    size_t n_columns;
};

/* The sink is borrowed. */
void rows_init(struct rows *r, const struct sink *sink);
void rows_fini(struct rows *r);
/* "COLUMN=NAME": the column of the file that is called NAME is COLUMN ("ignore": of no use). Before
 * the first octet; the text is borrowed. */
int rows_name(struct rows *r, struct slice text, struct err *err) ATTR_WUR;
/* -1: the text begins with "line N: ", unless the sink failed. */
int rows_feed(struct rows *r, struct slice in, struct err *err) ATTR_WUR;
int rows_finish(struct rows *r, struct err *err) ATTR_WUR;

#endif
