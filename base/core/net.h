/* SPDX-License-Identifier: ISC */
/* net: IP addresses and address ranges as values, without a resolver or a socket. */
#ifndef BASE_CORE_NET_H
#define BASE_CORE_NET_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/slice.h"

/* IPv4 addresses are kept as IPv4-mapped IPv6, so that one compare serves both. */
struct net_addr {
    unsigned char b[16];
};

struct net_range {
    struct net_addr addr;
    unsigned bits; /* 0..128; an IPv4 /24 is 120 */
};

#define NET_TEXT_MAX 48

int net_addr_parse(
    struct slice text, struct net_addr *out) ATTR_WUR; /* "10.1.1.5", "::1", "[::1]", "IPv6:::1" */
int net_range_parse(
    struct slice text, struct net_range *out) ATTR_WUR; /* "10.0.0.0/8", "10.1.1.5", "::1/128" */
bool net_addr_is_v4(const struct net_addr *a);
bool net_addr_is_loopback(const struct net_addr *a);
bool net_addr_eq(const struct net_addr *a, const struct net_addr *b);
bool net_range_contains(const struct net_range *r, const struct net_addr *a);
void net_addr_format(
    const struct net_addr *a, char out[NET_TEXT_MAX]); /* "10.1.1.5" or "2001:db8::1" */

/* Labels of letters, digits, hyphens and underscores: what may stand where a host name stands. */
bool net_is_host_name(struct slice s);

/* "smtp://host:25", "lmtp://[::1]:24", "imaps://host", "inet:host:port", "host:port", "unix:/path".
 */
enum net_scheme {
    NET_SCHEME_NONE, /* host:port or inet: */
    NET_SCHEME_SMTP,
    NET_SCHEME_SMTPS,
    NET_SCHEME_LMTP,
    NET_SCHEME_IMAP,
    NET_SCHEME_IMAPS,
    NET_SCHEME_UNIX, /* host holds the path, port is 0 */
};

struct net_endpoint {
    enum net_scheme scheme;
    char *host; /* owned; without brackets */
    uint16_t port;
};

/* default_port 0: by scheme (25, 465, 24, 143, 993), and an error where the scheme has none. */
int net_endpoint_parse(
    struct slice text, uint16_t default_port, struct net_endpoint *out, struct err *err) ATTR_WUR;
void net_endpoint_fini(struct net_endpoint *e);
bool net_endpoint_eq(const struct net_endpoint *a, const struct net_endpoint *b); /* as written */

#endif
