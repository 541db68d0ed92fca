/* SPDX-License-Identifier: ISC */
/*
 * emergency: see emergency.h.
 *
 * The files are written and synced under other names and then renamed one behind the other, those
 * that say where mail goes before the one that says who exists: a kill in between leaves nobody who
 * is refused for that.  Files that postmap(1) made beside them stay.
 *
 * A walk through the snapshot takes a moment.  When the map has changed meanwhile it begins anew,
 * some times; behind that each line is true, but not all of the same generation, and the next round
 * mends it.
 */
#include "maps/mapd/emergency.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "maps/format/export.h"
#include "maps/snapshot.h"

#define PATH_BYTES_MAX 4096
#define DIR_MODE 0700
#define FILE_MODE 0640
#define FLUSH_BYTES ((size_t)1 << 20)
#define LINE_BYTES_MAX ((size_t)1 << 30) /* of a round's end, which may come at once */
#define TRIES_MAX 3

/* In the order in which they are renamed. */
static const enum export_format TABLES[] = {EXPORT_POSTFIX_TRANSPORT, EXPORT_POSTFIX_VIRTUAL,
    EXPORT_SENDMAIL_ADDRESS, EXPORT_SENDMAIL_MAILHOST, EXPORT_POSTFIX_RECIPIENTS};
#define N_TABLES (sizeof TABLES / sizeof TABLES[0])

struct emergency {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Under lock: */
    struct conf *fresh; /* NULL: the thread has the latest */
    bool is_dirty, is_stopping;
    /* The thread's own: */
    struct conf *conf;
    uint64_t next_ms;    /* not before */
    uint64_t generation; /* of the files, when has_written */
    bool has_written;
};

/* --- One table ---------------------------------------------------------------------------- */

struct walk {
    struct export x;
    struct buf out;
    int fd;
    bool wants_all, is_ahead; /* the first walk, for what entries say of others */
    int rc;
    struct err *err;
};

static void on_restart(void *arg ATTR_UNUSED)
{
}

static int flush(struct walk *w)
{
    int rc = io_write_all(w->fd, buf_slice(&w->out), w->err);
    buf_clear(&w->out);
    return rc;
}

static void on_entry(void *arg, struct slice key, const struct route_entry *entry)
{
    struct walk *w = arg;

    if (w->rc != 0 || entry->is_tombstone || key.n == 0)
        return;
    if (w->is_ahead) {
        if (key.p[0] == '@' || w->wants_all)
            export_ahead(&w->x, key, entry);
        return;
    }
    if (export_entry(&w->x, key, entry, &w->out) != 0)
        w->rc = err_set(w->err, ERR_PERM, EX_DATAERR, "the map is too large for a table");
    else if (w->out.n >= FLUSH_BYTES)
        w->rc = flush(w);
}

static int walk_once(struct walk *w, struct snapshot *s, bool is_ahead)
{
    const struct snapshot_visitor visitor = {on_restart, on_entry, w};
    struct snapshot_mark mark = {0};

    w->is_ahead = is_ahead;
    w->wants_all = export_wants_all(&w->x);
    if (snapshot_walk(s, &mark, &visitor) != 0)
        return err_set(w->err, ERR_TEMP, EX_TEMPFAIL, "%s", snapshot_trouble(s));
    return w->rc;
}

static int write_table(const struct conf *conf, struct snapshot *s, enum export_format format,
    const char *aside, struct err *err)
{
    struct walk w = {.x = {.conf = conf, .format = format}, .err = err};
    int rc = -1;

    /* Of a process that was killed. */
    if (unlink(aside) != 0 && errno != ENOENT)
        return err_sys(err, errno, "remove %s", aside);
    w.fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (w.fd < 0)
        return err_sys(err, errno, "create %s", aside);
    buf_init(&w.out, LINE_BYTES_MAX);
    if (export_begin(&w.x, &w.out) != 0 || walk_once(&w, s, true) != 0 ||
        walk_once(&w, s, false) != 0)
        goto done;
    if (export_end(&w.x, &w.out) != 0)
        err_set(err, ERR_PERM, EX_DATAERR, "the map is too large for a table");
    else if (flush(&w) == 0)
        rc = fsync(w.fd) == 0 ? 0 : err_sys(err, errno, "fsync %s", aside);
done:
    if (w.x.left_out > 0)
        log_debug("emergency_left_out", log_str("table", export_format_name(format)),
            log_u64("addresses", w.x.left_out));
    export_fini(&w.x);
    buf_fini(&w.out);
    io_close(&w.fd);
    return rc;
}

/* --- All of them ---------------------------------------------------------------------------- */

static int table_path(
    const struct conf *conf, const char *name, const char *behind, struct buf *out, struct err *err)
{
    if (io_path(out, conf->state, EMERGENCY_DIR, name) != 0 || buf_add_str(out, behind) != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", conf->state);
    return 0;
}

static int write_asides(const struct conf *conf, struct snapshot *s, struct err *err)
{
    struct buf path;
    int rc = 0;

    buf_init(&path, PATH_BYTES_MAX);
    for (size_t i = 0; i < N_TABLES && rc == 0; i++) {
        rc = table_path(conf, export_format_name(TABLES[i]), ".new", &path, err);
        if (rc == 0)
            rc = write_table(conf, s, TABLES[i], buf_cstr(&path), err);
    }
    buf_fini(&path);
    return rc;
}

static int rename_all(const struct conf *conf, struct err *err)
{
    struct buf from, to;
    int rc = 0;

    buf_init(&from, PATH_BYTES_MAX);
    buf_init(&to, PATH_BYTES_MAX);
    for (size_t i = 0; i < N_TABLES && rc == 0; i++) {
        const char *name = export_format_name(TABLES[i]);
        rc = table_path(conf, name, ".new", &from, err);
        if (rc == 0)
            rc = table_path(conf, name, "", &to, err);
        if (rc == 0 && rename(buf_cstr(&from), buf_cstr(&to)) != 0)
            rc = err_sys(err, errno, "rename %s", buf_cstr(&from));
    }
    buf_fini(&from);
    buf_fini(&to);
    return rc;
}

static int note_generation(const struct conf *conf, uint64_t generation, struct err *err)
{
    struct buf path;
    char line[32];

    buf_init(&path, PATH_BYTES_MAX);
    if (fmt_into(line, sizeof line, "%" PRIu64 "\n", generation) != 0)
        BUG("a number fits");
    int rc = table_path(conf, EMERGENCY_GENERATION, "", &path, err);
    if (rc == 0) /* syncs the directory, and so the renames before it */
        rc = io_write_file_durable(buf_cstr(&path), slice_str(line), FILE_MODE, err);
    buf_fini(&path);
    return rc;
}

static int make_dir(const struct conf *conf, struct err *err)
{
    struct buf path;

    buf_init(&path, PATH_BYTES_MAX);
    int rc = io_path(&path, conf->state, EMERGENCY_DIR) == 0
                 ? io_mkdir(buf_cstr(&path), DIR_MODE, err)
                 : err_set(err, ERR_PERM, EX_CONFIG, "the path %s is too long", conf->state);
    buf_fini(&path);
    return rc;
}

int emergency_write(const struct conf *conf, uint64_t *generation_out, struct err *err)
{
    struct snapshot *s = snapshot_new(conf->run);
    struct snapshot_info before = {0}, after = {0};
    int rc = make_dir(conf, err);

    for (int i = 0; i < TRIES_MAX && rc == 0; i++) {
        if (snapshot_info(s, &before) != 0)
            rc = err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s", snapshot_trouble(s));
        else
            rc = write_asides(conf, s, err);
        if (rc == 0 && snapshot_info(s, &after) == 0 && after.generation == before.generation)
            break;
    }
    if (rc == 0)
        rc = rename_all(conf, err);
    if (rc == 0)
        rc = note_generation(conf, before.generation, err);
    *generation_out = before.generation;
    snapshot_free(&s);
    return rc;
}

/* Whoever only read has changed nothing. */
static bool is_current(const struct emergency *e)
{
    struct snapshot *s = snapshot_new(e->conf->run);
    struct snapshot_info info;
    bool is_same =
        e->has_written && snapshot_info(s, &info) == 0 && info.generation == e->generation;
    snapshot_free(&s);
    return is_same;
}

static int write_if_changed(struct emergency *e)
{
    struct err err = ERR_INIT;

    if (is_current(e))
        return 0;
    e->has_written = emergency_write(e->conf, &e->generation, &err) == 0;
    e->next_ms = clock_mono_ms() + e->conf->mapd.emergency_ms;
    if (!e->has_written)
        log_warn("emergency_failed", log_err(&err));
    return e->has_written ? 0 : -1;
}

/* --- The thread --------------------------------------------------------------------------------
 */

static void wait_until(struct emergency *e, uint64_t until_ms)
{
    struct timespec until = {
        .tv_sec = (time_t)(until_ms / 1000), .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_cond_timedwait(&e->wake, &e->lock, &until);
}

static void take_conf_locked(struct emergency *e)
{
    if (!e->fresh)
        return;
    conf_free(&e->conf);
    e->conf = e->fresh;
    e->fresh = NULL;
    e->has_written = false;
}

/* False: the end, and nothing is left to be written. */
static bool wait_for_work_locked(struct emergency *e)
{
    for (;;) {
        take_conf_locked(e);
        bool wants = e->is_dirty && e->conf->mapd.emergency_ms > 0;
        if (e->is_stopping)
            return wants;
        if (wants && clock_mono_ms() >= e->next_ms)
            return true;
        if (wants)
            wait_until(e, e->next_ms);
        else
            pthread_cond_wait(&e->wake, &e->lock);
    }
}

static void *thread_main(void *arg)
{
    struct emergency *e = arg;
    bool is_last = false;

    pthread_setname_np(pthread_self(), "emergency");
    pthread_mutex_lock(&e->lock);
    while (!is_last && wait_for_work_locked(e)) {
        e->is_dirty = false;
        is_last = e->is_stopping;
        pthread_mutex_unlock(&e->lock);
        int rc = write_if_changed(e);
        pthread_mutex_lock(&e->lock);
        e->is_dirty |= rc != 0;
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* --- Outside the thread ---------------------------------------------------------------------- */

int emergency_new(const struct conf *conf, struct emergency **out, struct err *err)
{
    struct emergency *e = mem_zalloc(sizeof *e);
    pthread_condattr_t attr;

    if (conf_copy(conf, &e->conf, err) != 0) {
        free(e);
        return -1;
    }
    e->is_dirty = true;
    pthread_mutex_init(&e->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&e->wake, &attr);
    pthread_condattr_destroy(&attr);
    int rc = pthread_create(&e->thread, NULL, thread_main, e);
    if (rc != 0) {
        pthread_cond_destroy(&e->wake);
        pthread_mutex_destroy(&e->lock);
        conf_free(&e->conf);
        free(e);
        return err_sys(err, rc, "cannot start the thread that writes emergency files");
    }
    *out = e;
    return 0;
}

void emergency_changed(struct emergency *e)
{
    pthread_mutex_lock(&e->lock);
    if (!e->is_dirty) {
        e->is_dirty = true;
        pthread_cond_signal(&e->wake);
    }
    pthread_mutex_unlock(&e->lock);
}

void emergency_reload(struct emergency *e, const struct conf *conf)
{
    struct err err = ERR_INIT;
    struct conf *copy = NULL;

    if (conf_copy(conf, &copy, &err) != 0) {
        log_warn("emergency_failed", log_err(&err));
        return;
    }
    pthread_mutex_lock(&e->lock);
    conf_free(&e->fresh);
    e->fresh = copy;
    e->is_dirty = true;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
}

void emergency_free(struct emergency **ep)
{
    struct emergency *e = *ep;

    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    e->is_stopping = true;
    pthread_cond_signal(&e->wake);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
    pthread_cond_destroy(&e->wake);
    pthread_mutex_destroy(&e->lock);
    conf_free(&e->fresh);
    conf_free(&e->conf);
    free(e);
    *ep = NULL;
}
