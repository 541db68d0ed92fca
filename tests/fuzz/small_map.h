/* SPDX-License-Identifier: ISC */
/* small_map: a real store of its own for a fuzz target, whose transactions are aborted. */
#ifndef TESTS_FUZZ_SMALL_MAP_H
#define TESTS_FUZZ_SMALL_MAP_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include "base/core/log.h"
#include "maps/store/control.h"

static struct conf_server small_map_servers[] = {
    {.name = (char[]){"old"}, .smtp = {NET_SCHEME_SMTP, (char[]){"10.1.1.5"}, 25}},
    {.name = (char[]){"new"}}};
static struct conf_domain small_map_domains[] = {
    {.name = (char[]){"example.org"}, .default_server = CONF_SERVER_NONE, .fold_local_part = true}};
static const struct conf small_map_conf = {.servers = small_map_servers,
    .n_servers = 2,
    .domains = small_map_domains,
    .n_domains = 1,
    .lookup = {.aliases = true},
    .mapd = {.hold_max_ms = 60000}};
static struct control small_map = {.conf = &small_map_conf, .now_ms = 1000000};
static char small_map_dir[] = "build/fuzz-map.XXXXXX"; /* libFuzzer ends without atexit */

static inline int small_map_remove_one(
    const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st, (void)type, (void)where;
    return remove(path);
}

static inline void small_map_remove(void)
{
    store_close(&small_map.store);
    nftw(small_map_dir, small_map_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline struct store_txn *small_map_begin(void)
{
    struct err err = ERR_INIT;
    struct store_txn *txn;

    if (!small_map.store) {
        log_set_level(LOG_LEVEL_ERROR);
        if (!mkdtemp(small_map_dir) || store_create(small_map_dir, 1u << 20, &err) != 0 ||
            store_open(small_map_dir, 1u << 20, &small_map.store, &err) != 0)
            abort();
        atexit(small_map_remove);
    }
    if (store_begin(small_map.store, &txn, &err) != 0)
        abort();
    return txn;
}

#endif
