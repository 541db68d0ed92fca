/* SPDX-License-Identifier: ISC */
/*
 * options: "--name value" and "--name=value" behind a command, by a table.
 */
#ifndef IMAPSYNC_OPTIONS_H
#define IMAPSYNC_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include "base/core/attr.h"
#include "base/core/err.h"

struct option_row {
    const char *name;   /* "--json" */
    const char **value; /* NULL: a switch */
    bool *flag;         /* with value: it may be repeated, and value[] ends with a NULL */
    const char *help;   /* "FILE: what it is for" */
};

#define OPTIONS_REPEATED_MAX 32

/* Fills what the rows point to; words that are no options go to words[].  names: what those are
 * called that have to be there ("SOURCE"), a NULL behind them; NULL: there are none. */
int options_parse(const struct option_row *rows, size_t n_rows, int argc, char **argv,
    const char *const *names, const char **words, struct err *err) ATTR_WUR;
/* Any number of words up to n_words. */
int options_parse_some(const struct option_row *rows, size_t n_rows, int argc, char **argv,
    const char **words, size_t n_words, struct err *err) ATTR_WUR;
void options_help(const struct option_row *rows, size_t n_rows);

#endif
