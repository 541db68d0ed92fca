/* SPDX-License-Identifier: ISC */
/* site: a configuration from text and a map from a table, for tests of what decides by them. */
#ifndef TESTS_UNIT_SITE_H
#define TESTS_UNIT_SITE_H

#include "base/core/conf.h"
#include "base/os/io.h"
#include "maps/route.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

/* Ends with a row whose key is NULL. A row without a route is an entry of kind reject, or an alias
 * when it has targets. */
struct site_row {
    const char *key, *route, *deliver_as;
    enum route_state state;
    uint64_t epoch;
    const char *to, *senders;
};

struct site_map {
    const struct site_row *rows;
    bool is_unknown; /* no snapshot */
};

static inline enum route_answer site_get(
    void *arg, struct slice key, struct route_store *store, struct route_entry *entry)
{
    const struct site_map *map = arg;

    (void)store;
    *entry = (struct route_entry){0};
    if (map->is_unknown)
        return ROUTE_UNKNOWN;
    for (const struct site_row *row = map->rows; row->key != NULL; row++)
        if (slice_eq(slice_str(row->key), key)) {
            entry->kind = row->to != NULL      ? ROUTE_KIND_ALIAS
                          : row->route != NULL ? ROUTE_KIND_MAILBOX
                                               : ROUTE_KIND_REJECT;
            entry->targets = slice_str(row->to);
            entry->senders = slice_str(row->senders);
            entry->state = row->state;
            entry->epoch = row->epoch;
            entry->when_s = 1;
            entry->route = slice_str(row->route);
            entry->deliver_as = slice_str(row->deliver_as);
            return ROUTE_FOUND;
        }
    return ROUTE_NOT_FOUND;
}

static inline struct route_view site_view(struct site_map *map)
{
    return (struct route_view){.get = site_get, .arg = map};
}

/* The caller frees it with conf_free(). */
static inline struct conf *site_conf(const char *text)
{
    struct tmpdir dir;
    struct err err = ERR_INIT;
    struct conf *conf = NULL;

    tmpdir_make(&dir);
    if (io_write_file_durable(tmpdir_file(&dir, "coexist.conf"), slice_str(text), 0600, &err) !=
            0 ||
        conf_load(tmpdir_file(&dir, "coexist.conf"), &conf, &err) != 0)
        fail_msg("%s", err.text);
    tmpdir_remove(&dir);
    return conf;
}

#endif
