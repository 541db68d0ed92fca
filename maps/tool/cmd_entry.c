/* SPDX-License-Identifier: ISC */
/* cmd_entry: set, get, del, list: entries by hand. */
#include "maps/tool/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/buf.h"

#define DESCRIPTION_MAX (64u << 10)

/* What stands in a list or an array, with commas. */
static int add_list(struct buf *out, const json_t *list)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        if (buf_addf(out, "%s%s", i ? ", " : "", json_string_value(one)) != 0)
            return -1;
    }
    return 0;
}

/* "mailbox on new as a@new.example.org", "alias to a@example.org, b@example.org", "reject" */
static void describe(const json_t *entry, struct buf *out)
{
    static const struct {
        const char *member, *before;
    } PARTS[] = {{"route", " on "}, {"deliver_as", " as "}, {"to", " to "}, {"also", " and on "},
        {"until", " until "}, {"code", " "}, {"text", " "}};
    bool is_reject = strcmp(tool_text(entry, "kind"), "reject") == 0;
    int rc = buf_add_str(out, tool_text(entry, "kind"));
    for (size_t i = 0; i < sizeof PARTS / sizeof PARTS[0] && rc == 0; i++) {
        const json_t *v = json_object_get(entry, PARTS[i].member);
        const char *text = json_string_value(v);
        if (!v || (text && !text[0]) || (is_reject && strcmp(PARTS[i].member, "route") == 0))
            continue;
        rc = buf_add_str(out, PARTS[i].before);
        if (rc == 0 && json_is_array(v))
            rc = add_list(out, v);
        else if (rc == 0 && json_is_integer(v))
            rc = buf_addf(out, "%" PRIu64, tool_number(entry, PARTS[i].member));
        else if (rc == 0)
            rc = buf_add_str(out, text ? text : "");
    }
}

/* --- set and del ---------------------------------------------------------------------- */

static int parse_fields(struct tool *t, json_t *set, struct err *err)
{
    for (int i = 1; i < t->argc; i++) {
        struct slice rest = slice_str(t->argv[i]), name;
        slice_split(&rest, '=', &name);
        if (!rest.p || name.n == 0)
            return err_set(err, ERR_PERM, EX_USAGE, "\"%s\" is not FIELD=VALUE", t->argv[i]);
        json_t *value = json_stringn(rest.n ? (const char *)rest.p : "", rest.n);
        if (!value || json_object_setn_new(set, (const char *)name.p, name.n, value) != 0)
            return err_set(err, ERR_PERM, EX_DATAERR, "\"%s\" is not UTF-8 text", t->argv[i]);
    }
    return 0;
}

static int add_force(json_t *request, bool is_forced)
{
    return is_forced ? json_object_set_new(request, "force", json_true()) : 0;
}

static int add_epoch(json_t *request, const char *member, int64_t epoch)
{
    return epoch < 0 ? 0 : json_object_set_new(request, member, json_integer(epoch));
}

/* "2 aliases follow" */
static void print_follow(const json_t *reply)
{
    const char *text = tool_text(reply, "follow");
    if (!text[0])
        return;
    printf("%-11s", "");
    tool_print_text(text);
    putchar('\n');
}

static void print_set(const json_t *reply)
{
    const json_t *entry = json_object_get(reply, "entry");
    struct buf what;

    buf_init(&what, DESCRIPTION_MAX);
    describe(entry, &what);
    tool_print_text(tool_text(entry, "key"));
    fputs(": ", stdout);
    tool_print_text(buf_cstr(&what));
    buf_fini(&what);
    printf(", epoch %" PRIu64 "%s\n", tool_number(entry, "epoch"),
        tool_number(reply, "changed") ? "" : " (unchanged)");
    print_follow(reply);
}

int cmd_set(struct tool *t, struct err *err)
{
    const char *why = NULL;
    json_t *reply;
    bool is_forced = tool_flag(t, "--force");
    int64_t epoch = -1;

    if (tool_option(t, "--why", &why, err) != 0 || tool_epoch(t, 0, &epoch, err) != 0 ||
        tool_words(t, 2, INT32_MAX, err) != 0)
        return -1;
    json_t *set = json_object(), *request = tool_change("set", why);
    if (parse_fields(t, set, err) != 0) {
        json_decref(set);
        json_decref(request);
        return -1;
    }
    if (request &&
        (json_object_set_new(request, "set", set) != 0 ||
            json_object_set_new(request, "key", json_string(t->argv[0])) != 0 ||
            add_force(request, is_forced) != 0 || add_epoch(request, "expect_epoch", epoch) != 0)) {
        json_decref(request);
        request = NULL;
    }
    int rc = tool_call_own(t, request, &reply, err);
    if (rc == 0 && t->json)
        tool_print_json(reply);
    else if (rc == 0)
        print_set(reply);
    json_decref(reply);
    return rc == 0 ? tool_flush(err) : -1;
}

/* A request with nothing but a key; what it prints without --json is "ADDR: done". */
static int change_key(struct tool *t, const char *op, const char *done, struct err *err)
{
    /* A release has always named the hold that it means. */
    const char *member = strcmp(op, "release") == 0 ? "epoch" : "expect_epoch", *why = NULL;
    json_t *reply;
    bool is_forced = strcmp(op, "del") == 0 && tool_flag(t, "--force");
    int64_t epoch = -1;

    if (tool_option(t, "--why", &why, err) != 0 || tool_epoch(t, 1, &epoch, err) != 0 ||
        tool_words(t, 1, 1, err) != 0)
        return -1;
    json_t *request = tool_change(op, why);
    if (request &&
        (json_object_set_new(request, "key", json_string(t->argv[0])) != 0 ||
            add_force(request, is_forced) != 0 || add_epoch(request, member, epoch) != 0)) {
        json_decref(request);
        request = NULL;
    }
    int rc = tool_call_own(t, request, &reply, err);
    if (rc == 0 && t->json) {
        tool_print_json(reply);
    } else if (rc == 0) {
        tool_print_text(t->argv[0]);
        printf(": %s\n", done);
        print_follow(reply);
    }
    json_decref(reply);
    return rc == 0 ? tool_flush(err) : -1;
}

int cmd_del(struct tool *t, struct err *err)
{
    return change_key(t, "del", "deleted", err);
}

int cmd_release(struct tool *t, struct err *err)
{
    return change_key(t, "release", "released", err);
}

int cmd_retire(struct tool *t, struct err *err)
{
    return change_key(t, "retire", "its route can be changed by hand and by imports", err);
}

/* --- get ----------------------------------------------------------------------------------- */

static void print_field(const char *name, const char *value)
{
    if (!value[0])
        return;
    printf("%-11s", name);
    tool_print_text(value);
    putchar('\n');
}

static void print_list(const char *name, const json_t *list)
{
    struct buf text;
    buf_init(&text, DESCRIPTION_MAX);
    if (add_list(&text, list) == 0)
        print_field(name, buf_cstr(&text));
    buf_fini(&text);
}

static void print_entry(const json_t *entry)
{
    static const char *const FIELDS[] = {"kind", "route", "state", "deliver_as"};
    static const char *const MORE[] = {"owner", "senders", "text", "also", "until"};
    static const char *const LAST[] = {"note", "source", "moved_by", "who", "when"};
    const json_t *hold = json_object_get(entry, "hold");

    print_field("address", tool_text(entry, "key"));
    for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; i++)
        print_field(FIELDS[i], tool_text(entry, FIELDS[i]));
    print_list("to", json_object_get(entry, "to"));
    if (json_object_get(entry, "code"))
        printf("%-11s%" PRIu64 "\n", "code", tool_number(entry, "code"));
    for (size_t i = 0; i < sizeof MORE / sizeof MORE[0]; i++)
        print_field(MORE[i], tool_text(entry, MORE[i]));
    if (hold) {
        print_field("held by", tool_text(hold, "owner"));
        print_field("until", tool_text(hold, "deadline"));
    }
    printf("%-11s%" PRIu64 "\n", "epoch", tool_number(entry, "epoch"));
    for (size_t i = 0; i < sizeof LAST / sizeof LAST[0]; i++)
        print_field(LAST[i], tool_text(entry, LAST[i]));
}

int cmd_get(struct tool *t, struct err *err)
{
    json_t *reply;

    if (tool_words(t, 1, 1, err) != 0)
        return -1;
    int rc = tool_call_own(t, json_pack("{ss ss}", "op", "get", "key", t->argv[0]), &reply, err);
    const json_t *entry = json_object_get(reply, "entry");
    if (rc == 0 && t->json)
        tool_print_json(entry);
    else if (rc == 0)
        print_entry(entry);
    if (rc == 0 && !t->json)
        print_follow(reply);
    json_decref(reply);
    return rc == 0 ? tool_flush(err) : -1;
}

/* --- list ---------------------------------------------------------------------------------------
 */

static void add_entry(struct table *table, const json_t *entry)
{
    char epoch[32];
    if (fmt_into(epoch, sizeof epoch, "%" PRIu64, tool_number(entry, "epoch")) != 0)
        BUG("a number fits");
    const char *cells[] = {tool_text(entry, "key"), tool_text(entry, "kind"),
        tool_text(entry, "route"), tool_text(entry, "state"), epoch, tool_text(entry, "when"),
        tool_text(entry, "deliver_as"), tool_text(entry, "note")};
    table_row(table, cells);
}

static int add_filters(struct tool *t, json_t *request, struct err *err)
{
    static const char *const FILTERS[] = {"--route", "--state", "--kind", "--domain"};
    for (size_t i = 0; i < sizeof FILTERS / sizeof FILTERS[0]; i++) {
        const char *value = NULL;
        if (tool_option(t, FILTERS[i], &value, err) != 0)
            return -1;
        if (value && json_object_set_new(request, FILTERS[i] + 2, json_string(value)) != 0)
            return err_set(err, ERR_PERM, EX_DATAERR, "%s is not UTF-8 text", FILTERS[i]);
    }
    return tool_words(t, 0, 0, err);
}

int cmd_list(struct tool *t, struct err *err)
{
    static const struct tool_listing ENTRIES = {
        .rows = "entries",
        .after = "after",
        .columns = "ADDRESS|KIND|ROUTE|STATE|EPOCH>|CHANGED|DELIVER AS|NOTE",
        .add = add_entry,
    };
    json_t *request = json_pack("{ss}", "op", "list");
    if (add_filters(t, request, err) == 0)
        return tool_list_own(t, &ENTRIES, request, err);
    json_decref(request);
    return -1;
}
