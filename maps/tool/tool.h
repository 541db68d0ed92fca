/* SPDX-License-Identifier: ISC */
/*
 * tool: what the commands of maptool share: options, the connection, output.
 *
 * A command returns 0 or an exit status; -1 when err says what went wrong.
 */
#ifndef MAPS_TOOL_TOOL_H
#define MAPS_TOOL_TOOL_H

#include <jansson.h>
#include <stdbool.h>
#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "maps/tool/backend.h"
#include "maps/tool/table.h"

#define TOOL_DIFFERENT 1 /* exit status: not found, or differences */

struct tool {
    struct conf *conf;
    struct backend *backend; /* from tool_call on */
    int argc;                /* words behind the command; options are taken out as they are read */
    char **argv;
    bool json; /* --json */
};

struct tool_command {
    const char *name;
    const char *usage; /* behind the name */
    const char *purpose;
    int (*run)(struct tool *t, struct err *err);
};

/* Runs argv[0] with the words behind it; takes over conf. */
int tool_run_own(struct conf *conf, int argc, char **argv, struct err *err) ATTR_WUR;
/* The commands as lines for --help. -1 when out is full. */
int tool_usage(struct buf *out) ATTR_WUR;

/* --- Options (anywhere behind the command, until "--") -------------------------------- */

bool tool_flag(struct tool *t, const char *name);
/* "--name VALUE" or "--name=VALUE"; *out is left alone when it is not given. */
int tool_option(struct tool *t, const char *name, const char **out, struct err *err) ATTR_WUR;
/* "--epoch N", at least `least`; *out is left alone when it is not given. */
int tool_epoch(struct tool *t, uint64_t least, int64_t *out, struct err *err) ATTR_WUR;
/* When all options are read: the number of words left, and none of them an option. */
int tool_words(struct tool *t, int min, int max, struct err *err) ATTR_WUR;

/* --- Requests ----------------------------------------------------------------------------- */

/* As client_call_own(); connects first if need be. */
int tool_call_own(struct tool *t, json_t *request, json_t **reply, struct err *err) ATTR_WUR;
/* {"op": op, "id": a new one, "why": why} */
json_t *tool_change(const char *op, const char *why);

/* What comes in pages: a table, or with --json an array. */
struct tool_listing {
    const char *rows;       /* field of the reply: an array, one object a row */
    const char *after;      /* field of the request that takes the reply's "next" */
    const char *first_only; /* field that only the first request has; NULL: none */
    const char *columns;    /* as in table_new() */
    void (*add)(struct table *table, const json_t *row);
};

/* Asks until the last page has come and prints all of it; takes over the request. */
int tool_list_own(
    struct tool *t, const struct tool_listing *what, json_t *request, struct err *err) ATTR_WUR;

/* --- Output (stdout) ------------------------------------------------------------------------ */

void tool_print_json(const json_t *value);
/* Text for a terminal: control characters become "?". */
void tool_print_text(const char *text);
const char *tool_text(const json_t *object, const char *name); /* "" when there is none */
/* The member "who" with the name of the login, where this host knows it; out holds STORE_WHO_MAX +
 * USER_NAME_MAX. */
void tool_who(const json_t *object, char *out, size_t size);
uint64_t tool_number(const json_t *object, const char *name);
/* Such as "3 hours": in the largest unit of which there are two. */
void tool_age(uint64_t s, char out[32]);
/* Ends a command that printed: -1 and EX_IOERR when stdout did not take it. */
int tool_flush(struct err *err) ATTR_WUR;

/* --- Commands --------------------------------------------------------------------------------- */

int cmd_init(struct tool *t, struct err *err) ATTR_WUR;
int cmd_set(struct tool *t, struct err *err) ATTR_WUR;
int cmd_get(struct tool *t, struct err *err) ATTR_WUR;
int cmd_del(struct tool *t, struct err *err) ATTR_WUR;
int cmd_list(struct tool *t, struct err *err) ATTR_WUR;
int cmd_import(struct tool *t, struct err *err) ATTR_WUR;
int cmd_export(struct tool *t, struct err *err) ATTR_WUR;
int cmd_explain(struct tool *t, struct err *err) ATTR_WUR;
int cmd_log(struct tool *t, struct err *err) ATTR_WUR;
int cmd_diff(struct tool *t, struct err *err) ATTR_WUR;
int cmd_revert(struct tool *t, struct err *err) ATTR_WUR;
int cmd_hold(struct tool *t, struct err *err) ATTR_WUR;
int cmd_release(struct tool *t, struct err *err) ATTR_WUR;
int cmd_retire(struct tool *t, struct err *err) ATTR_WUR;
int cmd_backup(struct tool *t, struct err *err) ATTR_WUR;
int cmd_restore(struct tool *t, struct err *err) ATTR_WUR;
int cmd_check(struct tool *t, struct err *err) ATTR_WUR;
int cmd_status(struct tool *t, struct err *err) ATTR_WUR;
int cmd_unmapped(struct tool *t, struct err *err) ATTR_WUR;
int cmd_what_if(struct tool *t, struct err *err) ATTR_WUR;

#endif
