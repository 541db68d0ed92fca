/* SPDX-License-Identifier: ISC */
/*
 * plan: a merge of two arrays that are sorted by source UID.
 *
 *   listed, not paired    copy (a refused one is tried again, once per run)
 *   listed and paired     carry over the flags that changed on the source since the last time; what
 *                         the target's user changed meanwhile stays, unless it is the same flag
 *   paired, not listed    deleted on the source: in mirror mode delete our copy, unless the
 *                         target's user has touched it (the caller looks at its flags first)
 *
 *   paired with what is   nothing: its user has removed the folder behind the flip
 *   gone
 *
 * Nothing on the target that the journal does not know is ever named in a plan.
 */
#include "imapsync/copy/plan.h"

#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/imap/uids.h"

/* Doubles at powers of two: no capacity to carry about. */
static void *room(void *v, size_t n, size_t size)
{
    if (n == 0)
        return mem_realloc_array(v, 16, size);
    if (n >= 16 && (n & (n - 1)) == 0)
        return mem_realloc_array(v, 2 * n, size);
    return v;
}

static void add_uid(uint32_t **v, size_t *n, uint32_t uid)
{
    *v = room(*v, *n, sizeof(**v));
    (*v)[(*n)++] = uid;
}

static void on_both(struct plan *p, const struct plan_message *m, const struct plan_pair *pair)
{
    if (pair->tgt_uid == 0 && !pair->is_gone) {
        add_uid(&p->copies, &p->n_copies, m->uid);
        return;
    }
    if (pair->is_gone || flags_eq(&m->flags, &pair->flags)) {
        p->n_same++;
        return;
    }
    p->flags = room(p->flags, p->n_flags, sizeof(*p->flags));
    p->flags[p->n_flags++] = (struct plan_flags){
        .src_uid = m->uid,
        .tgt_uid = pair->tgt_uid,
        .add = flags_minus(&m->flags, &pair->flags),
        .remove = flags_minus(&pair->flags, &m->flags),
        .now = m->flags,
    };
}

static void on_gone(struct plan *p, const struct plan_pair *pair, enum plan_mode mode)
{
    if (pair->tgt_uid == 0) {
        add_uid(&p->forgotten, &p->n_forgotten, pair->src_uid);
        return;
    }
    if (mode != PLAN_MIRROR)
        return;
    p->deletions = room(p->deletions, p->n_deletions, sizeof(*p->deletions));
    p->deletions[p->n_deletions++] = (struct plan_deletion){
        .src_uid = pair->src_uid, .tgt_uid = pair->tgt_uid, .flags = pair->flags};
}

static int by_change(const void *a, const void *b)
{
    const struct plan_flags *x = a, *y = b;
    int r = flags_compare(&x->add, &y->add);
    if (r == 0)
        r = flags_compare(&x->remove, &y->remove);
    if (r == 0)
        r = x->tgt_uid < y->tgt_uid ? -1 : x->tgt_uid > y->tgt_uid;
    return r;
}

static int by_target(const void *a, const void *b)
{
    const struct plan_deletion *x = a, *y = b;
    return x->tgt_uid < y->tgt_uid ? -1 : x->tgt_uid > y->tgt_uid;
}

/* A target that keeps equal messages once (Gmail) gives two of ours the same UID.  While one of
 * them is listed its copy stays; the pair of the other is only forgotten. */
static void spare_shared(const struct plan_input *in, struct plan *p)
{
    uint32_t *kept = mem_realloc_array(NULL, in->n_pairs + 1, sizeof(*kept));
    size_t n_kept = 0, left = 0;
    for (size_t i = 0, k = 0; k < in->n_pairs; k++) {
        struct plan_pair pair = in->pair(in->arg, k);
        while (i < in->n_messages && in->message(in->arg, i).uid < pair.src_uid)
            i++;
        if (i < in->n_messages && in->message(in->arg, i).uid == pair.src_uid)
            kept[n_kept++] = pair.tgt_uid;
    }
    n_kept = uids_sort(kept, n_kept);
    for (size_t i = 0; i < p->n_deletions; i++) {
        struct plan_deletion d = p->deletions[i];
        if (uids_have(kept, n_kept, d.tgt_uid))
            add_uid(&p->forgotten, &p->n_forgotten, d.src_uid);
        else
            p->deletions[left++] = d;
    }
    p->n_deletions = left;
    free(kept);
}

void plan_make(const struct plan_input *in, struct plan *out)
{
    size_t i = 0, k = 0;
    *out = (struct plan){0};
    while (i < in->n_messages || k < in->n_pairs) {
        struct plan_message m =
            i < in->n_messages ? in->message(in->arg, i) : (struct plan_message){.uid = UINT32_MAX};
        struct plan_pair pair =
            k < in->n_pairs ? in->pair(in->arg, k) : (struct plan_pair){.src_uid = UINT32_MAX};
        bool has_message = i < in->n_messages && (k == in->n_pairs || m.uid <= pair.src_uid);
        bool has_pair = k < in->n_pairs && (i == in->n_messages || pair.src_uid <= m.uid);
        if (has_message && has_pair)
            on_both(out, &m, &pair);
        else if (has_message)
            add_uid(&out->copies, &out->n_copies, m.uid);
        else
            on_gone(out, &pair, in->mode);
        i += has_message;
        k += has_pair;
    }
    if (out->n_flags > 0)
        mem_sort(out->flags, out->n_flags, sizeof(*out->flags), by_change);
    if (out->n_deletions > 0)
        spare_shared(in, out);
    if (out->n_deletions > in->deletions_max) {
        out->has_too_many_deletions = true;
        out->n_deletions = 0;
    }
    if (out->n_deletions > 0)
        mem_sort(out->deletions, out->n_deletions, sizeof(*out->deletions), by_target);
}

void plan_fini(struct plan *p)
{
    free(p->copies);
    free(p->flags);
    free(p->deletions);
    free(p->forgotten);
    *p = (struct plan){0};
}
