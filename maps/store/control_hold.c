/* SPDX-License-Identifier: ISC */
/*
 * control_hold: the cut-over of one key, or of a domain by its key "@domain".
 *
 *     active -> held -> active       by release or by the deadline: the route is what it was
 *                    -> active       by flip: the new route, if the epoch is still the hold's
 *
 * From the flip on the entry names the cut-over that moved it, until that has retired: nobody else
 * changes its route by mistake.
 *
 * The hold lives in the record, so a restart keeps it, and each step is one change with its own
 * generation.  The epoch is the proof of ownership: whoever knows the epoch of the hold made it,
 * and a hold that ended in any way has another epoch, so a late flip or release finds itself
 * refused.
 */
#include "maps/store/control_priv.h"

#include <inttypes.h>
#include <sysexits.h>
#include "base/core/clock.h"
#include "base/core/log.h"

#define EXPIRED_WHO "coexist-mapd"

struct held_key {
    struct buf key, bytes;
    struct route_entry entry;
};

static enum control_outcome read_key(struct control_call *call, struct held_key *k)
{
    buf_init(&k->key, 2 * ROUTE_KEY_MAX);
    buf_init(&k->bytes, 2 * ROUTE_RECORD_MAX);
    if (control_key(call->c->conf, call->request, &k->key, call->err) != 0)
        return CONTROL_REFUSED;
    if (store_get(call->c->store, call->txn, buf_slice(&k->key), &k->bytes, &k->entry, call->err))
        return CONTROL_FAILED;
    return CONTROL_DONE;
}

/* Where the request says which epoch it has seen. */
static enum control_outcome check_seen(struct control_call *call, const struct held_key *k)
{
    uint64_t epoch = 0;
    bool expects;
    if (control_expect(call->request, &expects, &epoch, call->err) != 0)
        return CONTROL_REFUSED;
    return expects ? control_check_expected(call, buf_slice(&k->key), &k->entry, epoch)
                   : CONTROL_DONE;
}

static void free_key(struct held_key *k)
{
    buf_fini(&k->key);
    buf_fini(&k->bytes);
}

void control_end_hold(struct route_entry *entry)
{
    entry->state = entry->also.n ? ROUTE_STATE_BOTH : ROUTE_STATE_ACTIVE;
    entry->hold_owner = entry->hold_request = SLICE_LIT("");
    entry->hold_deadline_ms = 0;
    /* A domain may be held without having an entry of its own; behind the hold it has none again.
     */
    if (entry->kind == ROUTE_KIND_MAILBOX && entry->route.n == 0)
        *entry = (struct route_entry){.is_tombstone = true};
}

static enum control_outcome report_entry(
    struct control_call *call, struct slice key, const struct route_entry *entry)
{
    control_set_u64(call->reply, "epoch", entry->epoch);
    control_set_u64(call->reply, "generation", store_txn_generation(call->txn));
    json_object_set_new(
        call->reply, "entry", entry->is_tombstone ? json_null() : control_entry_json(key, entry));
    return control_tell_followers(call, key) == 0 ? CONTROL_DONE : CONTROL_FAILED;
}

static enum control_outcome write_hold(
    struct control_call *call, const struct held_key *k, struct slice owner, uint64_t hold_ms)
{
    const struct route_entry *old = &k->entry;
    struct slice key = buf_slice(&k->key);
    struct route_entry next = *old;
    char deadline[32];

    if (old->is_tombstone && key.p[0] != '@')
        return (enum control_outcome)control_refuse(
            call, ERR_PERM, 1, "there is no entry for %.*s", SLICE_ARG(key));
    if (old->state == ROUTE_STATE_HELD) {
        clock_format_utc(old->hold_deadline_ms / 1000, deadline);
        return (enum control_outcome)control_refuse(call, ERR_TEMP, EX_TEMPFAIL,
            "%.*s is already held by %.*s until %s", SLICE_ARG(key), SLICE_ARG(old->hold_owner),
            deadline);
    }
    if (old->state == ROUTE_STATE_RETIRING)
        return (enum control_outcome)control_refuse(call, ERR_PERM, EX_DATAERR,
            "%.*s is retiring: set its route again, or delete it", SLICE_ARG(key));
    next.is_tombstone = false;
    next.state = ROUTE_STATE_HELD;
    next.hold_owner = owner;
    next.hold_request = call->cause.request_id;
    next.hold_deadline_ms = control_hold_now_ms(call->c) + (int64_t)hold_ms;
    if (store_put(call->txn, key, old, &next, &call->cause, call->err) != 0)
        return CONTROL_FAILED;
    clock_format_utc(next.hold_deadline_ms / 1000, deadline);
    control_set(call->reply, "deadline", slice_str(deadline));
    return report_entry(call, key, &next);
}

enum control_outcome control_hold(struct control_call *call)
{
    uint64_t hold_ms, max = call->c->conf->mapd.hold_max_ms;
    struct slice owner;
    struct held_key k;

    if (control_string(call->request, "owner", STORE_OWNER_MAX, true, &owner, call->err) != 0 ||
        control_number(call->request, "deadline_ms", INT64_MAX, true, &hold_ms, call->err) != 0)
        return CONTROL_REFUSED;
    if (hold_ms == 0 || hold_ms > max)
        return (enum control_outcome)control_refuse(call, ERR_PERM, EX_DATAERR,
            "a hold lasts from 1 ms to %" PRIu64 " ms (mapd { hold_max })", max);
    enum control_outcome outcome = read_key(call, &k);
    if (outcome == CONTROL_DONE)
        outcome = check_seen(call, &k);
    if (outcome == CONTROL_DONE)
        outcome = write_hold(call, &k, owner, hold_ms);
    free_key(&k);
    return outcome;
}

/* Held, and with this epoch (0: with any)? */
static enum control_outcome check_epoch(
    struct control_call *call, const struct held_key *k, uint64_t epoch)
{
    struct slice key = buf_slice(&k->key);
    if (k->entry.state != ROUTE_STATE_HELD)
        return (enum control_outcome)control_refuse(call, ERR_PERM, 1,
            "%.*s is not held (its epoch is %" PRIu64 "): the hold was released or its deadline "
            "is over",
            SLICE_ARG(key), k->entry.epoch);
    if (epoch && epoch != k->entry.epoch)
        return (enum control_outcome)control_refuse(call, ERR_PERM, 1,
            "%.*s is held by %.*s with epoch %" PRIu64 ", not %" PRIu64, SLICE_ARG(key),
            SLICE_ARG(k->entry.hold_owner), k->entry.epoch, epoch);
    return CONTROL_DONE;
}

static enum control_outcome write_end(
    struct control_call *call, const struct held_key *k, struct slice route)
{
    struct route_entry next = k->entry;
    if (route.n) {
        /* The cut-over ends the second copy; from here on the route is its own. */
        next.route = route;
        next.also = SLICE_NONE;
        next.until_s = 0;
        next.moved_by = call->cause.request_id;
        if (next.moved_by.n == 0)
            next.moved_by = next.hold_request.n ? next.hold_request : next.hold_owner;
    }
    control_end_hold(&next);
    if (store_put(call->txn, buf_slice(&k->key), &k->entry, &next, &call->cause, call->err) != 0)
        return CONTROL_FAILED;
    return report_entry(call, buf_slice(&k->key), &next);
}

enum control_outcome control_flip(struct control_call *call)
{
    uint64_t epoch;
    struct slice route;
    struct held_key k;

    if (control_string(call->request, "route", STORE_OWNER_MAX, true, &route, call->err) != 0 ||
        control_number(call->request, "epoch", INT64_MAX, true, &epoch, call->err) != 0)
        return CONTROL_REFUSED;
    if (epoch == 0)
        return (enum control_outcome)control_refuse(
            call, ERR_PERM, EX_USAGE, "a flip needs the epoch of the hold");
    if (change_check_route(call->c->conf, route, call->err) != 0)
        return CONTROL_REFUSED;
    enum control_outcome outcome = read_key(call, &k);
    if (outcome == CONTROL_DONE)
        outcome = check_epoch(call, &k, epoch);
    if (outcome == CONTROL_DONE && k.entry.targets.n > 0 && k.entry.route.n == 0)
        outcome = (enum control_outcome)control_refuse(call, ERR_PERM, EX_DATAERR,
            "%.*s has no route of its own: it follows its targets", SLICE_ARG(buf_slice(&k.key)));
    if (outcome == CONTROL_DONE)
        outcome = write_end(call, &k, route);
    free_key(&k);
    return outcome;
}

enum control_outcome control_release(struct control_call *call)
{
    uint64_t epoch = 0;
    struct held_key k;

    if (control_number(call->request, "epoch", INT64_MAX, false, &epoch, call->err) != 0)
        return CONTROL_REFUSED;
    enum control_outcome outcome = read_key(call, &k);
    if (outcome == CONTROL_DONE)
        outcome = check_epoch(call, &k, epoch);
    if (outcome == CONTROL_DONE)
        outcome = write_end(call, &k, SLICE_NONE);
    free_key(&k);
    return outcome;
}

/* --- Behind the cut-over ------------------------------------------------------------------- */

static enum control_outcome write_retired(struct control_call *call, const struct held_key *k)
{
    struct slice key = buf_slice(&k->key);
    struct route_entry next = k->entry;
    if (next.is_tombstone)
        return (enum control_outcome)control_refuse(
            call, ERR_PERM, 1, "there is no entry for %.*s", SLICE_ARG(key));
    next.moved_by = SLICE_NONE;
    if (k->entry.moved_by.n &&
        store_put(call->txn, key, &k->entry, &next, &call->cause, call->err) != 0)
        return CONTROL_FAILED;
    return report_entry(call, key, &next);
}

enum control_outcome control_retire(struct control_call *call)
{
    struct held_key k;
    enum control_outcome outcome = read_key(call, &k);
    if (outcome == CONTROL_DONE)
        outcome = check_seen(call, &k);
    if (outcome == CONTROL_DONE)
        outcome = write_retired(call, &k);
    free_key(&k);
    return outcome;
}

/* --- Deadlines --------------------------------------------------------------------------- */

int64_t control_hold_now_ms(const struct control *c)
{
    return c->now_ms - c->clock_step_ms;
}

int64_t control_next_deadline_ms(const struct store *s)
{
    int64_t next = INT64_MAX;
    size_t n;
    const struct store_hold *holds = store_holds(s, &n);
    for (size_t i = 0; i < n; i++)
        if (holds[i].deadline_ms < next)
            next = holds[i].deadline_ms;
    return next;
}

static int expire_one(struct control *c, struct store_txn *txn, struct slice key, struct buf *bytes,
    bool *done_out, struct err *err)
{
    struct store_cause cause = {.who = SLICE_LIT(EXPIRED_WHO),
        .why = SLICE_LIT("the hold passed its deadline"),
        .when_s = c->now_ms / 1000};
    struct route_entry old, next;

    *done_out = false;
    if (store_get(c->store, txn, key, bytes, &old, err) != 0)
        return -1;
    if (old.state != ROUTE_STATE_HELD || old.hold_deadline_ms > control_hold_now_ms(c))
        return 0;
    next = old;
    control_end_hold(&next);
    *done_out = true;
    log_warn("hold_expired", log_slice("key", key), log_slice("owner", old.hold_owner),
        log_u64("epoch", old.epoch));
    return store_put(txn, key, &old, &next, &cause, err);
}

int control_expire(struct control *c, struct store_txn *txn, size_t *n_out, struct err *err)
{
    struct buf bytes;
    size_t n;
    int rc = 0;
    const struct store_hold *holds = store_holds(c->store, &n);

    *n_out = 0;
    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    for (size_t i = 0; i < n && rc == 0; i++) {
        bool done = false;
        if (holds[i].deadline_ms <= control_hold_now_ms(c))
            rc = expire_one(c, txn, slice_str(holds[i].key), &bytes, &done, err);
        *n_out += done;
    }
    buf_fini(&bytes);
    return rc;
}
