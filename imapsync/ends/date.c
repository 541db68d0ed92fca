/* SPDX-License-Identifier: ISC */
/*
 * date: INTERNALDATE (RFC 9051 date-time), "17-Jul-1996 02:44:25 -0700", to seconds and zone and
 * back to the same text.  Days are counted in the proleptic Gregorian calendar.
 */
#include "base/core/num.h"
#include "imapsync/ends/date.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

/* Days since 1970-01-01; month 1..12. */
static int64_t days_of(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    unsigned yoe = (unsigned)(year - era * 400);
    unsigned doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

static void date_of(int64_t days, int64_t *year, unsigned *month, unsigned *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    unsigned doe = (unsigned)(days - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *day = doy - (153 * mp + 2) / 5 + 1;
    *month = mp < 10 ? mp + 3 : mp - 9;
    *year = (int64_t)yoe + era * 400 + (*month <= 2);
}

int64_t date_seconds(int64_t year, unsigned month, unsigned day)
{
    return days_of(year, month, day) * 86400;
}

int16_t date_zone(int minutes)
{
    return (int16_t)(minutes < -DATE_ZONE_MAX_MIN || minutes > DATE_ZONE_MAX_MIN ? 0 : minutes);
}

static bool field(struct slice text, size_t at, size_t n, uint32_t max, uint32_t *out)
{
    return num_u32(slice_sub(text, at, n), 0, max, out) == 0;
}

bool date_parse(struct slice text, int64_t *s_out, int16_t *zone_min_out)
{
    uint32_t day, year, hour, minute, second, zone_h, zone_m, month = 0;
    if (text.n == 25 && ascii_is_digit(text.p[0]) && text.p[1] == '-') {
        /* Some servers forget the blank in front of a one-digit day. */
        unsigned char fixed[26] = {' '};
        memcpy(fixed + 1, text.p, 25);
        return date_parse(slice_make(fixed, sizeof(fixed)), s_out, zone_min_out);
    }
    if (text.n != 26 || text.p[2] != '-' || text.p[6] != '-' || text.p[11] != ' ' ||
        text.p[14] != ':' || text.p[17] != ':' || text.p[20] != ' ' ||
        (text.p[21] != '+' && text.p[21] != '-'))
        return false;
    size_t blank = text.p[0] == ' ';
    if (!field(text, blank, 2 - blank, 31, &day) || !field(text, 7, 4, 9999, &year) ||
        !field(text, 12, 2, 23, &hour) || !field(text, 15, 2, 59, &minute) ||
        !field(text, 18, 2, 60, &second) || !field(text, 22, 2, 24, &zone_h) ||
        !field(text, 24, 2, 59, &zone_m) || day == 0)
        return false;
    while (month < 12 && !slice_eq_nocase(slice_sub(text, 3, 3), slice_make(months + 3 * month, 3)))
        month++;
    if (month == 12)
        return false;
    int zone = (int)(zone_h * 60 + zone_m) * (text.p[21] == '-' ? -1 : 1);
    *zone_min_out = date_zone(zone);
    *s_out = date_seconds(year, month + 1, day) + hour * 3600 + minute * 60 + second - zone * 60;
    return true;
}

int date_format(int64_t s, int16_t zone_min, struct buf *out)
{
    int64_t local = s + zone_min * 60, year;
    int64_t days = (local >= 0 ? local : local - 86399) / 86400;
    unsigned in_day = (unsigned)(local - days * 86400), month, day;
    int zone = zone_min < 0 ? -zone_min : zone_min;
    date_of(days, &year, &month, &day);
    return buf_addf(out, "%2u-%.3s-%04lld %02u:%02u:%02u %c%02d%02d", day,
        months + (size_t)3 * (month - 1), (long long)year, in_day / 3600, in_day / 60 % 60,
        in_day % 60, zone_min < 0 ? '-' : '+', zone / 60, zone % 60);
}
