/* SPDX-License-Identifier: ISC */
/*
 * folder_rest: a large folder is told by its UIDs alone (end_open.is_brief), since a listing of
 * half a million messages has 20 MB.  What more there is to know of them is asked for when it is
 * needed:
 *
 *   of those that have a pair   by folder_sift(), portion by portion, and only what differs stays
 *   of the new ones             portion by portion, each planned and copied before the next is
 *                               listed.  A plan of new messages alone is the same in parts as in
 *                               one piece; where something was lost, it may be one that was moved
 *                               here, and then all are listed and planned together
 *   where identity is in doubt  all, by folder_whole()
 *
 * The UIDs and the token are of one moment.  What has changed since is told by the next token.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"

unsigned folder_wants(const struct work *w)
{
    return END_WANT_FLAGS | END_WANT_DATES | copy_wants(w->c);
}

void folder_begin_open(
    struct work *w, struct told *t, struct end_changes *numbers, struct end_ticket *ticket)
{
    bool is_source = t == &w->source_told;
    if (is_source)
        w->p->opened = w;
    t->end->ops->open(t->end,
        &(struct end_open){.folder = is_source ? w->record->source.name : w->record->target.name,
            .is_for_writing = !is_source,
            .is_only_opened = true,
            .may_stay_open = true,
            .uidvalidity = is_source ? w->listing.uidvalidity : w->there.uidvalidity},
        numbers, ticket);
}

int folder_open_side(struct work *w, struct told *t, struct err *err)
{
    struct end_ticket ticket = {0};
    struct end_changes numbers;
    if (t == &w->source_told)
        return folder_reopen(w, err);
    end_changes_init(&numbers, &w->keywords);
    folder_begin_open(w, t, &numbers, &ticket);
    int result = end_check(t->end, &ticket, "cannot open the folder", err);
    end_changes_fini(&numbers);
    return result;
}

/* Those that were asked for and not told. */
static uint32_t *missing_of(
    const uint32_t *uids, size_t n, const struct end_changes *out, size_t *n_out)
{
    uint32_t *missing = mem_realloc_array(NULL, n + 1, sizeof(*missing));
    *n_out = 0;
    for (size_t i = 0; i < n; i++) {
        if (!end_changes_find(out, uids[i]))
            missing[(*n_out)++] = uids[i];
    }
    return missing;
}

/* What is there, and nothing more was told of, is not gone. */
static int look_for(struct work *w, struct told *t, const uint32_t *uids, size_t n, struct err *err)
{
    struct end_ticket ticket = {0};
    struct end_changes there;
    if (n == 0)
        return 0;
    end_changes_init(&there, &w->keywords);
    t->end->ops->attributes(t->end, uids, n, 0, &there, &ticket);
    int result = end_check(t->end, &ticket, "cannot list messages", err);
    if (result == 0 && there.n > 0)
        t->changes->is_sure = false;
    end_changes_fini(&there);
    return result;
}

void folder_list_begin(struct told *t, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct end_ticket *ticket)
{
    *ticket = (struct end_ticket){.result = END_OK};
    if (n == 0)
        return;
    ticket->result = END_PENDING;
    t->end->ops->attributes(t->end, uids, n, want, out, ticket);
}

int folder_list_finish(struct work *w, struct told *t, const uint32_t *uids, size_t n,
    const struct end_changes *out, const struct end_ticket *ticket, struct err *err)
{
    size_t n_missing;
    if (n == 0)
        return 0;
    if (end_check(t->end, ticket, "cannot list messages", err) != 0)
        return -1;
    uint32_t *missing = missing_of(uids, n, out, &n_missing);
    int result = look_for(w, t, missing, n_missing, err);
    free(missing);
    return result;
}

int folder_list(struct work *w, struct told *t, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct err *err)
{
    struct end_ticket ticket;
    folder_list_begin(t, uids, n, want, out, &ticket);
    return folder_list_finish(w, t, uids, n, out, &ticket, err);
}

/* Into the side's own listing. */
static int list_into(
    struct work *w, struct told *t, const uint32_t *uids, size_t n, unsigned want, struct err *err)
{
    if (n == 0)
        return 0;
    return folder_open_side(w, t, err) == 0 ? folder_list(w, t, uids, n, want, t->changes, err)
                                            : -1;
}

static int list_all(
    struct work *w, struct told *t, const struct uid_set *of, unsigned want, struct err *err)
{
    const size_t n = uid_set_size(of);
    uint32_t *uids = mem_realloc_array(NULL, n + 1, sizeof(*uids));
    int result = list_into(w, t, uids, uid_set_some(of, 0, uids, n), want, err);
    free(uids);
    return result;
}

/* Where nobody knows what changed which message all is told anew, and without sizes. */
int folder_complete(struct work *w, struct err *err)
{
    struct end_changes *l = &w->listing, sizes;
    uint32_t *uids = mem_realloc_array(NULL, l->n + 1, sizeof(*uids));
    size_t n = 0;
    for (size_t i = 0; copy_wants(w->c) & END_WANT_SIZES && i < l->n; i++) {
        if (!l->v[i].has_size)
            uids[n++] = l->v[i].uid;
    }
    end_changes_init(&sizes, &w->keywords);
    int result = n == 0 || folder_open_side(w, &w->source_told, err) == 0 ? 0 : -1;
    if (result == 0)
        result = folder_list(w, &w->source_told, uids, n, END_WANT_SIZES, &sizes, err);
    for (size_t i = 0; result == 0 && n > 0 && i < l->n; i++) {
        const struct listed *told = end_changes_find(&sizes, l->v[i].uid);
        if (!l->v[i].has_size && told && told->has_size) {
            l->v[i].has_size = true;
            l->v[i].size = told->size;
        }
    }
    end_changes_fini(&sizes);
    free(uids);
    return result;
}

int folder_whole(struct work *w, struct err *err)
{
    struct end_changes *l = &w->listing;
    if (!w->has_all_pairs && folder_load_pairs(w, err) != 0)
        return -1;
    if (!l->is_brief)
        return 0;
    struct uid_set uids = l->uids;
    l->uids = (struct uid_set){0};
    l->n_uids = 0;
    l->is_brief = false;
    int result = list_all(w, &w->source_told, &uids, folder_wants(w), err);
    uid_set_fini(&uids);
    return result;
}

int folder_list_rest(struct work *w, struct err *err)
{
    if (list_all(w, &w->source_told, &w->fresh, folder_wants(w), err) != 0 ||
        list_all(w, &w->target_told, &w->foreign, END_WANT_FLAGS, err) != 0)
        return -1;
    uid_set_fini(&w->fresh);
    uid_set_fini(&w->foreign);
    return 0;
}

/* What the portion before has left. */
static void begin_portion(struct work *w)
{
    free(w->copies);
    w->copies = NULL;
    w->n_copies = w->n_missing = w->n_pairs = w->n_same = 0;
    w->source_told.n_vanished = w->target_told.n_vanished = 0;
    w->streamed = NULL;
    w->has_all_pairs = false;
    w->listing.n = w->there.n = 0;
}

bool folder_has_more(const struct work *w, uint32_t last)
{
    uint32_t one;
    return w->c->options.is_newest_first ? uid_set_some_before(&w->fresh, last, &one, 1) > 0
                                         : uid_set_next(&w->fresh, last) != 0;
}

int folder_portion(struct work *w, uint32_t *last_io, struct err *err)
{
    const bool is_newest_first = w->c->options.is_newest_first;
    size_t n = w->c->options.portion;
    uint32_t *uids = mem_realloc_array(NULL, n + 1, sizeof(*uids));
    begin_portion(w);
    n = is_newest_first ? uid_set_some_before(&w->fresh, *last_io, uids, n)
                        : uid_set_some(&w->fresh, *last_io, uids, n);
    if (n > 0)
        *last_io = uids[is_newest_first ? 0 : n - 1];
    int result = list_into(w, &w->source_told, uids, n, folder_wants(w), err);
    free(uids);
    return result;
}
