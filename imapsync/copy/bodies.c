/* SPDX-License-Identifier: ISC */
/*
 * bodies: windows of UID FETCH ... BODY.PEEK[], two of them on their way.  A body belongs to the
 * UID of the response that ends it, so it does not matter where the server puts the UID.
 */
#include "imapsync/copy/bodies.h"

#include <stdlib.h>
#include "base/core/mem.h"

#include "imapsync/imap/uids.h"

#define WINDOW 100

struct reader {
    struct body *v;
    size_t n;
    struct sha256 *sha;
    unsigned char digest[SHA256_SIZE];
    bool has_digest;
};

static int by_uid(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static void on_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct reader *r = arg;
    (void)uid, (void)size;
    r->has_digest = false;
}

static void on_data(void *arg, struct slice octets)
{
    struct reader *r = arg;
    sha256_add(r->sha, octets);
}

static void on_end(void *arg)
{
    struct reader *r = arg;
    sha256_finish(r->sha, r->digest);
    r->has_digest = true;
}

static void on_untagged(void *arg, const struct imap_response *resp)
{
    struct reader *r = arg;
    if (resp->kind != IMAP_KIND_FETCH || !r->has_digest)
        return;
    r->has_digest = false;
    struct body key = {.uid = resp->fetch.uid};
    struct body *b = mem_search(&key, r->v, r->n, sizeof(key), by_uid);
    if (!b)
        return;
    b->is_there = true;
    memcpy(b->digest, r->digest, SHA256_SIZE);
}

static const struct imap_events events = {on_untagged, on_begin, on_data, on_end};

static void send_window(
    struct imap_client *client, const struct body *v, size_t n, struct imap_outcome *o)
{
    uint32_t uids[WINDOW];
    struct buf set;
    buf_init(&set, 16 * WINDOW);
    for (size_t i = 0; i < n; i++)
        uids[i] = v[i].uid;
    BUG_ON(uids_write(&set, uids, n) != 0);
    *o = (struct imap_outcome){0};
    imap_cmd_begin(client, imap_outcome_set, o);
    imap_cmd_f(client, "UID FETCH %s (UID BODY.PEEK[])", buf_cstr(&set));
    imap_cmd_end(client);
    buf_fini(&set);
}

int bodies_digest(struct imap_conn *c, struct body *v, size_t n, struct err *err)
{
    struct reader r = {.v = v, .n = n, .sha = sha256_new()};
    struct imap_outcome o[2];
    size_t sent = 0, done = 0;
    int result = 0;
    imap_conn_events(c, &events, &r);
    while (result == 0 && (done < sent || sent * WINDOW < n)) {
        if (sent < done + 2 && sent * WINDOW < n) {
            size_t left = n - sent * WINDOW;
            send_window(imap_conn_client(c), v + sent * WINDOW, left < WINDOW ? left : WINDOW,
                &o[sent % 2]);
            sent++;
            continue;
        }
        result = imap_conn_check(c, &o[done % 2], "cannot read messages", err);
        done++;
    }
    /* The answer to the other window is on its way to this frame. */
    struct err ignored;
    if (result != 0 && imap_conn_drain(c, &ignored) != 0)
        imap_conn_abandon(c);
    imap_conn_events(c, NULL, NULL);
    sha256_free(&r.sha);
    return result;
}
