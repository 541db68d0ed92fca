/* SPDX-License-Identifier: ISC */
/* bodies: windows of read(), a few of them on their way. */
#include "imapsync/stream/bodies.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"

#define WINDOW 100

#define AT_ONCE 4

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
        result = end_check(b->e, &b->tickets[b->done++ % AT_ONCE], "cannot read messages", err);
        if (result == 0)
            ask_more(b);
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
