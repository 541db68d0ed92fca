/* SPDX-License-Identifier: ISC */
/*
 * rows: see rows.h.  Only the shape is checked here; whether an address or a server can be is for
 * the map to say.
 *
 * A column that exists is the truth, an empty cell included: an empty deliver_as takes the old one
 * away.  Only route and kind, which an entry cannot be without, keep their value when the cell is
 * empty.  A column that we do not know is left out, and told; one whose name is nearly ours is an
 * error, because it is more likely a slip, and what was meant would be left out in silence.
 */
#include "maps/format/rows.h"

#include <stdlib.h>
#include <sysexits.h>
#include "base/core/buf.h"

#define NAME_MAX_NEAR 24
#define TOLD_MAX 400 /* bytes of names of columns in a message */

static const struct {
    const char *name;
    enum rows_column column;
} NAMES[] = {
    {"key", ROWS_KEY},
    {"address", ROWS_KEY},
    {"email", ROWS_KEY},
    {"emailaddress", ROWS_KEY},
    {"mail", ROWS_KEY},
    {"recipient", ROWS_KEY},
    {"route", ROWS_ROUTE},
    {"server", ROWS_ROUTE},
    {"kind", ROWS_KIND},
    {"deliver_as", ROWS_DELIVER_AS},
    {"note", ROWS_NOTE},
    {"comment", ROWS_NOTE},
    {"to", ROWS_TO},
    {"targets", ROWS_TO},
    {"members", ROWS_TO},
    {"owner", ROWS_OWNER},
    {"senders", ROWS_SENDERS},
    {"code", ROWS_CODE},
    {"text", ROWS_TEXT},
    {"also", ROWS_ALSO},
    {"until", ROWS_UNTIL},
    {"source", ROWS_SOURCE},
};
#define N_NAMES (sizeof NAMES / sizeof NAMES[0])

static const char *const MEMBERS[ROWS_COLUMNS] = {
    [ROWS_KEY] = "key",
    [ROWS_ROUTE] = "route",
    [ROWS_KIND] = "kind",
    [ROWS_DELIVER_AS] = "deliver_as",
    [ROWS_NOTE] = "note",
    [ROWS_TO] = "to",
    [ROWS_OWNER] = "owner",
    [ROWS_SENDERS] = "senders",
    [ROWS_CODE] = "code",
    [ROWS_TEXT] = "text",
    [ROWS_ALSO] = "also",
    [ROWS_UNTIL] = "until",
    [ROWS_SOURCE] = "source",
};

/* --- Names of columns ---------------------------------------------------------------------- */

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Letters to add, take away, replace or change places with their neighbour. */
static size_t distance(struct slice a, struct slice b)
{
    size_t d[NAME_MAX_NEAR + 1][NAME_MAX_NEAR + 1];

    if (a.n > NAME_MAX_NEAR || b.n > NAME_MAX_NEAR)
        return NAME_MAX_NEAR;
    for (size_t i = 0; i <= a.n; i++)
        for (size_t j = 0; j <= b.n; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            unsigned char x = ascii_lower(a.p[i - 1]), y = ascii_lower(b.p[j - 1]);
            d[i][j] = min3(d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (x != y));
            if (i > 1 && j > 1 && x == ascii_lower(b.p[j - 2]) && y == ascii_lower(a.p[i - 2]) &&
                d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    return d[a.n][b.n];
}

/* "Name" is a column of its own in many exports and no slip of "note": of short names one letter.
 */
static const char *near_name(struct slice cell)
{
    for (size_t i = 0; i < N_NAMES; i++) {
        struct slice name = slice_str(NAMES[i].name);
        if (distance(cell, name) <= (name.n < 3 ? 0 : name.n < 5 ? 1 : 2))
            return NAMES[i].name;
    }
    return NULL;
}

static bool find_column(const struct rows *r, struct slice cell, enum rows_column *out)
{
    for (size_t i = 0; i < r->n_names; i++)
        if (slice_eq_nocase(cell, r->names[i].name)) {
            *out = r->names[i].column;
            return true;
        }
    for (size_t i = 0; i < N_NAMES; i++)
        if (slice_eq_nocase(cell, slice_str(NAMES[i].name))) {
            *out = NAMES[i].column;
            return true;
        }
    return false;
}

/* Did the caller say which one it is? Then the usual names are columns like others. */
static bool is_named(const struct rows *r, enum rows_column column)
{
    for (size_t i = 0; i < r->n_names; i++)
        if (r->names[i].column == column)
            return true;
    return false;
}

int rows_name(struct rows *r, struct slice text, struct err *err)
{
    struct slice name = text, column;
    struct rows_name *to = &r->names[r->n_names];

    if (r->n_names == ROWS_NAMES_MAX)
        return err_set(err, ERR_PERM, EX_USAGE, "more than %d columns are named", ROWS_NAMES_MAX);
    if (!slice_split(&name, '=', &column) || name.n == 0)
        return err_set(err, ERR_PERM, EX_USAGE,
            "--column is COLUMN=NAME, such as key=PrimarySmtpAddress, not \"%.*s\"",
            SLICE_ARG(text));
    *to = (struct rows_name){.column = ROWS_COLUMNS, .name = name};
    for (size_t i = 0; i < ROWS_COLUMNS; i++)
        if (slice_eq(column, slice_str(MEMBERS[i])))
            to->column = (enum rows_column)i;
    if (to->column == ROWS_COLUMNS && !slice_eq(column, SLICE_LIT("ignore")))
        return err_set(err, ERR_PERM, EX_USAGE,
            "there is no column \"%.*s\" (columns: key, route, kind, deliver_as, note, to, owner, "
            "senders, code, text, also, until, source, ignore)",
            SLICE_ARG(column));
    r->n_names++;
    return 0;
}

/* --- The header line ----------------------------------------------------------------------- */

static int bad_header(size_t line, const char *what, struct slice cell, struct err *err)
{
    return err_set(
        err, ERR_PERM, EX_DATAERR, "line %zu: column \"%.*s\" %s", line, SLICE_ARG(cell), what);
}

static int unknown_column(size_t line, struct slice cell, struct err *err)
{
    const char *near = near_name(cell);

    if (!near)
        return 0;
    return err_set(err, ERR_PERM, EX_DATAERR,
        "line %zu: column \"%.*s\" is nearly \"%s\": rename it, or say what it is with --column "
        "%s=%.*s "
        "or --column ignore=%.*s",
        line, SLICE_ARG(cell), near, near, SLICE_ARG(cell), SLICE_ARG(cell));
}

static int no_key(size_t line, const struct slice *cells, size_t n, struct err *err)
{
    struct buf names;

    buf_init(&names, TOLD_MAX);
    for (size_t i = 0; i < n; i++)
        if (buf_addf(&names, "%s%.*s", i ? ", " : "", SLICE_ARG(cells[i])) != 0)
            break;
    err_set(err, ERR_PERM, EX_DATAERR,
        "line %zu: neither an address nor a header line that names a column \"key\": say which one "
        "has the addresses with --column key=NAME (columns: %s)",
        line, buf_cstr(&names));
    buf_fini(&names);
    return -1;
}

static int check_names(
    const struct rows *r, size_t line, const bool *seen, const struct buf *ignored, struct err *err)
{
    for (size_t i = 0; i < r->n_names; i++)
        if (r->names[i].column != ROWS_IGNORED && !seen[r->names[i].column])
            return err_set(err, ERR_PERM, EX_DATAERR,
                "line %zu: there is no column \"%.*s\" (--column)", line,
                SLICE_ARG(r->names[i].name));
    if (ignored->n)
        sink_note(r->sink, line, "columns that are not used: %.*s", SLICE_ARG(buf_slice(ignored)));
    return 0;
}

static int read_header(
    struct rows *r, size_t line, const struct slice *cells, size_t n, struct err *err)
{
    bool seen[ROWS_COLUMNS + 1] = {false};
    struct buf ignored;
    int rc = 0;

    buf_init(&ignored, TOLD_MAX);
    for (size_t i = 0; i < n && rc == 0; i++) {
        enum rows_column column = ROWS_IGNORED;
        bool is_known = find_column(r, cells[i], &column);
        bool is_ours = false;
        for (size_t k = 0; k < r->n_names; k++)
            is_ours |= slice_eq_nocase(cells[i], r->names[k].name);
        if (!is_ours && column != ROWS_IGNORED && is_named(r, column))
            column = ROWS_IGNORED;
        r->columns[i] = column;
        if (column != ROWS_IGNORED && seen[column])
            rc = bad_header(line, "means the same as one before it", cells[i], err);
        else if (!is_known)
            rc = unknown_column(line, cells[i], err);
        if (column == ROWS_IGNORED && ignored.n < TOLD_MAX &&
            buf_addf(&ignored, "%s%.*s", ignored.n ? ", " : "", SLICE_ARG(cells[i])) != 0 &&
            buf_add_str(&ignored, ", ...") != 0)
            ignored.max = ignored.n;
        seen[column] = true;
    }
    r->n_columns = n;
    if (rc == 0)
        rc = seen[ROWS_KEY] ? check_names(r, line, seen, &ignored, err)
                            : no_key(line, cells, n, err);
    buf_fini(&ignored);
    return rc;
}

static bool is_header(const struct slice *cells, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (slice_find(cells[i], '@') >= 0)
            return false;
    return true;
}

/* --- Rows ---------------------------------------------------------------------------------- */

/* A note is one line in the map; in a spreadsheet it may have been some. */
static int add_note(json_t *set, struct slice cell)
{
    char *text = slice_dup(cell);
    for (size_t i = 0; i < cell.n; i++)
        if (text[i] == '\r' || text[i] == '\n')
            text[i] = ' ';
    int rc = sink_set(set, MEMBERS[ROWS_NOTE], slice_make(text, cell.n));
    free(text);
    return rc;
}

static int make_row(
    struct rows *r, size_t line, const struct slice *cells, size_t n, struct err *err)
{
    json_t *row = json_object(), *set = json_object();
    bool has_key = false;
    int rc = json_object_set_new(row, "set", set);

    for (size_t i = 0; i < n && rc == 0; i++) {
        enum rows_column column = r->columns[i];
        if (column == ROWS_IGNORED ||
            (cells[i].n == 0 && (column == ROWS_ROUTE || column == ROWS_KIND)))
            continue;
        if (cells[i].n == 0 && column == ROWS_KEY) {
            json_decref(row);
            sink_note(r->sink, line, "no address");
            return 0;
        }
        if (cells[i].n > ROWS_CELL_MAX) {
            json_decref(row);
            return sink_bad(
                r->sink, line, err, "%s is longer than %d bytes", MEMBERS[column], ROWS_CELL_MAX);
        }
        has_key |= column == ROWS_KEY;
        rc = column == ROWS_NOTE
                 ? add_note(set, cells[i])
                 : sink_set(column == ROWS_KEY ? row : set, MEMBERS[column], cells[i]);
    }
    if (rc == 0 && has_key)
        return sink_row_own(r->sink, line, row, err);
    json_decref(row);
    return sink_bad(r->sink, line, err,
        rc ? "a cell cannot be kept as text" : "the row ends before its address");
}

/* PowerShell's Export-Csv begins with "#TYPE ...". */
static bool is_comment(const struct slice *cells, size_t n)
{
    return cells[0].n > 0 && cells[0].p[0] == '#' && is_header(cells, n);
}

static int on_row(void *arg, size_t line, const struct slice *cells, size_t n, struct err *err)
{
    struct rows *r = arg;

    if (is_comment(cells, n))
        return 0;
    if (!r->has_columns) {
        r->has_columns = true;
        if (is_header(cells, n))
            return read_header(r, line, cells, n, err);
        if (r->n_names)
            return no_key(line, cells, 0, err);
        r->columns[0] = ROWS_KEY;
        r->columns[1] = ROWS_ROUTE;
        r->n_columns = 2;
        if (n > 2)
            return err_set(err, ERR_PERM, EX_DATAERR,
                "line %zu: more than two cells need a header line that names them", line);
    }
    while (n > r->n_columns && cells[n - 1].n == 0)
        n--;
    if (n > r->n_columns)
        return sink_bad(r->sink, line, err, "%zu cells, but only %zu columns", n, r->n_columns);
    return make_row(r, line, cells, n, err);
}

void rows_init(struct rows *r, const struct sink *sink)
{
    *r = (struct rows){.sink = sink};
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
