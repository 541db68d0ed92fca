/* SPDX-License-Identifier: ISC */
/*
 * publish: see publish.h.
 *
 * A start publishes the whole map, although the snapshot of the former process may be there and the
 * log would reach: so a start repairs a snapshot that somebody has damaged.
 */
#include "maps/store/publish.h"

#include <stdlib.h>
#include <sysexits.h>
#include "base/core/arena.h"
#include "base/core/mem.h"
#include "maps/snapshot_write.h"

#define ARENA_MAX ((size_t)SNAPSHOT_IN_PLACE_MAX * 2 * ROUTE_RECORD_MAX)

struct publish {
    struct store *store;
    struct snapshot_writer *writer;
    bool is_built;       /* this process has published the whole map */
    uint64_t generation; /* that is published, when is_built */
    uint64_t staged;
};

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

/* What the log has behind what is published. */
struct gather {
    struct snapshot_change *v; /* max */
    size_t n, max;
    uint64_t from, last; /* generations: published, and of the last change */
    bool has_from;       /* the log has the change that was published last: it reaches */
    bool is_more;        /* than max */
    struct arena *mem;
};

static int on_change(void *arg, const struct history_record *record, struct err *err)
{
    struct gather *g = arg;

    if (record->generation == g->from) {
        g->has_from = true;
        return 0;
    }
    if (g->n == g->max) {
        g->is_more = true;
        return 1;
    }
    struct snapshot_change *change = &g->v[g->n++];
    struct slice value = arena_dup(g->mem, record->new_value);
    change->key = arena_dup(g->mem, record->key);
    g->last = record->generation;
    if (!change->key.p || !value.p || record_decode(value, &change->entry) != 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "the change log is damaged at generation %llu",
            (unsigned long long)record->generation);
    return 0;
}

static int gather(struct publish *p, struct store_txn *txn, struct gather *g, struct err *err)
{
    g->from = g->last = p->generation;
    g->v = mem_realloc_array(NULL, g->max, sizeof *g->v);
    g->mem = arena_new(ARENA_MAX);
    return store_scan_history(p->store, txn, g->from, on_change, g, err);
}

static void gather_fini(struct gather *g)
{
    arena_free(&g->mem);
    free(g->v);
}

/* 1: staged, or nothing to be staged; 0: the whole map has to be. */
static int stage_log(struct publish *p, struct store_txn *txn, struct err *err)
{
    struct gather g = {.max = SNAPSHOT_IN_PLACE_MAX};
    struct err ignored = ERR_INIT;
    int rc = gather(p, txn, &g, err) == 0 ? 1 : -1;

    if (rc == 1 &&
        (g.is_more || (!g.has_from && store_log_reaches(p->store, txn, g.from, &ignored) != 0)))
        rc = 0;
    if (rc == 1 && g.n > 0 && snapshot_writer_stage(p->writer, g.v, g.n, g.last, err) != 0)
        rc = -1;
    p->staged = g.last;
    gather_fini(&g);
    return rc;
}

int publish_stage(struct publish *p, struct store_txn *txn, struct err *err)
{
    int rc = p->is_built ? stage_log(p, txn, err) : 0;

    if (rc == 0) {
        p->staged = txn ? store_txn_generation(txn) : store_generation(p->store);
        rc = stage_all(p, txn, p->staged, err) == 0 ? 1 : -1;
    }
    return rc == 1 ? 0 : err_wrap(err, "the change cannot be published");
}

int publish_next(struct publish *p, struct err *err)
{
    struct gather g = {.max = 1};

    if (!p->is_built)
        return err_set(err, ERR_PERM, EX_DATAERR,
            "no generation is published that the change log could be applied to");
    int rc = gather(p, NULL, &g, err);
    if (rc == 0 && !g.has_from)
        rc = store_log_reaches(p->store, NULL, g.from, err);
    if (rc == 0 && g.n > 0)
        rc = snapshot_writer_stage(p->writer, g.v, g.n, g.last, err);
    p->staged = g.last;
    size_t n = g.n;
    gather_fini(&g);
    if (rc != 0)
        return err_wrap(err, "the snapshot cannot follow");
    publish_staged(p);
    return n > 0;
}

void publish_staged(struct publish *p)
{
    snapshot_writer_publish(p->writer);
    p->is_built = true;
    p->generation = p->staged;
}

void publish_discard(struct publish *p)
{
    snapshot_writer_discard(p->writer);
}
