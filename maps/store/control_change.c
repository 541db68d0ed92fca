/* SPDX-License-Identifier: ISC */
/*
 * control_change: set, del and apply, and the one way in which an entry changes on request.  A
 * change names only the fields that it means; the others keep their values.
 */
#include "maps/store/control_priv.h"

#include <inttypes.h>
#include <sysexits.h>
#include "base/core/clock.h"

#define ARENA_MAX (64u << 10)

/* --- Parsing ------------------------------------------------------------------------- */

int change_parse(const struct control *c, const json_t *row, struct arena *mem, struct change *out,
    struct err *err)
{
    struct buf key;
    const json_t *set;
    int rc = -1;

    *out = (struct change){0};
    buf_init(&key, 2 * ROUTE_KEY_MAX);
    if (control_key(c->conf, row, &key, err) != 0)
        goto done;
    out->key = arena_dup(mem, buf_slice(&key));
    if (!out->key.p) {
        err_set(err, ERR_TEMP, EX_OSERR, "the request needs too much memory");
        goto done;
    }
    if (control_expect(row, &out->expects, &out->expect_epoch, err) != 0 ||
        control_flag(row, "del", &out->is_delete, err) != 0)
        goto done;
    set = json_object_get(row, "set");
    if (set && (out->is_delete || !json_is_object(set))) {
        err_set(err, ERR_PERM, EX_USAGE, "\"set\" has to be an object, without \"del\"");
        goto done;
    }
    void *it = json_object_iter((json_t *)(uintptr_t)set);
    for (; it; it = json_object_iter_next((json_t *)(uintptr_t)set, it))
        if (change_parse_field(c, set, json_object_iter_key(it), mem, out, err) != 0)
            goto done;
    rc = 0;
done:
    buf_fini(&key);
    return rc;
}

int control_expect(const json_t *request, bool *has_out, uint64_t *epoch_out, struct err *err)
{
    *has_out = json_object_get(request, "expect_epoch") != NULL;
    return control_number(request, "expect_epoch", INT64_MAX, false, epoch_out, err);
}

/* --- Applying ------------------------------------------------------------------------------ */

enum control_outcome control_check_expected(
    struct control_call *call, struct slice key, const struct route_entry *entry, uint64_t expected)
{
    if (expected == 0 ? entry->is_tombstone : expected == entry->epoch)
        return CONTROL_DONE;
    if (expected == 0)
        return (enum control_outcome)control_refuse(call, ERR_PERM, 1,
            "there is an entry for %.*s meanwhile: its epoch is %" PRIu64, SLICE_ARG(key),
            entry->epoch);
    return (enum control_outcome)control_refuse(call, ERR_PERM, 1,
        "%.*s has changed: its epoch is %" PRIu64 ", not %" PRIu64 "%s", SLICE_ARG(key),
        entry->epoch, expected, entry->is_tombstone ? ", and there is no entry" : "");
}

static enum control_outcome refuse_held(
    struct control_call *call, struct slice key, const struct route_entry *entry)
{
    char until[32];
    clock_format_utc(entry->hold_deadline_ms / 1000, until);
    return (enum control_outcome)control_refuse(call, ERR_TEMP, EX_TEMPFAIL,
        "%.*s is held by %.*s until %s: wait, or `maptool release %.*s`", SLICE_ARG(key),
        SLICE_ARG(entry->hold_owner), until, SLICE_ARG(key));
}

static enum control_outcome check_change(
    struct control_call *call, const struct change *change, const struct route_entry *old)
{
    if (change->expects) {
        enum control_outcome outcome =
            control_check_expected(call, change->key, old, change->expect_epoch);
        if (outcome != CONTROL_DONE)
            return outcome;
    }
    if (old->state == ROUTE_STATE_HELD)
        return refuse_held(call, change->key, old);
    if (change->is_delete && old->is_tombstone)
        return (enum control_outcome)control_refuse(
            call, ERR_PERM, 1, "there is no entry for %.*s", SLICE_ARG(change->key));
    return CONTROL_DONE;
}

bool change_is_conflict(
    const struct change *change, const struct route_entry *old, const struct route_entry *next)
{
    return old->moved_by.n > 0 && !change->is_forced &&
           (next->is_tombstone || next->kind != old->kind || !slice_eq(next->route, old->route));
}

int change_parse_force(struct control_call *call, bool *out, struct err *err)
{
    if (control_flag(call->request, "force", out, err) != 0)
        return -1;
    if (*out && call->cause.why.n == 0)
        return err_set(err, ERR_PERM, EX_USAGE, "force needs a why: it goes into the change log");
    return 0;
}

enum control_outcome change_refuse_moved(
    struct control_call *call, struct slice key, const struct route_entry *old)
{
    return (enum control_outcome)control_refuse(call, ERR_PERM, 1,
        "%.*s was moved to %.*s by the cut-over %.*s: nothing is changed (--force --why TEXT does "
        "it all the same, `coexist-sync retire %.*s` ends the cut-over)",
        SLICE_ARG(key), SLICE_ARG(old->route), SLICE_ARG(old->moved_by), SLICE_ARG(key));
}

bool change_is_none(const struct route_entry *old, const struct route_entry *next)
{
    return !old->is_tombstone && store_same_route(old, next) && slice_eq(old->note, next->note) &&
           slice_eq(old->source, next->source);
}

enum control_outcome change_evaluate(struct control_call *call, const struct change *change,
    const struct route_entry *old, struct route_entry *next, bool *is_same_out)
{
    enum control_outcome outcome = check_change(call, change, old);

    *is_same_out = false;
    if (outcome != CONTROL_DONE)
        return outcome;
    if (change->is_delete) {
        *next = (struct route_entry){.is_tombstone = true};
        return change_is_conflict(change, old, next) ? change_refuse_moved(call, change->key, old)
                                                     : CONTROL_DONE;
    }
    change_merge(change, old, next);
    if (change_check_entry(call->c, change->key, next, call->err) != 0)
        return CONTROL_REFUSED;
    if (change_is_conflict(change, old, next))
        return change_refuse_moved(call, change->key, old);
    *is_same_out = change_is_none(old, next);
    return control_check_targets(call, change->key, old, next);
}

enum control_outcome change_apply(struct control_call *call, const struct change *change,
    struct buf *bytes, struct change_counts *counts, struct route_entry *entry_out)
{
    struct route_entry old, next;
    bool is_same;

    if (store_get(call->c->store, call->txn, change->key, bytes, &old, call->err) != 0)
        return CONTROL_FAILED;
    enum control_outcome outcome = change_evaluate(call, change, &old, &next, &is_same);
    if (outcome != CONTROL_DONE)
        return outcome;
    *(is_same               ? &counts->unchanged
        : change->is_delete ? &counts->deleted
        : old.is_tombstone  ? &counts->added
                            : &counts->changed) += 1;
    if (!is_same && store_put(call->txn, change->key, &old, &next, &call->cause, call->err) != 0)
        return CONTROL_FAILED;
    if (entry_out)
        *entry_out = is_same ? old : next;
    return CONTROL_DONE;
}

void change_report(struct control_call *call, const struct change_counts *counts)
{
    control_set_u64(call->reply, "added", counts->added);
    control_set_u64(call->reply, "changed", counts->changed);
    control_set_u64(call->reply, "deleted", counts->deleted);
    control_set_u64(call->reply, "unchanged", counts->unchanged);
    control_set_u64(call->reply, "generation", store_txn_generation(call->txn));
}

/* --- Operations ------------------------------------------------------------------------------ */

static enum control_outcome change_one(struct control_call *call, bool is_delete)
{
    struct arena *mem = arena_new(ARENA_MAX);
    struct change_counts counts = {0};
    struct route_entry entry;
    struct change change;
    struct buf bytes;
    enum control_outcome outcome = CONTROL_REFUSED;

    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    if (change_parse(call->c, call->request, mem, &change, call->err) != 0)
        goto done;
    if (is_delete && change.has) {
        control_refuse(call, ERR_PERM, EX_USAGE, "\"set\" does not belong to del");
        goto done;
    }
    if (change_parse_force(call, &change.is_forced, call->err) != 0)
        goto done;
    change.is_delete = is_delete;
    outcome = change_apply(call, &change, &bytes, &counts, &entry);
    if (outcome != CONTROL_DONE)
        goto done;
    control_set_u64(call->reply, "changed", counts.added + counts.changed + counts.deleted);
    control_set_u64(call->reply, "generation", store_txn_generation(call->txn));
    if (!is_delete)
        json_object_set_new(call->reply, "entry", control_entry_json(change.key, &entry));
    if (control_tell_followers(call, change.key) != 0)
        outcome = CONTROL_FAILED;
done:
    buf_fini(&bytes);
    arena_free(&mem);
    return outcome;
}

enum control_outcome control_set_entry(struct control_call *call)
{
    return change_one(call, false);
}

enum control_outcome control_del(struct control_call *call)
{
    return change_one(call, true);
}

enum control_outcome control_apply(struct control_call *call)
{
    const json_t *changes = json_object_get(call->request, "changes");
    struct arena *mem = arena_new(ARENA_MAX);
    struct change_counts counts = {0};
    enum control_outcome outcome = CONTROL_REFUSED;
    struct buf bytes;
    bool is_forced;

    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    if (change_parse_force(call, &is_forced, call->err) != 0)
        goto done;
    if (!json_is_array(changes) || json_array_size(changes) > CONTROL_APPLY_MAX) {
        control_refuse(call, ERR_PERM, EX_USAGE,
            "\"changes\" has to be an array of at most %d changes", CONTROL_APPLY_MAX);
        goto done;
    }
    for (size_t i = 0; i < json_array_size(changes); i++) {
        struct change change;
        arena_reset(mem);
        outcome = CONTROL_REFUSED;
        if (change_parse(call->c, json_array_get(changes, i), mem, &change, call->err) == 0) {
            change.is_forced = is_forced;
            outcome = change_apply(call, &change, &bytes, &counts, NULL);
        }
        if (outcome != CONTROL_DONE) {
            control_set_u64(call->reply, "row", i);
            goto done;
        }
    }
    outcome = CONTROL_DONE;
    change_report(call, &counts);
done:
    buf_fini(&bytes);
    arena_free(&mem);
    return outcome;
}
