/* SPDX-License-Identifier: ISC */
/* progress: see progress.h. */
#include "imapsync/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/bar.h"
#include "imapsync/journal/text.h"
#include "imapsync/ends/limits.h"
#include "imapsync/stop.h"

#define BAR_EVERY_MS 100
#define EVENT_EVERY_MS 1000
#define LINE_EVERY_MS 10000
#define WIDTH_DEFAULT 80
#define WIDTH_LEAST 20
#define WIDTH_MOST 400
#define CLEAR "\r\033[K"

static bool is_terminal(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) == 1 && term && *term && strcmp(term, "dumb") != 0;
}

/* Columns of a terminal, as it is now. */
static size_t width_now(int fd)
{
    struct winsize size = {0};
    const char *columns = getenv("COLUMNS");
    uint32_t n = WIDTH_DEFAULT;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        n = size.ws_col;
    else if (columns && num_u32(slice_str(columns), 1, UINT16_MAX, &n) != 0)
        n = WIDTH_DEFAULT;
    return n < WIDTH_LEAST ? WIDTH_LEAST : n > WIDTH_MOST ? WIDTH_MOST : n;
}

void progress_init(struct progress *p, const struct progress_options *o)
{
    uint64_t now = clock_mono_ms();
    *p = (struct progress){.options = *o,
        .has_bar = !o->is_events && is_terminal(STDERR_FILENO),
        .start_ms = now,
        .shown_ms = now,
        .start_s = clock_wall_s()};
    /* The bar comes with the first that there is to be shown. */
    if (p->has_bar)
        p->shown_ms = now - BAR_EVERY_MS;
    summary_init(&p->summary);
    buf_init(&p->folder, FOLDER_NAME_MAX);
    log_over_bar(p->has_bar);
}

void progress_fini(struct progress *p)
{
    log_over_bar(false);
    report_fini(&p->report);
    summary_fini(&p->summary);
    buf_fini(&p->folder);
    free(p->folder_text);
    p->folder_text = NULL;
}

/* In one write, so that it is never cut by what somebody else writes. */
static void put(int fd, struct slice text)
{
    struct err ignored = ERR_INIT;
    fflush(stdout);
    if (io_write_all(fd, text, &ignored) != 0)
        return; /* there is nobody to tell */
}

static void clear_bar(const struct progress *p)
{
    if (p->has_bar)
        put(STDERR_FILENO, SLICE_LIT(CLEAR));
}

/* --- Events
 * --------------------------------------------------------------------------------------- */

static void stamp(const struct progress *p, const char *name, json_t *event)
{
    json_object_set_new(event, "event", json_string(name));
    json_object_set_new(event, "ms", json_integer((json_int_t)(clock_mono_ms() - p->start_ms)));
}

static void put_event(const struct progress *p, const char *name, json_t *event_own)
{
    if (p->options.is_events) {
        char *text;
        stamp(p, name, event_own);
        text = json_dumps(event_own, JSON_COMPACT);
        BUG_ON(!text);
        printf("%s\n", text);
        fflush(stdout);
        free(text);
    }
    json_decref(event_own);
}

void progress_begin(const struct progress *p)
{
    json_t *event = json_pack("{s:o, s:o, s:b}", "source", text_json(p->options.source), "target",
        text_json(p->options.target), "dry_run", (int)p->options.is_dry);
    BUG_ON(!event);
    put_event(p, "begin", event);
}

/* --- What has been done so far -------------------------------------------------------------------
 */

/* Each message once: those that were adopted are among those that were there. */
static uint64_t done_of(const struct copy_counts *n)
{
    return n->messages_copied + n->messages_same + n->messages_failed + n->messages_filtered;
}

/* The paces of both servers and what is left of their day count for what is to come; messages are
 * taken to be as large as those that have come. */
static int64_t left_ms(const struct progress *p, const struct copy_counts *n,
    const struct speed_now *speed, uint64_t messages)
{
    int64_t left = speed_left_ms(speed, messages, 0);
    if (!p->options.bound_s || n->messages_copied == 0)
        return left;
    const double mean = (double)n->octets_copied / (double)n->messages_copied;
    const uint64_t octets = (uint64_t)(mean * (double)messages);
    for (int i = 0; i < 2; i++)
        left =
            speed_no_sooner_ms(left, p->options.bound_s(p->options.arg, i == 1, octets, messages));
    return left;
}

static struct bar bar_of(const struct progress *p, const struct copy_counts *n)
{
    struct bar b = {.done = done_of(n),
        .total = n->messages_total,
        .octets = n->octets_copied,
        .speed = speed_now(&p->speed),
        .folder = p->folder_text};
    b.left_ms = b.total > b.done ? left_ms(p, n, &b.speed, b.total - b.done) : -1;
    return b;
}

static void show_bar(const struct bar *b)
{
    struct buf line;
    buf_init(&line, 4096);
    BUG_ON(buf_add_str(&line, "\r") != 0);
    /* The last column stays free: many terminals go to the next line behind it. */
    bar_line(b, width_now(STDERR_FILENO) - 1, &line);
    BUG_ON(buf_add_str(&line, "\033[K") != 0);
    put(STDERR_FILENO, buf_slice(&line));
    buf_fini(&line);
}

static void log_progress(const struct bar *b, const struct copy_counts *n)
{
    log_info("copy_progress", log_u64("copied", n->messages_copied),
        log_u64("same", n->messages_same), log_u64("failed", n->messages_failed),
        log_u64("total", n->messages_total), log_u64("octets", n->octets_copied),
        log_u64("octets_s", (uint64_t)b->speed.octets),
        log_i64("left_s", b->left_ms < 0 ? -1 : b->left_ms / 1000),
        log_str("folder", b->folder ? b->folder : ""));
}

static json_t *progress_json(const struct bar *b, const struct copy_counts *n)
{
    json_t *out = json_pack("{s:I, s:I, s:I, s:I, s:f}", "done", (json_int_t)b->done, "total",
        (json_int_t)b->total, "copied", (json_int_t)n->messages_copied, "bytes_copied",
        (json_int_t)n->octets_copied, "bytes_per_second", b->speed.octets);
    BUG_ON(!out);
    if (b->left_ms >= 0)
        json_object_set_new(out, "seconds_left", json_integer(b->left_ms / 1000));
    if (b->folder)
        json_object_set_new(out, "folder", json_string(b->folder));
    return out;
}

static void on_progress(void *arg, const struct copy_counts *n)
{
    struct progress *p = arg;
    const uint64_t now = clock_mono_ms();
    const uint64_t every_ms = p->options.is_events ? EVENT_EVERY_MS
                              : p->has_bar         ? BAR_EVERY_MS
                                                   : LINE_EVERY_MS;
    if (p->options.is_dry)
        return;
    speed_add(&p->speed, now, n->messages_copied, n->octets_copied);
    if (now - p->shown_ms < every_ms)
        return;
    p->shown_ms = now;
    const struct bar b = bar_of(p, n);
    if (p->options.is_events)
        put_event(p, "progress", progress_json(&b, n));
    else if (p->has_bar)
        show_bar(&b);
    else
        log_progress(&b, n);
}

/* --- What happens
 * ---------------------------------------------------------------------------------- */

/* The folder that something is about now. */
static void take_folder(struct progress *p, struct slice name)
{
    if (p->folder_text && slice_eq(buf_slice(&p->folder), name))
        return;
    struct buf text;
    buf_init(&text, 4 * FOLDER_NAME_MAX);
    folder_text(name, &text);
    free(p->folder_text);
    p->folder_text = text_dup(buf_slice(&text));
    buf_fini(&text);
    buf_clear(&p->folder);
    if (buf_add(&p->folder, name) != 0)
        buf_clear(&p->folder);
}

static void on_message(void *arg, const struct copy_message *m)
{
    struct progress *p = arg;
    summary_message(&p->summary, m);
    take_folder(p, m->folder);
}

/* Only a bar shows this: nothing has been done by it. */
static void on_looked(void *arg, const struct copy_looked *l)
{
    struct progress *p = arg;
    const uint64_t now = clock_mono_ms();
    speed_add(&p->looks, now, l->done, 0);
    if (!p->has_bar || now - p->shown_ms < BAR_EVERY_MS)
        return;
    p->shown_ms = now;
    take_folder(p, l->folder);
    struct bar b = {.what = l->is_comparison ? "compares" : "looks",
        .done = l->done,
        .total = l->total,
        .speed = speed_now(&p->looks),
        .folder = p->folder_text};
    b.left_ms = l->total > l->done ? speed_left_ms(&b.speed, l->total - l->done, 0) : -1;
    show_bar(&b);
}

static void on_exception(void *arg, const struct copy_exception *e)
{
    struct progress *p = arg;
    /* Whoever gives a filter knows what it leaves out: the report counts it. */
    if (e->code == ITEM_FILTERED)
        return;
    log_warn("copy_exception", log_str("folder", e->folder), log_u64("uid", e->uid),
        log_str("code", item_row(e->code)->name), log_str("error", e->why));
    report_item(&p->report, e);
    const struct report_item item = {.code = e->code,
        .folder = text_dup(slice_str(e->folder)),
        .why = text_dup(slice_str(e->why)),
        .uid = e->uid};
    put_event(p, "exception", report_item_json(&item));
    free(item.folder);
    free(item.why);
}

static void on_open(void *arg, const struct copy_exception *e)
{
    struct progress *p = arg;
    report_open(&p->report, e);
}

static void on_folder(void *arg, const struct copy_folder *f)
{
    struct progress *p = arg;
    const struct summary_folder *s = summary_folder(&p->summary, f);
    if (p->options.is_events && s)
        put_event(p, "folder", summary_folder_json(s));
}

static void on_renamed(void *arg, struct slice from, struct slice to)
{
    struct progress *p = arg;
    summary_renamed(&p->summary, from, to);
}

static void on_compared(void *arg, const struct copy_compared *f)
{
    struct progress *p = arg;
    if (p->options.is_proof)
        summary_compared(&p->summary, f);
}

static void on_again(void *arg)
{
    struct progress *p = arg;
    report_begin(&p->report);
    put_event(p, "again", json_object());
}

static bool is_cancelled(void *arg)
{
    (void)arg;
    return stop_is_wanted();
}

const struct copy_events progress_events = {.progress = on_progress,
    .exception = on_exception,
    .open = on_open,
    .is_cancelled = is_cancelled,
    .message = on_message,
    .looked = on_looked,
    .folder = on_folder,
    .renamed = on_renamed,
    .compared = on_compared,
    .again = on_again};

void progress_count(void *arg, bool is_target, const struct folder *f)
{
    struct progress *p = arg;
    if (f->has & FOLDER_HAS_MESSAGES)
        summary_count(&p->summary, is_target, f->name, f->messages,
            f->has & FOLDER_HAS_OCTETS ? (int64_t)f->octets : -1);
}

/* --- The end
 * ----------------------------------------------------------------------------------------- */

static void put_piece(void *arg, struct slice text)
{
    (void)fwrite(text.p, 1, text.n, arg);
}

/* A report of very many folders is written as it is made. */
static void put_report(struct progress *p, const struct summary_frame *frame, const struct err *err)
{
    const struct summary_sink sink = {put_piece, stdout};
    if (!p->options.is_json && !p->options.is_events) {
        summary_text(&p->summary, frame, &sink);
    } else {
        json_t *doc = summary_json(&p->summary, frame);
        if (err)
            json_object_set_new(doc, "broke_off", text_json(err->text));
        if (p->options.is_events)
            stamp(p, "end", doc);
        summary_put(&p->summary, doc, p->options.is_events, &sink);
        json_decref(doc);
    }
    fflush(stdout);
}

static uint64_t bound_s(const struct progress *p, bool is_target)
{
    const struct copy_counts *n = &p->report.n;
    return p->options.is_dry && p->options.bound_s && n->messages_copied > 0
               ? p->options.bound_s(p->options.arg, is_target, n->octets_copied, n->messages_copied)
               : 0;
}

void progress_summary(struct progress *p, const struct err *err)
{
    const struct summary_frame frame = {.report = &p->report,
        .started_s = p->start_s,
        .ended_s = clock_wall_s(),
        .seconds = (double)(clock_mono_ms() - p->start_ms) / 1000,
        .is_dry = p->options.is_dry,
        .bound_s = {bound_s(p, false), bound_s(p, true)},
        .width = is_terminal(STDOUT_FILENO) ? width_now(STDOUT_FILENO) : 0};
    clear_bar(p);
    log_over_bar(false);
    p->has_bar = false;
    put_report(p, &frame, err);
}

void progress_go_on(const struct progress *p, const char *program)
{
    const struct copy_counts *n = &p->report.n;
    struct buf size;
    if (n->messages_copied == 0) {
        fprintf(
            stderr, "%s: nothing was copied in this run: run the same command to go on\n", program);
        return;
    }
    buf_init(&size, 64);
    bar_add_octets(&size, (double)n->octets_copied);
    fprintf(stderr,
        "%s: %llu message%s (%s) %s copied in this run and will not come again: run the same "
        "command "
        "to go on\n",
        program, (unsigned long long)n->messages_copied, n->messages_copied == 1 ? "" : "s",
        buf_cstr(&size), n->messages_copied == 1 ? "was" : "were");
    buf_fini(&size);
}
