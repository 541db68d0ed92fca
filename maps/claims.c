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
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/hmac.h"
#include "base/os/io.h"
#include "maps/claims_file.h"

#define CREATE_TRIES 100
#define USED_KEPT 64 /* slots, which a scan reads at once */

struct claims {
    char *dir; /* RUN/claims */
    char path[4096];
    int fd; /* holds the lock */
    struct claims_file *file;
    uint32_t free[CLAIMS_SLOTS]; /* a stack */
    size_t n_free;
    uint32_t ambiguous[CLAIMS_AMBIGUOUS_MAX]; /* a ring, oldest first */
    size_t ambiguous_first, n_ambiguous;
};

const char claims_magic[8] = {'C', 'X', 'C', 'L', 'A', 'I', 'M', '1'};

/* --- The file -------------------------------------------------------------------------- */

/* Nobody can open the file before it is locked, and then only mapd, which is in our group and can
 * take no lock that we hold.  The directory hands down the group of all who make claims. */
static int lock_file(struct claims *c, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(c->fd, &st) != 0)
        return err_sys(err, errno, "%s", path);
    if (flock(c->fd, LOCK_EX | LOCK_NB) != 0)
        return err_sys(err, errno, "%s: cannot lock", path);
    if (st.st_gid != getegid() && fchown(c->fd, (uid_t)-1, getegid()) != 0)
        return err_sys(err, errno, "%s: cannot set the group", path);
    if (fchmod(c->fd, 0640) != 0) /* whatever the umask is */
        return err_sys(err, errno, "%s: cannot set the mode", path);
    return 0;
}

/* What is remembered in `old`, if there is one, is in the new file from its first moment. */
static int fill_file(
    struct claims *c, const struct claims_file *old, const char *path, struct err *err)
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
    if (old) {
        memcpy(c->file->slots, old->slots, sizeof old->slots);
        memcpy(c->file->crowds, old->crowds, sizeof old->crowds);
        atomic_store(&c->file->head.used, atomic_load(&old->head.used));
    }
    return lock_file(c, path, err);
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
static int create_file(struct claims *c, const struct claims_file *old, struct err *err)
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
        c->fd = open(path_new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (c->fd < 0)
            return err_sys(err, errno, "%s: cannot create", path_new);
        if (fill_file(c, old, path_new, err) != 0) {
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

/* Who may make a folder there is not for us to guess: a path that leads nowhere looks the same. */
static int check_run(const char *run_dir, struct err *err)
{
    int fd = open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return err_sys(err, errno, "run: %s, which coexist-mapd makes", run_dir);
    if (fd < 0)
        return err_sys(err, errno, "run: %s", run_dir);
    io_close(&fd);
    return 0;
}

int claims_open(const char *run_dir, struct claims **out, struct err *err)
{
    struct claims *c = mem_zalloc(sizeof *c);
    struct buf dir;
    c->fd = -1;
    buf_init(&dir, sizeof c->path);
    if (io_path(&dir, run_dir, CLAIMS_DIR) != 0) {
        err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", run_dir);
        goto fail;
    }
    c->dir = buf_steal_cstr(&dir);
    reset_slots(c);
    if (check_run(run_dir, err) != 0)
        goto fail;
    /* A mapd that has never run here is on its way; until then there are no look-ups either. */
    if (access(c->dir, F_OK) != 0 && errno == ENOENT)
        log_info("claims_wait", log_str("dir", c->dir));
    else if (create_file(c, NULL, err) != 0)
        goto fail;
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
    /* Claims in a crowd are older than the single ones, so with none of these there is no crowd. */
    if (x->file && x->n_free == CLAIMS_SLOTS)
        unlink(x->path);
    drop_file(x);
    mem_free_string(&x->dir);
    free(x);
    *c = NULL;
}

/* A new file takes over what the one that was removed has to be remembered for. */
static bool replace_file(struct claims *c)
{
    struct claims_file *old = c->file;
    struct err err = ERR_INIT;
    int old_fd = c->fd;
    c->file = NULL;
    c->fd = -1;
    bool is_there = create_file(c, old, &err) == 0;
    if (!is_there) { /* perhaps the next time */
        c->file = old;
        c->fd = old_fd;
        return false;
    }
    if (old)
        munmap(old, sizeof *old);
    io_close(&old_fd);
    return true;
}

/* True when mapd can find our file, which it does by its name; makes a new one when the old one is
 * gone and no delivery relies on it. */
static bool is_visible(struct claims *c)
{
    struct stat ours, there;
    if (c->file && fstat(c->fd, &ours) == 0 && lstat(c->path, &there) == 0 &&
        ours.st_dev == there.st_dev && ours.st_ino == there.st_ino)
        return true;
    return c->n_free + c->n_ambiguous == CLAIMS_SLOTS && replace_file(c);
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

/* Every scan reads as many slots as `used` says: who was busy once and is idle now costs it
 * nothing. */
static void rest(struct claims *c)
{
    if (!c->file || c->n_free < CLAIMS_SLOTS ||
        atomic_load_explicit(&c->file->head.used, memory_order_relaxed) <= USED_KEPT)
        return;
    reset_slots(c);
    atomic_store(&c->file->head.used, 0);
}

/* A set of claims that must be remembered becomes one: for all keys of its share of the hashes,
 * from the oldest epoch, as long as the youngest.  The oldest single claims go there, since they
 * lengthen the life of the crowd least. */
static void join_crowd(struct claims *c, uint32_t slot)
{
    const struct claim *k = &c->file->slots[slot];
    uint64_t hash = atomic_load_explicit(&k->key_hash, memory_order_relaxed);
    uint64_t epoch = atomic_load_explicit(&k->epoch, memory_order_relaxed);
    uint64_t time_ms = atomic_load_explicit(&k->time_ms, memory_order_relaxed);
    struct claim *crowd = &c->file->crowds[claims_crowd(hash)];
    bool is_new = atomic_load_explicit(&crowd->state, memory_order_relaxed) == CLAIM_FREE;

    if (is_new || epoch < atomic_load_explicit(&crowd->epoch, memory_order_relaxed))
        atomic_store_explicit(&crowd->epoch, epoch, memory_order_relaxed);
    if (is_new || time_ms > atomic_load_explicit(&crowd->time_ms, memory_order_relaxed))
        atomic_store_explicit(&crowd->time_ms, time_ms, memory_order_relaxed);
    atomic_store(&crowd->state, CLAIM_AMBIGUOUS);
    give_back(c, slot);
}

static uint32_t take_oldest(struct claims *c)
{
    uint32_t slot = c->ambiguous[c->ambiguous_first];
    c->ambiguous_first = (c->ambiguous_first + 1) % CLAIMS_AMBIGUOUS_MAX;
    c->n_ambiguous--;
    return slot;
}

static bool is_forgotten(const struct claim *k, uint64_t now_ms)
{
    return now_ms - atomic_load_explicit(&k->time_ms, memory_order_relaxed) > CLAIMS_AMBIGUOUS_MS;
}

/* Ambiguous claims become free again when they are old enough. */
static void reclaim(struct claims *c)
{
    uint64_t now = clock_mono_ms();
    for (size_t i = 0; i < CLAIMS_CROWDS; i++) {
        struct claim *crowd = &c->file->crowds[i];
        if (atomic_load_explicit(&crowd->state, memory_order_relaxed) != CLAIM_FREE &&
            is_forgotten(crowd, now))
            atomic_store(&crowd->state, CLAIM_FREE);
    }
    while (
        c->n_ambiguous > 0 && is_forgotten(&c->file->slots[c->ambiguous[c->ambiguous_first]], now))
        give_back(c, take_oldest(c));
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
    const struct decide_key **keys;
    size_t n_keys = 0, kept = 0;
    for (size_t i = 0; i < n; i++)
        n_keys += decisions[i].n_keys;
    *keys_out = keys = mem_realloc_array(NULL, n_keys, sizeof *keys);
    n_keys = 0;
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
        uint32_t *at = &c->ambiguous[(c->ambiguous_first + i) % CLAIMS_AMBIGUOUS_MAX];
        if (older < CLAIMS_SLOTS)
            c->ambiguous[(c->ambiguous_first + i - 1) % CLAIMS_AMBIGUOUS_MAX] = *at;
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
        if (c->n_ambiguous == CLAIMS_AMBIGUOUS_MAX)
            join_crowd(c, take_oldest(c));
        c->ambiguous[(c->ambiguous_first + c->n_ambiguous++) % CLAIMS_AMBIGUOUS_MAX] =
            set->slots[i];
    }
    rest(c);
    free(set->slots);
    *set = (struct claims_set){0};
}
