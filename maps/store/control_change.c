/* SPDX-License-Identifier: ISC */
/*
 * control_change: set, del and apply, and the one way in which an entry changes on request.  A
 * change names only the fields that it means; the others keep their values.
 */
#include "maps/store/control_priv.h"

#include <inttypes.h>
#include <sysexits.h>
#include "base/core/clock.h"
#include "base/mail/address.h"
#include "maps/delivery.h"

#define ARENA_MAX (64u << 10)

/* --- Parsing ------------------------------------------------------------------------- */

static int copy_text(struct arena *mem, struct slice text, struct slice *out, struct err *err)
{
    *out = arena_dup(mem, text);
    return out->p ? 0 : err_set(err, ERR_TEMP, EX_OSERR, "the request needs too much memory");
}

int change_check_route(const struct conf *conf, struct slice route, struct err *err)
{
    int server = conf_server_index(conf, route);
    if (server != CONF_SERVER_NONE && conf_server_takes_mail(&conf->servers[server]))
        return 0;
    if (server != CONF_SERVER_NONE)
        return err_set(err, ERR_PERM, EX_DATAERR,
            "server \"%.*s\" has no smtp in the configuration, so no mail can be routed there",
            SLICE_ARG(route));
    struct buf names;
    buf_init(&names, 256);
    for (size_t i = 0; i < conf->n_servers; i++)
        if (buf_addf(&names, "%s%s", i ? ", " : "", conf->servers[i].name) != 0)
            break;
    err_set(err, ERR_PERM, EX_DATAERR,
        "there is no server \"%.*s\" in the configuration (servers: %s)", SLICE_ARG(route),
        buf_cstr(&names));
    buf_fini(&names);
    return -1;
}

/* An address, or "@domain": the recipient's local part there. */
static int check_deliver_as(struct slice text, struct err *err)
{
    struct slice domain = slice_from(text, 1);
    struct address a;
    if (text.n == 0 || (text.p[0] == '@' && net_is_host_name(domain)))
        return 0;
    if (address_parse(text, &a) != 0 || a.domain.n == 0)
        return err_set(
            err, ERR_PERM, EX_DATAERR, "deliver_as %.*s is not an address", SLICE_ARG(text));
    if (!address_is_ascii(a.domain))
        return err_set(err, ERR_PERM, EX_DATAERR,
            "deliver_as %.*s: the domain has to be in ASCII (xn--...)", SLICE_ARG(text));
    return 0;
}

/* Addresses that no recipient of the whole domain would be delivered as (maps/delivery.h). */
static int check_domain_entry(const struct change *change, struct err *err)
{
    struct address a;
    if (change->key.p[0] != '@' || change->deliver_as.n == 0 || change->deliver_as.p[0] == '@' ||
        address_parse(change->deliver_as, &a) != 0 || !delivery_is_foreign(a.local))
        return 0;
    return err_set(err, ERR_PERM, EX_DATAERR,
        "deliver_as %.*s has one of \"%%\", \"!\" and \"@\" in its local part, by which a whole "
        "domain cannot be delivered",
        SLICE_ARG(change->deliver_as));
}

static int parse_field(const struct conf *conf, const json_t *set, const char *name,
    struct arena *mem, struct change *out, struct err *err)
{
    struct slice text;
    if (control_string(set, name, ROUTE_NOTE_MAX, false, &text, err) != 0)
        return -1;
    if (strcmp(name, "route") == 0) {
        out->has |= CHANGE_ROUTE;
        if (change_check_route(conf, text, err) != 0)
            return -1;
        return copy_text(mem, text, &out->route, err);
    }
    if (strcmp(name, "kind") == 0) {
        out->has |= CHANGE_KIND;
        if (route_kind_parse(text, &out->kind) != 0)
            return err_set(err, ERR_PERM, EX_DATAERR, "kind \"%.*s\" is neither mailbox nor reject",
                SLICE_ARG(text));
        return 0;
    }
    if (strcmp(name, "deliver_as") == 0) {
        out->has |= CHANGE_DELIVER_AS;
        if (check_deliver_as(text, err) != 0)
            return -1;
        return copy_text(mem, text, &out->deliver_as, err);
    }
    if (strcmp(name, "note") == 0) {
        out->has |= CHANGE_NOTE;
        return copy_text(mem, text, &out->note, err);
    }
    return err_set(err, ERR_PERM, EX_USAGE,
        "unknown field \"%s\" (fields: route, kind, deliver_as, note)", name);
}

int change_parse(const struct conf *conf, const json_t *row, struct arena *mem, struct change *out,
    struct err *err)
{
    struct buf key;
    const json_t *set;
    int rc = -1;

    *out = (struct change){0};
    buf_init(&key, 2 * ROUTE_KEY_MAX);
    if (control_key(conf, row, &key, err) != 0 ||
        copy_text(mem, buf_slice(&key), &out->key, err) != 0 ||
        control_number(row, "expect_epoch", INT64_MAX, false, &out->expect_epoch, err) != 0 ||
        control_flag(row, "del", &out->is_delete, err) != 0)
        goto done;
    set = json_object_get(row, "set");
    if (set && (out->is_delete || !json_is_object(set))) {
        err_set(err, ERR_PERM, EX_USAGE, "\"set\" has to be an object, without \"del\"");
        goto done;
    }
    void *it = json_object_iter((json_t *)(uintptr_t)set);
    for (; it; it = json_object_iter_next((json_t *)(uintptr_t)set, it))
        if (parse_field(conf, set, json_object_iter_key(it), mem, out, err) != 0)
            goto done;
    rc = check_domain_entry(out, err);
done:
    buf_fini(&key);
    return rc;
}

/* --- Applying ------------------------------------------------------------------------------ */

static enum control_outcome refuse_held(
    struct control_call *call, struct slice key, const struct route_entry *entry)
{
    char until[32];
    clock_format_utc(entry->hold_deadline_ms / 1000, until);
    return (enum control_outcome)control_refuse(call, ERR_TEMP, EX_TEMPFAIL,
        "%.*s is held by %.*s until %s: wait, or `maptool release %.*s`", SLICE_ARG(key),
        SLICE_ARG(entry->hold_owner), until, SLICE_ARG(key));
}

static void merge(
    const struct change *change, const struct route_entry *old, struct route_entry *next)
{
    *next = *old;
    if (old->is_tombstone)
        *next = (struct route_entry){0};
    if (change->has & CHANGE_KIND)
        next->kind = change->kind;
    if (change->has & CHANGE_ROUTE)
        next->route = change->route;
    if (change->has & CHANGE_DELIVER_AS)
        next->deliver_as = change->deliver_as;
    if (change->has & CHANGE_NOTE)
        next->note = change->note;
    if (next->kind == ROUTE_KIND_MAILBOX && next->route.n == 0)
        next->route = change->default_route;
}

static enum control_outcome check_change(
    struct control_call *call, const struct change *change, const struct route_entry *old)
{
    if (change->expect_epoch && change->expect_epoch != old->epoch)
        return (enum control_outcome)control_refuse(call, ERR_PERM, 1,
            "%.*s has changed: its epoch is %" PRIu64 ", not %" PRIu64, SLICE_ARG(change->key),
            old->epoch, change->expect_epoch);
    if (old->state == ROUTE_STATE_HELD)
        return refuse_held(call, change->key, old);
    if (change->is_delete && old->is_tombstone)
        return (enum control_outcome)control_refuse(
            call, ERR_PERM, 1, "there is no entry for %.*s", SLICE_ARG(change->key));
    return CONTROL_DONE;
}

enum control_outcome change_apply(struct control_call *call, const struct change *change,
    struct buf *bytes, struct change_counts *counts, struct route_entry *entry_out)
{
    struct route_entry old, next;

    if (store_get(call->c->store, call->txn, change->key, bytes, &old, call->err) != 0)
        return CONTROL_FAILED;
    enum control_outcome outcome = check_change(call, change, &old);
    if (outcome != CONTROL_DONE)
        return outcome;
    if (change->is_delete) {
        next = (struct route_entry){.is_tombstone = true};
        counts->deleted++;
    } else {
        merge(change, &old, &next);
        if (next.kind == ROUTE_KIND_MAILBOX && next.route.n == 0)
            return (enum control_outcome)control_refuse(call, ERR_PERM, EX_DATAERR,
                "%.*s is new and needs a route (route=SERVER)", SLICE_ARG(change->key));
        if (!old.is_tombstone && store_same_route(&old, &next) && slice_eq(old.note, next.note)) {
            counts->unchanged++;
            if (entry_out)
                *entry_out = old;
            return CONTROL_DONE;
        }
        *(old.is_tombstone ? &counts->added : &counts->changed) += 1;
    }
    if (store_put(call->txn, change->key, &old, &next, &call->cause, call->err) != 0)
        return CONTROL_FAILED;
    if (entry_out)
        *entry_out = next;
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
    if (change_parse(call->c->conf, call->request, mem, &change, call->err) != 0)
        goto done;
    if (is_delete && change.has) {
        control_refuse(call, ERR_PERM, EX_USAGE, "\"set\" does not belong to del");
        goto done;
    }
    change.is_delete = is_delete;
    outcome = change_apply(call, &change, &bytes, &counts, &entry);
    if (outcome != CONTROL_DONE)
        goto done;
    control_set_u64(call->reply, "changed", counts.added + counts.changed + counts.deleted);
    control_set_u64(call->reply, "generation", store_txn_generation(call->txn));
    if (!is_delete)
        json_object_set_new(call->reply, "entry", control_entry_json(change.key, &entry));
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

    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    if (!json_is_array(changes) || json_array_size(changes) > CONTROL_APPLY_MAX) {
        control_refuse(call, ERR_PERM, EX_USAGE,
            "\"changes\" has to be an array of at most %d changes", CONTROL_APPLY_MAX);
        goto done;
    }
    for (size_t i = 0; i < json_array_size(changes); i++) {
        struct change change;
        arena_reset(mem);
        outcome = CONTROL_REFUSED;
        if (change_parse(call->c->conf, json_array_get(changes, i), mem, &change, call->err) == 0)
            outcome = change_apply(call, &change, &bytes, &counts, NULL);
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
