/* SPDX-License-Identifier: ISC */
/*
 * snapshot_write: the control file and publication; staging is in snapshot_stage.c.  See the header
 * for the order of use.
 *
 * What is true at every moment, so that a kill -9 anywhere leaves a snapshot that is complete and
 * true, or none:
 * - the data file that the control word names is complete before the word is stored, and is never
 *   cut short;
 * - entries are written behind all entries that readers can see, before the word that points to
 *   them is stored;
 * - a sequence number is never given twice, so a reader that slept cannot take a new file for an
 *   old one (`last` is stored before the control word);
 * - the ids in the control file change only while the control word is 0.
 *
 * A mapd that died between commit and publication never acknowledged the change; the next one
 * rebuilds the snapshot from the database before it serves anybody.
 */
#include "maps/snapshot_write_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "maps/claims.h"
#include "maps/consumer.h"

#define CTL_NEW_NAME SNAPSHOT_CTL_NAME ".new"

#define LOCK_NAME "mapd.lock"

static const char *const own_names[] = {SNAPSHOT_CTL_NAME, LOCK_NAME, CLAIMS_DIR};
_Static_assert(sizeof own_names / sizeof own_names[0] == SNAPSHOT_OWN, "a place each");

/* --- The control file --------------------------------------------------------------- */

static int path_of(
    const struct snapshot_writer *w, const char *name, char out[4096], struct err *err)
{
    if (fmt_into(out, 4096, "%s/%s", w->run_dir, name) == 0)
        return 0;
    return err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", w->run_dir);
}

/* A complete control file appears at its path; another one that was there disappears. */
static int create_ctl(const struct snapshot_writer *w, const char *path, struct err *err)
{
    static const struct snapshot_ctl empty;
    unsigned char page[SNAPSHOT_PAGE] = {0};
    char path_new[4096];
    int rc = -1;
    if (path_of(w, CTL_NEW_NAME, path_new, err) != 0)
        return -1;
    memcpy(page, &empty, sizeof empty);
    memcpy(page, snapshot_ctl_magic, sizeof snapshot_ctl_magic);
    (void)unlink(path_new); /* left by one that died */
    int fd = open(path_new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return err_sys(err, errno, "%s: cannot create", path_new);
    if (io_write_all(fd, slice_make(page, sizeof page), err) != 0)
        err_wrap(err, "%s", path_new);
    else if (fchmod(fd, 0640) != 0) /* readers have its group, whatever the umask is */
        err_sys(err, errno, "%s: cannot set the mode", path_new);
    else if (rename(path_new, path) != 0)
        err_sys(err, errno, "%s: cannot move into place", path_new);
    else
        rc = 0;
    close(fd);
    return rc;
}

/* Ours, complete, and under no other name. */
static bool is_ctl(int fd, struct stat *st)
{
    char magic[sizeof snapshot_ctl_magic];
    return fstat(fd, st) == 0 && S_ISREG(st->st_mode) && st->st_size == SNAPSHOT_PAGE &&
           st->st_uid == geteuid() && st->st_nlink == 1 &&
           pread(fd, magic, sizeof magic, 0) == (ssize_t)sizeof magic &&
           memcmp(magic, snapshot_ctl_magic, sizeof magic) == 0;
}

/* Readers may open the control file, and whoever may open a file can hold its lock: ours is on a
 * file that only we can open. */
static int take_lock(struct snapshot_writer *w, struct err *err)
{
    char path[4096];
    if (path_of(w, LOCK_NAME, path, err) != 0)
        return -1;
    if (io_lock_file(path, &w->lock_fd, err) == 0)
        return 0;
    return err->code == EX_TEMPFAIL
               ? err_wrap(err, "another coexist-mapd or maptool publishes there")
               : -1;
}

/* Opens the control file that is at its path, and makes one first if need be. */
static int open_ctl(struct snapshot_writer *w, struct err *err)
{
    char path[4096];
    struct stat st;
    if (path_of(w, SNAPSHOT_CTL_NAME, path, err) != 0)
        return -1;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || !is_ctl(fd, &st)) {
        io_close(&fd);
        if (create_ctl(w, path, err) != 0)
            return -1;
        fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
            return err_sys(err, errno, "%s: cannot open", path);
        if (!is_ctl(fd, &st)) {
            io_close(&fd);
            return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s is being replaced", path);
        }
    }
    void *base = mmap(NULL, SNAPSHOT_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int errnum = errno;
    io_close(&fd);
    if (base == MAP_FAILED)
        return err_sys(err, errnum, "%s: cannot map", path);
    w->ctl = base;
    return 0;
}

/* --- What belongs to this writer ---------------------------------------------------------- */

static int note_own(struct snapshot_writer *w, struct err *err)
{
    char path[4096];
    struct stat st;
    for (size_t i = 0; i < SNAPSHOT_OWN; i++) {
        if (path_of(w, own_names[i], path, err) != 0)
            return -1;
        if (lstat(path, &st) != 0)
            return err_sys(err, errno, "%s", path);
        w->own[i].dev = st.st_dev;
        w->own[i].ino = st.st_ino;
    }
    return 0;
}

/* Readers find the control file by its path: what we publish in another one they do not see. */
int snapshot_writer_check(const struct snapshot_writer *w, struct err *err)
{
    char path[4096];
    struct stat st;
    for (size_t i = 0; i < SNAPSHOT_OWN; i++) {
        if (path_of(w, own_names[i], path, err) != 0)
            return -1;
        if (lstat(path, &st) != 0 || st.st_dev != w->own[i].dev || st.st_ino != w->own[i].ino)
            return err_set(err, ERR_TEMP, EX_TEMPFAIL,
                "%s was removed or replaced: a new start of coexist-mapd repairs it", path);
    }
    return 0;
}

/* Removes all data files but the one that the control word names. */
static void remove_others(const struct snapshot_writer *w)
{
    uint64_t named = atomic_load(&w->ctl->sequence), sequence;
    DIR *dir = opendir(w->run_dir);
    if (!dir)
        return;
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        struct slice name = slice_str(d->d_name), prefix = SLICE_LIT(SNAPSHOT_DATA_PREFIX);
        if (slice_starts(name, prefix) &&
            num_u64(slice_from(name, prefix.n), 0, UINT64_MAX, &sequence) == 0 && sequence != named)
            unlinkat(dirfd(dir), d->d_name, 0);
    }
    closedir(dir);
}

static void set_ids(struct snapshot_writer *w)
{
    struct snapshot_ids now;
    uint64_t words[SNAPSHOT_ID_WORDS];
    snapshot_ctl_ids(w->ctl, &now);
    if (memcmp(&now, &w->ids, sizeof now) == 0)
        return;
    atomic_store(&w->ctl->sequence, 0);
    memcpy(words, &w->ids, sizeof words);
    for (size_t i = 0; i < SNAPSHOT_ID_WORDS; i++)
        atomic_store(&w->ctl->ids[i], words[i]);
}

int snapshot_writer_open(
    const char *run_dir, const char *map_id, struct snapshot_writer **out, struct err *err)
{
    struct slice id = slice_str(map_id);
    struct snapshot_writer *w = mem_zalloc(sizeof *w);
    w->run_dir = mem_strdup(run_dir);
    w->lock_fd = -1;
    w->pending = mem_realloc_array(NULL, SNAPSHOT_IN_PLACE_MAX, sizeof *w->pending);
    if (id.n == 0 || id.n >= sizeof w->ids.map) {
        err_set(
            err, ERR_PERM, EX_DATAERR, "a map id has 1 to %zu characters", sizeof w->ids.map - 1);
        goto fail;
    }
    memcpy(w->ids.map, id.p, id.n);
    if (boot_id(w->ids.boot, err) != 0 || io_mkdir(run_dir, 0750, err) != 0 ||
        claims_make_dir(run_dir, err) != 0 || consumers_make_dir(run_dir, err) != 0 ||
        take_lock(w, err) != 0 || open_ctl(w, err) != 0 || note_own(w, err) != 0)
        goto fail;
    set_ids(w);
    remove_others(w);
    *out = w;
    return 0;
fail:
    snapshot_writer_close(&w);
    return -1;
}

void snapshot_writer_close(struct snapshot_writer **w)
{
    struct snapshot_writer *x = *w;
    if (!x)
        return;
    snapshot_writer_discard(x);
    snapshot_rw_fini(&x->live);
    if (x->ctl)
        munmap(x->ctl, SNAPSHOT_PAGE);
    io_close(&x->lock_fd);
    free(x->pending);
    mem_free_string(&x->run_dir);
    free(x);
    *w = NULL;
}

void snapshot_writer_invalidate(struct snapshot_writer *w)
{
    snapshot_writer_discard(w);
    atomic_store(&w->ctl->sequence, 0);
    snapshot_rw_fini(&w->live);
    remove_others(w);
}

/* --- Publication -------------------------------------------------------------------------- */

static void publish_file(struct snapshot_writer *w)
{
    char path[4096];
    uint64_t old = atomic_load(&w->ctl->sequence);
    atomic_store(&w->ctl->last, w->staged_sequence);
    atomic_store(&w->ctl->sequence, w->staged_sequence);
    snapshot_rw_fini(&w->live);
    w->live = w->staged;
    w->staged = (struct snapshot_rw){0};
    if (old != 0 && snapshot_data_path(w->run_dir, old, path, sizeof path) == 0)
        unlink(path);
}

void snapshot_writer_publish(struct snapshot_writer *w)
{
    if (w->staged.base) {
        publish_file(w);
        return;
    }
    if (w->n_pending == 0)
        return;
    struct snapshot_head *h = (struct snapshot_head *)(void *)w->live.base;
    uint64_t keys = atomic_load(&h->keys);
    for (size_t i = 0; i < w->n_pending; i++) {
        const struct pending *p = &w->pending[i];
        atomic_store(&w->live.cells[p->cell].word, p->word);
        w->live.cells_used += p->is_new;
        keys = keys + p->is_live - p->was_live;
    }
    w->live.arena_used = w->staged_arena_used;
    atomic_store(&h->keys, keys);
    atomic_store(&h->arena_used, w->live.arena_used);
    atomic_store(&h->generation, w->staged_generation);
    w->n_pending = 0;
}

void snapshot_writer_discard(struct snapshot_writer *w)
{
    char path[4096];
    w->n_pending = 0;
    if (!w->staged.base)
        return;
    snapshot_rw_fini(&w->staged);
    if (snapshot_data_path(w->run_dir, w->staged_sequence, path, sizeof path) == 0)
        unlink(path);
}
