/* SPDX-License-Identifier: ISC */
/*
 * backup_read: a set back: whether it is whole, and the rows of its map.
 *
 * The map is read line by line.  A file without its last line, with another number of rows, or of a
 * version that is not known, is none.
 */
#include "maps/store/backup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/os/hmac.h"
#include "base/os/io.h"

#define PATH_BYTES_MAX 4096
#define SUMS_BYTES_MAX 65536
#define FILE_BYTES_MAX ((size_t)2 << 30)
#define ROWS_AT_ONCE 1000
#define HEX_DIGITS (2 * SHA256_SIZE)

static int read_member(
    const char *set_path, const char *name, size_t max, struct buf *out, struct err *err)
{
    struct buf path;
    int rc;

    buf_init(&path, PATH_BYTES_MAX);
    rc = io_path(&path, set_path, name) == 0
             ? io_read_file(buf_cstr(&path), max, out, err)
             : err_set(err, ERR_PERM, EX_USAGE, "the path %s is too long", set_path);
    buf_fini(&path);
    return rc;
}

/* --- Sums ----------------------------------------------------------------------------------- */

static int verify_file(const char *set_path, struct slice sum, const char *name, struct err *err)
{
    unsigned char digest[SHA256_SIZE];
    char hex[HEX_DIGITS + 1];
    struct buf text;
    int rc;

    if (strchr(name, '/'))
        return err_set(err, ERR_PERM, EX_DATAERR, "%s/SHA256SUMS is damaged", set_path);
    buf_init(&text, FILE_BYTES_MAX);
    rc = read_member(set_path, name, FILE_BYTES_MAX, &text, err);
    if (rc == 0) {
        sha256_of(buf_slice(&text), digest);
        for (size_t i = 0; i < sizeof digest; i++)
            if (fmt_into(hex + 2 * i, 3, "%02x", (unsigned)digest[i]) != 0)
                BUG("two digits fit");
        if (!slice_eq(sum, slice_str(hex)))
            rc = err_set(err, ERR_PERM, EX_DATAERR,
                "%s/%s is not what was written: its sum differs", set_path, name);
    }
    buf_fini_wipe(&text);
    return rc;
}

int backup_verify(const char *set_path, struct err *err)
{
    struct buf sums;
    struct slice rest, line;
    size_t n = 0;
    int rc;

    buf_init(&sums, SUMS_BYTES_MAX);
    rc = read_member(set_path, "SHA256SUMS", SUMS_BYTES_MAX, &sums, err);
    if (rc != 0)
        err->code = EX_NOINPUT; /* not a set, or not a whole one */
    rest = buf_slice(&sums);
    while (rc == 0 && rest.n > 0 && slice_split(&rest, '\n', &line)) {
        char *name = slice_dup(slice_from(line, HEX_DIGITS + 2));
        if (line.n <= HEX_DIGITS + 2)
            rc = err_set(err, ERR_PERM, EX_DATAERR, "%s/SHA256SUMS is damaged", set_path);
        else
            rc = verify_file(set_path, slice_sub(line, 0, HEX_DIGITS), name, err);
        free(name);
        n++;
    }
    if (rc == 0 && n == 0)
        rc = err_set(err, ERR_PERM, EX_DATAERR, "%s/SHA256SUMS is empty", set_path);
    buf_fini(&sums);
    return rc;
}

/* --- The map ---------------------------------------------------------------------------------- */

int backup_line(struct slice line, json_t **row_out, uint64_t *generation_out, struct err *err)
{
    json_t *v = json_loadb((const char *)line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
    const char *format = json_string_value(json_object_get(v, "format"));
    const json_t *generation = json_object_get(v, "generation");
    int kind = -1;

    *row_out = NULL;
    if (format && strcmp(format, "coexist-map") == 0) {
        kind = json_integer_value(json_object_get(v, "version")) == BACKUP_VERSION
                   ? 0
                   : err_set(err, ERR_PERM, EX_DATAERR,
                         "this backup is of another version: restore it with the release that made "
                         "it, or a newer one");
    } else if (json_is_string(json_object_get(v, "key")) &&
               json_is_string(json_object_get(v, "record"))) {
        *row_out = json_incref(v);
        kind = 1;
    } else if (json_is_integer(generation) && json_integer_value(generation) >= 0) {
        *generation_out = (uint64_t)json_integer_value(generation);
        kind = 2;
    } else {
        err_set(err, ERR_PERM, EX_DATAERR, "a line of the backup is damaged");
    }
    json_decref(v);
    return kind;
}

static int give(
    json_t **rows, int (*fn)(void *, json_t *, struct err *), void *arg, struct err *err)
{
    json_t *full = *rows;
    *rows = json_array();
    return fn(arg, full, err);
}

int backup_read(const char *set_path, int (*fn)(void *arg, json_t *rows_own, struct err *err),
    void *arg, uint64_t *generation_out, struct err *err)
{
    json_t *rows = json_array(), *row;
    struct slice rest, line;
    struct buf text;
    int kind = 0, before = -1, rc;

    buf_init(&text, FILE_BYTES_MAX);
    rc = read_member(set_path, "map.jsonl", FILE_BYTES_MAX, &text, err);
    rest = buf_slice(&text);
    while (rc == 0 && rest.n > 0 && slice_split(&rest, '\n', &line)) {
        kind = backup_line(line, &row, generation_out, err);
        /* One head, rows, one end. */
        if (kind >= 0 && ((kind == 0) != (before < 0) || before == 2))
            kind = err_set(err, ERR_PERM, EX_DATAERR, "%s/map.jsonl is damaged", set_path);
        if (kind == 1)
            json_array_append_new(rows, row);
        else
            json_decref(row);
        before = kind;
        rc = kind < 0 ? -1 : 0;
        if (rc == 0 && json_array_size(rows) >= ROWS_AT_ONCE)
            rc = give(&rows, fn, arg, err);
    }
    if (rc == 0 && kind != 2)
        rc = err_set(err, ERR_PERM, EX_DATAERR, "%s/map.jsonl has no end", set_path);
    if (rc == 0 && json_array_size(rows) > 0)
        rc = give(&rows, fn, arg, err);
    json_decref(rows);
    buf_fini(&text);
    return rc;
}
