/* SPDX-License-Identifier: ISC */
/*
 * dns: addresses of hosts, without blocking the loop (only dns.c includes c-ares).  Addresses are
 * taken from the name if it is one, from /etc/hosts, or from A and AAAA records, and are remembered
 * for their time to live.
 *
 * "There are none" is only said when both kinds of records are known not to exist; everything else
 * is temporary.
 */
#ifndef BASE_OS_DNS_H
#define BASE_OS_DNS_H

#include <stddef.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/net.h"

#define DNS_ADDRS_MAX 32

struct loop;
struct dns;
struct dns_query;

enum dns_result { DNS_FOUND, DNS_NONE, DNS_TEMPORARY };

struct dns_answer {
    enum dns_result result;
    const struct net_addr *addrs; /* IPv4 first; valid during the callback */
    size_t n;
    const char *reason; /* for people, when nothing was found */
};

struct dns_options {
    const char *servers; /* "127.0.0.1:5353,[::1]:53"; NULL: as /etc/resolv.conf says */
    uint32_t timeout_ms; /* of the first of three tries; 0: 3 s */
};

/* options may be NULL. */
int dns_new(struct loop *loop, const struct dns_options *options, struct dns **out,
    struct err *err) ATTR_WUR;
/* Not from inside a callback.  Queries that are under way end without one. */
void dns_free(struct dns **dns);

/* The callback comes once, from the loop, never from inside this call; the query is gone then. */
struct dns_query *dns_resolve(struct dns *dns, const char *host,
    void (*fn)(void *arg, const struct dns_answer *answer), void *arg);
void dns_cancel(struct dns_query **query); /* no callback will come */

#endif
