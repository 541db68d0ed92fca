/* SPDX-License-Identifier: ISC */
/*
 * claims_scan: mapd's side of the claims.  Every pass lists the directory, so a mapd that was just
 * started sees what it never heard of.  A file that is created after the listing began belongs to a
 * process whose re-check comes after the publication that preceded this call.  One pass answers any
 * number of questions: what it costs are the files, and each claim that is open is looked for among
 * the keys.
 *
 * A file whose lock can be taken belongs to a dead process: locks end with their holder, and a file
 * has its place in the directory only after it was locked.  Open claims of the dead stay ambiguous
 * for CLAIMS_AMBIGUOUS_MS from the moment when the death was first seen, which the file's new name
 * records; a stopped process keeps its lock, and so the barrier busy.
 */
#include "maps/claims.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "maps/claims_file.h"

#define PASSES_MAX 100
#define BLOCK 64 /* claims that are read at a time */
#define CLAIMS_DIR_MODE 03770
#define TELL_AGAIN_MS 60000
#define NEW_FILE_OLD_S 60 /* no process needs so long between creation and lock */

/* One of the questions, and what was found for it so far. */
struct asked {
    struct claims_question *question;
    bool is_busy, is_ambiguous;
};

struct pass {
    const char *path; /* of the directory */
    int dir_fd;
    uint64_t now_ms;
    char boot[BOOT_ID_SIZE];
    struct asked *asked; /* by key */
    size_t n_asked;
    bool is_busy, is_ambiguous; /* whatever the question */
    bool is_disturbed;          /* a file went away under another name: list again */
};

/* What is in one file. */
struct content {
    bool is_dead;     /* nobody waits for the answer to what it claims */
    bool is_readable; /* it is a claims file of this version */
    bool is_open;     /* any claim that is to be remembered */
};

/* The state of a claim, its words read after it. */
struct seen {
    uint64_t state, key_hash, epoch, time_ms;
};

static bool is_remembered(const struct pass *p, const struct seen *s, bool is_this_boot)
{
    if (s->state == CLAIM_FREE)
        return false;
    if (s->state == CLAIM_AMBIGUOUS && is_this_boot && s->time_ms <= p->now_ms &&
        p->now_ms - s->time_ms > CLAIMS_AMBIGUOUS_MS)
        return false;
    return true;
}

static void note(struct asked *a, const struct seen *s, bool is_dead)
{
    if (s->epoch >= a->question->epoch)
        return;
    if (s->state == CLAIM_COMMITTING && !is_dead)
        a->is_busy = true;
    else
        a->is_ambiguous = true;
}

static int compare_asked(const void *a, const void *b)
{
    const struct asked *x = a, *y = b;
    if (x->question->key_hash != y->question->key_hash)
        return x->question->key_hash < y->question->key_hash ? -1 : 1;
    return 0;
}

static void note_claim(const struct pass *p, const struct seen *s, bool is_dead)
{
    struct claims_question key = {.key_hash = s->key_hash};
    struct asked of_key = {.question = &key};
    for (size_t i = mem_place(&of_key, p->asked, p->n_asked, sizeof *p->asked, compare_asked);
         i < p->n_asked && p->asked[i].question->key_hash == s->key_hash; i++)
        note(&p->asked[i], s, is_dead);
}

/* A crowd is a claim for each key that belongs to it. */
static void note_crowd(const struct pass *p, const struct seen *s, uint32_t crowd, bool is_dead)
{
    for (size_t i = 0; i < p->n_asked; i++)
        if (claims_crowd(p->asked[i].question->key_hash) == crowd)
            note(&p->asked[i], s, is_dead);
}

/* The states are those of `early`, the other words of `late`, which was read after it: so each word
 * is at least as new as the state that vouches for it. */
static struct seen see(const struct claim *early, const struct claim *late)
{
    return (struct seen){
        .state = atomic_load_explicit(&early->state, memory_order_relaxed),
        .key_hash = atomic_load_explicit(&late->key_hash, memory_order_relaxed),
        .epoch = atomic_load_explicit(&late->epoch, memory_order_relaxed),
        .time_ms = atomic_load_explicit(&late->time_ms, memory_order_relaxed),
    };
}

static bool read_at(int fd, size_t at, void *to, size_t n)
{
    return pread(fd, to, n, (off_t)at) == (ssize_t)n;
}

/* Reads n claims twice. False: the file is shorter than it has to be. */
static bool read_twice(int fd, size_t at, size_t n, struct claim *early, struct claim *late)
{
    if (!read_at(fd, at, early, n * sizeof *early))
        return false;
    atomic_thread_fence(memory_order_seq_cst);
    return read_at(fd, at, late, n * sizeof *late);
}

static bool look_at_claims(
    const struct pass *p, int fd, uint64_t used, bool is_this_boot, struct content *out)
{
    struct claim early[BLOCK], late[BLOCK];
    for (uint64_t i = 0; i < used; i += BLOCK) {
        size_t n = used - i < BLOCK ? (size_t)(used - i) : BLOCK;
        if (!read_twice(fd, offsetof(struct claims_file, slots) + (size_t)i * sizeof *early, n,
                early, late))
            return false;
        for (size_t k = 0; k < n; k++) {
            struct seen s = see(&early[k], &late[k]);
            if (!is_remembered(p, &s, is_this_boot))
                continue;
            out->is_open = true;
            note_claim(p, &s, out->is_dead);
        }
    }
    /* Behind the slots: see struct claims_file. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!read_twice(fd, offsetof(struct claims_file, crowds), CLAIMS_CROWDS, early, late))
        return false;
    for (uint32_t i = 0; i < CLAIMS_CROWDS; i++) {
        struct seen s = see(&early[i], &late[i]);
        if (!is_remembered(p, &s, is_this_boot))
            continue;
        out->is_open = true;
        note_crowd(p, &s, i, out->is_dead);
    }
    return true;
}

_Static_assert(CLAIMS_CROWDS <= BLOCK, "read at once");

/* Reads, and does not map: somebody else may cut the file short at any time, and mapd must not die
 * of that.  A read sees what the mapping of the claims' owner holds, as both are the page cache. */
static int look_at_file(
    const struct pass *p, int fd, const char *name, struct content *out, struct err *err)
{
    struct claims_head head;
    struct stat st;
    if (fstat(fd, &st) != 0)
        return err_sys(err, errno, "%s/%s", p->path, name);
    if (!S_ISREG(st.st_mode) || st.st_size != (off_t)sizeof(struct claims_file))
        return 0;
    /* The epoch was stored before this fence, the claims are loaded behind it.  Of a claim that is
     * not seen yet, or only in part, some store comes after the fence, and so does the look at the
     * epoch that follows it. */
    atomic_thread_fence(memory_order_seq_cst);
    if (!read_at(fd, 0, &head, sizeof head) ||
        memcmp(head.magic, claims_magic, sizeof claims_magic) != 0 ||
        head.version != CLAIMS_VERSION || head.n_slots != CLAIMS_SLOTS)
        return 0;
    uint64_t used = atomic_load_explicit(&head.used, memory_order_relaxed);
    out->is_readable = look_at_claims(p, fd, used < CLAIMS_SLOTS ? used : CLAIMS_SLOTS,
        memcmp(head.boot, p->boot, sizeof p->boot) == 0, out);
    return 0;
}

/* The name from now on tells since when the process is dead. */
static int bury(const struct pass *p, const char *name, struct slice id, struct err *err)
{
    char name_new[2 * CLAIMS_ID_MAX + 64];
    id = slice_sub(id, 0, CLAIMS_ID_MAX);
    if (fmt_into(name_new, sizeof name_new, CLAIMS_DEAD_PREFIX "%" PRIu64 ".%.*s", p->now_ms,
            SLICE_ARG(id)) != 0)
        BUG("a file name does not fit");
    if (renameat(p->dir_fd, name, p->dir_fd, name_new) != 0 && errno != ENOENT)
        return err_sys(err, errno, "%s/%s: cannot rename", p->path, name);
    return 0;
}

/* dead.<ms>.<id>: how long ago, and the id. False: not such a name. */
static bool parse_dead(struct slice name, uint64_t *ms_out, struct slice *id_out)
{
    struct slice prefix = SLICE_LIT(CLAIMS_DEAD_PREFIX), ms;
    if (!slice_starts(name, prefix))
        return false;
    *id_out = slice_from(name, prefix.n);
    return slice_split(id_out, '.', &ms) && num_u64(ms, 0, UINT64_MAX, ms_out) == 0;
}

static int look_at_dead(struct pass *p, int fd, const char *name, struct err *err)
{
    struct content c = {.is_dead = true};
    uint64_t since = 0;
    struct slice id = slice_str(name);
    bool is_buried = parse_dead(slice_str(name), &since, &id);
    if (is_buried && since <= p->now_ms && p->now_ms - since > CLAIMS_AMBIGUOUS_MS) {
        unlinkat(p->dir_fd, name, 0);
        return 0;
    }
    if (look_at_file(p, fd, name, &c, err) != 0)
        return -1;
    if (c.is_readable && !c.is_open) {
        unlinkat(p->dir_fd, name, 0);
        return 0;
    }
    /* What cannot be read may have been a claim for any key. */
    p->is_ambiguous |= !c.is_readable;
    /* A time in the future is of an earlier start of the machine. */
    return is_buried && since <= p->now_ms ? 0 : bury(p, name, id, err);
}

static int look_at_living(struct pass *p, int fd, const char *name, struct err *err)
{
    struct content c = {0};
    if (look_at_file(p, fd, name, &c, err) != 0)
        return -1;
    p->is_busy |= !c.is_readable;
    return 0;
}

/* A file that was never finished; its process starts over when it was only slow. */
static void sweep_new(const struct pass *p, const char *name)
{
    struct stat st;
    if (fstatat(p->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        clock_wall_s() - st.st_mtime > NEW_FILE_OLD_S)
        unlinkat(p->dir_fd, name, 0);
}

/* Links, pipes, folders: no process of ours makes them, so they say nothing about a claim. */
static void remove_stranger(const struct pass *p, const char *name, mode_t mode)
{
    if (unlinkat(p->dir_fd, name, S_ISDIR(mode) ? AT_REMOVEDIR : 0) == 0)
        log_warn("claims_stranger", log_str("dir", p->path), log_str("name", name));
}

/* A file that we may not open may hold any claim of a living process. */
static void note_closed(struct pass *p, const char *name, const struct stat *st)
{
    static _Atomic uint64_t told_ms;
    p->is_busy = true;
    if (p->now_ms - atomic_load(&told_ms) < TELL_AGAIN_MS && atomic_load(&told_ms) != 0)
        return;
    atomic_store(&told_ms, p->now_ms);
    log_error("claims_closed", log_str("dir", p->path), log_str("name", name),
        log_u64("uid", st->st_uid), log_u64("gid", st->st_gid),
        log_str("error", "cannot be read: coexist-mapd has to be in the group of that user"));
}

static int test_lock(struct pass *p, int fd, const char *name, struct err *err)
{
    if (flock(fd, LOCK_SH | LOCK_NB) == 0)
        return look_at_dead(p, fd, name, err);
    if (errno == EWOULDBLOCK)
        return look_at_living(p, fd, name, err);
    return err_sys(err, errno, "%s/%s: cannot test the lock", p->path, name);
}

static int look_at(struct pass *p, const char *name, struct err *err)
{
    struct stat st;
    if (name[0] == '.') {
        if (slice_starts(slice_str(name), SLICE_LIT(CLAIMS_NEW_PREFIX)))
            sweep_new(p, name);
        return 0;
    }
    if (fstatat(p->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            return err_sys(err, errno, "%s/%s", p->path, name);
        p->is_disturbed = true;
        return 0;
    }
    if (!S_ISREG(st.st_mode)) {
        remove_stranger(p, name, st.st_mode);
        return 0;
    }
    int fd = openat(p->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        if (errno == EACCES || errno == EPERM) {
            note_closed(p, name, &st);
            return 0;
        }
        /* It went away, or something else took its name. */
        if (errno != ENOENT && errno != ELOOP && errno != ENXIO)
            return err_sys(err, errno, "%s/%s: cannot read claims", p->path, name);
        p->is_disturbed = true;
        return 0;
    }
    int rc = 0;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        rc = test_lock(p, fd, name, err);
    else
        p->is_disturbed = true;
    close(fd);
    return rc;
}

static int list(struct pass *p, struct err *err)
{
    int rc = 0;
    DIR *dir = opendir(p->path);
    if (!dir)
        return err_sys(err, errno, "%s: cannot list", p->path);
    p->dir_fd = dirfd(dir);
    p->is_busy = p->is_ambiguous = p->is_disturbed = false;
    for (size_t i = 0; i < p->n_asked; i++)
        p->asked[i].is_busy = p->asked[i].is_ambiguous = false;
    while (rc == 0) {
        errno = 0;
        struct dirent *d = readdir(dir);
        if (!d) {
            if (errno != 0)
                rc = err_sys(err, errno, "%s: cannot list", p->path);
            break;
        }
        rc = look_at(p, d->d_name, err);
    }
    closedir(dir);
    return rc;
}

static void answer(const struct pass *p)
{
    for (size_t i = 0; i < p->n_asked; i++) {
        const struct asked *a = &p->asked[i];
        a->question->verdict = p->is_busy || p->is_disturbed || a->is_busy ? CLAIMS_BUSY
                               : p->is_ambiguous || a->is_ambiguous        ? CLAIMS_WAS_AMBIGUOUS
                                                                           : CLAIMS_CLEAR;
    }
}

int claims_scan(const char *run_dir, struct claims_question *questions, size_t n, struct err *err)
{
    struct pass p = {.now_ms = clock_mono_ms(), .n_asked = n};
    struct buf path;
    int rc = -1;
    buf_init(&path, 4096);
    p.asked = mem_realloc_array(NULL, n, sizeof *p.asked);
    for (size_t i = 0; i < n; i++)
        p.asked[i] = (struct asked){.question = &questions[i]};
    mem_sort(p.asked, n, sizeof *p.asked, compare_asked);
    if (io_path(&path, run_dir, CLAIMS_DIR) != 0) {
        err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", run_dir);
        goto done;
    }
    p.path = buf_cstr(&path);
    if (boot_id(p.boot, err) != 0)
        goto done;
    for (int i = 0; i < PASSES_MAX; i++) {
        if (list(&p, err) != 0)
            goto done;
        if (!p.is_disturbed)
            break;
    }
    answer(&p);
    rc = 0;
done:
    free(p.asked);
    buf_fini(&path);
    return rc;
}

int claims_make_dir(const char *run_dir, struct err *err)
{
    return claims_make_dir_for(run_dir, CLAIMS_DIR, err);
}

int claims_make_dir_for(const char *run_dir, const char *name, struct err *err)
{
    char path[4096];
    struct stat st, run;
    int rc = -1;
    if (fmt_into(path, sizeof path, "%s/%s", run_dir, name) != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", run_dir);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_sys(err, errno, "%s: cannot create", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0 || stat(run_dir, &run) != 0)
        err_sys(err, errno, "%s: cannot open", path);
    else if (st.st_uid != geteuid())
        err_set(err, ERR_PERM, EX_NOPERM, "%s belongs to user %u and not to us, user %u", path,
            (unsigned)st.st_uid, (unsigned)geteuid());
    /* Whatever the umask is: the others run as other users of this group.  Sticky: none of them can
     * remove or rename what another has made. */
    else if ((st.st_gid != run.st_gid && fchown(fd, (uid_t)-1, run.st_gid) != 0) ||
             fchmod(fd, CLAIMS_DIR_MODE) != 0)
        err_sys(err, errno, "%s: cannot set group and mode", path);
    else
        rc = 0;
    io_close(&fd);
    return rc;
}

int claims_note_reboot(const char *run_dir, struct err *err)
{
    struct buf path;
    int rc = -1;
    buf_init(&path, 4096);
    if (claims_make_dir(run_dir, err) != 0)
        goto done;
    /* An empty file cannot be read, so it may have been anything: just what is meant. */
    if (buf_addf(&path, "%s/" CLAIMS_DIR "/" CLAIMS_DEAD_PREFIX "%" PRIu64 ".reboot", run_dir,
            clock_mono_ms()) != 0) {
        err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", run_dir);
        goto done;
    }
    (void)unlink(buf_cstr(&path));
    int fd = open(buf_cstr(&path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0) {
        err_sys(err, errno, "%s: cannot create", buf_cstr(&path));
        goto done;
    }
    close(fd);
    rc = 0;
done:
    buf_fini(&path);
    return rc;
}
