/* SPDX-License-Identifier: ISC */
/* cmd_run: coexist-sync run: the daemon (imapsync/jobs/supervisor.h), and its workers. */
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "imapsync/jobs/supervisor.h"
#include "imapsync/jobs/worker.h"
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
    if (supervisor_run_own(args->conf_path, args->verbose, conf, &err) != 0)
        return program_fail(&sync_program, &err);
    return EX_OK;
}

int sync_cmd_worker(const struct program_args *args)
{
    struct err err = ERR_INIT;
    struct stat st;
    struct conf *conf;
    if (args->argc > 1 || fstat(STDIN_FILENO, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        err_set(&err, ERR_PERM, EX_USAGE, "coexist-sync starts its workers by itself");
        return program_fail(&sync_program, &err);
    }
    int status = program_conf(&sync_program, args, &conf);
    if (status >= 0)
        return status;
    int result = worker_run(conf, STDIN_FILENO, &err);
    conf_free(&conf);
    return result == 0 ? EX_OK : program_fail(&sync_program, &err);
}
