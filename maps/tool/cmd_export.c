/* SPDX-License-Identifier: ISC */
/*
 * cmd_export: the whole map as one state of it.  Entries come in pages; when somebody changes the
 * map meanwhile the export begins anew, so that it never shows half of a wave.
 */
#include "maps/tool/tool.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/os/io.h"
#include "maps/format/export.h"

#define EXPORT_BYTES_MAX ((size_t)1 << 30)
#define TRIES_MAX 10
#define FILE_MODE 0644

/* One reading of the map, over several pages. */
struct reading {
    struct tool *t;
    struct export *x;
    struct buf *out;
    bool has_generation;
    uint64_t generation;
};

static int to_export(const struct reading *r, const json_t *e, struct err *err)
{
    struct route_entry entry = {.route = slice_str(tool_text(e, "route")),
        .deliver_as = slice_str(tool_text(e, "deliver_as")),
        .note = slice_str(tool_text(e, "note"))};

    if (route_kind_parse(slice_str(tool_text(e, "kind")), &entry.kind) != 0 ||
        route_state_parse(slice_str(tool_text(e, "state")), &entry.state) != 0)
        return err_set(err, ERR_PEER, EX_PROTOCOL, "an entry of unknown kind or state");
    if (export_entry(r->x, slice_str(tool_text(e, "key")), &entry, r->out) != 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "the map is too large to be exported");
    return 0;
}

/* Takes what concerns the whole of a domain; 2 behind the last one. */
static int to_domains(const struct reading *r, const json_t *e, struct err *err ATTR_UNUSED)
{
    struct slice key = slice_str(tool_text(e, "key"));

    if (key.n == 0 || key.p[0] != '@')
        return 2;
    if (slice_eq(slice_str(tool_text(e, "state")), slice_str(route_state_name(ROUTE_STATE_HELD))))
        export_hold_domain(r->x, key);
    return 0;
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
    rc = export_begin(x, out) == 0 ? read_pages(&r, "@", to_domains, err) : -1;
    if (rc == 0)
        rc = read_pages(&r, "", to_export, err);
    if (export_end(x, out) != 0 && rc == 0)
        rc = err_set(err, ERR_PERM, EX_DATAERR, "the map is too large to be exported");
    return rc;
}

static void warn(const struct export *x)
{
    if (x->deliver_as)
        fprintf(stderr,
            "maptool: %zu entries have a deliver_as, which a transport table cannot say: use the "
            "socket map, or a canonical(5) table beside it\n",
            x->deliver_as);
    if (x->held)
        fprintf(stderr, "maptool: %zu held addresses became temporary failures\n", x->held);
    if (x->left_out == 0)
        return;
    fprintf(stderr,
        "maptool: %zu addresses were left out, because a transport table cannot have them:\n%.*s",
        x->left_out, SLICE_ARG(buf_slice(&x->left_out_names)));
    if (x->deferred)
        fprintf(stderr,
            "maptool: %zu domains got a temporary failure as their own line, which would have "
            "spoken for addresses that were left out: use the socket map\n",
            x->deferred);
}

static int write_out(const char *file, struct slice bytes, struct err *err)
{
    if (file)
        return io_write_file_durable(file, bytes, FILE_MODE, err);
    fwrite(bytes.p, 1, bytes.n, stdout);
    return tool_flush(err);
}

int cmd_export(struct tool *t, struct err *err)
{
    const char *format = "csv", *file = NULL;
    struct export x = {.conf = t->conf};
    struct buf out;
    int rc = 1;

    if (tool_option(t, "--format", &format, err) != 0 ||
        tool_option(t, "--output", &file, err) != 0 || tool_words(t, 0, 0, err) != 0)
        return -1;
    if (export_format_parse(format, &x.format) != 0)
        return err_set(err, ERR_PERM, EX_USAGE,
            "unknown format \"%s\" (formats: csv, postfix-transport)", format);
    buf_init(&out, EXPORT_BYTES_MAX);
    for (int i = 0; i < TRIES_MAX && rc == 1; i++)
        rc = export_once(t, &x, &out, err);
    if (rc == 1)
        rc = err_set(err, ERR_TEMP, EX_TEMPFAIL,
            "the map changed during each of %d tries: try again later", TRIES_MAX);
    if (rc == 0)
        rc = write_out(file, buf_slice(&out), err);
    if (rc == 0) {
        warn(&x);
        rc = x.left_out > 0 ? TOOL_DIFFERENT : 0;
    }
    export_fini(&x);
    buf_fini(&out);
    return rc;
}
