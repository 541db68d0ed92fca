/* SPDX-License-Identifier: ISC */
/*
 * program: what every program does with its command line: -c FILE, -n, -P, -v, --help, --version,
 * the same words and exit codes everywhere (sysexits).
 */
#ifndef BASE_CORE_PROGRAM_H
#define BASE_CORE_PROGRAM_H

#include <stdbool.h>
#include "base/core/conf.h"

struct program {
    const char *name;    /* "coexist-mapd" */
    const char *purpose; /* one line for --help */
    const char *usage;   /* further lines for --help, or NULL */
};

struct program_args {
    const char *conf_path;
    bool check_only; /* -n */
    bool print;      /* -P */
    int verbose;     /* -v given so many times */
    int argc;        /* what follows the common options */
    char **argv;
};

/* Reads the common options (stops at the first other word), handles --help and --version, sets up
 * the log.  Returns -1 to go on, or an exit status to end with. */
int program_args(const struct program *prog, int argc, char **argv, struct program_args *out);
/* Loads the configuration and handles -n and -P.  Returns -1 to go on, or an exit status. */
int program_conf(const struct program *prog, const struct program_args *args, struct conf **out);
/* Prints "program: text" to stderr and returns the exit status of err. */
int program_fail(const struct program *prog, const struct err *err);

#endif
