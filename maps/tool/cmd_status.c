/* SPDX-License-Identifier: ISC */
/* cmd_status: init, and the state of map and coexist-mapd. */
#include "maps/tool/tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
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

/* What a consumer sees. */
static json_t *reader_json(const struct conf *conf)
{
    struct snapshot *s = snapshot_new(conf->run);
    struct snapshot_info info;
    json_t *out;

    if (snapshot_info(s, &info) == 0)
        out = json_pack("{sb sI sI}", "valid", true, "generation", (json_int_t)info.generation,
            "sequence", (json_int_t)info.sequence);
    else
        out = json_pack("{sb ss}", "valid", false, "trouble", snapshot_trouble(s));
    snapshot_free(&s);
    return out;
}

static void print_number(const char *name, uint64_t v)
{
    printf("%-12s%" PRIu64 "\n", name, v);
}

static void print_status(const json_t *s)
{
    const json_t *lookups = json_object_get(s, "lookups"), *hold;
    size_t i;

    printf("%-12s%s\n", "mapd",
        json_is_true(json_object_get(s, "running")) ? "running" : "not running");
    if (json_object_get(s, "uptime_s"))
        print_number("uptime (s)", tool_number(s, "uptime_s"));
    printf("%-12s%s\n", "map", tool_text(s, "map_id"));
    print_number("generation", tool_number(s, "generation"));
    print_number("entries", tool_number(s, "keys"));
    print_number("held", tool_number(s, "held"));
    json_array_foreach(json_object_get(s, "holds"), i, hold)
    {
        printf("  until %s  ", tool_text(hold, "deadline"));
        tool_print_text(tool_text(hold, "key"));
        putchar('\n');
    }
    if (json_is_true(json_object_get(lookups, "valid")))
        printf("%-12sgeneration %" PRIu64 ", snapshot %" PRIu64 "\n", "look-ups",
            tool_number(lookups, "generation"), tool_number(lookups, "sequence"));
    else
        printf("%-12sanswer \"unknown state\": %s\n", "look-ups", tool_text(lookups, "trouble"));
}

int cmd_status(struct tool *t, struct err *err)
{
    json_t *reply;

    if (tool_words(t, 0, 0, err) != 0)
        return -1;
    int rc = tool_call_own(t, json_pack("{ss}", "op", "status"), &reply, err);
    if (rc == 0) {
        json_object_set_new(reply, "running", json_boolean(!backend_is_offline(t->backend)));
        json_object_set_new(reply, "lookups", reader_json(t->conf));
        if (t->json)
            tool_print_json(reply);
        else
            print_status(reply);
    }
    json_decref(reply);
    return rc == 0 ? tool_flush(err) : -1;
}
