/* SPDX-License-Identifier: ISC */
/*
 * tool: the table of commands and what they share (tool.h).
 *
 * maptool holds nothing that matters: whatever it changes happens in one request, so it may be
 * killed at any time.
 */
#include "maps/tool/tool.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/user.h"
#include "maps/client.h"

#define LOGIN_MARK " (login uid" /* as access_who() writes it */

static const struct tool_command COMMANDS[] = {
    {"init", "", "make an empty map, once", cmd_init},
    {"set", "[--force] [--epoch N] ADDR FIELD=VALUE...",
        "add or change an entry (route, kind, deliver_as, note, ...)", cmd_set},
    {"get", "ADDR", "show an entry", cmd_get},
    {"del", "[--force] [--epoch N] ADDR", "delete an entry", cmd_del},
    {"list", "[--route S] [--state X] [--kind K] [--domain D]", "show entries", cmd_list},
    {"import",
        "[--source NAME] [--route S] [--reroute] [--replace] [--max-drop PERCENT] [--dry-run] "
        "[--format F] [--domain D] "
        "[--column COLUMN=NAME]... [--next-hop HOP=S]... [--charset SET] FILE|-",
        "add or change many entries, all or none", cmd_import},
    {"export", "[--format FORMAT] [--output FILE [--db]]", "write the map for others", cmd_export},
    {"explain", "ADDR [--from IP|SERVER] [--sender A]", "where mail for ADDR goes now, and why",
        cmd_explain},
    {"diff", "GEN [GEN]", "what has changed between two generations", cmd_diff},
    {"revert", "GEN [ADDR...] [--dry-run]",
        "entries as they were then; the map alone, no mail moves", cmd_revert},
    {"log", "[ADDR] [--last N | --all] [--each]", "show changes", cmd_log},
    {"hold", "ADDR|@DOMAIN [--until TIME|DURATION] [--owner NAME] [--epoch N]",
        "let mail wait at the senders for a while", cmd_hold},
    {"release", "ADDR|@DOMAIN [--epoch N]", "end a hold", cmd_release},
    {"retire", "ADDR|@DOMAIN [--epoch N]", "let others change the route of a user who was moved",
        cmd_retire},
    {"backup", "[list|now]", "sets of map, configuration and keys", cmd_backup},
    {"restore", "SET [--moved FILE] [--dry-run] | --take map|sync ADDR...",
        "the map of a set; who is elsewhere meanwhile comes back held", cmd_restore},
    {"check", "", "whether look-ups see what the map says", cmd_check},
    {"status", "", "state of the map and of coexist-mapd", cmd_status},
    {"unmapped", "[--csv] [--known] [--ask SERVER [--rate N]] [LOG|-...]",
        "addresses that get mail and have no entry", cmd_unmapped},
    {"what-if", "[--default [DOMAIN=]S|reject]... [--import FILE [--route S] [--reroute]] LOG|-...",
        "whose mail of these logs would be answered otherwise", cmd_what_if},
};
#define N_COMMANDS (sizeof COMMANDS / sizeof COMMANDS[0])

static const struct tool_command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(COMMANDS[i].name, name) == 0)
            return &COMMANDS[i];
    return NULL;
}

static int unknown_command(const char *name, struct err *err)
{
    struct buf names;
    buf_init(&names, 256);
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (buf_addf(&names, " %s", COMMANDS[i].name) != 0)
            break;
    err_set(err, ERR_PERM, EX_USAGE, "%s%s%s (commands:%s)",
        name ? "unknown command \"" : "no command", name ? name : "", name ? "\"" : "",
        buf_cstr(&names));
    buf_fini(&names);
    return -1;
}

int tool_usage(struct buf *out)
{
    if (buf_add_str(out, "\nCommands (--json prints JSON, --why TEXT goes to the change log):\n") !=
        0)
        return -1;
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (buf_addf(out, "  %-8s %s%s%s\n", COMMANDS[i].name, COMMANDS[i].usage,
                COMMANDS[i].usage[0] ? "\n             " : "", COMMANDS[i].purpose) != 0)
            return -1;
    return 0;
}

int tool_run_own(struct conf *conf, int argc, char **argv, struct err *err)
{
    struct tool t = {.conf = conf, .argc = argc - 1, .argv = argv + 1};
    const struct tool_command *command = argc > 0 ? find_command(argv[0]) : NULL;
    int status;

    if (command) {
        t.json = tool_flag(&t, "--json");
        status = command->run(&t, err);
        if (status == -1 && err->code == EX_USAGE)
            err_wrap(err, "%s %s", command->name, command->usage);
    } else {
        status = unknown_command(argc > 0 ? argv[0] : NULL, err);
    }
    backend_close(&t.backend);
    conf_free(&conf);
    return status;
}

/* --- Options ----------------------------------------------------------------------------- */

static void take_out(struct tool *t, int at, int n)
{
    memmove(&t->argv[at], &t->argv[at + n], (size_t)(t->argc - at - n) * sizeof t->argv[0]);
    t->argc -= n;
}

static bool is_end(const char *word)
{
    return strcmp(word, "--") == 0;
}

bool tool_flag(struct tool *t, const char *name)
{
    for (int i = 0; i < t->argc && !is_end(t->argv[i]); i++)
        if (strcmp(t->argv[i], name) == 0) {
            take_out(t, i, 1);
            return true;
        }
    return false;
}

int tool_option(struct tool *t, const char *name, const char **out, struct err *err)
{
    size_t n = strlen(name);

    for (int i = 0; i < t->argc && !is_end(t->argv[i]); i++) {
        const char *word = t->argv[i];
        if (strncmp(word, name, n) != 0 || (word[n] && word[n] != '='))
            continue;
        if (word[n] == '=') {
            *out = word + n + 1;
            take_out(t, i, 1);
            return 0;
        }
        if (i + 1 == t->argc)
            return err_set(err, ERR_PERM, EX_USAGE, "%s needs a value", name);
        *out = t->argv[i + 1];
        take_out(t, i, 2);
        return 0;
    }
    return 0;
}

int tool_words(struct tool *t, int min, int max, struct err *err)
{
    for (int i = 0; i < t->argc; i++) {
        if (is_end(t->argv[i])) {
            take_out(t, i, 1);
            break;
        }
        if (t->argv[i][0] == '-' && t->argv[i][1])
            return err_set(err, ERR_PERM, EX_USAGE, "unknown option \"%s\"", t->argv[i]);
    }
    if (t->argc < min)
        return err_set(err, ERR_PERM, EX_USAGE, "an argument is missing");
    if (t->argc > max)
        return err_set(err, ERR_PERM, EX_USAGE, "unexpected argument \"%s\"", t->argv[max]);
    return 0;
}

/* --- Requests ------------------------------------------------------------------------------ */

int tool_call_own(struct tool *t, json_t *request, json_t **reply, struct err *err)
{
    *reply = NULL;
    if (!request)
        return err_set(err, ERR_PERM, EX_DATAERR, "an argument is not UTF-8 text");
    if (!t->backend && backend_open(t->conf, &t->backend, err) != 0) {
        json_decref(request);
        return -1;
    }
    return backend_call_own(t->backend, request, reply, err);
}

json_t *tool_change(const char *op, const char *why)
{
    char id[CLIENT_REQUEST_ID_MAX];
    client_request_id(id);
    return json_pack("{ss ss ss}", "op", op, "id", id, "why", why ? why : "");
}

static void print_page(const struct tool *t, const struct tool_listing *what, struct table *table,
    const json_t *rows, bool is_first)
{
    size_t i;
    const json_t *row;
    json_array_foreach(rows, i, row)
    {
        if (t->json) {
            fputs(is_first && i == 0 ? "\n" : ",\n", stdout);
            json_dumpf(row, stdout, JSON_COMPACT);
        } else {
            what->add(table, row);
        }
    }
    table_flush(table, stdout);
}

int tool_list_own(struct tool *t, const struct tool_listing *what, json_t *request, struct err *err)
{
    struct table *table = table_new(what->columns);
    json_t *reply = NULL;
    bool is_first = true;
    int rc = 0;

    if (t->json)
        putchar('[');
    for (bool is_more = true; rc == 0 && is_more;) {
        rc = tool_call_own(t, json_incref(request), &reply, err);
        const json_t *rows = json_object_get(reply, what->rows);
        json_t *next = json_object_get(reply, "next");
        print_page(t, what, table, rows, is_first);
        is_first = is_first && json_array_size(rows) == 0;
        is_more = next && !json_is_null(next);
        if (is_more)
            json_object_set(request, what->after, next);
        if (what->first_only)
            json_object_del(request, what->first_only);
        json_decref(reply);
        reply = NULL;
    }
    if (rc == 0 && t->json)
        puts(is_first ? "]" : "\n]");
    table_free(&table);
    json_decref(request);
    return rc == 0 ? tool_flush(err) : -1;
}

int tool_epoch(struct tool *t, uint64_t least, int64_t *out, struct err *err)
{
    const char *text = NULL;
    uint64_t epoch;
    if (tool_option(t, "--epoch", &text, err) != 0)
        return -1;
    if (text && num_u64(slice_str(text), least, INT64_MAX, &epoch) != 0)
        return err_set(
            err, ERR_PERM, EX_USAGE, "--epoch needs an epoch, as `maptool get` shows it");
    if (text)
        *out = (int64_t)epoch;
    return 0;
}

/* --- Output ---------------------------------------------------------------------------------- */

void tool_print_json(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    putchar('\n');
}

void tool_print_text(const char *text)
{
    char *clean = mem_strdup(text);
    table_clean(clean);
    fputs(clean, stdout);
    free(clean);
}

const char *tool_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* coexist-mapd asks no directory service for a connection, and keeps the number. */
void tool_who(const json_t *object, char *out, size_t size)
{
    const char *who = tool_text(object, "who"), *at = strstr(who, LOGIN_MARK);
    char name[USER_NAME_MAX];
    uint64_t uid;
    size_t n = strlen(who);

    if (at && n > 0 && who[n - 1] == ')' &&
        num_u64(
            slice_make(at + strlen(LOGIN_MARK), n - (size_t)(at - who) - strlen(LOGIN_MARK) - 1), 0,
            UINT32_MAX - 1, &uid) == 0) {
        user_name((uid_t)uid, name);
        if (fmt_into(out, size, "%.*s (login %s)", (int)(at - who), who, name) == 0)
            return;
    }
    if (fmt_into(out, size, "%s", who) != 0)
        out[0] = '\0';
}

uint64_t tool_number(const json_t *object, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(object, name));
}

void tool_age(uint64_t s, char out[32])
{
    uint64_t n = s >= 2 * 86400 ? s / 86400 : s >= 2 * 3600 ? s / 3600 : s >= 120 ? s / 60 : s;
    const char *unit = s >= 2 * 86400 ? "days" : s >= 2 * 3600 ? "hours" : s >= 120 ? "min" : "s";
    if (fmt_into(out, 32, "%" PRIu64 " %s", n, unit) != 0)
        BUG("a number fits");
}

int tool_flush(struct err *err)
{
    if (fflush(stdout) != 0 || ferror(stdout))
        return err_sys(err, errno, "cannot write the output");
    return 0;
}
