/* SPDX-License-Identifier: ISC */
/* cmd_log: who changed what, when and why, oldest first; and what came of it between two
 * generations. */
#include "maps/tool/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/core/num.h"

#define LAST_DEFAULT 50
#define CHANGE_TEXT_MAX 2048
#define WHO_MAX 256
#define COLUMNS "GENERATION>|WHEN|WHO|ADDRESS|CHANGE|WHY"

static int add_value(struct buf *out, const json_t *entry)
{
    if (!json_is_object(entry))
        return buf_add_str(out, "-");
    const char *route = tool_text(entry, "route"), *as = tool_text(entry, "deliver_as");
    bool is_held = strcmp(tool_text(entry, "state"), "held") == 0;
    bool is_reject = strcmp(tool_text(entry, "kind"), "reject") == 0;
    return buf_addf(out, "%s%s%s%s",
        is_reject  ? "reject"
        : route[0] ? route
                   : "default",
        as[0] ? " as " : "", as, is_held ? " (held)" : "");
}

/* "old -> new" */
static void describe(const json_t *change, struct buf *out)
{
    buf_clear(out);
    if (add_value(out, json_object_get(change, "old")) != 0 || buf_add_str(out, " -> ") != 0 ||
        add_value(out, json_object_get(change, "new")) != 0)
        buf_clear(out);
}

static void add_change(struct table *table, const json_t *change)
{
    struct buf text;
    char generation[32], who[WHO_MAX];
    buf_init(&text, CHANGE_TEXT_MAX);
    describe(change, &text);
    if (fmt_into(generation, sizeof generation, "%" PRIu64, tool_number(change, "generation")) != 0)
        BUG("a number fits");
    tool_who(change, who, sizeof who);
    const char *cells[] = {generation, tool_text(change, "when"), who, tool_text(change, "key"),
        buf_cstr(&text), tool_text(change, "why")};
    table_row(table, cells);
    buf_fini(&text);
}

/* --- Steps: what one request has changed is one line ------------------------------------------ */

/* "1200 old -> new; 34 - -> old" */
static void describe_step(const json_t *step, struct buf *out)
{
    size_t i;
    const json_t *one;
    buf_clear(out);
    json_array_foreach(json_object_get(step, "what"), i, one)
    {
        if (buf_addf(out, "%s%" PRIu64 " %s -> %s", i ? "; " : "", tool_number(one, "count"),
                tool_text(one, "old"), tool_text(one, "new")) != 0)
            break;
    }
}

static void add_step(struct table *table, const json_t *step)
{
    struct buf text;
    char generations[64], who[WHO_MAX], count[64];
    uint64_t n = tool_number(step, "count"), first = tool_number(step, "generation");
    if (n <= 1) {
        add_change(table, step);
        return;
    }
    buf_init(&text, CHANGE_TEXT_MAX);
    describe_step(step, &text);
    tool_who(step, who, sizeof who);
    if (fmt_into(generations, sizeof generations, "%" PRIu64 "-%" PRIu64, first,
            tool_number(step, "to")) != 0 ||
        fmt_into(count, sizeof count, "%" PRIu64 " addresses", n) != 0)
        BUG("numbers fit");
    const char *cells[] = {
        generations, tool_text(step, "when"), who, count, buf_cstr(&text), tool_text(step, "why")};
    table_row(table, cells);
    buf_fini(&text);
}

static void add_number(json_t *object, const char *name, uint64_t n)
{
    json_object_set_new(object, name, json_integer((json_int_t)(tool_number(object, name) + n)));
}

/* A step that ended with one reply and goes on with the next. */
static bool goes_on(json_t *step, const json_t *next)
{
    json_t *what = json_object_get(step, "what"), *mine = NULL;
    const json_t *one;
    size_t i, k;
    const char *request = tool_text(next, "request");
    if (!step || !request[0] || strcmp(tool_text(step, "request"), request) != 0)
        return false;
    json_array_foreach(json_object_get(next, "what"), i, one)
    {
        json_array_foreach(what, k, mine)
        {
            if (strcmp(tool_text(mine, "old"), tool_text(one, "old")) == 0 &&
                strcmp(tool_text(mine, "new"), tool_text(one, "new")) == 0)
                break;
        }
        if (k < json_array_size(what))
            add_number(mine, "count", tool_number(one, "count"));
        else
            json_array_append(what, (json_t *)(uintptr_t)one);
    }
    add_number(step, "count", tool_number(next, "count"));
    json_object_set(step, "to", json_object_get(next, "to"));
    return true;
}

struct steps {
    struct tool *t;
    struct table *table;
    json_t *open; /* not printed yet: it may go on */
    bool has_printed;
};

static void print_open(struct steps *s)
{
    if (!s->open)
        return;
    if (s->t->json) {
        fputs(s->has_printed ? ",\n" : "\n", stdout);
        json_dumpf(s->open, stdout, JSON_COMPACT);
    } else {
        add_step(s->table, s->open);
    }
    s->has_printed = true;
    json_decref(s->open);
    s->open = NULL;
}

static int print_steps_own(struct tool *t, json_t *request, struct err *err)
{
    struct steps s = {.t = t, .table = table_new(COLUMNS)};
    bool is_more = true;
    int rc = 0;

    json_object_set_new(request, "steps", json_true());
    if (t->json)
        putchar('[');
    while (rc == 0 && is_more) {
        json_t *reply, *step;
        size_t i;
        rc = tool_call_own(t, json_incref(request), &reply, err);
        json_array_foreach(json_object_get(reply, "changes"), i, step)
        {
            if (goes_on(s.open, step))
                continue;
            print_open(&s);
            s.open = json_incref(step);
        }
        json_t *next = json_object_get(reply, "next");
        is_more = json_is_integer(next);
        if (is_more)
            json_object_set(request, "from", next);
        json_object_del(request, "last");
        json_decref(reply);
        table_flush(s.table, stdout);
    }
    print_open(&s);
    table_flush(s.table, stdout);
    if (rc == 0 && t->json)
        puts(s.has_printed ? "\n]" : "]");
    table_free(&s.table);
    json_decref(request);
    return rc == 0 ? tool_flush(err) : -1;
}

static int parse(struct tool *t, json_t *request, struct err *err)
{
    const char *last = NULL;
    uint64_t n = LAST_DEFAULT;
    bool all = tool_flag(t, "--all");

    if (tool_option(t, "--last", &last, err) != 0 || tool_words(t, 0, 1, err) != 0)
        return -1;
    if (last && num_u64(slice_str(last), 1, INT32_MAX, &n) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--last needs a number");
    if (last && (all || t->argc > 0))
        return err_set(err, ERR_PERM, EX_USAGE, "--last counts the changes of all addresses");
    if (t->argc > 0 && json_object_set_new(request, "key", json_string(t->argv[0])) != 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "the address is not UTF-8 text");
    /* The changes of one address are few; those of all are cut to the latest. */
    if (!all && t->argc == 0)
        json_object_set_new(request, "last", json_integer((json_int_t)n));
    return 0;
}

int cmd_log(struct tool *t, struct err *err)
{
    static const struct tool_listing CHANGES = {
        .rows = "changes",
        .after = "from",
        .first_only = "last",
        .columns = COLUMNS,
        .add = add_change,
    };
    json_t *request = json_pack("{ss}", "op", "log");
    bool is_each = tool_flag(t, "--each");
    if (parse(t, request, err) == 0)
        return is_each || t->argc > 0 ? tool_list_own(t, &CHANGES, request, err)
                                      : print_steps_own(t, request, err);
    json_decref(request);
    return -1;
}

/* --- diff ------------------------------------------------------------------------------- */

static int read_generation(const char *text, uint64_t *out, struct err *err)
{
    if (num_u64(slice_str(text), 0, INT64_MAX, out) == 0)
        return 0;
    return err_set(err, ERR_PERM, EX_USAGE, "%s is no generation: see `maptool log`", text);
}

/* What of a value is no note of the change itself. */
static bool is_same_value(const json_t *a, const json_t *b)
{
    static const char *const OF_THE_CHANGE[] = {"epoch", "who", "when"};
    json_t *x = json_deep_copy(a), *y = json_deep_copy(b);

    for (size_t i = 0; i < sizeof OF_THE_CHANGE / sizeof OF_THE_CHANGE[0]; i++) {
        json_object_del(x, OF_THE_CHANGE[i]);
        json_object_del(y, OF_THE_CHANGE[i]);
    }
    bool is_same = json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return is_same;
}

/* One page of the log into {key: {key, old, new}}: the first old value and the last new one. */
static void collect(json_t *all, const json_t *changes, uint64_t to)
{
    size_t i;
    json_t *change;

    json_array_foreach(changes, i, change)
    {
        json_t *known = json_object_get(all, tool_text(change, "key"));
        if (tool_number(change, "generation") > to)
            return;
        if (known)
            json_object_set(known, "new", json_object_get(change, "new"));
        else
            json_object_set_new(all, tool_text(change, "key"),
                json_pack("{sO sO sO}", "key", json_object_get(change, "key"), "old",
                    json_object_get(change, "old"), "new", json_object_get(change, "new")));
    }
}

/* Refused where the map never was. */
static int check_generation(struct tool *t, uint64_t generation, struct err *err)
{
    json_t *reply;
    int rc = tool_call_own(t,
        json_pack("{ss sI si}", "op", "log", "since", (json_int_t)generation, "limit", 1), &reply,
        err);
    json_decref(reply);
    return rc;
}

static int read_changes(struct tool *t, uint64_t from, uint64_t to, json_t *all, struct err *err)
{
    json_t *request = json_pack("{ss sI}", "op", "log", "since", (json_int_t)from), *reply;
    bool is_more = true;
    int rc = 0;

    while (rc == 0 && is_more) {
        rc = tool_call_own(t, json_incref(request), &reply, err);
        json_t *next = json_object_get(reply, "next");
        if (rc == 0)
            collect(all, json_object_get(reply, "changes"), to);
        is_more = json_is_integer(next) && (uint64_t)json_integer_value(next) <= to;
        json_object_del(request, "since");
        if (is_more)
            json_object_set(request, "from", next);
        json_decref(reply);
    }
    json_decref(request);
    return rc;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* How many differ. */
static size_t print_diff(struct tool *t, const json_t *all)
{
    size_t n = json_object_size(all), n_differ = 0;
    const char **keys = mem_zalloc((n + 1) * sizeof *keys);
    struct table *table = table_new("ADDRESS|CHANGE");
    json_t *list = json_array();
    struct buf text;
    void *it = json_object_iter((json_t *)(uintptr_t)all);

    buf_init(&text, CHANGE_TEXT_MAX);
    for (size_t i = 0; it; it = json_object_iter_next((json_t *)(uintptr_t)all, it))
        keys[i++] = json_object_iter_key(it);
    mem_sort(keys, n, sizeof *keys, compare_names);
    for (size_t i = 0; i < n; i++) {
        json_t *change = json_object_get(all, keys[i]);
        if (is_same_value(json_object_get(change, "old"), json_object_get(change, "new")))
            continue;
        n_differ++;
        describe(change, &text);
        const char *cells[] = {keys[i], buf_cstr(&text)};
        if (t->json)
            json_array_append(list, change);
        else
            table_row(table, cells);
    }
    if (t->json)
        tool_print_json(list);
    table_flush(table, stdout);
    table_free(&table);
    json_decref(list);
    buf_fini(&text);
    free(keys);
    return n_differ;
}

int cmd_diff(struct tool *t, struct err *err)
{
    uint64_t from, to = UINT64_MAX;

    if (tool_words(t, 1, 2, err) != 0 || read_generation(t->argv[0], &from, err) != 0 ||
        (t->argc > 1 && read_generation(t->argv[1], &to, err) != 0))
        return -1;
    if (to < from)
        return err_set(err, ERR_PERM, EX_USAGE, "the older generation comes first");
    json_t *all = json_object();
    int rc = to == UINT64_MAX ? 0 : check_generation(t, to, err);
    if (rc == 0)
        rc = read_changes(t, from, to, all, err);
    if (rc == 0)
        rc = print_diff(t, all) > 0 ? TOOL_DIFFERENT : 0;
    json_decref(all);
    return rc >= 0 && tool_flush(err) != 0 ? -1 : rc;
}

/* --- revert -------------------------------------------------------------------------------- */

static void print_counts(const json_t *reply)
{
    bool is_dry = json_is_true(json_object_get(reply, "dry_run"));

    printf("%s%" PRIu64 " came back, %" PRIu64 " changed, %" PRIu64 " deleted, %" PRIu64
           " were so already\n",
        is_dry ? "dry run, nothing done: " : "", tool_number(reply, "added"),
        tool_number(reply, "changed"), tool_number(reply, "deleted"),
        tool_number(reply, "unchanged"));
    if (!is_dry)
        fputs("maptool: this is the map alone: mail that was delivered meanwhile stays where it "
              "is\n",
            stderr);
}

static json_t *revert_request(struct tool *t, uint64_t generation, bool dry_run, const char *why)
{
    json_t *request = tool_change("revert", why), *keys = json_array();
    bool is_text = request != NULL;

    json_object_set_new(request, "generation", json_integer((json_int_t)generation));
    json_object_set_new(request, "dry_run", json_boolean(dry_run));
    for (int i = 1; i < t->argc; i++)
        is_text &= json_array_append_new(keys, json_string(t->argv[i])) == 0;
    if (json_array_size(keys) > 0)
        json_object_set(request, "keys", keys);
    json_decref(keys);
    if (is_text)
        return request;
    json_decref(request);
    return NULL;
}

int cmd_revert(struct tool *t, struct err *err)
{
    const char *why = NULL;
    bool dry_run = tool_flag(t, "--dry-run");
    uint64_t generation;
    json_t *reply;

    if (tool_option(t, "--why", &why, err) != 0 || tool_words(t, 1, INT32_MAX, err) != 0 ||
        read_generation(t->argv[0], &generation, err) != 0)
        return -1;
    int rc = tool_call_own(t, revert_request(t, generation, dry_run, why), &reply, err);
    if (rc == 0 && t->json)
        tool_print_json(reply);
    else if (rc == 0)
        print_counts(reply);
    json_decref(reply);
    return rc == 0 ? tool_flush(err) : -1;
}
