/* SPDX-License-Identifier: ISC */
/* main: coexist-sync's commands by name. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/os/daemon.h"
#include "imapsync/jobs/spawn.h"
#include "imapsync/sync.h"

static const struct sync_command commands[] = {
    {"copy", sync_cmd_copy}, {"export", sync_cmd_export}, {"import", sync_cmd_import},
    {"cutover", sync_cmd_cutover}, {"rollback", sync_cmd_rollback}, {"retire", sync_cmd_retire},
    {"run", sync_cmd_run}, {"trust", sync_cmd_trust}, {"status", sync_cmd_status},
    {"items", sync_cmd_items}, {"accept", sync_cmd_accept}, {"retry", sync_cmd_retry},
    {SPAWN_COMMAND, sync_cmd_worker}, /* not for people */
};

const struct program sync_program = {
    .name = "coexist-sync",
    .purpose = "moves mailboxes over IMAP and cuts users over",
    .usage = "commands:\n"
             "  copy [options] SOURCE TARGET   copy one mailbox into another\n"
             "  export [options] SOURCE DIR    keep one mailbox in files\n"
             "  import [options] DIR TARGET    copy what was exported into a mailbox\n"
             "  cutover [--to SERVER] USER...  move users to the other server\n"
             "  rollback USER...               end cut-overs that have not flipped\n"
             "  retire USER...                 end the sweeps of users, and the way back\n"
             "  run                            carry out cut-overs and sweep, as a daemon\n"
             "  trust [options] SERVER         show a server's certificate and keep its key\n"
             "  status [--json]                show where each cut-over stands\n"
             "  items [options] [USER]         show what differs between the mailboxes\n"
             "  accept [options] USER          differences that are good as they are\n"
             "  retry [options] USER           differences that are to be tried again\n",
};

int main(int argc, char **argv)
{
    struct program_args args;
    int status = program_args(&sync_program, argc, argv, &args);
    if (status >= 0)
        return status;
    if (args.argc == 0 && (args.check_only || args.print)) {
        struct conf *conf;
        return program_conf(&sync_program, &args, &conf);
    }
    daemon_setup();
    for (size_t i = 0; args.argc > 0 && i < sizeof(commands) / sizeof(commands[0]); i++) {
        if (strcmp(args.argv[0], commands[i].name) == 0)
            return commands[i].run(&args);
    }
    fprintf(stderr, "coexist-sync: %s; see coexist-sync --help\n",
        args.argc > 0 ? "unknown command" : "no command");
    return EX_USAGE;
}
