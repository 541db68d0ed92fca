/* SPDX-License-Identifier: ISC */
/*
 * fuzz_normalise: any bytes as recipient, through normalisation and the decision.  A key stays what
 * it is when it is normalised again, and mail is only delivered to what is an address.
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/mail/address.h"
#include "maps/route.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct conf_server servers[] = {
    {.name = (char *)"old", .smtp = {NET_SCHEME_SMTP, (char *)"10.1.1.5", 25}},
    {.name = (char *)"new", .smtp = {NET_SCHEME_SMTP, (char *)"10.1.2.5", 25}},
};
static char *list_addresses[] = {(char *)"*-r", (char *)"o-*"};
static struct conf_domain domains[] = {
    {.name = (char *)"a.b", .default_server = 0, .fold_local_part = true},
    {.name = (char *)"k", .default_server = CONF_SERVER_NONE},
    {.name = (char *)"m", .delimiter = (char *)"-_=", .list_addresses = {list_addresses, 2}},
};
static const struct conf conf = {
    .domains = domains, .n_domains = 3, .servers = servers, .n_servers = 2};

/* The first byte of the input says what the map answers. */
static enum route_answer get(
    void *arg, struct slice key, struct route_store *store, struct route_entry *e)
{
    const uint8_t *how = arg;
    (void)key;
    (void)store;
    route_entry_clear(e);
    e->epoch = *how / 8;
    e->route = *how & 4 ? SLICE_LIT("new") : SLICE_LIT("none");
    e->deliver_as = *how & 8 ? SLICE_LIT("x@new.a.b") : *how & 16 ? SLICE_LIT("@n") : SLICE_NONE;
    e->state = *how & 32 ? ROUTE_STATE_HELD : ROUTE_STATE_ACTIVE;
    return *how % 3 == 0 ? ROUTE_FOUND : *how % 3 == 1 ? ROUTE_NOT_FOUND : ROUTE_UNKNOWN;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    uint8_t how = data[0];
    struct slice text = slice_make(data + 1, size - 1);
    struct buf key, again, bare, steps;
    buf_init(&key, ROUTE_KEY_MAX);
    buf_init(&again, ROUTE_KEY_MAX);
    buf_init(&bare, ROUTE_KEY_MAX);
    buf_init(&steps, 8192);
    if (normalise_key(&conf, text, &key) == 0) {
        CHECK(normalise_key(&conf, buf_slice(&key), &again) == 0);
        CHECK(slice_eq(buf_slice(&key), buf_slice(&again)));
        CHECK(address_is_ascii(normalise_domain(buf_slice(&key))));
        const struct conf_domain *d = conf_domain(&conf, normalise_domain(buf_slice(&key)));
        if (normalise_list(d, buf_slice(&key), &bare)) {
            buf_clear(&again);
            CHECK(normalise_key(&conf, buf_slice(&bare), &again) == 0);
            CHECK(slice_eq(buf_slice(&bare), buf_slice(&again)));
        }
        buf_clear(&bare);
        if (normalise_strip_detail(d, buf_slice(&key), &bare)) {
            buf_clear(&again);
            CHECK(normalise_key(&conf, buf_slice(&bare), &again) == 0);
            CHECK(slice_eq(buf_slice(&bare), buf_slice(&again)));
        }
    }

    struct route_view view = {.get = get, .arg = &how};
    struct decide_request req = {
        .rcpt = text, .source_server = how % 4 == 0 ? 1 : CONF_SERVER_NONE, .now_s = 1000};
    struct arena *mem = arena_new(DECIDE_MEM_MAX);
    struct decision d;
    struct address a;
    decide(&conf, &view, &req, mem, &d, &steps);
    if (d.kind == DECIDE_DELIVER)
        CHECK(
            address_parse(slice_str(d.deliveries[0].address), &a) == 0 && decision_server(&d) >= 0);
    else
        CHECK(d.code >= 400 && d.text[0]);
    if (how % 3 == 2 && d.kind != DECIDE_NOT_OURS)
        CHECK(d.code == 451);
    for (size_t i = 0; i < steps.n; i++)
        CHECK(buf_slice(&steps).p[i] >= ' ' || buf_slice(&steps).p[i] == '\n');
    arena_free(&mem);
    buf_fini(&key);
    buf_fini(&again);
    buf_fini(&bare);
    buf_fini(&steps);
    return 0;
}
