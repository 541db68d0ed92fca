/* SPDX-License-Identifier: ISC */
/*
 * rows: see rows.h.  Only the shape is checked here; whether an address or a server can be is for
 * the map to say.
 *
 * A column that exists is the truth, an empty cell included: an empty deliver_as takes the old one
 * away.  Only route and kind, which an entry cannot be without, keep their value when the cell is
 * empty.  A column that we do not know is an error and not left out in silence.
 */
#include "maps/format/rows.h"

#include <sysexits.h>

static const struct {
    const char *name;
    enum rows_column column;
} NAMES[] = {
    {"key", ROWS_KEY},
    {"address", ROWS_KEY},
    {"email", ROWS_KEY},
    {"emailaddress", ROWS_KEY},
    {"recipient", ROWS_KEY},
    {"route", ROWS_ROUTE},
    {"server", ROWS_ROUTE},
    {"kind", ROWS_KIND},
    {"deliver_as", ROWS_DELIVER_AS},
    {"note", ROWS_NOTE},
    {"comment", ROWS_NOTE},
};

static const char *const MEMBERS[ROWS_COLUMNS] = {NULL, "route", "kind", "deliver_as", "note"};

static int find_column(struct slice cell, enum rows_column *out)
{
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++)
        if (slice_eq_nocase(cell, slice_str(NAMES[i].name))) {
            *out = NAMES[i].column;
            return 0;
        }
    return -1;
}

static int bad(size_t line, const char *what, struct err *err)
{
    return err_set(err, ERR_PERM, EX_DATAERR, "line %zu: %s", line, what);
}

static int read_header(
    struct rows *r, size_t line, const struct slice *cells, size_t n, struct err *err)
{
    bool seen[ROWS_COLUMNS] = {false};

    for (size_t i = 0; i < n; i++) {
        enum rows_column column;
        if (find_column(cells[i], &column) != 0)
            return err_set(err, ERR_PERM, EX_DATAERR,
                "line %zu: unknown column \"%.*s\" (columns: key, route, kind, deliver_as, note)",
                line, SLICE_ARG(cells[i]));
        if (seen[column])
            return err_set(err, ERR_PERM, EX_DATAERR,
                "line %zu: column \"%.*s\" means the same as "
                "one before it",
                line, SLICE_ARG(cells[i]));
        seen[column] = true;
        r->columns[i] = column;
    }
    r->n_columns = n;
    return seen[ROWS_KEY] ? 0 : bad(line, "the header line names no column \"key\"", err);
}

static bool is_header(const struct slice *cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_find(cells[i], '@') >= 0)
            return false;
    return true;
}

static int add_cell(json_t *set, const char *name, struct slice cell)
{
    return json_object_set_new(set, name, json_stringn(cell.n ? (const char *)cell.p : "", cell.n));
}

static int make_row(
    struct rows *r, size_t line, const struct slice *cells, size_t n, struct err *err)
{
    json_t *row = json_object(), *set = json_object();
    bool has_route = false;
    int rc = json_object_set_new(row, "set", set);

    for (size_t i = 0; i < n && rc == 0; i++) {
        enum rows_column column = r->columns[i];
        if (column == ROWS_KEY) {
            rc = add_cell(row, "key", cells[i]);
            continue;
        }
        if (cells[i].n == 0 && (column == ROWS_ROUTE || column == ROWS_KIND))
            continue;
        has_route |= column == ROWS_ROUTE;
        rc = add_cell(set, MEMBERS[column], cells[i]);
    }
    if (rc == 0 && !has_route && r->default_route)
        rc = add_cell(set, "route", slice_str(r->default_route));
    if (rc != 0) {
        json_decref(row);
        return bad(line, "a cell cannot be kept as text", err);
    }
    return r->row(r->arg, line, row, err);
}

static int on_row(void *arg, size_t line, const struct slice *cells, size_t n, struct err *err)
{
    struct rows *r = arg;

    if (!r->has_columns) {
        r->has_columns = true;
        if (is_header(cells, n))
            return read_header(r, line, cells, n, err);
        if (n > 2)
            return bad(line, "more than two cells need a header line that names them", err);
        r->columns[0] = ROWS_KEY;
        r->columns[1] = ROWS_ROUTE;
        r->n_columns = 2;
    }
    if (n > r->n_columns)
        return err_set(err, ERR_PERM, EX_DATAERR, "line %zu: %zu cells, but only %zu columns", line,
            n, r->n_columns);
    return make_row(r, line, cells, n, err);
}

void rows_init(struct rows *r, const char *default_route, rows_row *row, void *arg)
{
    *r = (struct rows){.default_route = default_route, .row = row, .arg = arg};
    csv_init(&r->csv, on_row, r);
}

void rows_fini(struct rows *r)
{
    csv_fini(&r->csv);
}

int rows_feed(struct rows *r, struct slice in, struct err *err)
{
    return csv_feed(&r->csv, in, err);
}

int rows_finish(struct rows *r, struct err *err)
{
    return csv_finish(&r->csv, err);
}
