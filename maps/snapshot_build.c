/* SPDX-License-Identifier: ISC */
/*
 * snapshot_build: the arena grows in the file while entries come in, the slots are kept in memory
 * and written behind it at the end.
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

#define ARENA_STEP (1u << 20)
#define ENTRY_GUESS 64

struct snapshot_build {
    int fd;
    char path[4096];
    uint64_t sequence;
    struct snapshot_ids ids;
    unsigned char *base;
    uint64_t size;       /* of file and mapping: header and arena */
    uint64_t arena_used; /* with the header */
    uint64_t *slots;
    uint64_t n_slots, slots_used;
};

int snapshot_data_path(const char *dir, uint64_t sequence, char *out, size_t size)
{
    return fmt_into(out, size, "%s/" SNAPSHOT_DATA_PREFIX "%" PRIu64, dir, sequence);
}

static uint64_t slots_for(uint64_t n_keys)
{
    uint64_t n = SNAPSHOT_SLOTS_MIN;
    while (n * SNAPSHOT_LOAD_NEW / 100 < n_keys)
        n *= 2;
    return n;
}

static uint64_t page_up(uint64_t n)
{
    return (n + SNAPSHOT_PAGE - 1) & ~(uint64_t)(SNAPSHOT_PAGE - 1);
}

/* The file and its mapping become at least size bytes long. */
static int reach(struct snapshot_build *b, uint64_t size, struct err *err)
{
    if (size <= b->size)
        return 0;
    int errnum = posix_fallocate(b->fd, 0, (off_t)size);
    if (errnum != 0)
        return err_sys(err, errnum, "%s: no room for %" PRIu64 " bytes", b->path, size);
    void *base = b->base ? mremap(b->base, b->size, size, MREMAP_MAYMOVE)
                         : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, b->fd, 0);
    if (base == MAP_FAILED)
        return err_sys(err, errno, "%s: cannot map", b->path);
    b->base = base;
    b->size = size;
    return 0;
}

static void set_slots(struct snapshot_build *b, uint64_t n)
{
    b->n_slots = n;
    b->slots = mem_realloc_array(NULL, n, sizeof *b->slots);
    memset(b->slots, 0xff, n * sizeof *b->slots);
}

int snapshot_build_new(const char *dir, uint64_t sequence, const struct snapshot_ids *ids,
    uint64_t n_keys, struct snapshot_build **out, struct err *err)
{
    struct snapshot_build *b = mem_zalloc(sizeof *b);
    b->fd = -1;
    b->sequence = sequence;
    b->ids = *ids;
    b->arena_used = SNAPSHOT_PAGE;
    if (snapshot_data_path(dir, sequence, b->path, sizeof b->path) != 0) {
        err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", dir);
        goto fail;
    }
    /* A left-over of a mapd that died before it moved the control file. */
    if (unlink(b->path) != 0 && errno != ENOENT) {
        err_sys(err, errno, "%s: cannot remove", b->path);
        goto fail;
    }
    b->fd = open(b->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (b->fd < 0 || fchmod(b->fd, 0640) != 0) {
        err_sys(err, errno, "%s: cannot create", b->path);
        goto fail;
    }
    if (reach(b, page_up(SNAPSHOT_PAGE + n_keys * ENTRY_GUESS + ARENA_STEP), err) != 0)
        goto fail;
    set_slots(b, slots_for(n_keys));
    *out = b;
    return 0;
fail:
    snapshot_build_abandon(&b);
    return -1;
}

/* The entries as they lie in the build, for snapshot_file's functions. */
static struct snapshot_file build_view(const struct snapshot_build *b)
{
    return (struct snapshot_file){
        .base = b->base,
        .slots = (const _Atomic uint64_t *)b->slots,
        .mask = b->n_slots - 1,
        .arena_at = SNAPSHOT_PAGE,
        .arena_end = b->size,
    };
}

static void grow_slots(struct snapshot_build *b)
{
    struct snapshot_file view = build_view(b);
    uint64_t *old = b->slots, n_old = b->n_slots;
    set_slots(b, n_old * 2);
    for (uint64_t i = 0; i < n_old; i++) {
        struct slice key, record;
        if (old[i] == SNAPSHOT_SLOT_EMPTY)
            continue;
        if (!snapshot_file_entry(&view, old[i], &key, &record))
            BUG("an entry that was just written is damaged");
        uint64_t at = route_key_hash(key);
        while (b->slots[at & (b->n_slots - 1)] != SNAPSHOT_SLOT_EMPTY)
            at++;
        b->slots[at & (b->n_slots - 1)] = old[i];
    }
    free(old);
}

int snapshot_build_add(
    struct snapshot_build *b, struct slice key, struct slice record, struct err *err)
{
    if ((b->slots_used + 1) * 100 > b->n_slots * SNAPSHOT_LOAD_NEW)
        grow_slots(b);
    uint64_t place, hash = route_key_hash(key), slot;
    size_t n = snapshot_entry_place(b->arena_used, key.n, record.n, &place);
    if (b->arena_used + n > b->size &&
        reach(b, page_up(b->size + b->size / 4 + ARENA_STEP), err) != 0)
        return -1;
    snapshot_entry_write(b->base, place, key, record);
    b->arena_used += n;

    struct snapshot_file view = build_view(b);
    struct slice old;
    enum snapshot_hit hit = snapshot_file_find(&view, key, hash, &slot, &old);
    BUG_ON(hit == SNAPSHOT_DAMAGED);
    b->slots_used += hit == SNAPSHOT_ABSENT;
    b->slots[slot] = snapshot_slot_word(hash, place);
    return 0;
}

bool snapshot_build_get(const struct snapshot_build *b, struct slice key, struct slice *record_out)
{
    struct snapshot_file view = build_view(b);
    uint64_t slot;
    return snapshot_file_find(&view, key, route_key_hash(key), &slot, record_out) == SNAPSHOT_HIT;
}

int snapshot_build_finish(struct snapshot_build **b, uint64_t generation, uint64_t keys,
    struct snapshot_rw *out, struct err *err)
{
    struct snapshot_build *f = *b;
    uint64_t arena = f->arena_used - SNAPSHOT_PAGE, slack = arena / 2;
    uint64_t slots_at =
        page_up(f->arena_used + (slack > SNAPSHOT_SLACK_MIN ? slack : SNAPSHOT_SLACK_MIN));
    if (slots_at < f->size)
        slots_at = f->size;
    uint64_t size = page_up(slots_at + f->n_slots * sizeof(uint64_t));
    *out = (struct snapshot_rw){0};
    if (reach(f, size, err) != 0) {
        snapshot_build_abandon(b);
        return -1;
    }
    memcpy(f->base + slots_at, f->slots, f->n_slots * sizeof(uint64_t));
    struct snapshot_head *h = (struct snapshot_head *)(void *)f->base;
    memcpy(h->magic, snapshot_head_magic, sizeof h->magic);
    h->version = SNAPSHOT_VERSION;
    h->sequence = f->sequence;
    h->arena_at = SNAPSHOT_PAGE;
    h->arena_size = slots_at - SNAPSHOT_PAGE;
    h->slots_at = slots_at;
    h->n_slots = f->n_slots;
    h->file_size = size;
    h->ids = f->ids;
    h->check = snapshot_head_check(h);
    atomic_store(&h->generation, generation);
    atomic_store(&h->keys, keys);
    atomic_store(&h->arena_used, arena);
    *out = (struct snapshot_rw){
        .base = f->base,
        .size = size,
        .slots = (_Atomic uint64_t *)(void *)(f->base + slots_at),
        .slots_used = f->slots_used,
        .arena_used = arena,
    };
    if (snapshot_file_attach(f->base, size, f->sequence, &f->ids, &out->view) != NULL)
        BUG("a data file that was just written cannot be read");
    close(f->fd);
    free(f->slots);
    free(f);
    *b = NULL;
    return 0;
}

void snapshot_build_abandon(struct snapshot_build **b)
{
    struct snapshot_build *f = *b;
    if (!f)
        return;
    if (f->base)
        munmap(f->base, f->size);
    if (f->fd >= 0) {
        close(f->fd);
        unlink(f->path);
    }
    free(f->slots);
    free(f);
    *b = NULL;
}

void snapshot_rw_fini(struct snapshot_rw *f)
{
    if (f->base)
        munmap(f->base, f->size);
    *f = (struct snapshot_rw){0};
}
