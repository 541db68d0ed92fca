/* SPDX-License-Identifier: ISC */
/*
 * snapshot_file: attach and look up, over memory, for the reader, the writer and the fuzzer.
 *
 * It never reads outside of the given memory, whatever that holds, and answers "damaged" rather
 * than "absent" when something does not add up: the header has a checksum, every entry has one
 * over its lengths, key and record, an empty slot is not zero.
 *
 * Loads of slots are sequentially consistent because the re-check under a claim needs it
 * (maps/claims.h); on the processors that matter that costs a reader nothing.
 */
#include "maps/snapshot_file.h"

#include "maps/key_hash.h"

#define ENTRY_HEAD 8
#define CACHE_LINE 64
#define PLACE_BITS 40
#define PLACE_MASK ((1ull << PLACE_BITS) - 1)

const char snapshot_ctl_magic[8] = {'C', 'X', 'M', 'A', 'P', 'C', 'T', '1'};
const char snapshot_head_magic[8] = {'C', 'X', 'M', 'A', 'P', 'D', 'T', '1'};

struct entry_head {
    uint32_t check;
    uint16_t key_n, value_n;
};
_Static_assert(sizeof(struct entry_head) == ENTRY_HEAD, "no padding");

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
    if (h->arena_at != SNAPSHOT_PAGE || h->arena_size > size - SNAPSHOT_PAGE ||
        h->slots_at != h->arena_at + h->arena_size || h->slots_at % SNAPSHOT_PAGE != 0 ||
        h->n_slots < SNAPSHOT_SLOTS_MIN || (h->n_slots & (h->n_slots - 1)) != 0 ||
        h->n_slots > (size - h->slots_at) / sizeof(uint64_t) || size / 8 > PLACE_MASK)
        return "the data file has an impossible shape";
    *out = (struct snapshot_file){
        .base = base,
        .head = h,
        .slots = (const _Atomic uint64_t *)((const unsigned char *)base + h->slots_at),
        .mask = h->n_slots - 1,
        .arena_at = h->arena_at,
        .arena_end = h->slots_at,
    };
    return NULL;
}

static uint32_t entry_check(const unsigned char *entry, size_t key_n, size_t value_n)
{
    size_t n = ENTRY_HEAD - sizeof(uint32_t) + key_n + value_n;
    return (uint32_t)key_hash_bytes(entry + sizeof(uint32_t), n, SNAPSHOT_VERSION);
}

bool snapshot_file_entry(
    const struct snapshot_file *f, uint64_t word, struct slice *key_out, struct slice *value_out)
{
    uint64_t at = (word & PLACE_MASK) * 8;
    if (at < f->arena_at || at > f->arena_end - ENTRY_HEAD)
        return false;
    const unsigned char *p = f->base + at;
    struct entry_head h;
    memcpy(&h, p, sizeof h);
    if ((uint64_t)h.key_n + h.value_n > f->arena_end - ENTRY_HEAD - at ||
        h.check != entry_check(p, h.key_n, h.value_n))
        return false;
    *key_out = slice_make(p + ENTRY_HEAD, h.key_n);
    *value_out = slice_make(p + ENTRY_HEAD + h.key_n, h.value_n);
    return true;
}

enum snapshot_hit snapshot_file_find(const struct snapshot_file *f, struct slice key, uint64_t hash,
    uint64_t *slot_out, struct slice *value_out)
{
    for (uint64_t n = 0; n <= f->mask; n++) {
        uint64_t i = (hash + n) & f->mask;
        uint64_t word = atomic_load(&f->slots[i]);
        *slot_out = i;
        if (word == SNAPSHOT_SLOT_EMPTY)
            return SNAPSHOT_ABSENT;
        if (word >> PLACE_BITS != hash >> PLACE_BITS) {
            if (word == 0)
                return SNAPSHOT_DAMAGED;
            continue;
        }
        struct slice found;
        if (!snapshot_file_entry(f, word, &found, value_out))
            return SNAPSHOT_DAMAGED;
        if (found.n == key.n && memcmp(found.p, key.p, key.n) == 0)
            return SNAPSHOT_HIT;
    }
    return SNAPSHOT_DAMAGED; /* a table without an empty slot was never written by us */
}

enum route_answer snapshot_file_get(const struct snapshot_file *f, struct slice key, uint64_t hash,
    struct route_store *store, struct route_entry *entry)
{
    uint64_t slot;
    struct slice value = SLICE_NONE;
    *entry = (struct route_entry){0};
    switch (snapshot_file_find(f, key, hash, &slot, &value)) {
    case SNAPSHOT_HIT:
        break;
    case SNAPSHOT_ABSENT:
        return ROUTE_NOT_FOUND;
    case SNAPSHOT_DAMAGED:
        return ROUTE_UNKNOWN;
    }
    if (value.n > sizeof store->bytes)
        return ROUTE_UNKNOWN;
    memcpy(store->bytes, value.p, value.n);
    if (record_decode(slice_make(store->bytes, value.n), entry) != 0)
        return ROUTE_UNKNOWN;
    return entry->is_tombstone ? ROUTE_NOT_FOUND : ROUTE_FOUND;
}

size_t snapshot_entry_place(uint64_t at, size_t key_n, size_t value_n, uint64_t *place_out)
{
    size_t n = (ENTRY_HEAD + key_n + value_n + 7) & ~(size_t)7;
    uint64_t place = (at + 7) & ~7ull;
    if (n <= CACHE_LINE && place / CACHE_LINE != (place + n - 1) / CACHE_LINE)
        place = (place + CACHE_LINE - 1) & ~(uint64_t)(CACHE_LINE - 1);
    *place_out = place;
    return (size_t)(place - at) + n;
}

void snapshot_entry_write(unsigned char *base, uint64_t place, struct slice key, struct slice value)
{
    unsigned char *p = base + place;
    struct entry_head h = {.key_n = (uint16_t)key.n, .value_n = (uint16_t)value.n};
    BUG_ON(key.n > ROUTE_KEY_MAX || value.n > ROUTE_RECORD_MAX);
    memcpy(p, &h, sizeof h);
    memcpy(p + ENTRY_HEAD, key.p, key.n);
    memcpy(p + ENTRY_HEAD + key.n, value.p, value.n);
    h.check = entry_check(p, key.n, value.n);
    memcpy(p, &h, sizeof h);
}

uint64_t snapshot_slot_word(uint64_t hash, uint64_t place)
{
    return (hash >> PLACE_BITS) << PLACE_BITS | place / 8;
}
