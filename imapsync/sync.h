/* SPDX-License-Identifier: ISC */
/* sync: the commands of coexist-sync. Each returns an exit status. */
#ifndef IMAPSYNC_SYNC_H
#define IMAPSYNC_SYNC_H

#include "base/core/program.h"

extern const struct program sync_program;

struct sync_command {
    const char *name;
    int (*run)(const struct program_args *args); /* argv[0] is the command */
};

int sync_cmd_accept(const struct program_args *args);
int sync_cmd_copy(const struct program_args *args);
int sync_cmd_cutover(const struct program_args *args);
int sync_cmd_export(const struct program_args *args);
int sync_cmd_import(const struct program_args *args);
int sync_cmd_items(const struct program_args *args);
int sync_cmd_retire(const struct program_args *args);
int sync_cmd_retry(const struct program_args *args);
int sync_cmd_rollback(const struct program_args *args);
int sync_cmd_run(const struct program_args *args);
int sync_cmd_status(const struct program_args *args);
int sync_cmd_worker(const struct program_args *args);
int sync_cmd_trust(const struct program_args *args);

#endif
