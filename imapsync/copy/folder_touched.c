/* SPDX-License-Identifier: ISC */
/*
 * folder_touched: where both sides have told by their tokens what has changed, the pairs that this
 * is about.  Each of them costs some look-ups; what has not changed costs nothing, however much it
 * is.
 */
#include "imapsync/copy/folder_parts.h"

#define PAIRS_AT_ONCE 5000

struct touching {
    struct work *w;
    const struct journal_known *known;
    struct uid_set *out;
};

static void add_here(struct touching *x, const struct told *t)
{
    for (size_t i = 0; i < t->changes->n; i++)
        uid_set_add(x->out, t->changes->v[i].uid);
    for (size_t i = 0; i < t->n_vanished; i++)
        uid_set_add(x->out, t->vanished[i]);
}

static int add_namers(struct touching *x, uint32_t tgt_uid, struct uid_set *to, struct err *err)
{
    struct work *w = x->w;
    return uid_set_has(&x->known->target, tgt_uid)
               ? journal_add_sources(w->c->journal, w->record->id, tgt_uid, to, err)
               : 0;
}

static int add_there(struct touching *x, const struct told *t, struct err *err)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < t->changes->n; i++)
        result = add_namers(x, t->changes->v[i].uid, x->out, err);
    for (size_t i = 0; result == 0 && i < t->n_vanished; i++)
        result = add_namers(x, t->vanished[i], x->out, err);
    return result;
}

/* Those beside them, which name the same messages of the target. */
static int add_twins(struct touching *x, struct err *err)
{
    struct work *w = x->w;
    struct journal_walk walk = {.of = x->out};
    struct uid_set twins = {0};
    int r;
    while ((r = journal_walk(w->c->journal, w->record->id, &walk, PAIRS_AT_ONCE, err)) == 1) {
        int result = 0;
        for (size_t i = 0; result == 0 && i < walk.n; i++)
            result = add_namers(x, walk.v[i].tgt_uid, &twins, err);
        if (result != 0) {
            r = -1;
            break;
        }
    }
    journal_walk_fini(&walk);
    uid_set_join_with(x->out, &twins);
    uid_set_fini(&twins);
    return r;
}

int folder_touched(
    struct work *w, const struct journal_known *known, struct uid_set *out, struct err *err)
{
    struct touching x = {.w = w, .known = known, .out = out};
    /* What is not STORED is asked about in each pass. */
    uid_set_copy(out, &known->odd);
    add_here(&x, &w->source_told);
    if (add_there(&x, &w->target_told, err) != 0)
        return -1;
    uid_set_join(out);
    return known->has_twins ? add_twins(&x, err) : 0;
}
