/* SPDX-License-Identifier: ISC */
/*
 * bodies: windows of read(), a few of them on their way.
 *
 * A window that was refused is asked for again behind all others, by halves, one at a time: it is a
 * rare thing, and each half finds the folder open as it is.
 */
#include "imapsync/stream/bodies.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"

#define WINDOW 100

#define AT_ONCE 4

#define REFUSED_MAX 20 /* messages, or windows; then it is the folder */

struct reader {
    struct body *v;
    size_t n;
    struct sha256 *sha;
    struct canon_reader *canon;
};

struct bodies {
    struct end *e;
    struct reader r;
    struct end_ticket *tickets; /* owned, at_once of them */
    size_t at_once;
    size_t sent, done; /* windows */
    size_t n_refused;
};

/* Whether the NO may be about one of the messages. */
static bool may_be_one(const struct end *e, const struct end_ticket *t, const struct err *err)
{
    return t->result == END_NO && !e->ops->is_broken(e) && err->scope == ERR_SCOPE_FOLDER;
}

static int by_uid(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static void on_data(void *arg, struct slice octets)
{
    struct reader *r = arg;
    sha256_add(r->sha, octets);
    canon_add(r->canon, octets);
}

static void on_end(void *arg, uint32_t uid)
{
    struct reader *r = arg;
    struct body key = {.uid = uid}, *b = mem_search(&key, r->v, r->n, sizeof(key), by_uid);
    unsigned char digest[SHA256_SIZE];
    struct canon canon;
    sha256_finish(r->sha, digest);
    canon_end(r->canon, &canon);
    if (!b)
        return;
    b->is_there = true;
    b->canon = canon;
    memcpy(b->digest, digest, SHA256_SIZE);
}

static const struct end_sink sink = {.data = on_data, .end = on_end};

static size_t window(const struct bodies *b, size_t at)
{
    size_t left = b->r.n - at * WINDOW;
    return left < WINDOW ? left : WINDOW;
}

static void ask(struct bodies *b)
{
    uint32_t uids[WINDOW];
    size_t from = b->sent * WINDOW, n = window(b, b->sent);
    struct end_ticket *t = &b->tickets[b->sent++ % b->at_once];
    for (size_t i = 0; i < n; i++)
        uids[i] = b->r.v[from + i].uid;
    *t = (struct end_ticket){0};
    b->e->ops->read(b->e, uids, n, &sink, &b->r, t);
}

static void ask_more(struct bodies *b)
{
    while (b->sent < b->done + b->at_once && b->sent * WINDOW < b->r.n)
        ask(b);
}

static struct bodies *begin(struct end *e, struct body *v, size_t n, size_t at_once)
{
    struct bodies *b = mem_zalloc(sizeof(*b));
    b->e = e;
    b->r = (struct reader){.v = v, .n = n, .sha = sha256_new(), .canon = canon_new()};
    b->at_once = at_once;
    b->tickets = mem_zalloc(at_once * sizeof(*b->tickets));
    ask_more(b);
    return b;
}

/* All at once: by the time that more could be asked another folder may be open. */
struct bodies *bodies_begin(struct end *e, struct body *v, size_t n)
{
    return begin(e, v, n, n / WINDOW + 1);
}

/* 0: goes on with the others. */
static int take_window(struct bodies *b, struct err *err)
{
    size_t at = b->done++;
    const struct end_ticket *t = &b->tickets[at % b->at_once];
    struct err why = ERR_INIT;
    if (end_check(b->e, t, "cannot read messages", &why) == 0)
        return 0;
    if (t->result == END_NO && (why.class != ERR_TEMP || why.is_wide))
        err_scope_set(&why, ERR_SCOPE_FOLDER);
    if (!may_be_one(b->e, t, &why) || b->n_refused == REFUSED_MAX) {
        *err = why;
        return -1;
    }
    *err = why;
    b->n_refused++;
    for (size_t i = 0; i < window(b, at); i++) {
        struct body *one = &b->r.v[at * WINDOW + i];
        one->is_refused = !one->is_there;
    }
    return 0;
}

int bodies_finish(struct bodies **at, bool *has_refused_out, struct err *err)
{
    struct bodies *b = *at;
    int result = 0;
    *has_refused_out = false;
    if (!b)
        return 0;
    while (result == 0 && b->done < b->sent) {
        result = take_window(b, err);
        if (result == 0)
            ask_more(b);
    }
    *has_refused_out = b->n_refused > 0;
    /* The others still write into what is here. */
    struct err ignored = ERR_INIT;
    if (result != 0 && end_drain(b->e, &ignored) != 0)
        *err = ignored;
    sha256_free(&b->r.sha);
    canon_free(&b->r.canon);
    free(b->tickets);
    free(b);
    *at = NULL;
    return result;
}

/* --- By halves -------------------------------------------------------------------------------- */

struct halving {
    struct end *e;
    struct body *v;
    size_t n_alone; /* refused, each alone */
};

/* Reads those at these places, and leaves in `at` those that were refused once more. */
static int read_again(struct halving *h, size_t *at, size_t *n, struct err *err)
{
    struct body v[WINDOW];
    size_t left = 0;
    bool has_refused;
    for (size_t i = 0; i < *n; i++)
        v[i] = (struct body){.uid = h->v[at[i]].uid};
    struct bodies *b = begin(h->e, v, *n, 1);
    int result = bodies_finish(&b, &has_refused, err);
    for (size_t i = 0; i < *n; i++) {
        struct body *to = &h->v[at[i]];
        to->is_there = v[i].is_there;
        to->is_refused = v[i].is_refused;
        to->canon = v[i].canon;
        memcpy(to->digest, v[i].digest, SHA256_SIZE);
        if (v[i].is_refused)
            at[left++] = at[i];
    }
    *n = left;
    return result;
}

/* At most a window, at places that may be overwritten. */
static int halve(struct halving *h, size_t *at, size_t n, struct err *err)
{
    bool is_alone = n == 1;
    if (read_again(h, at, &n, err) != 0)
        return -1;
    if (n == 0)
        return 0;
    if (is_alone)
        return ++h->n_alone > REFUSED_MAX ? -1 : 0;
    size_t half = (n + 1) / 2;
    if (halve(h, at, half, err) != 0)
        return -1;
    return n > half ? halve(h, at + half, n - half, err) : 0;
}

/* A folder that was replaced refuses everything, and not only to read them. */
static int folder_is_there(const struct halving *h, size_t n, struct err *err)
{
    uint32_t uids[REFUSED_MAX];
    size_t n_uids = 0;
    for (size_t i = 0; i < n && n_uids < REFUSED_MAX; i++) {
        if (h->v[i].is_refused)
            uids[n_uids++] = h->v[i].uid;
    }
    if (n_uids == 0)
        return 0;
    struct keywords none = {0};
    struct end_changes there;
    struct end_ticket t = {0};
    end_changes_init(&there, &none);
    h->e->ops->attributes(h->e, uids, n_uids, 0, &there, &t);
    int result = end_check(h->e, &t, "cannot look at what cannot be read", err);
    end_changes_fini(&there);
    keywords_fini(&none);
    return result;
}

int bodies_halve(struct end *e, struct body *v, size_t n, struct err *err)
{
    struct halving h = {.e = e, .v = v};
    size_t at[WINDOW / 2];
    for (size_t i = 0, n_at; i < n;) {
        for (n_at = 0; i < n && n_at < WINDOW / 2; i++) {
            if (v[i].is_refused)
                at[n_at++] = i;
        }
        if (n_at > 0 && halve(&h, at, n_at, err) != 0)
            return -1;
    }
    if (folder_is_there(&h, n, err) != 0)
        return -1;
    err_clear(err);
    return 0;
}

int bodies_digest(struct end *e, struct body *v, size_t n, struct err *err)
{
    struct bodies *b = begin(e, v, n, AT_ONCE);
    bool has_refused;
    if (bodies_finish(&b, &has_refused, err) != 0)
        return -1;
    return has_refused ? bodies_halve(e, v, n, err) : 0;
}
