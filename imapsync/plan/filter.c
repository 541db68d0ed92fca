/* SPDX-License-Identifier: ISC */
/*
 * filter: see filter.h.  Days are those of the message's own INTERNALDATE, whatever its time and
 * zone, as IMAP's SINCE and BEFORE count them (RFC 9051 6.4.4).
 */
#include "imapsync/plan/filter.h"

#include <string.h>
#include <sysexits.h>

#include "base/core/num.h"
#include "imapsync/ends/date.h"

#define DAY_S 86400
#define DAYS_AGO_MAX 365000

/* --- Days --------------------------------------------------------------------------------------
 */

static int64_t day_of(int64_t s)
{
    return s >= 0 ? s / DAY_S : -((DAY_S - 1 - s) / DAY_S);
}

/* Of the Gregorian calendar, in eras of 400 years that begin with a March. */
static void date_of(int64_t days, uint32_t *year, uint32_t *month, uint32_t *day)
{
    const int64_t d = days + 719468, era = d / 146097, of_era = d - era * 146097;
    const int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *day = (uint32_t)(of_year - (153 * m + 2) / 5 + 1);
    *month = (uint32_t)(m < 10 ? m + 3 : m - 9);
    *year = (uint32_t)(y + era * 400 + (*month <= 2));
}

static bool is_date(struct slice s, int64_t *out)
{
    uint32_t year, month, day, same_year, same_month, same_day;
    if (s.n != 10 || s.p[4] != '-' || s.p[7] != '-' ||
        num_u32(slice_sub(s, 0, 4), 1900, 9999, &year) != 0 ||
        num_u32(slice_sub(s, 5, 2), 1, 12, &month) != 0 ||
        num_u32(slice_sub(s, 8, 2), 1, 31, &day) != 0)
        return false;
    *out = day_of(date_seconds(year, month, day));
    date_of(*out, &same_year, &same_month, &same_day);
    return same_month == month && same_day == day;
}

static bool is_days_ago(struct slice s, int64_t now_s, int64_t *out)
{
    uint32_t days;
    if (s.n < 2 || s.p[s.n - 1] != 'd' ||
        num_u32(slice_sub(s, 0, s.n - 1), 0, DAYS_AGO_MAX, &days) != 0)
        return false;
    *out = day_of(now_s) - days;
    return true;
}

static int read_day(
    const char *word, const char *what, int64_t now_s, bool *has_out, int64_t *out, struct err *err)
{
    *has_out = word != NULL;
    if (!word || is_date(slice_str(word), out) || is_days_ago(slice_str(word), now_s, out))
        return 0;
    return err_set(err, ERR_PERM, EX_USAGE,
        "%s: %s is no date such as 2026-11-01, nor a number of days such as 30d", what, word);
}

/* --- Sizes and flags -----------------------------------------------------------------------------
 */

static int read_size(const char *word, const char *what, uint64_t *out, struct err *err)
{
    *out = 0;
    if (!word || (num_bytes(slice_str(word), out) == 0 && *out > 0))
        return 0;
    return err_set(err, ERR_PERM, EX_USAGE, "%s: %s is no size such as 10M", what, word);
}

static int read_flags(const struct folder_words *words, const char *what, const char **out,
    size_t *n_out, struct err *err)
{
    for (size_t i = 0; i < words->n; i++) {
        struct slice name = slice_str(words->v[i]);
        struct keywords some = {0};
        bool is_flag = flags_system(name) != 0;
        bool is_keyword = name.n > 0 && name.p[0] != '\\' && keywords_bit(&some, name) >= 0;
        keywords_fini(&some);
        if (!is_flag && !is_keyword)
            return err_set(err, ERR_PERM, EX_USAGE,
                "%s: %s is no flag such as \\Flagged, nor a keyword", what, words->v[i]);
        if (*n_out == FILTER_FLAGS_MAX)
            return err_set(err, ERR_PERM, EX_USAGE, "%s: too many flags", what);
        out[(*n_out)++] = words->v[i];
    }
    return 0;
}

int filter_make(
    const struct filter_words *words, int64_t now_s, struct filter *out, struct err *err)
{
    struct filter f = {0};
    if (read_day(words->since, "since", now_s, &f.has_since, &f.since, err) != 0 ||
        read_day(words->before, "before", now_s, &f.has_before, &f.before, err) != 0 ||
        read_size(words->min_size, "min-size", &f.min_size, err) != 0 ||
        read_size(words->max_size, "max-size", &f.max_size, err) != 0 ||
        read_flags(&words->with_flags, "with-flag", f.with, &f.n_with, err) != 0 ||
        read_flags(&words->without_flags, "without-flag", f.without, &f.n_without, err) != 0)
        return -1;
    if ((f.has_since && f.has_before && f.since >= f.before) ||
        (f.max_size > 0 && f.min_size > f.max_size))
        return err_set(err, ERR_PERM, EX_USAGE, "no message can be like that: nothing is copied");
    *out = f;
    return 0;
}

/* --- The decision --------------------------------------------------------------------------------
 */

bool filter_is_empty(const struct filter *f)
{
    return !f->has_since && !f->has_before && f->min_size == 0 && f->max_size == 0 &&
           f->n_with == 0 && f->n_without == 0;
}

unsigned filter_wants(const struct filter *f)
{
    return f->min_size > 0 || f->max_size > 0 ? END_WANT_SIZES : 0;
}

static bool has_flag(const struct flags *flags, const struct keywords *keywords, const char *name)
{
    const struct slice s = slice_str(name);
    const uint8_t system = flags_system(s);
    if (system != 0)
        return (flags->system & system) != 0;
    for (size_t i = 0; i < keywords->n; i++) {
        if (slice_eq_nocase(slice_str(keywords->names[i]), s))
            return flags->keywords[i / 64] >> i % 64 & 1;
    }
    return false;
}

static bool takes_date(const struct filter *f, const struct listed *m)
{
    int64_t day = day_of(m->date_s + m->zone_min * INT64_C(60));
    return !m->has_date ||
           ((!f->has_since || day >= f->since) && (!f->has_before || day < f->before));
}

static bool takes_size(const struct filter *f, const struct listed *m)
{
    return !m->has_size || m->size == 0 ||
           (m->size >= f->min_size && (f->max_size == 0 || m->size <= f->max_size));
}

bool filter_takes(const struct filter *f, const struct listed *m, const struct keywords *keywords)
{
    /* A plan asks this of each message, often, and mostly there is no filter. */
    if (filter_is_empty(f))
        return true;
    if (!takes_date(f, m) || !takes_size(f, m))
        return false;
    for (size_t i = 0; m->has_flags && i < f->n_with; i++) {
        if (!has_flag(&m->flags, keywords, f->with[i]))
            return false;
    }
    for (size_t i = 0; m->has_flags && i < f->n_without; i++) {
        if (has_flag(&m->flags, keywords, f->without[i]))
            return false;
    }
    return true;
}

/* --- For people ----------------------------------------------------------------------------------
 */

static int add_word(struct buf *out, size_t start, const char *word, const char *value)
{
    return buf_addf(out, "%s%s %s", out->n > start ? ", " : "", word, value);
}

static int add_day(struct buf *out, size_t start, const char *word, int64_t day)
{
    uint32_t y, m, d;
    char text[32];
    date_of(day, &y, &m, &d);
    return fmt_into(text, sizeof(text), "%04u-%02u-%02u", y, m, d) == 0
               ? add_word(out, start, word, text)
               : -1;
}

static int add_size(struct buf *out, size_t start, const char *word, uint64_t octets)
{
    char text[48];
    return fmt_into(text, sizeof(text), "%llu octets", (unsigned long long)octets) == 0
               ? add_word(out, start, word, text)
               : -1;
}

int filter_text(const struct filter *f, struct buf *out)
{
    const size_t start = out->n;
    int r = f->has_since ? add_day(out, start, "since", f->since) : 0;
    r |= f->has_before ? add_day(out, start, "before", f->before) : 0;
    r |= f->min_size > 0 ? add_size(out, start, "of at least", f->min_size) : 0;
    r |= f->max_size > 0 ? add_size(out, start, "of at most", f->max_size) : 0;
    for (size_t i = 0; i < f->n_with; i++)
        r |= add_word(out, start, "with", f->with[i]);
    for (size_t i = 0; i < f->n_without; i++)
        r |= add_word(out, start, "without", f->without[i]);
    return r == 0 ? 0 : -1;
}
