/* SPDX-License-Identifier: ISC */
/*
 * reader: an import file in any of the formats that there are, as rows for a sink.
 *
 *     reader_init(&r, format, &site, err);
 *     rows_name(&r.rows, "key=mail", err) ...        columns of CSV
 *     reader_feed(&r, bytes, err) ... reader_finish(&r, err);
 *     reader_fini(&r);
 */
#ifndef MAPS_FORMAT_READER_H
#define MAPS_FORMAT_READER_H

#include "maps/format/ldif.h"
#include "maps/format/lines.h"
#include "maps/format/rows.h"
#include "maps/format/site.h"

enum reader_format {
    READER_CSV,
    READER_POSTFIX_TRANSPORT,
    READER_POSTFIX_RELAY_RECIPIENTS,
    READER_POSTFIX_VIRTUAL,
    READER_SENDMAIL_VIRTUSERTABLE,
    READER_SENDMAIL_MAILERTABLE,
    READER_ALIASES,
    READER_LDIF,
};

struct reader {
    enum reader_format format;
    const struct site *site;
    struct rows rows;
    struct lines lines;
    struct ldif ldif;
};

int reader_format_parse(struct slice name, enum reader_format *out) ATTR_WUR;
const char *reader_format_name(enum reader_format format);
/* "csv, postfix-transport, ..." */
int reader_format_names(struct buf *out) ATTR_WUR;
/* Only what is unmistakable: the usual name of a table, or how LDIF begins.  Otherwise CSV. */
enum reader_format reader_guess(struct slice path, struct slice start);

/* The site is borrowed. */
void reader_init(struct reader *r, enum reader_format format, const struct site *site);
void reader_fini(struct reader *r);
/* -1: the file cannot be read on, or the sink does not want more. */
int reader_feed(struct reader *r, struct slice in, struct err *err) ATTR_WUR;
int reader_finish(struct reader *r, struct err *err) ATTR_WUR;

#endif
