/* SPDX-License-Identifier: ISC */
/*
 * The decision over any small map.  The first line is the recipient; each further one is an entry:
 *
 *     m|h|r|u|a  key SP deliver_as     mailbox, held, reject, unknown, on a server without smtp
 *
 * Whatever stands in them: a local part in which some server reads a foreign address is delivered
 * only where the map has an entry of exactly the recipient's key, nothing is refused for good while
 * the state is unknown or a hold lasts, and no server without smtp gets mail.
 */
#include <stdint.h>
#include "base/core/err.h"
#include "base/mail/address.h"
#include "maps/route.h"

#define ENTRIES_MAX 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OLD, ARCHIVE };
static struct conf_server servers[] = {
    {.name = (char[]){"old"}, .smtp = {NET_SCHEME_SMTP, (char[]){"10.1.1.5"}, 25}},
    {.name = (char[]){"archive"}},
};
static struct conf_domain domains[] = {
    {.name = (char[]){"a.b"}, .default_server = OLD, .fold_local_part = true},
    {.name = (char[]){"k"}, .default_server = CONF_SERVER_NONE},
    {.name = (char[]){"x"}, .default_server = ARCHIVE, .postmaster_server = ARCHIVE},
};
static const struct conf conf = {
    .domains = domains, .n_domains = 3, .servers = servers, .n_servers = 2};

struct row {
    unsigned char state;
    struct slice key, deliver_as;
};
struct map {
    struct row rows[ENTRIES_MAX];
    size_t n;
};

static enum route_answer get(
    void *arg, struct slice key, struct route_store *store, struct route_entry *e)
{
    const struct map *map = arg;
    (void)store;
    route_entry_clear(e);
    for (size_t i = 0; i < map->n; i++) {
        const struct row *row = &map->rows[i];
        if (!slice_eq(row->key, key))
            continue;
        if (row->state == 'u')
            return ROUTE_UNKNOWN;
        e->epoch = i + 1;
        e->kind = row->state == 'r' ? ROUTE_KIND_REJECT : ROUTE_KIND_MAILBOX;
        e->state = row->state == 'h' ? ROUTE_STATE_HELD : ROUTE_STATE_ACTIVE;
        e->route = row->state == 'a' ? SLICE_LIT("archive") : SLICE_LIT("old");
        e->deliver_as = row->deliver_as;
        return ROUTE_FOUND;
    }
    return ROUTE_NOT_FOUND;
}

static void check_delivery(struct map *map, const struct decision *d)
{
    unsigned char text[ADDRESS_LOCAL_MAX];
    struct route_entry entry;
    struct address a;
    BUG_ON(d->n_deliveries != 1 || decision_server(d) != OLD || d->code != 0);
    BUG_ON(
        address_parse(slice_str(d->deliveries[0].address), &a) != 0 || !address_is_ascii(a.domain));
    struct slice local = slice_make(text, address_unquote(a.local, text));
    bool is_foreign =
        slice_find(local, '%') >= 0 || slice_find(local, '!') >= 0 || slice_find(local, '@') >= 0;
    struct slice key = decision_key(d, 0);
    BUG_ON(is_foreign && get(map, key, NULL, &entry) != ROUTE_FOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size), line, rcpt;
    struct map map = {.n = 0};
    if (!slice_split(&rest, '\n', &rcpt))
        return 0;
    while (map.n < ENTRIES_MAX && slice_split(&rest, '\n', &line)) {
        struct row *row = &map.rows[map.n];
        if (line.n < 2)
            continue;
        row->state = line.p[0];
        row->deliver_as = slice_from(line, 1);
        map.n += slice_split(&row->deliver_as, ' ', &row->key);
    }
    struct route_view view = {.get = get, .arg = &map};
    struct decide_request req = {
        .rcpt = rcpt, .source_server = CONF_SERVER_NONE, .now_s = 1800000000};
    struct arena *mem = arena_new(DECIDE_MEM_MAX);
    struct decision d;
    bool is_unknown = false, is_held = false;
    decide(&conf, &view, &req, mem, &d, NULL);
    for (size_t i = 0; i < d.n_keys; i++) {
        struct route_entry entry;
        switch (get(&map, decision_key(&d, i), NULL, &entry)) {
        case ROUTE_UNKNOWN:
            is_unknown = true;
            break;
        case ROUTE_FOUND:
            is_held = is_held || entry.state == ROUTE_STATE_HELD;
            break;
        case ROUTE_NOT_FOUND:
            break;
        }
    }
    BUG_ON(d.n_keys > 0 && d.user >= d.n_keys - 1);
    BUG_ON(is_unknown && d.kind != DECIDE_DEFER);
    BUG_ON(!is_unknown && is_held != (d.kind == DECIDE_HOLD));
    if (d.kind == DECIDE_DELIVER)
        check_delivery(&map, &d);
    else
        BUG_ON((d.n_deliveries > 0 && d.deliveries[0].address[0] != '\0') || d.code < 400 ||
               d.code > 599);
    arena_free(&mem);
    return 0;
}
