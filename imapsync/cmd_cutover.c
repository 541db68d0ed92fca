/* SPDX-License-Identifier: ISC */
/*
 * cmd_cutover: coexist-sync cutover USER, rollback USER, and retire USER.
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

enum wanted { WANTED_CUTOVER, WANTED_ROLLBACK, WANTED_RETIRE };

struct cutover_args {
    const char *user, *delete_percent;
    const char *accept[OPTIONS_REPEATED_MAX + 1];
    struct cutover_wish wish;
    bool is_json, accepts, wants_help;
};

static int parse(
    const struct program_args *args, enum wanted what, struct cutover_args *a, struct err *err)
{
    const struct option_row rows[] = {
        {"--json", NULL, &a->is_json, "print one JSON object for each step"},
        {"--help", NULL, &a->wants_help, "this text"},
        {"--to", &a->wish.to, NULL, "SERVER to move to, unless it is the next one below"},
        {"--delete-percent", &a->delete_percent, NULL,
            "N: share of the mailbox that may be deleted at once; 0: never delete"},
        {"--accept", a->accept, &a->accepts, "CODE of items that are good as they are; repeatable"},
    };
    const size_t n = sizeof(rows) / sizeof(rows[0]) - (what == WANTED_CUTOVER ? 0 : 3);
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

static int here(const struct conf *conf, const struct cutover_args *a, enum wanted what,
    struct lines *lines, struct err *err)
{
    const struct move_events events = {
        .line = lines_show, .wants_back = wants_back, .cancel_fd = cancel_fd};
    stop_catch(); /* the first signal releases the user */
    if (access_become_sync(conf, err) != 0)
        return -1;
    switch (what) {
    case WANTED_CUTOVER:
        return cutover_run(conf, a->user, &a->wish, &events, lines, err);
    case WANTED_ROLLBACK:
        return cutover_back(conf, a->user, &events, lines, err);
    case WANTED_RETIRE:
        return cutover_retire(conf, a->user, &events, lines, err);
    }
    BUG("all wishes are above");
}

static int carry_out(const struct conf *conf, const struct cutover_args *a, enum wanted what)
{
    static const char *const ops[] = {
        [WANTED_CUTOVER] = "cutover", [WANTED_ROLLBACK] = "rollback", [WANTED_RETIRE] = "retire"};
    struct err err = ERR_INIT;
    struct lines lines;
    int status = 0;
    json_t *request =
        json_pack("{s:s, s:s, s:s*}", "op", ops[what], "user", a->user, "to", a->wish.to);
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
        result = status = here(conf, a, what, &lines, &err);
    if (err.class != ERR_NONE)
        fprintf(stderr, "%s: %s\n", sync_program.name, err.text);
    return result < 0 ? err_exit_code(&err) : status;
}

static int run(const struct program_args *args, enum wanted what)
{
    struct cutover_args a = {0};
    struct err err = ERR_INIT;
    struct conf *conf;
    if (parse(args, what, &a, &err) != 0)
        return program_fail(&sync_program, &err);
    if (a.wants_help)
        return 0;
    int status = program_conf(&sync_program, args, &conf);
    if (status >= 0)
        return status;
    status = carry_out(conf, &a, what);
    conf_free(&conf);
    return status;
}

int sync_cmd_cutover(const struct program_args *args)
{
    return run(args, WANTED_CUTOVER);
}

int sync_cmd_rollback(const struct program_args *args)
{
    return run(args, WANTED_ROLLBACK);
}

int sync_cmd_retire(const struct program_args *args)
{
    return run(args, WANTED_RETIRE);
}
