/* SPDX-License-Identifier: ISC */
/*
 * control_import: begin, put, commit.  Rows are checked and kept in memory as they come and are
 * written in the order of their keys, several times faster for a btree, in one transaction, with
 * which the import happens wholly or not at all (import_commit.c).
 */
#include "maps/store/import_priv.h"

#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"

#define ARENA_MAX ((size_t)1 << 30)

void control_import_free(struct control_import **import)
{
    if (!*import)
        return;
    arena_free(&(*import)->mem);
    free((*import)->rows);
    free(*import);
    *import = NULL;
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
    import->rules.now_s = call->c->now_ms / 1000;
    import->rules.retire_s = (int64_t)(conf->mapd.import_retire_ms / 1000);
    if (parse_flags(call->request, import, call->err) != 0 ||
        parse_limits(conf, call->request, import, call->err) != 0 ||
        parse_names(conf, call->request, import, call->err) != 0) {
        control_import_free(&import);
        return CONTROL_REFUSED;
    }
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
    if (call->session->import)
        return CONTROL_DONE;
    return (enum control_outcome)control_refuse(
        call, ERR_PERM, EX_USAGE, "no import was begun on this connection");
}

/* The error of the reply is that of the first one. */
void import_add_bad(struct control_call *call, struct control_import *import,
    const struct change *first, uint32_t row)
{
    json_t *list = json_object_get(call->reply, "bad"), *bad = json_object();

    if (import->n_bad == 0)
        import->first_bad = *call->err;
    if (!list) {
        list = json_array();
        json_object_set_new(call->reply, "bad", list);
        control_set_u64(call->reply, "row", row);
        if (first)
            control_set_u64(call->reply, "first_row", first->row);
    }
    control_set_u64(bad, "row", row);
    if (first)
        control_set_u64(bad, "first_row", first->row);
    control_set(bad, "text", slice_str(call->err->text));
    json_array_append_new(list, bad);
    import->n_bad++;
}

enum control_outcome import_refuse_bad(
    struct control_call *call, const struct control_import *import)
{
    *call->err = import->first_bad;
    return CONTROL_REFUSED;
}

static enum control_outcome put_row(
    struct control_call *call, struct control_import *import, const json_t *row)
{
    if (import->n == CONTROL_IMPORT_ROWS_MAX)
        return (enum control_outcome)control_refuse(
            call, ERR_PERM, EX_DATAERR, "an import has at most %d rows", CONTROL_IMPORT_ROWS_MAX);
    if (import->n == import->cap) {
        import->cap = import->cap ? 2 * import->cap : 1024;
        import->rows = mem_realloc_array(import->rows, import->cap, sizeof *import->rows);
    }
    struct change *change = &import->rows[import->n];
    if (change_parse(call->c, row, import->mem, change, call->err) != 0)
        return CONTROL_REFUSED;
    change->row = import->next_row;
    import->n++;
    return CONTROL_DONE;
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
    for (size_t i = 0; i < json_array_size(rows) && import->n_bad < IMPORT_BAD_ROWS_MAX;
         i++, import->next_row++)
        if (put_row(call, import, json_array_get(rows, i)) != CONTROL_DONE)
            import_add_bad(call, import, NULL, import->next_row);
    control_set_u64(call->reply, "rows", import->n);
    return import->n_bad ? import_refuse_bad(call, import) : CONTROL_DONE;
}
