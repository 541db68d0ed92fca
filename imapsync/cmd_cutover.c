/* SPDX-License-Identifier: ISC */
/*
 * cmd_cutover: coexist-sync cutover USER, and rollback USER.
 *
 * With a `coexist-sync run` on this host it does the work and we show what it says; without one we
 * do it ourselves.  The user's lock keeps the two apart either way.
 */
#include <stdio.h>
#include <sysexits.h>

#include "base/core/num.h"
#include "imapsync/move/cutover.h"
#include "imapsync/move/lines.h"
#include "imapsync/move/remote.h"
#include "imapsync/options.h"
#include "imapsync/stop.h"
#include "imapsync/sync.h"
#include "maps/access.h"

struct cutover_args {
    const char *user, *delete_percent;
    const char *accept[OPTIONS_REPEATED_MAX + 1];
    struct cutover_wish wish;
    bool is_json, accepts, wants_help;
};

static int parse(
    const struct program_args *args, bool is_back, struct cutover_args *a, struct err *err)
{
    const struct option_row rows[] = {
        {"--json", NULL, &a->is_json, "print one JSON object for each step"},
        {"--help", NULL, &a->wants_help, "this text"},
        {"--to", &a->wish.to, NULL, "SERVER to move to, unless it is the next one below"},
        {"--delete-percent", &a->delete_percent, NULL,
            "N: share of the mailbox that may be deleted at once; 0: never delete"},
        {"--accept", a->accept, &a->accepts, "CODE of items that are good as they are; repeatable"},
    };
    const size_t n = sizeof(rows) / sizeof(rows[0]) - (is_back ? 3 : 0);
    const char *words[1] = {NULL};
    static const char *const names[] = {"USER", NULL};
    int result = options_parse(rows, n, args->argc, args->argv, names, words, err);
    if (a->wants_help) {
        printf("usage: coexist-sync %s [options] USER\n", args->argv[0]);
        options_help(rows, n);
        return 0;
    }
    a->user = words[0];
    a->wish.has_delete_percent = a->delete_percent != NULL;
    if (result == 0 && a->delete_percent &&
        num_u32(slice_str(a->delete_percent), 0, 100, &a->wish.delete_percent) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--delete-percent is a number from 0 to 100");
    return result == 0 ? item_codes_named(a->accept, &a->wish.accept, err) : -1;
}

static int cancel_fd(void *arg)
{
    (void)arg;
    return stop_fd();
}

static bool wants_back(void *arg)
{
    (void)arg;
    return stop_is_wanted();
}

static int here(const struct conf *conf, const struct cutover_args *a, bool is_back,
    struct lines *lines, struct err *err)
{
    const struct move_events events = {
        .line = lines_show, .wants_back = wants_back, .cancel_fd = cancel_fd};
    stop_catch(); /* the first signal releases the user */
    if (access_become_sync(conf, err) != 0)
        return -1;
    return is_back ? cutover_back(conf, a->user, &events, lines, err)
                   : cutover_run(conf, a->user, &a->wish, &events, lines, err);
}

static int carry_out(const struct conf *conf, const struct cutover_args *a, bool is_back)
{
    struct err err = ERR_INIT;
    struct lines lines;
    int status = 0;
    json_t *request = json_pack("{s:s, s:s, s:s*}", "op", is_back ? "rollback" : "cutover", "user",
        a->user, "to", a->wish.to);
    if (request && a->wish.has_delete_percent)
        json_object_set_new(
            request, "delete_percent", json_integer((json_int_t)a->wish.delete_percent));
    for (size_t i = 0; request && a->accept[i]; i++) {
        if (i == 0)
            json_object_set_new(request, "accept", json_array());
        json_array_append_new(json_object_get(request, "accept"), json_string(a->accept[i]));
    }
    lines_init(&lines, a->is_json);
    int result = request ? remote_call(conf, request, lines_show, &lines, &status, &err)
                         : err_set(&err, ERR_PERM, EX_DATAERR, "the address is not UTF-8 text");
    json_decref(request);
    if (result == 1)
        result = status = here(conf, a, is_back, &lines, &err);
    if (err.class != ERR_NONE)
        fprintf(stderr, "%s: %s\n", sync_program.name, err.text);
    return result < 0 ? err_exit_code(&err) : status;
}

static int run(const struct program_args *args, bool is_back)
{
    struct cutover_args a = {0};
    struct err err = ERR_INIT;
    struct conf *conf;
    if (parse(args, is_back, &a, &err) != 0)
        return program_fail(&sync_program, &err);
    if (a.wants_help)
        return 0;
    int status = program_conf(&sync_program, args, &conf);
    if (status >= 0)
        return status;
    status = carry_out(conf, &a, is_back);
    conf_free(&conf);
    return status;
}

int sync_cmd_cutover(const struct program_args *args)
{
    return run(args, false);
}

int sync_cmd_rollback(const struct program_args *args)
{
    return run(args, true);
}
