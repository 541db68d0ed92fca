/* SPDX-License-Identifier: ISC */
/* imap_trust: see imap_trust.h. */
#include "imapsync/ends/imap_trust.h"

#include <string.h>
#include <sysexits.h>

#include "imapsync/imap/conn.h"

#define TEXT_MAX 65536

static int look(const struct imap_place *place, struct imap_trust *out, struct err *err)
{
    struct imap_conn *c = imap_conn_start(place, NULL);
    int result = 0;
    while (result == 0 && !imap_conn_is_ready(c))
        result = imap_conn_pump(&c, 1, err);
    const struct tls *tls = imap_conn_tls(c);
    if (result == 0 &&
        (!tls || !tls_peer_pin(tls, &out->pin) || tls_peer_text(tls, &out->text) != 0))
        result = err_set(err, ERR_PEER, EX_PROTOCOL,
            "%s: there is no certificate that can be shown", place->host);
    if (result == 0)
        tls_peer_fingerprint(tls, out->fingerprint);
    imap_conn_close(&c);
    return result;
}

int imap_trust_look(const char *server, const struct conf_server *policy, uint64_t timeout_ms,
    struct imap_trust *out, struct err *err)
{
    struct net_endpoint e = {0};
    struct conf_server blind = *policy;
    struct imap_place place = {.label = "server", .user = "", .is_probe = true};
    struct slice url = slice_str(server);
    *out = (struct imap_trust){0};
    buf_init(&out->text, TEXT_MAX);
    if (url.n > 0 && url.p[url.n - 1] == '/')
        url.n--;
    int result = net_endpoint_parse(url, 0, &e, err);
    if (result == 0 && e.scheme != NET_SCHEME_IMAP && e.scheme != NET_SCHEME_IMAPS)
        result = err_set(err, ERR_PERM, EX_USAGE, "the server is imap://HOST or imaps://HOST");
    place.host = place.tls_name = e.host;
    place.port = e.port;
    place.timeout_ms = timeout_ms;
    place.security = e.scheme == NET_SCHEME_IMAPS ? IMAP_SECURITY_TLS : IMAP_SECURITY_STARTTLS;
    blind.tls = CONF_TLS_ENCRYPT;
    if (result == 0)
        result = tls_ctx_client(&blind, &place.tls, err);
    if (result == 0)
        result = look(&place, out, err);
    tls_ctx_free(&place.tls);
    net_endpoint_fini(&e);
    if (result != 0)
        imap_trust_fini(out);
    return result;
}

void imap_trust_fini(struct imap_trust *t)
{
    buf_fini(&t->text);
}
