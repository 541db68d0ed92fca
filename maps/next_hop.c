/* SPDX-License-Identifier: ISC */
/*
 * next_hop: see next_hop.h.  Postfix has no protocol "smtps" in a next hop: TLS from the first byte
 * (smtp_tls_wrappermode) is a property of a client service, which docs/recipes/postfix.md defines.
 * LMTP knows no MX records, so its hosts need no brackets (lmtp(8), "inet:hostname:port").
 */
#include "maps/next_hop.h"

#include "base/core/err.h"

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
