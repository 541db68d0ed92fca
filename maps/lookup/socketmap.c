/* SPDX-License-Identifier: ISC */
/*
 * socketmap: see socketmap.h.  Request and reply are netstrings:
 *
 *     request    = length ":" map-name SP key ","
 *     reply      = length ":" status SP text ","
 *     status     = "OK" / "NOTFOUND" / "TEMP" / "TIMEOUT" / "PERM"
 *     length     = "0" / ( %x31-39 *DIGIT )
 *
 * Of the statuses only the first three are said.  NOTFOUND needs certainty: it makes the MTA refuse
 * mail for good, so whatever is in doubt is TEMP, an unknown map name included (Sendmail bounces on
 * PERM, and a typing error in an MTA's configuration must not cost mail).
 *
 * "+detail" and the domain's default are followed inside, by decide().  The shorter keys that an
 * MTA tries after a NOTFOUND ("@domain", "domain", ".parent") are therefore always NOTFOUND: an
 * answer to them would overrule the one that the whole address has got.
 *
 * Postfix asks `aliases` first and then `transport` for what it was given.  That address may be of
 * a domain that the map does not have, so `transport` also knows the addresses by which recipients
 * are delivered (origin.h).  Where there has been no map since the start it knows none of them.
 */
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/core/num.h"
#include "base/core/slice.h"
#include "base/mail/address.h"
#include "maps/next_hop.h"
#include "maps/route.h"
#include "maps/lookup/origin.h"
#include "maps/lookup/socketmap.h"

enum parse socketmap_parse(struct slice in, struct socketmap_request *out, size_t *used_out)
{
    struct slice body;
    uint64_t length;
    size_t digits = 0;
    ptrdiff_t blank;

    while (digits < in.n && ascii_is_digit(in.p[digits])) {
        if (++digits > SOCKETMAP_LENGTH_DIGITS || (digits == 2 && in.p[0] == '0'))
            return PARSE_BAD;
    }
    if (digits == in.n)
        return PARSE_MORE;
    if (in.p[digits] != ':' ||
        num_u64(slice_sub(in, 0, digits), 0, SOCKETMAP_REQUEST_MAX, &length) != 0)
        return PARSE_BAD;
    body = slice_sub(in, digits + 1, (size_t)length);
    if (body.n < length || digits + 1 + body.n == in.n)
        return PARSE_MORE;
    if (in.p[digits + 1 + body.n] != ',')
        return PARSE_BAD;
    blank = slice_find(body, ' ');
    out->map = blank < 0 ? SLICE_NONE : slice_sub(body, 0, (size_t)blank);
    out->key = blank < 0 ? body : slice_from(body, (size_t)blank + 1);
    *used_out = digits + 1 + body.n + 1;
    return PARSE_DONE;
}

/* --- The maps ---------------------------------------------------------------- */

/* What a map makes of a decision that is DELIVER or HOLD. -1: the text does not fit. */
struct answer {
    const struct socketmap_site *site;
    struct slice key;
    struct decision decision;
    bool is_rewritten; /* the decision is the one for the recipient that the address is from */
    enum socketmap_result result;
    struct buf text;
};

/* Does the map lead the recipient to others? */
static bool is_alias(const struct decision *d)
{
    return d->n_deliveries > 1 || d->deliveries[0].rcpt != 0 || d->deliveries[0].is_outside;
}

/* transport: where Postfix sends mail for the recipient.  A held one goes to the retry service
 * (error(8)), which keeps it in Postfix's queue under a code and text of ours. */
static int answer_transport(struct answer *a)
{
    const struct decision *d = &a->decision;

    if (d->kind == DECIDE_HOLD)
        return buf_addf(&a->text, "retry:%s %s", d->enhanced, d->text);
    /* The server of the target does not know the alias, so it is not asked for it. */
    if (is_alias(d))
        return buf_add_str(
            &a->text, "retry:4.3.5 An alias that nobody resolved: virtual_alias_maps has to");
    return next_hop_postfix(&a->site->conf->servers[decision_server(d)], &a->text);
}

/* recipients: whether the recipient exists. The text is for people who query by hand. */
static int answer_recipients(struct answer *a)
{
    int server = decision_server(&a->decision);
    return buf_add_str(
        &a->text, server == CONF_SERVER_NONE ? "outside" : a->site->conf->servers[server].name);
}

/* Will somebody who is held now be delivered by another address than his own? */
static bool has_deliver_as(const struct answer *a)
{
    const struct decision *d = &a->decision;
    struct route_store store;
    struct route_entry entry;

    /* The first key that is present is the one that decided. */
    for (size_t i = 0; i < d->n_keys; i++)
        if (a->site->view.get(a->site->view.arg, decision_key(d, i), &store, &entry) == ROUTE_FOUND)
            return entry.deliver_as.n > 0 || (entry.route.n == 0 && entry.targets.n > 0);
    return false;
}

static int add_addresses(struct answer *a)
{
    const struct decision *d = &a->decision;
    for (size_t i = 0; i < d->n_deliveries; i++)
        if ((i > 0 && buf_add_byte(&a->text, ',') != 0) ||
            buf_add_str(&a->text, d->deliveries[i].address) != 0)
            return -1;
    return 0;
}

/* aliases: the address by which the server knows the recipient, where that is another one, or all
 * that an alias or group leads to.  These are the last ones, which Postfix need not ask for.  While
 * such a recipient is held nobody knows which address that will be. */
static int answer_aliases(struct answer *a)
{
    const struct decision *d = &a->decision;

    if (a->is_rewritten) {
        a->result = SOCKETMAP_NOTFOUND;
        return 0;
    }
    if (d->kind == DECIDE_HOLD && has_deliver_as(a)) {
        a->result = SOCKETMAP_TEMP;
        return buf_addf(&a->text, "%s %s", d->enhanced, d->text);
    }
    if (d->kind == DECIDE_HOLD ||
        (d->n_deliveries == 1 && slice_eq_nocase(slice_str(d->deliveries[0].address), a->key))) {
        a->result = SOCKETMAP_NOTFOUND;
        return 0;
    }
    return add_addresses(a);
}

/* The same for Sendmail's FEATURE(ldap_routing), which can rewrite to one address only. */
static int answer_mailroute(struct answer *a)
{
    if (a->decision.kind == DECIDE_DELIVER &&
        (a->decision.n_deliveries > 1 || a->decision.deliveries[0].is_outside)) {
        a->result = SOCKETMAP_TEMP;
        return buf_add_str(&a->text, "4.3.5 ldap_routing cannot deliver to several or outside");
    }
    return answer_aliases(a);
}

/* mailhost: FEATURE(ldap_routing) of Sendmail. TEMP makes it queue, or answer 451 to the client. */
static int answer_mailhost(struct answer *a)
{
    const struct decision *d = &a->decision;

    if (d->kind == DECIDE_HOLD) {
        a->result = SOCKETMAP_TEMP;
        return buf_addf(&a->text, "%s %s", d->enhanced, d->text);
    }
    if (d->n_deliveries > 1 || d->deliveries[0].is_outside)
        return answer_mailroute(a);
    return next_hop_sendmail(&a->site->conf->servers[decision_server(d)], &a->text);
}

static const struct map {
    const char *name;
    int (*answer)(struct answer *a);
    bool is_asked_rewritten; /* for what `aliases` has answered */
    bool routes;             /* says where mail goes */
} maps[] = {
    {"transport", answer_transport, true, true},
    {"recipients", answer_recipients, false, false},
    {"aliases", answer_aliases, true, false},
    {"mailhost", answer_mailhost, false, true},
    /* The names that FEATURE(ldap_routing) gives its maps, and so sends. */
    {"ldapmh", answer_mailhost, false, true},
    {"ldapmra", answer_mailroute, false, false},
};

/* Postfix asks for some addresses without the quotes that their local part needs (RFC 5321 4.1.2
 * Quoted-string); they get them here. -1: not an address in any form. */
static int quote_local_part(struct slice key, struct buf *out)
{
    ptrdiff_t at = slice_rfind(key, '@');

    if (at <= 0 || buf_add_byte(out, '"') != 0)
        return -1;
    for (size_t i = 0; i < (size_t)at; i++) {
        if ((key.p[i] == '"' || key.p[i] == '\\') && buf_add_byte(out, '\\') != 0)
            return -1;
        if (buf_add_byte(out, key.p[i]) != 0)
            return -1;
    }
    return buf_add_byte(out, '"') != 0 ? -1 : buf_add(out, slice_from(key, (size_t)at));
}

/* An entry of its own says where an address goes.  Without one it may be the address by which a
 * recipient is delivered: then it goes where that recipient goes, and is not rewritten again. */
static void look_for_origin(struct answer *a, int64_t now_s)
{
    struct decision *d = &a->decision, origin;
    bool is_ours = d->kind != DECIDE_NOT_OURS;

    if (d->kind == DECIDE_HOLD || d->kind == DECIDE_DEFER || d->by == DECIDE_BY_KEY ||
        d->by == DECIDE_BY_BARE_KEY || d->by == DECIDE_BY_LIST ||
        (is_ours && normalise_is_role(decision_key(d, d->user))))
        return;
    a->is_rewritten = origin_decide(
        a->site->conf, &a->site->view, &a->site->origins, a->key, now_s, a->site->mem, &origin);
    if (a->is_rewritten)
        *d = origin;
}

static int decide_and_answer(struct answer *a, const struct map *map, int64_t now_s)
{
    struct decide_request request = {.source_server = CONF_SERVER_NONE, .now_s = now_s};
    const struct decision *d = &a->decision;
    struct address parsed;
    struct buf quoted;
    int failed = 0;

    buf_init(&quoted, ADDRESS_MAX);
    if (address_parse(a->key, &parsed) != 0) {
        if (quote_local_part(a->key, &quoted) != 0 ||
            address_parse(buf_slice(&quoted), &parsed) != 0)
            goto done; /* not an address, so not one of ours: NOTFOUND */
        a->key = buf_slice(&quoted);
    }
    if (parsed.domain.n == 0)
        goto done; /* bare postmaster is the MTA's own */
    request.rcpt = a->key;
    arena_reset(a->site->mem);
    decide(a->site->conf, &a->site->view, &request, a->site->mem, &a->decision, NULL);
    if (map->is_asked_rewritten)
        look_for_origin(a, now_s);
    if (map->routes && !a->is_rewritten && a->site->routed &&
        (d->kind == DECIDE_DELIVER || d->kind == DECIDE_HOLD))
        a->site->routed(a->site->routed_arg, d);
    switch (d->kind) {
    case DECIDE_DELIVER:
        a->result = SOCKETMAP_OK;
        failed = map->answer(a);
        break;
    case DECIDE_HOLD:
        if (decision_server(d) != CONF_SERVER_NONE) {
            a->result = SOCKETMAP_OK;
            failed = map->answer(a);
            break;
        }
        /* A domain is held and has no such user now: whether there will be one is not known. */
        /* fall through */
    case DECIDE_DEFER:
        a->result = SOCKETMAP_TEMP;
        failed = buf_addf(&a->text, "%s %s", d->enhanced, d->text);
        break;
    case DECIDE_REJECT:
    case DECIDE_NOT_OURS:
        break;
    }
done:
    buf_fini(&quoted);
    return failed;
}

/* --- The reply ------------------------------------------------------------------ */

const char *socketmap_result_name(enum socketmap_result result)
{
    switch (result) {
    case SOCKETMAP_OK:
        return "OK";
    case SOCKETMAP_NOTFOUND:
        return "NOTFOUND";
    case SOCKETMAP_TEMP:
        return "TEMP";
    }
    BUG("socketmap_result");
}

/* "NOTFOUND " ends with the blank: both MTAs cut the reply there. */
static int add_reply(struct buf *out, enum socketmap_result result, struct slice text)
{
    const char *name = socketmap_result_name(result);

    return buf_addf(out, "%zu:%s %.*s,", strlen(name) + 1 + text.n, name, SLICE_ARG(text));
}

int socketmap_answer(const struct socketmap_site *site, const struct socketmap_request *request,
    int64_t now_s, struct buf *out, enum socketmap_result *result_out)
{
    struct answer a = {.site = site, .key = request->key, .result = SOCKETMAP_NOTFOUND};
    const struct map *map = NULL;
    int failed = 0;

    /* Room for the length, the longest status and the punctuation. */
    buf_init(&a.text, SOCKETMAP_REPLY_MAX - sizeof("99999:NOTFOUND ,"));
    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
        if (slice_eq(request->map, slice_str(maps[i].name)))
            map = &maps[i];
    if (map == NULL) {
        a.result = SOCKETMAP_TEMP;
        failed = buf_add_str(&a.text,
            "4.3.5 no such map: coexist-lookup has transport, recipients, aliases and mailhost");
    } else {
        failed = decide_and_answer(&a, map, now_s);
    }
    if (failed) {
        /* A name in the configuration that is longer than any reply: nothing that can be said. */
        buf_clear(&a.text);
        a.result = SOCKETMAP_TEMP;
    }
    if (result_out != NULL)
        *result_out = a.result;
    failed = add_reply(out, a.result, buf_slice(&a.text));
    buf_fini(&a.text);
    return failed;
}
