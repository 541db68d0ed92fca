/* SPDX-License-Identifier: ISC */
/*
 * backup_read: a set back: whether it is whole, and the rows of its map.
 *
 * The map is unpacked and read piece by piece, so that only its packed form is in memory.  A file
 * without its last line, with another number of rows, or of a version that is not known, is none.
 */
#include "maps/store/backup.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/os/gzip.h"
#include "base/os/hmac.h"
#include "base/os/io.h"
#include "maps/route.h"

#define PATH_BYTES_MAX 4096
#define SUMS_BYTES_MAX 65536
#define FILE_BYTES_MAX ((size_t)2 << 30)
#define ROWS_AT_ONCE 1000
#define LINE_BYTES_MAX ((size_t)4 * ROUTE_RECORD_MAX) /* a record in hexadecimal digits */
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
    rc = read_member(set_path, BACKUP_SUMS, SUMS_BYTES_MAX, &sums, err);
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

static int wrong_version(struct err *err)
{
    return err_set(err, ERR_PERM, EX_DATAERR,
        "this backup is of another version: restore it with the release that made it, or a newer "
        "one");
}

static bool is_count(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= 0;
}

int backup_line(struct slice line, json_t **row_out, struct backup_end *end_out, struct err *err)
{
    json_t *v = json_loadb((const char *)line.p, line.n, JSON_REJECT_DUPLICATES, NULL);
    const char *format = json_string_value(json_object_get(v, "format"));
    const json_t *generation = json_object_get(v, "generation"), *rows = json_object_get(v, "rows");
    json_int_t version = json_integer_value(json_object_get(v, "version"));
    int kind = -1;

    *row_out = NULL;
    if (format && strcmp(format, "coexist-map") == 0) {
        kind = version >= 1 && version <= BACKUP_VERSION ? 0 : wrong_version(err);
    } else if ((json_is_string(json_object_get(v, "key")) ||
                   json_is_string(json_object_get(v, "source"))) &&
               json_is_string(json_object_get(v, "record"))) {
        *row_out = json_incref(v);
        kind = 1;
    } else if (is_count(generation) && is_count(rows)) {
        end_out->generation = (uint64_t)json_integer_value(generation);
        end_out->rows = (uint64_t)json_integer_value(rows);
        kind = 2;
    } else {
        err_set(err, ERR_PERM, EX_DATAERR, "a line of it is damaged");
    }
    json_decref(v);
    return kind;
}

struct reader {
    int (*fn)(void *arg, json_t *rows_own, struct err *err);
    void *arg;
    json_t *rows; /* read and not given yet */
    uint64_t n_rows;
    struct backup_end end;
    int before;      /* what the last line was; -1: there was none */
    struct buf line; /* of which the end has not come */
};

static int give(struct reader *r, struct err *err)
{
    json_t *full = r->rows;
    r->rows = json_array();
    return r->fn(r->arg, full, err);
}

/* One head, rows, one end. */
static int take_line(struct reader *r, struct slice line, struct err *err)
{
    json_t *row;
    int kind = backup_line(line, &row, &r->end, err);

    if (kind < 0)
        return -1;
    if ((kind == 0) != (r->before < 0) || r->before == 2) {
        json_decref(row);
        return err_set(err, ERR_PERM, EX_DATAERR, "its lines are not in order");
    }
    r->before = kind;
    if (kind != 1)
        return 0;
    json_array_append_new(r->rows, row);
    r->n_rows++;
    return json_array_size(r->rows) >= ROWS_AT_ONCE ? give(r, err) : 0;
}

static int take_piece(void *arg, struct slice piece, struct err *err)
{
    struct reader *r = arg;
    struct slice part;

    while (slice_find(piece, '\n') >= 0) {
        if (!slice_split(&piece, '\n', &part))
            BUG("there is a line's end");
        if (r->line.n == 0) {
            if (take_line(r, part, err) != 0)
                return -1;
            continue;
        }
        if (buf_add(&r->line, part) != 0)
            return err_set(err, ERR_PERM, EX_DATAERR, "a line of it is too long");
        if (take_line(r, buf_slice(&r->line), err) != 0)
            return -1;
        buf_clear(&r->line);
    }
    if (buf_add(&r->line, piece) != 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "a line of it is too long");
    return 0;
}

static int take_end(struct reader *r, struct err *err)
{
    if (r->before != 2 || r->line.n > 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "it has no end");
    if (r->n_rows != r->end.rows)
        return err_set(err, ERR_PERM, EX_DATAERR,
            "it has %" PRIu64 " rows, and says that there are %" PRIu64, r->n_rows, r->end.rows);
    return json_array_size(r->rows) > 0 ? give(r, err) : 0;
}

int backup_read_bytes(struct slice bytes, bool is_packed,
    int (*fn)(void *arg, json_t *rows_own, struct err *err), void *arg, uint64_t *generation_out,
    struct err *err)
{
    struct reader r = {.fn = fn, .arg = arg, .rows = json_array(), .before = -1};

    buf_init(&r.line, LINE_BYTES_MAX);
    int rc = is_packed ? gzip_unpack(bytes, take_piece, &r, err) : take_piece(&r, bytes, err);
    if (rc == 0)
        rc = take_end(&r, err);
    *generation_out = r.end.generation;
    json_decref(r.rows);
    buf_fini(&r.line);
    return rc;
}

/* The packed one, and where there is none that of version 1. */
static int read_file(const char *set_path, struct buf *out, const char **name_out, struct err *err)
{
    struct err why = ERR_INIT;

    *name_out = BACKUP_MAP;
    if (read_member(set_path, BACKUP_MAP, FILE_BYTES_MAX, out, err) == 0)
        return 0;
    if (read_member(set_path, BACKUP_MAP_PLAIN, FILE_BYTES_MAX, out, &why) != 0)
        return -1;
    err_clear(err);
    *name_out = BACKUP_MAP_PLAIN;
    return 0;
}

int backup_read(const char *set_path, int (*fn)(void *arg, json_t *rows_own, struct err *err),
    void *arg, uint64_t *generation_out, struct err *err)
{
    const char *name;
    struct buf bytes;

    buf_init(&bytes, FILE_BYTES_MAX);
    int rc = read_file(set_path, &bytes, &name, err);
    if (rc == 0 && backup_read_bytes(buf_slice(&bytes), strcmp(name, BACKUP_MAP) == 0, fn, arg,
                       generation_out, err) != 0)
        rc = err_wrap(err, "%s/%s", set_path, name);
    buf_fini(&bytes);
    return rc;
}

static int drop_rows(void *arg ATTR_UNUSED, json_t *rows_own, struct err *err ATTR_UNUSED)
{
    json_decref(rows_own);
    return 0;
}

int backup_check(const char *set_path, uint64_t *generation_out, struct err *err)
{
    if (backup_verify(set_path, err) != 0)
        return -1;
    return backup_read(set_path, drop_rows, NULL, generation_out, err);
}
