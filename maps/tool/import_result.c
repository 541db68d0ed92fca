/* SPDX-License-Identifier: ISC */
/* import_result: see import_result.h. */
#include "maps/tool/import_result.h"

#include <inttypes.h>
#include <stdio.h>
#include "maps/tool/tool.h"

static void add_server(struct table *table, const json_t *server)
{
    static const char *const NAMES[] = {"now", "added", "arrive", "leave", "retire", "then"};
    char text[sizeof NAMES / sizeof NAMES[0]][24];
    const char *cells[1 + sizeof NAMES / sizeof NAMES[0]] = {tool_text(server, "server")};

    if (!*cells[0])
        cells[0] = "(none)";
    for (size_t i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (fmt_into(text[i], sizeof text[i], "%" PRIu64, tool_number(server, NAMES[i])) != 0)
            BUG("a number fits");
        cells[1 + i] = text[i];
    }
    table_row(table, cells);
}

static void print_servers(const json_t *reply)
{
    const json_t *servers = json_object_get(reply, "servers");
    struct table *table = table_new("SERVER|NOW>|ADDED>|ARRIVE>|LEAVE>|RETIRE>|THEN>");

    for (size_t i = 0; i < json_array_size(servers); i++)
        add_server(table, json_array_get(servers, i));
    table_flush(table, stdout);
    table_free(&table);
}

void import_result_print(const json_t *reply)
{
    bool dry_run = json_is_true(json_object_get(reply, "dry_run"));
    printf("%s%" PRIu64 " added, %" PRIu64 " changed, %" PRIu64 " deleted, %" PRIu64 " unchanged",
        dry_run ? "dry run, nothing done: " : "", tool_number(reply, "added"),
        tool_number(reply, "changed"), tool_number(reply, "deleted"),
        tool_number(reply, "unchanged"));
    if (tool_number(reply, "retiring"))
        printf(", %" PRIu64 " retiring", tool_number(reply, "retiring"));
    putchar('\n');
    if (dry_run)
        print_servers(reply);
}
