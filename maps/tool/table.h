/* SPDX-License-Identifier: ISC */
/*
 * table: columns that line up.  Rows are kept until table_flush(), which prints them; a table may
 * be flushed several times, columns then only grow wider.
 */
#ifndef MAPS_TOOL_TABLE_H
#define MAPS_TOOL_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 8

struct table;

/* Headings as "ADDRESS|ROUTE|EPOCH>"; ">" aligns a column of numbers to the right. */
struct table *table_new(const char *headings);
void table_free(struct table **t);
/* One cell per column; text is copied, NULL is "". */
void table_row(struct table *t, const char *const *cells);
void table_flush(struct table *t, FILE *out);
/* Turns each byte of a control character, of ASCII or of UTF-8, into "?". */
void table_clean(char *text);

#endif
