/* SPDX-License-Identifier: ISC */
/*
 * import_commit: rows become entries by the rules of import_rules.h, in one transaction.
 *
 * With "replace" the import is the whole truth of its source for the domains that occur in it:
 * entries of that source in those domains that it does not name retire.  "@domain" keys are only
 * touched when named.  A file cut short on its way here, or a wrong one, must not empty a server:
 * more than drop_percent of what leaves one, by retirement or by another route, is refused.
 */
#include "maps/store/import_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/log.h"
#include "base/core/mem.h"

/* Of a server, by index; the last one is for entries without one. */
struct tally {
    uint64_t now, added, arrived, left, retired;
};

struct missing {
    struct slice key;
    enum import_missing what;
};

struct commit {
    struct control_call *call;
    struct control_import *import;
    struct change_counts counts;
    uint64_t kept[IMPORT_ROWS_KEPT], held, retired;
    struct tally *servers;
    bool is_counted; /* all entries of the map, which takes a moment where there are many */
    bool *domains;   /* by index in the configuration: does the import name it? */
    size_t next_row;
    struct missing *missing;
    size_t n, cap;
    struct buf bytes;
    json_t *conflicts;
    size_t *leading; /* rows that came to lead to others, or no more */
    size_t n_leading, cap_leading;
};

/* --- Before anything is written --------------------------------------------------------------- */

static int compare_rows(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    int order = slice_order(x->key, y->key);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

static enum control_outcome refuse_twice(struct control_call *call, struct control_import *import)
{
    for (size_t i = 1; i < import->n && import->n_bad < IMPORT_BAD_ROWS_MAX; i++) {
        const struct change *row = &import->rows[i];
        if (!slice_eq(row->key, row[-1].key))
            continue;
        control_refuse(call, ERR_PERM, EX_DATAERR, "%.*s occurs twice", SLICE_ARG(row->key));
        import_add_bad(call, import, &row[-1], row->row);
    }
    return import->n_bad ? import_refuse_bad(call, import) : CONTROL_DONE;
}

/* n_domains when the configuration has it no more. */
static size_t domain_index(const struct conf *conf, struct slice key)
{
    const struct conf_domain *d = conf_domain(conf, normalise_domain(key));
    return d ? (size_t)(d - conf->domains) : conf->n_domains;
}

static struct tally *tally_of(const struct commit *c, struct slice route)
{
    const struct conf *conf = c->call->c->conf;
    int i = route.n ? conf_server_index(conf, route) : CONF_SERVER_NONE;
    return &c->servers[i == CONF_SERVER_NONE ? conf->n_servers : (size_t)i];
}

static bool is_named(struct commit *c, struct slice key)
{
    const struct control_import *import = c->import;

    while (c->next_row < import->n && slice_order(import->rows[c->next_row].key, key) < 0)
        c->next_row++;
    return c->next_row < import->n && slice_eq(import->rows[c->next_row].key, key);
}

/* Both walk in the order of the keys. */
static int look_at(void *arg, struct slice key, const struct route_entry *e, struct err *err)
{
    struct commit *c = arg;

    if (e->is_tombstone)
        return 0;
    tally_of(c, e->route)->now++;
    if (!c->import->replace || !c->domains[domain_index(c->call->c->conf, key)] || is_named(c, key))
        return 0;
    enum import_missing what = import_missing(&c->import->rules, key, e);
    if (what == IMPORT_STAYS)
        return 0;
    if (c->n == c->cap) {
        c->cap = c->cap ? 2 * c->cap : 256;
        c->missing = mem_realloc_array(c->missing, c->cap, sizeof *c->missing);
    }
    c->missing[c->n] = (struct missing){.key = arena_dup(c->import->mem, key), .what = what};
    if (!c->missing[c->n].key.p)
        return err_set(err, ERR_TEMP, EX_OSERR, "the import needs too much memory");
    c->n++;
    return 0;
}

static int look_at_map(struct commit *c, struct err *err)
{
    const struct control_import *import = c->import;
    const struct conf *conf = c->call->c->conf;

    for (size_t i = 0; i < import->n; i++) {
        size_t domain = domain_index(conf, import->rows[i].key);
        c->domains[domain] = domain < conf->n_domains;
    }
    return store_scan(c->call->c->store, c->call->txn, SLICE_LIT(""), look_at, c, err);
}

/* --- Writing ---------------------------------------------------------------------------------- */

static void add_conflict(struct commit *c, struct slice key, const char *what,
    const struct route_entry *e, const struct change *row)
{
    if (json_array_size(c->conflicts) == IMPORT_CONFLICTS_MAX)
        return;
    json_t *conflict = json_object();
    control_set(conflict, "key", key);
    control_set(conflict, "kept", slice_str(what));
    control_set(conflict, "route", e->route);
    if (row) {
        control_set_u64(conflict, "row", row->row);
        if (row->has & CHANGE_ROUTE)
            control_set(conflict, "asked", row->route);
    }
    json_array_append_new(c->conflicts, conflict);
}

static void count_change(
    struct commit *c, const struct route_entry *old, const struct route_entry *next)
{
    if (old->is_tombstone) {
        c->counts.added++;
        tally_of(c, next->route)->added++;
        return;
    }
    c->counts.changed++;
    if (!slice_eq(old->route, next->route)) {
        tally_of(c, old->route)->left++;
        tally_of(c, next->route)->arrived++;
    }
}

static void note_leading(struct commit *c, const struct change *row, const struct route_entry *old,
    const struct route_entry *next)
{
    if (old->targets.n == 0 && next->targets.n == 0)
        return;
    if (c->n_leading == c->cap_leading) {
        c->cap_leading = c->cap_leading ? 2 * c->cap_leading : 256;
        c->leading = mem_realloc_array(c->leading, c->cap_leading, sizeof *c->leading);
    }
    c->leading[c->n_leading++] = (size_t)(row - c->import->rows);
}

/* REFUSED: the row is wrong. */
static enum control_outcome write_row(struct commit *c, const struct change *row)
{
    static const char *const KEPT[IMPORT_ROWS_KEPT] = {
        [IMPORT_KEPT_ROUTE] = "route", [IMPORT_KEPT_MOVED] = "moved", [IMPORT_KEPT_HELD] = "held"};
    struct control_call *call = c->call;
    struct route_entry old, next;

    if (row->is_delete || row->expects)
        return change_apply(call, row, &c->bytes, &c->counts, NULL);
    if (store_get(call->c->store, call->txn, row->key, &c->bytes, &old, call->err) != 0)
        return CONTROL_FAILED;
    change_merge(row, &old, &next);
    enum import_row result = import_row(&c->import->rules, &old, &next);
    c->kept[result]++;
    if (result != IMPORT_TAKEN)
        add_conflict(c, row->key, KEPT[result], &old, row);
    if (change_check_entry(call->c, row->key, &next, call->err) != 0)
        return CONTROL_REFUSED;
    if (!old.is_tombstone && store_same_route(&old, &next) && slice_eq(old.note, next.note) &&
        slice_eq(old.source, next.source)) {
        c->counts.unchanged++;
        return CONTROL_DONE;
    }
    count_change(c, &old, &next);
    note_leading(c, row, &old, &next);
    return store_put(call->txn, row->key, &old, &next, &call->cause, call->err) == 0
               ? CONTROL_DONE
               : CONTROL_FAILED;
}

static enum control_outcome write_rows(struct commit *c)
{
    struct control_import *import = c->import;

    for (size_t i = 0; i < import->n && import->n_bad < IMPORT_BAD_ROWS_MAX; i++) {
        enum control_outcome outcome = write_row(c, &import->rows[i]);
        if (outcome == CONTROL_FAILED)
            return outcome;
        if (outcome == CONTROL_REFUSED)
            import_add_bad(c->call, import, NULL, import->rows[i].row);
    }
    return import->n_bad ? import_refuse_bad(c->call, import) : CONTROL_DONE;
}

/* When all rows are written: first what they lead to, then those in the map that lead to them. */
static enum control_outcome check_leading(struct commit *c)
{
    struct control_import *import = c->import;

    for (int is_above = 0; is_above < 2 && import->n_bad == 0; is_above++) {
        for (size_t i = 0; i < c->n_leading && import->n_bad < IMPORT_BAD_ROWS_MAX; i++) {
            const struct change *row = &import->rows[c->leading[i]];
            enum control_outcome outcome = control_check_written(c->call, row->key, is_above > 0);
            if (outcome == CONTROL_FAILED)
                return outcome;
            if (outcome == CONTROL_REFUSED)
                import_add_bad(c->call, import, NULL, row->row);
        }
    }
    return import->n_bad ? import_refuse_bad(c->call, import) : CONTROL_DONE;
}

static int write_missing(struct commit *c, const struct missing *m)
{
    struct control_call *call = c->call;
    struct route_entry old, next = {.is_tombstone = true};

    if (store_get(call->c->store, call->txn, m->key, &c->bytes, &old, call->err) != 0)
        return -1;
    if (m->what == IMPORT_HELD) {
        c->held++;
        add_conflict(c, m->key, "held", &old, NULL);
        return 0;
    }
    if (m->what == IMPORT_RETIRES) {
        import_retire(&c->import->rules, &old, &next);
        c->retired++;
        tally_of(c, old.route)->retired++;
    } else {
        c->counts.deleted++;
    }
    return store_put(call->txn, m->key, &old, &next, &call->cause, call->err);
}

/* --- The guard and the report ----------------------------------------------------------------- */

static enum control_outcome check_tallies(struct commit *c)
{
    const struct conf *conf = c->call->c->conf;
    const struct control_import *import = c->import;

    for (size_t i = 0; i <= conf->n_servers; i++) {
        const struct tally *t = &c->servers[i];
        if (!import_is_too_much(
                t->left + t->retired, t->now, import->drop_percent, import->drop_count))
            continue;
        return (enum control_outcome)control_refuse(c->call, ERR_PERM, EX_DATAERR,
            "the import would take %" PRIu64 " of %" PRIu64 " addresses from %s (%" PRIu64
            " are not in it, %" PRIu64 " get another route), more than %" PRIu64
            " percent: is it the whole file? --max-drop allows it",
            t->left + t->retired, t->now, i < conf->n_servers ? conf->servers[i].name : "no server",
            t->retired, t->left, import->drop_percent);
    }
    return CONTROL_DONE;
}

static void report_servers(struct commit *c)
{
    const struct conf *conf = c->call->c->conf;
    json_t *list = json_array();

    for (size_t i = 0; i <= conf->n_servers; i++) {
        const struct tally *t = &c->servers[i];
        if (t->now + t->added + t->arrived + t->left + t->retired == 0)
            continue;
        json_t *server = json_object();
        control_set(server, "server", slice_str(i < conf->n_servers ? conf->servers[i].name : ""));
        if (c->is_counted)
            control_set_u64(server, "now", t->now);
        control_set_u64(server, "added", t->added);
        control_set_u64(server, "arrive", t->arrived);
        control_set_u64(server, "leave", t->left);
        control_set_u64(server, "retire", t->retired);
        if (c->is_counted)
            control_set_u64(server, "then", t->now + t->added + t->arrived - t->left);
        json_array_append_new(list, server);
    }
    json_object_set_new(c->call->reply, "servers", list);
}

static void report(struct commit *c)
{
    json_t *kept = json_object(), *reply = c->call->reply;

    change_report(c->call, &c->counts);
    control_set_u64(reply, "retiring", c->retired);
    control_set_u64(kept, "route", c->kept[IMPORT_KEPT_ROUTE]);
    control_set_u64(kept, "moved", c->kept[IMPORT_KEPT_MOVED]);
    control_set_u64(kept, "held", c->kept[IMPORT_KEPT_HELD] + c->held);
    json_object_set_new(reply, "kept", kept);
    json_object_set(reply, "conflicts", c->conflicts);
    report_servers(c);
    json_object_set_new(reply, "dry_run", json_boolean(c->import->dry_run));
    if (c->retired && !c->import->dry_run)
        log_warn("import_retires", log_slice("source", c->import->rules.source),
            log_u64("addresses", c->retired));
}

static enum control_outcome run(struct commit *c)
{
    enum control_outcome outcome =
        c->import->n_bad ? import_refuse_bad(c->call, c->import) : refuse_twice(c->call, c->import);

    if (outcome == CONTROL_DONE && c->is_counted && look_at_map(c, c->call->err) != 0)
        outcome = CONTROL_FAILED;
    if (outcome == CONTROL_DONE)
        outcome = write_rows(c);
    if (outcome == CONTROL_DONE)
        outcome = check_leading(c);
    for (size_t i = 0; i < c->n && outcome == CONTROL_DONE; i++)
        if (write_missing(c, &c->missing[i]) != 0)
            outcome = CONTROL_FAILED;
    if (outcome == CONTROL_DONE)
        outcome = check_tallies(c);
    if (outcome == CONTROL_DONE)
        report(c);
    return outcome;
}

enum control_outcome control_import_commit(struct control_call *call)
{
    const struct conf *conf = call->c->conf;
    struct control_import *import = call->session->import;
    struct commit c = {.call = call, .import = import};
    enum control_outcome outcome = import_need(call);

    if (outcome != CONTROL_DONE)
        return outcome;
    c.is_counted = import->replace || import->dry_run || import->rules.reroute;
    mem_sort(import->rows, import->n, sizeof *import->rows, compare_rows);
    buf_init(&c.bytes, 2 * ROUTE_RECORD_MAX);
    c.servers = mem_zalloc((conf->n_servers + 1) * sizeof *c.servers);
    c.domains = mem_zalloc(conf->n_domains + 1);
    c.conflicts = json_array();
    outcome = run(&c);
    json_decref(c.conflicts);
    free(c.servers);
    free(c.domains);
    free(c.missing);
    free(c.leading);
    buf_fini(&c.bytes);
    if (outcome == CONTROL_DONE)
        call->c->must_abort = import->dry_run;
    control_import_free(&call->session->import);
    return outcome;
}
