/* SPDX-License-Identifier: ISC */
/*
 * backup: see backup.h; this is how a set is written and what sets there are.  Reading one is in
 * backup_read.c.
 */
#include "maps/store/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/gzip.h"
#include "base/os/hmac.h"
#include "base/os/io.h"

#define PATH_BYTES_MAX 4096
#define DIR_MODE 0700
#define FILE_MODE 0600
#define FLUSH_BYTES ((size_t)1 << 20)
#define FILE_BYTES_MAX ((size_t)4 << 20) /* configuration, a key */
#define ASIDE ".new."
#define ASIDE_KEPT_S (24 * 3600) /* of a process that was killed */

int backup_dir(const struct conf *conf, struct buf *out, struct err *err)
{
    int rc = conf->mapd.backup_dir ? io_path(out, conf->mapd.backup_dir)
                                   : io_path(out, conf->state, BACKUP_DIR);
    return rc == 0 ? 0 : err_set(err, ERR_PERM, EX_CONFIG, "the path of the backups is too long");
}

/* --- A set being written ------------------------------------------------------------------ */

struct writing {
    struct buf dir; /* aside */
    struct buf sums;
    struct buf text; /* of the file in the works */
    int fd;
    struct gzip *gzip; /* NULL: that file is not packed */
    struct buf packed;
    struct sha256 *digest;
    uint64_t rows, generation;
};

static int flush(struct writing *w, bool is_last, struct err *err)
{
    struct buf *out = w->gzip ? &w->packed : &w->text;

    if (w->gzip && (gzip_add(w->gzip, buf_slice(&w->text), out) != 0 ||
                       (is_last && gzip_end(w->gzip, out) != 0)))
        BUG("packed it is not much longer than it was");
    sha256_add(w->digest, buf_slice(out));
    int rc = io_write_all(w->fd, buf_slice(out), err);
    buf_clear(&w->text);
    buf_clear(&w->packed);
    return rc;
}

static int open_file(struct writing *w, const char *name, struct err *err)
{
    struct buf path;
    int rc = 0;

    buf_init(&path, PATH_BYTES_MAX);
    if (io_path(&path, buf_cstr(&w->dir), name) != 0)
        rc = err_set(err, ERR_PERM, EX_CONFIG, "the path of the backups is too long");
    else
        w->fd = open(buf_cstr(&path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (rc == 0 && w->fd < 0)
        rc = err_sys(err, errno, "create %s", buf_cstr(&path));
    buf_fini(&path);
    return rc;
}

static int add_sum(struct writing *w, const char *name)
{
    unsigned char digest[SHA256_SIZE];

    sha256_finish(w->digest, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        if (buf_addf(&w->sums, "%02x", (unsigned)digest[i]) != 0)
            return -1;
    return buf_addf(&w->sums, "  %s\n", name);
}

static int close_file(struct writing *w, const char *name, struct err *err)
{
    int rc = flush(w, true, err);

    gzip_free(&w->gzip);
    if (rc == 0 && fsync(w->fd) != 0)
        rc = err_sys(err, errno, "fsync %s", name);
    if (rc == 0 && add_sum(w, name) != 0)
        BUG("the sums of a few files fit");
    io_close(&w->fd);
    return rc;
}

static int add_json_own(struct writing *w, json_t *line, struct err *err)
{
    char *text = json_dumps(line, JSON_COMPACT | JSON_PRESERVE_ORDER);
    int rc = 0;

    if (!text || buf_add_str(&w->text, text) != 0 || buf_add_byte(&w->text, '\n') != 0)
        rc = err_set(err, ERR_TEMP, EX_OSERR, "no memory for a line of the backup");
    else if (w->text.n >= FLUSH_BYTES)
        rc = flush(w, false, err);
    free(text);
    json_decref(line);
    return rc;
}

/* --- The map ---------------------------------------------------------------------------------- */

/* Pages of one kind of request until the last; *first_out: the generation of the first of them. */
static int add_pages(struct writing *w, const struct backup_map *map, json_t *request,
    const char *from, uint64_t *first_out, struct err *err)
{
    bool is_more = true, is_first = true;
    int rc = 0;

    while (rc == 0 && is_more) {
        json_t *reply = NULL, *row;
        size_t i;
        rc = map->call_own(map->arg, json_incref(request), &reply, err);
        w->generation = (uint64_t)json_integer_value(json_object_get(reply, "generation"));
        if (is_first)
            *first_out = w->generation;
        is_first = false;
        json_array_foreach(json_object_get(reply, "rows"), i, row)
        {
            if (rc == 0)
                rc = add_json_own(w, json_incref(row), err);
            w->rows++;
        }
        json_t *next = json_object_get(reply, "next");
        is_more = next && !json_is_null(next);
        if (is_more)
            json_object_set(request, from, next);
        json_decref(reply);
    }
    json_decref(request);
    return rc;
}

static int write_map(
    struct writing *w, const struct backup_map *map, int64_t now_s, struct err *err)
{
    uint64_t first = 0, ignored;
    char made[32];

    clock_format_utc(now_s, made);
    w->gzip = gzip_new();
    if (open_file(w, BACKUP_MAP, err) != 0 ||
        add_json_own(w,
            json_pack(
                "{ss si ss}", "format", "coexist-map", "version", BACKUP_VERSION, "made", made),
            err) != 0 ||
        add_pages(w, map, json_pack("{ss}", "op", "dump"), "after", &first, err) != 0 ||
        add_pages(w, map, json_pack("{ss sI}", "op", "dump", "since", (json_int_t)first), "since",
            &ignored, err) != 0 ||
        add_json_own(w,
            json_pack(
                "{sI sI}", "generation", (json_int_t)w->generation, "rows", (json_int_t)w->rows),
            err) != 0)
        return -1;
    return close_file(w, BACKUP_MAP, err);
}

/* --- The rest --------------------------------------------------------------------------------- */

static int copy_file(
    struct writing *w, const char *from, const char *name, bool may_lack, struct err *err)
{
    struct err why = ERR_INIT;
    struct buf text;
    int rc;

    if (!from)
        return 0;
    buf_init(&text, FILE_BYTES_MAX);
    rc = io_read_file(from, FILE_BYTES_MAX, &text, &why);
    if (rc != 0 && may_lack) {
        log_warn("backup_lacks", log_str("file", from), log_err(&why));
        rc = 0;
    } else if (rc != 0) {
        *err = why;
    } else {
        rc = open_file(w, name, err);
        if (rc == 0 && buf_add(&w->text, buf_slice(&text)) != 0)
            BUG("a file of that size fits");
        if (rc == 0)
            rc = close_file(w, name, err);
    }
    buf_fini_wipe(&text);
    return rc;
}

static int write_files(const struct conf *conf, struct writing *w, const struct backup_map *map,
    int64_t now_s, struct err *err)
{
    struct buf sums;

    if (write_map(w, map, now_s, err) != 0 ||
        copy_file(w, conf->path, "coexist.conf", true, err) != 0 ||
        copy_file(w, conf->relay.trace_key_file, "trace.key", true, err) != 0 ||
        copy_file(w, conf->milter.trace_key_file, "milter.key", true, err) != 0)
        return -1;
    buf_init(&sums, PATH_BYTES_MAX);
    int rc = io_path(&sums, buf_cstr(&w->dir), BACKUP_SUMS);
    if (rc == 0)
        rc = io_write_file_durable(buf_cstr(&sums), buf_slice(&w->sums), FILE_MODE, err);
    buf_fini(&sums);
    return rc;
}

static int remove_one(const char *path, const struct stat *st ATTR_UNUSED, int type ATTR_UNUSED,
    struct FTW *where ATTR_UNUSED)
{
    return remove(path);
}

static void remove_tree(const char *path)
{
    (void)nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int name_set(const struct writing *w, int64_t now_s, char out[BACKUP_NAME_MAX])
{
    time_t at = (time_t)now_s;
    struct tm tm;
    char when[32];

    if (!gmtime_r(&at, &tm) || strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &tm) == 0)
        return -1;
    return fmt_into(out, BACKUP_NAME_MAX, "%s-%" PRIu64, when, w->generation);
}

static int put_in_place(struct writing *w, const char *dir, const char *name, struct err *err)
{
    struct buf path;
    int rc = 0;

    buf_init(&path, PATH_BYTES_MAX);
    if (io_path(&path, dir, name) != 0)
        rc = err_set(err, ERR_PERM, EX_CONFIG, "the path of the backups is too long");
    else if (rename(buf_cstr(&w->dir), buf_cstr(&path)) != 0)
        rc = err_sys(err, errno, "rename %s to %s", buf_cstr(&w->dir), buf_cstr(&path));
    else
        rc = io_sync_dir(dir, err);
    buf_fini(&path);
    return rc;
}

/* False: it has no sums, so it is no set. */
static bool measure(const char *dir, struct backup_set *set)
{
    struct buf path;
    const struct dirent *d;
    struct stat st;
    bool has_sums = false;

    buf_init(&path, PATH_BYTES_MAX);
    DIR *files = io_path(&path, dir, set->name) == 0 ? opendir(buf_cstr(&path)) : NULL;
    set->bytes = 0;
    while (files && (d = readdir(files)) != NULL) {
        if (fstatat(dirfd(files), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
            continue;
        set->bytes += (uint64_t)st.st_size;
        has_sums |= strcmp(d->d_name, BACKUP_SUMS) == 0;
    }
    if (files)
        closedir(files);
    buf_fini(&path);
    return has_sums;
}

static int write_aside(const struct conf *conf, struct writing *w, const struct backup_map *map,
    const char *dir, int64_t now_s, struct err *err)
{
    char aside[48];

    if (fmt_into(aside, sizeof aside, ASIDE "%ld", (long)getpid()) != 0)
        BUG("a number fits");
    if (io_path(&w->dir, dir, aside) != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "the path of the backups is too long");
    remove_tree(buf_cstr(&w->dir)); /* of a process with our number that was killed */
    if (io_mkdir(dir, DIR_MODE, err) != 0 || io_mkdir(buf_cstr(&w->dir), DIR_MODE, err) != 0)
        return -1;
    return write_files(conf, w, map, now_s, err);
}

/* What the disk gives back, before anybody relies on it. */
static int read_back(struct writing *w, struct err *err)
{
    uint64_t generation;

    if (backup_check(buf_cstr(&w->dir), &generation, err) != 0)
        return err_wrap(err, "the set that was written is damaged");
    BUG_ON(generation != w->generation);
    return 0;
}

int backup_write(const struct conf *conf, const struct backup_map *map, int64_t now_s,
    struct backup_set *out, struct err *err)
{
    struct writing w = {.fd = -1, .digest = sha256_new()};
    struct buf dir;
    int rc;

    buf_init(&dir, PATH_BYTES_MAX);
    buf_init(&w.dir, PATH_BYTES_MAX);
    buf_init(&w.sums, PATH_BYTES_MAX);
    buf_init(&w.text, 2 * FILE_BYTES_MAX);
    buf_init(&w.packed, 2 * FILE_BYTES_MAX);
    rc = backup_dir(conf, &dir, err);
    if (rc == 0)
        rc = write_aside(conf, &w, map, buf_cstr(&dir), now_s, err);
    if (rc == 0)
        rc = read_back(&w, err);
    if (rc == 0 && name_set(&w, now_s, out->name) != 0)
        rc = err_set(err, ERR_BUG, EX_SOFTWARE, "the clock shows no date");
    if (rc == 0)
        rc = put_in_place(&w, buf_cstr(&dir), out->name, err);
    out->generation = w.generation;
    out->made_s = now_s;
    out->bytes = 0;
    if (rc == 0) /* whoever removes it at once gets no size */
        (void)measure(buf_cstr(&dir), out);
    if (rc != 0 && w.dir.n > 0)
        remove_tree(buf_cstr(&w.dir));
    io_close(&w.fd);
    sha256_free(&w.digest);
    gzip_free(&w.gzip);
    buf_fini(&w.packed);
    buf_fini_wipe(&w.text);
    buf_fini(&w.sums);
    buf_fini(&w.dir);
    buf_fini(&dir);
    return rc == 0 ? 0 : err_wrap(err, "no backup");
}

/* --- What there is ------------------------------------------------------------------------------
 */

/* YYYYMMDDTHHMMSSZ-GENERATION */
static bool parse_name(const char *name, struct backup_set *out)
{
    struct tm tm = {0};
    const char *rest = strptime(name, "%Y%m%dT%H%M%SZ-", &tm);

    if (!rest || num_u64(slice_str(rest), 0, INT64_MAX, &out->generation) != 0 ||
        fmt_into(out->name, sizeof out->name, "%s", name) != 0)
        return false;
    out->made_s = (int64_t)timegm(&tm);
    return true;
}

static int compare_sets(const void *a, const void *b)
{
    const struct backup_set *x = a, *y = b;
    return x->made_s != y->made_s
               ? (x->made_s > y->made_s) - (x->made_s < y->made_s)
               : (x->generation > y->generation) - (x->generation < y->generation);
}

int backup_list(const struct conf *conf, struct backup_set **out, size_t *n_out, struct err *err)
{
    struct backup_set *v = NULL, one;
    const struct dirent *d;
    size_t n = 0;
    struct buf path;
    DIR *dir;

    *out = NULL;
    *n_out = 0;
    buf_init(&path, PATH_BYTES_MAX);
    if (backup_dir(conf, &path, err) != 0) {
        buf_fini(&path);
        return -1;
    }
    dir = opendir(buf_cstr(&path));
    int rc = dir || errno == ENOENT ? 0 : err_sys(err, errno, "open %s", buf_cstr(&path));
    while (dir && (d = readdir(dir)) != NULL) {
        if (!parse_name(d->d_name, &one) || !measure(buf_cstr(&path), &one))
            continue;
        v = mem_realloc_array(v, n + 1, sizeof *v);
        v[n++] = one;
    }
    if (dir)
        closedir(dir);
    mem_sort(v, n, sizeof *v, compare_sets);
    *out = v;
    *n_out = n;
    buf_fini(&path);
    return rc;
}

/* Of those who were killed while they wrote. */
static void remove_asides(const char *dir_path, int64_t now_s)
{
    DIR *dir = opendir(dir_path);
    const struct dirent *d;
    struct buf path;
    struct stat st;

    buf_init(&path, PATH_BYTES_MAX);
    while (dir && (d = readdir(dir)) != NULL)
        if (slice_starts(slice_str(d->d_name), SLICE_LIT(ASIDE)) &&
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            st.st_mtime < now_s - ASIDE_KEPT_S && io_path(&path, dir_path, d->d_name) == 0)
            remove_tree(buf_cstr(&path));
    if (dir)
        closedir(dir);
    buf_fini(&path);
}

int backup_prune(const struct conf *conf, int64_t now_s, struct err *err)
{
    int64_t keep_s = (int64_t)(conf->mapd.backup_keep_ms / 1000);
    struct backup_set *v;
    struct buf dir, path;
    size_t n;
    int rc;

    buf_init(&dir, PATH_BYTES_MAX);
    buf_init(&path, PATH_BYTES_MAX);
    rc = backup_list(conf, &v, &n, err);
    if (rc == 0)
        rc = backup_dir(conf, &dir, err);
    for (size_t i = 0; i + 1 < n && rc == 0; i++)
        if (v[i].made_s < now_s - keep_s && io_path(&path, buf_cstr(&dir), v[i].name) == 0)
            remove_tree(buf_cstr(&path));
    if (rc == 0)
        remove_asides(buf_cstr(&dir), now_s);
    free(v);
    buf_fini(&path);
    buf_fini(&dir);
    return rc;
}
