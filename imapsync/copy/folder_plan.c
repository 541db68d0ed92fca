/* SPDX-License-Identifier: ISC */
/*
 * folder_plan: gives the plan what today's engine knows, and sorts the operations by what it does
 * with them.  Behind a flip late.h has already told what is late, so every message without a pair
 * is.  What the source has lost behind a flip needs no record here, since it is not listed the next
 * time either; and it is not forgotten, because late.h goes by what was there once.
 */
#include "imapsync/copy/folder_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"

static const unsigned char any_digest[SHA256_SIZE];

static struct plan_message message_at(const void *arg, size_t i)
{
    const struct folder_plan_input *in = arg;
    const struct listed *l = &in->listing->v[i];
    return (struct plan_message){
        .uid = l->uid, .has_flags = l->has_flags, .flags = l->flags, .digest = any_digest};
}

static struct plan_pair pair_at(const void *arg, size_t i)
{
    const struct folder_plan_input *in = arg;
    const struct pair *p = &in->pairs[i];
    /* GONE ones come again by content before a flip: see folder_known.c. */
    return (struct plan_pair){.src_uid = p->src_uid,
        .tgt_uid = p->tgt_uid,
        .state = p->state,
        .flags = p->flags,
        .may_retry = true};
}

static void all_are_late(void *arg, const unsigned char *digest, size_t *there, size_t *ever)
{
    (void)arg, (void)digest;
    *there = *ever = 0;
}

static size_t count_stored(const struct folder_plan_input *in)
{
    size_t n = 0;
    for (size_t i = 0; i < in->n_pairs; i++)
        n += in->pairs[i].state == PAIR_STORED;
    return n;
}

static uint32_t *not_listed(const struct folder_plan_input *in, size_t *n_out)
{
    size_t n = in->listing->is_whole ? in->n_pairs : in->listing->n_vanished;
    uint32_t *v = mem_realloc_array(NULL, n + 1, sizeof(*v));
    *n_out = 0;
    if (!in->listing->is_whole) {
        if (n > 0)
            memcpy(v, in->listing->vanished, n * sizeof(*v));
        *n_out = n;
        return v;
    }
    for (size_t i = 0; i < in->n_pairs; i++) {
        if (!end_changes_find(in->listing, in->pairs[i].src_uid))
            v[(*n_out)++] = in->pairs[i].src_uid;
    }
    return v;
}

/* What the engine copies in its own way, or does not do yet, goes out of the plan. */
static bool is_left_out(enum plan_policy_id policy, const struct plan_op *op)
{
    bool is_behind_flip = plan_policy(policy)->is_behind_flip;
    return op->kind == PLAN_COPY || op->kind == PLAN_GONE ||
           (op->kind == PLAN_FORGET && is_behind_flip);
}

static void take(struct folder_plan *out, enum plan_policy_id policy)
{
    struct plan *p = &out->whole;
    size_t kept = 0;
    out->copies = mem_realloc_array(NULL, p->n_of[PLAN_COPY] + 1, sizeof(*out->copies));
    for (size_t i = 0; i < p->n_ops; i++) {
        if (p->ops[i].kind == PLAN_COPY)
            out->copies[out->n_copies++] = p->ops[i].src_uid;
        if (!is_left_out(policy, &p->ops[i]))
            p->ops[kept++] = p->ops[i];
    }
    p->n_ops = kept;
}

void folder_plan_make(const struct folder_plan_input *in, struct folder_plan *out)
{
    struct plan_folder f = {
        .source = {.n = in->listing->n, .message = message_at, .arg = in, .is_sure = in->is_sure},
        .target.is_sure = true,
        .n_pairs = in->n_pairs,
        .pair = pair_at,
        .arg = in,
        .n_known = count_stored(in),
        .is_confirmed = true};
    uint32_t *vanished = not_listed(in, &f.source.n_vanished);
    struct plan_input input = {.policy = in->policy,
        .folders = &f,
        .n_folders = 1,
        .can_remove = in->can_remove && in->deletions_max > 0,
        .may_delete = in->may_delete,
        .deletions_min = in->deletions_max,
        .seen = all_are_late};
    f.source.vanished = vanished;
    f.storable.system = UINT8_MAX;
    for (size_t i = 0; i < FLAGS_WORDS; i++)
        f.storable.keywords[i] = UINT64_MAX;
    *out = (struct folder_plan){0};
    plan_make(&input, &out->whole);
    take(out, in->policy);
    free(vanished);
}

void folder_plan_fini(struct folder_plan *p)
{
    free(p->copies);
    plan_fini(&p->whole);
    *p = (struct folder_plan){0};
}

static void add_kind(struct folder_plan *const *v, size_t n, enum plan_kind kind, struct plan *out)
{
    size_t first_change = 0;
    for (size_t i = 0; i < n; i++) {
        const struct plan *p = v[i] ? &v[i]->whole : NULL;
        for (size_t k = 0; p && k < p->n_ops; k++) {
            if (p->ops[k].kind != kind)
                continue;
            struct plan_op *op = &out->ops[out->n_ops++];
            *op = p->ops[k];
            op->folder = op->to = (uint32_t)i;
            op->change += (uint32_t)first_change;
        }
        first_change += p ? p->n_changes : 0;
    }
}

void folder_plan_join(struct folder_plan *const *v, size_t n, struct plan *out)
{
    size_t ops = 0, changes = 0;
    *out = (struct plan){0};
    for (size_t i = 0; i < n; i++) {
        ops += v[i] ? v[i]->whole.n_ops : 0;
        changes += v[i] ? v[i]->whole.n_changes : 0;
    }
    out->ops = mem_realloc_array(NULL, ops + 1, sizeof(*out->ops));
    out->changes = mem_realloc_array(NULL, changes + 1, sizeof(*out->changes));
    for (size_t i = 0; i < n; i++) {
        if (!v[i])
            continue;
        memcpy(out->changes + out->n_changes, v[i]->whole.changes,
            v[i]->whole.n_changes * sizeof(*out->changes));
        out->n_changes += v[i]->whole.n_changes;
    }
    for (unsigned kind = 0; kind < PLAN_KINDS; kind++)
        add_kind(v, n, (enum plan_kind)kind, out);
}
