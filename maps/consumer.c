/* SPDX-License-Identifier: ISC */
/*
 * consumer: the writing side.  A decision costs a comparison with the second of the last one; once
 * a second the page gets what it says of the snapshot, and every few seconds it is looked for under
 * its name: mapd may have made RUN anew, or have come after us.
 */
#include "maps/consumer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/hmac.h"
#include "base/os/io.h"
#include "maps/consumer_file.h"

#define CHECK_S 5

struct consumer {
    char *dir; /* RUN/consumers */
    char program[CONSUMER_PROGRAM_MAX];
    int64_t started_s;
    _Atomic int64_t last_s; /* the page was looked after */
    pthread_mutex_t lock;   /* for what follows */
    char path[4096];
    int fd;
    struct consumer_file *file; /* NULL: there is none at present */
    int64_t checked_s;
};

const char consumer_magic[8] = {'C', 'X', 'C', 'O', 'N', 'S', 'U', '1'};

/* --- The page --------------------------------------------------------------------------- */

static void drop_page(struct consumer *c)
{
    if (c->file)
        munmap(c->file, sizeof *c->file);
    c->file = NULL;
    io_close(&c->fd);
}

static int fill_page(struct consumer *c, struct err *err)
{
    int errnum = posix_fallocate(c->fd, 0, sizeof *c->file);
    if (errnum != 0)
        return err_sys(err, errnum, "no room");
    void *base = mmap(NULL, sizeof *c->file, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
    if (base == MAP_FAILED)
        return err_sys(err, errno, "cannot map");
    c->file = base;
    struct consumer_head *h = &c->file->head;
    memcpy(h->magic, consumer_magic, sizeof consumer_magic);
    h->version = CONSUMER_VERSION;
    memcpy(h->program, c->program, sizeof h->program);
    h->pid = getpid();
    h->started_s = c->started_s;
    if (boot_id(h->boot, err) != 0)
        return -1;
    if (flock(c->fd, LOCK_EX | LOCK_NB) != 0)
        return err_sys(err, errno, "cannot lock");
    /* The folder hands down the group that mapd is in. */
    return fchmod(c->fd, 0640) == 0 ? 0 : err_sys(err, errno, "cannot set the mode");
}

static bool is_crowded(const char *path)
{
    size_t n = 0;
    DIR *dir = opendir(path);
    if (!dir)
        return true;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n > CONSUMER_FILES_MAX + 2;
}

/* It has its name once it is complete and locked. */
static int make_page(struct consumer *c, struct err *err)
{
    char path_new[sizeof c->path], id[CONSUMER_ID_MAX];
    unsigned char r[8];

    random_bytes(r, sizeof r);
    if (is_crowded(c->dir))
        return err_set(err, ERR_TEMP, 0, "%s: missing, or full", c->dir);
    if (fmt_into(id, sizeof id, "%ld.%02x%02x%02x%02x%02x%02x%02x%02x", (long)getpid(), r[0], r[1],
            r[2], r[3], r[4], r[5], r[6], r[7]) != 0 ||
        fmt_into(path_new, sizeof path_new, "%s/" CONSUMER_NEW_PREFIX "%s", c->dir, id) != 0 ||
        fmt_into(c->path, sizeof c->path, "%s/%s", c->dir, id) != 0)
        return err_set(err, ERR_PERM, 0, "%s: the path is too long", c->dir);
    c->fd = open(path_new, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (c->fd < 0)
        return err_sys(err, errno, "%s", path_new);
    if (fill_page(c, err) == 0 && rename(path_new, c->path) == 0)
        return 0;
    unlink(path_new);
    drop_page(c);
    return err_wrap(err, "%s", path_new);
}

static bool is_visible(const struct consumer *c)
{
    struct stat ours, there;
    return c->file && fstat(c->fd, &ours) == 0 && lstat(c->path, &there) == 0 &&
           ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static void look_after(struct consumer *c, int64_t now_s)
{
    struct err err = ERR_INIT;

    if (c->checked_s != 0 && now_s >= c->checked_s && now_s - c->checked_s < CHECK_S)
        return;
    c->checked_s = now_s;
    if (is_visible(c))
        return;
    drop_page(c);
    if (make_page(c, &err) != 0)
        log_debug("consumer_page", log_err(&err));
}

struct consumer *consumer_new(const char *run_dir, const char *program)
{
    struct consumer *c = mem_zalloc(sizeof *c);
    struct buf dir;

    c->fd = -1;
    c->started_s = clock_wall_s();
    if (fmt_into(c->program, sizeof c->program, "%s", program) != 0)
        BUG("the name of a program is too long");
    pthread_mutex_init(&c->lock, NULL);
    buf_init(&dir, sizeof c->path);
    c->dir = mem_strdup(io_path(&dir, run_dir, CONSUMER_DIR) == 0 ? buf_cstr(&dir) : "");
    buf_fini(&dir);
    look_after(c, c->started_s);
    return c;
}

void consumer_free(struct consumer **cp)
{
    struct consumer *c = *cp;
    if (!c)
        return;
    /* Nothing to be read: then nobody has to come for it. */
    if (c->file && atomic_load(&c->file->head.seen) == 0)
        unlink(c->path);
    drop_page(c);
    pthread_mutex_destroy(&c->lock);
    mem_free_string(&c->dir);
    free(c);
    *cp = NULL;
}

/* --- What was seen ------------------------------------------------------------------------ */

static void note(struct consumer *c, struct slice key, enum mail_log_known known)
{
    if (!c->file || key.n > ROUTE_KEY_MAX)
        return;
    struct consumer_head *h = &c->file->head;
    uint64_t number = atomic_load_explicit(&h->seen, memory_order_relaxed) + 1;
    struct consumer_record *r = &c->file->ring[(number - 1) % CONSUMER_RING];

    atomic_store_explicit(&r->number, 0, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    r->when_ms = clock_wall_ms();
    r->known = (uint32_t)known;
    r->key_n = (uint32_t)key.n;
    memcpy(r->key, key.p, key.n);
    atomic_store(&r->number, number);
    atomic_store(&h->seen, number);
}

static void keep_page(struct consumer *c, uint64_t sequence, int64_t now_s)
{
    atomic_store_explicit(&c->last_s, now_s, memory_order_relaxed);
    pthread_mutex_lock(&c->lock);
    look_after(c, now_s);
    if (c->file) {
        atomic_store_explicit(&c->file->head.used_s, now_s, memory_order_relaxed);
        atomic_store_explicit(&c->file->head.sequence, sequence, memory_order_relaxed);
    }
    pthread_mutex_unlock(&c->lock);
}

void consumer_used(struct consumer *c, uint64_t sequence, int64_t now_s)
{
    if (c && now_s != atomic_load_explicit(&c->last_s, memory_order_relaxed))
        keep_page(c, sequence, now_s);
}

void consumer_saw(struct consumer *c, const struct decision *d, enum mail_log_known known)
{
    struct slice key;

    for (size_t i = 0; c && i < d->n_deliveries; i++) {
        if (!decision_is_unmapped(d, i, &key))
            continue;
        pthread_mutex_lock(&c->lock);
        note(c, key, known);
        pthread_mutex_unlock(&c->lock);
    }
}
