/* SPDX-License-Identifier: ISC */
/* maptool: the administrator's command for the map (see tool.c and maptool(1)). */
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/core/program.h"
#include "maps/tool/tool.h"

#define USAGE_MAX 8192

int main(int argc, char **argv)
{
    struct program program = {.name = "maptool", .purpose = "shows and changes the recipient map"};
    struct program_args args;
    struct conf *conf = NULL;
    struct err err = ERR_INIT;
    struct buf usage;

    buf_init(&usage, USAGE_MAX);
    if (tool_usage(&usage) != 0)
        BUG("the usage does not fit");
    program.usage = buf_cstr(&usage);
    int status = program_args(&program, argc, argv, &args);
    if (status < 0)
        status = program_conf(&program, &args, &conf);
    if (status < 0) {
        status = tool_run_own(conf, args.argc, args.argv, &err);
        if (status < 0)
            status = program_fail(&program, &err);
    }
    buf_fini(&usage);
    return status;
}
