/* SPDX-License-Identifier: ISC */
/*
 * export: CSV, which `maptool import` reads back, and Postfix' transport(5).
 *
 * A transport table routes; it does not rewrite and knows no hold.  deliver_as is therefore lost
 * (the caller tells), a held address becomes a temporary failure, an address that is to be refused
 * an error.  "@domain" entries, and the defaults of the configuration where there is none, become
 * lines for the domain itself: Postfix looks for the address first.
 */
#include "maps/format/export.h"

#include <stdlib.h>
#include "base/core/mem.h"
#include "maps/format/csv.h"

int export_format_parse(const char *name, enum export_format *out)
{
    if (strcmp(name, "csv") == 0)
        *out = EXPORT_CSV;
    else if (strcmp(name, "postfix-transport") == 0)
        *out = EXPORT_POSTFIX_TRANSPORT;
    else
        return -1;
    return 0;
}

/* --- CSV ---------------------------------------------------------------------------- */

static int csv_entry(struct slice key, const struct route_entry *e, struct buf *out)
{
    const struct slice cells[] = {
        key, e->route, slice_str(route_kind_name(e->kind)), e->deliver_as, e->note};
    for (size_t i = 0; i < sizeof cells / sizeof cells[0]; i++)
        if ((i && buf_add_byte(out, ',') != 0) || csv_write(out, cells[i]) != 0)
            return -1;
    return buf_add_byte(out, '\n');
}

/* --- Postfix transport -------------------------------------------------------------- */

/* transport:nexthop of a server. */
static int add_nexthop(const struct conf *conf, int server, struct buf *out)
{
    static const char UNKNOWN[] = "retry:4.3.5 The server of this recipient is not configured";
    if (server == CONF_SERVER_NONE)
        return buf_add_str(out, UNKNOWN);
    const struct net_endpoint *e = &conf->servers[server].smtp;
    switch (e->scheme) {
    case NET_SCHEME_UNIX:
        return buf_addf(out, "lmtp:unix:%s", e->host);
    case NET_SCHEME_LMTP:
        return buf_addf(out, "lmtp:inet:[%s]:%u", e->host, (unsigned)e->port);
    case NET_SCHEME_SMTPS:
        return buf_addf(out, "smtps:[%s]:%u", e->host, (unsigned)e->port);
    case NET_SCHEME_NONE:
    case NET_SCHEME_SMTP:
    case NET_SCHEME_IMAP:
    case NET_SCHEME_IMAPS:
        break;
    }
    if (!e->host)
        return buf_add_str(out, UNKNOWN);
    return buf_addf(out, "smtp:[%s]:%u", e->host, (unsigned)e->port);
}

static int add_answer(
    const struct conf *conf, const struct route_entry *e, int server, struct buf *out)
{
    if (e->state == ROUTE_STATE_HELD)
        return buf_add_str(out, "retry:4.2.1 This mailbox is being moved");
    if (e->kind == ROUTE_KIND_REJECT)
        return buf_add_str(out, "error:5.1.1 User unknown");
    return add_nexthop(conf, server, out);
}

static int add_default(const struct export *x, const struct conf_domain *domain, struct buf *out)
{
    struct route_entry reject = {.kind = ROUTE_KIND_REJECT};
    if (domain->default_server == CONF_SERVER_NONE)
        return add_answer(x->conf, &reject, CONF_SERVER_NONE, out);
    return add_nexthop(x->conf, domain->default_server, out);
}

static int transport_entry(
    struct export *x, struct slice key, const struct route_entry *e, struct buf *out)
{
    const struct conf_domain *domain = conf_domain(x->conf, normalise_domain(key));
    bool is_default = key.n > 0 && key.p[0] == '@';

    if (slice_find(key, '"') >= 0 || slice_find(key, ' ') >= 0) {
        x->quoted_lost++;
        return 0;
    }
    x->deliver_as_lost += e->deliver_as.n > 0;
    x->held += e->state == ROUTE_STATE_HELD;
    if (is_default && domain)
        x->domain_seen[domain - x->conf->domains] = true;
    if (buf_add(out, is_default ? slice_from(key, 1) : key) != 0 || buf_add_byte(out, '\t') != 0)
        return -1;
    if (is_default && domain && e->route.n == 0 && e->kind == ROUTE_KIND_MAILBOX &&
        e->state == ROUTE_STATE_ACTIVE) {
        if (add_default(x, domain, out) != 0)
            return -1;
    } else if (add_answer(x->conf, e, conf_server_index(x->conf, e->route), out) != 0) {
        return -1;
    }
    return buf_add_byte(out, '\n');
}

static int transport_end(const struct export *x, struct buf *out)
{
    for (size_t i = 0; i < x->conf->n_domains; i++) {
        const struct conf_domain *domain = &x->conf->domains[i];
        if (x->domain_seen[i])
            continue;
        if (buf_addf(out, "%s\t", domain->name) != 0 || add_default(x, domain, out) != 0 ||
            buf_add_byte(out, '\n') != 0)
            return -1;
    }
    return 0;
}

/* --- All ------------------------------------------------------------------------------- */

int export_begin(struct export *x, struct buf *out)
{
    x->deliver_as_lost = x->quoted_lost = x->held = 0;
    x->domain_seen = mem_zalloc(x->conf->n_domains + 1);
    if (x->format == EXPORT_CSV)
        return buf_add_str(out, "key,route,kind,deliver_as,note\n");
    return buf_add_str(out, "# transport(5) table, made by `maptool export`\n");
}

int export_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out)
{
    return x->format == EXPORT_CSV ? csv_entry(key, entry, out)
                                   : transport_entry(x, key, entry, out);
}

int export_end(struct export *x, struct buf *out)
{
    int rc = x->format == EXPORT_CSV ? 0 : transport_end(x, out);
    free(x->domain_seen);
    x->domain_seen = NULL;
    return rc;
}
