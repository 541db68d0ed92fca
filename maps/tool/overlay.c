/* SPDX-License-Identifier: ISC */
/*
 * overlay: see overlay.h.
 *
 * The rules are those of the import itself (import_rules.h).  The snapshot does not have who moved
 * an entry: where that matters, since a route would be changed, the map is asked.
 */
#include "maps/tool/overlay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "maps/format/reader.h"

#define FILE_MAX ((size_t)1 << 31)

void overlay_init(struct overlay *o, struct tool *tool)
{
    *o = (struct overlay){.tool = tool};
    buf_init(&o->targets, SITE_TARGETS_MAX);
}

void overlay_fini(struct overlay *o)
{
    for (size_t i = 0; i < o->keys.n; i++)
        json_decref(o->rows[i]);
    free(o->rows);
    arrivals_fini(&o->keys);
    buf_fini(&o->targets);
}

/* --- Rows ------------------------------------------------------------------------------------- */

static int on_row(void *arg, size_t line, json_t *row_own, struct err *err)
{
    struct overlay *o = arg;
    const char *key = json_string_value(json_object_get(row_own, "key"));
    size_t n = o->keys.n;
    struct buf normal;
    int rc;

    buf_init(&normal, 2 * ROUTE_KEY_MAX);
    if (normalise_key(o->tool->conf, slice_str(key), &normal) != 0)
        rc = err_set(err, ERR_PERM, EX_DATAERR, "line %zu: %s is not an address", line, key);
    else
        rc = arrivals_add(&o->keys, buf_slice(&normal), 1, MAIL_LOG_UNKNOWN, SLICE_NONE, err);
    buf_fini(&normal);
    if (rc != 0 || o->keys.n == n) {
        json_decref(row_own);
        return rc;
    }
    if (o->keys.n > o->cap) {
        o->cap = o->cap ? 2 * o->cap : 256;
        o->rows = mem_realloc_array(o->rows, o->cap, sizeof(json_t *));
    }
    o->rows[n] = row_own;
    return 0;
}

static int on_bad(void *arg, size_t line, const char *what, struct err *err)
{
    (void)arg;
    return err_set(err, ERR_PERM, EX_DATAERR, "line %zu: %s", line, what);
}

static void on_note(void *arg, size_t line, const char *what, bool is_lost)
{
    (void)arg, (void)line, (void)what, (void)is_lost;
}

static int read_file(const char *path, struct buf *out, struct err *err)
{
    FILE *in = fopen(path, "rbe");
    size_t n = 1;
    int rc = 0;

    if (!in) {
        err_sys(err, errno, "%s", path);
        err->code = EX_NOINPUT;
        return -1;
    }
    while (rc == 0 && n > 0) {
        unsigned char *p = buf_reserve(out, 65536);
        n = p ? fread(p, 1, 65536, in) : 0;
        buf_commit(out, n);
        if (!p || ferror(in))
            rc = err_set(err, ERR_TEMP, EX_IOERR, "%s: cannot read it", path);
    }
    fclose(in);
    return rc;
}

int overlay_read(struct overlay *o, const char *path, struct err *err)
{
    const struct sink sink = {.arg = o, .row = on_row, .bad = on_bad, .note = on_note};
    const struct site site = {.conf = o->tool->conf, .sink = &sink};
    struct reader *r = mem_zalloc(sizeof *r);
    struct buf text;

    buf_init(&text, FILE_MAX);
    int rc = read_file(path, &text, err);
    reader_init(r, reader_guess(slice_str(path), buf_slice(&text)), &site);
    if (rc == 0 && (reader_feed(r, buf_slice(&text), err) != 0 || reader_finish(r, err) != 0))
        rc = err_wrap(err, "%s", path);
    reader_fini(r);
    free(r);
    buf_fini(&text);
    return rc;
}

/* --- Look-ups --------------------------------------------------------------------------------- */

static struct slice member(const json_t *set, const char *name)
{
    return slice_str(json_string_value(json_object_get(set, name)));
}

static void apply(struct overlay *o, const json_t *set, struct route_entry *next)
{
    struct slice kind = member(set, "kind"), to = member(set, "to"), part;

    if (member(set, "route").n)
        next->route = member(set, "route");
    if (kind.n && route_kind_parse(kind, &next->kind) != 0)
        next->kind = ROUTE_KIND_MAILBOX;
    if (json_object_get(set, "deliver_as"))
        next->deliver_as = member(set, "deliver_as");
    buf_clear(&o->targets);
    while (to.n && slice_split(&to, ',', &part))
        if (buf_addf(&o->targets, "%s%.*s", o->targets.n ? "\n" : "", SLICE_ARG(slice_trim(part))))
            break;
    if (o->targets.n)
        next->targets = buf_slice(&o->targets);
    if (next->kind == ROUTE_KIND_ALIAS || next->kind == ROUTE_KIND_FORWARD)
        next->route = SLICE_NONE;
}

/* Asked once for a key; "" when the map does not say. */
static struct slice moved_by(struct overlay *o, size_t i)
{
    json_t *row = o->rows[i], *reply = NULL;
    struct err err = ERR_INIT;

    if (!json_object_get(row, "moved_by")) {
        if (tool_call_own(o->tool, json_pack("{ss ss}", "op", "get", "key", o->keys.v[i].key),
                &reply, &err) == 0)
            json_object_set_new(row, "moved_by",
                json_string(tool_text(json_object_get(reply, "entry"), "moved_by")));
        json_decref(reply);
    }
    return member(row, "moved_by");
}

static enum route_answer get(
    void *arg, struct slice key, struct route_store *store, struct route_entry *entry)
{
    struct overlay *o = arg;
    enum route_answer answer = o->below.get(o->below.arg, key, store, entry);
    ptrdiff_t i = answer == ROUTE_UNKNOWN ? -1 : arrivals_find(&o->keys, key);
    struct route_entry next;

    if (i < 0)
        return answer;
    entry->is_tombstone = answer == ROUTE_NOT_FOUND;
    next = *entry;
    if (entry->is_tombstone)
        next = (struct route_entry){.epoch = entry->epoch};
    apply(o, json_object_get(o->rows[i], "set"), &next);
    if (o->rules.reroute && !entry->is_tombstone && !slice_eq(entry->route, next.route))
        entry->moved_by = next.moved_by = moved_by(o, (size_t)i);
    (void)import_row(&o->rules, entry, &next);
    next.is_tombstone = false;
    *entry = next;
    return ROUTE_FOUND;
}

struct route_view overlay_view(struct overlay *o, struct route_view below)
{
    o->below = below;
    return (struct route_view){.get = get, .arg = o};
}
