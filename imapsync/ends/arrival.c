/* SPDX-License-Identifier: ISC */
/*
 * arrival: RFC 5322 3.3 with the obsolete forms of 4.3, and what else is found in mailboxes that
 * are older than it:
 *
 *   [day-name [,]] 17 Jul [19]96 02:44[:25[.5]] [zone]     the zone in digits or as a name
 *   [day-name [,]] 17-Jul-96 ...                           RFC 850
 *   [day-name [,]] Jul 17[,] 02:44:25 [zone] 1996          asctime(), and ctime() with a zone
 *
 * Years of two digits are those of 1950 to 2049, of three digits they count from 1900.  Of the
 * zones with names only those of RFC 5322 are known; any other, the military ones too, says as
 * little as none: UTC (4.3).  The day of the week is not compared, as a wrong one says nothing
 * about the others.
 *
 * A Received field has its date behind its last semicolon; behind it a comment may have others.
 */
#include "imapsync/ends/arrival.h"

#include "base/mail/header.h"
#include "imapsync/ends/date.h"

#define SEMICOLONS_MAX 4 /* of a Received field, that a date is looked for behind */

/* --- Words ------------------------------------------------------------------------------------ */

struct cur {
    const unsigned char *p;
    size_t n;
};

static void skip(struct cur *c, size_t n)
{
    c->p += n;
    c->n -= n;
}

/* At an opening parenthesis: to behind the one that closes it, or to the end. */
static void skip_comment(struct cur *c)
{
    size_t depth = 0;
    while (c->n > 0) {
        unsigned char b = *c->p;
        skip(c, b == '\\' && c->n > 1 ? 2 : 1);
        depth += b == '(';
        if (b == ')' && --depth == 0)
            return;
    }
}

static bool is_space(unsigned char b)
{
    return ascii_is_blank(b) || b == '\r' || b == '\n';
}

/* Blanks, folds and comments. */
static void gap(struct cur *c)
{
    while (c->n > 0 && (is_space(*c->p) || *c->p == '(')) {
        if (*c->p == '(')
            skip_comment(c);
        else
            skip(c, 1);
    }
}

static bool byte(struct cur *c, unsigned char b)
{
    bool is = c->n > 0 && *c->p == b;
    if (is)
        skip(c, 1);
    return is;
}

/* Of at most `max` digits; another one behind them makes it no number. */
static bool number(struct cur *c, size_t max, unsigned *out, size_t *n_out)
{
    size_t n = 0;
    *out = 0;
    for (; n < c->n && ascii_is_digit(c->p[n]); n++) {
        if (n == max)
            return false;
        *out = 10 * *out + c->p[n] - '0';
    }
    skip(c, n);
    *n_out = n;
    return n > 0;
}

static struct slice word(struct cur *c)
{
    size_t n = 0;
    while (n < c->n && ascii_is_alpha(c->p[n]))
        n++;
    struct slice w = slice_make(c->p, n);
    skip(c, n);
    return w;
}

/* By its first three letters, as whole names are written too: 1 to n, 0: it is none. */
static unsigned named(struct slice w, const char *names, unsigned n)
{
    for (unsigned i = 0; w.n >= 3 && i < n; i++) {
        if (slice_eq_nocase(slice_sub(w, 0, 3), slice_make(names + 3 * i, 3)))
            return i + 1;
    }
    return 0;
}

static unsigned month_of(struct slice w)
{
    return named(w, "JanFebMarAprMayJunJulAugSepOctNovDec", 12);
}

/* --- Parts ------------------------------------------------------------------------------------ */

struct parts {
    unsigned year, month, day, hour, minute, second;
    int zone; /* minutes */
    bool has_year;
};

static bool year(struct cur *c, struct parts *p)
{
    size_t n;
    if (!number(c, 4, &p->year, &n) || n < 2)
        return false;
    if (n == 2)
        p->year += p->year < 50 ? 2000 : 1900;
    else if (n == 3)
        p->year += 1900;
    p->has_year = true;
    return true;
}

static bool two(struct cur *c, unsigned max, unsigned *out)
{
    size_t n;
    return number(c, 2, out, &n) && *out <= max;
}

/* 02:44:25, with gaps wherever the obsolete syntax has them. */
static bool time_of_day(struct cur *c, struct parts *p)
{
    size_t n;
    unsigned fraction;
    if (!two(c, 23, &p->hour))
        return false;
    gap(c);
    if (!byte(c, ':'))
        return false;
    gap(c);
    if (!two(c, 59, &p->minute))
        return false;
    struct cur behind = *c;
    gap(&behind);
    if (!byte(&behind, ':'))
        return true;
    gap(&behind);
    *c = behind;
    if (!two(c, 60, &p->second))
        return false;
    return !byte(c, '.') || number(c, 9, &fraction, &n);
}

static const struct {
    const char *name;
    int hours;
} zones[] = {
    {"EST", -5},
    {"EDT", -4},
    {"CST", -6},
    {"CDT", -5},
    {"MST", -7},
    {"MDT", -6},
    {"PST", -8},
    {"PDT", -7},
};

/* Four digits, or hh:mm. */
static bool zone_in_digits(struct cur *c, struct parts *p)
{
    bool is_west = *c->p == '-';
    unsigned hours, minutes;
    size_t n;
    skip(c, 1);
    if (!number(c, 4, &hours, &n))
        return false;
    if (n == 4) {
        minutes = hours % 100;
        hours /= 100;
    } else if (n != 2 || !byte(c, ':') || !number(c, 2, &minutes, &n) || n != 2) {
        return false;
    }
    if (hours > 24 || minutes > 59)
        return false;
    p->zone = (int)(hours * 60 + minutes) * (is_west ? -1 : 1);
    return true;
}

/* "02:44:25 PM", of programs that never read an RFC. */
static void half_of_day(struct cur *c, struct parts *p)
{
    struct cur behind = *c;
    struct slice w = word(&behind);
    bool is_am = slice_eq_nocase(w, SLICE_LIT("AM")), is_pm = slice_eq_nocase(w, SLICE_LIT("PM"));
    if (!is_am && !is_pm)
        return;
    *c = behind;
    gap(c);
    if (is_pm && p->hour < 12)
        p->hour += 12;
    else if (is_am && p->hour == 12)
        p->hour = 0;
}

/* Nothing that is one says as much as one that nobody knows.  "GMT+0200" has both. */
static void zone(struct cur *c, struct parts *p)
{
    struct slice w = word(c);
    struct cur from = *c;
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        if (slice_eq_nocase(w, slice_str(zones[i].name)))
            p->zone = 60 * zones[i].hours;
    }
    if (c->n > 0 && (*c->p == '+' || *c->p == '-') && !zone_in_digits(c, p))
        *c = from;
}

/* "17 Jul 1996", "17-Jul-96". */
static bool day_first(struct cur *c, struct parts *p)
{
    if (!two(c, 31, &p->day))
        return false;
    gap(c);
    (void)byte(c, '-');
    gap(c);
    p->month = month_of(word(c));
    gap(c);
    (void)(byte(c, '-') || byte(c, ','));
    gap(c);
    return p->month != 0 && year(c, p);
}

/* "Jul 17", behind the month; "Jul 17 1996" and "Jul 17, 1996" have the year there. */
static bool month_first(struct cur *c, struct parts *p)
{
    gap(c);
    if (!two(c, 31, &p->day))
        return false;
    gap(c);
    (void)byte(c, ',');
    gap(c);
    struct cur behind = *c;
    if (year(&behind, p) && !byte(&behind, ':'))
        *c = behind;
    else
        p->has_year = false;
    return true;
}

static bool is_valid(const struct parts *p)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (p->year % 4 == 0 && p->year % 100 != 0) || p->year % 400 == 0;
    return p->day >= 1 && p->day <= days[p->month - 1] + (unsigned)(p->month == 2 && is_leap);
}

bool arrival_parse(struct slice text, int64_t *s_out, int16_t *zone_min_out)
{
    struct cur c = {text.p, text.n};
    struct parts p = {0};
    gap(&c);
    struct slice w = word(&c);
    if (w.n > 0 && named(w, "MonTueWedThuFriSatSun", 7) > 0) {
        gap(&c);
        (void)(byte(&c, ',') || byte(&c, '.'));
        gap(&c);
        w = word(&c);
    }
    p.month = month_of(w);
    if (w.n > 0 ? p.month == 0 || !month_first(&c, &p) : !day_first(&c, &p))
        return false;
    gap(&c);
    (void)byte(&c, ',');
    gap(&c);
    if (!time_of_day(&c, &p))
        return false;
    gap(&c);
    half_of_day(&c, &p);
    zone(&c, &p);
    gap(&c);
    if ((!p.has_year && !year(&c, &p)) || !is_valid(&p))
        return false;
    *s_out = date_seconds(p.year, p.month, p.day) + p.hour * 3600 + p.minute * 60 + p.second -
             p.zone * 60;
    *zone_min_out = date_zone(p.zone);
    return true;
}

/* --- Fields ----------------------------------------------------------------------------------- */

static bool is_believed(int64_t s, int64_t now_s)
{
    return s >= 0 && s <= now_s + ARRIVAL_AHEAD_S;
}

static bool read_date(struct slice value, int64_t now_s, int64_t *s_out, int16_t *zone_min_out)
{
    return arrival_parse(value, s_out, zone_min_out) && is_believed(*s_out, now_s);
}

static bool read_received(struct slice value, int64_t now_s, int64_t *s_out, int16_t *zone_min_out)
{
    ptrdiff_t at = slice_rfind(value, ';');
    for (unsigned i = 0; at >= 0 && i < SEMICOLONS_MAX; i++) {
        if (read_date(slice_from(value, (size_t)at + 1), now_s, s_out, zone_min_out))
            return true;
        value = slice_sub(value, 0, (size_t)at);
        at = slice_rfind(value, ';');
    }
    return false;
}

bool arrival_of(struct slice fields, int64_t now_s, int64_t *s_out, int16_t *zone_min_out)
{
    struct header_field f;
    struct slice date = SLICE_NONE;
    while (header_next(&fields, &f)) {
        if (slice_eq_nocase(f.name, SLICE_LIT("Received")) &&
            read_received(f.value, now_s, s_out, zone_min_out))
            return true;
        if (slice_eq_nocase(f.name, SLICE_LIT("Date")) && !date.p)
            date = f.value;
    }
    return date.p && read_date(date, now_s, s_out, zone_min_out);
}
