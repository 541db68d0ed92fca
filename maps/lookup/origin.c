/* SPDX-License-Identifier: ISC */
/*
 * origin: see origin.h.  Nothing of the index is believed.  Each key that it names is made a
 * recipient again, that recipient is decided as any other, and only if that very entry decides, and
 * its address is the one that was asked for, does the decision count.  So a hold of the user or of
 * the domain holds here too, and an address that nobody is delivered by any more is not known.
 */
#include "maps/lookup/origin.h"

#include "base/mail/address.h"
#include "maps/delivery.h"

#define ORIGINS_MAX 64 /* looked at; more users with one mailbox do not change the answer */

struct search {
    const struct conf *conf;
    const struct route_view *view;
    int64_t now_s;
    struct slice key;     /* of the address asked for */
    enum decide_by shape; /* the look-up is for that key without what is around a name */
    const struct conf_domain *domain; /* by whose rule */
    size_t n;
    bool is_found;
    struct arena *mem;
    struct decision *out;
};

/* A recipient whom no entry of an own decides: whoever has none will do. */
static const struct slice anybody = {(const unsigned char *)"somebody.without.an.entry", 25};

/* A recipient who is decided by the entry of this key. */
static int make_recipient(
    const struct search *s, struct slice key, bool is_local_kept, struct buf *out)
{
    unsigned char name[ADDRESS_LOCAL_MAX], text[2 * ADDRESS_LOCAL_MAX], asked[ADDRESS_LOCAL_MAX];
    struct slice local = normalise_local(key);
    struct slice meaning = slice_make(asked, address_unquote(normalise_local(s->key), asked));

    if (key.p[0] == '@')
        local = is_local_kept ? normalise_local(s->key) : anybody;
    size_t n = normalise_rename(s->domain, key.p[0] == '@' ? DECIDE_BY_KEY : s->shape, meaning,
        slice_make(name, address_unquote(local, name)), text);
    if (address_quote(slice_make(text, n), out) != 0 || buf_add_byte(out, '@') != 0)
        return -1;
    return buf_add(out, normalise_domain(key));
}

static bool is_decided_by(const struct decision *d, struct slice key)
{
    size_t i = d->n_deliveries > 0 ? d->deliveries[0].key : DECIDE_NO_KEY;
    return i != DECIDE_NO_KEY && slice_eq(decision_key(d, i), key);
}

/* Whether the recipient of this decision is delivered by the address asked for. */
static bool is_delivered_so(const struct search *s, struct slice rcpt, const struct decision *d,
    const struct route_entry *entry)
{
    char address[ROUTE_KEY_MAX + 1];
    struct buf key;
    bool is_same = false;

    buf_init(&key, ROUTE_KEY_MAX);
    const struct conf_domain *domain = conf_domain(s->conf, normalise_domain(decision_key(d, 0)));
    if (delivery_address(domain, rcpt, decision_key(d, 0), d->by, entry->deliver_as, address) ==
            DELIVERY_GOOD &&
        normalise_key(s->conf, slice_str(address), &key) == 0)
        is_same = slice_eq(buf_slice(&key), s->key);
    buf_fini(&key);
    return is_same;
}

static bool is_better(const struct decision *d, const struct decision *than)
{
    if (d->kind != than->kind && (d->kind == DECIDE_HOLD || than->kind == DECIDE_HOLD))
        return d->kind == DECIDE_HOLD;
    if (d->kind != than->kind)
        return d->kind == DECIDE_DELIVER;
    return decision_epoch(d) > decision_epoch(than);
}

static bool on_origin(void *arg, struct slice key)
{
    struct search *s = arg;
    struct route_store store;
    struct route_entry entry;
    struct decision d;
    struct buf rcpt;
    struct decide_request request = {.source_server = CONF_SERVER_NONE, .now_s = s->now_s};

    enum route_answer found = s->view->get(s->view->arg, key, &store, &entry);
    buf_init(&rcpt, 2 * ROUTE_KEY_MAX);
    if (found == ROUTE_NOT_FOUND || (found == ROUTE_FOUND && entry.deliver_as.n == 0) ||
        make_recipient(s, key, found == ROUTE_FOUND && entry.deliver_as.p[0] == '@', &rcpt) != 0)
        goto done;
    request.rcpt = buf_slice(&rcpt);
    decide(s->conf, s->view, &request, s->mem, &d, NULL);
    if (found == ROUTE_FOUND &&
        (d.kind == DECIDE_REJECT || d.kind == DECIDE_NOT_OURS || !is_decided_by(&d, key) ||
            !is_delivered_so(s, request.rcpt, &d, &entry)))
        goto done;
    /* While the map is unknown, what the index had before is enough to say that we do not know. */
    if (!s->is_found || is_better(&d, s->out))
        *s->out = d;
    s->is_found = true;
done:
    buf_fini(&rcpt);
    return ++s->n < ORIGINS_MAX;
}

/* The address asked for may be in a domain that only servers know, and has its detail by the rule
 * of the user's: each rule once. */
static bool is_new_delimiter(const struct conf *conf, size_t i)
{
    const char *new = conf->domains[i].delimiter, *known;
    for (size_t k = 0; k < i; k++) {
        known = conf->domains[k].delimiter;
        if (new == known || (new &&known &&strcmp(new, known) == 0))
            return false;
    }
    return true;
}

bool origin_decide(const struct conf *conf, const struct route_view *view,
    const struct socketmap_origins *origins, struct slice address, int64_t now_s, struct arena *mem,
    struct decision *out)
{
    struct search s = {
        .conf = conf, .view = view, .now_s = now_s, .shape = DECIDE_BY_KEY, .mem = mem, .out = out};
    struct buf key, bare;

    buf_init(&key, ROUTE_KEY_MAX);
    buf_init(&bare, ROUTE_KEY_MAX);
    if (origins->find == NULL || normalise_key(conf, address, &key) != 0)
        goto done;
    s.key = buf_slice(&key);
    origins->find(origins->arg, s.key, on_origin, &s);
    s.shape = DECIDE_BY_BARE_KEY;
    for (size_t i = 0; !s.is_found && i < conf->n_domains; i++) {
        s.domain = &conf->domains[i];
        buf_clear(&bare);
        if (is_new_delimiter(conf, i) && normalise_strip_detail(s.domain, s.key, &bare))
            origins->find(origins->arg, buf_slice(&bare), on_origin, &s);
    }
    s.shape = DECIDE_BY_LIST;
    for (size_t i = 0; !s.is_found && i < conf->n_domains; i++) {
        s.domain = &conf->domains[i];
        buf_clear(&bare);
        if (normalise_list(s.domain, s.key, &bare))
            origins->find(origins->arg, buf_slice(&bare), on_origin, &s);
    }
    s.shape = DECIDE_BY_KEY;
    if (!s.is_found)
        origins->find(origins->arg, slice_from(s.key, normalise_local(s.key).n), on_origin, &s);
done:
    buf_fini(&bare);
    buf_fini(&key);
    return s.is_found;
}
