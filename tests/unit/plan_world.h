/* SPDX-License-Identifier: ISC */
/*
 * plan_world: two small mailboxes, their users, and a journal, for plans that nobody has thought
 * of.
 *
 *     world_begin(&w, policy, pick);      pick(n) chooses below n: a generator, or a fuzzer's
 * octets world_source_acts(&w); world_target_acts(&w); world_pass(&w);                     plans,
 * looks at the plan, and does it
 *
 * What is always checked is in world_judge(); it goes by what really is in the two mailboxes and
 * counts messages, without a look at how the plan has come to its end.
 */
#ifndef TESTS_UNIT_PLAN_WORLD_H
#define TESTS_UNIT_PLAN_WORLD_H

#include <stdlib.h>
#include <string.h>
#include "base/core/err.h"
#include "base/core/mem.h"
#include "imapsync/plan/plan.h"

#define WORLD_FOLDERS 4
#define WORLD_TRASH 3 /* of the target */
#define WORLD_MOST 96
#define WORLD_CONTENTS 6

struct world_message {
    uint32_t uid;
    unsigned content;
    struct flags flags;
    bool is_ours, is_new; /* not handed in yet; is_ours: of the target, copied by us */
    bool is_read;         /* its digest was asked for */
    bool is_asked;        /* whether it is still there */
};

struct world_box {
    struct world_message v[WORLD_MOST];
    size_t n;
    uint32_t uidnext;
};

struct world_pair {
    struct plan_pair p;
    unsigned content;
};

struct world_folder {
    struct world_box source, target;
    struct world_pair pairs[2 * WORLD_MOST];
    size_t n_pairs;
    uint32_t mark;
    /* What is handed in. */
    struct world_message source_told[WORLD_MOST], target_told[WORLD_MOST];
    struct world_pair pairs_told[2 * WORLD_MOST];
    uint32_t source_gone[2 * WORLD_MOST], target_gone[2 * WORLD_MOST];
};

struct world {
    unsigned (*pick)(unsigned n);
    enum plan_policy_id policy;
    bool is_gmail, can_move, can_remove, has_ids, refuses, is_small; /* is_small: tiny ceiling */
    struct world_folder f[WORLD_FOLDERS];
    struct plan_folder views[WORLD_FOLDERS];
    unsigned char digests[WORLD_CONTENTS][SHA256_SIZE], ids[WORLD_CONTENTS];
    size_t arrived[WORLD_CONTENTS]; /* on the source, for the first time */
    size_t ever[WORLD_CONTENTS];    /* that the journal has met */
    size_t copied[WORLD_CONTENTS], again[WORLD_CONTENTS];
    size_t rules[PLAN_KINDS][PLAN_WITNESSES]; /* how often each was used */
    struct plan plan;                         /* of the last pass */
    bool is_quiet;                            /* it had nothing to do */
};

#define WORLD_CHECK(condition) BUG_ON(!(condition))

static inline void world_begin(
    struct world *w, enum plan_policy_id policy, unsigned (*pick)(unsigned n))
{
    memset(w, 0, sizeof(*w));
    w->policy = policy;
    w->pick = pick;
    w->can_move = w->can_remove = true;
    for (unsigned i = 0; i < WORLD_CONTENTS; i++) {
        memset(w->digests[i], (int)i + 1, SHA256_SIZE);
        w->ids[i] = (unsigned char)i;
    }
    for (size_t i = 0; i < WORLD_FOLDERS; i++)
        w->f[i].source.uidnext = w->f[i].target.uidnext = 1;
}

/* --- Mailboxes ----------------------------------------------------------------------------- */

static inline struct world_message *world_find(struct world_box *b, uint32_t uid)
{
    for (size_t i = 0; uid != 0 && i < b->n; i++) {
        if (b->v[i].uid == uid)
            return &b->v[i];
    }
    return NULL;
}

static inline struct world_message *world_add(
    struct world_box *b, unsigned content, const struct flags *flags)
{
    if (b->n == WORLD_MOST)
        return NULL;
    b->v[b->n] = (struct world_message){
        .uid = b->uidnext++, .content = content, .flags = *flags, .is_new = true};
    return &b->v[b->n++];
}

static inline void world_drop(struct world_box *b, const struct world_message *m)
{
    size_t at = (size_t)(m - b->v);
    memmove(&b->v[at], &b->v[at + 1], (b->n - at - 1) * sizeof(*b->v));
    b->n--;
}

static inline size_t world_count(const struct world_box *b, unsigned content)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++)
        n += b->v[i].content == content;
    return n;
}

static inline void world_turn_flag(struct world *w, struct world_message *m)
{
    unsigned bit = w->pick(7);
    if (bit < 5)
        m->flags.system = (uint8_t)(m->flags.system ^ (1u << bit));
    else
        m->flags.keywords[0] ^= UINT64_C(1) << (bit - 5);
    m->is_new = true;
}

/* --- Users ------------------------------------------------------------------------------------ */

static inline void world_move(
    struct world_box *from, struct world_box *to, struct world_message *m, bool is_copy)
{
    struct world_message *added = world_add(to, m->content, &m->flags);
    if (added)
        added->is_ours = m->is_ours;
    if (added && !is_copy)
        world_drop(from, world_find(from, m->uid));
}

static inline void world_source_acts(struct world *w)
{
    struct world_box *b = &w->f[w->pick(WORLD_FOLDERS)].source;
    struct world_box *to = &w->f[w->pick(WORLD_FOLDERS)].source;
    unsigned what = w->pick(8), content = w->pick(WORLD_CONTENTS);
    struct world_message *m = b->n > 0 ? &b->v[w->pick((unsigned)b->n)] : NULL;
    if (what < 3 || !m) {
        w->arrived[content] += world_add(b, content, &(struct flags){0}) != NULL;
    } else if (what == 3) {
        world_drop(b, m);
    } else if (what == 4) {
        world_move(b, to, m, false);
    } else if (what == 5) {
        w->arrived[m->content] += to->n < WORLD_MOST;
        world_move(b, to, m, true);
    } else {
        world_turn_flag(w, m);
    }
}

static inline void world_target_acts(struct world *w)
{
    struct world_box *b = &w->f[w->pick(WORLD_FOLDERS)].target;
    struct world_box *to = &w->f[w->pick(WORLD_FOLDERS)].target;
    unsigned what = w->pick(6), content = w->pick(WORLD_CONTENTS);
    struct world_message *m = b->n > 0 ? &b->v[w->pick((unsigned)b->n)] : NULL;
    if (what == 0 || !m)
        world_add(b, content, &(struct flags){0});
    else if (what == 1)
        world_drop(b, m);
    else if (what == 2)
        world_move(b, to, m, false);
    else
        world_turn_flag(w, m);
}

/* What is on the source now counts as known: behind it comes what is late. */
static inline void world_flip(struct world *w)
{
    for (size_t i = 0; i < WORLD_FOLDERS; i++)
        w->f[i].mark = w->f[i].source.uidnext - 1;
}

/* --- The journal ------------------------------------------------------------------------------ */

static inline struct world_pair *world_pair_of(
    struct world_folder *f, uint32_t src_uid, uint32_t tgt_uid)
{
    for (size_t i = 0; i < f->n_pairs; i++) {
        const struct plan_pair *p = &f->pairs[i].p;
        if (src_uid != 0 ? p->src_uid == src_uid : p->src_uid == 0 && p->tgt_uid == tgt_uid)
            return &f->pairs[i];
    }
    return NULL;
}

static inline void world_forget(struct world_folder *f, struct world_pair *p)
{
    size_t at = (size_t)(p - f->pairs);
    memmove(&f->pairs[at], &f->pairs[at + 1], (f->n_pairs - at - 1) * sizeof(*f->pairs));
    f->n_pairs--;
}

static inline int world_by_place(const void *a, const void *b)
{
    const struct plan_pair *x = &((const struct world_pair *)a)->p,
                           *y = &((const struct world_pair *)b)->p;
    if (x->src_uid != y->src_uid)
        return x->src_uid < y->src_uid ? -1 : 1;
    return x->tgt_uid < y->tgt_uid ? -1 : x->tgt_uid > y->tgt_uid;
}

/* Replaces what is known of this message of the source. */
static inline void world_put(struct world *w, struct world_folder *f, struct world_pair p)
{
    struct world_pair *old = p.p.src_uid != 0 ? world_pair_of(f, p.p.src_uid, 0) : NULL;
    p.p.digest = w->digests[p.content];
    p.p.size = 100 + p.content;
    p.p.id = p.p.tgt_id = w->has_ids ? slice_make(&w->ids[p.content], 1) : SLICE_NONE;
    if (old) {
        *old = p;
        return;
    }
    WORLD_CHECK(f->n_pairs < 2 * WORLD_MOST);
    f->pairs[f->n_pairs++] = p;
}

#include "tests/unit/plan_world_pass.h"

#endif
