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
 * Two things follow from the list and are meant so.  The "@domain" key is on every list, so a hold
 * of the domain holds all its users.  A change of the "@domain" entry sends deliveries of the
 * domain that are just before their dot back to the sender with 451 once.
 */
#include "maps/route.h"

#include <inttypes.h>
#include "base/mail/address.h"
#include "maps/delivery.h"

struct job {
    const struct conf *conf;
    const struct conf_domain *domain;
    const struct route_view *view;
    const struct decide_request *req;
    struct arena *mem;
    struct decision *out;
    struct decide_delivery *delivery; /* the one of the decision */
    bool is_full;                     /* mem is */
    struct buf *steps;
    struct slice domain_key;  /* "@domain" */
    struct route_entry entry; /* that decides, when has_entry() */
    bool is_role;             /* postmaster or abuse */
    bool is_unknown;
    bool is_held;
    int64_t changed_s; /* last change of what decides; INT64_MAX: not known */
};

static bool has_entry(const struct job *j)
{
    return j->out->by != DECIDE_BY_DEFAULT;
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
        j->is_full = true;
        return "";
    }
    memcpy(copy, text.p, text.n);
    return copy;
}

/* --- Looking up -------------------------------------------------------------------- */

static struct slice recipient_key(const struct job *j)
{
    return decision_key(j->out, 0);
}

/* Consults one key; true when a live entry is there. */
static bool look(struct job *j, struct slice key, struct route_store *store, struct route_entry *e)
{
    struct decision *d = j->out;
    BUG_ON(d->n_keys == DECIDE_KEYS_MAX || key.n > ROUTE_KEY_MAX);
    route_entry_clear(e);
    enum route_answer found = j->view->get(j->view->arg, key, store, e);
    struct decide_key *k = &d->keys[d->n_keys++];
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
    if (e->kind == ROUTE_KIND_REJECT)
        step(j, "%.*s: reject, %s, epoch %" PRIu64, SLICE_ARG(key), route_state_name(e->state),
            e->epoch);
    else
        step(j, "%.*s: %s on %.*s, %s, epoch %" PRIu64, SLICE_ARG(key), route_kind_name(e->kind),
            SLICE_ARG(e->route.n ? e->route : SLICE_LIT("the default")), route_state_name(e->state),
            e->epoch);
    if (e->deliver_as.n)
        step(j, "%.*s: delivered as %.*s", SLICE_ARG(key), SLICE_ARG(e->deliver_as));
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
    } else if (e->kind == ROUTE_KIND_REJECT && j->is_role) {
        step(j, "postmaster and abuse are always valid: the reject entry is passed over");
        return false;
    }
    j->entry = *e;
    j->out->by = by;
    j->delivery->key = j->out->n_keys - 1;
    return true;
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
    if (!is_there && normalise_strip_detail(key, bare)) {
        j->is_role = normalise_is_role(buf_slice(bare));
        is_done = look(j, buf_slice(bare), &stores[0], &e) && use(j, &e, DECIDE_BY_BARE_KEY);
        note_change(j, &e);
    }
    j->out->user = j->out->n_keys - 1;

    is_there = look(j, j->domain_key, &stores[1], &e);
    if (is_there && e.state == ROUTE_STATE_HELD) {
        step(j, "the whole domain is held");
        j->is_held = true;
    }
    if (is_done || j->is_role)
        return;
    note_change(j, &e);
    if (is_there && (e.kind == ROUTE_KIND_REJECT || e.route.n > 0)) {
        j->entry = e;
        j->out->by = DECIDE_BY_DOMAIN;
        j->delivery->key = j->out->n_keys - 1;
    }
}

/* --- Judging -------------------------------------------------------------------- */

/* The server that the map or the configuration names, in d->server; false when the answer is given
 * already. */
static bool find_server(struct job *j)
{
    struct decide_delivery *d = j->delivery;
    if (has_entry(j) &&
        ((j->entry.kind != ROUTE_KIND_MAILBOX && j->entry.kind != ROUTE_KIND_REJECT) ||
            j->entry.state >= ROUTE_STATE_BOTH)) {
        answer(j, DECIDE_DEFER, 451, "4.3.5", "The map has an entry that is not understood here");
        return false;
    }
    if (has_entry(j) && j->entry.kind == ROUTE_KIND_REJECT) {
        answer(j, DECIDE_REJECT, 550, "5.1.1", "Recipient unknown");
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
    if (conf_server_takes_mail(&j->conf->servers[j->delivery->server]))
        return true;
    step(j, "%.*s has no smtp address in the configuration",
        SLICE_ARG(server_name(j, j->delivery->server)));
    answer(j, DECIDE_DEFER, 451, "4.3.5", "Recipient is routed to a server that takes no mail");
    j->delivery->server = CONF_SERVER_NONE;
    return false;
}

static bool set_address(struct job *j)
{
    char address[ROUTE_KEY_MAX + 1];
    switch (delivery_address(j->req->rcpt, recipient_key(j), j->out->by,
        has_entry(j) ? j->entry.deliver_as : SLICE_NONE, address)) {
    case DELIVERY_GOOD:
        j->delivery->address = keep_text(j, slice_str(address));
        return true;
    case DELIVERY_BROKEN:
        answer(j, DECIDE_DEFER, 451, "4.3.5", "The map names a delivery address that is not one");
        return false;
    case DELIVERY_FOREIGN:
        break;
    }
    step(j, "a server could read a foreign address in it: only an entry of its own helps");
    j->delivery->server = CONF_SERVER_NONE;
    answer(j, DECIDE_REJECT, 550, "5.1.1", "Recipient unknown");
    return false;
}

/* A message from the server itself; false when it may not go back there. */
static bool check_direction(struct job *j)
{
    if (j->req->source_server == CONF_SERVER_NONE)
        return true;
    struct slice from = server_name(j, j->req->source_server);
    if (j->req->source_server != j->delivery->server) {
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
    struct slice name = server_name(j, j->delivery->server);
    size_t same = 0;
    for (size_t i = 0; i < j->req->n_stamps; i++) {
        const struct decide_stamp *s = &j->req->stamps[i];
        bool is_same = slice_eq(s->server, name) && s->epoch == j->delivery->epoch;
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

/* ------------------------------------------------------------------------------------ */

static void judge(struct job *j)
{
    struct decide_delivery *d = j->delivery;
    if (j->is_unknown) {
        answer(j, DECIDE_DEFER, 451, "4.3.0", "Recipient map is not available, try again later");
        return;
    }
    if (j->is_held) {
        if (has_entry(j)) {
            d->server = conf_server_index(j->conf, j->entry.route);
            d->epoch = j->entry.epoch;
        }
        answer(j, DECIDE_HOLD, 450, "4.2.1", "Mailbox is being moved, try again later");
        return;
    }
    if (!choose_server(j) || !set_address(j))
        return;
    if (!check_direction(j) || !check_loop(j)) {
        d->address = "";
        return;
    }
    j->out->kind = DECIDE_DELIVER;
    step(j, "deliver to %.*s as %s", SLICE_ARG(server_name(j, d->server)), d->address);
}

/* Room for the keys and the delivery. */
static bool prepare(struct job *j)
{
    struct decision *d = j->out;
    *d = (struct decision){.text = ""};
    d->keys = arena_alloc(j->mem, DECIDE_KEYS_MAX * sizeof *d->keys);
    d->deliveries = j->delivery = arena_alloc(j->mem, sizeof *d->deliveries);
    if (!d->keys || !d->deliveries)
        return false;
    *j->delivery =
        (struct decide_delivery){.server = CONF_SERVER_NONE, .address = "", .key = DECIDE_NO_KEY};
    return true;
}

/* Somebody has asked for more than there is room for: later he may have less to ask. */
static void answer_full(struct job *j)
{
    *j->out = (struct decision){0};
    answer(j, DECIDE_DEFER, 451, "4.3.0", "Too many recipients at once, try again later");
}

void decide(const struct conf *conf, const struct route_view *view,
    const struct decide_request *req, struct arena *mem, struct decision *out, struct buf *steps)
{
    struct route_store stores[2];
    struct job j = {.conf = conf, .view = view, .req = req, .mem = mem, .out = out, .steps = steps};
    char domain_key[ROUTE_KEY_MAX + 1];
    struct buf key, bare;
    buf_init(&key, ROUTE_KEY_MAX);
    buf_init(&bare, ROUTE_KEY_MAX);
    if (!prepare(&j)) {
        j.is_full = true;
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
    BUG_ON(domain.n + 1 > sizeof domain_key);
    domain_key[0] = '@';
    memcpy(domain_key + 1, domain.p, domain.n);
    j.domain_key = slice_make(domain_key, domain.n + 1);
    find_entry(&j, buf_slice(&key), stores, &bare);
    if (j.is_full)
        goto done;
    out->n_deliveries = 1;
    judge(&j);
done:
    if (j.is_full)
        answer_full(&j);
    buf_fini(&bare);
    buf_fini(&key);
}

static const char *const decision_names[] = {
    [DECIDE_DELIVER] = "deliver",
    [DECIDE_HOLD] = "hold",
    [DECIDE_REJECT] = "reject",
    [DECIDE_DEFER] = "defer",
    [DECIDE_NOT_OURS] = "not-ours",
};
_Static_assert(
    sizeof decision_names / sizeof *decision_names == DECIDE_NOT_OURS + 1, "a name each");

const char *decision_kind_name(enum decision_kind kind)
{
    return decision_names[kind];
}

/* --- What is in a decision --------------------------------------------------------------- */

int decision_server(const struct decision *d)
{
    return d->n_deliveries > 0 ? d->deliveries[0].server : CONF_SERVER_NONE;
}

uint64_t decision_epoch(const struct decision *d)
{
    return d->n_deliveries > 0 ? d->deliveries[0].epoch : 0;
}

struct slice decision_key(const struct decision *d, size_t i)
{
    return slice_make(d->keys[i].text, d->keys[i].n);
}

static int copy_text(struct arena *mem, const char **text)
{
    struct slice copy = arena_dup(mem, slice_make(*text, strlen(*text) + 1));
    if (!copy.p)
        return -1;
    *text = (const char *)copy.p;
    return 0;
}

static void *copy_array(struct arena *mem, const void *from, size_t n, size_t size)
{
    void *to = arena_alloc(mem, n * size);
    if (to && n > 0)
        memcpy(to, from, n * size);
    return to;
}

int decision_copy(const struct decision *d, struct arena *mem, struct decision *out)
{
    struct decision copy = *d;
    copy.keys = copy_array(mem, d->keys, d->n_keys, sizeof *d->keys);
    copy.deliveries = copy_array(mem, d->deliveries, d->n_deliveries, sizeof *d->deliveries);
    if (!copy.keys || !copy.deliveries || (d->text && copy_text(mem, &copy.text) != 0))
        return -1;
    for (size_t i = 0; i < copy.n_keys; i++)
        if (copy_text(mem, &copy.keys[i].text) != 0)
            return -1;
    for (size_t i = 0; i < copy.n_deliveries; i++)
        if (copy.deliveries[i].address && copy_text(mem, &copy.deliveries[i].address) != 0)
            return -1;
    *out = copy;
    return 0;
}
