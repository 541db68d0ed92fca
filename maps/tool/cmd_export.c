/* SPDX-License-Identifier: ISC */
/*
 * cmd_export: the whole map as one state of it.  Entries come in pages; when somebody changes the
 * map meanwhile the export begins anew, so that it never shows half of a wave.
 */
#include "maps/tool/tool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/os/bdb_file.h"
#include "base/core/clock.h"
#include "base/os/io.h"
#include "maps/format/export.h"

#define EXPORT_BYTES_MAX ((size_t)1 << 30)
#define TRIES_MAX 10
#define FILE_MODE 0644

/* One reading of the map, over several pages. */
struct reading {
    struct tool *t;
    struct export *x; /* NULL: JSON lines, the entries as mapd gives them */
    struct buf *out;
    bool has_generation;
    uint64_t generation;
};

static int too_large(struct err *err)
{
    return err_set(err, ERR_PERM, EX_DATAERR, "the map is too large to be exported");
}

/* A list of the map from an array, or from a word. */
static struct slice to_list(const json_t *v, struct buf *out)
{
    size_t i;
    const json_t *one;
    if (json_is_string(v) && buf_add_str(out, json_string_value(v)) != 0)
        return SLICE_NONE;
    json_array_foreach(v, i, one)
    {
        if ((i && buf_add_byte(out, '\n') != 0) ||
            buf_add_str(out, json_is_string(one) ? json_string_value(one) : "") != 0)
            return SLICE_NONE;
    }
    return buf_slice(out);
}

/* Borrows from e and from lists. */
struct lists {
    struct buf to, senders;
};

static void lists_init(struct lists *l)
{
    buf_init(&l->to, ROUTE_TARGETS_MAX);
    buf_init(&l->senders, ROUTE_TARGETS_MAX);
}

static void lists_fini(struct lists *l)
{
    buf_fini(&l->to);
    buf_fini(&l->senders);
}

static int read_entry(
    const json_t *e, struct lists *lists, struct route_entry *out, struct err *err)
{
    const char *until = tool_text(e, "until");
    *out = (struct route_entry){.route = slice_str(tool_text(e, "route")),
        .deliver_as = slice_str(tool_text(e, "deliver_as")),
        .targets = to_list(json_object_get(e, "to"), &lists->to),
        .owner = slice_str(tool_text(e, "owner")),
        .senders = to_list(json_object_get(e, "senders"), &lists->senders),
        .reply_code = (unsigned)tool_number(e, "code"),
        .reply_text = slice_str(tool_text(e, "text")),
        .also = slice_str(tool_text(e, "also")),
        .note = slice_str(tool_text(e, "note")),
        .source = slice_str(tool_text(e, "source"))};
    if (json_is_string(json_object_get(e, "senders")))
        out->senders = slice_str(tool_text(e, "senders"));
    if (route_kind_parse(slice_str(tool_text(e, "kind")), &out->kind) != 0 ||
        route_state_parse(slice_str(tool_text(e, "state")), &out->state) != 0 ||
        (until[0] && clock_parse_utc(slice_str(until), &out->until_s) != 0))
        return err_set(err, ERR_PEER, EX_PROTOCOL, "an entry of unknown kind or state");
    return 0;
}

static int to_export(const struct reading *r, const json_t *e, struct err *err)
{
    struct route_entry entry;
    struct lists lists;

    lists_init(&lists);
    int rc = read_entry(e, &lists, &entry, err);
    if (rc == 0 && export_entry(r->x, slice_str(tool_text(e, "key")), &entry, r->out) != 0)
        rc = too_large(err);
    lists_fini(&lists);
    return rc;
}

static int to_json(const struct reading *r, const json_t *e, struct err *err)
{
    char *line = json_dumps(e, JSON_COMPACT | JSON_PRESERVE_ORDER);
    int rc = !line || buf_add_str(r->out, line) != 0 || buf_add_byte(r->out, '\n') != 0
                 ? too_large(err)
                 : 0;
    free(line);
    return rc;
}

/* Takes what entries say of others; 2 behind the last one. */
static int to_ahead(const struct reading *r, const json_t *e, struct err *err)
{
    struct slice key = slice_str(tool_text(e, "key"));
    struct route_entry entry;
    struct lists lists;

    if (key.n == 0 || (key.p[0] != '@' && !export_wants_all(r->x)))
        return 2;
    lists_init(&lists);
    int rc = read_entry(e, &lists, &entry, err);
    if (rc == 0)
        export_ahead(r->x, key, &entry);
    lists_fini(&lists);
    return rc;
}

/* 0: all behind that key was taken, or as much as is wanted; 1: the map changed meanwhile. */
static int read_pages(struct reading *r, const char *after,
    int (*take)(const struct reading *, const json_t *, struct err *), struct err *err)
{
    json_t *request = json_pack("{ssss}", "op", "list", "after", after), *reply = NULL;
    bool is_more = true;
    int rc = 0;

    while (rc == 0 && is_more) {
        size_t i;
        const json_t *entry;
        rc = tool_call_own(r->t, json_incref(request), &reply, err);
        if (rc != 0)
            break;
        uint64_t generation = tool_number(reply, "generation");
        if (r->has_generation && generation != r->generation)
            rc = 1;
        r->generation = generation;
        r->has_generation = true;
        json_array_foreach(json_object_get(reply, "entries"), i, entry)
        {
            if (rc == 0)
                rc = take(r, entry, err);
        }
        json_t *next = json_object_get(reply, "next");
        is_more = json_is_string(next);
        if (is_more)
            json_object_set(request, "after", next);
        json_decref(reply);
    }
    json_decref(request);
    return rc == 2 ? 0 : rc;
}

static int export_once(struct tool *t, struct export *x, struct buf *out, struct err *err)
{
    struct reading r = {.t = t, .x = x, .out = out};
    int rc;

    buf_clear(out);
    if (!x)
        return read_pages(&r, "", to_json, err);
    rc = export_begin(x, out) == 0 ? read_pages(&r, export_wants_all(x) ? "" : "@", to_ahead, err)
                                   : -1;
    if (rc == 0)
        rc = read_pages(&r, "", to_export, err);
    if (export_end(x, out) != 0 && rc == 0)
        rc = too_large(err);
    return rc;
}

static void warn(const struct export *x)
{
    if (x->deliver_as && x->format == EXPORT_POSTFIX_TRANSPORT)
        fprintf(stderr,
            "maptool: %zu entries have a deliver_as, which a transport table cannot say: use the "
            "socket map, or a virtual(5) table beside it (--format postfix-virtual)\n",
            x->deliver_as);
    if (x->held)
        fprintf(stderr, "maptool: %zu held addresses became temporary failures\n", x->held);
    if (x->left_out == 0)
        return;
    fprintf(stderr,
        "maptool: %zu addresses were left out, because this format cannot have them:\n%.*s",
        x->left_out, SLICE_ARG(buf_slice(&x->left_out_names)));
    if (x->deferred)
        fprintf(stderr,
            "maptool: %zu domains got a temporary failure as their own line, which would have "
            "spoken for addresses that were left out: use the socket map\n",
            x->deferred);
}

/* FILE.db, as postmap(1) and makemap(8) make it of the text. */
static int write_db(const char *file, struct slice text, struct err *err)
{
    struct slice rest = text, key, value;
    struct bdb_file *db = NULL;
    struct buf path;
    size_t n = 0;
    int rc;

    while (export_next_line(&rest, &key, &value))
        n++;
    buf_init(&path, strlen(file) + 4);
    if (buf_addf(&path, "%s.db", file) != 0)
        BUG("the name fits by construction");
    rc = bdb_file_new(buf_cstr(&path), n, &db, err);
    for (rest = text; rc == 0 && export_next_line(&rest, &key, &value);)
        rc = bdb_file_add(db, key, value, err);
    if (rc == 0)
        rc = bdb_file_finish(&db, FILE_MODE, err);
    bdb_file_free(&db);
    buf_fini(&path);
    return rc;
}

static int write_out(const char *file, bool wants_db, struct slice bytes, struct err *err)
{
    if (file && io_write_file_durable(file, bytes, FILE_MODE, err) != 0)
        return -1;
    if (file)
        return wants_db ? write_db(file, bytes, err) : 0;
    fwrite(bytes.p, 1, bytes.n, stdout);
    return tool_flush(err);
}

static int unknown_format(const char *name, struct err *err)
{
    struct buf names;
    buf_init(&names, 512);
    for (size_t i = 0; i < EXPORT_FORMATS; i++)
        if (buf_addf(&names, ", %s", export_format_name((enum export_format)i)) != 0)
            BUG("the names of the formats fit");
    err_set(
        err, ERR_PERM, EX_USAGE, "unknown format \"%s\" (formats: json%s)", name, buf_cstr(&names));
    buf_fini(&names);
    return -1;
}

struct wish {
    const char *format, *file;
    bool is_json, wants_db;
};

static int parse(struct tool *t, struct wish *w, struct export *x, struct err *err)
{
    w->wants_db = tool_flag(t, "--db");
    if (tool_option(t, "--format", &w->format, err) != 0 ||
        tool_option(t, "--output", &w->file, err) != 0 || tool_words(t, 0, 0, err) != 0)
        return -1;
    w->is_json = strcmp(w->format, "json") == 0;
    if (!w->is_json && export_format_parse(w->format, &x->format) != 0)
        return unknown_format(w->format, err);
    if (w->wants_db && !w->file)
        return err_set(err, ERR_PERM, EX_USAGE, "--db needs --output");
    if (w->wants_db && (w->is_json || !export_is_table(x->format)))
        return err_set(err, ERR_PERM, EX_USAGE,
            "--db is for the tables of Postfix and Sendmail, not for %s", w->format);
    return 0;
}

int cmd_export(struct tool *t, struct err *err)
{
    struct wish w = {.format = "csv"};
    struct export x = {.conf = t->conf};
    struct buf out;
    int rc = 1;

    if (parse(t, &w, &x, err) != 0)
        return -1;
    buf_init(&out, EXPORT_BYTES_MAX);
    for (int i = 0; i < TRIES_MAX && rc == 1; i++)
        rc = export_once(t, w.is_json ? NULL : &x, &out, err);
    if (rc == 1)
        rc = err_set(err, ERR_TEMP, EX_TEMPFAIL,
            "the map changed during each of %d tries: try again later", TRIES_MAX);
    if (rc == 0)
        rc = write_out(w.file, w.wants_db, buf_slice(&out), err);
    if (rc == 0) {
        warn(&x);
        rc = x.left_out > 0 ? TOOL_DIFFERENT : 0;
    }
    export_fini(&x);
    buf_fini(&out);
    return rc;
}
