/* SPDX-License-Identifier: ISC */
/* options: see options.h.  Unknown options and missing or superfluous words are usage errors. */
#include "imapsync/options.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* The row of an option; *value_out points behind "=", or is NULL. */
static const struct option_row *find(
    const struct option_row *rows, size_t n_rows, const char *arg, const char **value_out)
{
    const char *equals = strchr(arg, '=');
    size_t n = equals ? (size_t)(equals - arg) : strlen(arg);
    *value_out = equals ? equals + 1 : NULL;
    for (size_t i = 0; i < n_rows; i++) {
        if (strlen(rows[i].name) == n && strncmp(rows[i].name, arg, n) == 0)
            return &rows[i];
    }
    return NULL;
}

static int take(const struct option_row *row, const char *value, struct err *err)
{
    size_t n = 0;
    while (row->flag && row->value[n])
        n++;
    if (n == OPTIONS_REPEATED_MAX)
        return err_set(err, ERR_PERM, EX_USAGE, "%s: too often", row->name);
    row->value[n] = value;
    return 0;
}

int options_parse(const struct option_row *rows, size_t n_rows, int argc, char **argv,
    const char *const *names, const char **words, struct err *err)
{
    size_t n_words = 0;
    while (names && names[n_words])
        words[n_words++] = NULL;
    if (options_parse_some(rows, n_rows, argc, argv, words, n_words, err) != 0)
        return -1;
    for (size_t i = 0; i < n_words; i++) {
        if (!words[i])
            return err_set(err, ERR_PERM, EX_USAGE, "%s: %s is missing", argv[0], names[i]);
    }
    return 0;
}

int options_parse_some(const struct option_row *rows, size_t n_rows, int argc, char **argv,
    const char **words, size_t n_words, struct err *err)
{
    size_t n = 0;
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (argv[i][0] != '-') {
            if (n == n_words)
                return err_set(err, ERR_PERM, EX_USAGE, "%s: one word too many", argv[i]);
            words[n++] = argv[i];
            continue;
        }
        const struct option_row *row = find(rows, n_rows, argv[i], &value);
        if (!row)
            return err_set(err, ERR_PERM, EX_USAGE, "unknown option %s", argv[i]);
        if (!row->value && value)
            return err_set(err, ERR_PERM, EX_USAGE, "%s takes no value", row->name);
        if (!row->value) {
            *row->flag = true;
            continue;
        }
        if (!value && i + 1 < argc)
            value = argv[++i];
        if (!value)
            return err_set(err, ERR_PERM, EX_USAGE, "%s wants a value", row->name);
        if (take(row, value, err) != 0)
            return -1;
    }
    return 0;
}

void options_help(const struct option_row *rows, size_t n_rows)
{
    for (size_t i = 0; i < n_rows; i++)
        printf("  %-28s %s\n", rows[i].name, rows[i].help);
}
