/* SPDX-License-Identifier: ISC */
/*
 * snapshot_file: attach and look up, over memory, for the reader, the writer and the fuzzer.
 *
 * It never reads outside of the given memory, whatever that holds, and answers "damaged" rather
 * than "absent" when something does not add up: the header has a checksum, every entry has one
 * over its lengths, key and record, an empty cell is not zero.
 *
 * Loads of words are sequentially consistent because the re-check under a claim needs it
 * (maps/claims.h); on the processors that matter that costs a reader nothing.
 */
#include "maps/snapshot_file.h"

#include "maps/key_hash.h"

#define PLACE_BITS 40
#define PLACE_MASK ((1ull << PLACE_BITS) - 1)

const char snapshot_ctl_magic[8] = {'C', 'X', 'M', 'A', 'P', 'C', 'T', '1'};
const char snapshot_head_magic[8] = {'C', 'X', 'M', 'A', 'P', 'D', 'T', '1'};

struct entry_head {
    uint32_t check;
    uint16_t key_n, record_n;
};
_Static_assert(sizeof(struct entry_head) == 8, "no padding");

void snapshot_ctl_ids(const struct snapshot_ctl *ctl, struct snapshot_ids *out)
{
    uint64_t words[SNAPSHOT_ID_WORDS];
    for (size_t i = 0; i < SNAPSHOT_ID_WORDS; i++)
        words[i] = atomic_load_explicit(&ctl->ids[i], memory_order_relaxed);
    memcpy(out, words, sizeof words);
    out->boot[BOOT_ID_SIZE - 1] = '\0';
    out->map[SNAPSHOT_MAP_ID_SIZE - 1] = '\0';
}

uint64_t snapshot_head_check(const struct snapshot_head *head)
{
    return key_hash_bytes(head, offsetof(struct snapshot_head, check), SNAPSHOT_VERSION);
}

const char *snapshot_file_attach(const void *base, size_t size, uint64_t sequence,
    const struct snapshot_ids *ids, struct snapshot_file *out)
{
    const struct snapshot_head *h = base;
    if (size < SNAPSHOT_PAGE)
        return "the data file is cut short";
    if (memcmp(h->magic, snapshot_head_magic, sizeof h->magic) != 0)
        return "the data file is not a snapshot";
    if (h->version != SNAPSHOT_VERSION)
        return "the data file has another version";
    if (h->check != snapshot_head_check(h))
        return "the header of the data file is damaged";
    if (h->sequence != sequence)
        return "the data file has another sequence number";
    if (memcmp(&h->ids, ids, sizeof *ids) != 0)
        return "the data file belongs to another map or start of the machine";
    if (h->file_size != size)
        return "the data file does not have its size";
    uint64_t room = (size - SNAPSHOT_PAGE) / SNAPSHOT_CELL_SIZE;
    if (size % 8 != 0 || size / 8 > PLACE_MASK || h->n_cells < SNAPSHOT_CELLS_MIN ||
        h->n_cells > room || h->arena_at != SNAPSHOT_PAGE + h->n_cells * SNAPSHOT_CELL_SIZE)
        return "the data file has an impossible shape";
    const unsigned char *bytes = base;
    *out = (struct snapshot_file){
        .base = bytes,
        .head = h,
        .cells = (const struct snapshot_cell *)(const void *)(bytes + SNAPSHOT_PAGE),
        .n_cells = h->n_cells,
        .size = size,
        .arena_at = h->arena_at,
    };
    return NULL;
}

/* Of a record and, through its hash, of the key: a look-up that compares the keys has only the
 * record to go through. */
static inline uint32_t entry_check(uint64_t hash, struct slice record)
{
    return (uint32_t)key_hash_bytes(record.p, record.n, hash);
}

struct entry {
    struct slice key, record;
    uint32_t check;
};

/* Where the parts of an entry lie; false: not all within the file. */
static inline bool entry_at(const struct snapshot_file *f, uint64_t word, struct entry *out)
{
    uint64_t at = (word & PLACE_MASK) * 8;
    struct entry_head h;
    if (at < SNAPSHOT_PAGE || at > f->size - sizeof h)
        return false;
    const unsigned char *p = f->base + at;
    memcpy(&h, p, sizeof h);
    /* An entry in a cell stays within it. */
    uint64_t end = at < f->arena_at ? (at | (SNAPSHOT_CELL_SIZE - 1)) + 1 : f->size;
    if ((uint64_t)h.key_n + h.record_n > end - sizeof h - at)
        return false;
    out->key = slice_make(p + sizeof h, h.key_n);
    out->record = slice_make(p + sizeof h + h.key_n, h.record_n);
    out->check = h.check;
    return true;
}

/* Whether the entry of a word is that of a key; ABSENT: it is another one. */
static inline enum snapshot_hit match(const struct snapshot_file *f, uint64_t word,
    struct slice key, uint64_t hash, struct slice *record_out)
{
    struct entry e;
    if (!entry_at(f, word, &e))
        return SNAPSHOT_DAMAGED;
    *record_out = e.record;
    if (e.key.n == key.n && memcmp(e.key.p, key.p, key.n) == 0)
        return e.check == entry_check(hash, e.record) ? SNAPSHOT_HIT : SNAPSHOT_DAMAGED;
    return e.check == entry_check(route_key_hash(e.key), e.record) ? SNAPSHOT_ABSENT
                                                                   : SNAPSHOT_DAMAGED;
}

bool snapshot_file_entry(
    const struct snapshot_file *f, uint64_t word, struct slice *key_out, struct slice *record_out)
{
    struct entry e;
    if (!entry_at(f, word, &e) || e.check != entry_check(route_key_hash(e.key), e.record))
        return false;
    *key_out = e.key;
    *record_out = e.record;
    return true;
}

uint64_t snapshot_first_cell(uint64_t hash, uint64_t n_cells)
{
    return (uint64_t)((key_hash_wide)hash * n_cells >> 64);
}

void snapshot_file_expect(const struct snapshot_file *f, uint64_t hash)
{
    uint64_t i = snapshot_first_cell(hash, f->n_cells);
    __builtin_prefetch(&f->cells[i]);
    __builtin_prefetch(&f->cells[i + 1 < f->n_cells ? i + 1 : 0]);
}

enum snapshot_hit snapshot_file_find(const struct snapshot_file *f, struct slice key, uint64_t hash,
    uint64_t *cell_out, struct slice *record_out)
{
    uint64_t i = snapshot_first_cell(hash, f->n_cells);
    /* One wait for memory instead of one for each cell that is looked at. */
    __builtin_prefetch(&f->cells[i + 1 < f->n_cells ? i + 1 : 0]);
    __builtin_prefetch(&f->cells[i + 2 < f->n_cells ? i + 2 : 0]);
    for (uint64_t n = 0; n < f->n_cells; n++) {
        uint64_t word = atomic_load(&f->cells[i].word);
        *cell_out = i;
        if (word == SNAPSHOT_EMPTY)
            return SNAPSHOT_ABSENT;
        if (word >> PLACE_BITS == (hash << PLACE_BITS) >> PLACE_BITS || word == 0) {
            enum snapshot_hit hit = match(f, word, key, hash, record_out);
            if (hit != SNAPSHOT_ABSENT)
                return hit;
        }
        i = i + 1 < f->n_cells ? i + 1 : 0;
    }
    return SNAPSHOT_DAMAGED; /* a table without an empty cell was never written by us */
}

/* In steps of 8, because records are short: for a length that is known to be bounded compilers take
 * a string instruction that is slow to start. */
static inline void copy(struct route_store *store, struct slice record)
{
    size_t i = 0;
    for (; i + 8 <= record.n; i += 8)
        memcpy(store->bytes + i, record.p + i, 8);
    for (; i < record.n; i++)
        store->bytes[i] = record.p[i];
}

enum route_answer snapshot_file_get(const struct snapshot_file *f, struct slice key, uint64_t hash,
    struct route_store *store, struct route_entry *entry)
{
    uint64_t cell;
    struct slice record = SLICE_NONE;
    switch (snapshot_file_find(f, key, hash, &cell, &record)) {
    case SNAPSHOT_HIT:
        break;
    case SNAPSHOT_ABSENT:
        route_entry_clear(entry);
        return ROUTE_NOT_FOUND;
    case SNAPSHOT_DAMAGED:
        route_entry_clear(entry);
        return ROUTE_UNKNOWN;
    }
    if (record.n > sizeof store->bytes) {
        route_entry_clear(entry);
        return ROUTE_UNKNOWN;
    }
    copy(store, record);
    if (record_decode(slice_make(store->bytes, record.n), entry) != 0)
        return ROUTE_UNKNOWN;
    return entry->is_tombstone ? ROUTE_NOT_FOUND : ROUTE_FOUND;
}

size_t snapshot_entry_size(size_t key_n, size_t record_n)
{
    return (sizeof(struct entry_head) + key_n + record_n + 7) & ~(size_t)7;
}

void snapshot_entry_write(unsigned char *at, struct slice key, struct slice record)
{
    BUG_ON(key.n > ROUTE_KEY_MAX || record.n > ROUTE_RECORD_MAX);
    struct entry_head h = {
        .check = entry_check(route_key_hash(key), record),
        .key_n = (uint16_t)key.n,
        .record_n = (uint16_t)record.n,
    };
    memcpy(at, &h, sizeof h);
    memcpy(at + sizeof h, key.p, key.n);
    memcpy(at + sizeof h + key.n, record.p, record.n);
}

uint64_t snapshot_word(uint64_t hash, uint64_t place)
{
    return hash << PLACE_BITS | place / 8;
}
