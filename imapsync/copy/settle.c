/* SPDX-License-Identifier: ISC */
/*
 * settle: candidates are the target's messages from a UID on, less those that a pair names and, of
 * each content, as many as were SENT before and have no UID yet.  What is left is given to what was
 * sent, content by content, in the order of both.  So equal messages stay as many as they were.
 *
 * A candidate that is left over then is somebody else's, or one of ours that the target has
 * altered: nobody can tell, and nothing is sent again before the next pass has looked.
 */
#include "imapsync/copy/settle.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/mem.h"

void settle_fini(struct settle *s)
{
    free(s->seen);
    s->seen = NULL;
    s->n_seen = 0;
}

static int by_uid(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static int by_digest(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    int r = memcmp(x->digest, y->digest, SHA256_SIZE);
    return r != 0 ? r : by_uid(a, b);
}

/* The bodies of these messages of the folder that the target has open. */
static int read_bodies(
    struct settle *s, const struct end_changes *there, struct body *out, struct err *err)
{
    struct body *asked = mem_realloc_array(NULL, there->n + 1, sizeof(*asked));
    size_t n = 0;
    for (size_t i = 0; i < there->n; i++) {
        out[i] = (struct body){.uid = there->v[i].uid};
        if (!mem_search(&out[i], s->seen, s->n_seen, sizeof(*out), by_uid))
            asked[n++] = out[i];
    }
    int result = bodies_digest(s->target, asked, n, err);
    s->seen = mem_realloc_array(s->seen, s->n_seen + n + 1, sizeof(*s->seen));
    for (size_t i = 0; result == 0 && i < n; i++) {
        if (asked[i].is_there)
            s->seen[s->n_seen++] = asked[i];
    }
    free(asked);
    mem_sort(s->seen, s->n_seen, sizeof(*s->seen), by_uid);
    for (size_t i = 0; result == 0 && i < there->n; i++) {
        const struct body *b = mem_search(&out[i], s->seen, s->n_seen, sizeof(*out), by_uid);
        if (b)
            out[i] = *b;
    }
    return result;
}

/* Candidates of one content. */
struct group {
    uint32_t folder;
    struct body *v;
    size_t n;
    size_t n_sent; /* of the journal, without a UID */
};

static void take_out(void *arg, uint32_t folder, const struct pair *p)
{
    struct group *g = arg;
    if (folder != g->folder)
        return;
    g->n_sent += p->state == PAIR_SENT;
    for (size_t i = 0; i < g->n && p->state == PAIR_STORED; i++) {
        if (g->v[i].uid == p->tgt_uid)
            g->v[i].is_there = false;
    }
}

/* Gives the group to what was sent; *n_left_out: what nobody has sent. */
static int give(struct settle *s, struct group *g, const struct batches_sent *sent, size_t n,
    uint32_t *out, size_t *n_left_out, struct err *err)
{
    size_t next = 0;
    if (journal_by_digest(s->journal, g->v[0].digest, take_out, g, err) != 0)
        return -1;
    for (size_t i = 0; i < g->n; i++) {
        if (!g->v[i].is_there)
            continue;
        if (g->n_sent > 0) {
            g->n_sent--;
            continue;
        }
        while (next < n &&
               (out[next] != 0 || memcmp(sent[next].digest, g->v[i].digest, SHA256_SIZE) != 0))
            next++;
        if (next < n)
            out[next] = g->v[i].uid;
        else
            ++*n_left_out;
    }
    return 0;
}

static int match(struct settle *s, struct body *v, size_t n_bodies, bool is_sure,
    const struct batches_sent *sent, size_t n, uint32_t *out, struct err *err)
{
    size_t n_left = !is_sure;
    for (size_t i = 0; i < n_bodies; i++)
        n_left += !v[i].is_there; /* listed, and cannot be read */
    mem_sort(v, n_bodies, sizeof(*v), by_digest);
    for (size_t i = 0, end; i < n_bodies; i = end) {
        struct group g = {.folder = s->folder->id, .v = v + i};
        for (end = i; end < n_bodies && memcmp(v[i].digest, v[end].digest, SHA256_SIZE) == 0;)
            end++;
        g.n = end - i;
        if (v[i].is_there && give(s, &g, sent, n, out, &n_left, err) != 0)
            return -1;
    }
    for (size_t i = 0; i < n && n_left > 0; i++) {
        if (out[i] == 0)
            out[i] = UINT32_MAX;
    }
    return 0;
}

int settle_sent(struct settle *s, const struct journal_folder *folder, uint32_t since,
    const struct batches_sent *sent, size_t n, uint32_t *out, struct err *err)
{
    struct end_ticket t = {0};
    struct end_changes there;
    struct keywords keywords = {0};
    struct body *bodies = NULL;
    int result = -1;
    memset(out, 0, n * sizeof(*out));
    if (s->folder != folder)
        settle_fini(s);
    s->folder = folder;
    end_changes_init(&there, &keywords);
    s->target->ops->open(
        s->target, &(struct end_open){.folder = s->folder->target.name, .from = since}, &there, &t);
    if (end_check(s->target, &t, "cannot look for what was refused", err) != 0)
        goto done;
    if (there.uidvalidity != s->folder->target.uidvalidity) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "target: the folder has another UIDVALIDITY now");
        goto done;
    }
    bodies = mem_realloc_array(NULL, there.n + 1, sizeof(*bodies));
    if (read_bodies(s, &there, bodies, err) != 0)
        goto done;
    result = match(s, bodies, there.n, there.is_sure, sent, n, out, err);
done:
    free(bodies);
    end_changes_fini(&there);
    keywords_fini(&keywords);
    return result;
}
