/* SPDX-License-Identifier: ISC */
/*
 * cmd_check: is what look-ups see what the map says?  Every entry of the map is looked up in the
 * snapshot, and the snapshot has no others.  When the map changes meanwhile it begins anew.
 */
#include "maps/tool/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "maps/snapshot.h"

#define TRIES_MAX 10
#define NAMED_MAX 20

struct check {
    struct tool *t;
    struct snapshot *s;
    uint64_t generation, entries, differ;
    json_t *names; /* the first NAMED_MAX that differ */
};

static bool is_same(struct check *c, const json_t *entry)
{
    struct route_store store;
    struct route_entry seen;

    return snapshot_get(c->s, slice_str(tool_text(entry, "key")), &store, &seen) == ROUTE_FOUND &&
           seen.epoch == tool_number(entry, "epoch") &&
           strcmp(route_kind_name(seen.kind), tool_text(entry, "kind")) == 0 &&
           strcmp(route_state_name(seen.state), tool_text(entry, "state")) == 0 &&
           slice_eq(seen.route, slice_str(tool_text(entry, "route"))) &&
           slice_eq(seen.deliver_as, slice_str(tool_text(entry, "deliver_as")));
}

/* 1: the map has changed since the check began. */
static int check_page(struct check *c, const json_t *reply, bool is_first)
{
    const json_t *entry;
    size_t i;

    if (is_first)
        c->generation = tool_number(reply, "generation");
    if (tool_number(reply, "generation") != c->generation)
        return 1;
    json_array_foreach(json_object_get(reply, "entries"), i, entry)
    {
        c->entries++;
        if (is_same(c, entry))
            continue;
        c->differ++;
        if (json_array_size(c->names) < NAMED_MAX)
            json_array_append(c->names, json_object_get(entry, "key"));
    }
    return 0;
}

static int check_once(struct check *c, struct err *err)
{
    json_t *request = json_pack("{ss}", "op", "list"), *reply;
    bool is_first = true, is_more = true;
    struct snapshot_info info;
    int rc = 0;

    c->entries = c->differ = 0;
    json_array_clear(c->names);
    while (rc == 0 && is_more) {
        rc = tool_call_own(c->t, json_incref(request), &reply, err);
        if (rc != 0)
            break;
        rc = check_page(c, reply, is_first);
        json_t *next = json_object_get(reply, "next");
        is_first = false;
        is_more = json_is_string(next);
        if (is_more)
            json_object_set(request, "after", next);
        json_decref(reply);
    }
    json_decref(request);
    if (rc != 0)
        return rc;
    if (snapshot_info(c->s, &info) != 0)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s", snapshot_trouble(c->s));
    if (info.generation > c->generation)
        return 1;
    /* Entries that look-ups see and the map has not. */
    if (info.keys > c->entries)
        c->differ += info.keys - c->entries;
    return 0;
}

static void print(const struct check *c)
{
    const json_t *name;
    size_t i;

    if (c->t->json) {
        json_t *out = json_pack("{sI sI sI sO}", "generation", (json_int_t)c->generation, "entries",
            (json_int_t)c->entries, "different", (json_int_t)c->differ, "names", c->names);
        tool_print_json(out);
        json_decref(out);
        return;
    }
    printf("%" PRIu64 " entries at generation %" PRIu64 ", %" PRIu64 " differ for look-ups\n",
        c->entries, c->generation, c->differ);
    json_array_foreach(c->names, i, name)
    {
        fputs("  ", stdout);
        tool_print_text(json_string_value(name));
        putchar('\n');
    }
    if (c->differ)
        fputs("maptool: a new start of coexist-mapd publishes the whole map anew\n", stderr);
}

int cmd_check(struct tool *t, struct err *err)
{
    struct check c = {.t = t};
    int rc = 1;

    if (tool_words(t, 0, 0, err) != 0)
        return -1;
    c.s = snapshot_new(t->conf->run);
    c.names = json_array();
    for (int i = 0; i < TRIES_MAX && rc == 1; i++)
        rc = check_once(&c, err);
    if (rc == 1)
        rc = err_set(err, ERR_TEMP, EX_TEMPFAIL,
            "the map changed during each of %d tries: try again later", TRIES_MAX);
    if (rc == 0) {
        print(&c);
        rc = c.differ > 0 ? TOOL_DIFFERENT : 0;
    }
    json_decref(c.names);
    snapshot_free(&c.s);
    return rc >= 0 && tool_flush(err) != 0 ? -1 : rc;
}
