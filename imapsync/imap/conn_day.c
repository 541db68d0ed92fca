/* SPDX-License-Identifier: ISC */
/*
 * conn_day: see conn_day.h.  A mailbox without a limit is not counted: there is no file.
 *
 * Known weakness: two processes that copy from or to one mailbox at the same time write over what
 * the other one has counted.
 */
#include "imapsync/imap/conn_day.h"

#include <pthread.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/io.h"

struct imap_day {
    struct imap_day *next;
    char *path;
    struct day day;
    uint64_t max[DAY_WAYS];
    int64_t saved_s;
    bool is_changed;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct imap_day *days;

static void read_locked(struct imap_day *d)
{
    struct buf text;
    struct err err = ERR_INIT;
    if (access(d->path, F_OK) != 0)
        return;
    buf_init(&text, DAY_TEXT_MAX);
    if (io_read_file(d->path, DAY_TEXT_MAX, &text, &err) == 0 &&
        day_parse(buf_slice(&text), &d->day) != 0)
        err_set(&err, ERR_PERM, EX_DATAERR, "%s: it is not what we write there", d->path);
    if (err.class != ERR_NONE)
        log_warn("imap_day", log_err(&err));
    buf_fini(&text);
}

struct imap_day *imap_day_of(const char *path)
{
    pthread_mutex_lock(&mutex);
    struct imap_day *d = days;
    while (d && strcmp(d->path, path) != 0)
        d = d->next;
    if (!d) {
        d = mem_zalloc(sizeof(*d));
        d->path = mem_strdup(path);
        read_locked(d);
        d->next = days;
        days = d;
    }
    pthread_mutex_unlock(&mutex);
    return d;
}

void imap_day_set(struct imap_day *d, const uint64_t max[DAY_WAYS])
{
    pthread_mutex_lock(&mutex);
    memcpy(d->max, max, sizeof(d->max));
    pthread_mutex_unlock(&mutex);
}

static bool is_limited(const struct imap_day *d)
{
    return d->max[DAY_DOWN] > 0 || d->max[DAY_UP] > 0;
}

static void save_locked(struct imap_day *d, int64_t now_s)
{
    struct buf text;
    struct err err = ERR_INIT;
    buf_init(&text, DAY_TEXT_MAX);
    day_format(&d->day, now_s, &text);
    if (io_write_file_durable(d->path, buf_slice(&text), 0600, &err) != 0)
        log_warn("imap_day", log_err(&err));
    buf_fini(&text);
    d->saved_s = now_s;
    d->is_changed = false;
}

void imap_day_save(struct imap_day *d, int64_t now_s)
{
    pthread_mutex_lock(&mutex);
    if (d->is_changed && is_limited(d))
        save_locked(d, now_s);
    pthread_mutex_unlock(&mutex);
}

void imap_day_moved(struct imap_day *d, int64_t now_s, enum day_way way, uint64_t octets)
{
    pthread_mutex_lock(&mutex);
    day_add(&d->day, now_s, way, octets);
    d->is_changed = true;
    if (is_limited(d) && (now_s >= d->saved_s + IMAP_DAY_SAVE_S || now_s < d->saved_s))
        save_locked(d, now_s);
    pthread_mutex_unlock(&mutex);
}

uint64_t imap_day_used(struct imap_day *d, int64_t now_s, enum day_way way)
{
    pthread_mutex_lock(&mutex);
    uint64_t n = day_used(&d->day, now_s, way);
    pthread_mutex_unlock(&mutex);
    return n;
}

static int used_up(const struct imap_day *d, int64_t now_s, enum day_way way, struct err *err)
{
    char when[32];
    clock_format_utc(day_free_s(&d->day, now_s, way, d->max[way]), when);
    err_set(err, ERR_TEMP, EX_TEMPFAIL,
        "%llu octets have been moved %s this mailbox within a day, which is all that there may be: "
        "it goes on at %s or later",
        (unsigned long long)day_used(&d->day, now_s, way), way == DAY_DOWN ? "out of" : "into",
        when);
    return err_scope_set(err, ERR_SCOPE_USER);
}

int imap_day_check(struct imap_day *d, int64_t now_s, struct err *err)
{
    int result = 0;
    pthread_mutex_lock(&mutex);
    for (enum day_way way = DAY_DOWN; way < DAY_WAYS && result == 0; way++) {
        if (d->max[way] > 0 && day_used(&d->day, now_s, way) >= d->max[way])
            result = used_up(d, now_s, way, err);
    }
    pthread_mutex_unlock(&mutex);
    return result;
}
