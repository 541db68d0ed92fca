/* SPDX-License-Identifier: ISC */
/* summary_json: the document of `copy --json`, which coexist-json(5) describes. */
#include "base/core/clock.h"
#include "imapsync/summary.h"

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
    const struct copy_folder *f = &s->f;
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
    add_octets(out, "source_bytes_before", f->all_octets);
    add_octets(out, "target_bytes_before", f->all_octets_there);
    add_octets(out, "source_bytes_after", s->octets_after);
    add_octets(out, "target_bytes_after", s->octets_there_after);
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
    if (s->is_compared)
        json_object_set_new(out, "verified",
            json_pack("{s:I, s:I, s:I, s:I}", "messages", (json_int_t)s->compared.messages,
                "missing", (json_int_t)s->compared.n_missing, "different",
                (json_int_t)s->compared.different, "gone", (json_int_t)s->compared.gone));
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
    json_t *out = report_json(frame->report, REPORT_ITEMS_MAX), *folders = json_array();
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
    for (size_t i = 0; i < s->n; i++)
        json_array_append_new(folders, summary_folder_json(&s->v[i]));
    json_object_set_new(out, "by_folder", folders);
    json_object_set_new(out, "biggest", biggest_json(s));
    json_object_set_new(out, "renamed", renamed_json(s));
    json_object_set_new(out, "by_code", by_code_json(frame->report));
    return out;
}
