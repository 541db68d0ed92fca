/* SPDX-License-Identifier: ISC */
/*
 * deliveries: see deliveries.h.  A hash table from delivery address to keys, filled from the
 * snapshot when it is asked and as far as the snapshot has grown since (snapshot_walk()), so that a
 * change is in the next answer here too.
 *
 * It says what may be, not what is: a key stays when its entry has changed, until the next data
 * file of the snapshot, and whoever asks looks the entry up.  While there is no valid snapshot it
 * keeps what it has.  A site without deliver_as pays one pass over each new data file.
 */
#include "maps/lookup/deliveries.h"

#include <stdlib.h>
#include "base/core/mem.h"
#include "maps/delivery.h"

#define SLOTS_MIN 64
#define NONE UINT32_MAX

struct item {
    uint64_t hash; /* of the delivery address */
    size_t at, n;  /* its entry's key in `text` */
    uint32_t next;
};

struct deliveries {
    struct snapshot *snapshot;
    struct snapshot_mark mark;
    const struct conf *conf;
    struct item *items;
    size_t n, cap;
    uint32_t *slots; /* first item; as many as cap */
    unsigned char *text;
    size_t text_n, text_cap;
};

static uint32_t *slot_of(const struct deliveries *d, uint64_t hash)
{
    return &d->slots[hash & (d->cap - 1)];
}

static void link_item(struct deliveries *d, uint32_t i)
{
    uint32_t *slot = slot_of(d, d->items[i].hash);
    d->items[i].next = *slot;
    *slot = i;
}

static void make_room(struct deliveries *d, size_t text_n)
{
    if (d->n == d->cap) {
        BUG_ON(d->cap >= NONE / 2);
        d->cap = d->cap ? 2 * d->cap : SLOTS_MIN;
        d->items = mem_realloc_array(d->items, d->cap, sizeof *d->items);
        d->slots = mem_realloc_array(d->slots, d->cap, sizeof *d->slots);
        memset(d->slots, 0xff, d->cap * sizeof *d->slots);
        for (size_t i = 0; i < d->n; i++)
            link_item(d, (uint32_t)i);
    }
    if (text_n > d->text_cap - d->text_n) {
        d->text_cap = 2 * d->text_cap + text_n;
        d->text = mem_realloc_array(d->text, d->text_cap, 1);
    }
}

static struct slice item_key(const struct deliveries *d, const struct item *item)
{
    return slice_make(d->text + item->at, item->n);
}

static bool has(const struct deliveries *d, uint64_t hash, struct slice key)
{
    if (d->n == 0)
        return false;
    for (uint32_t i = *slot_of(d, hash); i != NONE; i = d->items[i].next)
        if (d->items[i].hash == hash && slice_eq(item_key(d, &d->items[i]), key))
            return true;
    return false;
}

static void on_restart(void *arg)
{
    struct deliveries *d = arg;
    d->n = d->text_n = 0;
    if (d->slots)
        memset(d->slots, 0xff, d->cap * sizeof *d->slots);
}

/* The key of the address by which an entry is delivered; "@domain" for all of a domain. */
static int delivery_key(
    const struct conf *conf, struct slice key, struct slice deliver_as, struct buf *out)
{
    struct buf address;
    int rc = -1;

    if (deliver_as.p[0] != '@' || key.p[0] == '@')
        return normalise_key(conf, deliver_as, out);
    buf_init(&address, 2 * ROUTE_KEY_MAX);
    if (buf_add(&address, normalise_local(key)) == 0 && buf_add(&address, deliver_as) == 0)
        rc = normalise_key(conf, buf_slice(&address), out);
    buf_fini(&address);
    return rc;
}

static void on_entry(void *arg, struct slice key, const struct route_entry *entry)
{
    struct deliveries *d = arg;
    struct buf address;

    if (entry->is_tombstone || entry->deliver_as.n == 0 || key.n == 0)
        return;
    buf_init(&address, ROUTE_KEY_MAX);
    if (delivery_key(d->conf, key, entry->deliver_as, &address) == 0) {
        uint64_t hash = route_key_hash(buf_slice(&address));
        if (!has(d, hash, key)) {
            make_room(d, key.n);
            memcpy(d->text + d->text_n, key.p, key.n);
            d->items[d->n] = (struct item){.hash = hash, .at = d->text_n, .n = key.n};
            d->text_n += key.n;
            link_item(d, (uint32_t)d->n++);
        }
    }
    buf_fini(&address);
}

struct deliveries *deliveries_new(struct snapshot *snapshot, const struct conf *conf)
{
    struct deliveries *d = mem_zalloc(sizeof *d);
    d->snapshot = snapshot;
    d->conf = conf;
    return d;
}

void deliveries_free(struct deliveries **d)
{
    if (!*d)
        return;
    free((*d)->items);
    free((*d)->slots);
    free((*d)->text);
    free(*d);
    *d = NULL;
}

void deliveries_set_conf(struct deliveries *d, const struct conf *conf)
{
    d->conf = conf;
    d->mark = (struct snapshot_mark){0};
}

static void find(void *arg, struct slice address_key, socketmap_on_origin *on_origin, void *to)
{
    struct deliveries *d = arg;
    struct snapshot_visitor visitor = {on_restart, on_entry, d};
    uint64_t hash = route_key_hash(address_key);

    (void)!snapshot_walk(d->snapshot, &d->mark, &visitor);
    if (d->n == 0)
        return;
    for (uint32_t i = *slot_of(d, hash); i != NONE; i = d->items[i].next)
        if (d->items[i].hash == hash && !on_origin(to, item_key(d, &d->items[i])))
            return;
}

struct socketmap_origins deliveries_origins(struct deliveries *d)
{
    return (struct socketmap_origins){.find = find, .arg = d};
}
