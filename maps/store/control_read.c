/* SPDX-License-Identifier: ISC */
/*
 * control_read: get, list and status.  A reply is bounded in entries, bytes and records looked
 * at, so that no reader keeps the map from others for long; "next" says where the following request
 * goes on.
 */
#include "maps/store/control_priv.h"

#include <sysexits.h>
#include "base/core/clock.h"
#include "maps/store/sources.h"

#define LIST_SCANNED_MAX 50000
#define ENTRY_JSON_BYTES 256 /* about what names and punctuation of one entry take */

/* --- Entries as JSON ------------------------------------------------------------------- */

void control_set_time(json_t *object, const char *name, int64_t when_s)
{
    char text[32];
    clock_format_utc(when_s, text);
    control_set(object, name, slice_str(text));
}

static json_t *hold_json(const struct route_entry *entry)
{
    json_t *hold = json_object();
    control_set(hold, "owner", entry->hold_owner);
    control_set(hold, "request", entry->hold_request);
    control_set_time(hold, "deadline", entry->hold_deadline_ms / 1000);
    json_object_set_new(hold, "deadline_ms", json_integer(entry->hold_deadline_ms));
    return hold;
}

static void set_if(json_t *object, const char *name, struct slice text)
{
    if (text.n)
        control_set(object, name, text);
}

static json_t *list_json(struct slice rest)
{
    json_t *list = json_array();
    struct slice part;
    while (route_list_next(&rest, &part))
        json_array_append_new(list, json_stringn((const char *)part.p, part.n));
    return list;
}

/* The fields that few entries have: only where they say something. */
static void add_more(json_t *e, const struct route_entry *entry)
{
    if (entry->targets.n)
        json_object_set_new(e, "to", list_json(entry->targets));
    set_if(e, "owner", entry->owner);
    if (slice_find(entry->senders, '@') >= 0)
        json_object_set_new(e, "senders", list_json(entry->senders));
    else
        set_if(e, "senders", entry->senders);
    if (entry->reply_code)
        control_set_u64(e, "code", entry->reply_code);
    set_if(e, "text", entry->reply_text);
    set_if(e, "also", entry->also);
    if (entry->until_s)
        control_set_time(e, "until", entry->until_s);
    set_if(e, "source", entry->source);
    set_if(e, "moved_by", entry->moved_by);
}

json_t *control_entry_json(struct slice key, const struct route_entry *entry)
{
    json_t *e = json_object();
    control_set(e, "key", key);
    control_set(e, "kind", slice_str(route_kind_name(entry->kind)));
    control_set(e, "route", entry->route);
    control_set(e, "state", slice_str(route_state_name(entry->state)));
    control_set(e, "deliver_as", entry->deliver_as);
    control_set_u64(e, "epoch", entry->epoch);
    control_set(e, "note", entry->note);
    control_set(e, "who", entry->who);
    control_set_time(e, "when", entry->when_s);
    if (entry->state == ROUTE_STATE_HELD)
        json_object_set_new(e, "hold", hold_json(entry));
    add_more(e, entry);
    return e;
}

/* --- get ------------------------------------------------------------------------------- */

enum control_outcome control_get(struct control_call *call)
{
    struct buf key, bytes;
    struct route_entry entry;
    enum control_outcome outcome = CONTROL_REFUSED;

    buf_init(&key, 2 * ROUTE_KEY_MAX);
    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    if (control_key(call->c->conf, call->request, &key, call->err) != 0)
        goto done;
    outcome = CONTROL_FAILED;
    if (store_get(call->c->store, call->txn, buf_slice(&key), &bytes, &entry, call->err) != 0)
        goto done;
    outcome = CONTROL_DONE;
    if (entry.is_tombstone) {
        control_set_u64(call->reply, "epoch", entry.epoch);
        outcome = (enum control_outcome)control_refuse(
            call, ERR_PERM, 1, "there is no entry for %.*s", SLICE_ARG(buf_slice(&key)));
    } else {
        json_object_set_new(call->reply, "entry", control_entry_json(buf_slice(&key), &entry));
        if (control_tell_followers(call, buf_slice(&key)) != 0)
            outcome = CONTROL_FAILED;
    }
done:
    buf_fini(&key);
    buf_fini(&bytes);
    return outcome;
}

/* --- list ---------------------------------------------------------------------------------- */

struct list {
    struct slice after, route, domain;
    bool has_kind, has_state;
    enum route_kind kind;
    enum route_state state;
    uint64_t limit;
    json_t *entries;
    json_t *last; /* key of the last entry looked at */
    size_t scanned, bytes;
};

static bool list_wants(const struct list *l, struct slice key, const struct route_entry *entry)
{
    return !entry->is_tombstone && (l->route.n == 0 || slice_eq(l->route, entry->route)) &&
           (!l->has_kind || l->kind == entry->kind) &&
           (!l->has_state || l->state == entry->state) &&
           (l->domain.n == 0 || slice_eq(l->domain, normalise_domain(key)));
}

static int list_one(
    void *arg, struct slice key, const struct route_entry *entry, struct err *err ATTR_UNUSED)
{
    struct list *l = arg;

    if (l->after.n && slice_eq(key, l->after))
        return 0;
    if (list_wants(l, key, entry)) {
        json_array_append_new(l->entries, control_entry_json(key, entry));
        l->bytes += ENTRY_JSON_BYTES + key.n + entry->note.n + entry->deliver_as.n +
                    2 * entry->targets.n + entry->senders.n;
    }
    if (++l->scanned < LIST_SCANNED_MAX && json_array_size(l->entries) < l->limit &&
        l->bytes < CONTROL_REPLY_BYTES_MAX)
        return 0;
    l->last = json_stringn((const char *)key.p, key.n);
    return 1;
}

static int list_parse(const json_t *request, struct list *l, struct err *err)
{
    struct slice kind, state;
    *l = (struct list){.limit = CONTROL_LIST_MAX};
    if (control_string(request, "after", ROUTE_KEY_MAX, false, &l->after, err) != 0 ||
        control_string(request, "route", STORE_OWNER_MAX, false, &l->route, err) != 0 ||
        control_string(request, "domain", ROUTE_KEY_MAX, false, &l->domain, err) != 0 ||
        control_string(request, "kind", STORE_OWNER_MAX, false, &kind, err) != 0 ||
        control_string(request, "state", STORE_OWNER_MAX, false, &state, err) != 0 ||
        control_number(request, "limit", CONTROL_LIST_MAX, false, &l->limit, err) != 0)
        return -1;
    l->has_kind = kind.n > 0;
    l->has_state = state.n > 0;
    if (l->has_kind && route_kind_parse(kind, &l->kind) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "unknown kind \"%.*s\"", SLICE_ARG(kind));
    if (l->has_state && route_state_parse(state, &l->state) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "unknown state \"%.*s\"", SLICE_ARG(state));
    return 0;
}

enum control_outcome control_list(struct control_call *call)
{
    struct list l;

    if (list_parse(call->request, &l, call->err) != 0)
        return CONTROL_REFUSED;
    l.entries = json_array();
    json_object_set_new(call->reply, "entries", l.entries);
    if (store_scan(call->c->store, call->txn, l.after, list_one, &l, call->err) != 0)
        return CONTROL_FAILED;
    json_object_set_new(call->reply, "next", l.last ? l.last : json_null());
    control_set_u64(call->reply, "generation", store_generation(call->c->store));
    return CONTROL_DONE;
}

/* --- status ------------------------------------------------------------------------------------
 */

static uint64_t age_s(const struct control_call *call, int64_t when_s)
{
    int64_t now_s = call->c->now_ms / 1000;
    return now_s > when_s ? (uint64_t)(now_s - when_s) : 0;
}

static int add_hold(
    struct control_call *call, const struct store_hold *hold, struct buf *bytes, json_t *held)
{
    struct route_entry entry;
    json_t *h;

    if (store_get(call->c->store, call->txn, slice_str(hold->key), bytes, &entry, call->err) != 0)
        return -1;
    h = json_object();
    control_set(h, "key", slice_str(hold->key));
    control_set(h, "owner", entry.hold_owner);
    control_set_time(h, "deadline", hold->deadline_ms / 1000);
    control_set_time(h, "since", entry.when_s);
    control_set_u64(h, "age_s", age_s(call, entry.when_s));
    json_object_set_new(
        h, "is_over", json_boolean(hold->deadline_ms < control_hold_now_ms(call->c)));
    return json_array_append_new(held, h);
}

static int add_source(void *arg, const struct source *source, struct err *err ATTR_UNUSED)
{
    const struct control_call *call = arg;
    json_t *one = json_object();

    control_set(one, "source", source->name);
    control_set_time(one, "when", source->when_s);
    control_set_u64(one, "age_s", age_s(call, source->when_s));
    control_set_u64(one, "rows", source->rows);
    control_set(one, "who", source->who);
    json_array_append_new(json_object_get(call->reply, "sources"), one);
    return 0;
}

enum control_outcome control_status(struct control_call *call)
{
    struct store *s = call->c->store;
    json_t *held = json_array();
    struct buf bytes;
    size_t n;
    int rc = 0;

    const struct store_hold *holds = store_holds(s, &n);
    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    for (size_t i = 0; i < n && i < CONTROL_LIST_MAX && rc == 0; i++)
        rc = add_hold(call, &holds[i], &bytes, held);
    buf_fini(&bytes);
    if (rc != 0) {
        json_decref(held);
        return CONTROL_FAILED;
    }
    control_set(call->reply, "map_id", slice_str(store_map_id(s)));
    control_set_u64(call->reply, "generation", store_generation(s));
    control_set_u64(call->reply, "keys", store_live_count(s));
    control_set_u64(call->reply, "held", n);
    json_object_set_new(call->reply, "holds", held);
    json_object_set_new(call->reply, "sources", json_array());
    if (sources_scan(s, call->txn, add_source, call, call->err) != 0)
        return CONTROL_FAILED;
    control_add_consumers(call);
    if (call->c->status)
        call->c->status(call->c->status_arg, call->reply);
    return CONTROL_DONE;
}

void control_session_fini(struct control_session *s)
{
    control_import_free(&s->import);
    control_restore_free(&s->restore);
}
