/* SPDX-License-Identifier: ISC */
/*
 * control_restore: a backup back into the map.
 *
 * The generation jumps to the next multiple of 2^32: claims, journals and spools may have seen any
 * that was given after the backup, also where the map that gave them is lost, and no map makes so
 * many changes between two backups.  So no old epoch is ever given twice.
 *
 * Where the map that is there, or what the cut-overs say (`moved`), puts a user elsewhere than the
 * backup, nobody here knows who is right: such an entry comes back held by RESTORE_OWNER, and mail
 * for it waits until `take` says which one holds.  The request of the hold names both, and the flip
 * that its route is to belong to again.  An entry that came after the backup is held as it is; a
 * user of a cut-over whom neither map has is held where that says.
 */
#include "maps/moved.h"
#include "maps/store/control_priv.h"

#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "base/core/num.h"
#include "maps/store/sources.h"

#define RESTORE_OWNER MOVED_RESTORE
#define ARENA_MAX ((size_t)2 << 30)
#define ERA_BITS 32
#define NEVER_MS 253402300799000 /* the end of the year 9999 */
#define NOBODY MOVED_NOBODY
/* Of a backup, and of a map that jumps once more: an epoch has 48 bits in a record. */
#define BACKUP_GENERATION_MAX ((uint64_t)1 << 47)
#define GENERATION_MAX (((uint64_t)1 << 48) - ((uint64_t)2 << ERA_BITS))

struct row {
    struct slice key, record; /* of moved: the server */
    struct slice by;          /* of moved: the cut-over's request */
    size_t order;
};

struct rows {
    struct row *v;
    size_t n, cap;
};

struct control_restore {
    struct arena *mem;
    struct rows entries, moved, sources;
    uint64_t generation; /* of the backup */
};

void control_restore_free(struct control_restore **restore)
{
    if (!*restore)
        return;
    arena_free(&(*restore)->mem);
    free((*restore)->entries.v);
    free((*restore)->moved.v);
    free((*restore)->sources.v);
    free(*restore);
    *restore = NULL;
}

enum control_outcome control_restore_begin(struct control_call *call)
{
    uint64_t generation;

    if (control_number(
            call->request, "generation", BACKUP_GENERATION_MAX, true, &generation, call->err) != 0)
        return CONTROL_REFUSED;
    control_restore_free(&call->session->restore);
    call->session->restore = mem_zalloc(sizeof *call->session->restore);
    call->session->restore->mem = arena_new(ARENA_MAX);
    call->session->restore->generation = generation;
    return CONTROL_DONE;
}

static enum control_outcome need_restore(struct control_call *call)
{
    if (call->session->restore)
        return CONTROL_DONE;
    return (enum control_outcome)control_refuse(
        call, ERR_PERM, EX_USAGE, "no restore was begun on this connection");
}

/* --- Rows ------------------------------------------------------------------------------- */

static int add_row(struct control_restore *r, struct rows *rows, struct slice key,
    struct slice text, struct slice by)
{
    if (rows->n == rows->cap) {
        rows->cap = rows->cap ? 2 * rows->cap : 1024;
        rows->v = mem_realloc_array(rows->v, rows->cap, sizeof *rows->v);
    }
    struct row *row = &rows->v[rows->n];
    *row = (struct row){
        arena_dup(r->mem, key), arena_dup(r->mem, text), arena_dup(r->mem, by), rows->n};
    rows->n++;
    return row->key.p && row->record.p ? 0 : -1;
}

/* Of an entry, or of a source, in hexadecimal digits. */
static int add_record(
    struct control_restore *r, struct rows *rows, struct slice key, struct slice text)
{
    unsigned char bytes[ROUTE_RECORD_MAX];
    struct route_entry entry;
    struct source source;

    if (text.n % 2 || text.n / 2 > sizeof bytes || num_hex(text, bytes, text.n / 2) != 0)
        return -1;
    text = slice_make(bytes, text.n / 2);
    if (rows == &r->sources ? source_decode(text, &source) != 0 : record_decode(text, &entry) != 0)
        return -1;
    return add_row(r, rows, key, text, SLICE_NONE);
}

/* The array of that name; NULL and CONTROL_DONE: there is none. */
static enum control_outcome get_list(
    struct control_call *call, const char *name, const json_t **list_out)
{
    *list_out = json_object_get(call->request, name);
    if (!*list_out || json_is_array(*list_out))
        return CONTROL_DONE;
    return (enum control_outcome)control_refuse(
        call, ERR_PERM, EX_USAGE, "\"%s\" has to be an array", name);
}

/* Keys are as the map had them, also of a domain that the configuration no longer has. */
static enum control_outcome put_entries(struct control_call *call)
{
    struct control_restore *r = call->session->restore;
    const json_t *list, *one;
    struct slice key, text;
    size_t i;

    if (get_list(call, "rows", &list) != CONTROL_DONE)
        return CONTROL_REFUSED;
    json_array_foreach(list, i, one)
    {
        bool is_source = json_object_get(one, "source") != NULL;
        if (control_string(one, is_source ? "source" : "key",
                is_source ? ROUTE_SOURCE_MAX : ROUTE_KEY_MAX, true, &key, call->err) != 0 ||
            control_string(one, "record", 2 * ROUTE_RECORD_MAX, true, &text, call->err) != 0)
            return CONTROL_REFUSED;
        if (add_record(r, is_source ? &r->sources : &r->entries, key, text) != 0)
            return (enum control_outcome)control_refuse(call, ERR_PERM, EX_DATAERR,
                "the record of %.*s is not one that this version knows", SLICE_ARG(key));
    }
    return CONTROL_DONE;
}

/* Addresses as people write them. */
static enum control_outcome put_moved(struct control_call *call)
{
    struct control_restore *r = call->session->restore;
    enum control_outcome outcome;
    const json_t *list, *one;
    struct slice route, by;
    struct buf key;
    size_t i;

    outcome = get_list(call, "moved", &list);
    buf_init(&key, 2 * ROUTE_KEY_MAX);
    json_array_foreach(outcome == CONTROL_DONE ? list : NULL, i, one)
    {
        if (control_key(call->c->conf, one, &key, call->err) != 0 ||
            control_string(one, "route", ROUTE_SERVER_MAX, true, &route, call->err) != 0 ||
            control_string(one, "by", STORE_REQUEST_ID_MAX, false, &by, call->err) != 0 ||
            (!slice_eq(route, SLICE_LIT(NOBODY)) &&
                change_check_route(call->c->conf, route, call->err) != 0))
            outcome = CONTROL_REFUSED;
        else if (add_row(r, &r->moved, buf_slice(&key), route, by) != 0)
            outcome = (enum control_outcome)control_refuse(
                call, ERR_TEMP, EX_OSERR, "the restore needs too much memory");
        if (outcome != CONTROL_DONE)
            break;
    }
    buf_fini(&key);
    return outcome;
}

enum control_outcome control_restore_put(struct control_call *call)
{
    enum control_outcome outcome = need_restore(call);

    if (outcome == CONTROL_DONE)
        outcome = put_entries(call);
    if (outcome == CONTROL_DONE)
        outcome = put_moved(call);
    return outcome;
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = slice_order(x->key, y->key);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

static int compare_row_keys(const void *a, const void *b)
{
    return slice_order(((const struct row *)a)->key, ((const struct row *)b)->key);
}

/* Sorted, and of each key the last one. */
static void settle(struct rows *rows)
{
    size_t n = 0;

    mem_sort(rows->v, rows->n, sizeof *rows->v, compare_rows);
    for (size_t i = 0; i < rows->n; i++)
        if (i + 1 == rows->n || !slice_eq(rows->v[i].key, rows->v[i + 1].key))
            rows->v[n++] = rows->v[i];
    rows->n = n;
}

static const struct row *find(const struct rows *rows, struct slice key)
{
    const struct row wanted = {.key = key};
    return mem_search(&wanted, rows->v, rows->n, sizeof *rows->v, compare_row_keys);
}

/* Where a cut-over says that the user is; NULL: none says anything. */
static const struct row *find_moved(const struct control_restore *r, struct slice key)
{
    const struct row *moved = find(&r->moved, key);
    return moved && !slice_eq(moved->record, SLICE_LIT(NOBODY)) ? moved : NULL;
}

/* --- The restore -------------------------------------------------------------------------- */

struct work {
    struct control_call *call;
    struct control_restore *r;
    struct change_counts counts;
    json_t *held; /* keys */
    struct buf bytes;
    struct rows later; /* entries that the backup does not have */
};

/* Where an entry is, for people and for `take`: its server, or its kind. */
static struct slice place_of(const struct route_entry *e)
{
    if (e->is_tombstone)
        return SLICE_LIT(NOBODY);
    return e->route.n ? e->route : slice_str(route_kind_name(e->kind));
}

/* map.n > 0: held, since the backup says map, and what came later says sync, moved there by. */
static enum control_outcome put(struct work *w, struct slice key, const struct route_entry *old,
    struct route_entry *next, struct slice map, struct slice sync, struct slice by)
{
    char both[2 * ROUTE_SERVER_MAX + STORE_REQUEST_ID_MAX + 32];

    if (slice_eq(by, SLICE_LIT(NOBODY)))
        by = SLICE_NONE;
    if (map.n) {
        if (fmt_into(both, sizeof both, "map:%.*s sync:%.*s%s%.*s", SLICE_ARG(map), SLICE_ARG(sync),
                by.n ? " by:" : "", SLICE_ARG(by)) != 0)
            BUG("two names of servers fit");
        next->is_tombstone = false;
        next->state = ROUTE_STATE_HELD;
        next->hold_owner = SLICE_LIT(RESTORE_OWNER);
        next->hold_request = slice_str(both);
        next->hold_deadline_ms = NEVER_MS;
        json_t *name = json_object();
        control_set(name, "key", key);
        control_set(name, "map", map);
        control_set(name, "sync", sync);
        json_array_append_new(w->held, name);
    }
    if (store_same_route(old, next) && slice_eq(old->note, next->note) && old->epoch != 0) {
        w->counts.unchanged++;
        return CONTROL_DONE;
    }
    *(next->is_tombstone    ? &w->counts.deleted
        : old->is_tombstone ? &w->counts.added
                            : &w->counts.changed) += 1;
    return store_put(w->call->txn, key, old, next, &w->call->cause, w->call->err) == 0
               ? CONTROL_DONE
               : CONTROL_FAILED;
}

static enum control_outcome restore_one(struct work *w, const struct row *row)
{
    struct route_entry now, next;
    const struct row *moved = find_moved(w->r, row->key);

    if (store_get(w->call->c->store, w->call->txn, row->key, &w->bytes, &now, w->call->err) != 0)
        return CONTROL_FAILED;
    if (record_decode(row->record, &next) != 0)
        BUG("a record was checked when it came");
    if (next.state == ROUTE_STATE_HELD)
        control_end_hold(&next);
    if (now.epoch == 0 && next.is_tombstone && !moved) /* leaves no trace in a new map */
        return CONTROL_DONE;
    struct slice map = place_of(&next), sync = map, by = SLICE_NONE;
    if (moved && !slice_eq(moved->record, map)) {
        sync = moved->record;
        by = moved->by;
    } else if (now.epoch != 0) {
        sync = place_of(&now);
        by = now.moved_by;
    }
    if (slice_eq(map, sync))
        return put(w, row->key, &now, &next, SLICE_NONE, SLICE_NONE, SLICE_NONE);
    if (next.is_tombstone) {
        next = now;
        if (now.is_tombstone) {
            next = (struct route_entry){.route = sync};
        }
    }
    return put(w, row->key, &now, &next, map, sync, by);
}

static int find_later(void *arg, struct slice key, const struct route_entry *e, struct err *err)
{
    struct work *w = arg;

    if (e->is_tombstone || find(&w->r->entries, key))
        return 0;
    return add_row(w->r, &w->later, key, SLICE_LIT("x"), SLICE_NONE) == 0
               ? 0
               : err_set(err, ERR_TEMP, EX_OSERR, "the restore needs too much memory");
}

static enum control_outcome hold_later(struct work *w, const struct row *row)
{
    struct route_entry now, next;

    if (store_get(w->call->c->store, w->call->txn, row->key, &w->bytes, &now, w->call->err) != 0)
        return CONTROL_FAILED;
    next = now;
    return put(w, row->key, &now, &next, SLICE_LIT(NOBODY), place_of(&now), now.moved_by);
}

/* Whom only a cut-over knows. */
static enum control_outcome hold_unknown(struct work *w, const struct row *row)
{
    const struct row *moved = find_moved(w->r, row->key);
    struct route_entry now;

    if (!moved || find(&w->r->entries, row->key))
        return CONTROL_DONE;
    if (store_get(w->call->c->store, w->call->txn, row->key, &w->bytes, &now, w->call->err) != 0)
        return CONTROL_FAILED;
    if (!now.is_tombstone || row->key.p[0] == '@')
        return CONTROL_DONE;
    struct route_entry next = {.route = moved->record};
    return put(w, row->key, &now, &next, SLICE_LIT(NOBODY), moved->record, moved->by);
}

/* The entries are those of the backup, and so is when each source was imported last; a backup of an
 * earlier version does not know. */
static enum control_outcome restore_sources(struct work *w)
{
    const struct rows *rows = &w->r->sources;
    struct source source;

    if (sources_clear(w->call->txn, w->call->err) != 0)
        return CONTROL_FAILED;
    for (size_t i = 0; i < rows->n; i++) {
        source.name = rows->v[i].key;
        if (source_decode(rows->v[i].record, &source) != 0)
            BUG("a record was checked when it came");
        if (sources_put(w->call->txn, &source, w->call->err) != 0)
            return CONTROL_FAILED;
    }
    return CONTROL_DONE;
}

static enum control_outcome restore_all(struct work *w)
{
    struct control_restore *r = w->r;
    struct store *s = w->call->c->store;
    uint64_t base = store_generation(s) > r->generation ? store_generation(s) : r->generation;
    enum control_outcome outcome = CONTROL_DONE;

    if (base > GENERATION_MAX)
        return (enum control_outcome)control_refuse(w->call, ERR_PERM, EX_DATAERR,
            "the map is at generation %llu and has none left for a restore: make a new one "
            "(`maptool init`) and restore into that",
            (unsigned long long)base);
    settle(&r->entries);
    settle(&r->moved);
    store_raise_generation(w->call->txn, ((base >> ERA_BITS) + 1) << ERA_BITS);
    if (store_scan(s, w->call->txn, SLICE_LIT(""), find_later, w, w->call->err) != 0)
        return CONTROL_FAILED;
    for (size_t i = 0; i < r->entries.n && outcome == CONTROL_DONE; i++)
        outcome = restore_one(w, &r->entries.v[i]);
    for (size_t i = 0; i < w->later.n && outcome == CONTROL_DONE; i++)
        outcome = hold_later(w, &w->later.v[i]);
    for (size_t i = 0; i < r->moved.n && outcome == CONTROL_DONE; i++)
        outcome = hold_unknown(w, &r->moved.v[i]);
    return outcome == CONTROL_DONE ? restore_sources(w) : outcome;
}

enum control_outcome control_restore_commit(struct control_call *call)
{
    enum control_outcome outcome = need_restore(call);
    bool dry_run;

    if (outcome != CONTROL_DONE)
        return outcome;
    if (control_flag(call->request, "dry_run", &dry_run, call->err) != 0)
        return CONTROL_REFUSED;
    struct work w = {.call = call, .r = call->session->restore, .held = json_array()};
    buf_init(&w.bytes, 2 * ROUTE_RECORD_MAX);
    outcome = restore_all(&w);
    buf_fini(&w.bytes);
    free(w.later.v);
    json_object_set_new(call->reply, "held", w.held);
    if (outcome == CONTROL_DONE) {
        change_report(call, &w.counts);
        json_object_set_new(call->reply, "dry_run", json_boolean(dry_run));
        call->c->must_abort = dry_run;
    }
    control_restore_free(&call->session->restore);
    return outcome;
}

/* --- Who is right -------------------------------------------------------------------------- */

/* The server that a side names. */
static struct slice side_of(struct slice both, struct slice side)
{
    struct slice part;

    while (slice_split(&both, ' ', &part))
        if (slice_starts(part, side))
            return slice_from(part, side.n);
    return SLICE_NONE;
}

static enum control_outcome take(struct control_call *call, struct slice key,
    const struct route_entry *old, struct slice route, struct slice by)
{
    struct route_entry next = *old;

    if (by.n)
        next.moved_by = by;

    if (slice_eq(route, SLICE_LIT(NOBODY))) {
        next = (struct route_entry){.is_tombstone = true};
    } else {
        if (!slice_eq(route, place_of(old))) {
            if (change_check_route(call->c->conf, route, call->err) != 0)
                return CONTROL_REFUSED;
            next.kind = ROUTE_KIND_MAILBOX;
            next.route = route;
        }
        control_end_hold(&next);
    }
    if (store_put(call->txn, key, old, &next, &call->cause, call->err) != 0)
        return CONTROL_FAILED;
    control_set_u64(call->reply, "generation", store_txn_generation(call->txn));
    json_object_set_new(
        call->reply, "entry", next.is_tombstone ? json_null() : control_entry_json(key, &next));
    return CONTROL_DONE;
}

enum control_outcome control_take(struct control_call *call)
{
    struct buf key, bytes;
    struct route_entry entry;
    struct slice side, route;
    enum control_outcome outcome = CONTROL_REFUSED;

    if (control_string(call->request, "side", 8, true, &side, call->err) != 0)
        return CONTROL_REFUSED;
    bool is_map = slice_eq(side, SLICE_LIT("map"));
    if (!is_map && !slice_eq(side, SLICE_LIT("sync")))
        return (enum control_outcome)control_refuse(
            call, ERR_PERM, EX_USAGE, "\"side\" is map or sync");
    buf_init(&key, 2 * ROUTE_KEY_MAX);
    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    if (control_key(call->c->conf, call->request, &key, call->err) != 0)
        goto done;
    outcome = CONTROL_FAILED;
    if (store_get(call->c->store, call->txn, buf_slice(&key), &bytes, &entry, call->err) != 0)
        goto done;
    route = side_of(entry.hold_request, is_map ? SLICE_LIT("map:") : SLICE_LIT("sync:"));
    if (entry.state != ROUTE_STATE_HELD || !slice_eq(entry.hold_owner, SLICE_LIT(RESTORE_OWNER)) ||
        route.n == 0)
        outcome = (enum control_outcome)control_refuse(
            call, ERR_PERM, 1, "%.*s is not held by a restore", SLICE_ARG(buf_slice(&key)));
    else
        outcome = take(call, buf_slice(&key), &entry, route,
            is_map ? SLICE_NONE : side_of(entry.hold_request, SLICE_LIT("by:")));
done:
    buf_fini(&key);
    buf_fini(&bytes);
    return outcome;
}
