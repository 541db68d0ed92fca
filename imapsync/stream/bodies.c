/* SPDX-License-Identifier: ISC */
/* bodies: windows of read(), a few of them on their way. */
#include "imapsync/stream/bodies.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"

#define WINDOW 100

#define AT_ONCE 4

#define REFUSED_MAX 20 /* one by one; then it is the folder */

struct reader {
    struct body *v;
    size_t n;
    struct sha256 *sha;
    struct canon_reader *canon;
};

struct bodies {
    struct end *e;
    struct reader r;
    struct end_ticket tickets[AT_ONCE];
    size_t sent, done; /* windows */
};

/* Whether the NO may be about one of the messages. */
static bool may_be_one(const struct end *e, const struct err *err)
{
    return !e->ops->is_broken(e) && err->scope == ERR_SCOPE_FOLDER;
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

static void ask(struct bodies *b)
{
    uint32_t uids[WINDOW];
    size_t from = b->sent * WINDOW, n = b->r.n - from < WINDOW ? b->r.n - from : WINDOW;
    struct end_ticket *t = &b->tickets[b->sent++ % AT_ONCE];
    for (size_t i = 0; i < n; i++)
        uids[i] = b->r.v[from + i].uid;
    *t = (struct end_ticket){0};
    b->e->ops->read(b->e, uids, n, &sink, &b->r, t);
}

static void ask_more(struct bodies *b)
{
    while (b->sent < b->done + AT_ONCE && b->sent * WINDOW < b->r.n)
        ask(b);
}

struct bodies *bodies_begin(struct end *e, struct body *v, size_t n)
{
    struct bodies *b = mem_zalloc(sizeof(*b));
    b->e = e;
    b->r = (struct reader){.v = v, .n = n, .sha = sha256_new(), .canon = canon_new()};
    ask_more(b);
    return b;
}

int bodies_finish(struct bodies **at, struct err *err)
{
    struct bodies *b = *at;
    int result = 0;
    if (!b)
        return 0;
    while (result == 0 && b->done < b->sent) {
        struct end_ticket *t = &b->tickets[b->done++ % AT_ONCE];
        result = end_check(b->e, t, "cannot read messages", err);
        if (result == 0)
            ask_more(b);
        else if (t->result == END_NO && (err->class != ERR_TEMP || err->is_wide))
            err_scope_set(err, ERR_SCOPE_FOLDER);
    }
    /* One window refused: the others still write into what is here. */
    struct err ignored = ERR_INIT;
    if (result != 0 && end_drain(b->e, &ignored) != 0)
        *err = ignored;
    sha256_free(&b->r.sha);
    canon_free(&b->r.canon);
    free(b);
    *at = NULL;
    return result;
}

int bodies_digest(struct end *e, struct body *v, size_t n, struct err *err)
{
    struct bodies *b = bodies_begin(e, v, n);
    return bodies_finish(&b, err);
}

/* Of those that have not come: a NO is about the one. */
static int one_by_one(struct end *e, struct body *v, size_t n, struct err *err)
{
    for (size_t i = 0, n_refused = 0; i < n; i++) {
        struct err why = ERR_INIT;
        if (v[i].is_there || bodies_digest(e, &v[i], 1, &why) == 0)
            continue;
        if (!may_be_one(e, &why) || ++n_refused == REFUSED_MAX) {
            *err = why;
            return -1;
        }
        v[i].is_refused = true;
    }
    return 0;
}

int bodies_digest_some(struct end *e, struct body *v, size_t n, struct err *err)
{
    struct err why = ERR_INIT;
    if (bodies_digest(e, v, n, &why) == 0)
        return 0;
    if (may_be_one(e, &why))
        return one_by_one(e, v, n, err);
    *err = why;
    return -1;
}
