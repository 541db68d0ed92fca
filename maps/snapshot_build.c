/* SPDX-License-Identifier: ISC */
/*
 * snapshot_build: collects entries on the heap, where they can be replaced and counted, and then
 * writes one file of the right size.
 *
 * Space is allocated before it is used (posix_fallocate), so that a full file system is an error
 * here and never a SIGBUS, here or in a reader.
 */
#include "maps/snapshot_build.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/mem.h"
#include "base/os/huge.h"

#define TEXT_GUESS 48 /* bytes of key and record */
#define NO_ITEM UINT32_MAX

struct item {
    uint64_t hash;
    uint64_t at; /* of the key in `text`; the record follows */
    uint32_t key_n, record_n;
};

struct snapshot_build {
    unsigned char *text;
    size_t text_n, text_cap;
    struct item *items;
    size_t n_items, items_cap;
    uint32_t *table; /* indexes of items by hash, open addressing, at most half full */
    size_t table_size;
};

int snapshot_data_path(const char *dir, uint64_t sequence, char *out, size_t size)
{
    return fmt_into(out, size, "%s/" SNAPSHOT_DATA_PREFIX "%" PRIu64, dir, sequence);
}

/* --- Collecting ------------------------------------------------------------------------ */

static size_t table_place(const struct snapshot_build *b, struct slice key, uint64_t hash)
{
    size_t i = snapshot_first_cell(hash, b->table_size);
    for (; b->table[i] != NO_ITEM; i = i + 1 < b->table_size ? i + 1 : 0) {
        const struct item *item = &b->items[b->table[i]];
        if (item->hash == hash && slice_eq(key, slice_make(b->text + item->at, item->key_n)))
            break;
    }
    return i;
}

static void new_table(struct snapshot_build *b, size_t size)
{
    free(b->table);
    b->table_size = size;
    b->table = mem_realloc_array(NULL, size, sizeof *b->table);
    memset(b->table, 0xff, size * sizeof *b->table);
    for (size_t i = 0; i < b->n_items; i++) {
        struct slice key = slice_make(b->text + b->items[i].at, b->items[i].key_n);
        b->table[table_place(b, key, b->items[i].hash)] = (uint32_t)i;
    }
}

struct snapshot_build *snapshot_build_new(uint64_t n_keys)
{
    struct snapshot_build *b = mem_zalloc(sizeof *b);
    b->items_cap = n_keys + 16;
    b->items = mem_realloc_array(NULL, b->items_cap, sizeof *b->items);
    b->text_cap = b->items_cap * TEXT_GUESS;
    b->text = mem_realloc_array(NULL, b->text_cap, 1);
    new_table(b, 2 * b->items_cap);
    return b;
}

void snapshot_build_free(struct snapshot_build **b)
{
    if (!*b)
        return;
    free((*b)->text);
    free((*b)->items);
    free((*b)->table);
    free(*b);
    *b = NULL;
}

void snapshot_build_add(struct snapshot_build *b, struct slice key, struct slice record)
{
    BUG_ON(b->n_items >= NO_ITEM);
    if (b->n_items == b->items_cap) {
        b->items_cap *= 2;
        b->items = mem_realloc_array(b->items, b->items_cap, sizeof *b->items);
        new_table(b, 2 * b->items_cap);
    }
    if (key.n + record.n > b->text_cap - b->text_n) {
        b->text_cap = 2 * b->text_cap + key.n + record.n;
        b->text = mem_realloc_array(b->text, b->text_cap, 1);
    }
    uint64_t hash = route_key_hash(key);
    size_t place = table_place(b, key, hash);
    if (b->table[place] == NO_ITEM)
        b->table[place] = (uint32_t)b->n_items++;
    b->items[b->table[place]] = (struct item){
        .hash = hash,
        .at = b->text_n,
        .key_n = (uint32_t)key.n,
        .record_n = (uint32_t)record.n,
    };
    memcpy(b->text + b->text_n, key.p, key.n);
    memcpy(b->text + b->text_n + key.n, record.p, record.n);
    b->text_n += key.n + record.n;
}

static struct slice item_record(const struct snapshot_build *b, const struct item *item)
{
    return slice_make(b->text + item->at + item->key_n, item->record_n);
}

bool snapshot_build_get(const struct snapshot_build *b, struct slice key, struct slice *record_out)
{
    uint32_t index = b->table[table_place(b, key, route_key_hash(key))];
    if (index == NO_ITEM)
        return false;
    *record_out = item_record(b, &b->items[index]);
    return true;
}

/* --- Writing ------------------------------------------------------------------------------ */

static bool fits_cell(const struct item *item)
{
    return snapshot_entry_size(item->key_n, item->record_n) <=
           sizeof((struct snapshot_cell *)0)->entry;
}

/* Number of cells and size of the file. */
static void measure(const struct snapshot_build *b, uint64_t *n_cells_out, uint64_t *size_out)
{
    uint64_t all = 0, in_arena = 0;
    for (size_t i = 0; i < b->n_items; i++) {
        size_t n = snapshot_entry_size(b->items[i].key_n, b->items[i].record_n);
        all += n;
        in_arena += fits_cell(&b->items[i]) ? 0 : n;
    }
    uint64_t n_cells = b->n_items * 100 / SNAPSHOT_LOAD_NEW;
    if (n_cells < SNAPSHOT_CELLS_MIN)
        n_cells = SNAPSHOT_CELLS_MIN;
    uint64_t slack = all / 4 > SNAPSHOT_SLACK_MIN ? all / 4 : SNAPSHOT_SLACK_MIN;
    uint64_t size = SNAPSHOT_PAGE + n_cells * SNAPSHOT_CELL_SIZE + in_arena + slack;
    *n_cells_out = n_cells;
    *size_out = (size + SNAPSHOT_PAGE - 1) & ~(uint64_t)(SNAPSHOT_PAGE - 1);
}

static unsigned char *create_file(const char *path, uint64_t size, struct err *err)
{
    void *base = MAP_FAILED;
    int errnum;
    /* A left-over of a mapd that died before it moved the control word. */
    if (unlink(path) != 0 && errno != ENOENT) {
        err_sys(err, errno, "%s: cannot remove", path);
        return NULL;
    }
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        err_sys(err, errno, "%s: cannot create", path);
        return NULL;
    }
    if (fchmod(fd, 0640) != 0) { /* readers have its group, whatever the umask is */
        err_sys(err, errno, "%s: cannot set the mode", path);
    } else if ((errnum = posix_fallocate(fd, 0, (off_t)size)) != 0) {
        err_sys(err, errnum, "%s: no room for %" PRIu64 " bytes", path, size);
    } else {
        base = huge_map(fd, size, PROT_READ | PROT_WRITE);
        if (base == MAP_FAILED)
            err_sys(err, errno, "%s: cannot map", path);
        else
            huge_collapse(base, size); /* now, as nobody waits yet for what it moves */
    }
    close(fd);
    if (base != MAP_FAILED)
        return base;
    unlink(path);
    return NULL;
}

static void fill(const struct snapshot_build *b, struct snapshot_rw *f)
{
    uint64_t arena_at = SNAPSHOT_PAGE + f->view.n_cells * SNAPSHOT_CELL_SIZE;
    for (uint64_t i = 0; i < f->view.n_cells; i++)
        atomic_store_explicit(&f->cells[i].word, SNAPSHOT_EMPTY, memory_order_relaxed);
    for (size_t i = 0; i < b->n_items; i++) {
        const struct item *item = &b->items[i];
        uint64_t c = snapshot_first_cell(item->hash, f->view.n_cells);
        while (atomic_load_explicit(&f->cells[c].word, memory_order_relaxed) != SNAPSHOT_EMPTY)
            c = c + 1 < f->view.n_cells ? c + 1 : 0;
        uint64_t place = (uint64_t)(f->cells[c].entry - f->base);
        if (!fits_cell(item)) {
            place = arena_at + f->arena_used;
            f->arena_used += snapshot_entry_size(item->key_n, item->record_n);
        }
        snapshot_entry_write(
            f->base + place, slice_make(b->text + item->at, item->key_n), item_record(b, item));
        atomic_store_explicit(
            &f->cells[c].word, snapshot_word(item->hash, place), memory_order_relaxed);
    }
    f->cells_used = b->n_items;
}

int snapshot_build_finish(struct snapshot_build **b, const char *dir, uint64_t sequence,
    const struct snapshot_ids *ids, uint64_t generation, uint64_t keys, struct snapshot_rw *out,
    struct err *err)
{
    char path[4096];
    uint64_t n_cells, size;
    int rc = -1;
    *out = (struct snapshot_rw){0};
    measure(*b, &n_cells, &size);
    if (snapshot_data_path(dir, sequence, path, sizeof path) != 0) {
        err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", dir);
        goto done;
    }
    unsigned char *base = create_file(path, size, err);
    if (!base)
        goto done;
    struct snapshot_head *h = (struct snapshot_head *)(void *)base;
    *out = (struct snapshot_rw){
        .base = base, .cells = (struct snapshot_cell *)(void *)(base + SNAPSHOT_PAGE)};
    out->view.n_cells = n_cells;
    fill(*b, out);
    memcpy(h->magic, snapshot_head_magic, sizeof h->magic);
    h->version = SNAPSHOT_VERSION;
    h->sequence = sequence;
    h->n_cells = n_cells;
    h->arena_at = SNAPSHOT_PAGE + n_cells * SNAPSHOT_CELL_SIZE;
    h->file_size = size;
    h->ids = *ids;
    h->check = snapshot_head_check(h);
    atomic_store(&h->generation, generation);
    atomic_store(&h->keys, keys);
    atomic_store(&h->arena_used, out->arena_used);
    if (snapshot_file_attach(base, size, sequence, ids, &out->view) != NULL)
        BUG("a data file that was just written cannot be read");
    rc = 0;
done:
    snapshot_build_free(b);
    return rc;
}

void snapshot_rw_fini(struct snapshot_rw *f)
{
    if (f->base)
        munmap(f->base, f->view.size);
    *f = (struct snapshot_rw){0};
}
