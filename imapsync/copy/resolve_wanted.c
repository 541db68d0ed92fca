/* SPDX-License-Identifier: ISC */
/*
 * resolve_wanted: what is looked for on the target: messages that were sent and have no pair, pairs
 * that have no number there, and when adopting all that has no pair.  What is known of a content
 * comes from the journal; the rest will be read.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/resolve_parts.h"

bool resolve_is_void(const struct resolve_job *job, const struct pair *p)
{
    /* Behind a flip what is gone was taken away by the target's user. */
    return job->is_renumbered_there &&
           (p->state == PAIR_STORED || p->state == PAIR_SENT || p->state == PAIR_LOST ||
               (p->state == PAIR_GONE && !job->is_behind_flip));
}

static struct wanted *add_wanted(struct wanted_list *l, uint32_t uid)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->v = mem_realloc_array(l->v, l->cap, sizeof(*l->v));
    }
    l->v[l->n] = (struct wanted){.uid = uid};
    return &l->v[l->n++];
}

/* What is known comes first. */
static int by_source(const void *a, const void *b)
{
    const struct wanted *x = a, *y = b;
    if (x->uid != y->uid)
        return x->uid < y->uid ? -1 : 1;
    return x->has_content != y->has_content ? (x->has_content ? -1 : 1) : 0;
}

static int by_src_uid(const void *a, const void *b)
{
    uint32_t x = ((const struct pair *)a)->src_uid, y = ((const struct pair *)b)->src_uid;
    return x < y ? -1 : x > y;
}

const struct pair *resolve_find_pair(const struct resolve_job *job, uint32_t uid)
{
    const struct pair wanted = {.src_uid = uid};
    return mem_search(&wanted, job->pairs, job->n_pairs, sizeof(wanted), by_src_uid);
}

bool resolve_is_paired(const struct resolve_job *job, uint32_t uid)
{
    const struct pair *p = resolve_find_pair(job, uid);
    return p && p->state != PAIR_REFUSED && p->state != PAIR_GONE && p->state != PAIR_LOST;
}

bool resolve_is_listed(const struct resolve_job *job, uint32_t uid)
{
    return !job->is_renumbered_here && end_changes_find(job->listing, uid) != NULL;
}

/* Pairs whose message is somewhere on the target, and nobody knows where. */
static int want_pairs(struct resolve_job *job, struct wanted_list *out, struct err *err)
{
    int result = 0;
    out->sent_since = UINT32_MAX;
    for (size_t i = 0; result == 0 && i < job->n_pairs; i++) {
        const struct pair *p = &job->pairs[i];
        struct content c;
        bool found;
        if (p->state != PAIR_SENT && !resolve_is_void(job, p))
            continue;
        result = journal_content(job->journal, job->folder->id, p->src_uid, &c, &found, err);
        bool has_content = result == 0 && found && c.has_digest;
        if (result != 0 || (!has_content && !resolve_is_listed(job, p->src_uid)))
            continue;
        struct wanted *w = add_wanted(out, p->src_uid);
        w->has_content = has_content;
        w->has_flags = p->state != PAIR_GONE || !flags_empty(&p->flags);
        w->content = c;
        w->flags = p->flags;
        if (p->state == PAIR_SENT && c.since < out->sent_since)
            out->sent_since = c.since;
    }
    return result;
}

static void want_intents(struct resolve_job *job, struct wanted_list *out)
{
    for (size_t i = 0; i < job->n_intents; i++) {
        const struct intent *in = &job->intents[i];
        for (size_t k = 0; k < in->n_sent; k++) {
            if (resolve_is_paired(job, in->sent[k].uid))
                continue;
            struct wanted *w = add_wanted(out, in->sent[k].uid);
            w->has_content = w->has_flags = true;
            w->content = in->sent[k].content;
            w->flags = in->sent[k].flags;
        }
        for (size_t k = 0; k < in->n; k++) {
            if (!resolve_is_paired(job, in->uids[k]) && resolve_is_listed(job, in->uids[k]) &&
                !suspects_are_unsent(job->suspects, job->folder->id, in->uids[k]))
                (void)add_wanted(out, in->uids[k]);
        }
    }
}

int resolve_want(struct resolve_job *job, struct wanted_list *out, struct err *err)
{
    size_t n = 0;
    if (want_pairs(job, out, err) != 0)
        return -1;
    want_intents(job, out);
    for (size_t i = 0; job->adopt_all && i < job->listing->n; i++) {
        if (!resolve_is_paired(job, job->listing->v[i].uid))
            (void)add_wanted(out, job->listing->v[i].uid);
    }
    if (out->n > 0)
        mem_sort(out->v, out->n, sizeof(*out->v), by_source);
    for (size_t i = 0; i < out->n; i++) {
        if (n == 0 || out->v[n - 1].uid != out->v[i].uid)
            out->v[n++] = out->v[i];
    }
    out->n = n;
    return 0;
}
