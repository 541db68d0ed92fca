/* SPDX-License-Identifier: ISC */
/*
 * postfix: see postfix.h.
 *
 *     transport         user@domain  transport:nexthop        domain  transport:nexthop
 *     relay_recipients  user@domain  anything                 @domain  anything
 *     virtual           user@domain  address, address...      domain  anything (it is virtual)
 *
 * Tables of patterns (regexp, pcre, cidr) look alike at first sight; nothing can be read out of
 * them, and a map made of what is left would refuse users.
 */
#include "maps/format/postfix.h"

#include "base/core/buf.h"
#include "maps/route.h"

/* 0: nothing to complain of; 1: told, and *rc_out is the result. */
static int check_key(const struct site *s, size_t line, struct slice key, struct slice value,
    int *rc_out, struct err *err)
{
    bool is_pattern = key.p[0] == '/' || slice_eq(key, SLICE_LIT("if")) ||
                      slice_eq(key, SLICE_LIT("endif")) || key.p[0] == '!';

    *rc_out = 0;
    if (is_pattern)
        *rc_out = sink_bad(s->sink, line, err,
            "this is a table of patterns: only tables for postmap(1) can be read");
    else if (value.n == 0)
        *rc_out = sink_bad(s->sink, line, err, "%.*s has nothing behind it", SLICE_ARG(key));
    else
        return 0;
    return 1;
}

/* "domain" as "@domain". */
static int add_domain_key(struct slice key, struct buf *out)
{
    return buf_add_byte(out, '@') != 0 || buf_add(out, key) != 0 ? -1 : 0;
}

static int transport_entry(
    const struct site *s, size_t line, struct slice key, struct slice value, struct err *err)
{
    struct slice nexthop = value, transport;

    if (slice_split(&nexthop, ':', &transport) && slice_eq(transport, SLICE_LIT("error")))
        return site_reject(s, line, key, nexthop, err);
    /* ":" and "transport:" leave the one or the other as it is elsewhere. */
    if (slice_eq(value, SLICE_LIT(":")))
        return site_mailbox(s, line, key, SLICE_NONE, SLICE_NONE, err);
    return site_mailbox(s, line, key, value, SLICE_NONE, err);
}

int postfix_transport(const struct site *s, size_t line, struct slice text, struct err *err)
{
    struct slice value, key = site_word(text, &value);
    struct buf domain;
    int rc;

    if (check_key(s, line, key, value, &rc, err) != 0)
        return rc;
    if (slice_eq(key, SLICE_LIT("*"))) {
        sink_note(s->sink, line, "* is about all other domains");
        return 0;
    }
    if (key.p[0] == '.') {
        sink_note(s->sink, line,
            "%.*s is about the subdomains of a domain: the map has an entry "
            "for each domain",
            SLICE_ARG(key));
        return 0;
    }
    if (slice_rfind(key, '@') >= 0)
        return transport_entry(s, line, key, value, err);
    buf_init(&domain, ROUTE_KEY_MAX);
    if (add_domain_key(key, &domain) != 0)
        rc = sink_bad(s->sink, line, err, "the name of a domain is too long");
    else
        rc = transport_entry(s, line, buf_slice(&domain), value, err);
    buf_fini(&domain);
    return rc;
}

int postfix_relay_recipients(const struct site *s, size_t line, struct slice text, struct err *err)
{
    struct slice value, key = site_word(text, &value);
    int rc;

    if (check_key(s, line, key, value, &rc, err) != 0)
        return rc;
    return site_mailbox(s, line, key, SLICE_NONE, SLICE_NONE, err);
}

int postfix_virtual(const struct site *s, size_t line, struct slice text, struct err *err)
{
    struct slice value, key = site_word(text, &value);
    int rc;

    if (check_key(s, line, key, value, &rc, err) != 0)
        return rc;
    /* "example.org anything" makes a domain virtual; "a.b a@example.org" is a user. */
    if (slice_rfind(key, '@') < 0 && slice_find(key, '.') >= 0 && slice_find(value, '@') < 0) {
        sink_note(s->sink, line, "%.*s is called a virtual domain", SLICE_ARG(key));
        return 0;
    }
    return site_alias(s, line, key, value, err);
}
