/* SPDX-License-Identifier: ISC */
/*
 * cmd_import: a file of entries in one change of the map.
 *
 * The rows go to the map in chunks; nothing happens before the commit, so an error in the last
 * line, or a kill, leaves the map as it was.  What the map refuses is a row; the line that it came
 * from is kept, because that is what a person can look for.  Wrong lines are collected, those that
 * the reader finds and those that the map finds.
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
#include "base/os/charset.h"
#include "maps/format/reader.h"
#include "maps/format/text.h"
#include "maps/store/control.h"
#include "maps/tool/import_result.h"
#include "maps/tool/told.h"

#define CHUNK_ROWS 1000
#define CHUNK_BYTES ((size_t)1 << 20) /* and one row more: far from a frame's end */
#define FILE_MAX ((size_t)1 << 31)

struct import {
    struct tool *tool;
    struct told told;
    struct sink sink;
    bool is_stdin;
    bool has_lost; /* the file says what the map does not have now */
    json_t *chunk;
    size_t chunk_bytes;
    uint32_t *lines; /* of each row so far */
    size_t n, cap;
};

/* --- What the map says about rows ---------------------------------------------------------- */

static size_t row_line(const struct import *im, const json_t *object, const char *member)
{
    const json_t *row = json_object_get(object, member);
    uint64_t i = (uint64_t)json_integer_value(row);
    return row && i < im->n ? im->lines[i] : 0;
}

/* A row that is there twice names both lines. */
static int tell_row(struct import *im, const json_t *row, struct err *err)
{
    size_t line = row_line(im, row, "row"), first = row_line(im, row, "first_row");
    char text[2 * ERR_TEXT_MAX];

    if (!first)
        return told_bad(&im->told, line, tool_text(row, "text"), err);
    if (fmt_into(text, sizeof text, "%s (first in line %zu)", tool_text(row, "text"), first) != 0)
        return told_bad(&im->told, line, "this address occurs twice", err);
    return told_bad(&im->told, line, text, err);
}

/* Of a request that was refused: 0 when that was for its rows, which have been told. */
static int tell_rows(struct import *im, const json_t *reply, struct err *err)
{
    const json_t *rows = json_object_get(reply, "bad");
    size_t i;

    if (json_array_size(rows) == 0)
        return -1;
    if (err->code != EX_DATAERR) /* it may be right later */
        return err_wrap(err, "line %zu", row_line(im, reply, "row"));
    err_clear(err);
    for (i = 0; i < json_array_size(rows); i++)
        if (tell_row(im, json_array_get(rows, i), err) != 0)
            return -1;
    return 0;
}

static int send_chunk(struct import *im, struct err *err)
{
    json_t *reply, *rows = im->chunk;

    im->chunk = json_array();
    im->chunk_bytes = 0;
    if (json_array_size(rows) == 0) {
        json_decref(rows);
        return 0;
    }
    int rc = tool_call_own(im->tool, json_pack("{ss so}", "op", "put", "rows", rows), &reply, err);
    if (rc != 0)
        rc = tell_rows(im, reply, err);
    json_decref(reply);
    return rc;
}

/* --- What the reader says ------------------------------------------------------------------ */

static size_t row_bytes(const json_t *row)
{
    const json_t *set = json_object_get(row, "set"), *value;
    const char *name;
    size_t n = json_string_length(json_object_get(row, "key"));

    json_object_foreach((json_t *)(uintptr_t)set, name, value) n += json_string_length(value);
    return n;
}

static int on_row(void *arg, size_t line, json_t *row_own, struct err *err)
{
    struct import *im = arg;

    if (im->n == im->cap) {
        im->cap = im->cap ? 2 * im->cap : 1024;
        im->lines = mem_realloc_array(im->lines, im->cap, sizeof *im->lines);
    }
    im->lines[im->n++] = (uint32_t)line;
    im->chunk_bytes += row_bytes(row_own);
    json_array_append_new(im->chunk, row_own);
    return json_array_size(im->chunk) < CHUNK_ROWS && im->chunk_bytes < CHUNK_BYTES
               ? 0
               : send_chunk(im, err);
}

static int on_bad(void *arg, size_t line, const char *what, struct err *err)
{
    struct import *im = arg;
    return told_bad(&im->told, line, what, err);
}

static void on_note(void *arg, size_t line, const char *what, bool is_lost)
{
    struct import *im = arg;
    im->has_lost |= is_lost;
    told_note(&im->told, line, what);
}

/* --- The file ------------------------------------------------------------------------------- */

struct words { /* of an option that may come again */
    const char *v[SITE_HOPS_MAX];
    size_t n;
};

struct options {
    const char *route, *source, *why, *charset, *domain, *format_name;
    enum reader_format format; /* unless format_name is NULL */
    struct words columns, hops;
    bool replace, reroute, dry_run;
    bool has_max_drop;
    uint64_t max_drop;
};

/* All of it, since only all of it tells in which character set it is. */
static int read_file(FILE *in, struct buf *out, struct err *err)
{
    for (;;) {
        unsigned char *p = buf_reserve(out, 65536);
        if (!p)
            return err_set(err, ERR_PERM, EX_DATAERR, "the file is larger than 2 GiB");
        size_t n = fread(p, 1, 65536, in);
        buf_commit(out, n);
        if (n == 0)
            return ferror(in) ? err_set(err, ERR_TEMP, EX_IOERR, "cannot read it") : 0;
    }
}

/* In UTF-8. */
static int decode_file(
    struct import *im, const struct options *o, struct buf *text, struct err *err)
{
    const char *set = o->charset;

    if (!set) {
        enum text_set guess = text_guess(buf_slice(text));
        if (guess == TEXT_UTF8 || guess == TEXT_UNKNOWN)
            return 0; /* the reader tells the line in which it is not */
        set = guess == TEXT_UTF16 ? "UTF-16" : "WINDOWS-1252";
        im->sink.is_guessed = guess == TEXT_WINDOWS_1252;
        told_note(&im->told, 0,
            im->sink.is_guessed ? "not UTF-8: read as windows-1252 (--charset says another)"
                                : "read as UTF-16");
    }
    struct buf utf8;
    buf_init(&utf8, FILE_MAX);
    int rc = charset_to_utf8(set, buf_slice(text), &utf8, err);
    buf_fini(text);
    *text = utf8;
    return rc;
}

static enum reader_format choose_format(
    struct import *im, const struct options *o, struct slice text)
{
    if (o->format_name)
        return o->format;
    enum reader_format guess = reader_guess(slice_str(im->told.file), text);
    if (guess != READER_CSV) {
        char what[80];
        if (fmt_into(what, sizeof what, "read as %s (--format says another)",
                reader_format_name(guess)) == 0)
            told_note(&im->told, 0, what);
    }
    return guess;
}

static int name_columns(struct reader *r, const struct options *o, struct err *err)
{
    if (o->columns.n && r->format != READER_CSV)
        return err_set(err, ERR_PERM, EX_USAGE, "--column is for files in CSV");
    for (size_t i = 0; i < o->columns.n; i++)
        if (rows_name(&r->rows, slice_str(o->columns.v[i]), err) != 0)
            return -1;
    return 0;
}

static int read_rows(struct import *im, struct slice text, const struct options *o, struct err *err)
{
    struct site site = {.conf = im->tool->conf, .sink = &im->sink, .domain = slice_str(o->domain)};
    struct reader *r = mem_zalloc(sizeof *r);
    int rc = 0;

    for (size_t i = 0; i < o->hops.n && rc == 0; i++)
        rc = site_hop(&site, slice_str(o->hops.v[i]), err);
    reader_init(r, choose_format(im, o, text), &site);
    if (rc == 0)
        rc = name_columns(r, o, err);
    if (rc == 0)
        rc = reader_feed(r, text, err);
    if (rc == 0)
        rc = reader_finish(r, err);
    if (rc == 0)
        rc = send_chunk(im, err);
    if (rc == 0 && im->n == 0 && im->told.n_bad == 0)
        rc = err_set(err, ERR_PERM, EX_DATAERR, "there is no entry in it");
    reader_fini(r);
    free(r);
    return rc;
}

/* --- What the map kept -------------------------------------------------------------------- */

static void tell_conflict(struct import *im, const json_t *conflict)
{
    const char *key = tool_text(conflict, "key"), *route = tool_text(conflict, "route");
    const char *kept = tool_text(conflict, "kept"), *asked = tool_text(conflict, "asked");
    char what[ERR_TEXT_MAX];
    int rc;

    if (strcmp(kept, "held") == 0)
        rc = fmt_into(what, sizeof what, "%s is being moved: nothing of it was changed", key);
    else
        rc = fmt_into(what, sizeof what, "%s stays on %s%s%s%s", key, *route ? route : "no server",
            *asked ? ", not " : "", asked,
            strcmp(kept, "moved") == 0       ? ": a cut-over moved it there"
            : strcmp(kept, "meanwhile") == 0 ? ": it was changed while the import was on its way"
                                             : "");
    if (rc == 0)
        told_note(&im->told, row_line(im, conflict, "row"), what);
}

/* What the file wants otherwise than it is, and that remains so. */
static void tell_kept(struct import *im, const struct options *o, const json_t *reply)
{
    const json_t *kept = json_object_get(reply, "kept");
    const json_t *conflicts = json_object_get(reply, "conflicts");
    uint64_t route = tool_number(kept, "route"), moved = tool_number(kept, "moved"),
             held = tool_number(kept, "held"), meanwhile = tool_number(kept, "meanwhile");
    char what[200];

    im->has_lost |= held + meanwhile > 0 || (o->reroute && moved > 0);
    for (size_t i = 0; i < json_array_size(conflicts); i++)
        tell_conflict(im, json_array_get(conflicts, i));
    told_flush(&im->told);
    if (meanwhile > 0 &&
        fmt_into(what, sizeof what,
            "kept as they are: %" PRIu64 " that were changed while the import was on its way",
            meanwhile) == 0)
        told_note(&im->told, 0, what);
    if (route + moved + held == 0)
        return;
    if (fmt_into(what, sizeof what,
            "kept as they are: %" PRIu64 " with another route (--reroute changes it), %" PRIu64
            " that a cut-over has moved, %" PRIu64 " that are held",
            route, moved, held) == 0)
        told_note(&im->told, 0, what);
}

static int words(struct tool *t, const char *name, size_t max, struct words *out, struct err *err)
{
    for (;;) {
        const char *text = NULL;
        if (tool_option(t, name, &text, err) != 0)
            return -1;
        if (!text)
            return 0;
        if (out->n == max)
            return err_set(
                err, ERR_PERM, EX_USAGE, "%s stands there more than %zu times", name, max);
        out->v[out->n++] = text;
    }
}

static int parse_format(struct options *o, struct err *err)
{
    struct buf names;

    if (!o->format_name || reader_format_parse(slice_str(o->format_name), &o->format) == 0)
        return 0;
    buf_init(&names, 400);
    err_set(err, ERR_PERM, EX_USAGE, "unknown format \"%s\" (formats: %s)", o->format_name,
        reader_format_names(&names) == 0 ? buf_cstr(&names) : "");
    buf_fini(&names);
    return -1;
}

static int parse_options(struct tool *t, struct options *o, struct err *err)
{
    const char *max_drop = NULL;

    if (tool_option(t, "--route", &o->route, err) != 0 ||
        tool_option(t, "--why", &o->why, err) != 0 ||
        tool_option(t, "--charset", &o->charset, err) != 0 ||
        words(t, "--column", ROWS_NAMES_MAX, &o->columns, err) != 0 ||
        words(t, "--next-hop", SITE_HOPS_MAX, &o->hops, err) != 0 ||
        tool_option(t, "--domain", &o->domain, err) != 0 ||
        tool_option(t, "--source", &o->source, err) != 0 ||
        tool_option(t, "--format", &o->format_name, err) != 0 ||
        tool_option(t, "--max-drop", &max_drop, err) != 0)
        return -1;
    o->replace = tool_flag(t, "--replace");
    o->reroute = tool_flag(t, "--reroute");
    o->dry_run = tool_flag(t, "--dry-run");
    if (parse_format(o, err) != 0)
        return -1;
    o->has_max_drop = max_drop != NULL;
    if (max_drop && num_u64(slice_str(max_drop), 0, 100, &o->max_drop) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--max-drop is a percentage from 0 to 100");
    return tool_words(t, 1, 1, err);
}

static int commit(struct import *im, const struct options *o, struct err *err)
{
    json_t *reply;
    int rc = tool_call_own(im->tool, tool_change("commit", o->why), &reply, err);

    if (rc != 0)
        rc = tell_rows(im, reply, err);
    else if (im->tool->json)
        tool_print_json(reply);
    else
        import_result_print(reply);
    if (json_object_get(reply, "kept"))
        tell_kept(im, o, reply);
    json_decref(reply);
    return rc;
}

static const char *source_of(const struct import *im, const struct options *o)
{
    const char *slash = strrchr(im->told.file, '/');

    if (o->source)
        return o->source;
    return im->is_stdin ? "stdin" : slash ? slash + 1 : im->told.file;
}

static int run_import(struct import *im, FILE *in, const struct options *o, struct err *err)
{
    json_t *reply = NULL, *request = json_pack("{ss sb sb sb ss ss}", "op", "begin", "replace",
                              o->replace, "reroute", o->reroute, "dry_run", o->dry_run, "source",
                              source_of(im, o), "default_route", o->route ? o->route : "");
    struct buf text;

    if (request && o->has_max_drop)
        json_object_set_new(request, "max_drop", json_integer((json_int_t)o->max_drop));
    int rc = tool_call_own(im->tool, request, &reply, err);

    json_decref(reply);
    if (rc != 0)
        return -1;
    buf_init(&text, FILE_MAX);
    rc = read_file(in, &text, err);
    if (rc == 0)
        rc = decode_file(im, o, &text, err);
    if (rc == 0)
        rc = read_rows(im, buf_slice(&text), o, err);
    buf_fini(&text);
    if (rc == 0 && im->told.n_bad == 0)
        rc = commit(im, o, err);
    if (told_end(&im->told, rc, err) != 0 || tool_flush(err) != 0)
        return -1;
    return im->has_lost ? TOOL_DIFFERENT : 0;
}

int cmd_import(struct tool *t, struct err *err)
{
    struct options o = {0};
    struct import im = {
        .tool = t, .sink = {.row = on_row, .bad = on_bad, .note = on_note, .arg = &im}};

    if (parse_options(t, &o, err) != 0)
        return -1;
    im.is_stdin = strcmp(t->argv[0], "-") == 0;
    FILE *in = im.is_stdin ? stdin : fopen(t->argv[0], "rbe");
    if (!in) {
        err_sys(err, errno, "%s", t->argv[0]);
        err->code = EX_NOINPUT;
        return -1;
    }
    told_init(&im.told, im.is_stdin ? "standard input" : t->argv[0]);
    im.chunk = json_array();
    int rc = run_import(&im, in, &o, err);
    json_decref(im.chunk);
    free(im.lines);
    told_fini(&im.told);
    if (!im.is_stdin)
        fclose(in);
    return rc;
}
