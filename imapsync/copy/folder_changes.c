/* SPDX-License-Identifier: ISC */
/*
 * folder_changes: what the plan is told of one folder.
 *
 * Contents cost a reading, and sizes a question: both are asked for when the plan wants to know
 * whether a message was moved, the size first.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/copy/folder_parts.h"
#include "imapsync/copy/trash.h"

/* --- The plan's view ----------------------------------------------------------------------- */

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
    return (struct plan_message){.uid = l->uid,
        .size = l->has_size ? l->size : 0,
        .has_flags = l->has_flags,
        .flags = l->flags,
        .is_unreadable = read && !read->is_there,
        .is_refused = read && read->is_refused,
        .is_in_doubt = t == &t->of->source_told && uid_set_has(&t->of->in_doubt, l->uid),
        .is_still_there = uids_have(t->still, t->n_still, l->uid),
        .is_filtered = t == &t->of->source_told &&
                       !filter_takes(&t->of->c->options.filter, l, t->changes->keywords),
        .digest = read && read->is_there ? read->digest : NULL,
        .canon = read && read->is_there ? &read->canon : NULL};
}

static struct plan_pair pair_at(const void *arg, size_t i)
{
    const struct work *w = arg;
    const struct pair *p = &w->pairs[i];
    const struct fact *f = &w->facts[i];
    return (struct plan_pair){.src_uid = p->src_uid,
        .tgt_uid = p->tgt_uid,
        .state = p->state,
        .is_touched = p->is_touched,
        .may_retry = p->state == PAIR_REFUSED && !tell_rests(w->c, w->record->id, p->src_uid),
        .has_twin = f->has_twin,
        .is_unproved = p->src_uid == 0 && !p->is_removed,
        .flags = p->flags,
        .size = f->size,
        .digest = f->has_digest ? f->digest : NULL,
        .canon = f->has_digest ? &f->canon : NULL};
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

bool folder_is_trash(const struct work *w)
{
    if (plan_policy(w->p->policy)->deletions != PLAN_DELETIONS_TRASH)
        return false;
    const struct folder *trash = trash_find(w->p->there);
    return trash && slice_eq(trash->name, w->record->target.name);
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
        .is_target_trash = folder_is_trash(w)};
    if (folder_is_behind_flip(w) && w->c->past && !w->is_lost)
        w->c->past->folder(
            w->c->past->arg, w->record->source.name, w->listing.uidvalidity, &out->past);
    view_side(&w->source_told, &out->source);
    view_side(&w->target_told, &out->target);
    memset(&out->storable, 0xff, sizeof(out->storable));
    if (is_told)
        out->storable = end_changes_storable(&w->there);
}

/* --- What it asks for ----------------------------------------------------------------------- */

static struct listed *listed_of(const struct told *t, uint32_t uid)
{
    return (struct listed *)(uintptr_t)end_changes_find(t->changes, uid);
}

/* What the source dies of is found out when it is copied. */
static bool may_be_read(const struct work *w, const struct told *t, uint32_t uid)
{
    return copy_reads(w->c) &&
           !(t == &w->source_told && suspects_are_unsent(&w->c->suspects, w->record->id, uid));
}

/* Sizes first; when all have one, contents.  Behind a flip only these can tell. */
void folder_read_begin(struct reading *r, struct work *w, const struct plan_ask *asks, size_t n)
{
    struct told *t = asks[0].is_target ? &w->target_told : &w->source_told;
    *r =
        (struct reading){.w = w, .of = t, .uids = mem_realloc_array(NULL, n + 1, sizeof(*r->uids))};
    end_changes_init(&r->numbers, &w->keywords);
    end_changes_init(&r->sizes, &w->keywords);
    folder_begin_open(w, t, &r->numbers, &r->opening);
    for (size_t i = 0; i < n; i++) {
        if (!folder_is_behind_flip(w) && !listed_of(t, asks[i].uid)->has_size)
            r->uids[r->n_sizes++] = asks[i].uid;
    }
    if (r->n_sizes > 0) {
        t->end->ops->attributes(t->end, r->uids, r->n_sizes, END_WANT_SIZES, &r->sizes, &r->ticket);
        return;
    }
    r->bodies = mem_zalloc((n + 1) * sizeof(*r->bodies));
    t->read = mem_realloc_array(t->read, t->n_read + n + 1, sizeof(*t->read));
    for (size_t i = 0; i < n; i++) {
        if (may_be_read(w, t, asks[i].uid))
            r->bodies[r->n_bodies++] = (struct body){.uid = asks[i].uid};
        else
            t->read[t->n_read++] = (struct body){.uid = asks[i].uid};
    }
    r->has_unread = r->n_bodies < n;
    if (r->n_bodies > 0)
        r->digests = bodies_begin(t->end, r->bodies, r->n_bodies);
}

static int take_sizes(struct reading *r, struct err *err)
{
    if (r->n_sizes == 0)
        return 0;
    int result = end_check(r->of->end, &r->ticket, "cannot read sizes", err);
    for (size_t i = 0; result == 0 && i < r->n_sizes; i++) {
        const struct listed *l = end_changes_find(&r->sizes, r->uids[i]);
        struct listed *to = listed_of(r->of, r->uids[i]);
        /* 0: only its content can tell. */
        to->has_size = true;
        to->size = l && l->has_size ? l->size : 0;
    }
    return result;
}

/* Whom a refusal is about, of a folder that can be opened. */
static int halve(struct reading *r, struct err *err)
{
    struct end_ticket opening = {0};
    struct end_changes numbers;
    end_changes_init(&numbers, &r->w->keywords);
    folder_begin_open(r->w, r->of, &numbers, &opening);
    int result = end_check(r->of->end, &opening, "cannot open the folder", err);
    if (result == 0)
        result = bodies_halve(r->of->end, r->bodies, r->n_bodies, err);
    end_changes_fini(&numbers);
    return result;
}

static int take_contents(struct reading *r, bool is_opened, struct err *err)
{
    struct told *t = r->of;
    bool has_refused;
    int result = bodies_finish(&r->digests, &has_refused, err);
    if (result == 0 && has_refused)
        result = is_opened ? halve(r, err) : -1;
    if (result != 0 && t->end->ops->is_broken(t->end))
        r->w->c->has_died = true;
    for (size_t i = 0; result == 0 && i < r->n_bodies; i++)
        t->read[t->n_read++] = r->bodies[i];
    if (t->n_read > 0)
        mem_sort(t->read, t->n_read, sizeof(*t->read), by_uid);
    return result;
}

int folder_read_finish(struct reading *r, struct err *err)
{
    struct end *e = r->of->end;
    struct err ignored = ERR_INIT;
    int result = end_check(e, &r->opening, "cannot open the folder", err);
    /* What was begun behind it is answered all the same. */
    int sizes = take_sizes(r, result == 0 ? err : &ignored);
    int contents = take_contents(r, result == 0, result == 0 && sizes == 0 ? err : &ignored);
    end_changes_fini(&r->numbers);
    end_changes_fini(&r->sizes);
    free(r->uids);
    free(r->bodies);
    return result == 0 && sizes == 0 && contents == 0 ? 0 : -1;
}

/* Those that have gone since the folder was listed are as if they had not been. */
static void keep_still(
    struct work *w, const struct end_changes *there, const uint32_t *uids, size_t n)
{
    struct end_changes *l = &w->listing;
    struct told *t = &w->source_told;
    size_t kept = 0;
    t->still = mem_realloc_array(t->still, t->n_still + n + 1, sizeof(*t->still));
    for (size_t i = 0; i < l->n; i++) {
        bool was_asked = uids_have(uids, n, l->v[i].uid);
        if (was_asked && !end_changes_find(there, l->v[i].uid))
            continue;
        if (was_asked)
            t->still[t->n_still++] = l->v[i].uid;
        l->v[kept++] = l->v[i];
    }
    l->n = kept;
    t->n_still = uids_sort(t->still, t->n_still);
}

int folder_ask_again(struct work *w, const struct plan_ask *asks, size_t n, struct err *err)
{
    struct end_ticket ticket = {0};
    struct end_changes there;
    uint32_t *uids = mem_realloc_array(NULL, n + 1, sizeof(*uids));
    for (size_t i = 0; i < n; i++)
        uids[i] = asks[i].uid;
    end_changes_init(&there, &w->keywords);
    /* Opened anew: a session goes on seeing what it saw first. */
    w->p->opened = NULL;
    int result = folder_reopen(w, err);
    if (result == 0) {
        w->c->from->ops->attributes(w->c->from, uids, n, 0, &there, &ticket);
        result = end_check(w->c->from, &ticket, "cannot look for messages", err);
    }
    if (result == 0)
        keep_still(w, &there, uids, n);
    end_changes_fini(&there);
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
