/* SPDX-License-Identifier: ISC */
/*
 * control_log: the change log, a change at a time, or with "steps" as people have made them: what
 * one request has changed, a wave or an import, is one step however many entries it had.  A step
 * may end with one reply and go on with the next, whose first has the same "request" then.
 */
#include "maps/store/control_priv.h"

#include <string.h>

#define CHANGE_JSON_BYTES 512 /* about what names and punctuation of one change take */
#define STEP_KINDS_MAX 5      /* of changes in one step that are told apart */
#define PLACE_MAX (ROUTE_SERVER_MAX + 32)
#define OTHERS "..."

struct log_query {
    struct slice key;
    uint64_t limit, next;
    json_t *changes;
    size_t scanned, bytes;
    bool in_steps;
    uint64_t n_steps, skip;                 /* so far; so many are left out */
    char request[STORE_REQUEST_ID_MAX + 1]; /* of the step that we are in; "": of none */
};

/* --- Steps -------------------------------------------------------------------------------------
 */

/* True when the record begins a step. */
static bool begins_step(struct log_query *q, const struct history_record *r)
{
    if (r->request_id.n > 0 && slice_eq(r->request_id, slice_str(q->request)))
        return false;
    if (fmt_into(q->request, sizeof q->request, "%.*s", SLICE_ARG(r->request_id)) != 0)
        q->request[0] = '\0';
    q->n_steps++;
    return true;
}

static int count_step(void *arg, const struct history_record *r, struct err *err ATTR_UNUSED)
{
    begins_step(arg, r);
    return 0;
}

/* Where mail goes by this value, in a word or two. */
static void place_of(struct slice value, char out[PLACE_MAX])
{
    struct route_entry e;
    const char *held = "";
    struct slice place;
    if (value.n == 0 || record_decode(value, &e) != 0 || e.is_tombstone) {
        place = SLICE_LIT("-");
    } else {
        place = e.kind != ROUTE_KIND_MAILBOX && e.route.n == 0 ? slice_str(route_kind_name(e.kind))
                : e.route.n                                    ? e.route
                                                               : SLICE_LIT("default");
        held = e.state == ROUTE_STATE_HELD ? " (held)" : "";
    }
    if (fmt_into(out, PLACE_MAX, "%.*s%s", SLICE_ARG(place), held) != 0)
        BUG("the name of a server fits");
}

static json_t *find_what(const json_t *what, const char *old, const char *new)
{
    json_t *one;
    size_t i;
    json_array_foreach(what, i, one)
    {
        if (strcmp(json_string_value(json_object_get(one, "old")), old) == 0 &&
            strcmp(json_string_value(json_object_get(one, "new")), new) == 0)
            return one;
    }
    return NULL;
}

static void count_one(json_t *object)
{
    control_set_u64(
        object, "count", (uint64_t)json_integer_value(json_object_get(object, "count")) + 1);
}

static void add_to_step(json_t *step, const struct history_record *r)
{
    char old[PLACE_MAX], new[PLACE_MAX];
    json_t *what = json_object_get(step, "what"), *one;
    place_of(r->old_value, old);
    place_of(r->new_value, new);
    one = find_what(what, old, new);
    if (!one && json_array_size(what) >= STEP_KINDS_MAX)
        one = json_array_get(what, STEP_KINDS_MAX); /* all others */
    if (!one) {
        bool is_other = json_array_size(what) == STEP_KINDS_MAX;
        one = json_object();
        control_set(one, "old", slice_str(is_other ? OTHERS : old));
        control_set(one, "new", slice_str(is_other ? OTHERS : new));
        json_array_append_new(what, one);
    }
    count_one(one);
    count_one(step);
    control_set_u64(step, "to", r->generation);
}

/* --- Changes ------------------------------------------------------------------------------------
 */

static json_t *value_json(struct slice key, struct slice value)
{
    struct route_entry entry;
    if (value.n == 0 || record_decode(value, &entry) != 0 || entry.is_tombstone)
        return json_null();
    return control_entry_json(key, &entry);
}

static json_t *change_json(const struct history_record *r)
{
    json_t *change = json_object();
    control_set_u64(change, "generation", r->generation);
    control_set(change, "key", r->key);
    json_object_set_new(change, "old", value_json(r->key, r->old_value));
    json_object_set_new(change, "new", value_json(r->key, r->new_value));
    control_set(change, "who", r->who);
    control_set_time(change, "when", r->when_s);
    control_set(change, "why", r->why);
    control_set(change, "request", r->request_id);
    return change;
}

static int log_one(void *arg, const struct history_record *r, struct err *err ATTR_UNUSED)
{
    struct log_query *q = arg;
    size_t n = json_array_size(q->changes);

    if (q->scanned++ == CONTROL_LOG_SCANNED_MAX) {
        q->next = r->generation;
        return 1;
    }
    if (q->in_steps) {
        bool begins = begins_step(q, r);
        if (q->n_steps <= q->skip)
            return 0;
        if (!begins && n > 0) {
            add_to_step(json_array_get(q->changes, n - 1), r);
            return 0;
        }
    }
    if (n >= q->limit || q->bytes > CONTROL_REPLY_BYTES_MAX) {
        q->next = r->generation;
        return 1;
    }
    if (q->key.n && !slice_eq(q->key, r->key))
        return 0;
    json_t *change = change_json(r);
    if (q->in_steps) {
        json_object_set_new(change, "what", json_array());
        add_to_step(change, r);
    }
    json_array_append_new(q->changes, change);
    q->bytes += CHANGE_JSON_BYTES + r->old_value.n + r->new_value.n + r->why.n;
    return 0;
}

/* Where the last so many changes begin; steps are looked for among the
 * last CONTROL_LOG_SCANNED_MAX. */
static int find_last(
    struct control_call *call, struct log_query *q, uint64_t last, uint64_t now, uint64_t *from_out)
{
    const uint64_t max = CONTROL_LOG_SCANNED_MAX;
    if (!q->in_steps)
        return store_log_back(
            call->c->store, call->txn, last < max ? last : max, from_out, call->err);
    *from_out = max < now ? now - max + 1 : 1;
    if (store_scan_history(call->c->store, call->txn, *from_out, count_step, q, call->err) != 0)
        return -1;
    q->skip = q->n_steps > last ? q->n_steps - last : 0;
    q->n_steps = 0;
    q->request[0] = '\0';
    return 0;
}

enum control_outcome control_log(struct control_call *call)
{
    struct log_query q = {.limit = CONTROL_LIST_MAX};
    uint64_t from = 1, last = 0, now = store_generation(call->c->store);
    enum control_outcome outcome = CONTROL_REFUSED;
    struct buf key;

    buf_init(&key, 2 * ROUTE_KEY_MAX);
    if (control_number(call->request, "from", INT64_MAX, false, &from, call->err) != 0 ||
        control_number(call->request, "last", INT64_MAX, false, &last, call->err) != 0 ||
        control_flag(call->request, "steps", &q.in_steps, call->err) != 0 ||
        control_number(call->request, "limit", CONTROL_LIST_MAX, false, &q.limit, call->err) != 0)
        goto done;
    if (json_object_get(call->request, "since")) {
        if (control_number(call->request, "since", INT64_MAX, true, &from, call->err) != 0 ||
            store_log_reaches(call->c->store, call->txn, from, call->err) != 0)
            goto done;
        from++;
    }
    if (json_object_get(call->request, "key") &&
        control_key(call->c->conf, call->request, &key, call->err) != 0)
        goto done;
    q.key = buf_slice(&key);
    q.in_steps = q.in_steps && q.key.n == 0;
    q.changes = json_array();
    json_object_set_new(call->reply, "changes", q.changes);
    outcome = CONTROL_FAILED;
    if ((last && find_last(call, &q, last, now, &from) != 0) ||
        store_scan_history(call->c->store, call->txn, from, log_one, &q, call->err) != 0)
        goto done;
    json_object_set_new(
        call->reply, "next", q.next ? json_integer((json_int_t)q.next) : json_null());
    control_set_u64(call->reply, "generation", now);
    outcome = CONTROL_DONE;
done:
    buf_fini(&key);
    return outcome;
}
