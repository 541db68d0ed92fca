/* SPDX-License-Identifier: ISC */
/* unmapped: see unmapped.h. */
#include "maps/unmapped.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/io.h"

#define SAMPLE 16 /* of which one gives way */
#define LINE_MAX_BYTES (ROUTE_KEY_MAX + 128)
#define FILE_HEAD "coexist-unmapped 1"

const char *const unmapped_programs[UNMAPPED_PROGRAMS] = {"relay", "milter", "lookup"};

struct unmapped *unmapped_new(size_t max)
{
    struct unmapped *u = mem_zalloc(sizeof *u);
    u->max = max;
    u->n_buckets = max;
    u->v = mem_realloc_array(NULL, max, sizeof *u->v);
    u->buckets = mem_zalloc(u->n_buckets * sizeof *u->buckets);
    return u;
}

void unmapped_free(struct unmapped **up)
{
    struct unmapped *u = *up;
    if (!u)
        return;
    for (size_t i = 0; i < u->n; i++)
        mem_free_string(&u->v[i].key);
    free(u->v);
    free(u->buckets);
    free(u);
    *up = NULL;
}

/* --- Rows ------------------------------------------------------------------------------------ */

static uint32_t *bucket_of(struct unmapped *u, uint64_t hash)
{
    return &u->buckets[hash % u->n_buckets];
}

static struct unmapped_row *find(struct unmapped *u, const char *key, uint64_t hash)
{
    for (uint32_t i = *bucket_of(u, hash); i; i = u->v[i - 1].next)
        if (u->v[i - 1].hash == hash && strcmp(u->v[i - 1].key, key) == 0)
            return &u->v[i - 1];
    return NULL;
}

static void leave_bucket(struct unmapped *u, size_t at)
{
    uint32_t *link = bucket_of(u, u->v[at].hash);
    while (*link != at + 1)
        link = &u->v[*link - 1].next;
    *link = u->v[at].next;
}

static void enter_bucket(struct unmapped *u, size_t at)
{
    uint32_t *bucket = bucket_of(u, u->v[at].hash);
    u->v[at].next = *bucket;
    *bucket = (uint32_t)(at + 1);
}

static int worth(enum mail_log_known known)
{
    return known == MAIL_LOG_TAKEN ? 2 : known == MAIL_LOG_UNKNOWN ? 1 : 0;
}

static bool is_worth_less(const struct unmapped_row *a, const struct unmapped_row *b)
{
    if (worth(a->known) != worth(b->known))
        return worth(a->known) < worth(b->known);
    return a->count != b->count ? a->count < b->count : a->last_s < b->last_s;
}

/* The one that is worth least of a few, from all over the book: neighbours came together. */
static size_t find_victim(struct unmapped *u)
{
    size_t victim = u->hand, stride = u->n / SAMPLE + 1;
    for (size_t i = 0; i < SAMPLE; i++) {
        size_t at = (u->hand + i * stride) % u->n;
        if (is_worth_less(&u->v[at], &u->v[victim]))
            victim = at;
    }
    u->hand = (u->hand + 1) % u->n;
    return victim;
}

/* A place for a row; false when all that could give way are worth more. */
static bool make_place(struct unmapped *u, const struct unmapped_row *what, size_t *at_out)
{
    if (u->n < u->max) {
        *at_out = u->n++;
        return true;
    }
    *at_out = find_victim(u);
    if (worth(u->v[*at_out].known) > worth(what->known))
        return false;
    leave_bucket(u, *at_out);
    mem_free_string(&u->v[*at_out].key);
    return true;
}

void unmapped_add(struct unmapped *u, const struct unmapped_row *what)
{
    uint64_t hash = route_key_hash(slice_str(what->key));
    struct unmapped_row *row = find(u, what->key, hash);
    size_t at;

    if (row) {
        row->count += what->count;
        row->first_s = what->first_s < row->first_s ? what->first_s : row->first_s;
        row->last_s = what->last_s > row->last_s ? what->last_s : row->last_s;
        row->known = what->known != MAIL_LOG_UNKNOWN ? what->known : row->known;
        row->by |= what->by;
        return;
    }
    if (!make_place(u, what, &at)) {
        u->missed += what->count;
        return;
    }
    u->v[at] = *what;
    u->v[at].key = mem_strdup(what->key);
    u->v[at].hash = hash;
    enter_bucket(u, at);
}

void unmapped_prune(struct unmapped *u, int64_t before_s)
{
    for (size_t i = u->n; i-- > 0;) {
        if (u->v[i].last_s >= before_s)
            continue;
        leave_bucket(u, i);
        mem_free_string(&u->v[i].key);
        if (i != --u->n) {
            leave_bucket(u, u->n);
            u->v[i] = u->v[u->n];
            enter_bucket(u, i);
        }
    }
    u->hand = 0;
}

/* --- As a file ------------------------------------------------------------------------------- */

int unmapped_write(const struct unmapped *u, int64_t now_ms, struct buf *out)
{
    if (buf_addf(out, FILE_HEAD " %" PRId64 " %" PRIu64 "\n", now_ms, u->missed) != 0)
        return -1;
    for (size_t i = 0; i < u->n; i++) {
        const struct unmapped_row *r = &u->v[i];
        if (buf_addf(out, "%" PRIu64 " %" PRId64 " %" PRId64 " %d %u %s\n", r->count, r->first_s,
                r->last_s, (int)r->known, r->by, r->key) != 0)
            return -1;
    }
    return 0;
}

static bool read_number(struct slice *rest, uint64_t max, uint64_t *out)
{
    struct slice word;
    return slice_split(rest, ' ', &word) && num_u64(word, 0, max, out) == 0;
}

static void read_line(struct unmapped *u, struct slice line)
{
    uint64_t count, first, last, known, by;
    if (!read_number(&line, INT64_MAX, &count) || !read_number(&line, INT64_MAX, &first) ||
        !read_number(&line, INT64_MAX, &last) || !read_number(&line, MAIL_LOG_REFUSED, &known) ||
        !read_number(&line, (1U << UNMAPPED_PROGRAMS) - 1, &by) || line.n == 0 ||
        line.n > ROUTE_KEY_MAX || memchr(line.p, '\0', line.n))
        return;
    char *key = slice_dup(line);
    unmapped_add(u, &(struct unmapped_row){.key = key,
                        .count = count,
                        .first_s = (int64_t)first,
                        .last_s = (int64_t)last,
                        .known = (enum mail_log_known)known,
                        .by = (unsigned)by});
    mem_free_string(&key);
}

void unmapped_read(struct unmapped *u, struct slice text)
{
    struct slice head = SLICE_LIT(FILE_HEAD " "), line;
    uint64_t saved;

    if (!slice_split(&text, '\n', &line) || !slice_starts(line, head))
        return;
    line = slice_from(line, head.n);
    if (!read_number(&line, INT64_MAX, &saved) || num_u64(line, 0, INT64_MAX, &u->missed) != 0)
        return;
    u->saved_ms = (int64_t)saved;
    while (slice_split(&text, '\n', &line))
        read_line(u, line);
}

static int path_of(const char *state_dir, const char *suffix, char out[4096], struct err *err)
{
    if (fmt_into(out, 4096, "%s/map/" UNMAPPED_FILE "%s", state_dir, suffix) == 0)
        return 0;
    return err_set(err, ERR_PERM, EX_CONFIG, "%s: the path is too long", state_dir);
}

static int write_file(const char *path, struct slice text, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_sys(err, errno, "%s", path);
    int rc = io_write_all(fd, text, err);
    io_close(&fd);
    return rc == 0 ? 0 : err_wrap(err, "%s", path);
}

int unmapped_save(const struct unmapped *u, const char *state_dir, int64_t now_ms, struct err *err)
{
    char path[4096], path_new[4096];
    struct buf text;
    int rc = -1;

    buf_init(&text, (u->n + 1) * LINE_MAX_BYTES);
    if (path_of(state_dir, "", path, err) != 0 || path_of(state_dir, ".new", path_new, err) != 0)
        goto done;
    if (unmapped_write(u, now_ms, &text) != 0) {
        err_set(err, ERR_TEMP, EX_OSERR, "%s does not fit", path);
        goto done;
    }
    if (write_file(path_new, buf_slice(&text), err) != 0)
        goto done;
    rc = rename(path_new, path) == 0 ? 0 : err_sys(err, errno, "%s", path);
done:
    buf_fini(&text);
    return rc;
}

int unmapped_load(struct unmapped *u, const char *state_dir, struct err *err)
{
    char path[4096];
    struct buf text;
    int rc;

    if (path_of(state_dir, "", path, err) != 0)
        return -1;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    buf_init(&text, (UNMAPPED_MAX + 1) * LINE_MAX_BYTES);
    rc = io_read_file(path, (UNMAPPED_MAX + 1) * LINE_MAX_BYTES, &text, err);
    if (rc == 0)
        unmapped_read(u, buf_slice(&text));
    buf_fini(&text);
    return rc;
}
