/* SPDX-License-Identifier: ISC */
/*
 * decide: where one recipient's mail goes now.  A pure function of configuration, map, recipient,
 * source, stamps and time, shared by relay, milter, socket map, login routing and `explain`.
 *
 * It guarantees that nothing is answered 5xx while the state of a key it needs is unknown or a
 * hold lasts, that "no such user" is only said of keys that a complete map does not have, and that
 * the address to deliver to can be put on the wire as it is.  It lists every key that it consulted,
 * absent ones too, with the epoch it saw: the claims (maps/claims.h) are made from that list.
 *
 * An alias, a group that is expanded here and a forward have no route: each target is decided as a
 * recipient of its own, with all its keys on the list, and what comes of it is a delivery.  When
 * one of them is held, or its state is not known, so is the whole: half a message is never
 * delivered. A target that there is not (a leaver in a group) is passed over while another one is
 * left, and counted; nobody is told, because a sender could do nothing about it.
 *
 * Two things follow from the list and are meant so.  The "@domain" key is on every list, so a hold
 * of the domain holds all its users.  A change of the "@domain" entry sends deliveries of the
 * domain that are just before their dot back to the sender with 451 once.
 */
#include "maps/decide_parts.h"

#include "base/mail/address.h"
#include "maps/delivery.h"

/* --- Deliveries --------------------------------------------------------------------------- */

static bool add_delivery(struct decide_job *j, const struct decide_delivery *new)
{
    struct decision *d = j->out;
    if (decision_has(d, new))
        return true;
    if (d->n_deliveries == DECIDE_DELIVERIES_MAX) {
        decide_answer_endless(j, "The map leads this recipient to too many addresses");
        return false;
    }
    if (d->n_deliveries > 0) {
        void *all = d->deliveries;
        /* Powers of two from one on: full when the number is one. */
        size_t cap = d->n_deliveries;
        if ((cap & (cap - 1)) == 0) {
            if (!decide_make_room(j, &all, d->n_deliveries, &cap, sizeof *d->deliveries))
                return false;
            d->deliveries = all;
        }
    }
    d->deliveries[d->n_deliveries++] = *new;
    return true;
}

/* The copy for the second server of a user who is on both. */
static bool add_copy(struct decide_job *j)
{
    char address[ROUTE_KEY_MAX + 1];
    if (!decide_has_entry(j) || j->entry.state != ROUTE_STATE_BOTH ||
        j->entry.until_s <= j->req->now_s)
        return true;
    struct decide_delivery copy = j->delivery;
    copy.server = conf_server_index(j->conf, j->entry.also);
    copy.is_copy = true;
    if (copy.server == CONF_SERVER_NONE ||
        !conf_server_takes_mail(&j->conf->servers[copy.server]) ||
        delivery_address(j->domain, j->rcpt, decide_recipient_key(j), j->by, SLICE_NONE, address) !=
            DELIVERY_GOOD) {
        decide_step(j, "no copy: %.*s takes no mail", SLICE_ARG(j->entry.also));
        return true;
    }
    copy.address = decide_keep_text(j, slice_str(address));
    decide_step(j, "and a copy to %.*s as %s", SLICE_ARG(j->entry.also), copy.address);
    return add_delivery(j, &copy);
}

/* --- Aliases ------------------------------------------------------------------------------- */

static enum decision_kind settle(struct decide_job *j);
static enum decision_kind look_and_settle(struct decide_job *j, struct slice key);

static bool has_targets(const struct decide_job *j)
{
    return decide_has_entry(j) &&
           (j->entry.kind == ROUTE_KIND_ALIAS || j->entry.kind == ROUTE_KIND_FORWARD ||
               (j->entry.kind == ROUTE_KIND_GROUP && j->entry.route.n == 0));
}

/* Is the entry that decides here one of those on the way here? */
static bool is_loop(const struct decide_job *j)
{
    struct slice key = decision_key(j->out, j->delivery.key);
    for (const struct decide_job *up = j->from; up; up = up->from)
        if (slice_eq(key, decision_key(j->out, up->delivery.key)))
            return true;
    return false;
}

static enum decision_kind leave(struct decide_job *j, struct slice target)
{
    struct decide_delivery d = {.server = CONF_SERVER_NONE,
        .epoch = j->entry.epoch,
        .key = j->delivery.key,
        .rcpt = j->own,
        .is_outside = true,
        .address = decide_keep_text(j, target)};
    decide_step(j, "%.*s is outside: forward", SLICE_ARG(target));
    return add_delivery(j, &d) ? DECIDE_DELIVER : DECIDE_DEFER;
}

static enum decision_kind follow(struct decide_job *from, struct slice target)
{
    struct decide_job j = {.conf = from->conf,
        .view = from->view,
        .req = from->req,
        .mem = from->mem,
        .out = from->out,
        .cap_keys = from->cap_keys,
        .is_full = from->is_full,
        .steps = from->steps,
        .from = from,
        .depth = from->depth + 1,
        .rcpt = target};
    enum decision_kind kind;
    struct buf key;
    buf_init(&key, ROUTE_KEY_MAX);
    if (normalise_key(j.conf, target, &key) != 0) {
        decide_answer(&j, DECIDE_DEFER, 451, "4.3.5", "The map names a target that is no address");
        kind = DECIDE_DEFER;
    } else if (!(j.domain = conf_domain(j.conf, normalise_domain(buf_slice(&key))))) {
        kind = leave(from, target);
    } else if (j.depth > DECIDE_DEPTH_MAX || j.out->n_keys + DECIDE_KEYS_FIRST > DECIDE_KEYS_MAX) {
        decide_step(
            &j, "%u aliases one behind the other, or %zu keys: too many", j.depth, j.out->n_keys);
        decide_answer_endless(&j, "The map leads this recipient through too many aliases");
        kind = DECIDE_DEFER;
    } else {
        kind = look_and_settle(&j, buf_slice(&key));
    }
    if (kind == DECIDE_HOLD)
        from->delivery.server = j.delivery.server;
    buf_fini(&key);
    return kind;
}

/* Of the deliveries that this entry has led to, but for those that an owner on the way has. */
static void send_errors_to_owner(struct decide_job *j, size_t first)
{
    const char *owner = NULL;
    if (j->entry.owner.n == 0 || j->by == DECIDE_BY_LIST)
        return;
    for (size_t i = first; i < j->out->n_deliveries; i++) {
        struct decide_delivery *d = &j->out->deliveries[i];
        if (d->errors_to)
            continue;
        if (!owner) {
            owner = decide_keep_text(j, j->entry.owner);
            decide_step(j, "errors go to the owner %.*s", SLICE_ARG(j->entry.owner));
        }
        d->errors_to = owner;
    }
}

/* All targets of the entry; the whole waits for each of them. */
static enum decision_kind expand(struct decide_job *j)
{
    struct slice rest = j->entry.targets, target;
    size_t delivered = 0, skipped = 0, first = j->out->n_deliveries;
    if (is_loop(j)) {
        decide_step(j, "this alias leads to itself");
        decide_answer_endless(j, "The map leads this recipient in a circle");
        return DECIDE_DEFER;
    }
    if (rest.n == 0) {
        decide_answer(j, DECIDE_DEFER, 451, "4.3.5", "The map leads this recipient nowhere");
        return DECIDE_DEFER;
    }
    while (route_list_next(&rest, &target)) {
        enum decision_kind kind = follow(j, target);
        if (*j->is_full || kind == DECIDE_HOLD || kind == DECIDE_DEFER)
            return kind;
        if (kind == DECIDE_DELIVER)
            delivered++;
        else
            skipped++;
    }
    if (delivered == 0)
        return DECIDE_REJECT;
    send_errors_to_owner(j, first);
    if (skipped > 0)
        decide_step(j, "%zu targets that there are not are passed over", skipped);
    j->out->n_skipped += skipped;
    return DECIDE_DELIVER;
}

/* ------------------------------------------------------------------------------------ */

/* What comes of an address whose keys were looked up. DELIVER: its deliveries are listed; else the
 * answer is in the decision. */
static enum decision_kind settle(struct decide_job *j)
{
    struct decide_delivery *d = &j->delivery;
    if (j->is_unknown) {
        decide_answer(
            j, DECIDE_DEFER, 451, "4.3.0", "Recipient map is not available, try again later");
        return DECIDE_DEFER;
    }
    if (j->is_held) {
        if (decide_has_entry(j)) {
            d->server = conf_server_index(j->conf, j->entry.route);
            d->epoch = j->entry.epoch;
        }
        decide_answer(j, DECIDE_HOLD, 450, "4.2.1", "Mailbox is being moved, try again later");
        return DECIDE_HOLD;
    }
    if (!decide_check_senders(j))
        return DECIDE_REJECT;
    if (has_targets(j))
        return expand(j);
    if (!decide_choose_server(j) || !decide_set_address(j) || !decide_check_direction(j) ||
        !decide_check_loop(j)) {
        d->address = "";
        return j->out->kind;
    }
    decide_step(
        j, "deliver to %.*s as %s", SLICE_ARG(decide_server_name(j, d->server)), d->address);
    return add_delivery(j, d) && add_copy(j) ? DECIDE_DELIVER : DECIDE_DEFER;
}

/* The stores hold the bytes of what is found: one for the address, one for its domain. */
static enum decision_kind look_and_settle(struct decide_job *j, struct slice key)
{
    struct route_store stores[2];
    char domain_key[ROUTE_KEY_MAX + 1];
    struct slice domain = normalise_domain(key);
    struct buf bare;

    BUG_ON(domain.n + 1 > sizeof domain_key);
    domain_key[0] = '@';
    memcpy(domain_key + 1, domain.p, domain.n);
    j->domain_key = slice_make(domain_key, domain.n + 1);
    j->own = j->out->n_keys;
    j->delivery = (struct decide_delivery){
        .server = CONF_SERVER_NONE, .address = "", .key = DECIDE_NO_KEY, .rcpt = j->own};
    buf_init(&bare, ROUTE_KEY_MAX);
    decide_find_entry(j, key, stores, &bare);
    enum decision_kind kind = *j->is_full ? DECIDE_DEFER : settle(j);
    buf_fini(&bare);
    return kind;
}

/* Room for the usual keys and the first delivery. */
static bool prepare(struct decide_job *j)
{
    struct decision *d = j->out;
    *d = (struct decision){.text = ""};
    *j->cap_keys = DECIDE_KEYS_FIRST;
    d->keys = arena_alloc(j->mem, DECIDE_KEYS_FIRST * sizeof *d->keys);
    d->deliveries = arena_alloc(j->mem, sizeof *d->deliveries);
    return d->keys && d->deliveries;
}

/* Somebody has asked for more than there is room for: later he may have less to ask. */
static void answer_full(struct decide_job *j)
{
    *j->out = (struct decision){0};
    decide_answer(j, DECIDE_DEFER, 451, "4.3.0", "Too many recipients at once, try again later");
}

static void decide_recipient(struct decide_job *j, struct slice key)
{
    struct decision *d = j->out;
    enum decision_kind kind = look_and_settle(j, key);
    if (*j->is_full)
        return;
    d->by = j->by;
    d->kind = kind;
    if (kind == DECIDE_DELIVER) {
        /* Of a target that was passed over. */
        d->code = 0;
        d->enhanced[0] = '\0';
        d->text = "";
        return;
    }
    j->delivery.address = "";
    d->deliveries[0] = j->delivery;
    d->n_deliveries = 1;
    d->n_skipped = 0;
}

void decide(const struct conf *conf, const struct route_view *view,
    const struct decide_request *req, struct arena *mem, struct decision *out, struct buf *steps)
{
    bool is_full = false;
    size_t cap_keys;
    struct decide_job j = {.conf = conf,
        .view = view,
        .req = req,
        .mem = mem,
        .out = out,
        .cap_keys = &cap_keys,
        .is_full = &is_full,
        .steps = steps,
        .rcpt = req->rcpt};
    struct buf key;
    buf_init(&key, ROUTE_KEY_MAX);
    if (!prepare(&j)) {
        is_full = true;
        goto done;
    }
    if (req->rcpt.n == 0 || req->rcpt.p[0] == '@' || normalise_key(conf, req->rcpt, &key) != 0) {
        struct address a;
        bool is_address = address_parse(req->rcpt, &a) == 0;
        decide_step(&j, "the recipient is not an address that the map could have");
        decide_answer(&j, DECIDE_NOT_OURS, is_address ? 550 : 501, is_address ? "5.7.1" : "5.1.3",
            is_address ? "Relaying denied" : "Recipient is not a valid address");
        goto done;
    }
    if (view->expect)
        view->expect(view->arg, route_key_hash(buf_slice(&key)));
    struct slice domain = normalise_domain(buf_slice(&key));
    decide_step(&j, "the key of %.*s is %s", SLICE_ARG(req->rcpt), buf_cstr(&key));
    j.domain = conf_domain(conf, domain);
    if (!j.domain) {
        decide_step(&j, "%.*s is not a domain of the configuration", SLICE_ARG(domain));
        decide_answer(&j, DECIDE_NOT_OURS, 550, "5.7.1", "Relaying denied");
        goto done;
    }
    decide_recipient(&j, buf_slice(&key));
done:
    if (is_full)
        answer_full(&j);
    buf_fini(&key);
}
