/* SPDX-License-Identifier: ISC */
/* plan_world_pass: what a pass hands in, what has to be true of its plan, and doing it; the second
 * half of plan_world.h. */
#ifndef TESTS_UNIT_PLAN_WORLD_PASS_H
#define TESTS_UNIT_PLAN_WORLD_PASS_H

/* --- What is handed in ---------------------------------------------------------------------------
 */

static struct world *world_now; /* for the callbacks */

static inline struct plan_message world_message_at(const void *arg, size_t i)
{
    const struct world_message *m = &((const struct world_message *)arg)[i];
    struct plan_message p = {
        .uid = m->uid, .size = 100 + m->content, .has_flags = true, .flags = m->flags};
    p.is_still_there = m->is_asked;
    if (m->is_read)
        p.digest = world_now->digests[m->content];
    if (world_now->has_ids)
        p.id = slice_make(&world_now->ids[m->content], 1);
    return p;
}

static inline struct plan_pair world_pair_at(const void *arg, size_t i)
{
    return ((const struct world_pair *)arg)[i].p;
}

static inline size_t world_seen(void *arg, const unsigned char *digest, size_t now)
{
    const struct world *w = arg;
    (void)now;
    return w->ever[digest[0] - 1u];
}

static inline size_t world_tell(
    const struct world_box *b, struct world_message *told, bool is_whole)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (is_whole || b->v[i].is_new)
            told[n++] = b->v[i];
    }
    return n;
}

static inline bool world_told(const struct world_message *told, size_t n, uint32_t uid)
{
    for (size_t i = 0; i < n; i++) {
        if (told[i].uid == uid)
            return true;
    }
    return false;
}

static inline int world_by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* A delta hands in what has changed and the pairs that it names; else all is. */
static inline void world_view(struct world *w, size_t at, bool is_whole)
{
    struct world_folder *f = &w->f[at];
    struct plan_folder *v = &w->views[at];
    mem_sort(f->pairs, f->n_pairs, sizeof(*f->pairs), world_by_place);
    *v = (struct plan_folder){.source = {.message = world_message_at,
                                  .arg = f->source_told,
                                  .vanished = f->source_gone,
                                  .is_sure = true},
        .target = {.message = world_message_at,
            .arg = f->target_told,
            .vanished = f->target_gone,
            .is_sure = true},
        .pair = world_pair_at,
        .arg = f->pairs_told,
        .is_confirmed = true,
        .is_target_trash = at == WORLD_TRASH,
        .past = {.mark = f->mark}};
    memset(&v->storable, 0xff, sizeof(v->storable));
    v->source.n = world_tell(&f->source, f->source_told, is_whole);
    v->target.n = world_tell(&f->target, f->target_told, is_whole);
    for (size_t i = 0; i < f->n_pairs; i++) {
        struct world_pair p = f->pairs[i];
        bool src_gone = p.p.src_uid != 0 && !world_find(&f->source, p.p.src_uid);
        bool tgt_gone = p.p.tgt_uid != 0 && !world_find(&f->target, p.p.tgt_uid);
        v->n_known += p.p.state == PAIR_STORED;
        if (src_gone)
            f->source_gone[v->source.n_vanished++] = p.p.src_uid;
        if (tgt_gone)
            f->target_gone[v->target.n_vanished++] = p.p.tgt_uid;
        if (is_whole || p.p.state != PAIR_STORED || src_gone || tgt_gone ||
            world_told(f->source_told, v->source.n, p.p.src_uid) ||
            world_told(f->target_told, v->target.n, p.p.tgt_uid))
            f->pairs_told[v->n_pairs++] = p;
    }
    for (size_t i = 0; i < v->n_pairs; i++) {
        size_t all = 0, told = 0;
        uint32_t uid = f->pairs_told[i].p.tgt_uid;
        for (size_t k = 0; uid != 0 && k < f->n_pairs; k++)
            all += f->pairs[k].p.tgt_uid == uid;
        for (size_t k = 0; uid != 0 && k < v->n_pairs; k++)
            told += f->pairs_told[k].p.tgt_uid == uid;
        f->pairs_told[i].p.has_twin = all > told;
    }
    mem_sort(f->target_gone, v->target.n_vanished, sizeof(uint32_t), world_by_number);
}

static inline void world_read(struct world *w, const struct plan_ask *a)
{
    struct world_folder *f = &w->f[a->folder];
    struct world_message *told = a->is_target ? f->target_told : f->source_told;
    size_t i = 0;
    while (told[i].uid != a->uid)
        i++;
    if (a->question == PLAN_ASK_THERE) {
        WORLD_CHECK(!told[i].is_asked);
        told[i].is_asked = true;
        return;
    }
    WORLD_CHECK(!told[i].is_read);
    told[i].is_read = true;
    world_find(a->is_target ? &f->target : &f->source, a->uid)->is_read = true;
}

static inline void world_make_plan(struct world *w, bool is_whole)
{
    struct plan_input in = {.policy = w->policy,
        .folders = w->views,
        .n_folders = WORLD_FOLDERS,
        .can_move = w->can_move,
        .can_remove = w->can_remove,
        .may_delete = true,
        .deletions_min = w->is_small ? 1 : 1000,
        .deletions_percent = 1,
        .seen = world_seen,
        .arg = w};
    world_now = w;
    for (size_t i = 0; i < WORLD_FOLDERS; i++) {
        world_view(w, i, is_whole);
        in.n_known += w->views[i].n_known;
    }
    for (int round = 0;; round++) {
        WORLD_CHECK(round < 5);
        plan_make(&in, &w->plan);
        if (w->plan.n_asks == 0)
            return;
        WORLD_CHECK(w->plan.n_ops == 0 && w->plan.n_withheld == 0);
        for (size_t i = 0; i < w->plan.n_asks; i++)
            world_read(w, &w->plan.asks[i]);
        plan_fini(&w->plan);
    }
}

/* --- What has to be true of it
 * --------------------------------------------------------------------- */

static inline void world_judge_op(struct world *w, const struct plan_op *op)
{
    struct world_folder *f = &w->f[op->folder];
    struct world_message *source = world_find(&f->source, op->src_uid);
    struct world_message *target = world_find(&f->target, op->tgt_uid);
    const struct world_pair *pair = world_pair_of(f, op->src_uid, op->tgt_uid);
    const struct plan_change *c = &w->plan.changes[op->change];
    bool is_behind_flip = plan_policy(w->policy)->is_behind_flip;
    WORLD_CHECK(plan_is_allowed(w->policy, op->kind, op->witness));
    /* Nothing but our own copies is named. */
    WORLD_CHECK(op->tgt_uid == 0 || op->kind == PLAN_FLAGS || op->kind == PLAN_NOTE ||
                (pair && pair->p.tgt_uid == op->tgt_uid));
    if (op->kind == PLAN_COPY)
        WORLD_CHECK(source && (!pair || pair->p.tgt_uid == 0));
    if (op->kind == PLAN_MOVE || op->kind == PLAN_TRASH || op->kind == PLAN_REMOVE)
        WORLD_CHECK(!source && target && !is_behind_flip);
    /* Of two that share a copy one may have brought its flags. */
    if (op->kind == PLAN_REMOVE)
        WORLD_CHECK(w->policy == PLAN_MIRROR && target->is_ours && w->can_remove &&
                    (w->is_gmail || target->flags.system == pair->p.flags.system));
    if (op->kind == PLAN_MOVE)
        WORLD_CHECK(
            w->can_move && world_find(&w->f[op->to].source, op->new_uid)->content == pair->content);
    if (op->kind == PLAN_FLAGS) {
        WORLD_CHECK(target);
        WORLD_CHECK(!(is_behind_flip && c->add.system & FLAG_DELETED));
        WORLD_CHECK(w->policy == PLAN_MIRROR || w->policy == PLAN_REVERSE ||
                    w->policy == PLAN_FIRST_SWEEP || flags_empty(&c->remove));
    }
    w->rules[op->kind][op->witness]++;
}

static inline void world_judge(struct world *w)
{
    for (size_t i = 0; i < w->plan.n_ops; i++) {
        WORLD_CHECK(i == 0 || w->plan.ops[i - 1].kind <= w->plan.ops[i].kind);
        world_judge_op(w, &w->plan.ops[i]);
    }
    WORLD_CHECK(!w->is_small ||
                w->plan.n_of[PLAN_REMOVE] + w->plan.n_of[PLAN_TRASH] <= 1 + WORLD_MOST / 10);
}

/* --- Doing it
 * --------------------------------------------------------------------------------------- */

static inline void world_copy(struct world *w, struct world_folder *f, const struct plan_op *op)
{
    struct world_message *m = world_find(&f->source, op->src_uid);
    struct world_message *target = NULL;
    struct world_pair p = {
        .content = m->content, .p = {.src_uid = m->uid, .flags = w->plan.changes[op->change].now}};
    w->ever[m->content] += op->witness != PLAN_W_RETRY && op->witness != PLAN_W_AGAIN &&
                           op->witness != PLAN_W_RESTORED;
    if (w->refuses && w->pick(4) == 0) {
        p.p.state = PAIR_REFUSED;
        p.p.may_retry = true;
        world_put(w, f, p);
        return;
    }
    for (size_t i = 0; w->is_gmail && i < f->target.n; i++) {
        if (f->target.v[i].content == m->content)
            target = &f->target.v[i];
    }
    if (!target)
        target = world_add(&f->target, m->content, &p.p.flags);
    if (!target)
        return;
    target->is_ours = target->is_new = true;
    p.p.state = PAIR_STORED;
    p.p.tgt_uid = target->uid;
    w->copied[m->content]++;
    w->again[m->content] += op->witness == PLAN_W_AGAIN;
    world_put(w, f, p);
}

static inline void world_do_journal(
    struct world *w, struct world_folder *f, const struct plan_op *op, struct world_pair *pair)
{
    struct world_pair p = pair ? *pair : (struct world_pair){.p.src_uid = op->src_uid};
    if (op->kind == PLAN_FORGET) {
        world_forget(f, pair);
    } else if (op->kind == PLAN_NOTE) {
        pair->p.flags = w->plan.changes[op->change].now;
        pair->p.is_touched = op->is_touched;
    } else if (op->kind == PLAN_AWAY) {
        pair->p.state = PAIR_AWAY;
        pair->p.tgt_uid = 0;
    } else if (op->kind == PLAN_GONE && pair) {
        pair->p.state = PAIR_GONE;
        pair->p.is_touched = op->is_touched;
        *(op->witness == PLAN_W_LOST || op->witness == PLAN_W_IN_TRASH ? &pair->p.src_uid
                                                                       : &pair->p.tgt_uid) = 0;
    } else if (op->kind == PLAN_GONE) {
        p.content = world_find(&f->source, op->src_uid)->content;
        p.p.state = PAIR_GONE;
        world_put(w, f, p);
    } else if (op->is_target) {
        pair->p.tgt_uid = op->new_uid;
        world_find(&f->target, op->new_uid)->is_ours = true;
    } else {
        p.p.src_uid = op->new_uid;
        p.p.state = op->state;
        p.p.tgt_uid = op->state == PAIR_STORED ? p.p.tgt_uid : 0;
        world_forget(f, pair);
        world_put(w, &w->f[op->to], p);
    }
}

static inline void world_do_target(
    struct world *w, struct world_folder *f, const struct plan_op *op, struct world_pair *pair)
{
    const struct plan_change *c = &w->plan.changes[op->change];
    struct world_message *m = world_find(&f->target, op->tgt_uid);
    struct world_pair p = *pair;
    if (op->kind == PLAN_FLAGS) {
        m->flags = flags_minus(&m->flags, &c->remove);
        m->flags.system = (uint8_t)(m->flags.system | c->add.system);
        m->flags.keywords[0] |= c->add.keywords[0];
        pair->p.flags = c->now;
        pair->p.is_touched = op->is_touched;
        return;
    }
    world_forget(f, pair);
    if (op->kind == PLAN_MOVE) {
        p.p.src_uid = op->new_uid;
        p.p.tgt_uid = w->f[op->to].target.uidnext;
        p.p.state = PAIR_STORED;
        world_move(&f->target, &w->f[op->to].target, m, false);
        world_put(w, &w->f[op->to], p);
    } else if (op->kind == PLAN_TRASH) {
        world_move(&f->target, &w->f[WORLD_TRASH].target, m, false);
    } else {
        world_drop(&f->target, m);
    }
}

static inline void world_settled(struct world *w)
{
    for (size_t i = 0; i < WORLD_FOLDERS; i++) {
        for (size_t k = 0; k < w->f[i].source.n; k++)
            w->f[i].source.v[k].is_new = false;
        for (size_t k = 0; k < w->f[i].target.n; k++)
            w->f[i].target.v[k].is_new = false;
    }
}

static inline void world_pass(struct world *w, bool is_whole)
{
    world_make_plan(w, is_whole);
    world_judge(w);
    bool is_done = w->plan.n_withheld == 0 && w->plan.n_reconcile == 0;
    if (is_done)
        world_settled(w);
    for (size_t i = 0; i < w->plan.n_ops; i++) {
        const struct plan_op *op = &w->plan.ops[i];
        struct world_folder *f = &w->f[op->folder];
        struct world_pair *pair = world_pair_of(f, op->src_uid, op->tgt_uid);
        if (op->kind == PLAN_COPY)
            world_copy(w, f, op);
        else if (op->kind < PLAN_COPY)
            world_do_journal(w, f, op, pair);
        else
            world_do_target(w, f, op, pair);
    }
    w->is_quiet = w->plan.n_ops == 0;
    plan_fini(&w->plan);
}

#endif
