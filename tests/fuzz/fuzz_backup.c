/* SPDX-License-Identifier: ISC */
/*
 * Lines of a backup's map: each is a head, a row with its two texts, an end, or an error that says
 * what is wrong with the data.  The whole as such a file, as it is, as if it were packed, and
 * packed by us: the first and the last say the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/os/gzip.h"
#include "maps/store/backup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count_rows(void *arg, json_t *rows_own, struct err *err)
{
    size_t *n = arg;
    (void)err;
    *n += json_array_size(rows_own);
    json_decref(rows_own);
    return 0;
}

struct result {
    int rc;
    size_t rows;
    uint64_t generation;
    struct err err;
};

static struct result read_file(struct slice bytes, bool is_packed)
{
    struct result r = {.err = ERR_INIT};
    r.rc = backup_read_bytes(bytes, is_packed, count_rows, &r.rows, &r.generation, &r.err);
    if (r.rc != 0 && (r.rc != -1 || r.err.code != EX_DATAERR))
        abort();
    return r;
}

static void check_files(struct slice bytes)
{
    struct gzip *z = gzip_new();
    struct buf packed;

    read_file(bytes, true);
    buf_init(&packed, 2 * bytes.n + 1024);
    if (gzip_add(z, bytes, &packed) != 0 || gzip_end(z, &packed) != 0)
        abort();
    struct result plain = read_file(bytes, false), both = read_file(buf_slice(&packed), true);
    if (plain.rc != both.rc || plain.rows != both.rows || plain.generation != both.generation ||
        strcmp(plain.err.text, both.err.text) != 0)
        abort();
    buf_fini(&packed);
    gzip_free(&z);
}

static void check_line(struct slice line)
{
    struct err err = ERR_INIT;
    struct backup_end end = {UINT64_MAX, UINT64_MAX};
    json_t *row = NULL;
    int kind = backup_line(line, &row, &end, &err);

    if (kind < -1 || kind > 2 || (row != NULL) != (kind == 1) ||
        (end.generation != UINT64_MAX) != (kind == 2) || (end.rows != UINT64_MAX) != (kind == 2) ||
        (kind < 0 && err.code != EX_DATAERR))
        abort();
    if (row && ((!json_string_value(json_object_get(row, "key")) &&
                    !json_string_value(json_object_get(row, "source"))) ||
                   !json_string_value(json_object_get(row, "record"))))
        abort();
    json_decref(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size), line;

    check_files(rest);
    while (slice_split(&rest, '\n', &line))
        check_line(line);
    return 0;
}
