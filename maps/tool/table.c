/* SPDX-License-Identifier: ISC */
/*
 * table: see table.h.  Widths count characters of UTF-8, not bytes; wide characters of East Asia
 * are taken as narrow.  Control characters become "?", so that no note in the map can steer a
 * terminal. The last column is not padded, so lines end where their text ends.
 */
#include "maps/tool/table.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/core/err.h"
#include "base/core/mem.h"
#include "base/core/slice.h"

#define GAP 2

struct table {
    struct slice headings[TABLE_COLUMNS_MAX];
    bool right[TABLE_COLUMNS_MAX];
    size_t width[TABLE_COLUMNS_MAX];
    size_t n_columns;
    char **cells; /* n_rows * n_columns */
    size_t n_rows, cap_rows;
    bool has_head;
};

static size_t text_width(struct slice s)
{
    size_t width = 0;
    for (size_t i = 0; i < s.n; i++)
        width += (s.p[i] & 0xc0) != 0x80;
    return width;
}

void table_clean(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            *p++ = '?';
        else if (*p >= 0x20 && *p != 0x7f)
            continue;
        *p = '?';
    }
}

struct table *table_new(const char *headings)
{
    struct table *t = mem_zalloc(sizeof *t);
    struct slice rest = slice_str(headings), part;

    while (slice_split(&rest, '|', &part)) {
        BUG_ON(t->n_columns == TABLE_COLUMNS_MAX);
        if (part.n && part.p[part.n - 1] == '>') {
            t->right[t->n_columns] = true;
            part.n--;
        }
        t->headings[t->n_columns] = part;
        t->width[t->n_columns++] = part.n;
    }
    return t;
}

static void free_rows(struct table *t)
{
    for (size_t i = 0; i < t->n_rows * t->n_columns; i++)
        free(t->cells[i]);
    t->n_rows = 0;
}

void table_free(struct table **t)
{
    if (!*t)
        return;
    free_rows(*t);
    free((*t)->cells);
    free(*t);
    *t = NULL;
}

void table_row(struct table *t, const char *const *cells)
{
    if (t->n_rows == t->cap_rows) {
        t->cap_rows = t->cap_rows ? 2 * t->cap_rows : 64;
        t->cells = mem_realloc_array(t->cells, t->cap_rows * t->n_columns, sizeof *t->cells);
    }
    for (size_t i = 0; i < t->n_columns; i++) {
        char *text = mem_strdup(cells[i] ? cells[i] : "");
        table_clean(text);
        size_t width = text_width(slice_str(text));
        t->cells[t->n_rows * t->n_columns + i] = text;
        if (width > t->width[i])
            t->width[i] = width;
    }
    t->n_rows++;
}

static void pad(FILE *out, size_t n)
{
    for (; n > 0; n--)
        fputc(' ', out);
}

static void print_line(struct table *t, FILE *out, const struct slice *cells)
{
    size_t last = t->n_columns;
    while (last > 0 && cells[last - 1].n == 0)
        last--;
    for (size_t i = 0; i < last; i++) {
        size_t space = t->width[i] - text_width(cells[i]);
        if (t->right[i])
            pad(out, space);
        fwrite(cells[i].p, 1, cells[i].n, out);
        if (i + 1 < last)
            pad(out, GAP + (t->right[i] ? 0 : space));
    }
    fputc('\n', out);
}

void table_flush(struct table *t, FILE *out)
{
    struct slice cells[TABLE_COLUMNS_MAX];

    if (!t->has_head && t->n_rows > 0) {
        print_line(t, out, t->headings);
        t->has_head = true;
    }
    for (size_t row = 0; row < t->n_rows; row++) {
        for (size_t i = 0; i < t->n_columns; i++)
            cells[i] = slice_str(t->cells[row * t->n_columns + i]);
        print_line(t, out, cells);
    }
    free_rows(t);
}
