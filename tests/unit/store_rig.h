/* SPDX-License-Identifier: ISC */
/* store_rig: a store in a folder of its own, fresh for each test, that a test may close and open.
 */
#ifndef TESTS_UNIT_STORE_RIG_H
#define TESTS_UNIT_STORE_RIG_H

#include "base/core/log.h"
#include "maps/store/store.h"
#include "tests/unit/tmpdir.h"

#define CACHE_SIZE (4U << 20)

static struct tmpdir dir;
static struct store *store;

static void must(int rc, const struct err *err)
{
    if (rc != 0)
        fail_msg("%s", err->text);
}

static void reopen(void)
{
    struct err err = ERR_INIT;
    store_close(&store);
    must(store_open(dir.path, CACHE_SIZE, &store, &err), &err);
}

static int set_up(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    log_set_level(LOG_LEVEL_ERROR);
    tmpdir_make(&dir);
    must(store_create(dir.path, CACHE_SIZE, &err), &err);
    reopen();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(&store);
    tmpdir_remove(&dir);
    return 0;
}

static struct store_txn *begin(void)
{
    struct err err = ERR_INIT;
    struct store_txn *txn;
    must(store_begin(store, &txn, &err), &err);
    return txn;
}

static void commit(struct store_txn *txn)
{
    struct err err = ERR_INIT;
    must(store_commit(&txn, &err), &err);
}

#endif
