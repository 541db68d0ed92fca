/* SPDX-License-Identifier: ISC */
/*
 * plan_draft: what a plan is put together from: operations, changes of flags that they share,
 * questions, and what is withheld.
 */
#include <stdlib.h>

#include "imapsync/plan/plan_parts.h"

/* --- The answer -------------------------------------------------------------------------- */

struct plan_op *plan_add(
    struct plan_draft *d, enum plan_kind kind, enum plan_witness witness, uint32_t folder)
{
    struct plan *p = d->out;
    p->ops = plan_room(p->ops, p->n_ops, sizeof(*p->ops));
    p->ops[p->n_ops] =
        (struct plan_op){.kind = kind, .witness = witness, .folder = folder, .to = folder};
    return &p->ops[p->n_ops++];
}

static bool is_same_change(const struct plan_change *a, const struct plan_change *b)
{
    return flags_eq(&a->add, &b->add) && flags_eq(&a->remove, &b->remove) &&
           flags_eq(&a->now, &b->now) && flags_eq(&a->was, &b->was);
}

static uint64_t mix(uint64_t h, const struct flags *f)
{
    h = (h ^ f->system) * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < FLAGS_WORDS; i++)
        h = (h ^ (h >> 29) ^ f->keywords[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return h;
}

static size_t slot_of(const struct plan_draft *d, const struct plan_change *c)
{
    size_t i = (size_t)(mix(mix(mix(mix(1, &c->add), &c->remove), &c->now), &c->was) >> 20);
    for (;; i++) {
        uint32_t at = d->slots[i & (d->n_slots - 1)];
        if (at == 0 || is_same_change(&d->out->changes[at - 1], c))
            return i & (d->n_slots - 1);
    }
}

static void grow_slots(struct plan_draft *d)
{
    d->n_slots = d->n_slots == 0 ? 64 : 2 * d->n_slots;
    free(d->slots);
    d->slots = mem_zalloc(d->n_slots * sizeof(*d->slots));
    for (size_t i = 0; i < d->out->n_changes; i++)
        d->slots[slot_of(d, &d->out->changes[i])] = (uint32_t)i + 1;
}

uint32_t plan_change(struct plan_draft *d, const struct plan_change *c)
{
    struct plan *p = d->out;
    if (2 * p->n_changes >= d->n_slots)
        grow_slots(d);
    uint32_t *slot = &d->slots[slot_of(d, c)];
    if (*slot == 0) {
        p->changes = plan_room(p->changes, p->n_changes, sizeof(*p->changes));
        p->changes[p->n_changes++] = *c;
        *slot = (uint32_t)p->n_changes;
    }
    return *slot - 1;
}

void plan_withhold(struct plan *p, const struct plan_op *op, enum plan_reason reason)
{
    p->withheld = plan_room(p->withheld, p->n_withheld, sizeof(*p->withheld));
    p->withheld[p->n_withheld] = *op;
    p->withheld[p->n_withheld++].reason = reason;
}

void plan_withhold_last(struct plan_draft *d, enum plan_reason reason)
{
    plan_withhold(d->out, &d->out->ops[--d->out->n_ops], reason);
}

void plan_add_number(uint32_t **v, size_t *n, uint32_t number)
{
    *v = plan_room(*v, *n, sizeof(**v));
    (*v)[(*n)++] = number;
}

void plan_ask(
    struct plan_draft *d, enum plan_question question, bool is_target, const struct plan_fresh *f)
{
    struct plan *p = d->out;
    p->asks = plan_room(p->asks, p->n_asks, sizeof(*p->asks));
    p->asks[p->n_asks++] = (struct plan_ask){
        .question = question, .is_target = is_target, .folder = f->folder, .uid = f->uid};
}

struct plan_message plan_message_of(
    const struct plan_draft *d, bool is_target, const struct plan_fresh *f)
{
    const struct plan_folder *folder = &d->in->folders[f->folder];
    return plan_message_at(is_target ? &folder->target : &folder->source, f->at);
}
