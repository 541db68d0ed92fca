/* SPDX-License-Identifier: ISC */
/*
 * summary_text: a run for people.  A table of the folders in which something was done, or that have
 * something to be told; what was passed over is one line.  It fits the terminal; where there is
 * none no name is cut.
 */
#include <string.h>

#include "base/core/clock.h"
#include "imapsync/bar.h"
#include "imapsync/summary.h"
#include "imapsync/width.h"

#define NUMBERS_COLUMNS 47 /* of the table, behind the name */
#define NAME_LEAST 12
#define NAME_MAX_COLUMNS 60 /* where there is no terminal */
#define BIGGEST_SHOWN 5
#define PIECE 16384          /* of the text that is passed on */
#define PIECE_MAX (1u << 20) /* with the longest row behind it */
/* Octets a second that a forecast of a dry run supposes. */
#define SLOW (1 << 20)
#define FAST (10 << 20)

typedef unsigned long long ull;

static void say(struct buf *out, const char *format, ...) ATTR_PRINTF(2, 3);
static void say(struct buf *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    BUG_ON(buf_vaddf(out, format, args) != 0);
    va_end(args);
}

/* --- Folders ------------------------------------------------------------------------------------
 */

static bool is_quiet(const struct summary_folder *s)
{
    const struct copy_folder all = summary_numbers(s), *f = &all;
    return !s->compared && !f->left_out && !f->is_made && !f->is_lost && !f->has_failed &&
           s->items == 0 &&
           f->copied + f->adopted + f->filtered + f->failed + f->flags + f->moved + f->deleted +
                   f->kept + f->withheld ==
               0;
}

static void add_name(const struct summary_folder *s, struct buf *out)
{
    say(out, "%s", s->source);
    if (s->target && strcmp(s->source, s->target) != 0)
        say(out, " > %s", s->target);
}

/* "3 flags, 2 deleted": what has no column. */
static void add_note(struct buf *note, uint64_t n, const char *what)
{
    if (n > 0)
        say(note, "%s%llu %s", note->n > 0 ? ", " : "", (ull)n, what);
}

static void add_word(struct buf *note, bool is_so, const char *what)
{
    if (is_so)
        say(note, "%s%s", note->n > 0 ? ", " : "", what);
}

static void add_octets(struct buf *note, int64_t octets, const char *where)
{
    if (octets < 0)
        return;
    add_word(note, true, "");
    bar_add_octets(note, (double)octets);
    say(note, " %s", where);
}

static int64_t octets_now(const struct summary_folder *s, bool is_target)
{
    const struct summary_octets *o = s->octets;
    return !o ? -1 : o->after[is_target] >= 0 ? o->after[is_target] : o->before[is_target];
}

static void add_notes(const struct summary_folder *s, struct buf *note)
{
    const struct copy_folder all = summary_numbers(s), *f = &all;
    add_word(note, f->left_out != NULL, "left out: ");
    if (f->left_out)
        say(note, "%s", f->left_out);
    add_word(note,
        s->target && f->origin != FOLDER_ORIGIN_PLAIN && f->origin != FOLDER_ORIGIN_KEPT &&
            f->origin != FOLDER_ORIGIN_NONE,
        folder_origin_text(f->origin));
    add_octets(note, octets_now(s, false), "on the source");
    add_octets(note, octets_now(s, true), "on the target");
    add_note(note, f->adopted, "found there");
    add_note(note, f->filtered, "left out by the filter");
    add_note(note, f->flags, "with other flags");
    add_note(note, f->moved, "moved");
    add_note(note, f->deleted, "deleted");
    add_note(note, f->kept, "kept, as they were touched there");
    add_note(note, f->withheld, "withheld");
    add_note(note, f->failed, "failed");
    if (s->compared) {
        const struct copy_compared *c = s->compared;
        uint64_t bad = c->n_missing + c->different + c->gone;
        add_note(note, c->messages > bad ? c->messages - bad : 0, "verified");
        add_note(note, c->n_missing, "missing");
        add_note(note, c->different, "different");
        add_note(note, c->gone, "gone from there");
    }
    add_word(note, f->is_lost, "not on the source any more");
    add_word(note, f->has_failed, "could not be looked at as a whole");
    add_note(note, s->items, s->items == 1 ? "item" : "items");
}

/* A line, broken at commas where it is longer than the terminal. */
static void add_lines(struct buf *out, struct slice note, size_t width)
{
    const size_t indent = 4;
    struct slice part;
    size_t used = 0;
    while (slice_split(&note, ',', &part)) {
        part = slice_trim(part);
        const size_t w = width_of(part) + 2;
        if (used == 0 || (width > 0 && used + w > width)) {
            say(out, "%s%*s", used > 0 ? ",\n" : "", (int)indent, "");
            used = indent;
        } else {
            say(out, ", ");
        }
        say(out, "%.*s", SLICE_ARG(part));
        used += w;
    }
    say(out, "\n");
}

static void add_count(struct buf *out, const char *instead, uint64_t n)
{
    if (instead)
        say(out, " %8s", instead);
    else
        say(out, " %8llu", (ull)n);
}

static void add_row(struct buf *out, const struct summary_folder *s, size_t name_columns,
    const struct summary_frame *frame)
{
    const struct copy_folder all = summary_numbers(s), *f = &all;
    struct buf name, note, size;
    buf_init(&name, 16384);
    buf_init(&note, 4096);
    buf_init(&size, 64);
    add_name(s, &name);
    width_add(out, buf_slice(&name), name_columns, frame->width > 0 ? name_columns : SIZE_MAX);
    add_count(out, f->is_lost ? "-" : NULL, s->has_source_after ? s->source_after : f->messages);
    if (!f->left_out) {
        bar_add_octets(&size, (double)f->octets);
        add_count(out, f->is_made ? "new" : NULL, f->messages_there);
        if (!frame->is_dry)
            add_count(out, s->has_target_after ? NULL : "-", s->target_after);
        add_count(out, NULL, f->copied);
        if (f->copied > 0)
            say(out, " %10s", buf_cstr(&size));
    }
    say(out, "\n");
    add_notes(s, &note);
    if (note.n > 0)
        add_lines(out, buf_slice(&note), frame->width);
    buf_fini(&name);
    buf_fini(&note);
    buf_fini(&size);
}

static size_t name_columns(const struct summary *s, size_t width)
{
    size_t most = width == 0                             ? NAME_MAX_COLUMNS
                  : width > NUMBERS_COLUMNS + NAME_LEAST ? width - NUMBERS_COLUMNS
                                                         : NAME_LEAST;
    size_t widest = NAME_LEAST;
    for (size_t i = 0; i < s->n; i++) {
        struct buf name;
        if (is_quiet(&s->v[i]))
            continue;
        buf_init(&name, 16384);
        add_name(&s->v[i], &name);
        size_t w = width_of(buf_slice(&name));
        widest = w > widest ? w : widest;
        buf_fini(&name);
    }
    return widest < most ? widest : most;
}

/* What there is of the text so far, when it is worth a write. */
static void pass_on(struct buf *out, size_t least, const struct summary_sink *sink)
{
    if (out->n < least)
        return;
    sink->put(sink->arg, buf_slice(out));
    buf_clear(out);
}

static void add_folders(struct summary *s, const struct summary_frame *frame, struct buf *out,
    const struct summary_sink *sink)
{
    const size_t columns = name_columns(s, frame->width);
    uint64_t n_quiet = 0, messages = 0;
    bool has_head = false;
    for (size_t i = 0; i < s->n; i++) {
        if (is_quiet(&s->v[i])) {
            n_quiet++;
            messages += s->v[i].messages;
            continue;
        }
        if (!has_head) {
            width_add(out, SLICE_LIT("folder"), columns, columns);
            say(out, " %8s %8s%s %8s %10s\n", "source", "target", frame->is_dry ? "" : "      now",
                frame->is_dry ? "to copy" : "copied", "size");
        }
        has_head = true;
        add_row(out, &s->v[i], columns, frame);
        pass_on(out, PIECE, sink);
    }
    for (size_t i = 0; i < s->n_renamed; i++) {
        say(out, "%s renamed: %s > %s\n", frame->is_dry ? "would be" : "was", s->renamed[i].from,
            s->renamed[i].to);
        pass_on(out, PIECE, sink);
    }
    if (n_quiet > 0)
        say(out, "%s%llu folder%s with %llu messages %s\n", has_head ? "and " : "", (ull)n_quiet,
            n_quiet == 1 ? "" : "s", (ull)messages,
            frame->is_dry ? "in which there is nothing to do" : "in which nothing was to be done");
    if (s->n > 0)
        say(out, "\n");
}

/* --- Sums ---------------------------------------------------------------------------------------
 */

static void add_items(const struct report *r, struct buf *out)
{
    const struct copy_counts *n = &r->n;
    uint64_t of[ITEM_CODES] = {0};
    bool is_first = true;
    uint64_t open = n->items_loss + n->items_withheld + n->items_changed;
    if (open + n->items_accepted > 0)
        say(out,
            "items    %llu open (%llu loss, %llu withheld, %llu changed), %llu accepted: see\n"
            "         coexist-sync items\n",
            (ull)open, (ull)n->items_loss, (ull)n->items_withheld, (ull)n->items_changed,
            (ull)n->items_accepted);
    for (size_t i = 0; i < r->n_items; i++)
        of[r->items[i].code]++;
    for (enum item_code code = ITEM_NONE + 1; code < ITEM_CODES; code++) {
        if (of[code] == 0)
            continue;
        say(out, "%s%s %llu", is_first ? "codes    " : ", ", item_row(code)->name, (ull)of[code]);
        is_first = false;
    }
    if (!is_first)
        say(out, "\n");
}

static void add_biggest(const struct summary *s, const struct summary_frame *frame, struct buf *out)
{
    for (size_t i = 0; i < s->n_biggest && i < BIGGEST_SHOWN; i++) {
        const struct summary_message *b = &s->biggest[i];
        struct buf size;
        char date[32] = "";
        buf_init(&size, 64);
        bar_add_octets(&size, (double)b->m.octets);
        if (b->m.has_date)
            clock_format_utc(b->m.date_s, date);
        say(out, "%s %10s  %-10.10s  UID %-10u  ", i == 0 ? "biggest " : "        ",
            buf_cstr(&size), date, (unsigned)b->m.uid);
        width_add(out, slice_str(b->folder), 0,
            frame->width > 48 + NAME_LEAST ? frame->width - 48 : SIZE_MAX);
        say(out, "\n");
        buf_fini(&size);
    }
}

static void add_bound(struct buf *out, uint64_t seconds, const char *side)
{
    if (seconds == 0)
        return;
    say(out, "         ");
    bar_add_time(out, (int64_t)seconds * 1000);
    say(out, " by what the %s bears\n", side);
}

static void add_time(const struct summary_frame *frame, struct buf *out)
{
    const struct copy_counts *n = &frame->report->n;
    char from[32], to[32];
    clock_format_utc(frame->started_s, from);
    clock_format_utc(frame->ended_s, to);
    say(out, "time     %s to %s\n", from, to);
    if (!frame->is_dry && n->messages_copied > 0 && frame->seconds > 0) {
        say(out, "rate     %.1f messages and ", (double)n->messages_copied / frame->seconds);
        bar_add_octets(out, (double)n->octets_copied / frame->seconds);
        say(out, " a second\n");
    }
    if (frame->is_dry && n->octets_copied > 0) {
        say(out, "forecast ");
        bar_add_time(out, (int64_t)(n->octets_copied / SLOW * 1000));
        say(out, " at 1 MiB a second, ");
        bar_add_time(out, (int64_t)(n->octets_copied / FAST * 1000));
        say(out, " at 10\n");
        add_bound(out, frame->bound_s[0], "source");
        add_bound(out, frame->bound_s[1], "target");
    }
    say(out, "seconds  %.2f\n", frame->seconds);
}

/* A line that is only there when there is something to be told. */
static void add_some(struct buf *out, const char *label, uint64_t n, const char *what)
{
    if (n > 0)
        say(out, "%-8s %llu %s\n", label, (ull)n, what);
}

static void add_sums(const struct summary_frame *frame, struct buf *out)
{
    const struct report *r = frame->report;
    const struct copy_counts *n = &r->n;
    say(out, "%s%llu messages, ", frame->is_dry ? "to copy  " : "copied   ",
        (ull)n->messages_copied);
    bar_add_octets(out, (double)n->octets_copied);
    say(out, "\nskipped  %llu messages (there already), %llu of them found by content\n",
        (ull)n->messages_same, (ull)n->messages_adopted);
    add_some(out, "filtered", n->messages_filtered, "messages: without the filter they are copied");
    say(out, "failed   %llu messages, %llu folders of %llu\n", (ull)n->messages_failed,
        (ull)n->folders_failed, (ull)n->folders);
    add_some(
        out, "reduced", n->messages_reduced, "messages: without their keywords or their dates");
    add_some(out, "left out", n->folders_left_out, "folders that have no mail, or as a rule says");
    add_some(out, "vanished", n->folders_vanished,
        "folders are not on the source any more, and stay on the target");
    add_some(out, "renamed", n->folders_not_renamed,
        "folders, which the target refuses: their messages move instead");
    say(out, "flags    %llu %s\n", (ull)n->flags_changed, frame->is_dry ? "to change" : "changed");
    add_some(out, "moved", n->messages_moved, "messages");
    say(out, "deleted  %llu messages, %llu kept because they were touched on the target\n",
        (ull)n->messages_deleted, (ull)n->messages_kept);
    add_some(out, "withheld", n->deletions_withheld,
        "deletions: too many at once (--delete-percent), or the target\n"
        "         cannot remove single messages");
    add_some(
        out, "short", n->folders_short, "folders: the source lists fewer messages than it counts");
    add_some(out, "keywords", n->keywords_lost, "could not be kept");
    add_items(r, out);
    if (r->has_verdict)
        say(out,
            "verified %llu messages: %llu missing, %llu different, %llu gone from the target,\n"
            "         %llu only there\n",
            (ull)r->verdict.messages, (ull)r->verdict.missing, (ull)r->verdict.different,
            (ull)r->verdict.gone, (ull)r->verdict.extra);
}

void summary_text(
    struct summary *s, const struct summary_frame *frame, const struct summary_sink *sink)
{
    struct buf out;
    buf_init(&out, PIECE_MAX);
    summary_items(s, frame->report);
    if (frame->is_dry)
        say(&out, "a dry run: this is what would be done, and nothing was changed\n\n");
    add_folders(s, frame, &out, sink);
    add_sums(frame, &out);
    add_biggest(s, frame, &out);
    add_time(frame, &out);
    pass_on(&out, 0, sink);
    buf_fini(&out);
}
