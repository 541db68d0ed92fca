/* SPDX-License-Identifier: ISC */
/*
 * mbox_from: see mbox_from.h.  Everybody writes the date a little differently; what all have is a
 * month, a day, a time and a year behind the sender.  The weekday is not looked at.
 */
#include "imapsync/ends/mbox_from.h"

#include "base/core/num.h"
#include "imapsync/ends/date.h"

#define WORDS_MAX 32
#define OURS "coexist-mboxrd-"
#define FIRST_S INT64_C(-62135596800) /* of the year 1 */
#define LAST_S INT64_C(253402300799)  /* of the year 9999 */

static size_t split(struct slice rest, struct slice *words)
{
    struct slice word;
    size_t n = 0;
    while (n < WORDS_MAX && slice_split(&rest, ' ', &word)) {
        if (word.n > 0)
            words[n++] = word;
    }
    return n;
}

struct date {
    uint32_t year, month, day, hour, minute, second;
};

/* 0: it is none. */
static uint32_t month_of(struct slice word)
{
    const struct slice months = SLICE_LIT("JanFebMarAprMayJunJulAugSepOctNovDec");
    for (uint32_t m = 0; m < 12 && word.n == 3; m++) {
        if (slice_eq_nocase(word, slice_sub(months, (size_t)3 * m, 3)))
            return m + 1;
    }
    return 0;
}

/* "10:00:00", "10:00". */
static bool parse_time(struct slice word, struct date *p)
{
    struct slice part[3];
    size_t n = 0;
    while (n < 3 && slice_split(&word, ':', &part[n]))
        n++;
    p->second = 0;
    return n >= 2 && !word.p && part[0].n <= 2 && num_u32(part[0], 0, 23, &p->hour) == 0 &&
           part[1].n == 2 && num_u32(part[1], 0, 59, &p->minute) == 0 &&
           (n == 2 || (part[2].n == 2 && num_u32(part[2], 0, 60, &p->second) == 0));
}

static bool parse_year(struct slice word, struct date *p)
{
    return word.n == 4 && num_u32(word, 1, 9999, &p->year) == 0;
}

/* "+0100".  Zones with names are not known: then it is taken for local time. */
static bool parse_zone(struct slice word, int *minutes)
{
    uint32_t h, m;
    if (word.n != 5 || (word.p[0] != '+' && word.p[0] != '-') ||
        num_u32(slice_sub(word, 1, 2), 0, 23, &h) != 0 ||
        num_u32(slice_sub(word, 3, 2), 0, 59, &m) != 0)
        return false;
    *minutes = (int)(h * 60 + m) * (word.p[0] == '-' ? -1 : 1);
    return true;
}

/* "Nov 26 10:00:00 [zone] 2026 [zone]", "26 Nov 2026 10:00:00 [zone]"; the words from the day or
 * the month on. */
static bool parse_date(const struct slice *w, size_t n, struct mbox_from *out)
{
    struct date p = {0};
    size_t at = 3;
    int minutes = 0;
    bool has_zone = false;
    if (n < 4)
        return false;
    bool is_day_first = month_of(w[0]) == 0;
    p.month = month_of(w[is_day_first ? 1 : 0]);
    if (p.month == 0 || num_u32(w[is_day_first ? 0 : 1], 1, 31, &p.day) != 0 ||
        w[is_day_first ? 0 : 1].n > 2)
        return false;
    if (is_day_first) {
        if (!parse_year(w[2], &p) || !parse_time(w[3], &p))
            return false;
        at = 4;
    } else {
        if (!parse_time(w[2], &p))
            return false;
        while (at < n && at < 6 && !parse_year(w[at], &p))
            has_zone |= parse_zone(w[at++], &minutes);
        if (p.year == 0)
            return false;
        at++;
    }
    if (!has_zone && at < n)
        has_zone = parse_zone(w[at], &minutes);
    out->is_local = !has_zone;
    out->date_s = date_seconds(p.year, p.month, p.day) + p.hour * 3600 + p.minute * 60 + p.second -
                  minutes * 60;
    return true;
}

bool mbox_from_parse(struct slice line, struct mbox_from *out)
{
    struct slice words[WORDS_MAX];
    *out = (struct mbox_from){0};
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (!slice_starts(line, SLICE_LIT("From ")) || line.n > MBOX_FROM_MAX)
        return false;
    size_t n = split(slice_from(line, 5), words);
    for (size_t i = 0; i < n; i++) {
        if (!parse_date(words + i, n - i, out))
            continue;
        struct slice ours = SLICE_LIT(OURS);
        out->is_ours = !out->is_local && slice_starts(words[0], ours) &&
                       num_u64(slice_from(words[0], ours.n), 0, UINT64_MAX, &out->octets) == 0;
        return true;
    }
    return false;
}

/* " 5-Nov-2026 10:00:00 +0000" has all of it but the weekday. */
int mbox_from_format(int64_t date_s, uint64_t octets, struct buf *out)
{
    const struct slice weekdays = SLICE_LIT("SunMonTueWedThuFriSat");
    struct buf text;
    if (date_s < FIRST_S || date_s > LAST_S)
        date_s = 0;
    int64_t days = (date_s >= 0 ? date_s : date_s - 86399) / 86400;
    buf_init(&text, 64);
    int r = date_format(date_s, 0, &text);
    struct slice d = buf_slice(&text);
    if (r == 0)
        r = buf_addf(out, "From " OURS "%llu %.*s %.*s %.*s %.*s %.*s +0000\n",
            (unsigned long long)octets,
            SLICE_ARG(slice_sub(weekdays, (size_t)(3 * (((days + 4) % 7 + 7) % 7)), 3)),
            SLICE_ARG(slice_sub(d, 3, 3)), SLICE_ARG(slice_sub(d, 0, 2)),
            SLICE_ARG(slice_sub(d, 12, 8)), SLICE_ARG(slice_sub(d, 7, 4)));
    buf_fini(&text);
    return r;
}
