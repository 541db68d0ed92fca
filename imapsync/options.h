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
    bool *flag;
    const char *help; /* "FILE: what it is for" */
};

/* Fills what the rows point to; words that are no options go to words[], exactly n_words of them.
 */
int options_parse(const struct option_row *rows, size_t n_rows, int argc, char **argv,
    const char **words, size_t n_words, struct err *err) ATTR_WUR;
void options_help(const struct option_row *rows, size_t n_rows);

#endif
