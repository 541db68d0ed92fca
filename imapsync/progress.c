/* SPDX-License-Identifier: ISC */
/*
 * progress: see progress.h.  The bar and the lines go to standard error, the result to standard
 * output, so that a script reads only the result.
 */
#include "imapsync/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/log.h"

#define BAR_WIDTH 24
#define BAR_EVERY_MS 100
#define LINE_EVERY_MS 10000

void progress_init(struct progress *p, bool is_json)
{
    uint64_t now = clock_mono_ms();
    *p = (struct progress){.is_terminal = isatty(STDERR_FILENO) == 1,
        .is_json = is_json,
        .start_ms = now,
        .shown_ms = now};
}

void progress_fini(struct progress *p)
{
    report_fini(&p->report);
}

static void clear_bar(const struct progress *p)
{
    if (p->is_terminal)
        fputs("\r\033[K", stderr);
}

static double mebibytes(uint64_t octets)
{
    return (double)octets / (1 << 20);
}

static void show_bar(const struct progress *p, const struct copy_counts *n, double seconds)
{
    uint64_t done = n->messages_copied + n->messages_same + n->messages_failed;
    uint64_t total = n->messages_total > done ? n->messages_total : done;
    unsigned filled = total > 0 ? (unsigned)(done * BAR_WIDTH / total) : 0;
    (void)p;
    fputs("\r[", stderr);
    for (unsigned i = 0; i < BAR_WIDTH; i++)
        fputc(i < filled ? '#' : '.', stderr);
    fprintf(stderr, "] %llu/%llu messages, %.1f MiB, %.0f s\033[K", (unsigned long long)done,
        (unsigned long long)total, mebibytes(n->octets_copied), seconds);
    fflush(stderr);
}

static void on_progress(void *arg, const struct copy_counts *n)
{
    struct progress *p = arg;
    uint64_t now = clock_mono_ms();
    if (p->is_quiet || now - p->shown_ms < (p->is_terminal ? BAR_EVERY_MS : LINE_EVERY_MS))
        return;
    p->shown_ms = now;
    if (p->is_terminal)
        show_bar(p, n, (double)(now - p->start_ms) / 1000);
    else
        log_info("copy_progress", log_u64("copied", n->messages_copied),
            log_u64("same", n->messages_same), log_u64("failed", n->messages_failed),
            log_u64("total", n->messages_total), log_u64("octets", n->octets_copied));
}

static void on_exception(void *arg, const struct copy_exception *e)
{
    struct progress *p = arg;
    clear_bar(p);
    log_warn("copy_exception", log_str("folder", e->folder), log_u64("uid", e->uid),
        log_str("code", item_row(e->code)->name), log_str("error", e->why));
    report_item(&p->report, e);
}

static void on_open(void *arg, const struct copy_exception *e)
{
    struct progress *p = arg;
    report_open(&p->report, e);
}

const struct copy_events progress_events = {
    .progress = on_progress, .exception = on_exception, .open = on_open};

static void text_summary(const struct report *r, double seconds)
{
    const struct copy_counts *n = &r->n;
    const struct copy_verdict *v = r->has_verdict ? &r->verdict : NULL;
    printf("copied   %llu messages, %.1f MiB\n", (unsigned long long)n->messages_copied,
        mebibytes(n->octets_copied));
    printf("skipped  %llu messages (there already), %llu of them found by content\n",
        (unsigned long long)(n->messages_same + n->messages_adopted),
        (unsigned long long)n->messages_adopted);
    printf("failed   %llu messages, %llu folders of %llu\n", (unsigned long long)n->messages_failed,
        (unsigned long long)n->folders_failed, (unsigned long long)n->folders);
    if (n->messages_reduced > 0)
        printf("reduced  %llu messages: without their keywords or their dates\n",
            (unsigned long long)n->messages_reduced);
    if (n->folders_left_out > 0)
        printf("left out %llu folders that only show messages of others\n",
            (unsigned long long)n->folders_left_out);
    if (n->folders_vanished > 0)
        printf("vanished %llu folders are not on the source any more and stay on the target\n",
            (unsigned long long)n->folders_vanished);
    if (n->folders_not_renamed > 0)
        printf("renamed  %llu folders on the source, which the target refuses: their messages move "
               "instead\n",
            (unsigned long long)n->folders_not_renamed);
    printf("flags    %llu changed\n", (unsigned long long)n->flags_changed);
    printf("deleted  %llu messages, %llu kept because they were touched on the target\n",
        (unsigned long long)n->messages_deleted, (unsigned long long)n->messages_kept);
    if (n->deletions_withheld > 0)
        printf("withheld %llu deletions: too many at once (--delete-percent), or the target cannot "
               "remove single messages\n",
            (unsigned long long)n->deletions_withheld);
    if (n->folders_short > 0)
        printf("short    %llu folders: the source lists fewer messages than it counts\n",
            (unsigned long long)n->folders_short);
    if (n->keywords_lost > 0)
        printf("keywords %llu could not be kept\n", (unsigned long long)n->keywords_lost);
    uint64_t open = n->items_loss + n->items_withheld + n->items_changed;
    if (open + n->items_accepted > 0)
        printf("items    %llu open (%llu loss, %llu withheld, %llu changed), %llu accepted: see "
               "coexist-sync items\n",
            (unsigned long long)open, (unsigned long long)n->items_loss,
            (unsigned long long)n->items_withheld, (unsigned long long)n->items_changed,
            (unsigned long long)n->items_accepted);
    if (v)
        printf("verified %llu messages: %llu missing, %llu different, %llu gone from the target, "
               "%llu only there\n",
            (unsigned long long)v->messages, (unsigned long long)v->missing,
            (unsigned long long)v->different, (unsigned long long)v->gone,
            (unsigned long long)v->extra);
    printf("seconds  %.2f\n", seconds);
}

void progress_summary(struct progress *p)
{
    double seconds = (double)(clock_mono_ms() - p->start_ms) / 1000;
    clear_bar(p);
    if (!p->is_json) {
        text_summary(&p->report, seconds);
    } else {
        json_t *out = report_json(&p->report, REPORT_ITEMS_MAX);
        json_object_set_new(out, "seconds", json_real(seconds));
        json_dumpf(out, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(out);
    }
    fflush(stdout);
}
