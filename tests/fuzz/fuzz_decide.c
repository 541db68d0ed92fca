/* SPDX-License-Identifier: ISC */
/*
 * The decision over any small map.  The first line is the recipient; each further one is an entry:
 *
 *     m|h|r|u|a  key SP deliver_as     mailbox, held, reject, unknown, on a server without smtp
 *     g          key SP targets        alias, commas between the targets
 *
 * Whatever stands in them: a local part in which some server reads a foreign address is delivered
 * only where the map has an entry of exactly the recipient's key, or the target's; nothing is
 * refused for good while the state is unknown or a hold lasts, no server without smtp gets mail,
 * nobody gets it twice, and every graph of aliases has an end.
 */
#include <stdint.h>
#include <string.h>
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
        if (row->state == 'g') {
            e->kind = ROUTE_KIND_ALIAS;
            e->route = SLICE_NONE;
            size_t n = store ? row->deliver_as.n : 0;
            for (size_t k = 0; k < n && k < sizeof store->bytes; k++)
                store->bytes[k] = row->deliver_as.p[k] == ',' ? '\n' : row->deliver_as.p[k];
            e->targets = slice_make(store, n);
        } else {
            e->deliver_as = row->deliver_as;
        }
        return ROUTE_FOUND;
    }
    return ROUTE_NOT_FOUND;
}

static void check_delivery(
    struct map *map, const struct decision *d, const struct decide_delivery *to)
{
    unsigned char text[ADDRESS_LOCAL_MAX];
    struct route_entry entry;
    struct address a;
    BUG_ON(to->rcpt >= d->n_keys || (to->key != DECIDE_NO_KEY && to->key >= d->n_keys));
    if (to->is_outside) {
        BUG_ON(to->server != CONF_SERVER_NONE);
        return;
    }
    BUG_ON(to->server != OLD);
    BUG_ON(address_parse(slice_str(to->address), &a) != 0 || !address_is_ascii(a.domain));
    struct slice local = slice_make(text, address_unquote(a.local, text));
    bool is_foreign =
        slice_find(local, '%') >= 0 || slice_find(local, '!') >= 0 || slice_find(local, '@') >= 0;
    BUG_ON(is_foreign && get(map, decision_key(d, to->rcpt), NULL, &entry) != ROUTE_FOUND);
}

static void check_deliveries(struct map *map, const struct decision *d)
{
    BUG_ON(d->n_deliveries == 0 || d->n_deliveries > DECIDE_DELIVERIES_MAX || d->code != 0);
    for (size_t i = 0; i < d->n_deliveries; i++) {
        check_delivery(map, d, &d->deliveries[i]);
        for (size_t k = 0; k < i; k++)
            BUG_ON(d->deliveries[k].server == d->deliveries[i].server &&
                   strcmp(d->deliveries[k].address, d->deliveries[i].address) == 0);
    }
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
        check_deliveries(&map, &d);
    else
        BUG_ON((d.n_deliveries > 0 && d.deliveries[0].address[0] != '\0') || d.code < 400 ||
               d.code > 599);
    arena_free(&mem);
    return 0;
}
