/* SPDX-License-Identifier: ISC */
/*
 * apply_halves: a NO to the change of many messages is mostly about one of them, or about one flag.
 * So what was refused is tried again in parts, turn by turn, until what is at fault stands alone:
 * first the flags are halved, since all messages of the group get the same ones and a server that
 * does not like a keyword likes it nowhere, then the messages.
 *
 *     refused            flags left > 1   the first half of them, then the second
 *                        messages > 1     the first half of them, then the second
 *                        one of each      told (job->spared), and left as it is
 *
 * APPLY_ALONE_MAX messages that are refused alone, when none was taken, speak for all: then the
 * flag is refused by the folder, and any other change costs the folder, as nothing else will be
 * done there.  One that was refused alone in an earlier pass (plan_op.was_refused) speaks for
 * itself only: such ones are all that is left when they are tried again.  What has no time now
 * ([INUSE], throttling) refuses nothing and is not halved.
 *
 * A part begins with the step that was refused: what was done before it has been done to all.  A
 * group that was halved may have done more than was answered, so a removal keeps its intent: the
 * next pass takes off marks that are left (apply_settle.c).
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/apply/apply_parts.h"

void apply_part_begin(struct apply_group *g)
{
    g->part = (struct apply_part){.end = (uint32_t)g->n};
    if (g->kind == &apply_flags) {
        g->part.add = g->change->add;
        g->part.remove = g->change->remove;
    }
}

static void push(struct apply_group *g, const struct apply_part *p)
{
    g->parts = mem_realloc_array(g->parts, g->n_parts + 1, sizeof(*g->parts));
    g->parts[g->n_parts++] = *p;
}

static bool is_same_change(const struct apply_part *a, const struct apply_part *b)
{
    return flags_eq(&a->add, &b->add) && flags_eq(&a->remove, &b->remove);
}

/* --- Halving ---------------------------------------------------------------------------------- */

/* As a number of flags, adding and taking away apart. */
static size_t count(const struct flags *f)
{
    size_t n = (size_t)__builtin_popcount(f->system);
    for (size_t i = 0; i < FLAGS_WORDS; i++)
        n += (size_t)__builtin_popcountll(f->keywords[i]);
    return n;
}

/* The first n of them. */
static struct flags first_of(const struct flags *f, size_t n)
{
    struct flags out = {0};
    for (unsigned bit = 0; bit < 8 && n > 0; bit++) {
        if (f->system >> bit & 1) {
            out.system |= (uint8_t)(1u << bit);
            n--;
        }
    }
    for (size_t i = 0; i < KEYWORDS_MAX && n > 0; i++) {
        if (f->keywords[i / 64] >> i % 64 & 1) {
            out.keywords[i / 64] |= UINT64_C(1) << i % 64;
            n--;
        }
    }
    return out;
}

/* System flags go together first: it is mostly a keyword.  What the first part has changed the
 * guard of the second would take for somebody else's change. */
static void halve_flags(struct apply_group *g, size_t n_add, size_t n_remove)
{
    struct apply_part first = g->part, second = g->part;
    size_t n_system = (size_t)__builtin_popcount(g->part.add.system);
    if (n_add > 0 && n_remove > 0) {
        first.remove = second.add = (struct flags){0};
    } else if (n_add > 0) {
        first.add = first_of(&g->part.add, n_system > 0 && n_system < n_add ? n_system : n_add / 2);
        second.add = flags_minus(&g->part.add, &first.add);
    } else {
        first.remove = first_of(&g->part.remove, n_remove / 2);
        second.remove = flags_minus(&g->part.remove, &first.remove);
    }
    second.is_ours = true;
    push(g, &second);
    push(g, &first);
}

static void halve_messages(struct apply_group *g)
{
    struct apply_part first = g->part, second = g->part;
    first.end = second.from = g->which[g->n_uids / 2];
    push(g, &second);
    push(g, &first);
}

void apply_set_again(struct apply_group *g, const struct flags *add)
{
    struct apply_part p = g->part;
    p.add = *add;
    p.remove = (struct flags){0};
    p.step = 0;
    p.is_ours = p.is_second = true;
    push(g, &p);
}

/* --- What is at fault ------------------------------------------------------------------------- */

static struct apply_lost *lost_of(struct apply_group *g, size_t k)
{
    if (!g->lost)
        g->lost = mem_zalloc(g->n * sizeof(*g->lost));
    return &g->lost[k];
}

static void tell(struct apply_window *w, struct apply_group *g, uint32_t uid, size_t n,
    const struct apply_lost *what, const char *why)
{
    const struct apply_job *job = w->job;
    if (job->spared)
        job->spared(job->arg, &(struct apply_spared){.folder = g->visit->at,
                                  .uid = uid,
                                  .n = n,
                                  .is_flag = g->kind == &apply_flags,
                                  .has_no_place = what->has_no_place,
                                  .add = what->add,
                                  .remove = what->remove,
                                  .why = why});
}

void apply_spare(struct apply_window *w, struct apply_group *g, const uint32_t *places, size_t n,
    const struct apply_lost *what, const char *why)
{
    for (size_t k = 0; k < n; k++) {
        const struct plan_op *op = g->ops[places[k]];
        if (g->kind == &apply_flags) {
            struct apply_lost *l = lost_of(g, places[k]);
            l->add = flags_or(&l->add, &what->add);
            l->remove = flags_or(&l->remove, &what->remove);
        } else {
            g->fates[places[k]] = APPLY_WAITS;
        }
        apply_leave(w->job, op);
        if (n < APPLY_ALONE_MAX)
            tell(w, g, op->src_uid, 1, what, why);
    }
    if (n >= APPLY_ALONE_MAX)
        tell(w, g, 0, n, what, why);
}

/* Those that were refused alone, when it is known that not all are. */
static void tell_alone(struct apply_window *w, struct apply_group *g)
{
    struct apply_alone *a = g->alone;
    if (a && a->n > 0)
        apply_spare(w, g, a->places, a->n, &a->what, a->why.text);
    if (a)
        a->n = 0;
}

static void keep_alone(struct apply_group *g, const struct err *why)
{
    if (!g->alone)
        g->alone = mem_zalloc(sizeof(*g->alone));
    g->alone->places[g->alone->n++] = g->which[0];
    g->alone->what = (struct apply_lost){.add = g->part.add, .remove = g->part.remove};
    g->alone->why = *why;
}

/* With those that wait for the same change. */
static void spare_all(struct apply_window *w, struct apply_group *g)
{
    struct apply_alone *a = g->alone;
    struct apply_part all = g->part;
    while (g->n_parts > 0 && is_same_change(&all, &g->parts[g->n_parts - 1])) {
        const struct apply_part *p = &g->parts[--g->n_parts];
        all.from = p->from < all.from ? p->from : all.from;
        all.end = p->end > all.end ? p->end : all.end;
    }
    for (size_t i = 0; i < a->n; i++)
        all.from = a->places[i] < all.from ? a->places[i] : all.from;
    a->n = 0;
    g->part = all;
    apply_choose(g);
    apply_spare(w, g, g->which, g->n_uids, &a->what, a->why.text);
}

void apply_taken(struct apply_window *w, struct apply_group *g)
{
    g->has_taken = true;
    tell_alone(w, g);
}

bool apply_next_part(struct apply_window *w, struct apply_group *g)
{
    while (g->n_parts > 0) {
        const struct apply_part was = g->part;
        g->part = g->parts[--g->n_parts];
        if (!is_same_change(&was, &g->part)) {
            tell_alone(w, g);
            g->has_taken = false;
        }
        apply_choose(g);
        if (g->n_uids == 0)
            continue;
        g->is_again = true;
        return false;
    }
    tell_alone(w, g);
    apply_part_begin(g);
    apply_choose(g);
    return true;
}

bool apply_may_halve(const struct err *why)
{
    return why->class != ERR_TEMP || why->is_wide;
}

bool apply_halve(struct apply_window *w, struct apply_group *g, const struct err *why)
{
    struct err told = *why;
    const struct apply_lost what = {.add = g->part.add, .remove = g->part.remove};
    size_t n_add = count(&g->part.add), n_remove = count(&g->part.remove);
    (void)err_wrap(&told, "%s: cannot change messages", w->job->target->label);
    g->is_halved = true;
    g->part.step = g->step;
    if (n_add + n_remove > 1) {
        halve_flags(g, n_add, n_remove);
    } else if (g->n_uids > 1) {
        halve_messages(g);
    } else if (g->has_taken || g->ops[g->which[0]]->was_refused) {
        apply_spare(w, g, g->which, 1, &what, told.text);
    } else {
        keep_alone(g, &told);
        if (g->alone->n == APPLY_ALONE_MAX && g->kind != &apply_flags) {
            apply_refuse(w, g, told.text);
            return true;
        }
        if (g->alone->n == APPLY_ALONE_MAX)
            spare_all(w, g);
    }
    return apply_next_part(w, g);
}
