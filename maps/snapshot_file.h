/* SPDX-License-Identifier: ISC */
/*
 * snapshot_file: the format of the control file and of the data files of the snapshot, and the
 * look-up in a data file that lies in memory.  Reader and writer share it; nothing else includes it
 * but their tests.
 *
 *     map.ctl          one page: struct snapshot_ctl
 *     map.<sequence>   struct snapshot_head (one page) | cells | arena
 *
 * An entry never changes: {check, length of key, length of record, key, record}; the check is one
 * of the record and of the key's hash.  A cell is a cache line with one atomic word and room for a
 * small entry: the word has 24 bits of the key's hash and 40 bits with the place of the entry in
 * units of 8 bytes, which in a new file is the rest of the cell if the entry fits there, so that
 * nearly every look-up touches one page.  Entries that are too long, and all that come later, lie
 * in the arena.  Empty cells are all ones, so that zeroed pages are seen as damage.
 */
#ifndef MAPS_SNAPSHOT_FILE_H
#define MAPS_SNAPSHOT_FILE_H

#include <stdatomic.h>
#include "maps/boot.h"
#include "maps/route.h"

#define SNAPSHOT_VERSION 3
#define SNAPSHOT_CTL_NAME "map.ctl"
#define SNAPSHOT_DATA_PREFIX "map."
#define SNAPSHOT_PAGE 4096
#define SNAPSHOT_MAP_ID_SIZE 40
#define SNAPSHOT_ID_WORDS ((BOOT_ID_SIZE + SNAPSHOT_MAP_ID_SIZE) / 8)
#define SNAPSHOT_CELLS_MIN 1024
#define SNAPSHOT_CELL_SIZE 64
#define SNAPSHOT_EMPTY UINT64_MAX

struct snapshot_ids {
    char boot[BOOT_ID_SIZE];
    char map[SNAPSHOT_MAP_ID_SIZE];
};

/* Written in place by the one writer.  ids change only while sequence is 0. */
struct snapshot_ctl {
    char magic[8];
    _Atomic uint64_t sequence; /* of the data file that holds; 0: no valid snapshot */
    _Atomic uint64_t last;     /* the highest sequence ever given: none is given twice */
    _Atomic uint64_t ids[SNAPSHOT_ID_WORDS];
};

struct snapshot_head {
    char magic[8];
    uint64_t version, sequence;
    uint64_t n_cells;
    uint64_t arena_at, file_size;
    struct snapshot_ids ids;
    uint64_t check; /* of all bytes before */
    /* What changes while the file is in use. */
    _Alignas(64) _Atomic uint64_t generation;
    _Atomic uint64_t keys;
    _Atomic uint64_t arena_used;
};

struct snapshot_cell {
    _Atomic uint64_t word;
    unsigned char entry[SNAPSHOT_CELL_SIZE - sizeof(uint64_t)];
};

_Static_assert(sizeof(struct snapshot_ctl) <= SNAPSHOT_PAGE, "one page");
_Static_assert(sizeof(struct snapshot_head) <= SNAPSHOT_PAGE, "one page");
_Static_assert(sizeof(struct snapshot_cell) == SNAPSHOT_CELL_SIZE, "one cache line");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "shared memory needs lock-free words");

extern const char snapshot_ctl_magic[8], snapshot_head_magic[8];

void snapshot_ctl_ids(const struct snapshot_ctl *ctl, struct snapshot_ids *out);
uint64_t snapshot_head_check(const struct snapshot_head *head);

/* A data file in memory, checked. */
struct snapshot_file {
    const unsigned char *base; /* borrowed */
    const struct snapshot_head *head;
    const struct snapshot_cell *cells;
    uint64_t n_cells;
    uint64_t size, arena_at;
};

/* NULL when base holds the data file with these ids and sequence, else the reason why not. */
const char *snapshot_file_attach(const void *base, size_t size, uint64_t sequence,
    const struct snapshot_ids *ids, struct snapshot_file *out);

enum snapshot_hit { SNAPSHOT_HIT, SNAPSHOT_ABSENT, SNAPSHOT_DAMAGED };

/* The cell of a key, or the empty one where it belongs; *record_out is its record. */
enum snapshot_hit snapshot_file_find(const struct snapshot_file *f, struct slice key, uint64_t hash,
    uint64_t *cell_out, struct slice *record_out);
/* The entry that a word points to; false: the word or the entry is damaged. */
bool snapshot_file_entry(
    const struct snapshot_file *f, uint64_t word, struct slice *key_out, struct slice *record_out);
/* As struct route_view's get. */
enum route_answer snapshot_file_get(const struct snapshot_file *f, struct slice key, uint64_t hash,
    struct route_store *store, struct route_entry *entry);
/* Where the search for a hash begins. */
uint64_t snapshot_first_cell(uint64_t hash, uint64_t n_cells);
/* The key with this hash will be looked for in a moment. */
void snapshot_file_expect(const struct snapshot_file *f, uint64_t hash);

/* --- For the writer ---------------------------------------------------------------- */

size_t snapshot_entry_size(size_t key_n, size_t record_n); /* a multiple of 8 */
void snapshot_entry_write(unsigned char *at, struct slice key, struct slice record);
uint64_t snapshot_word(uint64_t hash, uint64_t place); /* place: bytes from the start of the file */

#endif
