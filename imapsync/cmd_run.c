/* SPDX-License-Identifier: ISC */
/* cmd_run: coexist-sync run: the daemon (imapsync/move/service.h). */
#include <sysexits.h>

#include "imapsync/move/service.h"
#include "imapsync/sync.h"

int sync_cmd_run(const struct program_args *args)
{
    struct err err = ERR_INIT;
    struct conf *conf;
    if (args->argc > 1) {
        err_set(&err, ERR_PERM, EX_USAGE, "%s: one word too many", args->argv[1]);
        return program_fail(&sync_program, &err);
    }
    int status = program_conf(&sync_program, args, &conf);
    if (status >= 0)
        return status;
    if (service_run_own(args->conf_path, conf, &err) != 0)
        return program_fail(&sync_program, &err);
    return EX_OK;
}
