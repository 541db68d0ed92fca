/* SPDX-License-Identifier: ISC */
/*
 * folder_sift: a plan is about the changes of all folders at once, so of each folder only these are
 * kept: the messages that have no pair, that have other flags than their pair, or that are gone,
 * and those pairs.  A listing of half a million messages in which three have changed leaves three.
 *
 * The pairs come from the journal in portions, by the UID of the source, and the source's listing
 * is merged with them; those that stand alone on the target come last, whole.  Where both sides
 * have told by their tokens what has changed, only the pairs of that come: all others are as they
 * were.  Of a side that was told briefly the flags of each portion are asked for.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/copy/alone.h"
#include "imapsync/copy/folder_parts.h"

#define PORTION_MAX 10000 /* pairs */
#define PORTIONS_AT_ONCE 6

/* Some pairs, with their flags on a side that was told briefly. */
struct portion {
    struct pair *v;
    size_t n;
    struct flags_of {
        uint32_t *uids; /* ascending */
        size_t n;
        struct end_changes told;
        struct end_ticket ticket;
    } source, target;
};

struct sieve {
    struct work *w;
    uint32_t next; /* in the source's listing; 0: that was all */
    size_t at;     /* and its place there, if more than UIDs were told */
    size_t n;      /* what of it is kept */
    size_t n_old;  /* of the listing */
    bool keeps;    /* the one that is next */
    struct journal_known known;
    struct uid_set of;   /* the pairs that have to be looked at, by their UIDs on the source */
    struct uid_set left; /* on the target, of the pairs that go */
    uint32_t *gone;      /* of a whole listing: pairs that it does not have */
    size_t n_gone;
    struct pair *pairs;
    size_t n_pairs, cap;
};

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

static void find_next(struct sieve *s)
{
    const struct end_changes *l = &s->w->listing;
    s->next = l->is_brief        ? uid_set_next(&l->uids, s->next)
              : s->at < s->n_old ? l->v[s->at].uid
                                 : 0;
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
    if (s->n_gone > 0 && s->gone[s->n_gone - 1] == p->src_uid)
        return true;
    /* Grown in powers of two. */
    if ((s->n_gone & (s->n_gone - 1)) == 0)
        s->gone = mem_realloc_array(s->gone, s->n_gone ? 2 * s->n_gone : 1, sizeof(*s->gone));
    s->gone[s->n_gone++] = p->src_uid;
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
        uid_set_add(&s->w->fresh, s->next);
    else if (!l->is_brief && (!has_pair || s->keeps))
        l->v[s->n++] = l->v[s->at];
    s->keeps = false;
    s->at++;
    find_next(s);
}

static void sift_pair(
    struct sieve *s, const struct portion *of, const struct pair *p, bool is_listed)
{
    struct work *w = s->w;
    const struct told *t = &w->target_told;
    const struct listed *source = !is_listed ? NULL
                                  : w->listing.is_brief
                                      ? end_changes_find(&of->source.told, p->src_uid)
                                      : &w->listing.v[s->at];
    const struct listed *there =
        end_changes_find(w->there.is_brief ? &of->target.told : &w->there, p->tgt_uid);
    bool is_lost = has_vanished(s, p, is_listed);
    bool is_lost_there = uids_have(t->vanished, t->n_vanished, p->tgt_uid);
    /* The pair is as both sides are, as far as they have told. */
    if (!w->is_lost && p->state == PAIR_STORED && is_as_told(source, is_lost, &p->flags) &&
        is_as_told(there, is_lost_there, &p->flags)) {
        uid_set_add(&s->left, p->tgt_uid);
        return;
    }
    w->has_lost = w->has_lost || w->is_lost || is_lost || is_lost_there ||
                  (p->state == PAIR_GONE && plan_policy(w->p->policy)->repeats_gone);
    w->n_same -= p->state == PAIR_STORED;
    keep_pair(s, p);
    if (source && w->listing.is_brief && !s->keeps)
        BUG_ON(!end_changes_add(&w->listing, source));
    s->keeps = is_listed;
    if (there && w->there.is_brief)
        BUG_ON(!end_changes_add(&w->there, there));
}

/* --- Portions
 * ------------------------------------------------------------------------------------- */

/* Asks for the flags of one side's messages that have a pair among these; and for dates, where one
 * has no copy that is known, and may be copied again. */
static void ask_flags(
    struct sieve *s, struct told *t, const struct portion *p, struct flags_of *out)
{
    bool is_source = t == &s->w->source_told;
    /* What may be copied once more needs its date. */
    bool is_copied = s->w->p->is_fresh;
    end_changes_init(&out->told, &s->w->keywords);
    if (!t->changes->is_brief)
        return;
    out->uids = mem_realloc_array(NULL, p->n, sizeof(*out->uids));
    for (size_t i = 0; i < p->n; i++) {
        uint32_t uid = is_source ? p->v[i].src_uid : p->v[i].tgt_uid;
        is_copied = is_copied || p->v[i].state != PAIR_STORED;
        if (uid != 0 && uid_set_has(&t->changes->uids, uid))
            out->uids[out->n++] = uid;
    }
    out->n = out->n > 0 ? uids_sort(out->uids, out->n) : 0;
    unsigned want = END_WANT_FLAGS | (is_source && is_copied ? END_WANT_DATES : 0);
    folder_list_begin(t, out->uids, out->n, want, &out->told, &out->ticket);
}

static int take_flags(struct sieve *s, struct told *t, struct flags_of *f, struct err *err)
{
    return folder_list_finish(s->w, t, f->uids, f->n, &f->told, &f->ticket, err);
}

static void portion_fini(struct portion *p)
{
    free(p->v);
    free(p->source.uids);
    free(p->target.uids);
    end_changes_fini(&p->source.told);
    end_changes_fini(&p->target.told);
    *p = (struct portion){0};
}

/* A server that keeps equal messages once may have given several of them one UID. */
static void sift_portion(struct sieve *s, const struct portion *of)
{
    for (size_t i = 0; i < of->n; i++) {
        const struct pair *p = &of->v[i];
        while (s->next != 0 && s->next < p->src_uid)
            pass_next(s, i > 0 && s->next == of->v[i - 1].src_uid);
        sift_pair(s, of, p, s->next != 0 && s->next == p->src_uid);
    }
    /* All of one UID are in one portion. */
    if (s->next != 0 && s->next == of->v[of->n - 1].src_uid)
        pass_next(s, true);
}

static int begin_portion(
    struct sieve *s, struct journal_walk *walk, struct portion *p, struct err *err)
{
    struct work *w = s->w;
    size_t most = w->c->options.portion < PORTION_MAX ? w->c->options.portion : PORTION_MAX;
    int r = journal_walk(w->c->journal, w->record->id, walk, most, err);
    if (r != 1)
        return r;
    *p = (struct portion){.v = walk->v, .n = walk->n};
    walk->v = NULL;
    ask_flags(s, &w->source_told, p, &p->source);
    ask_flags(s, &w->target_told, p, &p->target);
    return 1;
}

static int finish_portion(struct sieve *s, struct portion *p, struct err *err)
{
    struct err ignored = ERR_INIT;
    /* Both, so that none is on its way when the folder is given up. */
    int there = take_flags(s, &s->w->target_told, &p->target, err);
    int here = take_flags(s, &s->w->source_told, &p->source, there == 0 ? err : &ignored);
    if (there == 0 && here == 0)
        sift_portion(s, p);
    portion_fini(p);
    return there == 0 ? here : there;
}

static int keep_alone(struct sieve *s, struct err *err)
{
    struct work *w = s->w;
    struct pair *v;
    int result = journal_alone(w->c->journal, w->record->id, &v, &w->n_alone, err);
    for (size_t i = 0; i < w->n_alone; i++)
        keep_pair(s, &v[i]);
    w->has_lost = w->has_lost || w->n_alone > 0;
    free(v);
    return result;
}

/* Portions are asked about before those in front of them were answered. */
static int sift_all(struct sieve *s, struct err *err)
{
    struct work *w = s->w;
    struct portion ring[PORTIONS_AT_ONCE];
    bool is_all = w->is_lost || w->listing.is_whole || w->there.is_whole;
    struct journal_walk walk = {.of = is_all ? NULL : &s->of};
    bool is_brief = w->listing.is_brief || w->there.is_brief;
    size_t begun = 0, done = 0, most = is_brief ? PORTIONS_AT_ONCE : 1;
    bool has_more = true;
    int result = 0;
    if (!is_all && folder_touched(w, &s->known, &s->of, err) != 0)
        return -1;
    if ((w->listing.is_brief && folder_open_side(w, &w->source_told, err) != 0) ||
        (w->there.is_brief && folder_open_side(w, &w->target_told, err) != 0))
        return -1;
    while (has_more || done < begun) {
        struct err why = ERR_INIT;
        int r = 0;
        if (has_more && begun < done + most) {
            r = begin_portion(s, &walk, &ring[begun % PORTIONS_AT_ONCE], &why);
            begun += r == 1;
            has_more = r == 1;
        } else {
            r = finish_portion(s, &ring[done++ % PORTIONS_AT_ONCE], &why);
        }
        if (r < 0 && result == 0) {
            result = -1;
            *err = why;
            has_more = false;
        }
    }
    journal_walk_fini(&walk);
    while (result == 0 && s->next != 0)
        pass_next(s, false);
    return result == 0 && w->p->finds_alone ? keep_alone(s, err) : result;
}

/* --- What is left --- */

static void leave_there(struct sieve *s)
{
    struct work *w = s->w;
    struct end_changes *c = &w->there;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!uid_set_has(&s->left, c->v[i].uid))
            c->v[n++] = c->v[i];
    }
    c->n = n;
    struct uid_set kept = {0};
    for (size_t i = 0; c->is_brief && i < s->n_pairs; i++) {
        if (s->pairs[i].tgt_uid != 0)
            uid_set_add(&kept, s->pairs[i].tgt_uid);
    }
    uid_set_join(&kept);
    for (uint32_t uid = uid_set_next(&c->uids, 0); uid != 0; uid = uid_set_next(&c->uids, uid)) {
        if (!uid_set_has(&kept, uid) && !uid_set_has(&s->left, uid))
            uid_set_add(&w->foreign, uid);
    }
    uid_set_fini(&kept);
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
    uid_set_fini(&c->uids);
    c->n_uids = 0;
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
        f->has_twin = p->tgt_uid != 0 && uid_set_has(&s->left, p->tgt_uid);
        if (!w->is_lost && p->src_uid != 0 && p->state != PAIR_GONE && p->state != PAIR_LOST &&
            !uids_have(from->vanished, from->n_vanished, p->src_uid) &&
            !uids_have(to->vanished, to->n_vanished, p->tgt_uid))
            continue;
        if (alone_content(w, p, &c, &found, err) != 0)
            return -1;
        f->has_digest = found && c.has_digest;
        f->size = found ? c.size : 0;
        f->canon = c.canon;
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
        w->source_told.vanished = s->gone;
        w->source_told.n_vanished = s->n_gone;
        s->gone = NULL;
    }
    uid_set_join(&s->left);
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
    struct sieve s = {.w = w, .n_old = w->listing.n};
    w->has_lost = w->has_all_pairs = false;
    free(w->pairs);
    w->pairs = NULL;
    w->n_pairs = 0;
    take_vanished(&w->target_told);
    take_vanished(&w->source_told);
    find_next(&s);
    int result = journal_known_get(w->c->journal, w->record->id, &s.known, err);
    w->n_known = w->n_same = s.known.n_stored;
    if (result == 0)
        result = sift_all(&s, err);
    if (result == 0) {
        hand_over(&s);
        result = find_facts(&s, err);
    }
    journal_known_fini(&s.known);
    uid_set_fini(&s.of);
    uid_set_fini(&s.left);
    free(s.gone);
    free(s.pairs);
    return result;
}
