/* SPDX-License-Identifier: ISC */
/* coexist-relay: takes mail for the shared domain and delivers it (see coexist-relay(8)). */
#include <sysexits.h>
#include "base/core/program.h"
#include "relay/master.h"

static const struct program PROGRAM = {
    .name = "coexist-relay",
    .purpose = "takes mail for the shared domain and delivers each recipient to the right server",
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
    status = master_run_own(&conf, &err);
    if (status != EX_OK)
        (void)program_fail(&PROGRAM, &err);
    return status;
}
