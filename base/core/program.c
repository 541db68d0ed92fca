/* SPDX-License-Identifier: ISC */
/*
 * program: see program.h.  Results go to stdout, everything else to stderr.  The exit status is one
 * of <sysexits.h>, so that a supervisor can tell a wrong command line (64) from a wrong file (78).
 */
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/core/log.h"
#include "base/core/program.h"

#define DUMP_MAX (4U << 20)

static int show_help(const struct program *prog)
{
    printf("%s: %s\n\n"
           "usage: %s [-nPv] [-c FILE]%s\n\n"
           "  -c FILE     configuration (default %s)\n"
           "  -n          check the configuration and exit\n"
           "  -P          print the effective configuration and exit\n"
           "  -v          log more\n"
           "  --help      this text\n"
           "  --version   version\n",
        prog->name, prog->purpose, prog->name, prog->usage ? " ..." : "", CONF_DEFAULT_PATH);
    if (prog->usage != NULL)
        printf("\n%s", prog->usage);
    return EX_OK;
}

static int usage_error(const struct program *prog, const char *what, const char *word)
{
    fprintf(stderr, "%s: %s %s\nTry '%s --help'.\n", prog->name, what, word, prog->name);
    return EX_USAGE;
}

int program_args(const struct program *prog, int argc, char **argv, struct program_args *out)
{
    static const struct option options[] = {
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int c;

    *out = (struct program_args){.conf_path = CONF_DEFAULT_PATH};
    optind = 0; /* a fresh start, for tests that come here twice */
    opterr = 0;
    while ((c = getopt_long(argc, argv, "+:c:nPv", options, NULL)) != -1) {
        switch (c) {
        case 'c':
            out->conf_path = optarg;
            break;
        case 'n':
            out->check_only = true;
            break;
        case 'P':
            out->print = true;
            break;
        case 'v':
            out->verbose++;
            break;
        case 'h':
            return show_help(prog);
        case 'V':
            printf("%s %s\n", prog->name, COEXIST_VERSION);
            return EX_OK;
        case ':':
            return usage_error(prog, "a file is missing after", argv[optind - 1]);
        default:
            return usage_error(prog, "unknown option", argv[optind - 1]);
        }
    }
    out->argc = argc - optind;
    out->argv = argv + optind;
    log_init(prog->name, out->verbose > 0 ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO);
    return -1;
}

int program_conf(const struct program *prog, const struct program_args *args, struct conf **out)
{
    struct err err = ERR_INIT;
    struct conf *conf;
    struct buf text;
    int status = EX_OK;

    if (conf_load(args->conf_path, &conf, &err) != 0)
        return program_fail(prog, &err);
    if (!args->check_only && !args->print) {
        if (conf->log_syslog)
            log_to_syslog(true);
        *out = conf;
        return -1;
    }
    buf_init(&text, DUMP_MAX);
    if (args->print &&
        (conf_dump(conf, &text) != 0 || fwrite(buf_slice(&text).p, 1, text.n, stdout) != text.n ||
            fflush(stdout) != 0))
        status = EX_IOERR;
    buf_fini(&text);
    conf_free(&conf);
    return status;
}

int program_fail(const struct program *prog, const struct err *err)
{
    fprintf(stderr, "%s: %s\n", prog->name, err->text);
    return err_exit_code(err);
}
