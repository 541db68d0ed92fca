/* SPDX-License-Identifier: ISC */
/* bar: see bar.h. */
#include "imapsync/bar.h"

#include <string.h>

#include "base/core/err.h"
#include "imapsync/width.h"

#define PICTURE_LEAST 10 /* columns */
#define PICTURE_MOST 30
#define LINE_MAX 1024
#define FOLDER_LEAST 9 /* columns; else it is left out */

void bar_add_octets(struct buf *out, double octets)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    size_t unit = 0;
    if (octets < 1024) {
        BUG_ON(buf_addf(out, "%.0f B", octets) != 0);
        return;
    }
    for (octets /= 1024; octets >= 1024 && unit < 3; unit++)
        octets /= 1024;
    BUG_ON(buf_addf(out, "%.1f %s", octets, units[unit]) != 0);
}

void bar_add_time(struct buf *out, int64_t ms)
{
    const unsigned long long s = (unsigned long long)(ms / 1000 + (ms % 1000 > 0));
    const unsigned long long minutes = s / 60, hours = minutes / 60;
    if (hours >= 48)
        BUG_ON(buf_addf(out, "%llu d %llu h", hours / 24, hours % 24) != 0);
    else if (hours > 0)
        BUG_ON(buf_addf(out, "%llu:%02llu:%02llu", hours, minutes % 60, s % 60) != 0);
    else
        BUG_ON(buf_addf(out, "%llu:%02llu", minutes, s % 60) != 0);
}

/* A part that fits is added, with two blanks in front. */
static void add_part(struct buf *line, size_t width, const struct buf *part)
{
    const size_t blanks = line->n > 0 ? 2 : 0;
    if (width_of(buf_slice(line)) + blanks + width_of(buf_slice(part)) > width)
        return;
    BUG_ON(buf_addf(line, "%*s", (int)blanks, "") != 0 || buf_add(line, buf_slice(part)) != 0);
}

static void picture(const struct bar *b, size_t width, struct buf *out)
{
    const unsigned columns = width / 8 < PICTURE_LEAST  ? PICTURE_LEAST
                             : width / 8 > PICTURE_MOST ? PICTURE_MOST
                                                        : (unsigned)(width / 8);
    const uint64_t done = b->done < b->total ? b->done : b->total;
    if (b->what)
        BUG_ON(buf_addf(out, "%s  ", b->what) != 0);
    const unsigned filled =
        b->total > 0 ? (unsigned)((double)done / (double)b->total * columns) : 0;
    BUG_ON(buf_add_byte(out, '[') != 0);
    for (unsigned i = 0; i < columns; i++)
        BUG_ON(buf_add_byte(out, i < filled ? '#' : '.') != 0);
    /* All of it only when it is. */
    unsigned percent = b->total > 0 ? (unsigned)((double)done / (double)b->total * 100) : 0;
    percent = done < b->total && percent > 99 ? 99 : percent;
    BUG_ON(buf_addf(out, "] %3u%%", percent) != 0);
}

static void messages(const struct bar *b, size_t width, struct buf *out)
{
    (void)width;
    const uint64_t total = b->total > b->done ? b->total : b->done;
    BUG_ON(buf_addf(out, "%llu/%llu", (unsigned long long)b->done, (unsigned long long)total) != 0);
}

static void octets(const struct bar *b, size_t width, struct buf *out)
{
    (void)width;
    if (!b->what)
        bar_add_octets(out, (double)b->octets);
}

static void rate(const struct bar *b, size_t width, struct buf *out)
{
    (void)width;
    if (!(b->speed.octets > 0))
        return;
    bar_add_octets(out, b->speed.octets);
    BUG_ON(buf_add_str(out, "/s") != 0);
}

static void left(const struct bar *b, size_t width, struct buf *out)
{
    (void)width;
    if (b->left_ms < 0)
        return;
    bar_add_time(out, b->left_ms);
    BUG_ON(buf_add_str(out, " left") != 0);
}

static void add_folder(const struct bar *b, size_t width, struct buf *line)
{
    const size_t used = width_of(buf_slice(line)) + 2;
    if (!b->folder || used + FOLDER_LEAST > width)
        return;
    BUG_ON(buf_add_str(line, "  ") != 0);
    width_add(line, slice_str(b->folder), 0, width - used);
}

void bar_line(const struct bar *b, size_t width, struct buf *out)
{
    static void (*const parts[])(const struct bar *b, size_t width, struct buf *out) = {
        messages, picture, left, rate, octets};
    static const size_t places[] = {1, 0, 4, 3, 2};
    struct buf texts[5], line;
    size_t used = 0;
    bool is_in[5];
    /* What is more important gets its room first, wherever it stands. */
    for (size_t i = 0; i < 5; i++) {
        struct buf *text = &texts[places[i]];
        buf_init(text, 100);
        parts[i](b, width, text);
        is_in[places[i]] = text->n > 0 && used + (used > 0 ? 2 : 0) + text->n <= width;
        used += is_in[places[i]] ? text->n + (used > 0 ? 2 : 0) : 0;
    }
    buf_init(&line, LINE_MAX);
    for (size_t i = 0; i < 5; i++) {
        if (is_in[i])
            add_part(&line, width, &texts[i]);
        buf_fini(&texts[i]);
    }
    add_folder(b, width, &line);
    BUG_ON(buf_add(out, buf_slice(&line)) != 0);
    buf_fini(&line);
}
