/* SPDX-License-Identifier: ISC */
/* bodies: windows of read(), two of them on their way. */
#include "imapsync/copy/bodies.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"

#define WINDOW 100

struct reader {
    struct body *v;
    size_t n;
    struct sha256 *sha;
    struct canon_reader *canon;
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

static void ask(struct end *e, struct reader *r, size_t from, struct end_ticket *t)
{
    uint32_t uids[WINDOW];
    size_t n = r->n - from < WINDOW ? r->n - from : WINDOW;
    for (size_t i = 0; i < n; i++)
        uids[i] = r->v[from + i].uid;
    *t = (struct end_ticket){0};
    e->ops->read(e, uids, n, &sink, r, t);
}

int bodies_digest(struct end *e, struct body *v, size_t n, struct err *err)
{
    struct reader r = {.v = v, .n = n, .sha = sha256_new(), .canon = canon_new()};
    struct end_ticket t[2];
    size_t sent = 0, done = 0;
    int result = 0;
    while (result == 0 && (done < sent || sent * WINDOW < n)) {
        if (sent < done + 2 && sent * WINDOW < n) {
            ask(e, &r, sent * WINDOW, &t[sent % 2]);
            sent++;
            continue;
        }
        result = end_check(e, &t[done % 2], "cannot read messages", err);
        done++;
    }
    /* One window refused: the other one still writes into what is in this frame. */
    struct err ignored = ERR_INIT;
    if (result != 0 && end_drain(e, &ignored) != 0)
        *err = ignored;
    sha256_free(&r.sha);
    canon_free(&r.canon);
    return result;
}
