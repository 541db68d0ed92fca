/* SPDX-License-Identifier: ISC */
/* small_site: a configuration and a map in static tables, for fuzz targets that decide by them. */
#ifndef TESTS_FUZZ_SMALL_SITE_H
#define TESTS_FUZZ_SMALL_SITE_H

#include "base/core/conf.h"
#include "maps/route.h"

static struct conf_server small_site_servers[] = {
    {.name = (char[]){"old"},
        .smtp = {.scheme = NET_SCHEME_SMTP, .host = (char[]){"10.1.1.5"}, .port = 25}},
    {.name = (char[]){"new"},
        .smtp = {.scheme = NET_SCHEME_LMTP, .host = (char[]){"::1"}, .port = 24}},
};
static struct conf_domain small_site_domains[] = {
    {.name = (char[]){"a.test"}, .default_server = CONF_SERVER_NONE, .fold_local_part = true},
    {.name = (char[]){"b.test"}, .model = CONF_MODEL_CHAINING, .default_server = 1},
};
static const struct conf small_site_conf = {
    .domains = small_site_domains,
    .n_domains = 2,
    .servers = small_site_servers,
    .n_servers = 2,
    .relay = {.hops_max = 3},
};

/* What an address means follows from its first letter. */
static inline enum route_answer small_site_get(
    void *arg, struct slice key, struct route_store *store, struct route_entry *entry)
{
    (void)arg;
    (void)store;
    *entry = (struct route_entry){.epoch = 7, .when_s = 1, .route = SLICE_LIT("old")};
    switch (key.n > 0 ? key.p[0] : 0) {
    case 'a':
        return ROUTE_FOUND;
    case 'h':
        entry->state = ROUTE_STATE_HELD;
        return ROUTE_FOUND;
    case 'r':
        entry->kind = ROUTE_KIND_REJECT;
        return ROUTE_FOUND;
    case 's':
        entry->deliver_as = SLICE_LIT("other@a.test");
        return ROUTE_FOUND;
    case 'u':
        return ROUTE_UNKNOWN;
    default:
        *entry = (struct route_entry){0};
        return ROUTE_NOT_FOUND;
    }
}

static inline struct route_view small_site_view(void)
{
    return (struct route_view){.get = small_site_get};
}

#endif
