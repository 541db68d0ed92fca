/* SPDX-License-Identifier: ISC */
/*
 * control_revert: entries as they were at a generation, from the change log.  It is the map alone
 * that goes back: no mail moves.  Each entry that comes back is a change of its own, with a new
 * generation, so a revert can be reverted.
 *
 * What a cut-over has moved is refused: the mail is on the new server, and only the cut-over knows
 * the way back.
 */
#include "maps/store/control_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"

#define ARENA_MAX ((size_t)1 << 30)
#define KEYS_MAX 10000 /* that one request may name */

/* What a key was before its first change behind the generation. */
struct former {
    struct slice key, value;
    uint64_t generation;
};

struct revert {
    struct control_call *call;
    struct arena *mem;
    uint64_t to;
    struct slice *keys; /* sorted; n_keys 0: all */
    size_t n_keys;
    struct former *v;
    size_t n, cap;
};

static int compare_keys(const void *a, const void *b)
{
    return slice_order(*(const struct slice *)a, *(const struct slice *)b);
}

static int compare_former(const void *a, const void *b)
{
    const struct former *x = a, *y = b;
    int order = slice_order(x->key, y->key);
    return order ? order : (x->generation > y->generation) - (x->generation < y->generation);
}

static int on_change(void *arg, const struct history_record *record, struct err *err)
{
    struct revert *r = arg;

    if (r->n_keys && !mem_search(&record->key, r->keys, r->n_keys, sizeof *r->keys, compare_keys))
        return 0;
    if (r->n == r->cap) {
        r->cap = r->cap ? 2 * r->cap : 256;
        r->v = mem_realloc_array(r->v, r->cap, sizeof *r->v);
    }
    struct former *f = &r->v[r->n++];
    *f = (struct former){.key = arena_dup(r->mem, record->key),
        .value = arena_dup(r->mem, record->old_value),
        .generation = record->generation};
    if (!f->key.p || (record->old_value.n && !f->value.p))
        return err_set(err, ERR_TEMP, EX_OSERR, "the revert needs too much memory");
    return 0;
}

static enum control_outcome parse_keys(struct revert *r)
{
    struct control_call *call = r->call;
    const json_t *names = json_object_get(call->request, "keys");
    struct buf key;
    int rc = 0;

    if (!names)
        return CONTROL_DONE;
    if (!json_is_array(names) || json_array_size(names) == 0 || json_array_size(names) > KEYS_MAX)
        return (enum control_outcome)control_refuse(
            call, ERR_PERM, EX_USAGE, "\"keys\" has to be an array of 1 to %d addresses", KEYS_MAX);
    r->keys = mem_zalloc(json_array_size(names) * sizeof *r->keys);
    buf_init(&key, 2 * ROUTE_KEY_MAX);
    for (size_t i = 0; i < json_array_size(names) && rc == 0; i++) {
        json_t *one = json_pack("{sO}", "key", json_array_get(names, i));
        rc = control_key(call->c->conf, one, &key, call->err);
        json_decref(one);
        if (rc == 0)
            r->keys[r->n_keys++] = arena_dup(r->mem, buf_slice(&key));
    }
    buf_fini(&key);
    mem_sort(r->keys, r->n_keys, sizeof *r->keys, compare_keys);
    return rc == 0 ? CONTROL_DONE : CONTROL_REFUSED;
}

/* The entry as it was, without a hold that has ended long ago. */
static int read_former(const struct former *f, struct route_entry *out)
{
    *out = (struct route_entry){.is_tombstone = true};
    if (f->value.n && record_decode(f->value, out) != 0)
        return -1;
    if (out->state == ROUTE_STATE_HELD)
        control_end_hold(out);
    return 0;
}

static enum control_outcome check(struct control_call *call, const struct former *f,
    const struct route_entry *now, const struct route_entry *next)
{
    if (now->state == ROUTE_STATE_HELD)
        return (enum control_outcome)control_refuse(call, ERR_TEMP, EX_TEMPFAIL,
            "%.*s is held by %.*s: wait, or `maptool release %.*s`", SLICE_ARG(f->key),
            SLICE_ARG(now->hold_owner), SLICE_ARG(f->key));
    const struct change by_hand = {.key = f->key};
    if (change_is_conflict(&by_hand, now, next))
        return change_refuse_moved(call, f->key, now);
    if (next->is_tombstone || next->route.n == 0)
        return CONTROL_DONE;
    return change_check_route(call->c->conf, next->route, call->err) == 0 ? CONTROL_DONE
                                                                          : CONTROL_REFUSED;
}

static enum control_outcome revert_one(struct control_call *call, const struct former *f,
    struct buf *bytes, struct change_counts *counts)
{
    struct route_entry now, next;

    if (store_get(call->c->store, call->txn, f->key, bytes, &now, call->err) != 0)
        return CONTROL_FAILED;
    if (read_former(f, &next) != 0)
        return (enum control_outcome)err_set(
            call->err, ERR_PERM, EX_DATAERR, "the change log is damaged");
    if (!next.is_tombstone)
        next.moved_by = now.moved_by;
    if (store_same_route(&now, &next) && slice_eq(now.note, next.note)) {
        counts->unchanged++;
        return CONTROL_DONE;
    }
    enum control_outcome outcome = check(call, f, &now, &next);
    if (outcome != CONTROL_DONE)
        return outcome;
    *(next.is_tombstone    ? &counts->deleted
        : now.is_tombstone ? &counts->added
                           : &counts->changed) += 1;
    return store_put(call->txn, f->key, &now, &next, &call->cause, call->err) == 0 ? CONTROL_DONE
                                                                                   : CONTROL_FAILED;
}

/* All of a former map was so once; a part of it beside what came since may lead in a circle. */
static enum control_outcome check_chains(struct revert *r)
{
    enum control_outcome outcome = CONTROL_DONE;

    for (size_t i = 0; i < 2 * r->n && r->keys && outcome == CONTROL_DONE; i++)
        outcome = control_check_written(r->call, r->v[i % r->n].key, i >= r->n);
    return outcome;
}

static enum control_outcome revert_all(struct revert *r, struct change_counts *counts)
{
    enum control_outcome outcome = CONTROL_DONE;
    struct buf bytes;

    mem_sort(r->v, r->n, sizeof *r->v, compare_former);
    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    for (size_t i = 0; i < r->n && outcome == CONTROL_DONE; i++)
        if (i == 0 || !slice_eq(r->v[i].key, r->v[i - 1].key))
            outcome = revert_one(r->call, &r->v[i], &bytes, counts);
    buf_fini(&bytes);
    return outcome == CONTROL_DONE ? check_chains(r) : outcome;
}

static enum control_outcome revert_to(struct revert *r, bool dry_run)
{
    struct control_call *call = r->call;
    struct change_counts counts = {0};
    enum control_outcome outcome = parse_keys(r);

    if (outcome != CONTROL_DONE)
        return outcome;
    if (store_log_reaches(call->c->store, call->txn, r->to, call->err) != 0)
        return CONTROL_REFUSED;
    if (store_scan_history(call->c->store, call->txn, r->to + 1, on_change, r, call->err) != 0)
        return CONTROL_FAILED;
    outcome = revert_all(r, &counts);
    if (outcome == CONTROL_DONE) {
        change_report(call, &counts);
        json_object_set_new(call->reply, "dry_run", json_boolean(dry_run));
        call->c->must_abort = dry_run;
    }
    return outcome;
}

enum control_outcome control_revert(struct control_call *call)
{
    struct revert r = {.call = call};
    bool dry_run;

    if (control_number(call->request, "generation", INT64_MAX, true, &r.to, call->err) != 0 ||
        control_flag(call->request, "dry_run", &dry_run, call->err) != 0)
        return CONTROL_REFUSED;
    r.mem = arena_new(ARENA_MAX);
    enum control_outcome outcome = revert_to(&r, dry_run);
    free(r.v);
    free(r.keys);
    arena_free(&r.mem);
    return outcome;
}
