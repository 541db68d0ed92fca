/* SPDX-License-Identifier: ISC */
/* arrivals: see arrivals.h. */
#include "maps/tool/arrivals.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "maps/route.h"

void arrivals_fini(struct arrivals *a)
{
    for (size_t i = 0; i < a->n; i++) {
        mem_free_string(&a->v[i].key);
        mem_free_string(&a->v[i].when);
        mem_free_string(&a->v[i].first);
        mem_free_string(&a->v[i].by);
    }
    free(a->v);
    free(a->slots);
    *a = (struct arrivals){0};
}

static size_t find_slot(const struct arrivals *a, struct slice key)
{
    size_t at = route_key_hash(key) & (a->n_slots - 1);

    while (a->slots[at] && !slice_eq(slice_str(a->v[a->slots[at] - 1].key), key))
        at = (at + 1) & (a->n_slots - 1);
    return at;
}

ptrdiff_t arrivals_find(const struct arrivals *a, struct slice key)
{
    return a->n ? (ptrdiff_t)a->slots[find_slot(a, key)] - 1 : -1;
}

/* At most half of the slots are in use. */
static void grow(struct arrivals *a)
{
    free(a->slots);
    a->n_slots = a->n_slots ? 2 * a->n_slots : 1024;
    a->slots = mem_zalloc(a->n_slots * sizeof *a->slots);
    for (size_t i = 0; i < a->n; i++)
        a->slots[find_slot(a, slice_str(a->v[i].key))] = (uint32_t)(i + 1);
}

int arrivals_add(struct arrivals *a, struct slice key, uint64_t count, enum mail_log_known known,
    struct slice when, struct err *err)
{
    if (2 * (a->n + 1) > a->n_slots)
        grow(a);
    size_t at = find_slot(a, key);
    if (!a->slots[at]) {
        if (a->n == ARRIVALS_MAX)
            return err_set(
                err, ERR_PERM, EX_DATAERR, "there are more than %zu addresses", ARRIVALS_MAX);
        if (a->n == a->cap) {
            a->cap = a->cap ? 2 * a->cap : 256;
            a->v = mem_realloc_array(a->v, a->cap, sizeof *a->v);
        }
        a->v[a->n] = (struct arrival){.key = slice_dup(key), .when = mem_strdup("")};
        a->slots[at] = (uint32_t)++a->n;
    }
    struct arrival *v = &a->v[a->slots[at] - 1];
    v->count += count;
    if (known != MAIL_LOG_UNKNOWN)
        v->known = known;
    if (when.n) {
        free(v->when);
        v->when = slice_dup(when);
    }
    return 0;
}

void arrivals_tell(struct arrivals *a, struct slice key, const char *first, const char *by)
{
    ptrdiff_t at = arrivals_find(a, key);
    if (at < 0)
        return;
    mem_free_string(&a->v[at].first);
    mem_free_string(&a->v[at].by);
    a->v[at].first = mem_strdup(first);
    a->v[at].by = mem_strdup(by);
}

static int add_line(struct arrivals *a, const struct conf *conf, struct slice line, struct err *err)
{
    struct mail_log log;
    struct buf key;
    int rc = 0;

    mail_log_read(line, &log);
    for (size_t i = 0; i < log.n && rc == 0; i++) {
        buf_init(&key, 2 * ROUTE_KEY_MAX);
        if (normalise_key(conf, log.rcpts[i], &key) == 0 &&
            conf_domain(conf, normalise_domain(buf_slice(&key))))
            rc = arrivals_add(a, buf_slice(&key), 1, log.known, log.when, err);
        buf_fini(&key);
    }
    return rc;
}

int arrivals_read(struct arrivals *a, const struct conf *conf, const char *path, struct err *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *in = is_stdin ? stdin : fopen(path, "rbe");
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    int rc = 0;

    if (!in) {
        err_sys(err, errno, "%s", path);
        err->code = EX_NOINPUT;
        return -1;
    }
    while (rc == 0 && (n = getline(&line, &cap, in)) > 0)
        rc = add_line(a, conf, slice_make(line, (size_t)n - (line[n - 1] == '\n')), err);
    if (rc == 0 && ferror(in))
        rc = err_set(err, ERR_TEMP, EX_IOERR, "%s: cannot read it", path);
    free(line);
    if (!is_stdin)
        fclose(in);
    return rc;
}

static int compare(const void *a, const void *b)
{
    const struct arrival *x = a, *y = b;
    return x->count == y->count ? strcmp(x->key, y->key)
                                : (x->count < y->count) - (x->count > y->count);
}

void arrivals_sort(struct arrivals *a)
{
    mem_sort(a->v, a->n, sizeof *a->v, compare);
    memset(a->slots, 0, a->n_slots * sizeof *a->slots);
    for (size_t i = 0; i < a->n; i++)
        a->slots[find_slot(a, slice_str(a->v[i].key))] = (uint32_t)(i + 1);
}
