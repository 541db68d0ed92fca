/* SPDX-License-Identifier: ISC */
/* cmd_status: coexist-sync status: where each user's cut-over stands, from the records on disk. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/move/record.h"
#include "imapsync/options.h"
#include "imapsync/sync.h"

struct table {
    struct move_record *v;
    size_t n;
    bool has_failed;
};

static int add(void *arg, const char *dir)
{
    struct table *t = arg;
    struct err err = ERR_INIT;
    struct move_record r;
    if (move_record_load(dir, &r, &err) != 0) {
        fprintf(stderr, "%s: %s\n", sync_program.name, err.text);
        t->has_failed = true;
    } else if (r.state != MOVE_NONE) {
        t->v = mem_realloc_array(t->v, t->n + 1, sizeof(*t->v));
        t->v[t->n++] = r;
    }
    return 0;
}

static int by_user(const void *a, const void *b)
{
    const struct move_record *x = a, *y = b;
    return strcmp(x->user, y->user);
}

static void show_text(const struct table *t)
{
    int width = 4;
    for (size_t i = 0; i < t->n; i++)
        width = (int)strlen(t->v[i].user) > width ? (int)strlen(t->v[i].user) : width;
    printf("%-*s %-11s %-20s %10s %6s %8s  %s\n", width, "user", "state", "since", "copied", "late",
        "held ms", "last error");
    for (size_t i = 0; i < t->n; i++) {
        const struct move_record *r = &t->v[i];
        char since[32];
        clock_format_utc(r->since_ms / 1000, since);
        printf("%-*s %-11s %-20s %10llu %6llu %8llu  %s\n", width, r->user,
            move_state_name(r->state), since, (unsigned long long)r->copied,
            (unsigned long long)r->late, (unsigned long long)r->held_ms, r->error);
    }
}

static void show_json(const struct table *t)
{
    json_t *out = json_array();
    for (size_t i = 0; i < t->n; i++)
        json_array_append_new(out, move_record_json(&t->v[i]));
    json_dumpf(out, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(out);
}

int sync_cmd_status(const struct program_args *args)
{
    struct table t = {0};
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
    int result = move_record_each(conf, add, &t, &err);
    if (result == 0 && t.n > 0)
        mem_sort(t.v, t.n, sizeof(*t.v), by_user);
    if (result == 0 && is_json)
        show_json(&t);
    else if (result == 0)
        show_text(&t);
    for (size_t i = 0; i < t.n; i++)
        move_record_fini(&t.v[i]);
    free(t.v);
    conf_free(&conf);
    if (result != 0)
        return program_fail(&sync_program, &err);
    return t.has_failed ? EX_DATAERR : 0;
}
