/* SPDX-License-Identifier: ISC */
/*
 * snapshot: the reader.  A look-up is a hash, one load of the control word, one of a cell's word
 * and one entry; when the control word moved, the next data file is mapped before anything is
 * answered.
 *
 * It owns its mappings and changes nothing.  Everything that is not as it must be makes look-ups
 * say UNKNOWN until it is right again, and snapshot_trouble() says what it was; each look-up in
 * that state tries again.
 *
 * Somebody may remove RUN/map.ctl and start another mapd, which then makes a new control file while
 * we watch the old one.  So once a second, and always under a claim, the path is compared with what
 * is mapped.  A data file that is cut short from outside while it is mapped would raise SIGBUS: the
 * writer never does that, it replaces files.
 */
#include "maps/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include "base/core/mem.h"
#include "base/os/huge.h"
#include "maps/snapshot_file.h"

#define MOVES_MAX 16 /* data files that may be replaced while we map one */

struct snapshot {
    char *run_dir;
    char boot[BOOT_ID_SIZE];
    struct snapshot_ctl *ctl; /* NULL: not mapped */
    dev_t ctl_dev;
    ino_t ctl_ino;
    time_t path_checked_at;    /* 0: to be checked at the next look-up */
    struct snapshot_file file; /* base NULL: not mapped */
    size_t file_size;
    uint64_t sequence; /* of file, 0: none */
    struct snapshot_ids ids;
    struct err trouble;
};

/* Why look-ups say UNKNOWN. */
#define trouble(s, ...) (err_set(&(s)->trouble, ERR_TEMP, EX_TEMPFAIL, __VA_ARGS__) == 0)

static void drop_file(struct snapshot *s)
{
    if (s->file.base)
        munmap((void *)(uintptr_t)s->file.base, s->file_size);
    s->file = (struct snapshot_file){0};
    s->sequence = 0;
}

static void drop_ctl(struct snapshot *s)
{
    drop_file(s);
    if (s->ctl)
        munmap(s->ctl, SNAPSHOT_PAGE);
    s->ctl = NULL;
}

/* Maps a file of the run directory read-only. *size_out is its size, at least min. */
static void *map_file(
    struct snapshot *s, const char *name, size_t min, struct stat *st, int *errnum)
{
    struct buf path;
    void *base = MAP_FAILED;
    buf_init(&path, 4096);
    *errnum = ENAMETOOLONG;
    if (buf_addf(&path, "%s/%s", s->run_dir, name) != 0)
        goto done;
    int fd = open(buf_cstr(&path), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    *errnum = errno;
    if (fd < 0)
        goto done;
    if (fstat(fd, st) != 0) {
        *errnum = errno;
    } else if (!S_ISREG(st->st_mode) || st->st_size < (off_t)min) {
        *errnum = ENODATA;
    } else {
        base = huge_map(fd, (size_t)st->st_size, PROT_READ);
        *errnum = errno;
    }
    close(fd);
done:
    buf_fini(&path);
    return base == MAP_FAILED ? NULL : base;
}

/* True when the control file at its path is the one that is mapped; else maps that one. */
static bool check_ctl(struct snapshot *s)
{
    struct stat st;
    int errnum = 0;
    if (s->ctl) {
        char path[4096];
        bool is_same = fmt_into(path, sizeof path, "%s/%s", s->run_dir, SNAPSHOT_CTL_NAME) == 0 &&
                       stat(path, &st) == 0 && st.st_dev == s->ctl_dev && st.st_ino == s->ctl_ino;
        s->path_checked_at = time(NULL);
        if (is_same)
            return true;
        drop_ctl(s);
    }
    struct snapshot_ctl *ctl = map_file(s, SNAPSHOT_CTL_NAME, SNAPSHOT_PAGE, &st, &errnum);
    if (!ctl)
        return trouble(s, "%s/%s: %s", s->run_dir, SNAPSHOT_CTL_NAME,
            errnum == ENOENT    ? "no map has been published here"
            : errnum == ENODATA ? "the control file is cut short"
                                : strerrordesc_np(errnum));
    if (st.st_size != SNAPSHOT_PAGE ||
        memcmp(ctl->magic, snapshot_ctl_magic, sizeof ctl->magic) != 0) {
        munmap(ctl, (size_t)st.st_size);
        return trouble(
            s, "%s/%s: not a control file of this version", s->run_dir, SNAPSHOT_CTL_NAME);
    }
    s->ctl = ctl;
    s->ctl_dev = st.st_dev;
    s->ctl_ino = st.st_ino;
    s->path_checked_at = time(NULL);
    return true;
}

/* Maps the data file of this sequence. */
static bool map_data(struct snapshot *s, uint64_t sequence)
{
    char name[40];
    struct stat st;
    int errnum;
    if (fmt_into(name, sizeof name, SNAPSHOT_DATA_PREFIX "%" PRIu64, sequence) != 0)
        BUG("a file name does not fit");
    void *base = map_file(s, name, SNAPSHOT_PAGE, &st, &errnum);
    if (!base)
        return trouble(s, "%s/%s: %s", s->run_dir, name,
            errnum == ENODATA ? "the data file is cut short" : strerrordesc_np(errnum));
    const char *reason =
        snapshot_file_attach(base, (size_t)st.st_size, sequence, &s->ids, &s->file);
    if (reason) {
        munmap(base, (size_t)st.st_size);
        return trouble(s, "%s/%s: %s", s->run_dir, name, reason);
    }
    s->file_size = (size_t)st.st_size;
    s->sequence = sequence;
    err_clear(&s->trouble);
    return true;
}

static bool reload(struct snapshot *s)
{
    if (!s->boot[0] && boot_id(s->boot, &s->trouble) != 0)
        return false;
    for (int moves = 0; moves < MOVES_MAX; moves++) {
        if (!check_ctl(s))
            return false;
        uint64_t sequence = atomic_load(&s->ctl->sequence);
        if (sequence != 0 && sequence == s->sequence)
            return true;
        drop_file(s);
        if (sequence == 0)
            return trouble(s, "%s/%s: the map is marked as not valid until coexist-mapd runs",
                s->run_dir, SNAPSHOT_CTL_NAME);
        snapshot_ctl_ids(s->ctl, &s->ids);
        bool is_mapped = false;
        if (memcmp(s->ids.boot, s->boot, sizeof s->boot) != 0)
            (void)trouble(s, "%s/%s: published before this machine was started", s->run_dir,
                SNAPSHOT_CTL_NAME);
        else
            is_mapped = map_data(s, sequence);
        /* All that was read belongs together only if the control word still stands. */
        if (atomic_load(&s->ctl->sequence) == sequence)
            return is_mapped;
    }
    drop_file(s);
    return trouble(s, "%s: the snapshot moves faster than it can be mapped", s->run_dir);
}

/* True when file is what the control file names at this moment.  Of all clocks time() costs least,
 * and only whether it shows another second matters, so that it may be set at any time. */
static inline bool is_current(struct snapshot *s)
{
    if (s->sequence != 0 && atomic_load(&s->ctl->sequence) == s->sequence &&
        time(NULL) == s->path_checked_at)
        return true;
    return reload(s);
}

struct snapshot *snapshot_new(const char *run_dir)
{
    struct snapshot *s = mem_zalloc(sizeof *s);
    s->run_dir = mem_strdup(run_dir);
    (void)reload(s);
    return s;
}

void snapshot_free(struct snapshot **s)
{
    if (!*s)
        return;
    drop_ctl(*s);
    mem_free_string(&(*s)->run_dir);
    free(*s);
    *s = NULL;
}

static enum route_answer get(struct snapshot *s, struct slice key, uint64_t hash,
    struct route_store *store, struct route_entry *entry)
{
    if (!is_current(s)) {
        route_entry_clear(entry);
        return ROUTE_UNKNOWN;
    }
    enum route_answer answer = snapshot_file_get(&s->file, key, hash, store, entry);
    if (answer == ROUTE_UNKNOWN)
        (void)trouble(s, "%s/%s%" PRIu64 ": an entry is damaged", s->run_dir, SNAPSHOT_DATA_PREFIX,
            s->sequence);
    else if (s->trouble.class != ERR_NONE)
        err_clear(&s->trouble);
    return answer;
}

enum route_answer snapshot_get(
    struct snapshot *s, struct slice key, struct route_store *store, struct route_entry *entry)
{
    return get(s, key, route_key_hash(key), store, entry);
}

void snapshot_check_path(struct snapshot *s)
{
    s->path_checked_at = 0;
}

bool snapshot_has_epoch(struct snapshot *s, const struct decide_key *key)
{
    struct route_store store;
    struct route_entry entry;
    enum route_answer answer = get(s, slice_make(key->text, key->n), key->hash, &store, &entry);
    return answer != ROUTE_UNKNOWN && entry.epoch == key->epoch;
}

static enum route_answer view_get(
    void *arg, struct slice key, struct route_store *store, struct route_entry *entry)
{
    return snapshot_get(arg, key, store, entry);
}

/* Most of a look-up is one wait for memory: it begins while the decision has other things to do. */
static void view_expect(void *arg, uint64_t key_hash)
{
    const struct snapshot *s = arg;
    if (s->file.base)
        snapshot_file_expect(&s->file, key_hash);
}

struct route_view snapshot_view(struct snapshot *s)
{
    return (struct route_view){.get = view_get, .arg = s, .expect = view_expect};
}

/* Returns the bytes that the entry takes in the arena, 0 when it is damaged. */
static size_t visit(const struct snapshot *s, uint64_t word, const struct snapshot_visitor *visitor)
{
    struct slice key, record;
    struct route_entry entry;
    if (!snapshot_file_entry(&s->file, word, &key, &record))
        return 0;
    if (record_decode(record, &entry) == 0)
        visitor->entry(visitor->arg, key, &entry);
    return snapshot_entry_size(key.n, record.n);
}

int snapshot_walk(
    struct snapshot *s, struct snapshot_mark *mark, const struct snapshot_visitor *visitor)
{
    if (!is_current(s))
        return -1;
    /* Read before the cells: what is published meanwhile comes with the next walk, if not now. */
    uint64_t used = atomic_load(&s->file.head->arena_used);
    if (mark->sequence != s->sequence) {
        visitor->restart(visitor->arg);
        for (uint64_t i = 0; i < s->file.n_cells; i++) {
            uint64_t word = atomic_load_explicit(&s->file.cells[i].word, memory_order_acquire);
            if (word != SNAPSHOT_EMPTY)
                (void)visit(s, word, visitor); /* a damaged one is UNKNOWN when it is looked up */
        }
        *mark = (struct snapshot_mark){s->sequence, used};
    }
    while (mark->at < used) {
        size_t n = visit(s, snapshot_word(0, s->file.arena_at + mark->at), visitor);
        if (n == 0)
            return -1;
        mark->at += n;
    }
    return 0;
}

const char *snapshot_trouble(const struct snapshot *s)
{
    return s->trouble.text;
}

uint64_t snapshot_sequence(const struct snapshot *s)
{
    return s->sequence;
}

int snapshot_info(struct snapshot *s, struct snapshot_info *out)
{
    *out = (struct snapshot_info){0};
    if (!is_current(s))
        return -1;
    const struct snapshot_head *h = s->file.head;
    out->generation = atomic_load(&h->generation);
    out->sequence = s->sequence;
    out->keys = atomic_load(&h->keys);
    out->bytes_used = SNAPSHOT_PAGE + atomic_load(&h->arena_used) + h->n_cells * SNAPSHOT_CELL_SIZE;
    out->bytes_total = h->file_size;
    memcpy(out->map_id, s->ids.map, sizeof out->map_id);
    return 0;
}
