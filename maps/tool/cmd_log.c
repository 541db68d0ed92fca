/* SPDX-License-Identifier: ISC */
/* cmd_log: who changed what, when and why, oldest first. */
#include "maps/tool/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/core/num.h"

#define LAST_DEFAULT 50
#define CHANGE_TEXT_MAX 2048

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
    char generation[32];
    buf_init(&text, CHANGE_TEXT_MAX);
    describe(change, &text);
    if (fmt_into(generation, sizeof generation, "%" PRIu64, tool_number(change, "generation")) != 0)
        BUG("a number fits");
    const char *cells[] = {generation, tool_text(change, "when"), tool_text(change, "who"),
        tool_text(change, "key"), buf_cstr(&text), tool_text(change, "why")};
    table_row(table, cells);
    buf_fini(&text);
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
        .columns = "GENERATION>|WHEN|WHO|ADDRESS|CHANGE|WHY",
        .add = add_change,
    };
    json_t *request = json_pack("{ss}", "op", "log");
    if (parse(t, request, err) == 0)
        return tool_list_own(t, &CHANGES, request, err);
    json_decref(request);
    return -1;
}
