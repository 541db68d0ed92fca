/* SPDX-License-Identifier: ISC */
/*
 * Import files: the same rows come out whether the bytes come at once or one by one, and every cell
 * that is written again reads as it was.
 */
#include <stdint.h>
#include <stdlib.h>
#include "maps/format/csv.h"
#include "maps/format/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX ((size_t)1 << 24)

static int write_row(
    void *arg, size_t line, const struct slice *cells, size_t n_cells, struct err *err)
{
    struct buf *out = arg;
    (void)line, (void)err;
    /* A cell in front that can be no byte order mark, and a quoted one at the end, so that a row of
     * one empty cell stays a row. */
    if (buf_add_str(out, "x,") != 0)
        abort();
    for (size_t i = 0; i < n_cells; i++)
        if (csv_write(out, cells[i]) != 0 || buf_add_byte(out, ',') != 0)
            abort();
    if (buf_add_str(out, "\"\"\n") != 0)
        abort();
    return 0;
}

static int read_csv(struct slice in, size_t step, struct buf *out)
{
    struct err err = ERR_INIT;
    struct csv csv;
    int rc = 0;

    csv_init(&csv, write_row, out);
    for (size_t i = 0; i < in.n && rc == 0; i += step)
        rc = csv_feed(&csv, slice_sub(in, i, step), &err);
    if (rc == 0)
        rc = csv_finish(&csv, &err);
    csv_fini(&csv);
    return rc;
}

static int drop_row(void *arg, size_t line, json_t *row_own, struct err *err)
{
    size_t *n = arg;
    (void)line, (void)err;
    if (!json_is_string(json_object_get(row_own, "key")))
        abort();
    (*n)++;
    json_decref(row_own);
    return 0;
}

static int count_bad(void *arg, size_t line, const char *what, struct err *err)
{
    (void)arg, (void)err;
    if (line == 0 || !*what)
        abort();
    return 0;
}

static void ignore_note(void *arg, size_t line, const char *what, bool is_lost)
{
    (void)arg, (void)line, (void)what, (void)is_lost;
}

static void read_rows(struct slice in)
{
    size_t n = 0;
    const struct sink sink = {
        .row = drop_row, .bad = count_bad, .note = ignore_note, .arg = &n, .is_guessed = true};
    struct err err = ERR_INIT;
    struct rows rows;

    rows_init(&rows, &sink);
    if (rows_feed(&rows, in, &err) == 0 && rows_finish(&rows, &err) != 0 && !err.text[0])
        abort();
    rows_fini(&rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct buf whole, single, again;

    buf_init(&whole, TEXT_MAX);
    buf_init(&single, TEXT_MAX);
    buf_init(&again, TEXT_MAX);
    int rc = read_csv(in, size + 1, &whole);
    if (read_csv(in, 1, &single) != rc || !slice_eq(buf_slice(&whole), buf_slice(&single)))
        abort();
    /* Each writing adds two cells to a row: at the limit they may be too many. */
    if (rc == 0 && read_csv(buf_slice(&whole), 7, &again) == 0 && again.n < whole.n)
        abort();
    read_rows(in);
    buf_fini(&whole);
    buf_fini(&single);
    buf_fini(&again);
    return 0;
}
