/* SPDX-License-Identifier: ISC */
/* day: see day.h. */
#include "imapsync/imap/day.h"

#include "base/core/err.h"
#include "base/core/num.h"

#define HOUR_S 3600
#define HEAD "octets of an IMAP mailbox by hours (since 1970, down, up)"

static uint64_t hour_of(int64_t now_s)
{
    return now_s > 0 ? (uint64_t)now_s / HOUR_S : 0;
}

static struct day_hour *slot(struct day *d, uint64_t hour)
{
    struct day_hour *h = &d->hours[hour % DAY_HOURS];
    if (h->hour != hour)
        *h = (struct day_hour){.hour = hour};
    return h;
}

/* A clock that went back leaves hours that are still to come: they count. */
static bool counts(const struct day_hour *h, uint64_t now)
{
    return h->hour > 0 && h->hour + DAY_HOURS > now;
}

void day_add(struct day *d, int64_t now_s, enum day_way way, uint64_t octets)
{
    uint64_t *n = &slot(d, hour_of(now_s))->octets[way];
    *n = octets > UINT64_MAX / DAY_HOURS - *n ? UINT64_MAX / DAY_HOURS : *n + octets;
}

static uint64_t used_in(const struct day *d, uint64_t hour, enum day_way way)
{
    uint64_t n = 0;
    for (size_t i = 0; i < DAY_HOURS; i++) {
        if (counts(&d->hours[i], hour))
            n += d->hours[i].octets[way];
    }
    return n;
}

uint64_t day_used(const struct day *d, int64_t now_s, enum day_way way)
{
    return used_in(d, hour_of(now_s), way);
}

int64_t day_free_s(const struct day *d, int64_t now_s, enum day_way way, uint64_t max)
{
    uint64_t hour = hour_of(now_s), ahead = 0;
    while (used_in(d, hour + ahead, way) >= max && ahead < 2 * DAY_HOURS)
        ahead++;
    return ahead == 0 ? now_s : (int64_t)(hour + ahead) * HOUR_S;
}

void day_format(const struct day *d, int64_t now_s, struct buf *out)
{
    BUG_ON(buf_add_str(out, HEAD "\n") != 0);
    for (size_t i = 0; i < DAY_HOURS; i++) {
        const struct day_hour *h = &d->hours[i];
        if (counts(h, hour_of(now_s)))
            BUG_ON(buf_addf(out, "%llu %llu %llu\n", (unsigned long long)h->hour,
                       (unsigned long long)h->octets[DAY_DOWN],
                       (unsigned long long)h->octets[DAY_UP]) != 0);
    }
}

static int parse_hour(struct slice line, struct day *out)
{
    uint64_t n[3];
    struct slice word;
    for (size_t i = 0; i < 3; i++) {
        if (!slice_split(&line, ' ', &word) ||
            num_u64(word, i == 0, UINT64_MAX / (2 * DAY_HOURS), &n[i]) != 0)
            return -1;
    }
    *slot(out, n[0]) = (struct day_hour){n[0], {n[1], n[2]}};
    return line.p ? -1 : 0;
}

int day_parse(struct slice text, struct day *out)
{
    struct slice line;
    *out = (struct day){0};
    bool is_good = slice_split(&text, '\n', &line) && slice_eq(line, SLICE_LIT(HEAD));
    while (is_good && slice_split(&text, '\n', &line) && (text.p || line.n > 0))
        is_good = parse_hour(line, out) == 0;
    if (!is_good)
        *out = (struct day){0};
    return is_good ? 0 : -1;
}
