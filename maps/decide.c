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
#include "maps/route.h"

#include <inttypes.h>
#include "base/mail/address.h"
#include "maps/delivery.h"
#include "maps/senders.h"

/* One address: the recipient, or a target of an alias. */
struct job {
    const struct conf *conf;
    const struct conf_domain *domain;
    const struct route_view *view;
    const struct decide_request *req;
    struct arena *mem;
    struct decision *out;
    size_t *cap_keys; /* of out->keys */
    bool *is_full;    /* mem is */
    struct buf *steps;
    const struct job *from; /* the alias whose target this is; NULL: the recipient itself */
    unsigned depth;
    struct slice rcpt;               /* the address */
    size_t own;                      /* index of its first key */
    struct decide_delivery delivery; /* what is being made */
    enum decide_by by;
    struct slice domain_key;  /* "@domain" */
    struct route_entry entry; /* that decides, when has_entry() */
    bool is_role;             /* postmaster or abuse */
    bool is_unknown;
    bool is_held;
    int64_t changed_s; /* last change of what decides; INT64_MAX: not known */
};

#define KEYS_FIRST 4 /* exact, its list, without detail, @domain: as many as an address has */

static bool has_entry(const struct job *j)
{
    return j->by != DECIDE_BY_DEFAULT;
}

/* --- Telling -------------------------------------------------------------------- */

static void step(const struct job *j, const char *fmt, ...) ATTR_PRINTF(2, 3);
static void step(const struct job *j, const char *fmt, ...)
{
    if (!j->steps)
        return;
    size_t start = j->steps->n;
    va_list ap;
    va_start(ap, fmt);
    int rc = buf_vaddf(j->steps, fmt, ap);
    va_end(ap);
    if (rc != 0)
        return;
    for (size_t i = j->steps->off + start; i < j->steps->off + j->steps->n; i++)
        if (j->steps->p[i] < 0x20 || j->steps->p[i] == 0x7f)
            j->steps->p[i] = '?';
    if (buf_add_byte(j->steps, '\n') != 0)
        buf_truncate(j->steps, start);
}

static void answer(
    const struct job *j, enum decision_kind kind, int code, const char *enhanced, const char *text)
{
    j->out->kind = kind;
    j->out->code = code;
    j->out->text = text;
    if (fmt_into(j->out->enhanced, sizeof j->out->enhanced, "%s", enhanced) != 0)
        BUG("an enhanced code does not fit");
    step(j, "answer: %d %s %s", code, enhanced, text);
}

static void answer_endless(struct job *j, const char *text)
{
    j->out->is_endless = true;
    answer(j, DECIDE_DEFER, 451, "4.3.5", text);
}

/* The name of a server as reply text takes it. */
static void reply_name(struct slice name, char out[65])
{
    size_t n = name.n < 64 ? name.n : 64;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(ascii_is_print(name.p[i]) ? name.p[i] : '?');
    out[n] = '\0';
}

static struct slice server_name(const struct job *j, int server)
{
    return server == CONF_SERVER_NONE ? SLICE_NONE : slice_str(j->conf->servers[server].name);
}

/* A terminated copy in the arena; "" when that is full, which is found out at the end. */
static const char *keep_text(struct job *j, struct slice text)
{
    char *copy = arena_alloc(j->mem, text.n + 1);
    if (!copy) {
        *j->is_full = true;
        return "";
    }
    memcpy(copy, text.p, text.n);
    return copy;
}

/* --- Looking up -------------------------------------------------------------------- */

static struct slice recipient_key(const struct job *j)
{
    return decision_key(j->out, j->own);
}

/* Room for one more of an array in the arena; false when that is full. */
static bool make_room(struct job *j, void **array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    void *more = arena_alloc(j->mem, 2 * *cap * size);
    if (!more) {
        *j->is_full = true;
        return false;
    }
    memcpy(more, *array, n * size);
    *array = more;
    *cap *= 2;
    return true;
}

static struct decide_key *add_key(struct job *j)
{
    struct decision *d = j->out;
    void *keys = d->keys;
    if (!make_room(j, &keys, d->n_keys, j->cap_keys, sizeof *d->keys))
        return NULL;
    d->keys = keys;
    return &d->keys[d->n_keys++];
}

static void tell_entry(const struct job *j, struct slice key, const struct route_entry *e)
{
    struct slice rest = e->targets, target;
    if (!j->steps)
        return;
    if (e->kind == ROUTE_KIND_REJECT || (e->route.n == 0 && e->targets.n > 0))
        step(j, "%.*s: %s, %s, epoch %" PRIu64, SLICE_ARG(key), route_kind_name(e->kind),
            route_state_name(e->state), e->epoch);
    else
        step(j, "%.*s: %s on %.*s, %s, epoch %" PRIu64, SLICE_ARG(key), route_kind_name(e->kind),
            SLICE_ARG(e->route.n ? e->route : SLICE_LIT("the default")), route_state_name(e->state),
            e->epoch);
    if (e->deliver_as.n)
        step(j, "%.*s: delivered as %.*s", SLICE_ARG(key), SLICE_ARG(e->deliver_as));
    while (e->route.n == 0 && route_list_next(&rest, &target))
        step(j, "%.*s: to %.*s", SLICE_ARG(key), SLICE_ARG(target));
}

/* Consults one key; true when a live entry is there. */
static bool look(struct job *j, struct slice key, struct route_store *store, struct route_entry *e)
{
    struct decision *d = j->out;
    BUG_ON(d->n_keys == DECIDE_KEYS_MAX || key.n > ROUTE_KEY_MAX);
    route_entry_clear(e);
    struct decide_key *k = add_key(j);
    if (!k)
        return false;
    enum route_answer found = j->view->get(j->view->arg, key, store, e);
    k->text = keep_text(j, key);
    k->n = key.n;
    k->hash = route_key_hash(key);
    k->epoch = e->epoch;

    switch (found) {
    case ROUTE_UNKNOWN:
        j->is_unknown = true;
        step(j, "%.*s: the state of the map is unknown", SLICE_ARG(key));
        return false;
    case ROUTE_NOT_FOUND:
        if (e->epoch)
            step(j, "%.*s: deleted, epoch %" PRIu64, SLICE_ARG(key), e->epoch);
        else
            step(j, "%.*s: no entry", SLICE_ARG(key));
        return false;
    case ROUTE_FOUND:
        break;
    }
    tell_entry(j, key, e);
    return true;
}

/* The entry decides, or (absent or deleted) is the reason that a later one does. */
static void note_change(struct job *j, const struct route_entry *e)
{
    int64_t when = e->epoch > 0 && e->when_s == 0 ? INT64_MAX : e->when_s;
    if (when > j->changed_s)
        j->changed_s = when;
}

static bool use(struct job *j, const struct route_entry *e, enum decide_by by)
{
    if (e->state == ROUTE_STATE_HELD) {
        j->is_held = true;
    } else if ((e->kind == ROUTE_KIND_REJECT || e->state == ROUTE_STATE_RETIRING) && j->is_role) {
        step(j, "postmaster and abuse are always valid: the %s entry is passed over",
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
static bool use_list(struct job *j, struct slice key, struct route_store *store,
    struct route_entry *e, bool *is_done)
{
    step(j, "an address of the list %.*s", SLICE_ARG(key));
    bool is_there = look(j, key, store, e);
    note_change(j, e);
    if (!is_there)
        return false;
    if (e->state != ROUTE_STATE_HELD && e->route.n == 0 && e->targets.n > 0) {
        if (e->owner.n == 0) {
            step(j, "%.*s is expanded here and has no owner", SLICE_ARG(key));
            return true;
        }
        step(j, "%.*s is expanded here: to its owner %.*s", SLICE_ARG(key), SLICE_ARG(e->owner));
        e->kind = ROUTE_KIND_ALIAS;
        e->targets = e->owner;
    }
    *is_done = use(j, e, DECIDE_BY_LIST);
    return true;
}

/* The keys of the user or list that an address without an entry belongs to. */
static bool find_base(struct job *j, struct slice key, struct route_store *store,
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

/* Consults keys in order and leaves the entry that decides, if there is one.  The stores hold its
 * bytes: one for the recipient, one for the domain. */
static void find_entry(
    struct job *j, struct slice key, struct route_store stores[2], struct buf *bare)
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
        step(j, "the whole domain is held");
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

/* --- Judging -------------------------------------------------------------------- */

/* The answer of a reject entry: its own, or that there is nobody. */
static void answer_reject(struct job *j)
{
    const struct route_entry *e = &j->entry;
    unsigned code = e->reply_code ? e->reply_code : 550;
    bool is_final = code >= 500;
    size_t n = decision_enhanced(e->reply_text, code / 100);
    struct slice text = slice_trim(slice_from(e->reply_text, n));
    char enhanced[8] = "";
    if (n > 0) {
        memcpy(enhanced, e->reply_text.p, n);
        enhanced[n] = '\0';
    }
    answer(j, is_final ? DECIDE_REJECT : DECIDE_DEFER, (int)code,
        n > 0      ? enhanced
        : is_final ? "5.1.1"
                   : "4.2.1",
        text.n > 0 ? keep_text(j, text)
        : is_final ? "Recipient unknown"
                   : "Mailbox is not available, try again later");
}

static void answer_retiring(struct job *j)
{
    if (j->entry.until_s > j->req->now_s)
        answer(j, DECIDE_DEFER, 451, "4.2.1", "Mailbox is being closed, try again later");
    else
        answer(j, DECIDE_REJECT, 550, "5.1.1", "Recipient unknown");
}

/* The server that the map or the configuration names, in the delivery; false when the answer is
 * given already. */
static bool find_server(struct job *j)
{
    struct decide_delivery *d = &j->delivery;
    if (has_entry(j) && j->entry.kind == ROUTE_KIND_REJECT) {
        answer_reject(j);
        return false;
    }
    if (has_entry(j) && j->entry.state == ROUTE_STATE_RETIRING) {
        answer_retiring(j);
        return false;
    }
    if (has_entry(j) && (j->entry.route.n > 0 || !j->is_role)) {
        d->epoch = j->entry.epoch;
        d->server = conf_server_index(j->conf, j->entry.route);
        if (d->server != CONF_SERVER_NONE)
            return true;
        step(j, "the map names a server that the configuration does not have: %.*s",
            SLICE_ARG(j->entry.route));
        answer(
            j, DECIDE_DEFER, 451, "4.3.5", "Recipient is routed to a server not configured here");
        return false;
    }
    if (j->is_role) {
        d->server = j->domain->postmaster_server;
        if (d->server == CONF_SERVER_NONE) {
            answer(j, DECIDE_DEFER, 451, "4.3.5", "No server is configured for the postmaster");
            return false;
        }
        step(j, "postmaster and abuse are always valid: they go to %.*s",
            SLICE_ARG(server_name(j, d->server)));
        return true;
    }
    d->server = j->domain->default_server;
    if (d->server == CONF_SERVER_NONE) {
        step(j, "the domain's default is reject");
        answer(j, DECIDE_REJECT, 550, "5.1.1", "Recipient unknown");
        return false;
    }
    step(j, "the domain's default is %.*s", SLICE_ARG(server_name(j, d->server)));
    return true;
}

/* The same, and mail can be sent there. */
static bool choose_server(struct job *j)
{
    if (!find_server(j))
        return false;
    if (conf_server_takes_mail(&j->conf->servers[j->delivery.server]))
        return true;
    step(j, "%.*s has no smtp address in the configuration",
        SLICE_ARG(server_name(j, j->delivery.server)));
    answer(j, DECIDE_DEFER, 451, "4.3.5", "Recipient is routed to a server that takes no mail");
    j->delivery.server = CONF_SERVER_NONE;
    return false;
}

static bool set_address(struct job *j)
{
    char address[ROUTE_KEY_MAX + 1];
    switch (delivery_address(j->domain, j->rcpt, recipient_key(j), j->by,
        has_entry(j) ? j->entry.deliver_as : SLICE_NONE, address)) {
    case DELIVERY_GOOD:
        j->delivery.address = keep_text(j, slice_str(address));
        return true;
    case DELIVERY_BROKEN:
        answer(j, DECIDE_DEFER, 451, "4.3.5", "The map names a delivery address that is not one");
        return false;
    case DELIVERY_FOREIGN:
        break;
    }
    step(j, "a server could read a foreign address in it: only an entry of its own helps");
    j->delivery.server = CONF_SERVER_NONE;
    answer(j, DECIDE_REJECT, 550, "5.1.1", "Recipient unknown");
    return false;
}

/* A message from the server itself; false when it may not go back there. */
static bool check_direction(struct job *j)
{
    if (j->req->source_server == CONF_SERVER_NONE)
        return true;
    struct slice from = server_name(j, j->req->source_server);
    if (j->from) {
        step(j, "comes from %.*s, which does not know the alias: fine", SLICE_ARG(from));
        return true;
    }
    if (j->req->source_server != j->delivery.server) {
        step(j, "comes from %.*s, another server: fine", SLICE_ARG(from));
        return true;
    }
    if (j->domain->model == CONF_MODEL_CENTRAL) {
        step(j, "comes from %.*s itself: internal mail in the central model", SLICE_ARG(from));
        return true;
    }
    step(j, "comes from %.*s itself, which does not know its own user (chaining)", SLICE_ARG(from));
    int64_t grace_s = (int64_t)(j->conf->mapd.direction_grace_ms / 1000);
    bool is_recent = j->changed_s == INT64_MAX || j->changed_s > j->req->now_s - grace_s;
    if (is_recent || j->is_role) {
        step(j, is_recent ? "the entry changed less than direction_grace ago"
                          : "postmaster and abuse are always valid");
        answer(j, DECIDE_DEFER, 451, "4.4.6",
            "The server of this recipient sent the message back, try again later");
    } else {
        answer(j, DECIDE_REJECT, 550, "5.1.1", "Recipient unknown to the server that has it");
    }
    return false;
}

/* The other server of a loop is the one that sent the message, else the newest other that stamped
 * it. */
static struct slice loop_partner(const struct job *j, struct slice name)
{
    if (j->req->source_server != CONF_SERVER_NONE)
        return server_name(j, j->req->source_server);
    struct slice partner = SLICE_LIT("a host outside");
    int64_t newest = INT64_MIN;
    for (size_t i = 0; i < j->req->n_stamps; i++) {
        const struct decide_stamp *s = &j->req->stamps[i];
        if (!slice_eq(s->server, name) && s->time_s > newest) {
            partner = s->server;
            newest = s->time_s;
        }
    }
    return partner;
}

static bool check_loop(struct job *j)
{
    struct slice name = server_name(j, j->delivery.server);
    size_t same = 0;
    for (size_t i = 0; i < j->req->n_stamps; i++) {
        const struct decide_stamp *s = &j->req->stamps[i];
        bool is_same = slice_eq(s->server, name) && s->epoch == j->delivery.epoch;
        same += is_same;
        step(j, "stamp: routed to %.*s under epoch %" PRIu64 "%s", SLICE_ARG(s->server), s->epoch,
            is_same ? ", as now" : "");
    }
    if (same >= 2) {
        char to[65], from[65], text[DECIDE_TEXT_MAX];
        reply_name(name, to);
        reply_name(loop_partner(j, name), from);
        if (fmt_into(text, sizeof text, "Mail loop between %s and %s", to, from) != 0)
            BUG("two names do not fit");
        answer(j, DECIDE_REJECT, 554, "5.4.6", keep_text(j, slice_str(text)));
        return false;
    }
    if (j->req->hops_max > 0 && j->req->hops > j->req->hops_max) {
        step(j, "%zu hops, more than %zu", j->req->hops, j->req->hops_max);
        answer(j, DECIDE_REJECT, 554, "5.4.6", "Too many hops");
        return false;
    }
    return true;
}

/* --- Who may send ------------------------------------------------------------------------- */

static bool check_senders(struct job *j)
{
    /* Whoever may not send to a list may ask for things, and its errors come from nobody. */
    if (!has_entry(j) || j->entry.senders.n == 0 || j->by == DECIDE_BY_LIST)
        return true;
    if (!j->req->has_sender)
        step(j, "only %s may send there: not checked without a sender", senders_name(&j->entry));
    if (senders_may(j->conf, &j->entry, j->req))
        return true;
    answer(j, DECIDE_REJECT, 550, "5.7.1", "You may not send to this address");
    return false;
}

/* --- Deliveries --------------------------------------------------------------------------- */

static bool add_delivery(struct job *j, const struct decide_delivery *new)
{
    struct decision *d = j->out;
    if (decision_has(d, new))
        return true;
    if (d->n_deliveries == DECIDE_DELIVERIES_MAX) {
        answer_endless(j, "The map leads this recipient to too many addresses");
        return false;
    }
    if (d->n_deliveries > 0) {
        void *all = d->deliveries;
        /* Powers of two from one on: full when the number is one. */
        size_t cap = d->n_deliveries;
        if ((cap & (cap - 1)) == 0) {
            if (!make_room(j, &all, d->n_deliveries, &cap, sizeof *d->deliveries))
                return false;
            d->deliveries = all;
        }
    }
    d->deliveries[d->n_deliveries++] = *new;
    return true;
}

/* The copy for the second server of a user who is on both. */
static bool add_copy(struct job *j)
{
    char address[ROUTE_KEY_MAX + 1];
    if (!has_entry(j) || j->entry.state != ROUTE_STATE_BOTH || j->entry.until_s <= j->req->now_s)
        return true;
    struct decide_delivery copy = j->delivery;
    copy.server = conf_server_index(j->conf, j->entry.also);
    copy.is_copy = true;
    if (copy.server == CONF_SERVER_NONE ||
        !conf_server_takes_mail(&j->conf->servers[copy.server]) ||
        delivery_address(j->domain, j->rcpt, recipient_key(j), j->by, SLICE_NONE, address) !=
            DELIVERY_GOOD) {
        step(j, "no copy: %.*s takes no mail", SLICE_ARG(j->entry.also));
        return true;
    }
    copy.address = keep_text(j, slice_str(address));
    step(j, "and a copy to %.*s as %s", SLICE_ARG(j->entry.also), copy.address);
    return add_delivery(j, &copy);
}

/* --- Aliases ------------------------------------------------------------------------------- */

static enum decision_kind settle(struct job *j);
static enum decision_kind look_and_settle(struct job *j, struct slice key);

static bool has_targets(const struct job *j)
{
    return has_entry(j) &&
           (j->entry.kind == ROUTE_KIND_ALIAS || j->entry.kind == ROUTE_KIND_FORWARD ||
               (j->entry.kind == ROUTE_KIND_GROUP && j->entry.route.n == 0));
}

/* Is the entry that decides here one of those on the way here? */
static bool is_loop(const struct job *j)
{
    struct slice key = decision_key(j->out, j->delivery.key);
    for (const struct job *up = j->from; up; up = up->from)
        if (slice_eq(key, decision_key(j->out, up->delivery.key)))
            return true;
    return false;
}

static enum decision_kind leave(struct job *j, struct slice target)
{
    struct decide_delivery d = {.server = CONF_SERVER_NONE,
        .epoch = j->entry.epoch,
        .key = j->delivery.key,
        .rcpt = j->own,
        .is_outside = true,
        .address = keep_text(j, target)};
    step(j, "%.*s is outside: forward", SLICE_ARG(target));
    return add_delivery(j, &d) ? DECIDE_DELIVER : DECIDE_DEFER;
}

static enum decision_kind follow(struct job *from, struct slice target)
{
    struct job j = {.conf = from->conf,
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
        answer(&j, DECIDE_DEFER, 451, "4.3.5", "The map names a target that is no address");
        kind = DECIDE_DEFER;
    } else if (!(j.domain = conf_domain(j.conf, normalise_domain(buf_slice(&key))))) {
        kind = leave(from, target);
    } else if (j.depth > DECIDE_DEPTH_MAX || j.out->n_keys + KEYS_FIRST > DECIDE_KEYS_MAX) {
        step(&j, "%u aliases one behind the other, or %zu keys: too many", j.depth, j.out->n_keys);
        answer_endless(&j, "The map leads this recipient through too many aliases");
        kind = DECIDE_DEFER;
    } else {
        kind = look_and_settle(&j, buf_slice(&key));
    }
    if (kind == DECIDE_HOLD)
        from->delivery.server = j.delivery.server;
    buf_fini(&key);
    return kind;
}

/* All targets of the entry; the whole waits for each of them. */
static enum decision_kind expand(struct job *j)
{
    struct slice rest = j->entry.targets, target;
    size_t delivered = 0, skipped = 0;
    if (is_loop(j)) {
        step(j, "this alias leads to itself");
        answer_endless(j, "The map leads this recipient in a circle");
        return DECIDE_DEFER;
    }
    if (rest.n == 0) {
        answer(j, DECIDE_DEFER, 451, "4.3.5", "The map leads this recipient nowhere");
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
    if (skipped > 0)
        step(j, "%zu targets that there are not are passed over", skipped);
    j->out->n_skipped += skipped;
    return DECIDE_DELIVER;
}

/* ------------------------------------------------------------------------------------ */

/* What comes of an address whose keys were looked up. DELIVER: its deliveries are listed; else the
 * answer is in the decision. */
static enum decision_kind settle(struct job *j)
{
    struct decide_delivery *d = &j->delivery;
    if (j->is_unknown) {
        answer(j, DECIDE_DEFER, 451, "4.3.0", "Recipient map is not available, try again later");
        return DECIDE_DEFER;
    }
    if (j->is_held) {
        if (has_entry(j)) {
            d->server = conf_server_index(j->conf, j->entry.route);
            d->epoch = j->entry.epoch;
        }
        answer(j, DECIDE_HOLD, 450, "4.2.1", "Mailbox is being moved, try again later");
        return DECIDE_HOLD;
    }
    if (!check_senders(j))
        return DECIDE_REJECT;
    if (has_targets(j))
        return expand(j);
    if (!choose_server(j) || !set_address(j) || !check_direction(j) || !check_loop(j)) {
        d->address = "";
        return j->out->kind;
    }
    step(j, "deliver to %.*s as %s", SLICE_ARG(server_name(j, d->server)), d->address);
    return add_delivery(j, d) && add_copy(j) ? DECIDE_DELIVER : DECIDE_DEFER;
}

/* The stores hold the bytes of what is found: one for the address, one for its domain. */
static enum decision_kind look_and_settle(struct job *j, struct slice key)
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
    find_entry(j, key, stores, &bare);
    enum decision_kind kind = *j->is_full ? DECIDE_DEFER : settle(j);
    buf_fini(&bare);
    return kind;
}

/* Room for the usual keys and the first delivery. */
static bool prepare(struct job *j)
{
    struct decision *d = j->out;
    *d = (struct decision){.text = ""};
    *j->cap_keys = KEYS_FIRST;
    d->keys = arena_alloc(j->mem, KEYS_FIRST * sizeof *d->keys);
    d->deliveries = arena_alloc(j->mem, sizeof *d->deliveries);
    return d->keys && d->deliveries;
}

/* Somebody has asked for more than there is room for: later he may have less to ask. */
static void answer_full(struct job *j)
{
    *j->out = (struct decision){0};
    answer(j, DECIDE_DEFER, 451, "4.3.0", "Too many recipients at once, try again later");
}

static void decide_recipient(struct job *j, struct slice key)
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
    struct job j = {.conf = conf,
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
        step(&j, "the recipient is not an address that the map could have");
        answer(&j, DECIDE_NOT_OURS, is_address ? 550 : 501, is_address ? "5.7.1" : "5.1.3",
            is_address ? "Relaying denied" : "Recipient is not a valid address");
        goto done;
    }
    if (view->expect)
        view->expect(view->arg, route_key_hash(buf_slice(&key)));
    struct slice domain = normalise_domain(buf_slice(&key));
    step(&j, "the key of %.*s is %s", SLICE_ARG(req->rcpt), buf_cstr(&key));
    j.domain = conf_domain(conf, domain);
    if (!j.domain) {
        step(&j, "%.*s is not a domain of the configuration", SLICE_ARG(domain));
        answer(&j, DECIDE_NOT_OURS, 550, "5.7.1", "Relaying denied");
        goto done;
    }
    decide_recipient(&j, buf_slice(&key));
done:
    if (is_full)
        answer_full(&j);
    buf_fini(&key);
}
