/* SPDX-License-Identifier: ISC */
/*
 * cmd_cutover: coexist-sync cutover USER..., rollback USER..., and retire USER...
 *
 * With a supervisor on this host, `coexist-sync run` or another command, that does the work and we
 * show what it says; without one we are it, for as long as it takes.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/jobs/supervisor.h"
#include "imapsync/move/cutover.h"
#include "imapsync/move/lines.h"
#include "imapsync/move/remote.h"
#include "imapsync/options.h"
#include "imapsync/sync.h"

#define FILE_MAX (8u << 20)
#define BUSY_MS 10000
#define BUSY_POLL_MS 20

enum wanted { WANTED_CUTOVER, WANTED_ROLLBACK, WANTED_RETIRE };

struct cutover_args {
    json_t *users; /* owned */
    const char *file, *delete_percent;
    const char *accept[OPTIONS_REPEATED_MAX + 1];
    struct cutover_wish wish;
    bool is_json, accepts, wants_help;
};

static int add_user(json_t *users, struct slice name, struct err *err)
{
    json_t *user = json_stringn((const char *)name.p, name.n);
    if (!user)
        return err_set(err, ERR_PERM, EX_DATAERR, "the address is not UTF-8 text");
    json_array_append_new(users, user);
    return 0;
}

/* One a line; empty lines and those that begin with a # are none. */
static int add_file(json_t *users, const char *path, struct err *err)
{
    struct buf text;
    buf_init(&text, FILE_MAX);
    int result = io_read_file(path, FILE_MAX, &text, err);
    struct slice rest = buf_slice(&text), line;
    while (result == 0 && slice_split(&rest, '\n', &line)) {
        line = slice_trim(line);
        if (line.n > 0 && line.p[0] != '#')
            result = add_user(users, line, err);
    }
    buf_fini(&text);
    return result;
}

static int take_users(struct cutover_args *a, const char *command, const char *const *words,
    size_t n, struct err *err)
{
    int result = 0;
    a->users = json_array();
    for (size_t i = 0; result == 0 && i < n && words[i]; i++)
        result = add_user(a->users, slice_str(words[i]), err);
    if (result == 0 && a->file)
        result = add_file(a->users, a->file, err);
    if (result == 0 && json_array_size(a->users) == 0)
        result = a->file ? err_set(err, ERR_PERM, EX_USAGE, "%s: there is no user in it", a->file)
                         : err_set(err, ERR_PERM, EX_USAGE, "%s: USER is missing", command);
    return result;
}

static int parse(
    const struct program_args *args, enum wanted what, struct cutover_args *a, struct err *err)
{
    const struct option_row rows[] = {
        {"--json", NULL, &a->is_json, "print one JSON object for each step"},
        {"--file", &a->file, NULL, "FILE with a user on each line, besides those given"},
        {"--help", NULL, &a->wants_help, "this text"},
        {"--to", &a->wish.to, NULL, "SERVER to move to, unless it is the next one below"},
        {"--delete-percent", &a->delete_percent, NULL,
            "N: share of the mailbox that may be deleted at once; 0: never delete"},
        {"--accept", a->accept, &a->accepts, "CODE of items that are good as they are; repeatable"},
    };
    const size_t n = sizeof(rows) / sizeof(rows[0]) - (what == WANTED_CUTOVER ? 0 : 3);
    const size_t n_words = (size_t)args->argc;
    const char **words = mem_zalloc((n_words + 1) * sizeof(*words));
    int result = options_parse_some(rows, n, args->argc, args->argv, words, n_words, err);
    if (result == 0 && !a->wants_help)
        result = take_users(a, args->argv[0], words, n_words, err);
    free(words);
    if (a->wants_help) {
        printf("usage: coexist-sync %s [options] USER...\n", args->argv[0]);
        options_help(rows, n);
        return 0;
    }
    a->wish.has_delete_percent = a->delete_percent != NULL;
    if (result == 0 && a->delete_percent &&
        num_u32(slice_str(a->delete_percent), 0, 100, &a->wish.delete_percent) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--delete-percent is a number from 0 to 100");
    return result == 0 ? item_codes_named(a->accept, &a->wish.accept, err) : -1;
}

/* Whoever else has the store is about to listen, or to end. */
static int by_somebody(const struct program_args *args, const struct conf *conf,
    const json_t *request, struct lines *lines, int *status_out, struct err *err)
{
    uint64_t until_ms = clock_mono_ms() + BUSY_MS;
    for (;;) {
        int result = remote_call(conf, request, lines_show, lines, status_out, err);
        if (result != 1)
            return result;
        result = supervisor_once(
            args->conf_path, args->verbose, conf, request, lines_show, lines, status_out, err);
        if (result != 1 || clock_mono_ms() >= until_ms)
            return result == 1 ? -1 : result;
        err_clear(err);
        poll(NULL, 0, BUSY_POLL_MS);
    }
}

static int carry_out(const struct program_args *args, const struct conf *conf,
    const struct cutover_args *a, enum wanted what)
{
    static const char *const ops[] = {
        [WANTED_CUTOVER] = "cutover", [WANTED_ROLLBACK] = "rollback", [WANTED_RETIRE] = "retire"};
    struct err err = ERR_INIT;
    struct lines lines;
    int status = 0;
    json_t *request =
        json_pack("{s:s, s:O, s:s*}", "op", ops[what], "users", a->users, "to", a->wish.to);
    if (request && a->wish.has_delete_percent)
        json_object_set_new(
            request, "delete_percent", json_integer((json_int_t)a->wish.delete_percent));
    for (size_t i = 0; request && a->accept[i]; i++) {
        if (i == 0)
            json_object_set_new(request, "accept", json_array());
        json_array_append_new(json_object_get(request, "accept"), json_string(a->accept[i]));
    }
    lines_init(&lines, a->is_json);
    lines.has_users = json_array_size(a->users) > 1;
    int result =
        request ? by_somebody(args, conf, request, &lines, &status, &err)
                : err_set(&err, ERR_PERM, EX_DATAERR, "the name of the server is not UTF-8 text");
    json_decref(request);
    if (err.class != ERR_NONE)
        fprintf(stderr, "%s: %s\n", sync_program.name, err.text);
    return result < 0 ? err_exit_code(&err) : status;
}

static int run(const struct program_args *args, enum wanted what)
{
    struct cutover_args a = {0};
    struct err err = ERR_INIT;
    struct conf *conf;
    int status = parse(args, what, &a, &err) != 0 ? program_fail(&sync_program, &err)
                 : a.wants_help                   ? 0
                                                  : program_conf(&sync_program, args, &conf);
    if (status < 0) {
        status = carry_out(args, conf, &a, what);
        conf_free(&conf);
    }
    json_decref(a.users);
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
