/* SPDX-License-Identifier: ISC */
/*
 * cmd_import: a file of entries in one change of the map.
 *
 * The rows go to the map in chunks as the file is read; nothing happens before the commit, so an
 * error in the last line, or a kill, leaves the map as it was.  What the map refuses is a row; the
 * line that it came from is kept, because that is what a person can look for.
 */
#include "maps/tool/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "base/core/num.h"
#include "maps/format/rows.h"
#include "maps/store/control.h"

#define CHUNK_ROWS 1000 /* of CSV_ROW_MAX bytes fit a frame */
#define READ_BYTES 65536

struct import {
    struct tool *tool;
    const char *file; /* for messages */
    json_t *chunk;
    uint32_t *lines; /* of each row so far */
    size_t n, cap;
};

static size_t row_line(const struct import *im, const json_t *reply, const char *member)
{
    const json_t *row = json_object_get(reply, member);
    uint64_t i = (uint64_t)json_integer_value(row);
    return row && i < im->n ? im->lines[i] : 0;
}

/* Puts the line in front of what the map said. */
static int name_line(const struct import *im, const json_t *reply, struct err *err)
{
    size_t line = row_line(im, reply, "row"), first = row_line(im, reply, "first_row");
    if (first)
        err_wrap(err, "line %zu, as line %zu", line, first);
    else if (line)
        err_wrap(err, "line %zu", line);
    return -1;
}

static int send_chunk(struct import *im, struct err *err)
{
    json_t *reply, *rows = im->chunk;

    im->chunk = json_array();
    if (json_array_size(rows) == 0) {
        json_decref(rows);
        return 0;
    }
    int rc = tool_call_own(im->tool, json_pack("{ss so}", "op", "put", "rows", rows), &reply, err);
    if (rc != 0)
        name_line(im, reply, err);
    json_decref(reply);
    return rc;
}

static int on_row(void *arg, size_t line, json_t *row_own, struct err *err)
{
    struct import *im = arg;

    if (im->n == im->cap) {
        im->cap = im->cap ? 2 * im->cap : 1024;
        im->lines = mem_realloc_array(im->lines, im->cap, sizeof *im->lines);
    }
    im->lines[im->n++] = (uint32_t)line;
    json_array_append_new(im->chunk, row_own);
    return json_array_size(im->chunk) < CHUNK_ROWS ? 0 : send_chunk(im, err);
}

static int read_rows(struct import *im, FILE *in, const char *route, struct err *err)
{
    unsigned char *bytes = mem_zalloc(READ_BYTES);
    struct rows rows;
    size_t n;
    int rc = 0;

    rows_init(&rows, route, on_row, im);
    while (rc == 0 && (n = fread(bytes, 1, READ_BYTES, in)) > 0)
        rc = rows_feed(&rows, slice_make(bytes, n), err);
    if (rc == 0 && ferror(in))
        rc = err_set(err, ERR_TEMP, EX_IOERR, "cannot read it");
    if (rc == 0)
        rc = rows_finish(&rows, err);
    if (rc == 0)
        rc = send_chunk(im, err);
    if (rc == 0 && im->n == 0)
        rc = err_set(err, ERR_PERM, EX_DATAERR, "there is no entry in it");
    rows_fini(&rows);
    free(bytes);
    return rc;
}

static void print_result(const json_t *reply)
{
    bool dry_run = json_is_true(json_object_get(reply, "dry_run"));
    printf("%s%" PRIu64 " added, %" PRIu64 " changed, %" PRIu64 " deleted, %" PRIu64 " unchanged\n",
        dry_run ? "dry run, nothing done: " : "", tool_number(reply, "added"),
        tool_number(reply, "changed"), tool_number(reply, "deleted"),
        tool_number(reply, "unchanged"));
}

struct options {
    const char *route, *why;
    bool replace, dry_run;
    uint64_t max_drop;
};

static int parse_options(struct tool *t, struct options *o, struct err *err)
{
    const char *format = "csv", *max_drop = "10";

    if (tool_option(t, "--route", &o->route, err) != 0 ||
        tool_option(t, "--why", &o->why, err) != 0 ||
        tool_option(t, "--format", &format, err) != 0 ||
        tool_option(t, "--max-drop", &max_drop, err) != 0)
        return -1;
    o->replace = tool_flag(t, "--replace");
    o->dry_run = tool_flag(t, "--dry-run");
    if (strcmp(format, "csv") != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "unknown format \"%s\" (formats: csv)", format);
    if (num_u64(slice_str(max_drop), 0, 100, &o->max_drop) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--max-drop is a percentage from 0 to 100");
    return tool_words(t, 1, 1, err);
}

static int run_import(struct import *im, FILE *in, const struct options *o, struct err *err)
{
    json_t *reply = NULL;
    int rc = tool_call_own(im->tool,
        json_pack("{ss sb sb sI}", "op", "begin", "replace", o->replace, "dry_run", o->dry_run,
            "max_drop", (json_int_t)o->max_drop),
        &reply, err);

    json_decref(reply);
    if (rc != 0)
        return -1;
    if (read_rows(im, in, o->route, err) != 0)
        return err_wrap(err, "%s", im->file);
    rc = tool_call_own(im->tool, tool_change("commit", o->why), &reply, err);
    if (rc != 0) {
        name_line(im, reply, err);
        err_wrap(err, "%s", im->file);
    } else if (im->tool->json) {
        tool_print_json(reply);
    } else {
        print_result(reply);
    }
    json_decref(reply);
    return rc == 0 ? tool_flush(err) : -1;
}

int cmd_import(struct tool *t, struct err *err)
{
    struct options o = {0};
    struct import im = {.tool = t};

    if (parse_options(t, &o, err) != 0)
        return -1;
    bool is_stdin = strcmp(t->argv[0], "-") == 0;
    FILE *in = is_stdin ? stdin : fopen(t->argv[0], "rbe");
    if (!in) {
        err_sys(err, errno, "%s", t->argv[0]);
        err->code = EX_NOINPUT;
        return -1;
    }
    im.file = is_stdin ? "standard input" : t->argv[0];
    im.chunk = json_array();
    int rc = run_import(&im, in, &o, err);
    json_decref(im.chunk);
    free(im.lines);
    if (!is_stdin)
        fclose(in);
    return rc;
}
