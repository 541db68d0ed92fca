/* SPDX-License-Identifier: ISC */
/*
 * fuzz_snapshot: any bytes as the data file of the snapshot, and as changes to a good one whose
 * header is made right again, so that the look-up itself is reached.  It never reads outside of the
 * file (AddressSanitizer looks), and damage to an entry is never "not found".
 */
#include <stdint.h>
#include <stdlib.h>
#include "maps/snapshot_file.h"

#define KEY "user@example.org"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct snapshot_ids ids = {.boot = "boot", .map = "map"};

static unsigned char *file_new(size_t size)
{
    void *p = aligned_alloc(64, (size + 63) & ~(size_t)63);
    if (!p)
        abort();
    memset(p, 0, size);
    return p;
}

static enum route_answer look(const void *base, size_t size, struct slice key)
{
    struct snapshot_file f;
    struct route_store store;
    struct route_entry e;
    if (snapshot_file_attach(base, size, 1, &ids, &f) != NULL)
        return ROUTE_UNKNOWN;
    return snapshot_file_get(&f, key, route_key_hash(key), &store, &e);
}

static void seal(unsigned char *base, size_t size, uint64_t n_cells)
{
    struct snapshot_head *h = (struct snapshot_head *)(void *)base;
    memcpy(h->magic, snapshot_head_magic, sizeof h->magic);
    h->version = SNAPSHOT_VERSION;
    h->sequence = 1;
    h->n_cells = n_cells;
    h->arena_at = SNAPSHOT_PAGE + n_cells * SNAPSHOT_CELL_SIZE;
    h->file_size = size;
    h->ids = ids;
    h->check = snapshot_head_check(h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* As it is. */
    unsigned char *raw = file_new(size + 8);
    memcpy(raw, data, size);
    (void)look(raw, size, SLICE_LIT(KEY));
    free(raw);

    /* A file with one entry, and the input over its cell and the arena, in which nothing is. */
    enum { CELLS = SNAPSHOT_CELLS_MIN, ARENA = 4096 };
    size_t n = SNAPSHOT_PAGE + CELLS * SNAPSHOT_CELL_SIZE + ARENA;
    unsigned char *base = file_new(n);
    struct snapshot_cell *cells = (struct snapshot_cell *)(void *)(base + SNAPSHOT_PAGE);
    struct buf record;
    struct route_entry e = {.epoch = 1, .route = SLICE_LIT("old")};
    uint64_t hash = route_key_hash(SLICE_LIT(KEY)), at = snapshot_first_cell(hash, CELLS);
    for (size_t i = 0; i < CELLS; i++)
        atomic_store(&cells[i].word, SNAPSHOT_EMPTY);
    buf_init(&record, ROUTE_RECORD_MAX);
    if (record_encode(&e, false, &record) != 0)
        abort();
    snapshot_entry_write(cells[at].entry, SLICE_LIT(KEY), buf_slice(&record));
    atomic_store(&cells[at].word, snapshot_word(hash, (uint64_t)(cells[at].entry - base)));
    buf_fini(&record);
    seal(base, n, CELLS);
    if (look(base, n, SLICE_LIT(KEY)) != ROUTE_FOUND ||
        look(base, n, SLICE_LIT("other@example.org")) != ROUTE_NOT_FOUND)
        abort();
    size_t in_entry = size < sizeof cells->entry ? size : sizeof cells->entry;
    for (size_t i = 0; i < in_entry; i++)
        cells[at].entry[i] ^= data[i];
    if (look(base, n, SLICE_LIT(KEY)) == ROUTE_NOT_FOUND)
        abort();
    /* The word and what follows it as well: any answer, but from inside the file. */
    unsigned char *to = (unsigned char *)&cells[at];
    size_t room = (size_t)(base + n - to);
    memcpy(to, data, size < room ? size : room);
    (void)look(base, n, SLICE_LIT(KEY));
    if (size > 8) {
        uint64_t places[] = {n - 8, n - 16, n, SNAPSHOT_PAGE, 0, data[0] * 8u + SNAPSHOT_PAGE};
        size_t tail = size < ARENA ? size : ARENA;
        memcpy(base + n - tail, data + size - tail, tail);
        for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
            atomic_store(&cells[at].word, snapshot_word(hash, places[i]));
            (void)look(base, n, SLICE_LIT(KEY));
        }
    }
    free(base);
    return 0;
}
