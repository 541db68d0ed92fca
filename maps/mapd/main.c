/* SPDX-License-Identifier: ISC */
/* coexist-mapd: the routing authority (see mapd.c and coexist-mapd(8)). */
#include <sysexits.h>
#include "base/core/program.h"
#include "maps/mapd/mapd.h"

static const struct program PROGRAM = {
    .name = "coexist-mapd",
    .purpose = "owns the recipient map, publishes it, and runs holds and barriers",
};

int main(int argc, char **argv)
{
    struct program_args args;
    struct conf *conf = NULL;
    struct err err = ERR_INIT;

    int status = program_args(&PROGRAM, argc, argv, &args);
    if (status < 0)
        status = program_conf(&PROGRAM, &args, &conf);
    if (status >= 0)
        return status;
    if (args.argc > 0) {
        conf_free(&conf);
        err_set(&err, ERR_PERM, EX_USAGE, "unexpected argument \"%s\"", args.argv[0]);
        return program_fail(&PROGRAM, &err);
    }
    if (mapd_run_own(args.conf_path, conf, &err) != 0)
        return program_fail(&PROGRAM, &err);
    return EX_OK;
}
