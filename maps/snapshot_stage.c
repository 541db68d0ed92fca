/* SPDX-License-Identifier: ISC */
/*
 * snapshot_stage: what a change needs before it can be published: its entries behind all others in
 * the file that readers have, or a new file.  All that can fail happens here.
 */
#include "maps/snapshot_write_parts.h"

#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"

/* --- A new data file ------------------------------------------------------------------ */

/* Ends a build and stages the file. */
static int finish(struct snapshot_writer *w, struct snapshot_build **b, uint64_t generation,
    uint64_t keys, struct err *err)
{
    BUG_ON(w->staged.base || w->n_pending > 0);
    w->staged_sequence = atomic_load(&w->ctl->last) + 1;
    w->staged_generation = generation;
    return snapshot_build_finish(
        b, w->run_dir, w->staged_sequence, &w->ids, generation, keys, &w->staged, err);
}

static int add_entry(struct snapshot_build *b, struct slice key, const struct route_entry *entry,
    struct buf *record, struct err *err)
{
    buf_clear(record);
    if (key.n == 0 || key.n > ROUTE_KEY_MAX || record_encode(entry, false, record) != 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "%.*s: the entry cannot be published",
            (int)(key.n < ROUTE_KEY_MAX ? key.n : ROUTE_KEY_MAX), (const char *)key.p);
    snapshot_build_add(b, key, buf_slice(record));
    return 0;
}

int snapshot_writer_rebuild(struct snapshot_writer *w, const struct snapshot_source *source,
    uint64_t n_keys, uint64_t generation, struct err *err)
{
    struct snapshot_build *b = snapshot_build_new(n_keys);
    struct buf record;
    uint64_t live = 0;
    int rc = -1;
    buf_init(&record, ROUTE_RECORD_MAX);
    if (snapshot_writer_check(w, err) != 0)
        goto done;
    for (;;) {
        struct slice key;
        struct route_entry entry;
        rc = source->next(source->arg, &key, &entry, err);
        if (rc == 0)
            break;
        if (rc < 0 || add_entry(b, key, &entry, &record, err) != 0) {
            rc = -1;
            goto done;
        }
        live += !entry.is_tombstone;
    }
    rc = finish(w, &b, generation, live, err);
done:
    snapshot_build_free(&b);
    buf_fini(&record);
    return rc;
}

static bool is_live_record(struct slice record)
{
    struct route_entry entry;
    return record_decode(record, &entry) == 0 && !entry.is_tombstone;
}

/* --- A new data file, bit by bit --------------------------------------------------------- */

struct snapshot_draft {
    struct snapshot_build *build;
    uint64_t live;
    struct buf record;
};

struct snapshot_draft *snapshot_draft_new(uint64_t n_keys)
{
    struct snapshot_draft *d = mem_zalloc(sizeof *d);
    d->build = snapshot_build_new(n_keys);
    buf_init(&d->record, ROUTE_RECORD_MAX);
    return d;
}

void snapshot_draft_free(struct snapshot_draft **d)
{
    if (!*d)
        return;
    snapshot_build_free(&(*d)->build);
    buf_fini(&(*d)->record);
    free(*d);
    *d = NULL;
}

int snapshot_draft_add(
    struct snapshot_draft *d, struct slice key, const struct route_entry *entry, struct err *err)
{
    struct slice old;
    bool was_live = snapshot_build_get(d->build, key, &old) && is_live_record(old);

    if (add_entry(d->build, key, entry, &d->record, err) != 0)
        return -1;
    d->live = d->live - was_live + !entry->is_tombstone;
    return 0;
}

int snapshot_writer_take(
    struct snapshot_writer *w, struct snapshot_draft **d, uint64_t generation, struct err *err)
{
    int rc = snapshot_writer_check(w, err);
    if (rc == 0)
        rc = finish(w, &(*d)->build, generation, (*d)->live, err);
    snapshot_draft_free(d);
    return rc;
}

/* --- Changes in a file of their own ---------------------------------------------------------- */

/* A new file from what is published and the changes: the garbage of replaced entries stays
 * behind. */
static int stage_file(struct snapshot_writer *w, const struct snapshot_change *changes, size_t n,
    uint64_t generation, struct err *err)
{
    struct snapshot_build *b = snapshot_build_new(w->live.cells_used + n);
    struct buf record;
    uint64_t live = atomic_load(&w->live.view.head->keys);
    int rc = -1;
    buf_init(&record, ROUTE_RECORD_MAX);
    for (uint64_t i = 0; i < w->live.view.n_cells; i++) {
        uint64_t word = atomic_load_explicit(&w->live.cells[i].word, memory_order_relaxed);
        struct slice key, old;
        if (word == SNAPSHOT_EMPTY)
            continue;
        if (!snapshot_file_entry(&w->live.view, word, &key, &old)) {
            err_set(err, ERR_TEMP, EX_UNAVAILABLE,
                "%s: the published snapshot is damaged: coexist-mapd must be restarted",
                w->run_dir);
            goto done;
        }
        snapshot_build_add(b, key, old);
    }
    for (size_t i = 0; i < n; i++) {
        struct slice old;
        bool was_live = snapshot_build_get(b, changes[i].key, &old) && is_live_record(old);
        if (add_entry(b, changes[i].key, &changes[i].entry, &record, err) != 0)
            goto done;
        live = live - was_live + !changes[i].entry.is_tombstone;
    }
    rc = finish(w, &b, generation, live, err);
done:
    snapshot_build_free(&b);
    buf_fini(&record);
    return rc;
}

/* --- In place ------------------------------------------------------------------------- */

static struct pending *find_pending(struct snapshot_writer *w, uint64_t cell)
{
    for (size_t i = 0; i < w->n_pending; i++)
        if (w->pending[i].cell == cell)
            return &w->pending[i];
    return NULL;
}

/* Where a change of a key belongs. */
struct target {
    uint64_t cell;
    struct pending *same; /* staged already for this key, or NULL */
    bool is_new, was_live;
};

/* False: the file is damaged. */
static bool find_target(
    struct snapshot_writer *w, struct slice key, uint64_t hash, struct target *out)
{
    struct slice record;
    *out = (struct target){0};
    switch (snapshot_file_find(&w->live.view, key, hash, &out->cell, &record)) {
    case SNAPSHOT_DAMAGED:
        return false;
    case SNAPSHOT_HIT:
        out->was_live = is_live_record(record);
        out->same = find_pending(w, out->cell);
        return true;
    case SNAPSHOT_ABSENT:
        out->is_new = true;
        break;
    }
    /* The empty cell may be promised to another new key: the search goes on behind it. */
    for (;;) {
        struct pending *p = find_pending(w, out->cell);
        if (!p && atomic_load(&w->live.cells[out->cell].word) == SNAPSHOT_EMPTY)
            return true;
        if (p && p->is_new && slice_eq(p->key, key)) {
            out->same = p;
            return true;
        }
        out->cell = out->cell + 1 < w->live.view.n_cells ? out->cell + 1 : 0;
    }
}

/* 1: staged; 0: no room, a new file is needed; -1: error. */
static int stage_one(struct snapshot_writer *w, const struct snapshot_change *change,
    struct buf *record, uint64_t *cells_used, struct err *err)
{
    uint64_t hash = route_key_hash(change->key);
    struct target t;
    buf_clear(record);
    if (change->key.n == 0 || change->key.n > ROUTE_KEY_MAX ||
        record_encode(&change->entry, false, record) != 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "the entry cannot be published");
    /* A damaged file is not worth a repair in place: building the new one tells. */
    if (!find_target(w, change->key, hash, &t))
        return 0;
    if (t.is_new && !t.same && ++*cells_used * 100 > w->live.view.n_cells * SNAPSHOT_LOAD_MAX)
        return 0;
    uint64_t place = w->live.view.arena_at + w->staged_arena_used;
    size_t n = snapshot_entry_size(change->key.n, record->n);
    if (n > w->live.view.size - place)
        return 0;
    snapshot_entry_write(w->live.base + place, change->key, buf_slice(record));
    w->staged_arena_used += n;
    if (!t.same) {
        t.same = &w->pending[w->n_pending++];
        *t.same = (struct pending){.cell = t.cell, .is_new = t.is_new, .was_live = t.was_live};
    }
    struct slice written;
    t.same->word = snapshot_word(hash, place);
    t.same->is_live = !change->entry.is_tombstone;
    BUG_ON(!snapshot_file_entry(&w->live.view, t.same->word, &t.same->key, &written));
    return 1;
}

int snapshot_writer_stage(struct snapshot_writer *w, const struct snapshot_change *changes,
    size_t n, uint64_t generation, struct err *err)
{
    BUG_ON(w->staged.base || w->n_pending > 0);
    if (!w->live.base)
        return err_set(err, ERR_BUG, EX_SOFTWARE, "%s: no snapshot has been built", w->run_dir);
    if (snapshot_writer_check(w, err) != 0)
        return -1;
    if (n > SNAPSHOT_IN_PLACE_MAX)
        return stage_file(w, changes, n, generation, err);

    struct buf record;
    int rc = 1;
    uint64_t cells_used = w->live.cells_used;
    buf_init(&record, ROUTE_RECORD_MAX);
    w->staged_arena_used = w->live.arena_used;
    w->staged_generation = generation;
    for (size_t i = 0; i < n && rc == 1; i++) {
        rc = stage_one(w, &changes[i], &record, &cells_used, err);
        if (rc < 0)
            err_wrap(err, "%.*s",
                (int)(changes[i].key.n < ROUTE_KEY_MAX ? changes[i].key.n : ROUTE_KEY_MAX),
                (const char *)changes[i].key.p);
    }
    buf_fini(&record);
    if (rc == 1)
        return 0;
    w->n_pending = 0;
    return rc < 0 ? -1 : stage_file(w, changes, n, generation, err);
}
