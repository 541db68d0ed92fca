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
    struct {
        struct snapshot_draft *draft; /* NULL: none */
        uint64_t number, base;        /* of the import that it shows */
        uint64_t caught;              /* generation up to which others' changes are in it */
        struct buf at;                /* the last key that was added */
        bool is_walked;
    } ahead;
};

int publish_open(const char *run_dir, struct store *store, struct publish **out, struct err *err)
{
    struct publish *p = mem_zalloc(sizeof *p);
    p->store = store;
    buf_init(&p->ahead.at, ROUTE_KEY_MAX);
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
    snapshot_draft_free(&(*p)->ahead.draft);
    buf_fini(&(*p)->ahead.at);
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

/* --- Ahead of a switch ---------------------------------------------------------------------- */

struct step {
    struct publish *p;
    struct store_txn *txn;
    size_t n, max;
    uint64_t to; /* generation of the map: what is behind it is the import's */
    struct buf bytes;
};

static int add_walked(void *arg, struct slice key, const struct route_entry *e, struct err *err)
{
    struct step *s = arg;
    struct buf *at = &s->p->ahead.at;

    if (slice_eq(key, buf_slice(at)))
        return 0;
    if (s->n++ == s->max)
        return 1;
    buf_clear(at);
    if (buf_add(at, key) != 0)
        return err_set(err, ERR_BUG, EX_SOFTWARE, "a key is too long");
    return snapshot_draft_add(s->p->ahead.draft, key, e, err);
}

static int add_changed(void *arg, const struct history_record *record, struct err *err)
{
    struct step *s = arg;
    struct route_entry e;

    if (record->generation > s->to)
        return 1;
    if (store_get(s->p->store, s->txn, record->key, &s->bytes, &e, err) != 0)
        return -1;
    return snapshot_draft_add(s->p->ahead.draft, record->key, &e, err);
}

static int step_ahead(struct step *s, struct err *err)
{
    struct publish *p = s->p;
    struct buf from;
    int rc = 0;

    if (!p->ahead.is_walked) {
        buf_init(&from, ROUTE_KEY_MAX);
        rc = buf_add(&from, buf_slice(&p->ahead.at));
        if (rc == 0)
            rc = store_scan(p->store, s->txn, buf_slice(&from), add_walked, s, err);
        buf_fini(&from);
        p->ahead.is_walked = s->n <= s->max;
    }
    if (rc == 0 && p->ahead.caught < s->to)
        rc = store_scan_history(p->store, s->txn, p->ahead.caught + 1, add_changed, s, err);
    p->ahead.caught = s->to;
    return rc;
}

int publish_prepare(struct publish *p, struct store_txn *txn, const struct store_stage *stage,
    uint64_t base, const struct store_cause *cause, size_t max, bool *ready_out, struct err *err)
{
    struct step s = {.p = p, .txn = txn, .max = max, .to = store_txn_generation(txn)};

    if (!p->ahead.draft || p->ahead.number != stage_number(stage) || p->ahead.base != base) {
        snapshot_draft_free(&p->ahead.draft);
        p->ahead.draft = snapshot_draft_new(store_live_count(p->store) + stage_changes(stage));
        p->ahead.number = stage_number(stage);
        p->ahead.base = base;
        p->ahead.caught = s.to;
        p->ahead.is_walked = false;
        buf_clear(&p->ahead.at);
    }
    buf_init(&s.bytes, 2 * ROUTE_RECORD_MAX);
    stage_look(txn, stage, base, cause);
    int rc = step_ahead(&s, err);
    stage_look_away(txn);
    buf_fini(&s.bytes);
    if (rc != 0)
        snapshot_draft_free(&p->ahead.draft);
    *ready_out = rc == 0 && p->ahead.is_walked;
    return rc;
}

/* Of an import that was given up, or that has been switched. */
static void drop_ahead(struct publish *p)
{
    if (p->ahead.draft && !stage_is_live(p->store, p->ahead.number))
        snapshot_draft_free(&p->ahead.draft);
}

int publish_stage(struct publish *p, struct store_txn *txn, struct err *err)
{
    int rc;

    if (txn && store_has_switched(txn) && p->ahead.draft && p->ahead.is_walked &&
        p->ahead.base == store_switched_base(txn)) {
        p->staged = store_txn_generation(txn);
        rc = snapshot_writer_take(p->writer, &p->ahead.draft, p->staged, err);
        return rc == 0 ? 0 : err_wrap(err, "the import cannot be published");
    }
    drop_ahead(p);
    rc = p->is_built ? stage_log(p, txn, err) : 0;
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
