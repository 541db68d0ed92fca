/* SPDX-License-Identifier: ISC */
/*
 * claims: the delivering side.  It owns its file, the lock on it and the list of free slots, and
 * belongs to one thread.
 *
 * The stores of claims and the loads of epochs behind them are sequentially consistent, and so are
 * mapd's stores of epochs and loads of claims.  In the one order of all four either our load comes
 * after mapd's store, and we see the new epoch and send no dot, or mapd's load comes after our
 * store, and the barrier waits for us.  (docs/model/ lets Spin look for an order where neither
 * does.)
 *
 * Should somebody remove the file, mapd could not see the claims: then there is no dot until the
 * last claim has ended and a new file stands.
 */
#include "maps/claims.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/os/hmac.h"
#include "base/os/io.h"
#include "maps/claims_file.h"

#define CREATE_TRIES 100

struct claims {
    char *dir; /* RUN/claims */
    char path[4096];
    int fd; /* holds the lock */
    struct claims_file *file;
    uint32_t free[CLAIMS_SLOTS]; /* a stack */
    size_t n_free;
    uint32_t ambiguous[CLAIMS_SLOTS]; /* a ring, oldest first */
    size_t ambiguous_first, n_ambiguous;
};

const char claims_magic[8] = {'C', 'X', 'C', 'L', 'A', 'I', 'M', '1'};

/* --- The file -------------------------------------------------------------------------- */

static int fill_file(struct claims *c, const char *path, struct err *err)
{
    int errnum = posix_fallocate(c->fd, 0, sizeof *c->file);
    if (errnum != 0)
        return err_sys(err, errnum, "%s: no room", path);
    void *base = mmap(NULL, sizeof *c->file, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
    if (base == MAP_FAILED)
        return err_sys(err, errno, "%s: cannot map", path);
    c->file = base;
    memcpy(c->file->head.magic, claims_magic, sizeof claims_magic);
    c->file->head.version = CLAIMS_VERSION;
    c->file->head.n_slots = CLAIMS_SLOTS;
    if (boot_id(c->file->head.boot, err) != 0)
        return -1;
    if (fchmod(c->fd, 0640) != 0) /* mapd reads it by its group, whatever the umask is */
        return err_sys(err, errno, "%s: cannot set the mode", path);
    if (flock(c->fd, LOCK_EX) != 0)
        return err_sys(err, errno, "%s: cannot lock", path);
    return 0;
}

static void drop_file(struct claims *c)
{
    if (c->file)
        munmap(c->file, sizeof *c->file);
    c->file = NULL;
    io_close(&c->fd);
}

/* A file appears at c->path that is complete and locked: a file there that is not locked is one of
 * a dead process. */
static int create_file(struct claims *c, struct err *err)
{
    for (int i = 0; i < CREATE_TRIES; i++) {
        unsigned char r[8];
        char path_new[sizeof c->path], id[CLAIMS_ID_MAX];
        random_bytes(r, sizeof r);
        if (fmt_into(id, sizeof id, "%ld.%02x%02x%02x%02x%02x%02x%02x%02x", (long)getpid(), r[0],
                r[1], r[2], r[3], r[4], r[5], r[6], r[7]) != 0 ||
            fmt_into(path_new, sizeof path_new, "%s/" CLAIMS_NEW_PREFIX "%s", c->dir, id) != 0 ||
            fmt_into(c->path, sizeof c->path, "%s/%s", c->dir, id) != 0)
            return err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", c->dir);
        c->fd = open(path_new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (c->fd < 0)
            return err_sys(err, errno, "%s: cannot create", path_new);
        if (fill_file(c, path_new, err) != 0) {
            unlink(path_new);
            drop_file(c);
            return -1;
        }
        if (rename(path_new, c->path) == 0)
            return 0;
        /* A scan took it for a left-over before it was locked. */
        int errnum = errno;
        drop_file(c);
        if (errnum != ENOENT)
            return err_sys(err, errnum, "%s: cannot move into place", path_new);
    }
    return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: no claims file can be created", c->dir);
}

static void reset_slots(struct claims *c)
{
    for (uint32_t i = 0; i < CLAIMS_SLOTS; i++)
        c->free[i] = CLAIMS_SLOTS - 1 - i; /* the lowest on top: `used` stays small */
    c->n_free = CLAIMS_SLOTS;
    c->ambiguous_first = c->n_ambiguous = 0;
}

int claims_open(const char *run_dir, struct claims **out, struct err *err)
{
    struct claims *c = mem_zalloc(sizeof *c);
    struct buf dir;
    enum claims_scan_verdict ignored;
    struct err sweep_err = ERR_INIT;
    c->fd = -1;
    buf_init(&dir, sizeof c->path);
    if (io_path(&dir, run_dir, CLAIMS_DIR) != 0) {
        err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", run_dir);
        goto fail;
    }
    c->dir = buf_steal_cstr(&dir);
    if (claims_make_dir(run_dir, err) != 0 || create_file(c, err) != 0)
        goto fail;
    reset_slots(c);
    /* Without a barrier for a long time, files of dead processes would pile up.  No key has the
     * hash 0, and what this finds is of no interest here. */
    if (claims_scan(run_dir, 0, 0, &ignored, &sweep_err) != 0)
        err_clear(&sweep_err);
    buf_fini(&dir);
    *out = c;
    return 0;
fail:
    buf_fini(&dir);
    claims_close(&c);
    return -1;
}

void claims_close(struct claims **c)
{
    struct claims *x = *c;
    if (!x)
        return;
    if (x->file && x->n_free == CLAIMS_SLOTS)
        unlink(x->path);
    drop_file(x);
    mem_free_string(&x->dir);
    free(x);
    *c = NULL;
}

/* True when mapd can find our file; makes a new one when the old one is gone and nothing is in
 * it. */
static bool is_visible(struct claims *c)
{
    struct stat st;
    struct err err = ERR_INIT;
    if (c->file && fstat(c->fd, &st) == 0 && st.st_nlink > 0)
        return true;
    if (c->n_free < CLAIMS_SLOTS)
        return false;
    drop_file(c);
    return create_file(c, &err) == 0;
}

/* --- Claims ----------------------------------------------------------------------------- */

static void set_state(struct claims *c, uint32_t slot, enum claim_state state)
{
    struct claim *k = &c->file->slots[slot];
    atomic_store_explicit(&k->time_ms, clock_mono_ms(), memory_order_relaxed);
    atomic_store(&k->state, state);
}

static void take(struct claims *c, uint32_t slot, const struct decide_key *key)
{
    struct claim *k = &c->file->slots[slot];
    if (atomic_load_explicit(&c->file->head.used, memory_order_relaxed) <= slot)
        atomic_store(&c->file->head.used, slot + 1u);
    atomic_store_explicit(&k->key_hash, key->hash, memory_order_relaxed);
    atomic_store_explicit(&k->epoch, key->epoch, memory_order_relaxed);
    set_state(c, slot, CLAIM_COMMITTING);
}

static void give_back(struct claims *c, uint32_t slot)
{
    set_state(c, slot, CLAIM_FREE);
    c->free[c->n_free++] = slot;
}

/* Ambiguous claims become free again when they are old enough. */
static void reclaim(struct claims *c)
{
    uint64_t now = clock_mono_ms();
    while (c->n_ambiguous > 0) {
        uint32_t slot = c->ambiguous[c->ambiguous_first];
        uint64_t then = atomic_load_explicit(&c->file->slots[slot].time_ms, memory_order_relaxed);
        if (now - then <= CLAIMS_AMBIGUOUS_MS)
            return;
        c->ambiguous_first = (c->ambiguous_first + 1) % CLAIMS_SLOTS;
        c->n_ambiguous--;
        give_back(c, slot);
    }
}

static int compare_keys(const void *a, const void *b)
{
    const struct decide_key *x = *(const struct decide_key *const *)a;
    const struct decide_key *y = *(const struct decide_key *const *)b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return strcmp(x->text, y->text);
}

/* The keys of all decisions, each once.  False: two decisions saw different epochs, or one is not
 * to deliver. */
static bool gather(
    const struct decision *decisions, size_t n, const struct decide_key ***keys_out, size_t *n_out)
{
    const struct decide_key **keys = mem_realloc_array(NULL, n * DECIDE_KEYS_MAX, sizeof *keys);
    size_t n_keys = 0, kept = 0;
    *keys_out = keys;
    for (size_t i = 0; i < n; i++) {
        if (decisions[i].kind != DECIDE_DELIVER)
            return false;
        for (size_t k = 0; k < decisions[i].n_keys; k++)
            keys[n_keys++] = &decisions[i].keys[k];
    }
    mem_sort(keys, n_keys, sizeof *keys, compare_keys);
    for (size_t i = 0; i < n_keys; i++) {
        if (kept == 0 || compare_keys(&keys[kept - 1], &keys[i]) != 0)
            keys[kept++] = keys[i];
        else if (keys[kept - 1]->epoch != keys[i]->epoch)
            return false;
    }
    *n_out = kept;
    return true;
}

enum claims_verdict claims_begin(struct claims *c, struct snapshot *s,
    const struct decision *decisions, size_t n, struct claims_set *out)
{
    const struct decide_key **keys = NULL;
    enum claims_verdict verdict = CLAIMS_CHANGED;
    size_t n_keys = 0;
    *out = (struct claims_set){0};
    if (n == 0 || !gather(decisions, n, &keys, &n_keys))
        goto done;
    verdict = CLAIMS_FULL;
    if (!is_visible(c))
        goto done;
    reclaim(c);
    if (c->n_free < n_keys)
        goto done;
    out->slots = mem_realloc_array(NULL, n_keys, sizeof *out->slots);
    out->n = n_keys;
    for (size_t i = 0; i < n_keys; i++) {
        out->slots[i] = c->free[--c->n_free];
        take(c, out->slots[i], keys[i]);
    }
    /* A file that was removed before the claims were stored is one that no barrier saw. */
    bool is_unchanged = is_visible(c);
    snapshot_check_path(s);
    for (size_t i = 0; i < n_keys && is_unchanged; i++)
        is_unchanged = snapshot_has_epoch(s, keys[i]);
    verdict = CLAIMS_GO;
    if (!is_unchanged) {
        claims_end(c, out, CLAIMS_ANSWERED);
        verdict = CLAIMS_CHANGED;
    }
done:
    free(keys);
    return verdict;
}

/* One claim without an answer tells all there is to tell of its key and epoch, and the newest lasts
 * longest: an older one goes.  Else a server that drops each message behind its dot would use up
 * all claims with a few users whose mail is tried again and again, and stop the other servers. */
static void drop_older(struct claims *c, uint32_t slot)
{
    const struct claim *slots = c->file->slots;
    uint64_t hash = atomic_load_explicit(&slots[slot].key_hash, memory_order_relaxed);
    uint64_t epoch = atomic_load_explicit(&slots[slot].epoch, memory_order_relaxed);
    uint32_t older = CLAIMS_SLOTS;
    for (size_t i = 0; i < c->n_ambiguous; i++) {
        uint32_t *at = &c->ambiguous[(c->ambiguous_first + i) % CLAIMS_SLOTS];
        if (older < CLAIMS_SLOTS)
            c->ambiguous[(c->ambiguous_first + i - 1) % CLAIMS_SLOTS] = *at;
        else if (atomic_load_explicit(&slots[*at].key_hash, memory_order_relaxed) == hash &&
                 atomic_load_explicit(&slots[*at].epoch, memory_order_relaxed) == epoch)
            older = *at;
    }
    if (older == CLAIMS_SLOTS)
        return;
    c->n_ambiguous--;
    give_back(c, older);
}

void claims_end(struct claims *c, struct claims_set *set, enum claims_outcome outcome)
{
    for (size_t i = 0; i < set->n; i++) {
        if (outcome == CLAIMS_ANSWERED) {
            give_back(c, set->slots[i]);
            continue;
        }
        /* First the new one: a scan finds one of the two. */
        set_state(c, set->slots[i], CLAIM_AMBIGUOUS);
        drop_older(c, set->slots[i]);
        c->ambiguous[(c->ambiguous_first + c->n_ambiguous++) % CLAIMS_SLOTS] = set->slots[i];
    }
    free(set->slots);
    *set = (struct claims_set){0};
}
