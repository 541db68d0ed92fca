/* SPDX-License-Identifier: ISC */
/*
 * import_rules: see import_rules.h.
 *
 * An entry keeps the source that it has, or each of two nightly imports would take it from the
 * other.  One without a source, made by hand or before there were any, becomes that of the first
 * import that names it.
 */
#include "maps/store/import_rules.h"

/* Do both go the same way? */
static bool is_same_way(const struct route_entry *a, const struct route_entry *b)
{
    return a->kind == b->kind && slice_eq(a->route, b->route);
}

static bool is_same_delivery(const struct route_entry *a, const struct route_entry *b)
{
    return is_same_way(a, b) && slice_eq(a->deliver_as, b->deliver_as) &&
           slice_eq(a->targets, b->targets) && slice_eq(a->owner, b->owner) &&
           slice_eq(a->senders, b->senders) && a->reply_code == b->reply_code &&
           slice_eq(a->reply_text, b->reply_text) && slice_eq(a->also, b->also) &&
           a->until_s == b->until_s;
}

/* All but what is for people. */
static void keep(const struct route_entry *old, struct route_entry *next)
{
    struct slice note = next->note, source = next->source;
    *next = *old;
    next->note = note;
    next->source = source;
}

/* Somebody who left is back. */
static void stay(struct route_entry *next)
{
    if (next->state != ROUTE_STATE_RETIRING)
        return;
    next->state = ROUTE_STATE_ACTIVE;
    next->until_s = 0;
}

enum import_row import_row(
    const struct import_rules *r, const struct route_entry *old, struct route_entry *next)
{
    enum import_row result = IMPORT_TAKEN;

    if (old->is_tombstone) {
        if (next->kind == ROUTE_KIND_MAILBOX ||
            (next->kind == ROUTE_KIND_GROUP && !next->targets.n))
            next->route = next->route.n ? next->route : r->default_route;
        next->source = next->source.n ? next->source : r->source;
        return IMPORT_TAKEN;
    }
    if (old->state == ROUTE_STATE_HELD) {
        bool is_same = is_same_delivery(old, next) && slice_eq(old->note, next->note);
        *next = *old;
        return is_same ? IMPORT_TAKEN : IMPORT_KEPT_HELD;
    }
    if (next->source.n == 0)
        next->source = r->source;
    if (old->moved_by.n && !is_same_delivery(old, next))
        result = IMPORT_KEPT_MOVED;
    else if (!r->reroute && !is_same_way(old, next))
        result = IMPORT_KEPT_ROUTE;
    if (result != IMPORT_TAKEN)
        keep(old, next);
    stay(next);
    return result;
}

enum import_missing import_missing(
    const struct import_rules *r, struct slice key, const struct route_entry *e)
{
    if (e->is_tombstone || key.n == 0 || key.p[0] == '@' || !slice_eq(e->source, r->source) ||
        e->moved_by.n)
        return IMPORT_STAYS;
    if (e->route.n && r->default_route.n && !slice_eq(e->route, r->default_route))
        return IMPORT_STAYS;
    if (e->state == ROUTE_STATE_HELD)
        return IMPORT_HELD;
    if (e->kind == ROUTE_KIND_REJECT)
        return IMPORT_GOES;
    if (e->state != ROUTE_STATE_RETIRING)
        return IMPORT_RETIRES;
    return e->until_s <= r->now_s ? IMPORT_GOES : IMPORT_STAYS;
}

void import_retire(
    const struct import_rules *r, const struct route_entry *old, struct route_entry *next)
{
    *next = *old;
    next->state = ROUTE_STATE_RETIRING;
    next->also = SLICE_NONE;
    next->until_s = r->now_s + r->retire_s;
}

bool import_is_too_much(uint64_t gone, uint64_t of, uint64_t percent, uint64_t count)
{
    return gone > count && gone * 100 > percent * of;
}
