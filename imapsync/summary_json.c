/* SPDX-License-Identifier: ISC */
/*
 * summary_json: the document of `copy --json`, which coexist-json(5) describes.  Each folder is
 * made when its turn comes to be written, and is gone behind that.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/clock.h"
#include "imapsync/summary.h"

#define FOLDERS "by_folder"

static json_t *number(uint64_t v)
{
    return json_integer((json_int_t)v);
}

static void add_octets(json_t *out, const char *key, int64_t octets)
{
    if (octets >= 0)
        json_object_set_new(out, key, json_integer(octets));
}

json_t *summary_folder_json(const struct summary_folder *s)
{
    const struct copy_folder all = summary_numbers(s), *f = &all;
    json_t *out = json_pack("{s:s, s:b, s:I, s:I}", "folder", s->source, "complete",
        (int)(!f->has_failed && !f->left_out), "source_before", (json_int_t)f->messages,
        "target_before", (json_int_t)f->messages_there);
    BUG_ON(!out);
    if (s->target) {
        json_object_set_new(out, "target", json_string(s->target));
        json_object_set_new(out, "name_from", json_string(folder_origin_name(f->origin)));
    }
    if (f->left_out)
        json_object_set_new(out, "left_out", json_string(f->left_out));
    if (s->has_source_after)
        json_object_set_new(out, "source_after", number(s->source_after));
    if (s->has_target_after)
        json_object_set_new(out, "target_after", number(s->target_after));
    if (s->octets) {
        add_octets(out, "source_bytes_before", s->octets->before[0]);
        add_octets(out, "target_bytes_before", s->octets->before[1]);
        add_octets(out, "source_bytes_after", s->octets->after[0]);
        add_octets(out, "target_bytes_after", s->octets->after[1]);
    }
    json_object_set_new(out, "made", json_boolean(f->is_made));
    json_object_set_new(out, "lost", json_boolean(f->is_lost));
    json_object_set_new(out, "copied", number(f->copied));
    json_object_set_new(out, "bytes_copied", number(f->octets));
    json_object_set_new(out, "skipped", number(summary_skipped(f)));
    json_object_set_new(out, "adopted", number(f->adopted));
    json_object_set_new(out, "filtered", number(f->filtered));
    json_object_set_new(out, "failed", number(f->failed));
    json_object_set_new(out, "flags_changed", number(f->flags));
    json_object_set_new(out, "moved", number(f->moved));
    json_object_set_new(out, "deleted", number(f->deleted));
    json_object_set_new(out, "kept", number(f->kept));
    json_object_set_new(out, "withheld", number(f->withheld));
    json_object_set_new(out, "items", number(s->items));
    if (s->compared)
        json_object_set_new(out, "verified",
            json_pack("{s:I, s:I, s:I, s:I}", "messages", (json_int_t)s->compared->messages,
                "missing", (json_int_t)s->compared->n_missing, "different",
                (json_int_t)s->compared->different, "gone", (json_int_t)s->compared->gone));
    return out;
}

static json_t *time_json(int64_t s)
{
    char text[32];
    clock_format_utc(s, text);
    return json_string(text);
}

static json_t *biggest_json(const struct summary *s)
{
    json_t *out = json_array();
    for (size_t i = 0; i < s->n_biggest; i++) {
        const struct summary_message *b = &s->biggest[i];
        json_t *one = json_pack("{s:s, s:I, s:I}", "folder", b->folder, "uid", (json_int_t)b->m.uid,
            "bytes", (json_int_t)b->m.octets);
        BUG_ON(!one);
        if (b->m.has_date)
            json_object_set_new(one, "date", time_json(b->m.date_s));
        json_array_append_new(out, one);
    }
    return out;
}

static json_t *renamed_json(const struct summary *s)
{
    json_t *out = json_array();
    for (size_t i = 0; i < s->n_renamed; i++)
        json_array_append_new(
            out, json_pack("{s:s, s:s}", "from", s->renamed[i].from, "to", s->renamed[i].to));
    return out;
}

/* Of what this run has told. */
static json_t *by_code_json(const struct report *r)
{
    json_t *out = json_object();
    for (size_t i = 0; i < r->n_items; i++) {
        const char *name = item_row(r->items[i].code)->name;
        json_int_t n = json_integer_value(json_object_get(out, name));
        json_object_set_new(out, name, json_integer(n + 1));
    }
    return out;
}

json_t *summary_json(struct summary *s, const struct summary_frame *frame)
{
    const struct copy_counts *n = &frame->report->n;
    const double seconds = frame->seconds > 0 ? frame->seconds : 1e-3;
    json_t *out = report_json(frame->report, REPORT_ITEMS_MAX);
    summary_items(s, frame->report);
    json_object_set_new(out, "dry_run", json_boolean(frame->is_dry));
    json_object_set_new(out, "started", time_json(frame->started_s));
    json_object_set_new(out, "ended", time_json(frame->ended_s));
    json_object_set_new(out, "seconds", json_real(frame->seconds));
    for (size_t i = 0; frame->is_dry && i < 2; i++) {
        if (frame->bound_s[i] > 0)
            json_object_set_new(out, i == 0 ? "seconds_by_source" : "seconds_by_target",
                json_integer((json_int_t)frame->bound_s[i]));
    }
    if (!frame->is_dry) {
        json_object_set_new(
            out, "messages_per_second", json_real((double)n->messages_copied / seconds));
        json_object_set_new(out, "bytes_per_second", json_real((double)n->octets_copied / seconds));
    }
    json_object_set_new(out, FOLDERS, json_array());
    json_object_set_new(out, "biggest", biggest_json(s));
    json_object_set_new(out, "renamed", renamed_json(s));
    json_object_set_new(out, "by_code", by_code_json(frame->report));
    return out;
}

/* --- Written ---------------------------------------------------------------------------------- */

struct writer {
    const struct summary_sink *sink;
    bool is_line, is_first; /* of its array or object */
};

static void put_text(const struct writer *w, const char *text)
{
    w->sink->put(w->sink->arg, slice_str(text));
}

static void put_value(const struct writer *w, const json_t *value)
{
    char *text =
        json_dumps(value, JSON_ENCODE_ANY | (w->is_line ? JSON_COMPACT : JSON_PRESERVE_ORDER));
    BUG_ON(!text);
    put_text(w, text);
    free(text);
}

/* Before each value of an object or array. */
static void put_next(struct writer *w, const char *indent)
{
    put_text(w, w->is_first ? "" : ",");
    if (!w->is_line)
        put_text(w, indent);
    w->is_first = false;
}

static void put_folders(const struct writer *outer, const struct summary *s)
{
    struct writer w = *outer;
    w.is_first = true;
    for (size_t i = 0; i < s->n; i++) {
        json_t *folder = summary_folder_json(&s->v[i]);
        put_next(&w, "\n    ");
        put_value(&w, folder);
        json_decref(folder);
    }
}

static void put_array(const struct writer *outer, const json_t *array)
{
    struct writer w = *outer;
    const json_t *value;
    size_t i;
    w.is_first = true;
    json_array_foreach(array, i, value)
    {
        put_next(&w, "\n    ");
        put_value(&w, value);
    }
}

static void put_member(
    const struct writer *w, const struct summary *s, const char *key, const json_t *value)
{
    json_t *name = json_string(key);
    put_value(w, name);
    json_decref(name);
    put_text(w, w->is_line ? ":" : ": ");
    if (!json_is_array(value)) {
        put_value(w, value);
        return;
    }
    bool is_empty = json_array_size(value) == 0;
    put_text(w, "[");
    if (strcmp(key, FOLDERS) == 0) {
        put_folders(w, s);
        is_empty = s->n == 0;
    } else {
        put_array(w, value);
    }
    put_text(w, w->is_line || is_empty ? "]" : "\n  ]");
}

void summary_put(
    const struct summary *s, const json_t *doc, bool is_line, const struct summary_sink *sink)
{
    struct writer w = {.sink = sink, .is_line = is_line, .is_first = true};
    const char *key;
    json_t *value;
    put_text(&w, "{");
    json_object_foreach((json_t *)(uintptr_t)doc, key, value)
    {
        put_next(&w, "\n  ");
        put_member(&w, s, key, value);
    }
    put_text(&w, w.is_line ? "}\n" : "\n}\n");
}
