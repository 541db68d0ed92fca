/* SPDX-License-Identifier: ISC */
/* cmd_backup: backup sets, and a map from one of them. */
#include "maps/tool/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/os/io.h"
#include "maps/format/csv.h"
#include "maps/moved.h"
#include "maps/route.h"
#include "maps/store/backup.h"

#define MOVED_BYTES_MAX ((size_t)1 << 30)
#define MOVED_AT_ONCE 2000

/* --- backup --------------------------------------------------------------------------------- */

static int call_own(void *arg, json_t *request, json_t **reply, struct err *err)
{
    return tool_call_own(arg, request, reply, err);
}

static uint64_t age_s(const struct backup_set *set)
{
    int64_t age = clock_wall_ms() / 1000 - set->made_s;
    return age > 0 ? (uint64_t)age : 0;
}

static json_t *set_json(const struct backup_set *set)
{
    char made[32];
    clock_format_utc(set->made_s, made);
    return json_pack("{ss ss sI sI sI}", "name", set->name, "made", made, "age_s",
        (json_int_t)age_s(set), "generation", (json_int_t)set->generation, "bytes",
        (json_int_t)set->bytes);
}

static void print_size(uint64_t bytes, char out[32])
{
    int rc = bytes < 2048          ? fmt_into(out, 32, "%" PRIu64 " B", bytes)
             : bytes < 2048 * 1024 ? fmt_into(out, 32, "%" PRIu64 " KiB", bytes / 1024)
                                   : fmt_into(out, 32, "%" PRIu64 " MiB", bytes / (1024 * 1024));
    if (rc != 0)
        BUG("a number fits");
}

static int list_sets(struct tool *t, struct err *err)
{
    struct table *table = table_new("SET|MADE|AGE>|GENERATION>|SIZE>");
    struct backup_set *v;
    json_t *all = json_array();
    size_t n;
    int rc = backup_list(t->conf, &v, &n, err);

    for (size_t i = 0; i < n && rc == 0; i++) {
        char made[32], age[32], generation[32], size[32];
        clock_format_utc(v[i].made_s, made);
        tool_age(age_s(&v[i]), age);
        print_size(v[i].bytes, size);
        if (fmt_into(generation, sizeof generation, "%" PRIu64, v[i].generation) != 0)
            BUG("a number fits");
        const char *cells[] = {v[i].name, made, age, generation, size};
        table_row(table, cells);
        json_array_append_new(all, set_json(&v[i]));
    }
    if (rc == 0 && t->json)
        tool_print_json(all);
    else if (rc == 0)
        table_flush(table, stdout);
    table_free(&table);
    json_decref(all);
    free(v);
    return rc == 0 ? tool_flush(err) : -1;
}

static int make_set(struct tool *t, struct err *err)
{
    const struct backup_map map = {call_own, t};
    struct backup_set set;

    if (backup_write(t->conf, &map, clock_wall_ms() / 1000, &set, err) != 0)
        return -1;
    if (t->json) {
        json_t *out = set_json(&set);
        tool_print_json(out);
        json_decref(out);
    } else {
        printf("%s\n", set.name);
    }
    return tool_flush(err);
}

int cmd_backup(struct tool *t, struct err *err)
{
    if (tool_words(t, 0, 1, err) != 0)
        return -1;
    if (t->argc == 0 || strcmp(t->argv[0], "list") == 0)
        return list_sets(t, err);
    if (strcmp(t->argv[0], "now") == 0)
        return make_set(t, err);
    return err_set(err, ERR_PERM, EX_USAGE, "\"%s\" is neither list nor now", t->argv[0]);
}

/* --- restore ---------------------------------------------------------------------------------- */

static int put_rows(void *arg, json_t *rows_own, struct err *err)
{
    json_t *reply;
    int rc = tool_call_own(
        arg, json_pack("{ss so}", "op", "restore_put", "rows", rows_own), &reply, err);
    json_decref(reply);
    return rc;
}

/* Rows of address and server. */
static int add_moved(void *arg, size_t line, const struct slice *cells, size_t n, struct err *err)
{
    json_t *row = json_object();

    if (n < 2)
        return err_set(err, ERR_PERM, EX_DATAERR, "line %zu: an address and a server", line);
    json_object_set_new(row, "key", json_stringn((const char *)cells[0].p, cells[0].n));
    json_object_set_new(row, "route", json_stringn((const char *)cells[1].p, cells[1].n));
    json_array_append_new(arg, row);
    return 0;
}

static int put_moved(struct tool *t, const char *file, struct err *err)
{
    json_t *moved = json_array(), *reply = NULL;
    struct buf text;
    struct csv csv;
    int rc;

    buf_init(&text, MOVED_BYTES_MAX);
    csv_init(&csv, add_moved, moved);
    rc = io_read_file(file, MOVED_BYTES_MAX, &text, err);
    if (rc == 0 && (csv_feed(&csv, buf_slice(&text), err) != 0 || csv_finish(&csv, err) != 0))
        rc = err_wrap(err, "%s", file);
    if (rc == 0)
        rc = tool_call_own(
            t, json_pack("{ss sO}", "op", "restore_put", "moved", moved), &reply, err);
    csv_fini(&csv);
    buf_fini(&text);
    json_decref(reply);
    json_decref(moved);
    return rc;
}

/* --- What the cut-overs have noted --------------------------------------------------------- */

struct noted {
    const struct conf *conf;
    json_t *rows;
    size_t n_unknown;
};

/* The configuration may not have the domain or the server any more. */
static bool is_known(const struct conf *conf, const struct moved *m)
{
    int server = conf_server_index(conf, m->server);
    return conf_domain(conf, normalise_domain(m->user)) &&
           (slice_eq(m->server, SLICE_LIT(MOVED_NOBODY)) ||
               (server != CONF_SERVER_NONE && conf->servers[server].smtp.host));
}

static int add_noted(void *arg, const struct moved *m, struct err *err ATTR_UNUSED)
{
    struct noted *noted = arg;
    if (!is_known(noted->conf, m)) {
        noted->n_unknown++;
        return 0;
    }
    json_t *row = json_object();
    json_object_set_new(row, "key", json_stringn((const char *)m->user.p, m->user.n));
    json_object_set_new(row, "route", json_stringn((const char *)m->server.p, m->server.n));
    json_object_set_new(row, "by", json_stringn((const char *)m->by.p, m->by.n));
    json_array_append_new(noted->rows, row);
    return 0;
}

/* Read while we are who we were called by: the folder is that of coexist-sync. */
static int read_noted(struct tool *t, json_t *rows, struct err *err)
{
    struct noted noted = {.conf = t->conf, .rows = rows};
    struct moved_bad bad;

    if (moved_read(t->conf->state, add_noted, &noted, &bad, err) != 0)
        return err_wrap(err, "where cut-overs have brought users cannot be read");
    if (bad.n > 0)
        fprintf(stderr,
            "maptool: %s/sync/moved: %zu lines make no sense and are passed over, the first is "
            "line "
            "%zu\n",
            t->conf->state, bad.n, bad.first);
    if (noted.n_unknown > 0)
        fprintf(stderr,
            "maptool: %s/sync/moved: %zu lines are passed over, since the configuration does not "
            "have "
            "their domain or server\n",
            t->conf->state, noted.n_unknown);
    return 0;
}

static int put_noted(struct tool *t, json_t *noted, struct err *err)
{
    size_t n = json_array_size(noted);
    int rc = 0;

    for (size_t i = 0; i < n && rc == 0; i += MOVED_AT_ONCE) {
        json_t *page = json_array(), *reply;
        for (size_t k = i; k < n && k < i + MOVED_AT_ONCE; k++)
            json_array_append(page, json_array_get(noted, k));
        rc =
            tool_call_own(t, json_pack("{ss so}", "op", "restore_put", "moved", page), &reply, err);
        json_decref(reply);
    }
    return rc;
}

static void print_restored(const json_t *reply)
{
    const json_t *held = json_object_get(reply, "held"), *one;
    struct table *table = table_new("  HELD|BACKUP|MAP OR SYNC");
    char name[512];
    size_t i;

    printf("%s%" PRIu64 " added, %" PRIu64 " changed, %" PRIu64 " deleted, %" PRIu64
           " unchanged, generation %" PRIu64 "\n",
        json_is_true(json_object_get(reply, "dry_run")) ? "dry run, nothing done: " : "",
        tool_number(reply, "added"), tool_number(reply, "changed"), tool_number(reply, "deleted"),
        tool_number(reply, "unchanged"), tool_number(reply, "generation"));
    json_array_foreach(held, i, one)
    {
        if (fmt_into(name, sizeof name, "  %s", tool_text(one, "key")) != 0)
            continue;
        const char *cells[] = {name, tool_text(one, "map"), tool_text(one, "sync")};
        table_row(table, cells);
    }
    table_flush(table, stdout);
    table_free(&table);
    if (json_array_size(held) > 0)
        fprintf(stderr,
            "maptool: mail for %zu addresses waits: say with `maptool restore --take map|sync "
            "ADDR...` who is right\n",
            json_array_size(held));
}

/* A set by its name, or a folder somewhere else. */
static int set_path(const struct conf *conf, const char *name, struct buf *out, struct err *err)
{
    struct buf dir;
    int rc;

    if (strchr(name, '/'))
        return io_path(out, name) == 0 ? 0 : err_set(err, ERR_PERM, EX_USAGE, "a path too long");
    buf_init(&dir, 4096);
    rc = backup_dir(conf, &dir, err);
    if (rc == 0 && io_path(out, buf_cstr(&dir), name) != 0)
        rc = err_set(err, ERR_PERM, EX_USAGE, "a path too long");
    buf_fini(&dir);
    return rc;
}

static int restore_set(struct tool *t, const char *path, json_t *noted, const char *moved,
    bool dry_run, const char *why, struct err *err)
{
    json_t *request, *reply = NULL;
    uint64_t generation = 0;
    int rc;

    /* The generation stands at the end of a set, and is needed in front. */
    if (backup_check(path, &generation, err) != 0)
        return -1;
    rc = tool_call_own(t,
        json_pack("{ss sI}", "op", "restore_begin", "generation", (json_int_t)generation), &reply,
        err);
    json_decref(reply);
    reply = NULL;
    if (rc == 0)
        rc = backup_read(path, put_rows, t, &generation, err);
    if (rc == 0)
        rc = put_noted(t, noted, err);
    if (rc == 0 && moved)
        rc = put_moved(t, moved, err);
    if (rc != 0)
        return -1;
    request = tool_change("restore_commit", why);
    if (request)
        json_object_set_new(request, "dry_run", json_boolean(dry_run));
    rc = tool_call_own(t, request, &reply, err);
    if (rc == 0 && t->json)
        tool_print_json(reply);
    else if (rc == 0)
        print_restored(reply);
    if (rc == 0 && json_array_size(json_object_get(reply, "held")) > 0)
        rc = TOOL_DIFFERENT;
    json_decref(reply);
    return rc >= 0 && tool_flush(err) != 0 ? -1 : rc;
}

static int take(struct tool *t, const char *side, const char *why, struct err *err)
{
    int rc = 0;

    for (int i = 0; i < t->argc && rc == 0; i++) {
        json_t *request = tool_change("take", why), *reply;
        if (request && (json_object_set_new(request, "key", json_string(t->argv[i])) != 0 ||
                           json_object_set_new(request, "side", json_string(side)) != 0)) {
            json_decref(request);
            request = NULL;
        }
        rc = tool_call_own(t, request, &reply, err);
        if (rc == 0 && t->json) {
            tool_print_json(reply);
        } else if (rc == 0) {
            const json_t *entry = json_object_get(reply, "entry");
            tool_print_text(t->argv[i]);
            fputs(": ", stdout);
            tool_print_text(json_is_object(entry) ? tool_text(entry, "route") : "deleted");
            putchar('\n');
        }
        json_decref(reply);
    }
    return rc == 0 ? tool_flush(err) : -1;
}

int cmd_restore(struct tool *t, struct err *err)
{
    const char *why = NULL, *side = NULL, *moved = NULL;
    bool dry_run = tool_flag(t, "--dry-run");
    struct buf path;
    int rc;

    if (tool_option(t, "--why", &why, err) != 0 || tool_option(t, "--take", &side, err) != 0 ||
        tool_option(t, "--moved", &moved, err) != 0 ||
        tool_words(t, 1, side ? INT32_MAX : 1, err) != 0)
        return -1;
    if (side)
        return take(t, side, why, err);
    buf_init(&path, 4096);
    rc = set_path(t->conf, t->argv[0], &path, err);
    if (rc == 0 && access(buf_cstr(&path), F_OK) != 0)
        rc = err_set(
            err, ERR_PERM, EX_NOINPUT, "there is no set %s: see `maptool backup`", buf_cstr(&path));
    json_t *noted = json_array();
    if (rc == 0)
        rc = read_noted(t, noted, err);
    if (rc == 0)
        rc = restore_set(t, buf_cstr(&path), noted, moved, dry_run, why, err);
    json_decref(noted);
    buf_fini(&path);
    return rc;
}
