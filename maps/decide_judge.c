/* SPDX-License-Identifier: ISC */
/*
 * decide_judge: what comes of one address whose entry is known: its server, the address that it has
 * there, and whether the message may go there.
 */
#include "maps/decide_parts.h"

#include <inttypes.h>
#include "maps/delivery.h"
#include "maps/senders.h"

/* The answer of a reject entry: its own, or that there is nobody. */
static void answer_reject(struct decide_job *j)
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
    decide_answer(j, is_final ? DECIDE_REJECT : DECIDE_DEFER, (int)code,
        n > 0      ? enhanced
        : is_final ? "5.1.1"
                   : "4.2.1",
        text.n > 0 ? decide_keep_text(j, text)
        : is_final ? "Recipient unknown"
                   : "Mailbox is not available, try again later");
}

static void answer_retiring(struct decide_job *j)
{
    if (j->entry.until_s > j->req->now_s)
        decide_answer(j, DECIDE_DEFER, 451, "4.2.1", "Mailbox is being closed, try again later");
    else
        decide_answer(j, DECIDE_REJECT, 550, "5.1.1", "Recipient unknown");
}

/* The server that the map or the configuration names, in the delivery; false when the answer is
 * given already. */
static bool find_server(struct decide_job *j)
{
    struct decide_delivery *d = &j->delivery;
    if (decide_has_entry(j) && j->entry.kind == ROUTE_KIND_REJECT) {
        answer_reject(j);
        return false;
    }
    if (decide_has_entry(j) && j->entry.state == ROUTE_STATE_RETIRING) {
        answer_retiring(j);
        return false;
    }
    if (decide_has_entry(j) && (j->entry.route.n > 0 || !j->is_role)) {
        d->epoch = j->entry.epoch;
        d->server = conf_server_index(j->conf, j->entry.route);
        if (d->server != CONF_SERVER_NONE)
            return true;
        decide_step(j, "the map names a server that the configuration does not have: %.*s",
            SLICE_ARG(j->entry.route));
        decide_answer(
            j, DECIDE_DEFER, 451, "4.3.5", "Recipient is routed to a server not configured here");
        return false;
    }
    if (j->is_role) {
        d->server = j->domain->postmaster_server;
        if (d->server == CONF_SERVER_NONE) {
            decide_answer(
                j, DECIDE_DEFER, 451, "4.3.5", "No server is configured for the postmaster");
            return false;
        }
        decide_step(j, "postmaster and abuse are always valid: they go to %.*s",
            SLICE_ARG(decide_server_name(j, d->server)));
        return true;
    }
    d->server = j->domain->default_server;
    if (d->server == CONF_SERVER_NONE) {
        decide_step(j, "the domain's default is reject");
        decide_answer(j, DECIDE_REJECT, 550, "5.1.1", "Recipient unknown");
        return false;
    }
    decide_step(j, "the domain's default is %.*s", SLICE_ARG(decide_server_name(j, d->server)));
    return true;
}

bool decide_choose_server(struct decide_job *j)
{
    if (!find_server(j))
        return false;
    if (conf_server_takes_mail(&j->conf->servers[j->delivery.server]))
        return true;
    decide_step(j, "%.*s has no smtp address in the configuration",
        SLICE_ARG(decide_server_name(j, j->delivery.server)));
    decide_answer(
        j, DECIDE_DEFER, 451, "4.3.5", "Recipient is routed to a server that takes no mail");
    j->delivery.server = CONF_SERVER_NONE;
    return false;
}

bool decide_set_address(struct decide_job *j)
{
    char address[ROUTE_KEY_MAX + 1];
    switch (delivery_address(j->domain, j->rcpt, decide_recipient_key(j), j->by,
        decide_has_entry(j) ? j->entry.deliver_as : SLICE_NONE, address)) {
    case DELIVERY_GOOD:
        j->delivery.address = decide_keep_text(j, slice_str(address));
        return true;
    case DELIVERY_BROKEN:
        decide_answer(
            j, DECIDE_DEFER, 451, "4.3.5", "The map names a delivery address that is not one");
        return false;
    case DELIVERY_FOREIGN:
        break;
    }
    decide_step(j, "a server could read a foreign address in it: only an entry of its own helps");
    j->delivery.server = CONF_SERVER_NONE;
    decide_answer(j, DECIDE_REJECT, 550, "5.1.1", "Recipient unknown");
    return false;
}

bool decide_check_direction(struct decide_job *j)
{
    if (j->req->source_server == CONF_SERVER_NONE)
        return true;
    struct slice from = decide_server_name(j, j->req->source_server);
    if (j->from) {
        decide_step(j, "comes from %.*s, which does not know the alias: fine", SLICE_ARG(from));
        return true;
    }
    if (j->req->source_server != j->delivery.server) {
        decide_step(j, "comes from %.*s, another server: fine", SLICE_ARG(from));
        return true;
    }
    if (j->domain->model == CONF_MODEL_CENTRAL) {
        decide_step(
            j, "comes from %.*s itself: internal mail in the central model", SLICE_ARG(from));
        return true;
    }
    decide_step(
        j, "comes from %.*s itself, which does not know its own user (chaining)", SLICE_ARG(from));
    int64_t grace_s = (int64_t)(j->conf->mapd.direction_grace_ms / 1000);
    bool is_recent = j->changed_s == INT64_MAX || j->changed_s > j->req->now_s - grace_s;
    if (is_recent || j->is_role) {
        decide_step(j, is_recent ? "the entry changed less than direction_grace ago"
                                 : "postmaster and abuse are always valid");
        decide_answer(j, DECIDE_DEFER, 451, "4.4.6",
            "The server of this recipient sent the message back, try again later");
    } else {
        decide_answer(
            j, DECIDE_REJECT, 550, "5.1.1", "Recipient unknown to the server that has it");
    }
    return false;
}

/* The name of a server as reply text takes it. */
static void reply_name(struct slice name, char out[65])
{
    size_t n = name.n < 64 ? name.n : 64;
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(ascii_is_print(name.p[i]) ? name.p[i] : '?');
    out[n] = '\0';
}

/* The other server of a loop is the one that sent the message, else the newest other that stamped
 * it. */
static struct slice loop_partner(const struct decide_job *j, struct slice name)
{
    if (j->req->source_server != CONF_SERVER_NONE)
        return decide_server_name(j, j->req->source_server);
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

bool decide_check_loop(struct decide_job *j)
{
    struct slice name = decide_server_name(j, j->delivery.server);
    size_t same = 0;
    for (size_t i = 0; i < j->req->n_stamps; i++) {
        const struct decide_stamp *s = &j->req->stamps[i];
        bool is_same = slice_eq(s->server, name) && s->epoch == j->delivery.epoch;
        same += is_same;
        decide_step(j, "stamp: routed to %.*s under epoch %" PRIu64 "%s", SLICE_ARG(s->server),
            s->epoch, is_same ? ", as now" : "");
    }
    if (same >= 2) {
        char to[65], from[65], text[DECIDE_TEXT_MAX];
        reply_name(name, to);
        reply_name(loop_partner(j, name), from);
        if (fmt_into(text, sizeof text, "Mail loop between %s and %s", to, from) != 0)
            BUG("two names do not fit");
        decide_answer(j, DECIDE_REJECT, 554, "5.4.6", decide_keep_text(j, slice_str(text)));
        return false;
    }
    if (j->req->hops_max > 0 && j->req->hops > j->req->hops_max) {
        decide_step(j, "%zu hops, more than %zu", j->req->hops, j->req->hops_max);
        decide_answer(j, DECIDE_REJECT, 554, "5.4.6", "Too many hops");
        return false;
    }
    return true;
}

/* --- Who may send ------------------------------------------------------------------------- */

bool decide_check_senders(struct decide_job *j)
{
    /* Whoever may not send to a list may ask for things, and its errors come from nobody. */
    if (!decide_has_entry(j) || j->entry.senders.n == 0 || j->by == DECIDE_BY_LIST)
        return true;
    if (!j->req->has_sender)
        decide_step(
            j, "only %s may send there: not checked without a sender", senders_name(&j->entry));
    if (senders_may(j->conf, &j->entry, j->req))
        return true;
    decide_answer(j, DECIDE_REJECT, 550, "5.7.1", "You may not send to this address");
    return false;
}
