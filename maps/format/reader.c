/* SPDX-License-Identifier: ISC */
/* reader: see reader.h. */
#include "maps/format/reader.h"

#include "maps/format/aliases.h"
#include "maps/format/postfix.h"
#include "maps/format/sendmail.h"

static const struct {
    const char *name;
    const char *file; /* as it is usually called; NULL: has no usual name */
    enum lines_fold fold;
    int (*line)(const struct site *s, size_t line, struct slice text, struct err *err);
} FORMATS[] = {
    [READER_CSV] = {"csv", NULL, LINES_NONE, NULL},
    [READER_POSTFIX_TRANSPORT] = {"postfix-transport", "transport", LINES_BLANK, postfix_transport},
    [READER_POSTFIX_RELAY_RECIPIENTS] = {"postfix-relay-recipients", "relay_recipients",
        LINES_BLANK, postfix_relay_recipients},
    [READER_POSTFIX_VIRTUAL] = {"postfix-virtual", "virtual", LINES_BLANK, postfix_virtual},
    [READER_SENDMAIL_VIRTUSERTABLE] = {"sendmail-virtusertable", "virtusertable", LINES_NONE,
        sendmail_virtusertable},
    [READER_SENDMAIL_MAILERTABLE] = {"sendmail-mailertable", "mailertable", LINES_NONE,
        sendmail_mailertable},
    [READER_ALIASES] = {"aliases", "aliases", LINES_BLANK, aliases_line},
    [READER_LDIF] = {"ldif", NULL, LINES_LDIF, NULL},
};
#define N_FORMATS (sizeof FORMATS / sizeof FORMATS[0])

/* --- Names ------------------------------------------------------------------------------------ */

int reader_format_parse(struct slice name, enum reader_format *out)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (slice_eq(name, slice_str(FORMATS[i].name))) {
            *out = (enum reader_format)i;
            return 0;
        }
    return -1;
}

const char *reader_format_name(enum reader_format format)
{
    return FORMATS[format].name;
}

int reader_format_names(struct buf *out)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (buf_addf(out, "%s%s", i ? ", " : "", FORMATS[i].name) != 0)
            return -1;
    return 0;
}

/* The first line that is neither empty nor a comment. */
static struct slice first_line(struct slice start)
{
    struct slice line = SLICE_NONE;

    if (slice_starts(start, SLICE_LIT("\xef\xbb\xbf")))
        start = slice_from(start, 3);
    while (slice_split(&start, '\n', &line)) {
        line = slice_trim(line);
        if (line.n && line.p[0] != '#' && line.p[0] != '\r')
            return line;
    }
    return SLICE_NONE;
}

enum reader_format reader_guess(struct slice path, struct slice start)
{
    struct slice file = slice_from(path, (size_t)(slice_rfind(path, '/') + 1));
    struct slice line = first_line(start);

    for (size_t i = 0; i < N_FORMATS; i++)
        if (FORMATS[i].file && slice_eq(file, slice_str(FORMATS[i].file)))
            return (enum reader_format)i;
    if (slice_starts_nocase(line, SLICE_LIT("dn:")) ||
        slice_starts_nocase(line, SLICE_LIT("version: 1")))
        return READER_LDIF;
    return READER_CSV;
}

/* --- Reading ---------------------------------------------------------------------------------- */

static int on_line(void *arg, size_t line, struct slice text, struct err *err)
{
    struct reader *r = arg;
    if (r->format == READER_LDIF)
        return ldif_line(&r->ldif, line, text, err);
    return FORMATS[r->format].line(r->site, line, text, err);
}

void reader_init(struct reader *r, enum reader_format format, const struct site *site)
{
    r->format = format;
    r->site = site;
    rows_init(&r->rows, site->sink);
    lines_init(&r->lines, FORMATS[format].fold, on_line, r);
    ldif_init(&r->ldif, site);
}

void reader_fini(struct reader *r)
{
    rows_fini(&r->rows);
    lines_fini(&r->lines);
    ldif_fini(&r->ldif);
}

int reader_feed(struct reader *r, struct slice in, struct err *err)
{
    return r->format == READER_CSV ? rows_feed(&r->rows, in, err) : lines_feed(&r->lines, in, err);
}

int reader_finish(struct reader *r, struct err *err)
{
    if (r->format == READER_CSV)
        return rows_finish(&r->rows, err);
    if (lines_finish(&r->lines, err) != 0)
        return -1;
    return r->format == READER_LDIF ? ldif_finish(&r->ldif, err) : 0;
}
