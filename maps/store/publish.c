/* SPDX-License-Identifier: ISC */
/*
 * publish: see publish.h.  A few changes are read back from the store one by one; a transaction
 * that changed many keys, and the first publication of this process, builds a new data file from
 * all entries.
 */
#include "maps/store/publish.h"

#include <stdlib.h>
#include "base/core/arena.h"
#include "base/core/mem.h"
#include "maps/snapshot_write.h"

#define ARENA_MAX ((size_t)STORE_CHANGES_LISTED_MAX * 2 * ROUTE_RECORD_MAX)

struct publish {
    struct store *store;
    struct snapshot_writer *writer;
    bool is_built; /* this process has published the whole map */
};

_Static_assert(STORE_CHANGES_LISTED_MAX <= SNAPSHOT_IN_PLACE_MAX, "listed changes fit in place");

int publish_open(const char *run_dir, struct store *store, struct publish **out, struct err *err)
{
    struct publish *p = mem_zalloc(sizeof *p);
    p->store = store;
    if (snapshot_writer_open(run_dir, store_map_id(store), &p->writer, err) != 0) {
        publish_close(&p);
        return -1;
    }
    *out = p;
    return 0;
}

void publish_close(struct publish **p)
{
    if (!*p)
        return;
    snapshot_writer_close(&(*p)->writer);
    free(*p);
    *p = NULL;
}

int publish_check(const struct publish *p, struct err *err)
{
    return snapshot_writer_check(p->writer, err);
}

void publish_invalidate(struct publish *p)
{
    snapshot_writer_invalidate(p->writer);
    p->is_built = false;
}

static int next_entry(
    void *arg, struct slice *key_out, struct route_entry *entry_out, struct err *err)
{
    return store_walk_next(arg, key_out, entry_out, err);
}

static int stage_all(struct publish *p, struct store_txn *txn, uint64_t generation, struct err *err)
{
    struct store_walk *walk;
    uint64_t n_keys = store_live_count(p->store) + (txn ? store_change_count(txn) : 0);

    if (store_walk_open(p->store, txn, SLICE_LIT(""), &walk, err) != 0)
        return -1;
    const struct snapshot_source source = {.next = next_entry, .arg = walk};
    int rc = snapshot_writer_rebuild(p->writer, &source, n_keys, generation, err);
    store_walk_close(&walk);
    return rc;
}

static int read_change(struct publish *p, struct store_txn *txn, size_t i, struct arena *mem,
    struct buf *bytes, struct snapshot_change *out, struct err *err)
{
    out->key = store_changed_key(txn, i);
    if (store_get(p->store, txn, out->key, bytes, &out->entry, err) != 0)
        return -1;
    struct slice copy = arena_dup(mem, buf_slice(bytes));
    /* Decoded anew: the entry has to borrow from the copy. */
    if (!copy.p || record_decode(copy, &out->entry) != 0)
        BUG("a change of this transaction cannot be read");
    return 0;
}

static int stage_changes(
    struct publish *p, struct store_txn *txn, size_t n, uint64_t generation, struct err *err)
{
    struct snapshot_change *changes = mem_realloc_array(NULL, n, sizeof *changes);
    struct arena *mem = arena_new(ARENA_MAX);
    struct buf bytes;
    int rc = 0;

    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = read_change(p, txn, i, mem, &bytes, &changes[i], err);
    if (rc == 0)
        rc = snapshot_writer_stage(p->writer, changes, n, generation, err);
    buf_fini(&bytes);
    arena_free(&mem);
    free(changes);
    return rc;
}

int publish_stage(struct publish *p, struct store_txn *txn, struct err *err)
{
    uint64_t generation = txn ? store_txn_generation(txn) : store_generation(p->store);
    bool all = !p->is_built;
    size_t n = txn ? store_changed_keys(txn, &all) : 0;
    int rc = 0;

    if (all || !p->is_built)
        rc = stage_all(p, txn, generation, err);
    else if (n > 0)
        rc = stage_changes(p, txn, n, generation, err);
    return rc == 0 ? 0 : err_wrap(err, "the change cannot be published");
}

void publish_staged(struct publish *p)
{
    snapshot_writer_publish(p->writer);
    p->is_built = true;
}

void publish_discard(struct publish *p)
{
    snapshot_writer_discard(p->writer);
}
