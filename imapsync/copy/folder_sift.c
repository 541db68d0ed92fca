/* SPDX-License-Identifier: ISC */
/*
 * folder_sift: a plan is about the changes of all folders at once, so of each folder only these are
 * kept: the messages that have no pair, that have other flags than their pair, or that are gone,
 * and those pairs.  A listing of half a million messages in which three have changed leaves three.
 *
 * The pairs come from the journal in portions, by the UID of the source, and the source's listing
 * is merged with them.  Of a side that was told briefly the flags of each portion are asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/copy/folder_parts.h"

struct sieve {
    struct work *w;
    /* Flags of this portion, of a side that was told briefly. */
    struct end_changes source, target;
    size_t at;            /* in the source's listing: what is next */
    size_t n;             /* and what of it is kept */
    size_t n_old;         /* of the listing */
    bool keeps;           /* the one that is next */
    struct uid_list left; /* on the target, of the pairs that go */
    struct uid_list gone; /* of a whole listing: pairs that it does not have */
    struct pair *pairs;
    size_t n_pairs, cap;
};

static void push(struct uid_list *l, uint32_t uid)
{
    /* Grown in powers of two. */
    if ((l->n & (l->n - 1)) == 0)
        l->v = mem_realloc_array(l->v, l->n ? 2 * l->n : 1, sizeof(*l->v));
    l->v[l->n++] = uid;
}

/* --- What the sides have told ------------------------------------------------------------------
 */

static void take_vanished(struct told *t)
{
    const struct end_changes *c = t->changes;
    t->vanished = mem_realloc_array(t->vanished, c->n_vanished + 1, sizeof(*t->vanished));
    if (c->n_vanished > 0)
        memcpy(t->vanished, c->vanished, c->n_vanished * sizeof(*t->vanished));
    t->n_vanished = uids_sort(t->vanished, c->n_vanished);
}

static uint32_t next_uid(const struct sieve *s)
{
    const struct end_changes *l = &s->w->listing;
    return l->is_brief ? l->uids[s->at] : l->v[s->at].uid;
}

/* Pairs may have been found since the source was asked: of a whole listing, those that it does not
 * have.  What was found on the target since is above all that it was asked for. */
static bool has_vanished(struct sieve *s, const struct pair *p, bool is_listed)
{
    const struct told *t = &s->w->source_told;
    if (!s->w->listing.is_whole)
        return uids_have(t->vanished, t->n_vanished, p->src_uid);
    if (is_listed)
        return false;
    if (s->gone.n == 0 || s->gone.v[s->gone.n - 1] != p->src_uid)
        push(&s->gone, p->src_uid);
    return true;
}

/* --- What goes -----------------------------------------------------------------------------------
 */

static bool is_as_told(const struct listed *l, bool is_lost, const struct flags *flags)
{
    return l ? !l->has_flags || flags_eq(&l->flags, flags) : !is_lost;
}

static void keep_pair(struct sieve *s, const struct pair *p)
{
    if (s->n_pairs == s->cap) {
        s->cap = s->cap ? s->cap + s->cap / 2 : 64;
        s->pairs = mem_realloc_array(s->pairs, s->cap, sizeof(*s->pairs));
    }
    s->pairs[s->n_pairs++] = *p;
}

/* What is next goes, if it has a pair and nobody has kept it; without one it is new. */
static void pass_next(struct sieve *s, bool has_pair)
{
    struct end_changes *l = &s->w->listing;
    if (l->is_brief && !has_pair)
        push(&s->w->fresh, l->uids[s->at]);
    else if (!l->is_brief && (!has_pair || s->keeps))
        l->v[s->n++] = l->v[s->at];
    s->keeps = false;
    s->at++;
}

static void sift_pair(struct sieve *s, const struct pair *p, bool is_listed)
{
    struct work *w = s->w;
    const struct told *t = &w->target_told;
    const struct listed *source = !is_listed            ? NULL
                                  : w->listing.is_brief ? end_changes_find(&s->source, p->src_uid)
                                                        : &w->listing.v[s->at];
    const struct listed *there =
        end_changes_find(w->there.is_brief ? &s->target : &w->there, p->tgt_uid);
    bool is_lost = has_vanished(s, p, is_listed);
    bool is_lost_there = uids_have(t->vanished, t->n_vanished, p->tgt_uid);
    w->n_known += p->state == PAIR_STORED;
    /* The pair is as both sides are, as far as they have told. */
    if (!w->is_lost && p->state == PAIR_STORED && is_as_told(source, is_lost, &p->flags) &&
        is_as_told(there, is_lost_there, &p->flags)) {
        w->n_same++;
        push(&s->left, p->tgt_uid);
        return;
    }
    w->has_lost = w->has_lost || w->is_lost || is_lost || is_lost_there;
    keep_pair(s, p);
    if (source && w->listing.is_brief && !s->keeps)
        BUG_ON(!end_changes_add(&w->listing, source));
    s->keeps = is_listed;
    if (there && w->there.is_brief)
        BUG_ON(!end_changes_add(&w->there, there));
}

/* --- Portions
 * ------------------------------------------------------------------------------------- */

/* The flags of one side's messages that have a pair among these. */
static int ask_flags(struct sieve *s, struct told *t, const struct journal_walk *walk,
    struct end_changes *out, struct err *err)
{
    bool is_source = t == &s->w->source_told;
    struct uid_list uids = {mem_realloc_array(NULL, walk->n, sizeof(*uids.v)), 0};
    end_changes_clear(out);
    for (size_t i = 0; i < walk->n; i++) {
        uint32_t uid = is_source ? walk->v[i].src_uid : walk->v[i].tgt_uid;
        if (uid != 0 && uids_have(t->changes->uids, t->changes->n_uids, uid))
            uids.v[uids.n++] = uid;
    }
    if (uids.n > 0)
        uids.n = uids_sort(uids.v, uids.n);
    int result = folder_list(s->w, t, uids.v, uids.n, END_WANT_FLAGS, out, err);
    free(uids.v);
    return result;
}

static int ask_portion(struct sieve *s, const struct journal_walk *walk, struct err *err)
{
    struct work *w = s->w;
    if (w->listing.is_brief && ask_flags(s, &w->source_told, walk, &s->source, err) != 0)
        return -1;
    return w->there.is_brief ? ask_flags(s, &w->target_told, walk, &s->target, err) : 0;
}

/* A server that keeps equal messages once may have given several of them one UID. */
static void sift_portion(struct sieve *s, const struct journal_walk *walk)
{
    for (size_t i = 0; i < walk->n; i++) {
        const struct pair *p = &walk->v[i];
        while (s->at < s->n_old && next_uid(s) < p->src_uid)
            pass_next(s, i > 0 && next_uid(s) == walk->v[i - 1].src_uid);
        sift_pair(s, p, s->at < s->n_old && next_uid(s) == p->src_uid);
    }
    /* All of one UID are in one portion. */
    if (s->at < s->n_old && next_uid(s) == walk->v[walk->n - 1].src_uid)
        pass_next(s, true);
}

static int sift_all(struct sieve *s, struct err *err)
{
    struct work *w = s->w;
    struct journal_walk walk = {0};
    int r = 0;
    if ((w->listing.is_brief && folder_open_side(w, &w->source_told, err) != 0) ||
        (w->there.is_brief && folder_open_side(w, &w->target_told, err) != 0))
        return -1;
    while (
        (r = journal_walk(w->c->journal, w->record->id, &walk, w->c->options.portion, err)) == 1) {
        if (ask_portion(s, &walk, err) != 0) {
            r = -1;
            break;
        }
        sift_portion(s, &walk);
    }
    journal_walk_fini(&walk);
    while (r == 0 && s->at < s->n_old)
        pass_next(s, false);
    return r;
}

/* --- What is left
 * ----------------------------------------------------------------------------------- */

static int by_target(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    return x->tgt_uid < y->tgt_uid ? -1 : x->tgt_uid > y->tgt_uid;
}

static void leave_there(struct sieve *s)
{
    struct work *w = s->w;
    struct end_changes *c = &w->there;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!uids_have(s->left.v, s->left.n, c->v[i].uid))
            c->v[n++] = c->v[i];
    }
    c->n = n;
    if (!c->is_brief)
        return;
    mem_sort(s->pairs, s->n_pairs, sizeof(*s->pairs), by_target);
    for (size_t i = 0, k = 0; i < c->n_uids; i++) {
        while (k < s->n_pairs && s->pairs[k].tgt_uid < c->uids[i])
            k++;
        if (!(k < s->n_pairs && s->pairs[k].tgt_uid == c->uids[i]) &&
            !uids_have(s->left.v, s->left.n, c->uids[i]))
            push(&w->foreign, c->uids[i]);
    }
}

static int by_source(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->src_uid != y->src_uid)
        return x->src_uid < y->src_uid ? -1 : 1;
    return x->tgt_uid < y->tgt_uid ? -1 : x->tgt_uid > y->tgt_uid;
}

static void give_back(struct end_changes *c)
{
    end_changes_finish(c);
    c->cap = c->n + 1;
    c->v = mem_realloc_array(c->v, c->cap, sizeof(*c->v));
    free(c->uids);
    c->uids = NULL;
    c->n_uids = c->cap_uids = 0;
    c->is_brief = false;
}

static int find_facts(struct sieve *s, struct err *err)
{
    struct work *w = s->w;
    const struct told *from = &w->source_told, *to = &w->target_told;
    free(w->facts);
    w->facts = mem_zalloc((w->n_pairs + 1) * sizeof(*w->facts));
    for (size_t i = 0; i < w->n_pairs; i++) {
        const struct pair *p = &w->pairs[i];
        struct fact *f = &w->facts[i];
        struct content c;
        bool found;
        f->has_twin = p->tgt_uid != 0 && uids_have(s->left.v, s->left.n, p->tgt_uid);
        if (!w->is_lost && !uids_have(from->vanished, from->n_vanished, p->src_uid) &&
            !uids_have(to->vanished, to->n_vanished, p->tgt_uid))
            continue;
        if (journal_content(w->c->journal, w->record->id, p->src_uid, &c, &found, err) != 0)
            return -1;
        f->has_digest = found && c.has_digest;
        f->size = found ? c.size : 0;
        memcpy(f->digest, c.digest, SHA256_SIZE);
    }
    return 0;
}

/* The work has what is left. */
static void hand_over(struct sieve *s)
{
    struct work *w = s->w;
    if (!w->listing.is_brief)
        w->listing.n = s->n;
    if (w->listing.is_whole) {
        free(w->source_told.vanished);
        w->source_told.vanished = s->gone.v;
        w->source_told.n_vanished = s->gone.n;
        s->gone = (struct uid_list){0};
    }
    s->left.n = s->left.n > 0 ? uids_sort(s->left.v, s->left.n) : 0;
    leave_there(s);
    if (s->n_pairs > 0)
        mem_sort(s->pairs, s->n_pairs, sizeof(*s->pairs), by_source);
    give_back(&w->listing);
    give_back(&w->there);
    w->pairs = mem_realloc_array(s->pairs, s->n_pairs + 1, sizeof(*s->pairs));
    w->n_pairs = s->n_pairs;
    s->pairs = NULL;
}

int folder_sift(struct work *w, struct err *err)
{
    struct sieve s = {.w = w, .n_old = w->listing.is_brief ? w->listing.n_uids : w->listing.n};
    end_changes_init(&s.source, &w->keywords);
    end_changes_init(&s.target, &w->keywords);
    w->n_known = w->n_same = 0;
    w->has_lost = w->has_all_pairs = false;
    free(w->pairs);
    w->pairs = NULL;
    w->n_pairs = 0;
    take_vanished(&w->target_told);
    take_vanished(&w->source_told);
    int result = sift_all(&s, err);
    if (result == 0) {
        hand_over(&s);
        result = find_facts(&s, err);
    }
    end_changes_fini(&s.source);
    end_changes_fini(&s.target);
    free(s.left.v);
    free(s.gone.v);
    free(s.pairs);
    return result;
}
