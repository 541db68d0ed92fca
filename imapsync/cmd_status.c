/* SPDX-License-Identifier: ISC */
/* cmd_status: coexist-sync status: where each user's cut-over stands, from the store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "imapsync/jobs/status.h"
#include "imapsync/options.h"
#include "imapsync/sync.h"

static void add(void *arg, const json_t *line)
{
    json_t *all = arg;
    json_array_extend(all, json_object_get(line, "users"));
}

static const char *text_of(const json_t *user, const char *name)
{
    const char *text = json_string_value(json_object_get(user, name));
    return text ? text : "";
}

static json_int_t number_of(const json_t *user, const char *name)
{
    return json_integer_value(json_object_get(user, name));
}

static int by_user(const void *a, const void *b)
{
    return strcmp(text_of(*(json_t *const *)a, "user"), text_of(*(json_t *const *)b, "user"));
}

/* What was asked for and is not over tells more than what became of it the last time. */
static void show_request(const json_t *user)
{
    const json_t *r = json_object_get(user, "request");
    const char *phase = text_of(r, "phase");
    if (strcmp(phase, "waiting") == 0) {
        char due[32];
        clock_format_utc(number_of(r, "due_ms") / 1000, due);
        printf(
            "%s of %s", number_of(r, "failures") > 0 ? "again: " : "waits: ", text_of(r, "kind"));
        if (number_of(r, "failures") > 0)
            printf(", from %s on: ", due);
        else
            printf(" ");
    } else if (strcmp(phase, "set-aside") == 0) {
        printf("set aside: %s ", text_of(r, "why"));
    }
}

/* "1,200 users: 1,043 done, ..." */
static void show_counts(json_t *const *v, size_t n)
{
    size_t counts[MOVE_STATES] = {0}, waiting = 0, aside = 0;
    for (size_t i = 0; i < n; i++) {
        enum move_state s;
        const char *phase = text_of(json_object_get(v[i], "request"), "phase");
        waiting += strcmp(phase, "waiting") == 0;
        aside += strcmp(phase, "set-aside") == 0;
        if (move_state_parse(slice_str(text_of(v[i], "state")), &s) == 0)
            counts[s]++;
    }
    printf("%zu user%s", n, n == 1 ? "" : "s");
    const char *before = ": ";
    for (int s = MOVE_NONE + 1; s < MOVE_STATES; s++) {
        if (counts[s] > 0) {
            printf("%s%zu %s", before, counts[s], move_state_name((enum move_state)s));
            before = ", ";
        }
    }
    if (waiting > 0)
        printf("; %zu waiting", waiting);
    if (aside > 0)
        printf("; %zu set aside", aside);
    putchar('\n');
}

static void show_text(json_t *const *v, size_t n)
{
    int width = 4;
    for (size_t i = 0; i < n; i++)
        width =
            (int)strlen(text_of(v[i], "user")) > width ? (int)strlen(text_of(v[i], "user")) : width;
    printf("%-*s %-11s %-20s %10s %6s %8s  %s\n", width, "user", "state", "since", "copied", "late",
        "held ms", "last error");
    for (size_t i = 0; i < n; i++) {
        char since[32];
        clock_format_utc(number_of(v[i], "since_ms") / 1000, since);
        printf("%-*s %-11s %-20s %10llu %6llu %8llu  ", width, text_of(v[i], "user"),
            text_of(v[i], "state"), since, (unsigned long long)number_of(v[i], "copied"),
            (unsigned long long)number_of(v[i], "late"),
            (unsigned long long)number_of(v[i], "held_ms"));
        show_request(v[i]);
        printf("%s\n", text_of(v[i], "error"));
    }
    if (n > 0)
        show_counts(v, n);
}

static void show(const json_t *all, bool is_json)
{
    size_t n = json_array_size(all);
    json_t **v = mem_realloc_array(NULL, n + 1, sizeof(json_t *)), *out = json_array();
    for (size_t i = 0; i < n; i++)
        v[i] = json_array_get(all, i);
    mem_sort(v, n, sizeof(json_t *), by_user);
    for (size_t i = 0; is_json && i < n; i++)
        json_array_append(out, v[i]);
    if (is_json) {
        json_dumpf(out, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        show_text(v, n);
    }
    json_decref(out);
    free(v);
}

int sync_cmd_status(const struct program_args *args)
{
    struct err err = ERR_INIT;
    struct conf *conf;
    bool is_json = false, wants_help = false;
    const struct option_row rows[] = {
        {"--json", NULL, &is_json, "print it as JSON"},
        {"--help", NULL, &wants_help, "this text"},
    };
    if (options_parse(rows, 2, args->argc, args->argv, NULL, NULL, &err) != 0)
        return program_fail(&sync_program, &err);
    if (wants_help) {
        printf("usage: coexist-sync status [options]\n");
        options_help(rows, 2);
        return 0;
    }
    int status = program_conf(&sync_program, args, &conf);
    if (status >= 0)
        return status;
    json_t *all = json_array();
    int result = status_ask(conf, !is_json, add, all, &err);
    if (result == 0)
        show(all, is_json);
    json_decref(all);
    conf_free(&conf);
    return result == 0 ? 0 : program_fail(&sync_program, &err);
}
