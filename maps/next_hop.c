/* SPDX-License-Identifier: ISC */
/*
 * next_hop: see next_hop.h.  Postfix has no protocol "smtps" in a next hop: TLS from the first byte
 * (smtp_tls_wrappermode) is a property of a client service, which docs/recipes/postfix.md defines.
 * LMTP knows no MX records, so its hosts need no brackets (lmtp(8), "inet:hostname:port").
 */
#include "maps/next_hop.h"

#include "base/core/err.h"
#include "base/core/num.h"

static bool is_v6(const struct net_endpoint *e)
{
    return slice_find(slice_str(e->host), ':') >= 0;
}

int next_hop_postfix(const struct conf_server *server, struct buf *out)
{
    const struct net_endpoint *e = &server->smtp;

    if (!conf_server_takes_mail(server))
        return buf_add_str(out, "retry:4.3.5 The server of this recipient takes no mail");
    if (e->scheme == NET_SCHEME_LMTP)
        return buf_addf(
            out, is_v6(e) ? "lmtp:inet:[%s]:%u" : "lmtp:inet:%s:%u", e->host, (unsigned)e->port);
    return buf_addf(out, "%s:[%s]:%u", e->scheme == NET_SCHEME_SMTPS ? "smtps" : "smtp", e->host,
        (unsigned)e->port);
}

int next_hop_sendmail(const struct conf_server *server, struct buf *out)
{
    const struct net_endpoint *e = &server->smtp;

    BUG_ON(!conf_server_takes_mail(server));
    bool is_usual = e->scheme == NET_SCHEME_SMTP && e->port == 25;
    if (!is_usual && buf_addf(out, "coexist-%s:", server->name) != 0)
        return -1;
    return buf_addf(out, is_v6(e) ? "[IPv6:%s]" : "[%s]", e->host);
}

/* "[host]:port", "host:port", "[IPv6:address]", "host"; port 0: none is said. */
static bool split_hop(struct slice hop, struct slice *host, uint32_t *port)
{
    ptrdiff_t end = hop.n && hop.p[0] == '[' ? slice_find(hop, ']') : -1, colon;
    struct slice rest;

    *port = 0;
    if (end > 0) {
        *host = slice_sub(hop, 1, (size_t)end - 1);
        if (slice_starts_nocase(*host, SLICE_LIT("IPv6:")))
            *host = slice_from(*host, 5);
        rest = slice_from(hop, (size_t)end + 1);
    } else {
        colon = slice_find(hop, ':');
        *host = colon < 0 ? hop : slice_sub(hop, 0, (size_t)colon);
        rest = slice_from(hop, host->n);
    }
    if (rest.n == 0)
        return host->n > 0;
    return rest.p[0] == ':' && host->n > 0 && num_u32(slice_from(rest, 1), 1, 65535, port) == 0;
}

static bool leads_to(
    const struct conf_server *server, struct slice host, uint32_t port, bool is_lmtp)
{
    if (!conf_server_takes_mail(server) || server->smtp.scheme == NET_SCHEME_UNIX)
        return false;
    if (port == 0)
        port = is_lmtp ? 24 : 25;
    return (slice_eq_nocase(host, slice_str(server->smtp.host)) ||
               (server->tls_name && slice_eq_nocase(host, slice_str(server->tls_name)))) &&
           server->smtp.port == port;
}

int next_hop_find(const struct conf *conf, struct slice hop)
{
    ptrdiff_t colon = slice_find(hop, ':');
    struct slice mailer = colon < 0 ? SLICE_NONE : slice_sub(hop, 0, (size_t)colon), host;
    bool is_lmtp = slice_starts_nocase(mailer, SLICE_LIT("lmtp"));
    int found = CONF_SERVER_NONE;
    uint32_t port;

    hop = slice_from(hop, (size_t)(colon + 1));
    if (slice_starts(hop, SLICE_LIT("inet:")))
        hop = slice_from(hop, 5);
    if (mailer.n == 0 || !split_hop(hop, &host, &port))
        return CONF_SERVER_NONE;
    for (size_t i = 0; i < conf->n_servers; i++) {
        if (!leads_to(&conf->servers[i], host, port, is_lmtp))
            continue;
        if (found != CONF_SERVER_NONE)
            return CONF_SERVER_NONE;
        found = (int)i;
    }
    return found;
}
