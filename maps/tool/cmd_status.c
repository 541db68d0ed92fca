/* SPDX-License-Identifier: ISC */
/* cmd_status: init, and the state of map and coexist-mapd, for people and for monitoring. */
#include "maps/tool/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include "base/core/clock.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "base/os/user.h"
#include "maps/access.h"
#include "maps/snapshot.h"
#include "maps/store/store.h"

/* --- init ------------------------------------------------------------------------------ */

int cmd_init(struct tool *t, struct err *err)
{
    struct store *store = NULL;

    if (tool_words(t, 0, 0, err) != 0 || access_become_mapd(t->conf, true, err) != 0)
        return -1;
    if (store_create(t->conf->state, t->conf->mapd.cache_size, err) != 0) {
        if (err->code == EX_TEMPFAIL)
            err_set(err, ERR_PERM, EX_CANTCREAT, "%s/map already holds a map: somebody has it open",
                t->conf->state);
        return -1;
    }
    if (store_open(t->conf->state, t->conf->mapd.cache_size, &store, err) != 0)
        return -1;
    if (t->json) {
        json_t *out = json_pack("{ss}", "map_id", store_map_id(store));
        tool_print_json(out);
        json_decref(out);
    } else {
        printf("made the empty map %s in %s/map\n", store_map_id(store), t->conf->state);
    }
    store_close(&store);
    return tool_flush(err);
}

/* --- status ------------------------------------------------------------------------------ */

/* For monitoring; in the order of the exit statuses. */
enum level { LEVEL_OK, LEVEL_WARNING, LEVEL_CRITICAL };

static const char *const LEVELS[] = {"ok", "warning", "critical"};

#define EMERGENCY_LATE_S 600
/* A server may work on a message for ten minutes behind the dot (RFC 5321 4.5.3.2.6). */
#define CLAIM_LATE_S 900

struct findings {
    enum level level;
    json_t *problems;
};

static void find_problem(struct findings *f, enum level level, const char *text)
{
    if (level > f->level)
        f->level = level;
    json_array_append_new(f->problems, json_string(text));
}

/* Entries by server, kind and state: {"old mailbox active": {route, kind, state, entries}}. */
static void on_restart(void *arg)
{
    json_object_clear(arg);
}

static void on_entry(void *arg, struct slice key ATTR_UNUSED, const struct route_entry *e)
{
    char name[ROUTE_SERVER_MAX + 64];

    if (e->is_tombstone || fmt_into(name, sizeof name, "%.*s %s %s", SLICE_ARG(e->route),
                               route_kind_name(e->kind), route_state_name(e->state)) != 0)
        return;
    json_t *known = json_object_get(arg, name);
    if (!known) {
        known = json_pack("{ss% ss ss sI}", "route", e->route.n ? (const char *)e->route.p : "",
            e->route.n, "kind", route_kind_name(e->kind), "state", route_state_name(e->state),
            "entries", (json_int_t)0);
        json_object_set_new(arg, name, known);
    }
    json_t *n = json_object_get(known, "entries");
    json_integer_set(n, json_integer_value(n) + 1);
}

static json_t *counts_json(struct snapshot *s)
{
    json_t *by_name = json_object(), *out = json_array();
    const struct snapshot_visitor visitor = {on_restart, on_entry, by_name};
    struct snapshot_mark mark = {0};
    if (snapshot_walk(s, &mark, &visitor) == 0)
        for (void *it = json_object_iter(by_name); it; it = json_object_iter_next(by_name, it))
            json_array_append(out, json_object_iter_value(it));
    json_decref(by_name);
    return out;
}

/* What a consumer sees. */
static void add_lookups(const struct conf *conf, json_t *reply)
{
    struct snapshot *s = snapshot_new(conf->run);
    struct snapshot_info info;
    json_t *out;

    if (snapshot_info(s, &info) == 0)
        out = json_pack("{sb sI sI sI}", "valid", true, "generation", (json_int_t)info.generation,
            "sequence", (json_int_t)info.sequence, "keys", (json_int_t)info.keys);
    else
        out = json_pack("{sb ss}", "valid", false, "trouble", snapshot_trouble(s));
    json_object_set_new(reply, "lookups", out);
    json_object_set_new(reply, "counts", counts_json(s));
    snapshot_free(&s);
}

/* Of the emergency files; null when there are none, or we may not see them. */
static void add_emergency(const struct conf *conf, json_t *reply)
{
    struct err ignored = ERR_INIT;
    struct buf path, text;
    struct slice rest, line;
    struct stat st;
    uint64_t generation;
    json_t *out = json_null();

    buf_init(&path, 4096);
    buf_init(&text, 64);
    if (io_path(&path, conf->state, "emergency", "generation") == 0 &&
        io_read_file(buf_cstr(&path), 64, &text, &ignored) == 0 &&
        stat(buf_cstr(&path), &st) == 0) {
        rest = buf_slice(&text);
        if (slice_split(&rest, '\n', &line) && num_u64(line, 0, INT64_MAX, &generation) == 0)
            out = json_pack("{sI sI}", "generation", (json_int_t)generation, "age_s",
                (json_int_t)(clock_wall_ms() / 1000 - st.st_mtime));
    }
    json_object_set_new(reply, "emergency", out);
    buf_fini(&path);
    buf_fini(&text);
}

static void judge(const struct conf *conf, json_t *s, struct findings *f)
{
    const json_t *lookups = json_object_get(s, "lookups");
    const json_t *emergency = json_object_get(s, "emergency"), *hold, *consumer;
    bool is_running = json_is_true(json_object_get(s, "running"));
    size_t i;

    if (!json_is_true(json_object_get(lookups, "valid")))
        find_problem(f, LEVEL_CRITICAL, "look-ups answer \"unknown state\": mail waits");
    else if (tool_number(lookups, "generation") < tool_number(s, "generation"))
        find_problem(f, LEVEL_WARNING, "look-ups are behind the map");
    if (!is_running)
        find_problem(f, LEVEL_WARNING, "coexist-mapd does not run: nothing changes, no hold ends");
    json_array_foreach(json_object_get(s, "holds"), i, hold)
    {
        if (is_running && json_is_true(json_object_get(hold, "is_over"))) {
            find_problem(f, LEVEL_WARNING, "a hold is older than its deadline");
            break;
        }
    }
    json_array_foreach(json_object_get(s, "consumers"), i, consumer)
    {
        if (tool_number(consumer, "committing") > 0 &&
            tool_number(consumer, "oldest_s") > CLAIM_LATE_S) {
            find_problem(f, LEVEL_WARNING, "a program waits long for the answer to a message");
            break;
        }
    }
    if (is_running && conf->mapd.emergency_ms > 0 && json_is_object(emergency) &&
        tool_number(emergency, "generation") != tool_number(s, "generation") &&
        tool_number(emergency, "age_s") > EMERGENCY_LATE_S + conf->mapd.emergency_ms / 1000)
        find_problem(f, LEVEL_WARNING, "the emergency files are behind the map");
}

static void print_number(const char *name, uint64_t v)
{
    printf("%-12s%" PRIu64 "\n", name, v);
}

static void print_holds(const json_t *holds)
{
    const json_t *hold;
    size_t i;

    json_array_foreach(holds, i, hold)
    {
        fputs("  ", stdout);
        tool_print_text(tool_text(hold, "key"));
        printf("  until %s, for %" PRIu64 " s, by ", tool_text(hold, "deadline"),
            tool_number(hold, "age_s"));
        tool_print_text(tool_text(hold, "owner"));
        putchar('\n');
    }
}

/* Who asks, by which snapshot, when last, and what he has not finished. */
static void print_consumers(const json_t *consumers)
{
    struct table *table =
        table_new("  PROGRAM|PID>|SNAPSHOT>|ASKED>|COMMITTING>|AMBIGUOUS>|OLDEST>");
    const json_t *row;
    size_t i;

    json_array_foreach(consumers, i, row)
    {
        const json_t *used = json_object_get(row, "used_s");
        char name[32], pid[24], sequence[24], asked[24] = "-", committing[24], ambiguous[24],
                                              oldest[24];
        if (fmt_into(name, sizeof name, "  %.20s", tool_text(row, "program")) != 0 ||
            fmt_into(pid, sizeof pid, "%" PRIu64, tool_number(row, "pid")) != 0 ||
            fmt_into(sequence, sizeof sequence, "%" PRIu64, tool_number(row, "sequence")) != 0 ||
            fmt_into(committing, sizeof committing, "%" PRIu64, tool_number(row, "committing")) !=
                0 ||
            fmt_into(ambiguous, sizeof ambiguous, "%" PRIu64, tool_number(row, "ambiguous")) != 0 ||
            fmt_into(oldest, sizeof oldest, "%" PRIu64 " s", tool_number(row, "oldest_s")) != 0 ||
            (json_is_integer(used) && fmt_into(asked, sizeof asked, "%" PRIu64 " s ago",
                                          tool_number(row, "used_s")) != 0))
            continue;
        table_row(table,
            (const char *const[]){name, pid, sequence, asked, committing, ambiguous, oldest});
    }
    if (json_array_size(consumers) > 0)
        table_flush(table, stdout);
    table_free(&table);
}

static void print_sources(const json_t *sources)
{
    struct table *table = table_new("  SOURCE|IMPORTED|AGE>|ROWS>|WHO");
    const json_t *row;
    char name[ROUTE_SOURCE_MAX + 4], age[32], rows[24], who[STORE_WHO_MAX + USER_NAME_MAX];
    size_t i;

    json_array_foreach(sources, i, row)
    {
        if (fmt_into(name, sizeof name, "  %s", tool_text(row, "source")) != 0 ||
            fmt_into(rows, sizeof rows, "%" PRIu64, tool_number(row, "rows")) != 0)
            continue;
        tool_age(tool_number(row, "age_s"), age);
        tool_who(row, who, sizeof who);
        table_row(table, (const char *const[]){name, tool_text(row, "when"), age, rows, who});
    }
    if (json_array_size(sources) > 0)
        table_flush(table, stdout);
    table_free(&table);
}

static void print_counts(const json_t *counts)
{
    struct table *table = table_new("  SERVER|KIND|STATE|ENTRIES>");
    const json_t *row;
    char name[ROUTE_SERVER_MAX + 4], n[32];
    size_t i;

    json_array_foreach(counts, i, row)
    {
        if (fmt_into(name, sizeof name, "  %s", tool_text(row, "route")) != 0 ||
            fmt_into(n, sizeof n, "%" PRIu64, tool_number(row, "entries")) != 0)
            continue;
        const char *cells[] = {name, tool_text(row, "kind"), tool_text(row, "state"), n};
        table_row(table, cells);
    }
    table_flush(table, stdout);
    table_free(&table);
}

static void print_status(const json_t *s)
{
    const json_t *lookups = json_object_get(s, "lookups"), *problem;
    const json_t *emergency = json_object_get(s, "emergency");
    size_t i;

    printf("%-12s%s\n", "state", tool_text(s, "level"));
    json_array_foreach(json_object_get(s, "problems"), i, problem)
    {
        printf("  %s\n", json_string_value(problem));
    }
    printf("%-12s%s\n", "mapd",
        json_is_true(json_object_get(s, "running")) ? "running" : "not running");
    if (json_object_get(s, "uptime_s"))
        print_number("uptime (s)", tool_number(s, "uptime_s"));
    printf("%-12s%s\n", "map", tool_text(s, "map_id"));
    print_number("generation", tool_number(s, "generation"));
    print_number("entries", tool_number(s, "keys"));
    print_counts(json_object_get(s, "counts"));
    print_number("held", tool_number(s, "held"));
    print_holds(json_object_get(s, "holds"));
    print_number("sources", json_array_size(json_object_get(s, "sources")));
    print_sources(json_object_get(s, "sources"));
    if (json_is_true(json_object_get(lookups, "valid")))
        printf("%-12sgeneration %" PRIu64 ", snapshot %" PRIu64 "\n", "look-ups",
            tool_number(lookups, "generation"), tool_number(lookups, "sequence"));
    else
        printf("%-12sanswer \"unknown state\": %s\n", "look-ups", tool_text(lookups, "trouble"));
    print_number("consumers", json_array_size(json_object_get(s, "consumers")));
    print_consumers(json_object_get(s, "consumers"));
    if (json_is_object(emergency))
        printf("%-12sgeneration %" PRIu64 ", written %" PRIu64 " s ago\n", "emergency",
            tool_number(emergency, "generation"), tool_number(emergency, "age_s"));
}

int cmd_status(struct tool *t, struct err *err)
{
    struct findings f = {.problems = NULL};
    json_t *reply;

    if (tool_words(t, 0, 0, err) != 0)
        return -1;
    int rc = tool_call_own(t, json_pack("{ss}", "op", "status"), &reply, err);
    if (rc == 0) {
        f.problems = json_array();
        json_object_set_new(reply, "running", json_boolean(!backend_is_offline(t->backend)));
        add_lookups(t->conf, reply);
        add_emergency(t->conf, reply);
        judge(t->conf, reply, &f);
        json_object_set_new(reply, "level", json_string(LEVELS[f.level]));
        json_object_set_new(reply, "problems", f.problems);
        if (t->json)
            tool_print_json(reply);
        else
            print_status(reply);
        rc = (int)f.level;
    }
    json_decref(reply);
    return rc >= 0 && tool_flush(err) != 0 ? -1 : rc;
}
