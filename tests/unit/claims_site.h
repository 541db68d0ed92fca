/* SPDX-License-Identifier: ISC */
/*
 * claims_site: a published map with one user, a reader and a claims file, each test its own; and
 * the calls of libc between which tests make things happen.  One test program includes it once.
 */
#ifndef TESTS_UNIT_CLAIMS_SITE_H
#define TESTS_UNIT_CLAIMS_SITE_H

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/schema.h"
#include "maps/claims.h"
#include "maps/claims_file.h"
#include "maps/snapshot_write.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

#define USER "user@example.org"
#define DOMAIN "@example.org"
#define ABSENT "nobody@example.org"

/* --- In place of libc's: what happens between two steps, and a clock that the tests set ------- */

static uint64_t ahead_ms;   /* of the monotonic clock */
static bool is_clock_still; /* which else goes on: a slow machine is no reason to be late */
static bool is_time_still;  /* time(2) */
static void (*at_fstat)(void), (*at_pread)(struct claim *first); /* called once, in the nth call */
static int fstat_in, pread_in;

int clock_gettime(clockid_t clock, struct timespec *out)
{
    static struct timespec stopped_at;
    int rc = (int)syscall(SYS_clock_gettime, clock, out);
    if (clock == CLOCK_MONOTONIC) {
        if (!is_clock_still || stopped_at.tv_sec == 0)
            stopped_at = *out;
        *out = stopped_at;
        out->tv_sec += (time_t)(ahead_ms / 1000);
        out->tv_nsec += (long)(ahead_ms % 1000) * 1000000;
        if (out->tv_nsec >= 1000000000) {
            out->tv_sec++;
            out->tv_nsec -= 1000000000;
        }
    }
    return rc;
}

time_t time(time_t *out)
{
    time_t now = is_time_still ? 1000000 : (time_t)(clock_wall_s());
    if (out)
        *out = now;
    return now;
}

int fstat(int fd, struct stat *out)
{
    if (at_fstat && --fstat_in == 0) {
        at_fstat();
        at_fstat = NULL;
    }
    return fstatat(fd, "", out, AT_EMPTY_PATH);
}

ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    ssize_t got = (ssize_t)syscall(SYS_pread64, fd, to, n, at);
    if (at_pread && at == (off_t)offsetof(struct claims_file, slots) && --pread_in == 0) {
        at_pread(to);
        at_pread = NULL;
    }
    return got;
}

static struct tmpdir tmp;
static struct snapshot_writer *writer;
static struct snapshot *reader;
static struct claims *claims;
static struct arena *mem; /* of the test's decisions */

static inline int next_entry(
    void *arg, struct slice *key_out, struct route_entry *e, struct err *err)
{
    int *at = arg;
    (void)err;
    if ((*at)++ > 0)
        return 0;
    *key_out = SLICE_LIT(USER);
    *e = (struct route_entry){.epoch = 5, .route = SLICE_LIT("old")};
    return 1;
}

static inline void open_claims(void)
{
    struct err err = ERR_INIT;
    if (claims_open(tmp.path, &claims, &err) != 0)
        fail_msg("%s", err.text);
}

static inline int set_up(void **state)
{
    struct err err = ERR_INIT;
    int at = 0;
    struct snapshot_source source = {next_entry, &at};
    (void)state;
    is_clock_still = false;
    mem = arena_new((size_t)1 << 30);
    tmpdir_make(&tmp);
    assert_int_equal(snapshot_writer_open(tmp.path, "m", &writer, &err), 0);
    assert_int_equal(snapshot_writer_rebuild(writer, &source, 1, 5, &err), 0);
    snapshot_writer_publish(writer);
    reader = snapshot_new(tmp.path);
    open_claims();
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    claims_close(&claims);
    snapshot_free(&reader);
    snapshot_writer_close(&writer);
    tmpdir_remove(&tmp);
    arena_free(&mem);
    return 0;
}

static inline void publish(const char *key, uint64_t epoch)
{
    struct err err = ERR_INIT;
    struct snapshot_change c = {slice_str(key), {.epoch = epoch, .route = SLICE_LIT("new")}};
    assert_int_equal(snapshot_writer_stage(writer, &c, 1, epoch, &err), 0);
    snapshot_writer_publish(writer);
}

static inline void add_key(struct decision *d, const char *text, uint64_t epoch)
{
    if (d->n_keys == 0)
        d->keys = arena_alloc(mem, 8 * sizeof *d->keys);
    char *copy = arena_alloc(mem, strlen(text) + 1);
    assert_true(d->keys && copy);
    memcpy(copy, text, strlen(text));
    d->keys[d->n_keys++] = (struct decide_key){
        .text = copy, .n = strlen(text), .hash = route_key_hash(slice_str(text)), .epoch = epoch};
}

/* What decide() gives for the user, a key that is absent included. */
static inline struct decision user_decision(uint64_t epoch)
{
    struct decision d = {.kind = DECIDE_DELIVER};
    add_key(&d, USER, epoch);
    add_key(&d, DOMAIN, 0);
    return d;
}

static inline enum claims_scan_verdict scan(const char *key, uint64_t epoch)
{
    struct claims_question q = {.key_hash = route_key_hash(slice_str(key)), .epoch = epoch};
    struct err err = ERR_INIT;
    if (claims_scan(tmp.path, &q, 1, &err) != 0)
        fail_msg("%s", err.text);
    return q.verdict;
}

static inline enum claims_verdict begin(const struct decision *d, size_t n, struct claims_set *set)
{
    return claims_begin(claims, reader, d, n, set);
}

/* Names in the claims directory that start so. */
static inline size_t count_files(const char *prefix, char last[256])
{
    size_t n = 0;
    DIR *dir = opendir(tmpdir_file(&tmp, CLAIMS_DIR));
    assert_non_null(dir);
    for (struct dirent *d; (d = readdir(dir)) != NULL;) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
            !slice_starts(slice_str(d->d_name), slice_str(prefix)))
            continue;
        n++;
        if (last)
            assert_int_equal(fmt_into(last, 256, "%s/" CLAIMS_DIR "/%s", tmp.path, d->d_name), 0);
    }
    closedir(dir);
    return n;
}

#endif
