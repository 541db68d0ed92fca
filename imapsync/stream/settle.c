/* SPDX-License-Identifier: ISC */
/*
 * settle: candidates are the target's messages from a UID on, less those that a pair names.  They
 * are given to what was SENT before and has no UID yet, and to what was sent now, by content
 * (match.h), in the order in which it went.  So equal messages stay as many as they were.
 *
 * A candidate that is left over then is somebody else's, or one of ours that the target has
 * altered beyond recognition: nobody can tell, and nothing is sent again before the next pass has
 * looked.
 */
#include "imapsync/stream/settle.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/plan/match.h"

#define PAIRS_AT_ONCE 1000

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
        if (asked[i].is_there || asked[i].is_refused)
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

/* What is looked for; its UIDs are places in the order in which it was sent. */
static void add_wanted(
    struct body **v, size_t *n, const unsigned char digest[SHA256_SIZE], const struct canon *canon)
{
    /* Grown in powers of two. */
    if ((*n & (*n - 1)) == 0)
        *v = mem_realloc_array(*v, *n ? 2 * *n : 1, sizeof(**v));
    struct body *b = &(*v)[(*n)++];
    *b = (struct body){.uid = (uint32_t)*n, .is_there = true, .canon = *canon};
    memcpy(b->digest, digest, SHA256_SIZE);
}

/* What the target has said OK to, and its UID is not known. */
static int add_if_sent(
    struct settle *s, const struct pair *p, struct body **v, size_t *n, struct err *err)
{
    struct content c;
    bool found;
    if (p->state != PAIR_SENT)
        return 0;
    if (journal_content(s->journal, s->folder->id, p->src_uid, &c, &found, err) != 0)
        return -1;
    if (found && c.has_digest)
        add_wanted(v, n, c.digest, &c.canon);
    return 0;
}

static int add_sent_before(struct settle *s, struct body **v, size_t *n, struct err *err)
{
    struct journal_known known;
    struct journal_walk walk = {.of = &known.odd};
    int r, result = journal_known_get(s->journal, s->folder->id, &known, err);
    while (result == 0 &&
           (r = journal_walk(s->journal, s->folder->id, &walk, PAIRS_AT_ONCE, err)) != 0) {
        result = r < 0 ? -1 : 0;
        for (size_t i = 0; result == 0 && i < walk.n; i++)
            result = add_if_sent(s, &walk.v[i], v, n, err);
    }
    journal_walk_fini(&walk);
    journal_known_fini(&known);
    return result;
}

/* Leaves out what a pair names. */
static int leave_out_known(struct settle *s, struct body *v, size_t *n, struct err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        bool is_known;
        if (journal_has_target(s->journal, s->folder->id, v[i].uid, &is_known, err) != 0)
            return -1;
        if (!is_known)
            v[kept++] = v[i];
    }
    *n = kept;
    return 0;
}

static int match(struct settle *s, struct body *v, size_t n_bodies, bool is_sure,
    const struct batches_sent *sent, size_t n, uint32_t *out, struct err *err)
{
    struct body *wanted = NULL;
    size_t n_wanted = 0, n_left = !is_sure;
    if (add_sent_before(s, &wanted, &n_wanted, err) != 0) {
        free(wanted);
        return -1;
    }
    size_t before = n_wanted;
    for (size_t i = 0; i < n; i++)
        add_wanted(&wanted, &n_wanted, sent[i].digest, &sent[i].canon);
    match_up(wanted, n_wanted, v, n_bodies, MATCH_TEXT);
    for (size_t i = 0; i < n_bodies; i++)
        n_left += v[i].mate == 0;
    for (size_t i = 0; i < n; i++) {
        out[i] = wanted[before + i].mate;
        if (out[i] == 0 && n_left > 0)
            out[i] = UINT32_MAX;
    }
    free(wanted);
    return 0;
}

int settle_sent(struct settle *s, const struct journal_folder *folder, uint32_t since,
    const struct batches_sent *sent, size_t n, uint32_t *out, struct err *err)
{
    struct end_ticket t = {0};
    struct end_changes there;
    struct keywords keywords = {0};
    struct body *bodies = NULL;
    size_t n_bodies;
    int result = -1;
    memset(out, 0, n * sizeof(*out));
    if (s->folder != folder)
        settle_fini(s);
    s->folder = folder;
    end_changes_init(&there, &keywords);
    s->target->ops->open(s->target,
        &(struct end_open){.folder = s->folder->target.name, .from = since, .is_for_writing = true},
        &there, &t);
    if (end_check(s->target, &t, "cannot look for what was refused", err) != 0)
        goto done;
    if (there.uidvalidity != s->folder->target.uidvalidity) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "target: the folder has another UIDVALIDITY now");
        goto done;
    }
    bodies = mem_realloc_array(NULL, there.n + 1, sizeof(*bodies));
    n_bodies = there.n;
    if (read_bodies(s, &there, bodies, err) != 0 || leave_out_known(s, bodies, &n_bodies, err) != 0)
        goto done;
    result = match(s, bodies, n_bodies, there.is_sure, sent, n, out, err);
done:
    free(bodies);
    end_changes_fini(&there);
    keywords_fini(&keywords);
    return result;
}
