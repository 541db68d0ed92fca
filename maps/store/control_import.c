/* SPDX-License-Identifier: ISC */
/*
 * control_import: begin, put, commit.  Rows are checked and kept in memory as they come and are
 * written in the order of their keys, several times faster for a btree, in one transaction, with
 * which the import happens wholly or not at all.
 *
 * With "replace" the import is the whole truth for the domains that occur in it: addresses of those
 * domains that it does not name are deleted, unless they are more than max_drop percent (a file cut
 * short on its way here must not empty the map).  "@domain" keys are only touched when named.
 */
#include "maps/store/control_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"

#define ARENA_MAX ((size_t)1 << 30)
#define MAX_DROP_DEFAULT 10
#define BAD_ROWS_MAX 20 /* told in one reply */

struct control_import {
    struct arena *mem;
    struct change *rows;
    size_t n, cap;
    uint32_t next_row;
    size_t n_bad; /* rows that were refused: nothing comes of this import */
    struct err first_bad;
    bool replace, dry_run;
    uint64_t max_drop;          /* percent */
    struct slice default_route; /* of new entries */
};

void control_import_free(struct control_import **import)
{
    if (!*import)
        return;
    arena_free(&(*import)->mem);
    free((*import)->rows);
    free(*import);
    *import = NULL;
}

enum control_outcome control_import_begin(struct control_call *call)
{
    bool replace, dry_run;
    uint64_t max_drop = MAX_DROP_DEFAULT;
    struct slice route;

    if (control_flag(call->request, "replace", &replace, call->err) != 0 ||
        control_flag(call->request, "dry_run", &dry_run, call->err) != 0 ||
        control_number(call->request, "max_drop", 100, false, &max_drop, call->err) != 0 ||
        control_string(
            call->request, "default_route", ROUTE_SERVER_MAX, false, &route, call->err) != 0 ||
        (route.n && change_check_route(call->c->conf, route, call->err) != 0))
        return CONTROL_REFUSED;
    control_import_free(&call->session->import);
    struct control_import *import = mem_zalloc(sizeof *import);
    import->mem = arena_new(ARENA_MAX);
    import->replace = replace;
    import->dry_run = dry_run;
    import->max_drop = max_drop;
    import->default_route = arena_dup(import->mem, route);
    call->session->import = import;
    return CONTROL_DONE;
}

enum control_outcome control_import_abort(struct control_call *call)
{
    control_import_free(&call->session->import);
    return CONTROL_DONE;
}

static enum control_outcome need_import(struct control_call *call)
{
    if (call->session->import)
        return CONTROL_DONE;
    return (enum control_outcome)control_refuse(
        call, ERR_PERM, EX_USAGE, "no import was begun on this connection");
}

/* Adds what call->err says to the rows that the reply names; the error of the reply is that of the
 * first. */
static void add_bad(struct control_call *call, struct control_import *import,
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

static enum control_outcome refuse_bad(
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
    change->default_route = import->default_route;
    import->n++;
    return CONTROL_DONE;
}

enum control_outcome control_import_put(struct control_call *call)
{
    const json_t *rows = json_object_get(call->request, "rows");
    enum control_outcome outcome = need_import(call);

    if (outcome != CONTROL_DONE)
        return outcome;
    if (!json_is_array(rows))
        return (enum control_outcome)control_refuse(
            call, ERR_PERM, EX_USAGE, "\"rows\" has to be an array");
    struct control_import *import = call->session->import;
    for (size_t i = 0; i < json_array_size(rows) && import->n_bad < BAD_ROWS_MAX;
         i++, import->next_row++)
        if (put_row(call, import, json_array_get(rows, i)) != CONTROL_DONE)
            add_bad(call, import, NULL, import->next_row);
    control_set_u64(call->reply, "rows", import->n);
    return import->n_bad ? refuse_bad(call, import) : CONTROL_DONE;
}

/* --- commit ------------------------------------------------------------------------------- */

/* The order of the btree: bytes, then length. */
static int compare_keys(struct slice a, struct slice b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_rows(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    int order = compare_keys(x->key, y->key);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static enum control_outcome refuse_twice(struct control_call *call, struct control_import *import)
{
    for (size_t i = 1; i < import->n && import->n_bad < BAD_ROWS_MAX; i++) {
        const struct change *row = &import->rows[i];
        if (!slice_eq(row->key, row[-1].key))
            continue;
        control_refuse(call, ERR_PERM, EX_DATAERR, "%.*s occurs twice", SLICE_ARG(row->key));
        add_bad(call, import, &row[-1], row->row);
    }
    return import->n_bad ? refuse_bad(call, import) : CONTROL_DONE;
}

/* The entries that a replacing import drops. */
struct drops {
    const struct control_import *import;
    const struct conf *conf;
    bool *domains; /* by index in the configuration: does the import name it? */
    size_t next_row;
    struct slice *keys;
    size_t n, cap;
    uint64_t in_scope;
};

/* n_domains when the configuration has it no more. */
static size_t domain_index(const struct conf *conf, struct slice key)
{
    const struct conf_domain *d = conf_domain(conf, normalise_domain(key));
    return d ? (size_t)(d - conf->domains) : conf->n_domains;
}

static int find_drop(void *arg, struct slice key, const struct route_entry *entry, struct err *err)
{
    struct drops *d = arg;
    const struct control_import *import = d->import;
    size_t domain = domain_index(d->conf, key);

    if (entry->is_tombstone || key.n == 0 || key.p[0] == '@' || !d->domains[domain])
        return 0;
    d->in_scope++;
    while (d->next_row < import->n && compare_keys(import->rows[d->next_row].key, key) < 0)
        d->next_row++;
    if (d->next_row < import->n && slice_eq(import->rows[d->next_row].key, key))
        return 0;
    if (d->n == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 256;
        d->keys = mem_realloc_array(d->keys, d->cap, sizeof *d->keys);
    }
    d->keys[d->n] = arena_dup(import->mem, key);
    if (!d->keys[d->n].p)
        return err_set(err, ERR_TEMP, EX_OSERR, "the import needs too much memory");
    d->n++;
    return 0;
}

static enum control_outcome delete_dropped(
    struct control_call *call, struct drops *d, struct buf *bytes, struct change_counts *counts)
{
    if (d->n * 100 > d->import->max_drop * d->in_scope)
        return (enum control_outcome)control_refuse(call, ERR_PERM, EX_DATAERR,
            "the import lacks %zu of %" PRIu64
            " addresses that the map has, more than --max-drop %" PRIu64 " percent",
            d->n, d->in_scope, d->import->max_drop);
    for (size_t i = 0; i < d->n; i++) {
        struct change change = {.key = d->keys[i], .is_delete = true};
        enum control_outcome outcome = change_apply(call, &change, bytes, counts, NULL);
        if (outcome != CONTROL_DONE)
            return outcome;
    }
    return CONTROL_DONE;
}

static enum control_outcome drop_missing(struct control_call *call, struct control_import *import,
    struct buf *bytes, struct change_counts *counts)
{
    struct drops d = {.import = import, .conf = call->c->conf};
    enum control_outcome outcome = CONTROL_FAILED;

    d.domains = mem_zalloc(d.conf->n_domains + 1);
    for (size_t i = 0; i < import->n; i++) {
        size_t domain = domain_index(d.conf, import->rows[i].key);
        d.domains[domain] = domain < d.conf->n_domains;
    }
    if (store_scan(call->c->store, call->txn, SLICE_LIT(""), find_drop, &d, call->err) == 0)
        outcome = delete_dropped(call, &d, bytes, counts);
    free(d.keys);
    free(d.domains);
    return outcome;
}

static enum control_outcome write_rows(struct control_call *call, struct control_import *import,
    struct buf *bytes, struct change_counts *counts)
{
    for (size_t i = 0; i < import->n && import->n_bad < BAD_ROWS_MAX; i++) {
        enum control_outcome outcome = change_apply(call, &import->rows[i], bytes, counts, NULL);
        if (outcome == CONTROL_FAILED)
            return outcome;
        if (outcome == CONTROL_REFUSED)
            add_bad(call, import, NULL, import->rows[i].row);
    }
    return import->n_bad ? refuse_bad(call, import) : CONTROL_DONE;
}

enum control_outcome control_import_commit(struct control_call *call)
{
    struct change_counts counts = {0};
    struct buf bytes;
    enum control_outcome outcome = need_import(call);

    if (outcome != CONTROL_DONE)
        return outcome;
    struct control_import *import = call->session->import;
    mem_sort(import->rows, import->n, sizeof *import->rows, compare_rows);
    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    outcome = import->n_bad ? refuse_bad(call, import) : refuse_twice(call, import);
    if (outcome == CONTROL_DONE && import->replace)
        outcome = drop_missing(call, import, &bytes, &counts);
    if (outcome == CONTROL_DONE)
        outcome = write_rows(call, import, &bytes, &counts);
    buf_fini(&bytes);
    if (outcome == CONTROL_DONE) {
        change_report(call, &counts);
        json_object_set_new(call->reply, "dry_run", json_boolean(import->dry_run));
        call->c->must_abort = import->dry_run;
    }
    control_import_free(&call->session->import);
    return outcome;
}
