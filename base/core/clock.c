/* SPDX-License-Identifier: ISC */
/*
 * clock: see clock.h.  Names of days and months are our own tables, because RFC 5322 dates must not
 * follow the locale.  A time outside of the years 0 to 9999 is printed as the epoch.
 */
#include <time.h>
#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/core/err.h"
#include "base/core/num.h"

static struct timespec now(clockid_t id)
{
    struct timespec ts;

    BUG_ON(clock_gettime(id, &ts) != 0);
    return ts;
}

uint64_t clock_mono_ns(void)
{
    struct timespec ts = now(CLOCK_MONOTONIC);

    return (uint64_t)ts.tv_sec * 1000000000U + (uint64_t)ts.tv_nsec;
}

uint64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000U;
}

int64_t clock_wall_ms(void)
{
    struct timespec ts = now(CLOCK_REALTIME);

    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_wall_s(void)
{
    return (int64_t)now(CLOCK_REALTIME).tv_sec;
}

static struct tm broken_down(int64_t wall_s)
{
    struct tm tm;
    time_t t = (time_t)wall_s;

    if (gmtime_r(&t, &tm) == NULL || tm.tm_year < -1900 || tm.tm_year > 9999 - 1900) {
        t = 0;
        BUG_ON(gmtime_r(&t, &tm) == NULL);
    }
    return tm;
}

void clock_format_utc(int64_t wall_s, char out[32])
{
    struct tm tm = broken_down(wall_s);

    BUG_ON(fmt_into(out, 32, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec) != 0);
}

int clock_parse_utc(struct slice text, int64_t *wall_s_out)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    static const size_t at[] = {0, 5, 8, 11, 14, 17};
    uint64_t n[6] = {0};
    char back[32];

    if (text.n != sizeof form - 1 && text.n != 10)
        return -1;
    for (size_t i = 0; i < text.n; i++)
        if (form[i] != '0' && form[i] != (char)text.p[i])
            return -1;
    for (size_t i = 0; i < 6 && at[i] < text.n; i++)
        if (num_u64(slice_sub(text, at[i], i == 0 ? 4 : 2), 0, 9999, &n[i]) != 0)
            return -1;
    struct tm tm = {.tm_year = (int)n[0] - 1900,
        .tm_mon = (int)n[1] - 1,
        .tm_mday = (int)n[2],
        .tm_hour = (int)n[3],
        .tm_min = (int)n[4],
        .tm_sec = (int)n[5]};
    time_t t = timegm(&tm);
    /* What is no day of the calendar comes back as another one. */
    clock_format_utc((int64_t)t, back);
    if (t < 0 || memcmp(back, text.p, text.n) != 0)
        return -1;
    *wall_s_out = (int64_t)t;
    return 0;
}

void clock_format_rfc5322(int64_t wall_s, char out[48])
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm = broken_down(wall_s);

    BUG_ON(fmt_into(out, 48, "%s, %d %s %04d %02d:%02d:%02d +0000", days[tm.tm_wday], tm.tm_mday,
               months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec) != 0);
}
