/* SPDX-License-Identifier: ISC */
/*
 * csv: RFC 4180 with the freedoms that csv.h names.
 *
 *     file   = row *(EOL row) [EOL]              EOL = CRLF / LF / CR
 *     row    = *BOM cell *(separator cell)
 *     cell   = *plain / *WSP DQUOTE *(any / 2DQUOTE) DQUOTE *WSP
 *
 * The separator is the first of ",", ";" and tab outside of quotes, so a spreadsheet of any country
 * can be read, or what a first line "sep=X" names, which Excel writes and reads.  A quote inside an
 * unquoted cell is an ordinary character.  A line may stand for one row only: an end of the file
 * inside quotes, a NUL or what is not UTF-8 is an error with the line in which it stands, because a
 * file that was cut or converted wrongly must not become a map.
 */
#include "maps/format/csv.h"

#include <sysexits.h>
#include "maps/format/text.h"

static const unsigned char BOM[] = {0xef, 0xbb, 0xbf};

void csv_init(struct csv *c, csv_row *row, void *arg)
{
    *c = (struct csv){.row = row, .arg = arg, .line = 1, .row_line = 1};
    buf_init(&c->text, CSV_ROW_MAX);
}

void csv_fini(struct csv *c)
{
    buf_fini(&c->text);
}

static int bad(struct csv *c, const char *what, struct err *err)
{
    return err_set(err, ERR_PERM, EX_DATAERR, "line %zu: %s", c->line, what);
}

/* --- Rows ------------------------------------------------------------------------------ */

static int end_cell(struct csv *c, struct err *err)
{
    if (c->n == CSV_CELLS_MAX)
        return bad(c, "more than 1024 cells", err);
    c->ends[c->n] = c->text.n;
    c->quoted[c->n] = c->was_quoted;
    c->n++;
    c->was_quoted = false;
    c->state = CSV_CELL_START;
    return 0;
}

/* "sep=" and what separates: that has ended a cell, or stands behind it. */
static bool take_separator(struct csv *c, struct slice text)
{
    if (c->row_line != 1 || !slice_starts_nocase(text, SLICE_LIT("sep=")))
        return false;
    if (c->n == 2 && text.n == 4)
        return true;
    if (c->n != 1 || text.n != 5)
        return false;
    c->separator = text.p[4];
    return true;
}

static int end_row(struct csv *c, struct err *err)
{
    struct slice cells[CSV_CELLS_MAX], text;
    size_t from = 0;

    if (end_cell(c, err) != 0)
        return -1;
    text = buf_slice(&c->text);
    if (!text_is_utf8(text) || slice_find(text, '\0') >= 0)
        return bad(c, "this is not UTF-8 text: save the file as UTF-8", err);
    for (size_t i = 0; i < c->n; i++) {
        cells[i] = slice_sub(text, from, c->ends[i] - from);
        if (!c->quoted[i])
            cells[i] = slice_trim(cells[i]);
        from = c->ends[i];
    }
    bool is_empty = c->n == 1 && cells[0].n == 0 && !c->quoted[0];
    int rc =
        is_empty || take_separator(c, text) ? 0 : c->row(c->arg, c->row_line, cells, c->n, err);
    buf_clear(&c->text);
    c->n = 0;
    return rc;
}

static int add(struct csv *c, unsigned char byte, struct err *err)
{
    return buf_add_byte(&c->text, byte) == 0 ? 0
                                             : bad(c, "the row is longer than 262144 bytes", err);
}

static bool is_separator(struct csv *c, unsigned char byte)
{
    if (c->separator == 0 && (byte == ',' || byte == ';' || byte == '\t'))
        c->separator = byte;
    return byte == c->separator && byte != 0;
}

/* One byte that is no line end, outside of quotes. */
static int feed_open(struct csv *c, unsigned char byte, struct err *err)
{
    if (is_separator(c, byte))
        return end_cell(c, err);
    if (c->state == CSV_CELL_START && byte == '"') {
        /* Blanks in front of the quote do not belong to the cell. */
        buf_truncate(&c->text, c->n ? c->ends[c->n - 1] : 0);
        c->was_quoted = true;
        c->state = CSV_QUOTED;
        return 0;
    }
    if (c->state == CSV_QUOTED_END)
        return ascii_is_blank(byte) ? 0 : bad(c, "text behind a closing quote", err);
    if (c->state == CSV_CELL_START && !ascii_is_blank(byte))
        c->state = CSV_PLAIN;
    return add(c, byte, err);
}

static int feed_byte(struct csv *c, unsigned char byte, struct err *err)
{
    bool is_second = c->after_cr && byte == '\n';

    c->after_cr = byte == '\r';
    if (c->state == CSV_QUOTED) {
        if (byte == '"')
            c->state = CSV_QUOTE_SEEN;
        else if (add(c, byte, err) != 0)
            return -1;
        c->line += byte == '\n';
        return 0;
    }
    if (is_second) {
        c->mark = 0;
        return 0;
    }
    if (c->state == CSV_QUOTE_SEEN) {
        if (byte == '"') {
            c->state = CSV_QUOTED;
            return add(c, byte, err);
        }
        c->state = CSV_QUOTED_END;
    }
    if (byte != '\n' && byte != '\r')
        return feed_open(c, byte, err);
    int rc = end_row(c, err);
    c->line++;
    c->row_line = c->line;
    c->mark = 0;
    return rc;
}

/* What began like a byte order mark and was none is text. */
static int feed_mark(struct csv *c, struct err *err)
{
    size_t n = c->mark < sizeof BOM ? c->mark : 0;
    c->mark = sizeof BOM;
    for (size_t i = 0; i < n; i++)
        if (feed_byte(c, BOM[i], err) != 0)
            return -1;
    return 0;
}

int csv_feed(struct csv *c, struct slice in, struct err *err)
{
    for (size_t i = 0; i < in.n; i++) {
        if (c->mark < sizeof BOM && in.p[i] == BOM[c->mark]) {
            if (++c->mark == sizeof BOM)
                c->mark = 0;
            continue;
        }
        if (feed_mark(c, err) != 0 || feed_byte(c, in.p[i], err) != 0)
            return -1;
    }
    return 0;
}

int csv_finish(struct csv *c, struct err *err)
{
    if (feed_mark(c, err) != 0)
        return -1;
    if (c->state == CSV_QUOTED)
        return err_set(err, ERR_PERM, EX_DATAERR,
            "line %zu: a quote opens in this row and never closes", c->row_line);
    if (c->n == 0 && c->text.n == 0 && c->state == CSV_CELL_START)
        return 0;
    return end_row(c, err);
}

/* --- Writing ------------------------------------------------------------------------------ */

int csv_write(struct buf *out, struct slice cell)
{
    bool needs_quotes =
        cell.n > 0 && (ascii_is_blank(cell.p[0]) || ascii_is_blank(cell.p[cell.n - 1]) ||
                          cell.p[0] == '"' || slice_starts(cell, slice_make(BOM, sizeof BOM)));
    for (size_t i = 0; i < cell.n && !needs_quotes; i++)
        needs_quotes = strchr(",;\t\r\n", cell.p[i]) != NULL;
    if (!needs_quotes)
        return buf_add(out, cell);
    if (buf_add_byte(out, '"') != 0)
        return -1;
    for (size_t i = 0; i < cell.n; i++)
        if ((cell.p[i] == '"' && buf_add_byte(out, '"') != 0) || buf_add_byte(out, cell.p[i]) != 0)
            return -1;
    return buf_add_byte(out, '"');
}
