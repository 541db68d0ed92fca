/* SPDX-License-Identifier: ISC */
/*
 * snapshot_file: the format of the control file and of the data files of the snapshot, and the
 * look-up in a data file that lies in memory.  Reader and writer share it; nothing else includes it
 * but their tests.
 *
 *     map.ctl          one page: struct snapshot_ctl
 *     map.<sequence>   struct snapshot_head (one page) | arena | slots
 *
 * The arena holds entries that never change: {check, key length, value length, key, record},
 * aligned to 8 bytes.  A slot is one atomic word: 24 bits of the key's hash and 40 bits with the
 * place of the entry in units of 8 bytes.  Empty slots are all ones, so that zeroed pages are seen
 * as damage.
 */
#ifndef MAPS_SNAPSHOT_FILE_H
#define MAPS_SNAPSHOT_FILE_H

#include <stdatomic.h>
#include "maps/boot.h"
#include "maps/route.h"

#define SNAPSHOT_VERSION 1
#define SNAPSHOT_CTL_NAME "map.ctl"
#define SNAPSHOT_DATA_PREFIX "map."
#define SNAPSHOT_PAGE 4096
#define SNAPSHOT_MAP_ID_SIZE 40
#define SNAPSHOT_ID_WORDS ((BOOT_ID_SIZE + SNAPSHOT_MAP_ID_SIZE) / 8)
#define SNAPSHOT_SLOTS_MIN 1024
#define SNAPSHOT_SLOT_EMPTY UINT64_MAX

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
    uint64_t arena_at, arena_size;
    uint64_t slots_at, n_slots; /* a power of two */
    uint64_t file_size;
    struct snapshot_ids ids;
    uint64_t check; /* of all bytes before */
    /* What changes while the file is in use. */
    _Alignas(64) _Atomic uint64_t generation;
    _Atomic uint64_t keys;
    _Atomic uint64_t arena_used;
};
_Static_assert(sizeof(struct snapshot_ctl) <= SNAPSHOT_PAGE, "one page");
_Static_assert(sizeof(struct snapshot_head) <= SNAPSHOT_PAGE, "one page");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "shared memory needs lock-free words");

extern const char snapshot_ctl_magic[8], snapshot_head_magic[8];

void snapshot_ctl_ids(const struct snapshot_ctl *ctl, struct snapshot_ids *out);
uint64_t snapshot_head_check(const struct snapshot_head *head);

/* A data file in memory, checked. */
struct snapshot_file {
    const unsigned char *base; /* borrowed */
    const struct snapshot_head *head;
    const _Atomic uint64_t *slots;
    uint64_t mask; /* number of slots - 1 */
    uint64_t arena_at, arena_end;
};

/* NULL when base holds the data file with these ids and sequence, else the reason why not. */
const char *snapshot_file_attach(const void *base, size_t size, uint64_t sequence,
    const struct snapshot_ids *ids, struct snapshot_file *out);

enum snapshot_hit { SNAPSHOT_HIT, SNAPSHOT_ABSENT, SNAPSHOT_DAMAGED };

/* The slot of a key, or the empty one where it belongs; *value_out is its record. */
enum snapshot_hit snapshot_file_find(const struct snapshot_file *f, struct slice key, uint64_t hash,
    uint64_t *slot_out, struct slice *value_out);
/* The entry that a slot word points to; false: the word or the entry is damaged. */
bool snapshot_file_entry(
    const struct snapshot_file *f, uint64_t word, struct slice *key_out, struct slice *value_out);
/* As struct route_view's get. */
enum route_answer snapshot_file_get(const struct snapshot_file *f, struct slice key, uint64_t hash,
    struct route_store *store, struct route_entry *entry);

/* --- For the writer ---------------------------------------------------------------- */

/* Bytes that an entry takes when the arena is used up to `at`: with the alignment that keeps small
 * entries within one cache line. */
size_t snapshot_entry_place(uint64_t at, size_t key_n, size_t value_n, uint64_t *place_out);
void snapshot_entry_write(
    unsigned char *base, uint64_t place, struct slice key, struct slice value);
uint64_t snapshot_slot_word(uint64_t hash, uint64_t place);

#endif
