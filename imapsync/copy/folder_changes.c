/* SPDX-License-Identifier: ISC */
/*
 * folder_changes: what the plan is told of one folder.
 *
 * A plan is about the changes of all folders at once, so of each folder only these are kept: the
 * messages that have no pair, that have other flags than their pair, or that are gone, and those
 * pairs.  A listing of half a million messages in which three have changed leaves three.
 *
 * Contents cost a reading, and sizes a question: both are asked for when the plan wants to know
 * whether a message was moved, the size first.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/copy/folder_parts.h"

/* --- What is kept ------------------------------------------------------------------------- */

static void take_vanished(struct told *t)
{
    const struct end_changes *c = t->changes;
    t->vanished = mem_realloc_array(t->vanished, c->n_vanished + 1, sizeof(*t->vanished));
    if (c->n_vanished > 0)
        memcpy(t->vanished, c->vanished, c->n_vanished * sizeof(*t->vanished));
    t->n_vanished = uids_sort(t->vanished, c->n_vanished);
}

/* Pairs may have been found since the source was asked: of a whole listing, those that it does not
 * have.  What was found on the target since is above all that it was asked for. */
static void find_vanished(struct work *w)
{
    const struct end_changes *l = &w->listing;
    struct told *t = &w->source_told;
    take_vanished(&w->target_told);
    if (!l->is_whole) {
        take_vanished(t);
        return;
    }
    t->vanished = mem_realloc_array(t->vanished, w->n_pairs + 1, sizeof(*t->vanished));
    t->n_vanished = 0;
    for (size_t i = 0, k = 0; k < w->n_pairs; k++) {
        while (i < l->n && l->v[i].uid < w->pairs[k].src_uid)
            i++;
        if (i == l->n || l->v[i].uid != w->pairs[k].src_uid)
            t->vanished[t->n_vanished++] = w->pairs[k].src_uid;
    }
}

static bool is_as_told(
    const struct told *t, const struct listed *l, uint32_t uid, const struct flags *flags)
{
    if (l)
        return !l->has_flags || flags_eq(&l->flags, flags);
    return !uids_have(t->vanished, t->n_vanished, uid);
}

/* Whether the pair is as both sides are, as far as they have told. */
static bool is_settled(const struct work *w, const struct pair *p, const struct listed *source)
{
    return !w->is_lost && p->state == PAIR_STORED &&
           is_as_told(&w->source_told, source, p->src_uid, &p->flags) &&
           is_as_told(
               &w->target_told, end_changes_find(&w->there, p->tgt_uid), p->tgt_uid, &p->flags);
}

/* *left: the target's UIDs of the pairs that go. */
static void drop_settled(struct work *w, uint32_t *left, size_t *n_left)
{
    struct end_changes *l = &w->listing;
    size_t i = 0, n = 0, n_pairs = 0;
    for (size_t k = 0; k < w->n_pairs; k++) {
        const struct pair *p = &w->pairs[k];
        while (i < l->n && l->v[i].uid < p->src_uid)
            l->v[n++] = l->v[i++];
        const struct listed *source = i < l->n && l->v[i].uid == p->src_uid ? &l->v[i] : NULL;
        bool goes = is_settled(w, p, source);
        w->n_same += goes;
        if (goes)
            left[(*n_left)++] = p->tgt_uid;
        else
            w->pairs[n_pairs++] = *p;
        if (source && !goes)
            l->v[n++] = *source;
        i += source != NULL;
    }
    while (i < l->n)
        l->v[n++] = l->v[i++];
    l->n = n;
    w->n_pairs = n_pairs;
}

static void drop_settled_there(struct work *w, const uint32_t *left, size_t n_left)
{
    struct end_changes *c = &w->there;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!uids_have(left, n_left, c->v[i].uid))
            c->v[n++] = c->v[i];
    }
    c->n = n;
}

static void give_back(struct end_changes *c)
{
    c->cap = c->n + 1;
    c->v = mem_realloc_array(c->v, c->cap, sizeof(*c->v));
}

static int find_facts(struct work *w, const uint32_t *left, size_t n_left, struct err *err)
{
    const struct told *s = &w->source_told, *t = &w->target_told;
    free(w->facts);
    w->facts = mem_zalloc((w->n_pairs + 1) * sizeof(*w->facts));
    for (size_t i = 0; i < w->n_pairs; i++) {
        const struct pair *p = &w->pairs[i];
        struct fact *f = &w->facts[i];
        struct content c;
        bool found;
        f->has_twin = p->tgt_uid != 0 && uids_have(left, n_left, p->tgt_uid);
        if (!w->is_lost && !uids_have(s->vanished, s->n_vanished, p->src_uid) &&
            !uids_have(t->vanished, t->n_vanished, p->tgt_uid))
            continue;
        if (journal_content(w->c->journal, w->record->id, p->src_uid, &c, &found, err) != 0)
            return -1;
        f->has_digest = found && c.has_digest;
        f->size = found ? c.size : 0;
        memcpy(f->digest, c.digest, SHA256_SIZE);
    }
    return 0;
}

int folder_boil_down(struct work *w, struct err *err)
{
    uint32_t *left = mem_realloc_array(NULL, w->n_pairs + 1, sizeof(*left));
    size_t n_left = 0;
    w->n_known = w->n_same = 0;
    for (size_t i = 0; i < w->n_pairs; i++)
        w->n_known += w->pairs[i].state == PAIR_STORED;
    find_vanished(w);
    drop_settled(w, left, &n_left);
    n_left = uids_sort(left, n_left);
    drop_settled_there(w, left, n_left);
    give_back(&w->listing);
    give_back(&w->there);
    w->pairs = mem_realloc_array(w->pairs, w->n_pairs + 1, sizeof(*w->pairs));
    int result = find_facts(w, left, n_left, err);
    free(left);
    return result;
}

/* --- The plan's view ----------------------------------------------------------------------- */

static const unsigned char any_digest[SHA256_SIZE];

static int by_uid(const void *a, const void *b)
{
    const struct body *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static struct plan_message message_at(const void *arg, size_t i)
{
    const struct told *t = arg;
    const struct listed *l = &t->changes->v[i];
    const struct body key = {.uid = l->uid};
    const struct body *read =
        t->n_read > 0 ? mem_search(&key, t->read, t->n_read, sizeof(key), by_uid) : NULL;
    struct plan_message m = {.uid = l->uid,
        .size = l->has_size ? l->size : 0,
        .has_flags = l->has_flags,
        .flags = l->flags,
        .is_unreadable = read && !read->is_there,
        .digest = read && read->is_there ? read->digest : NULL};
    /* What is late late.h has told already. */
    if (folder_is_behind_flip(t->of))
        m.digest = any_digest;
    return m;
}

static struct plan_pair pair_at(const void *arg, size_t i)
{
    const struct work *w = arg;
    const struct pair *p = &w->pairs[i];
    const struct fact *f = &w->facts[i];
    /* GONE ones come again by content before a flip: see folder_known.c. */
    return (struct plan_pair){.src_uid = p->src_uid,
        .tgt_uid = p->tgt_uid,
        .state = p->state,
        .is_touched = p->is_touched,
        .may_retry = true,
        .has_twin = f->has_twin,
        .flags = p->flags,
        .size = f->size,
        .digest = f->has_digest ? f->digest : NULL};
}

static void view_side(const struct told *t, struct plan_side *out)
{
    *out = (struct plan_side){.n = t->changes->n,
        .message = message_at,
        .arg = t,
        .vanished = t->vanished,
        .n_vanished = t->n_vanished,
        .is_sure = !t->is_asked || t->changes->is_sure};
}

void folder_view(const struct work *w, struct plan_folder *out)
{
    bool is_told = w->target_told.is_asked;
    *out = (struct plan_folder){.n_pairs = w->n_pairs,
        .pair = pair_at,
        .arg = w,
        .n_known = w->n_known,
        .is_source_lost = w->is_lost,
        .is_confirmed = w->is_lost ? w->c->options.delete_percent == 100 : w->is_confirmed,
        .is_target_trash = w->target->use == FOLDER_USE_TRASH};
    view_side(&w->source_told, &out->source);
    view_side(&w->target_told, &out->target);
    out->storable.system = is_told ? (uint8_t)w->there.storable : UINT8_MAX;
    for (size_t i = 0; i < FLAGS_WORDS && (!is_told || w->there.takes_keywords); i++)
        out->storable.keywords[i] = UINT64_MAX;
}

/* --- What it asks for ----------------------------------------------------------------------- */

static struct listed *listed_of(const struct told *t, uint32_t uid)
{
    return (struct listed *)(uintptr_t)end_changes_find(t->changes, uid);
}

static int reopen(struct work *w, const struct told *t, struct err *err)
{
    struct end_ticket ticket = {0};
    struct end_changes numbers;
    if (t == &w->source_told)
        return folder_reopen(w, err);
    end_changes_init(&numbers, &w->keywords);
    t->end->ops->open(t->end,
        &(struct end_open){.folder = w->record->target.name,
            .is_only_opened = true,
            .uidvalidity = w->there.uidvalidity},
        &numbers, &ticket);
    int result = end_check(t->end, &ticket, "cannot open the folder", err);
    end_changes_fini(&numbers);
    return result;
}

static int read_sizes(
    struct work *w, const struct told *t, const uint32_t *uids, size_t n, struct err *err)
{
    struct end_ticket ticket = {0};
    struct end_changes sizes;
    end_changes_init(&sizes, &w->keywords);
    t->end->ops->attributes(t->end, uids, n, END_WANT_SIZES, &sizes, &ticket);
    int result = end_check(t->end, &ticket, "cannot read sizes", err);
    for (size_t i = 0; result == 0 && i < n; i++) {
        const struct listed *l = end_changes_find(&sizes, uids[i]);
        struct listed *to = listed_of(t, uids[i]);
        /* 0: only its content can tell. */
        to->has_size = true;
        to->size = l && l->has_size ? l->size : 0;
    }
    end_changes_fini(&sizes);
    return result;
}

/* What the source dies of is found out when it is copied. */
static bool may_be_read(const struct work *w, const struct told *t, uint32_t uid)
{
    return !w->c->reads_to_copy_only &&
           !(t == &w->source_told && suspects_are_unsent(&w->c->suspects, w->record->id, uid));
}

static int read_contents(
    struct work *w, struct told *t, const uint32_t *uids, size_t n, struct err *err)
{
    struct body *asked = mem_zalloc((n + 1) * sizeof(*asked));
    size_t n_asked = 0;
    int result = 0;
    t->read = mem_realloc_array(t->read, t->n_read + n + 1, sizeof(*t->read));
    for (size_t i = 0; i < n; i++) {
        if (may_be_read(w, t, uids[i]))
            asked[n_asked++] = (struct body){.uid = uids[i]};
        else
            t->read[t->n_read++] = (struct body){.uid = uids[i]};
    }
    if (n_asked > 0)
        result = bodies_digest(t->end, asked, n_asked, err);
    if (result != 0 && t->end->ops->is_broken(t->end))
        w->c->reads_to_copy_only = true;
    for (size_t i = 0; result == 0 && i < n_asked; i++)
        t->read[t->n_read++] = asked[i];
    if (t->n_read > 0)
        mem_sort(t->read, t->n_read, sizeof(*t->read), by_uid);
    free(asked);
    return result;
}

int folder_read(struct work *w, const struct plan_ask *asks, size_t n, struct err *err)
{
    struct told *t = asks[0].is_target ? &w->target_told : &w->source_told;
    uint32_t *uids = mem_realloc_array(NULL, n + 1, sizeof(*uids));
    size_t n_sizes = 0, n_contents = 0;
    int result = reopen(w, t, err);
    for (size_t i = 0; i < n; i++) {
        if (!listed_of(t, asks[i].uid)->has_size)
            uids[n_sizes++] = asks[i].uid;
    }
    if (result == 0 && n_sizes > 0)
        result = read_sizes(w, t, uids, n_sizes, err);
    for (size_t i = 0; n_sizes == 0 && i < n; i++)
        uids[n_contents++] = asks[i].uid;
    if (result == 0 && n_contents > 0)
        result = read_contents(w, t, uids, n_contents, err);
    free(uids);
    return result;
}

bool folder_has_read(const struct work *w, uint32_t uid, struct content *out)
{
    const struct told *t = &w->source_told;
    const struct body key = {.uid = uid};
    const struct body *read =
        t->n_read > 0 ? mem_search(&key, t->read, t->n_read, sizeof(key), by_uid) : NULL;
    *out = (struct content){.has_digest = read && read->is_there};
    if (out->has_digest) {
        memcpy(out->digest, read->digest, SHA256_SIZE);
        out->canon = read->canon;
    }
    return out->has_digest;
}
