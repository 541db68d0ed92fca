/* SPDX-License-Identifier: ISC */
/*
 * import_stage: rows of an import become finished entries, by the rules of import_rules.h, and are
 * counted.  What is counted of a row stands beside it, so that it can be taken back when somebody
 * changes the entry before the switch:
 *
 *     info = what it does ('a'dds, 'c'hanges, 'r'etires, 'd'eletes; a capital where it came to lead
 *            to others, or no more), then the former route
 */
#include "maps/store/import_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/mem.h"

#define MISSING_BYTES_MAX ((size_t)1 << 20)
#define CHECK_COST 64 /* rows passed over in the time of a check */

static const char *const KEPT[IMPORT_ROWS_KEPT] = {
    [IMPORT_KEPT_ROUTE] = "route", [IMPORT_KEPT_MOVED] = "moved", [IMPORT_KEPT_HELD] = "held"};

/* n_domains when the configuration has it no more. */
static size_t domain_index(const struct conf *conf, struct slice key)
{
    const struct conf_domain *d = conf_domain(conf, normalise_domain(key));
    return d ? (size_t)(d - conf->domains) : conf->n_domains;
}

static struct import_tally *tally_of(
    const struct control_call *call, struct control_import *import, struct slice route)
{
    int i = route.n ? conf_server_index(call->c->conf, route) : CONF_SERVER_NONE;
    return &import->servers[i == CONF_SERVER_NONE ? import->n_servers : (size_t)i];
}

static void add_conflict(struct control_import *import, struct slice key, const char *what,
    struct slice route, uint32_t row, struct slice asked)
{
    if (json_array_size(import->conflicts) == IMPORT_CONFLICTS_MAX)
        return;
    json_t *conflict = json_object();
    control_set(conflict, "key", key);
    control_set(conflict, "kept", slice_str(what));
    control_set(conflict, "route", route);
    if (row != IMPORT_NO_ROW)
        control_set_u64(conflict, "row", row);
    if (asked.p)
        control_set(conflict, "asked", asked);
    json_array_append_new(import->conflicts, conflict);
}

/* --- What is counted --------------------------------------------------------------------- */

struct effect {
    unsigned char op; /* 0: none */
    struct slice from, to;
};

/* by: 1, or -1 to take it back.  Letters in one case, and no operation is none. */
static void count(
    const struct control_call *call, struct control_import *import, struct effect e, int by)
{
    uint64_t one = (uint64_t)(int64_t)by;

    switch (e.op | 0x20) {
    case 'a':
        import->counts.added += one;
        tally_of(call, import, e.to)->added += one;
        break;
    case 'c':
        import->counts.changed += one;
        if (!slice_eq(e.from, e.to)) {
            tally_of(call, import, e.from)->left += one;
            tally_of(call, import, e.to)->arrived += one;
        }
        break;
    case 'r':
        import->retired += one;
        tally_of(call, import, e.from)->retired += one;
        break;
    case 'd':
        import->counts.deleted += one;
        break;
    default:
        import->counts.unchanged += one;
        break;
    }
}

static int put(struct control_call *call, struct control_import *import, struct slice key,
    uint32_t row, struct effect e, const struct route_entry *old, struct route_entry *next,
    enum stage_result *result_out, uint32_t *first_out)
{
    unsigned char info[1 + ROUTE_SERVER_MAX];
    struct stage_row r = {.key = key, .row = row};

    BUG_ON(e.from.n > ROUTE_SERVER_MAX);
    if (e.op) {
        info[0] = e.op;
        if (e.from.n)
            memcpy(info + 1, e.from.p, e.from.n);
        r.info = slice_make(info, 1 + e.from.n);
    }
    if (stage_put(call->txn, import->stage, &r, old, e.op ? next : NULL, &call->cause, result_out,
            first_out, call->err) != 0)
        return -1;
    if (*result_out == STAGE_TAKEN || (*result_out == STAGE_TOUCHED && !e.op))
        count(call, import, e, 1);
    else if (*result_out == STAGE_TOUCHED)
        import->meanwhile++;
    return 0;
}

/* --- Rows ---------------------------------------------------------------------------------- */

static enum control_outcome evaluate(struct control_call *call, struct control_import *import,
    const struct change *row, const struct route_entry *old, struct route_entry *next,
    enum import_row *kept)
{
    bool is_same;

    *kept = IMPORT_TAKEN;
    if (row->is_delete || row->expects)
        return change_evaluate(call, row, old, next, &is_same);
    change_merge(row, old, next);
    *kept = import_row(&import->rules, old, next);
    return change_check_entry(call->c, row->key, next, call->err) == 0 ? CONTROL_DONE
                                                                       : CONTROL_REFUSED;
}

static enum control_outcome stage_evaluated(struct control_call *call,
    struct control_import *import, const struct change *row, const struct route_entry *old,
    struct route_entry *next, enum import_row kept)
{
    bool is_same = !row->is_delete && change_is_none(old, next);
    struct effect e = {.op = is_same              ? 0
                             : next->is_tombstone ? 'd'
                             : old->is_tombstone  ? 'a'
                                                  : 'c',
        .from = old->route,
        .to = next->route};
    struct slice asked = row->has & CHANGE_ROUTE ? row->route : SLICE_NONE;
    enum stage_result result;
    uint32_t first;

    if (e.op && (old->targets.n || next->targets.n)) {
        e.op = (unsigned char)(e.op & ~0x20u);
        import->n_leading++;
    }
    if (put(call, import, row->key, row->row, e, old, next, &result, &first) != 0)
        return CONTROL_FAILED;
    if (result == STAGE_TWICE) {
        control_refuse(call, ERR_PERM, EX_DATAERR, "%.*s occurs twice", SLICE_ARG(row->key));
        import_add_bad(import->late.list, call->err, first, row->row);
        return CONTROL_REFUSED;
    }
    import->kept[kept]++;
    if (kept != IMPORT_TAKEN)
        add_conflict(import, row->key, KEPT[kept], old->route, row->row, asked);
    else if (result == STAGE_TOUCHED && e.op)
        add_conflict(import, row->key, "meanwhile", old->route, row->row, asked);
    size_t domain = domain_index(call->c->conf, row->key);
    import->domains[domain] = domain < import->n_domains;
    return CONTROL_DONE;
}

enum control_outcome import_stage_row(
    struct control_call *call, struct control_import *import, const struct change *row)
{
    struct route_entry old, next;
    enum import_row kept;
    struct buf bytes;

    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    enum control_outcome outcome = CONTROL_FAILED;
    if (store_get(call->c->store, call->txn, row->key, &bytes, &old, call->err) == 0)
        outcome = evaluate(call, import, row, &old, &next, &kept);
    if (outcome == CONTROL_REFUSED)
        import_add_bad(import->late.list, call->err, IMPORT_NO_ROW, row->row);
    if (outcome == CONTROL_DONE)
        outcome = stage_evaluated(call, import, row, &old, &next, kept);
    buf_fini(&bytes);
    return outcome;
}

/* --- Who is not named --------------------------------------------------------------------------
 */

struct missing {
    struct slice key;
    enum import_missing what;
};

struct look {
    struct control_call *call;
    struct control_import *import;
    struct arena *mem;
    struct missing *v;
    size_t n, seen, max;
    bool is_cut; /* at max */
};

static int look_at(void *arg, struct slice key, const struct route_entry *e, struct err *err)
{
    struct look *l = arg;
    struct control_import *import = l->import;
    bool is_there;

    if (slice_eq(key, buf_slice(&import->counted_to)))
        return 0;
    if (l->seen == l->max) {
        l->is_cut = true;
        return 1;
    }
    l->seen++;
    buf_clear(&import->counted_to);
    if (buf_add(&import->counted_to, key) != 0)
        return err_set(err, ERR_BUG, EX_SOFTWARE, "a key is too long");
    if (e->is_tombstone)
        return 0;
    tally_of(l->call, import, e->route)->now++;
    if (!import->replace || !import->domains[domain_index(l->call->c->conf, key)])
        return 0;
    enum import_missing what = import_missing(&import->rules, key, e);
    if (what == IMPORT_STAYS)
        return 0;
    if (stage_has(l->call->txn, import->stage, key, &is_there, err) != 0)
        return -1;
    if (is_there)
        return 0;
    l->v[l->n] = (struct missing){.key = arena_dup(l->mem, key), .what = what};
    if (!l->v[l->n++].key.p)
        return err_set(err, ERR_TEMP, EX_OSERR, "the import needs too much memory");
    return 0;
}

static int stage_missing(struct control_call *call, struct control_import *import,
    const struct missing *m, struct buf *bytes)
{
    struct route_entry old, next = {.is_tombstone = true};
    struct effect e = {.op = 'd'};
    enum stage_result result;
    uint32_t first;

    if (store_get(call->c->store, call->txn, m->key, bytes, &old, call->err) != 0)
        return -1;
    if (m->what == IMPORT_HELD) {
        import->held++;
        add_conflict(import, m->key, "held", old.route, IMPORT_NO_ROW, SLICE_NONE);
        return 0;
    }
    if (m->what == IMPORT_RETIRES) {
        import_retire(&import->rules, &old, &next);
        e.op = 'r';
    }
    e.from = old.route;
    return put(call, import, m->key, IMPORT_NO_ROW, e, &old, &next, &result, &first);
}

int import_count(struct control_call *call, struct control_import *import, size_t max)
{
    struct look l = {.call = call, .import = import, .max = max};
    struct buf bytes, from;

    l.mem = arena_new(MISSING_BYTES_MAX);
    l.v = mem_zalloc(max * sizeof *l.v);
    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    buf_init(&from, ROUTE_KEY_MAX);
    int rc = buf_add(&from, buf_slice(&import->counted_to));
    if (rc == 0)
        rc = store_scan(call->c->store, call->txn, buf_slice(&from), look_at, &l, call->err);
    for (size_t i = 0; i < l.n && rc == 0; i++)
        rc = stage_missing(call, import, &l.v[i], &bytes);
    import->was_counted = rc == 0 && !l.is_cut;
    buf_fini(&from);
    buf_fini(&bytes);
    free(l.v);
    arena_free(&l.mem);
    return rc;
}

/* --- Where rows lead ----------------------------------------------------------------------------
 */

static int check_row(void *arg, const struct stage_row *row, struct err *err)
{
    struct look *l = arg;
    struct control_import *import = l->import;

    if (slice_eq(row->key, buf_slice(&import->checked_to)))
        return 0;
    if (l->seen == l->max || json_array_size(import->late.list) >= IMPORT_BAD_ROWS_MAX) {
        l->is_cut = true;
        return 1;
    }
    buf_clear(&import->checked_to);
    if (buf_add(&import->checked_to, row->key) != 0)
        return err_set(err, ERR_BUG, EX_SOFTWARE, "a key is too long");
    l->n++;
    if (l->n % CHECK_COST == 0)
        l->seen++;
    if (row->info.n == 0 || row->info.p[0] >= 'a')
        return 0;
    l->seen++;
    enum control_outcome outcome = control_check_written(l->call, row->key, import->is_above);
    if (outcome == CONTROL_FAILED)
        return -1;
    if (outcome == CONTROL_REFUSED) {
        if (json_array_size(import->late.list) == 0)
            import->late.first = *err;
        import_add_bad(import->late.list, err, IMPORT_NO_ROW, row->row);
        err_clear(err);
    }
    return 0;
}

int import_check(struct control_call *call, struct control_import *import, size_t max)
{
    struct look l = {.call = call, .import = import, .max = max};
    struct buf from;

    buf_init(&from, ROUTE_KEY_MAX);
    int rc = buf_add(&from, buf_slice(&import->checked_to));
    stage_look(call->txn, import->stage, store_txn_generation(call->txn), &call->cause);
    if (rc == 0)
        rc = stage_scan(call->txn, import->stage, buf_slice(&from), check_row, &l, call->err);
    stage_look_away(call->txn);
    buf_fini(&from);
    if (rc == 0 && !l.is_cut) {
        import->was_checked = import->is_above;
        import->is_above = true;
        buf_clear(&import->checked_to);
    }
    return rc;
}

/* --- Who was changed meanwhile -----------------------------------------------------------------
 */

struct lost {
    struct control_call *call;
    struct control_import *import;
    struct buf bytes;
};

static int on_lost(void *arg, const struct stage_row *row, bool is_change,
    const struct route_entry *next, struct err *err)
{
    struct lost *l = arg;
    struct effect e = {.to = next->route};
    struct route_entry now;

    if (is_change && row->info.n > 0) {
        e.op = row->info.p[0];
        e.from = slice_from(row->info, 1);
    }
    if (store_get(l->call->c->store, l->call->txn, row->key, &l->bytes, &now, err) != 0)
        return -1;
    if (!e.op && !now.is_tombstone)
        return 0;
    count(l->call, l->import, e, -1);
    l->import->meanwhile++;
    add_conflict(l->import, row->key, "meanwhile", now.route, row->row,
        (e.op | 0x20) == 'a' || (e.op | 0x20) == 'c' ? next->route : SLICE_NONE);
    return 0;
}

int import_lost(struct control_call *call, struct control_import *import, size_t max, size_t *n_out)
{
    struct lost l = {.call = call, .import = import};

    buf_init(&l.bytes, 2 * ROUTE_RECORD_MAX);
    int rc = stage_lost(call->txn, import->stage, max, on_lost, &l, n_out, call->err);
    buf_fini(&l.bytes);
    return rc;
}
