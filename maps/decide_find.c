/* SPDX-License-Identifier: ISC */
/* decide_find: which entry decides, and every key that was asked for it. */
#include "maps/decide_parts.h"

#include <inttypes.h>

static struct decide_key *add_key(struct decide_job *j)
{
    struct decision *d = j->out;
    void *keys = d->keys;
    if (!decide_make_room(j, &keys, d->n_keys, j->cap_keys, sizeof *d->keys))
        return NULL;
    d->keys = keys;
    return &d->keys[d->n_keys++];
}

static void tell_entry(const struct decide_job *j, struct slice key, const struct route_entry *e)
{
    struct slice rest = e->targets, target;
    if (!j->steps)
        return;
    if (e->kind == ROUTE_KIND_REJECT || (e->route.n == 0 && e->targets.n > 0))
        decide_step(j, "%.*s: %s, %s, epoch %" PRIu64, SLICE_ARG(key), route_kind_name(e->kind),
            route_state_name(e->state), e->epoch);
    else
        decide_step(j, "%.*s: %s on %.*s, %s, epoch %" PRIu64, SLICE_ARG(key),
            route_kind_name(e->kind), SLICE_ARG(e->route.n ? e->route : SLICE_LIT("the default")),
            route_state_name(e->state), e->epoch);
    if (e->deliver_as.n)
        decide_step(j, "%.*s: delivered as %.*s", SLICE_ARG(key), SLICE_ARG(e->deliver_as));
    while (e->route.n == 0 && route_list_next(&rest, &target))
        decide_step(j, "%.*s: to %.*s", SLICE_ARG(key), SLICE_ARG(target));
}

/* Consults one key; true when a live entry is there. */
static bool look(
    struct decide_job *j, struct slice key, struct route_store *store, struct route_entry *e)
{
    struct decision *d = j->out;
    BUG_ON(d->n_keys == DECIDE_KEYS_MAX || key.n > ROUTE_KEY_MAX);
    route_entry_clear(e);
    struct decide_key *k = add_key(j);
    if (!k)
        return false;
    enum route_answer found = j->view->get(j->view->arg, key, store, e);
    k->text = decide_keep_text(j, key);
    k->n = key.n;
    k->hash = route_key_hash(key);
    k->epoch = e->epoch;

    switch (found) {
    case ROUTE_UNKNOWN:
        j->is_unknown = true;
        decide_step(j, "%.*s: the state of the map is unknown", SLICE_ARG(key));
        return false;
    case ROUTE_NOT_FOUND:
        if (e->epoch)
            decide_step(j, "%.*s: deleted, epoch %" PRIu64, SLICE_ARG(key), e->epoch);
        else
            decide_step(j, "%.*s: no entry", SLICE_ARG(key));
        return false;
    case ROUTE_FOUND:
        break;
    }
    tell_entry(j, key, e);
    return true;
}

/* The entry decides, or (absent or deleted) is the reason that a later one does. */
static void note_change(struct decide_job *j, const struct route_entry *e)
{
    int64_t when = e->epoch > 0 && e->when_s == 0 ? INT64_MAX : e->when_s;
    if (when > j->changed_s)
        j->changed_s = when;
}

static bool use(struct decide_job *j, const struct route_entry *e, enum decide_by by)
{
    if (e->state == ROUTE_STATE_HELD) {
        j->is_held = true;
    } else if ((e->kind == ROUTE_KIND_REJECT || e->state == ROUTE_STATE_RETIRING) && j->is_role) {
        decide_step(j, "postmaster and abuse are always valid: the %s entry is passed over",
            e->kind == ROUTE_KIND_REJECT ? "reject" : "retiring");
        return false;
    }
    j->entry = *e;
    j->by = by;
    j->delivery.key = j->out->n_keys - 1;
    return true;
}

/* The entry of a list decides on its other addresses too, if a server knows them.  A list that is
 * expanded here has only members and an owner, and it is the owner who is asked for: never may a
 * request be taken for mail to the list.  False: there is no list. */
static bool use_list(struct decide_job *j, struct slice key, struct route_store *store,
    struct route_entry *e, bool *is_done)
{
    decide_step(j, "an address of the list %.*s", SLICE_ARG(key));
    bool is_there = look(j, key, store, e);
    note_change(j, e);
    if (!is_there)
        return false;
    if (e->state != ROUTE_STATE_HELD && e->route.n == 0 && e->targets.n > 0) {
        if (e->owner.n == 0) {
            decide_step(j, "%.*s is expanded here and has no owner", SLICE_ARG(key));
            return true;
        }
        decide_step(
            j, "%.*s is expanded here: to its owner %.*s", SLICE_ARG(key), SLICE_ARG(e->owner));
        e->kind = ROUTE_KIND_ALIAS;
        e->targets = e->owner;
    }
    *is_done = use(j, e, DECIDE_BY_LIST);
    return true;
}

/* The keys of the user or list that an address without an entry belongs to. */
static bool find_base(struct decide_job *j, struct slice key, struct route_store *store,
    struct route_entry *e, struct buf *bare)
{
    struct buf list;
    bool is_done = false, has_list = false;
    buf_init(&list, ROUTE_KEY_MAX);
    bool is_list = normalise_list(j->domain, key, &list);
    if (is_list)
        has_list = use_list(j, buf_slice(&list), store, e, &is_done);
    if (!has_list && normalise_strip_detail(j->domain, key, bare)) {
        j->is_role = normalise_is_role(buf_slice(bare));
        bool is_there = look(j, buf_slice(bare), store, e);
        is_done = is_there && use(j, e, DECIDE_BY_BARE_KEY);
        note_change(j, e);
        if (!j->from)
            j->out->user = j->out->n_keys - 1;
        if (!is_there && !is_list && normalise_list(j->domain, buf_slice(bare), &list))
            has_list = use_list(j, buf_slice(&list), store, e, &is_done);
    }
    if (has_list && is_done && !j->from)
        j->out->user = j->out->n_keys - 1;
    buf_fini(&list);
    return is_done;
}

void decide_find_entry(
    struct decide_job *j, struct slice key, struct route_store stores[2], struct buf *bare)
{
    struct route_entry e;
    j->is_role = normalise_is_role(key);
    bool is_there = look(j, key, &stores[0], &e);
    note_change(j, &e);
    bool is_done = is_there && use(j, &e, DECIDE_BY_KEY);
    if (!j->from)
        j->out->user = j->out->n_keys - 1;
    if (!is_there)
        is_done = find_base(j, key, &stores[0], &e, bare);

    is_there = look(j, j->domain_key, &stores[1], &e);
    if (is_there && e.state == ROUTE_STATE_HELD) {
        decide_step(j, "the whole domain is held");
        j->is_held = true;
    }
    if (is_done || j->is_role)
        return;
    note_change(j, &e);
    if (is_there && (e.kind == ROUTE_KIND_REJECT || e.route.n > 0 || e.targets.n > 0)) {
        j->entry = e;
        j->by = DECIDE_BY_DOMAIN;
        j->delivery.key = j->out->n_keys - 1;
    }
}
