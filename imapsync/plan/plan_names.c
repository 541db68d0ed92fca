/* SPDX-License-Identifier: ISC */
/*
 * plan_names: which folder of the journal a listed one is, and what that means for the target.
 *
 * A MAILBOXID (RFC 8474) is the folder, whatever its name; without one the name is.  So a rename is
 * one where the server tells that it is, and else a folder that is lost and another that is new,
 * whose messages plan_moves finds by content.  Three-way here too: a folder that the target's user
 * has renamed keeps his name.
 *
 * Renames are put in an order in which each name is free when its turn comes, parents first, since
 * the folders below go with them.  Where that cannot be (two folders have changed their names) the
 * target keeps its names: the journal knows which folder is which.  INBOX is never renamed.
 */
#include "imapsync/plan/plan.h"

#include <stdlib.h>
#include <string.h>

#include "imapsync/plan/plan_parts.h"
#include "imapsync/ends/name.h"

#define NAME_MAX 4096 /* octets; a list has shorter ones */

struct ref {
    struct slice key;
    uint32_t at;
};

struct rename {
    uint32_t known, source;
    struct slice from, to;
    bool is_done;
};

struct naming {
    const struct plan_names *in;
    const struct plan_policy *policy;
    struct plan_folders *out;
    struct ref *ids, *names, *target_ids, *targets; /* sorted */
    size_t n_ids, n_names, n_target_ids, n_targets;
    bool *is_known_taken;
    struct rename *renames; /* those done first, in their order */
    size_t n_renames, n_done;
};

static int by_key(const void *a, const void *b)
{
    const struct ref *x = a, *y = b;
    size_t n = x->key.n < y->key.n ? x->key.n : y->key.n;
    int r = n > 0 ? memcmp(x->key.p, y->key.p, n) : 0;
    return r != 0 ? r : x->key.n < y->key.n ? -1 : x->key.n > y->key.n;
}

static uint32_t find(const struct ref *v, size_t n, struct slice key)
{
    struct ref wanted = {.key = key};
    const struct ref *hit = key.n > 0 ? mem_search(&wanted, v, n, sizeof(*v), by_key) : NULL;
    return hit ? hit->at : PLAN_NOWHERE;
}

static struct ref *sorted(size_t n, struct slice (*key)(const struct naming *w, uint32_t i),
    const struct naming *w, size_t *n_out)
{
    struct ref *v = mem_realloc_array(NULL, n + 1, sizeof(*v));
    *n_out = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct slice k = key(w, i);
        if (k.n > 0)
            v[(*n_out)++] = (struct ref){k, i};
    }
    mem_sort(v, *n_out, sizeof(*v), by_key);
    return v;
}

static struct slice known_id(const struct naming *w, uint32_t i)
{
    return w->in->known[i].source.mailboxid;
}

static struct slice known_name(const struct naming *w, uint32_t i)
{
    return folder_plain_name(w->in->known[i].source.name);
}

static struct slice target_id(const struct naming *w, uint32_t i)
{
    return w->in->target[i].mailboxid;
}

static struct slice target_name(const struct naming *w, uint32_t i)
{
    return folder_plain_name(w->in->target[i].name);
}

static struct plan_name_op *add(struct naming *w, enum plan_kind kind, enum plan_witness witness)
{
    struct plan_folders *o = w->out;
    o->ops = plan_room(o->ops, o->n_ops, sizeof(*o->ops));
    o->ops[o->n_ops] = (struct plan_name_op){
        .kind = kind, .witness = witness, .known = PLAN_NOWHERE, .source = PLAN_NOWHERE};
    return &o->ops[o->n_ops++];
}

/* A name that lives as long as the answer: a, and b behind it.  Empty: it would be too long. */
static struct slice own(struct naming *w, struct slice a, struct slice b)
{
    struct plan_folders *o = w->out;
    if (a.n + b.n > NAME_MAX)
        return SLICE_NONE;
    char *text = mem_zalloc(a.n + b.n + 1);
    memcpy(text, a.p, a.n);
    memcpy(text + a.n, b.p, b.n);
    o->texts = plan_room(o->texts, o->n_texts, sizeof(*o->texts));
    o->texts[o->n_texts++] = text;
    return slice_make(text, a.n + b.n);
}

static bool is_below(const struct naming *w, struct slice name, struct slice parent)
{
    return w->in->delimiter >= 0 && name.n > parent.n && slice_starts(name, parent) &&
           name.p[parent.n] == (unsigned char)w->in->delimiter;
}

/* What the renames done so far have made of a name. */
static struct slice now_called(struct naming *w, struct slice name)
{
    for (size_t i = 0; i < w->n_done; i++) {
        const struct rename *r = &w->renames[i];
        if (folder_same_name(name, r->from))
            name = r->to;
        else if (is_below(w, name, r->from))
            name = own(w, r->to, slice_from(name, r->from.n));
    }
    return name;
}

/* Whether the target has a folder of that name now. */
static bool is_there(struct naming *w, struct slice name)
{
    for (size_t i = w->n_done; i-- > 0;) {
        const struct rename *r = &w->renames[i];
        if (folder_same_name(name, r->to))
            name = r->from;
        else if (is_below(w, name, r->to))
            name = own(w, r->from, slice_from(name, r->to.n));
        else if (folder_same_name(name, r->from) || is_below(w, name, r->from))
            return false;
    }
    return name.n == 0 || find(w->targets, w->n_targets, folder_plain_name(name)) != PLAN_NOWHERE;
}

/* --- Which is which -------------------------------------------------------------------------- */

static void take(struct naming *w, uint32_t source, uint32_t known)
{
    if (known == PLAN_NOWHERE || w->is_known_taken[known])
        return;
    w->out->known_of[source] = known;
    w->is_known_taken[known] = true;
}

static void identify(struct naming *w)
{
    const struct plan_names *in = w->in;
    for (uint32_t i = 0; i < in->n_source; i++) {
        w->out->known_of[i] = PLAN_NOWHERE;
        take(w, i, find(w->ids, w->n_ids, in->source[i].source.mailboxid));
    }
    for (uint32_t i = 0; i < in->n_source; i++) {
        if (w->out->known_of[i] == PLAN_NOWHERE)
            take(w, i, find(w->names, w->n_names, folder_plain_name(in->source[i].source.name)));
    }
    for (uint32_t i = 0; i < in->n_known; i++) {
        if (!w->is_known_taken[i])
            plan_add_number(&w->out->lost, &w->out->n_lost, i);
    }
}

/* --- Renames --------------------------------------------------------------------------------- */

/* The target's user has renamed it: NULL, or his folder. */
static const struct plan_name *renamed_there(const struct naming *w, const struct plan_known *k)
{
    uint32_t i = find(w->target_ids, w->n_target_ids, k->target.mailboxid);
    if (i == PLAN_NOWHERE || folder_same_name(w->in->target[i].name, k->target.name))
        return NULL;
    return &w->in->target[i];
}

/* Whether the target's folder of that name is the one that the journal knows. */
static bool is_ours(const struct naming *w, const struct plan_known *k)
{
    uint32_t i = find(w->targets, w->n_targets, folder_plain_name(k->target.name));
    if (i == PLAN_NOWHERE)
        return false;
    struct slice id = w->in->target[i].mailboxid;
    return id.n == 0 || k->target.mailboxid.n == 0 || slice_eq(id, k->target.mailboxid);
}

static void look_at(struct naming *w, uint32_t source)
{
    uint32_t known = w->out->known_of[source];
    const struct plan_known *k = &w->in->known[known];
    const struct plan_listed *s = &w->in->source[source];
    const struct plan_name *theirs = renamed_there(w, k);
    bool is_renamed = !folder_same_name(k->source.name, s->source.name);
    if (is_renamed) {
        struct plan_name_op *op = add(w, PLAN_NAME, PLAN_W_MAILBOXID);
        op->known = known;
        op->source = source;
        op->from = k->source.name;
        op->to = s->source.name;
    }
    if (theirs) {
        struct plan_name_op *op = add(w, PLAN_NAME, PLAN_W_MAILBOXID);
        op->known = known;
        op->source = source;
        op->is_target = true;
        op->from = k->target.name;
        op->to = theirs->name;
    } else if (is_renamed && w->policy->follows_moves && is_ours(w, k) && s->mapped.n > 0 &&
               !folder_same_name(k->target.name, s->mapped) && !folder_is_inbox(k->target.name) &&
               !folder_is_inbox(s->mapped)) {
        w->renames = plan_room(w->renames, w->n_renames, sizeof(*w->renames));
        w->renames[w->n_renames++] = (struct rename){
            .known = known, .source = source, .from = k->target.name, .to = s->mapped};
    }
}

static int by_depth(const void *a, const void *b)
{
    const struct rename *x = a, *y = b;
    if (x->from.n != y->from.n)
        return x->from.n < y->from.n ? -1 : 1;
    return x->known < y->known ? -1 : x->known > y->known;
}

static bool rename_one(struct naming *w, size_t at)
{
    struct rename r = w->renames[at];
    struct slice from = now_called(w, r.from);
    bool is_implied = folder_same_name(from, r.to);
    /* Not below itself. */
    if (!is_implied && (from.n == 0 || is_there(w, r.to) || is_below(w, r.to, from)))
        return false;
    struct plan_name_op *op =
        is_implied ? add(w, PLAN_NAME, PLAN_W_PARENT) : add(w, PLAN_RENAME, PLAN_W_MAILBOXID);
    op->known = r.known;
    op->source = r.source;
    op->is_target = true;
    op->from = is_implied ? r.from : from;
    op->to = r.to;
    w->renames[at].is_done = true;
    if (!is_implied) {
        /* Those done stand first. */
        r.from = from;
        r.is_done = true;
        w->renames[at] = w->renames[w->n_done];
        w->renames[w->n_done++] = r;
    }
    return true;
}

/* Until no more of them finds its name free. */
static void rename_all(struct naming *w)
{
    bool has_moved = true;
    mem_sort(w->renames, w->n_renames, sizeof(*w->renames), by_depth);
    while (has_moved) {
        has_moved = false;
        for (size_t i = w->n_done; i < w->n_renames; i++)
            has_moved = (!w->renames[i].is_done && rename_one(w, i)) || has_moved;
    }
}

/* --- Folders to be made --------------------------------------------------------------------- */

static void make(struct naming *w, uint32_t source)
{
    uint32_t known = w->out->known_of[source];
    struct slice name = w->in->source[source].mapped;
    if (known != PLAN_NOWHERE) {
        const struct plan_known *k = &w->in->known[known];
        const struct plan_name *theirs = renamed_there(w, k);
        name = now_called(w, theirs ? theirs->name : k->target.name);
        if (w->policy->is_behind_flip)
            return; /* its user has removed it */
    }
    if (name.n == 0 || is_there(w, name) || folder_is_inbox(name))
        return;
    struct plan_name_op *op = add(w, PLAN_MAKE, PLAN_W_LISTED);
    op->known = known;
    op->source = source;
    op->is_target = true;
    op->to = name;
}

static int by_turn(const void *a, const void *b)
{
    const struct plan_name_op *x = a, *y = b;
    if (x->kind != y->kind)
        return (int)x->kind - (int)y->kind;
    if (x->kind == PLAN_MAKE && x->to.n != y->to.n)
        return x->to.n < y->to.n ? -1 : 1;
    return 0;
}

/* Stable, since renames have their order: kinds are few, and makes come by length. */
static void put_in_order(struct plan_folders *o)
{
    struct plan_name_op *v = mem_realloc_array(NULL, o->n_ops + 1, sizeof(*v));
    size_t n = 0, first_make;
    for (enum plan_kind kind = PLAN_NAME; kind <= PLAN_MAKE; kind++) {
        first_make = n;
        for (size_t i = 0; i < o->n_ops; i++) {
            if (o->ops[i].kind == kind)
                v[n++] = o->ops[i];
        }
    }
    mem_sort(v + first_make, n - first_make, sizeof(*v), by_turn);
    free(o->ops);
    o->ops = v;
}

void plan_folders(const struct plan_names *in, struct plan_folders *out)
{
    struct naming w = {.in = in, .policy = plan_policy(in->policy), .out = out};
    *out = (struct plan_folders){
        .known_of = mem_realloc_array(NULL, in->n_source + 1, sizeof(*out->known_of))};
    w.is_known_taken = mem_zalloc(in->n_known + 1);
    w.ids = sorted(in->n_known, known_id, &w, &w.n_ids);
    w.names = sorted(in->n_known, known_name, &w, &w.n_names);
    w.target_ids = sorted(in->n_target, target_id, &w, &w.n_target_ids);
    w.targets = sorted(in->n_target, target_name, &w, &w.n_targets);
    identify(&w);
    for (uint32_t i = 0; i < in->n_source; i++) {
        if (out->known_of[i] != PLAN_NOWHERE)
            look_at(&w, i);
    }
    rename_all(&w);
    for (uint32_t i = 0; w.policy->makes_all && i < in->n_source; i++)
        make(&w, i);
    put_in_order(out);
    free(w.is_known_taken);
    free(w.ids);
    free(w.names);
    free(w.target_ids);
    free(w.targets);
    free(w.renames);
}

void plan_folders_fini(struct plan_folders *f)
{
    for (size_t i = 0; i < f->n_texts; i++)
        free(f->texts[i]);
    free(f->texts);
    free(f->known_of);
    free(f->ops);
    free(f->lost);
    *f = (struct plan_folders){0};
}
