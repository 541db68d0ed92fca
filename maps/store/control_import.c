/* SPDX-License-Identifier: ISC */
/*
 * control_import: begin, put, abort.  Each put checks its rows against the map and stages them, in
 * a transaction of its own (maps/store/stage.h); the commit makes all of them true at once
 * (import_commit.c).  So an import has no limit of rows, and others are served between its parts.
 */
#include "maps/store/import_priv.h"

#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"

#define ARENA_MAX (64u << 10)

void control_import_free(struct control_import **importp)
{
    struct control_import *import = *importp;

    if (!import)
        return;
    stage_free(&import->stage);
    arena_free(&import->mem);
    json_decref(import->late.list);
    json_decref(import->conflicts);
    buf_fini(&import->counted_to);
    buf_fini(&import->checked_to);
    free(import->servers);
    free(import->domains);
    free(import);
    *importp = NULL;
}

/* --- begin ------------------------------------------------------------------------------------ */

static int parse_flags(const json_t *request, struct control_import *import, struct err *err)
{
    if (control_flag(request, "replace", &import->replace, err) != 0 ||
        control_flag(request, "dry_run", &import->dry_run, err) != 0 ||
        control_flag(request, "reroute", &import->rules.reroute, err) != 0)
        return -1;
    return 0;
}

/* A percentage of the request is meant exactly; that of the configuration lets some go in any case.
 */
static int parse_limits(
    const struct conf *conf, const json_t *request, struct control_import *import, struct err *err)
{
    uint64_t percent = conf->mapd.import_drop_percent;

    if (control_number(request, "max_drop", 100, false, &percent, err) != 0)
        return -1;
    import->drop_percent = percent;
    import->drop_count = json_object_get(request, "max_drop") ? 0 : conf->mapd.import_drop_count;
    return 0;
}

static int parse_names(
    const struct conf *conf, const json_t *request, struct control_import *import, struct err *err)
{
    struct slice route, source;

    if (control_string(request, "default_route", ROUTE_SERVER_MAX, false, &route, err) != 0 ||
        control_string(request, "source", ROUTE_SOURCE_MAX, false, &source, err) != 0 ||
        (route.n && change_check_route(conf, route, err) != 0))
        return -1;
    import->rules.default_route = arena_dup(import->mem, route);
    import->rules.source = arena_dup(import->mem, source);
    if (import->replace && source.n == 0)
        return err_set(err, ERR_PERM, EX_USAGE,
            "\"replace\" needs a \"source\": an import takes away only what is its own");
    return 0;
}

enum control_outcome control_import_begin(struct control_call *call)
{
    const struct conf *conf = call->c->conf;
    struct control_import *import = mem_zalloc(sizeof *import);

    control_import_free(&call->session->import);
    import->mem = arena_new(ARENA_MAX);
    import->conf_serial = call->c->conf_serial;
    import->n_servers = conf->n_servers;
    import->n_domains = conf->n_domains;
    import->servers = mem_zalloc((conf->n_servers + 1) * sizeof *import->servers);
    import->domains = mem_zalloc(conf->n_domains + 1);
    import->conflicts = json_array();
    import->late.list = json_array();
    buf_init(&import->counted_to, ROUTE_KEY_MAX);
    buf_init(&import->checked_to, ROUTE_KEY_MAX);
    import->rules.now_s = call->c->now_ms / 1000;
    import->rules.retire_s = (int64_t)(conf->mapd.import_retire_ms / 1000);
    if (parse_flags(call->request, import, call->err) != 0 ||
        parse_limits(conf, call->request, import, call->err) != 0 ||
        parse_names(conf, call->request, import, call->err) != 0 ||
        stage_new(call->c->store, &import->stage, call->err) != 0) {
        control_import_free(&import);
        return CONTROL_REFUSED;
    }
    import->is_counted = import->replace || import->dry_run || import->rules.reroute;
    call->session->import = import;
    return CONTROL_DONE;
}

enum control_outcome control_import_abort(struct control_call *call)
{
    control_import_free(&call->session->import);
    return CONTROL_DONE;
}

/* --- put -------------------------------------------------------------------------------------- */

enum control_outcome import_need(struct control_call *call)
{
    const struct control_import *import = call->session->import;

    if (!import)
        return (enum control_outcome)control_refuse(
            call, ERR_PERM, EX_USAGE, "no import was begun on this connection");
    if (import->conf_serial == call->c->conf_serial)
        return CONTROL_DONE;
    control_import_free(&call->session->import);
    return (enum control_outcome)control_refuse(call, ERR_TEMP, EX_TEMPFAIL,
        "the configuration was read anew while the import was on its way: begin it again");
}

void import_add_bad(json_t *to, const struct err *err, uint32_t first, uint32_t row)
{
    json_t *bad = json_object();

    if (json_array_size(to) >= IMPORT_BAD_ROWS_MAX) {
        json_decref(bad);
        return;
    }
    control_set_u64(bad, "row", row);
    if (first != IMPORT_NO_ROW)
        control_set_u64(bad, "first_row", first);
    control_set(bad, "text", slice_str(err->text));
    json_array_append_new(to, bad);
}

static enum control_outcome put_row(
    struct control_call *call, struct control_import *import, const json_t *row, struct arena *mem)
{
    struct change change;

    arena_reset(mem);
    if (change_parse(call->c, row, mem, &change, call->err) != 0)
        return CONTROL_REFUSED;
    change.row = import->next_row;
    import->n++;
    if (import->n_bad || json_array_size(import->late.list) >= IMPORT_BAD_ROWS_MAX)
        return CONTROL_DONE; /* nothing comes of it any more */
    enum control_outcome outcome = import_stage_row(call, import, &change);
    if (outcome != CONTROL_REFUSED)
        return outcome;
    if (json_array_size(import->late.list) == 1)
        import->late.first = *call->err;
    err_clear(call->err);
    return CONTROL_DONE;
}

static enum control_outcome put_rows(
    struct control_call *call, struct control_import *import, const json_t *rows)
{
    struct arena *mem = arena_new(ARENA_MAX);
    json_t *bad = json_array();
    enum control_outcome outcome = CONTROL_DONE;

    for (size_t i = 0; i < json_array_size(rows) && import->n_bad < IMPORT_BAD_ROWS_MAX;
         i++, import->next_row++) {
        outcome = put_row(call, import, json_array_get(rows, i), mem);
        if (outcome == CONTROL_FAILED)
            break;
        if (outcome == CONTROL_DONE)
            continue;
        if (import->n_bad++ == 0)
            import->first_bad = *call->err;
        import_add_bad(bad, call->err, IMPORT_NO_ROW, import->next_row);
    }
    arena_free(&mem);
    if (json_array_size(bad) > 0) {
        json_object_set(call->reply, "bad", bad);
        json_object_set(call->reply, "row", json_object_get(json_array_get(bad, 0), "row"));
    }
    json_decref(bad);
    return outcome == CONTROL_FAILED ? outcome : CONTROL_DONE;
}

enum control_outcome control_import_put(struct control_call *call)
{
    const json_t *rows = json_object_get(call->request, "rows");
    enum control_outcome outcome = import_need(call);

    if (outcome != CONTROL_DONE)
        return outcome;
    if (!json_is_array(rows))
        return (enum control_outcome)control_refuse(
            call, ERR_PERM, EX_USAGE, "\"rows\" has to be an array");
    struct control_import *import = call->session->import;
    call->cause.who = slice_str(call->session->who);
    call->cause.when_s = call->c->now_ms / 1000;
    if (put_rows(call, import, rows) == CONTROL_FAILED)
        return CONTROL_FAILED;
    control_set_u64(call->reply, "rows", import->n);
    if (!import->n_bad)
        return CONTROL_DONE;
    *call->err = import->first_bad;
    return CONTROL_REFUSED;
}
