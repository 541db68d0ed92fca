/* SPDX-License-Identifier: ISC */
/* mailbox: a growing array of folders with a hash table over their names. */
#include "imapsync/ends/mailbox.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/ends/limits.h"

void folder_list_init(struct folder_list *l)
{
    *l = (struct folder_list){.delimiter = -1};
}

static void free_slice(struct slice *s)
{
    free((void *)(uintptr_t)s->p);
    *s = SLICE_NONE;
}

void folder_set_id(struct folder *f, struct slice id)
{
    free_slice(&f->id);
    if (id.n > 0 && id.n <= OBJECT_ID_MAX)
        f->id = slice_make(slice_dup(id), id.n);
}

void folder_list_fini(struct folder_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free_slice(&l->v[i].name);
        free_slice(&l->v[i].id);
    }
    for (size_t i = 0; i < l->n_foreign; i++)
        free_slice(&l->foreign[i]);
    free_slice(&l->personal);
    free_slice(&l->shown);
    free(l->v);
    free(l->slots);
    folder_list_init(l);
}

/* The slot of the name, or the free one where it belongs. */
static size_t slot_of(const struct folder_list *l, struct slice name)
{
    size_t at = (size_t)folder_name_hash(name) & (l->n_slots - 1);
    while (l->slots[at] != 0 && !folder_same_name(l->v[l->slots[at] - 1].name, name))
        at = (at + 1) & (l->n_slots - 1);
    return at;
}

struct folder *folder_list_find(const struct folder_list *l, struct slice name)
{
    if (l->n_slots == 0)
        return NULL;
    uint32_t slot = l->slots[slot_of(l, name)];
    return slot != 0 ? &l->v[slot - 1] : NULL;
}

/* Room for one more folder; the table stays at most half full. */
static void grow(struct folder_list *l)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 32;
        l->v = mem_realloc_array(l->v, l->cap, sizeof(*l->v));
    }
    if (2 * (l->n + 1) <= l->n_slots)
        return;
    free(l->slots);
    l->n_slots = l->n_slots ? 2 * l->n_slots : 64;
    l->slots = mem_zalloc(l->n_slots * sizeof(*l->slots));
    for (size_t i = 0; i < l->n; i++)
        l->slots[slot_of(l, l->v[i].name)] = (uint32_t)i + 1;
}

static size_t count_levels(struct slice name, int delimiter)
{
    size_t n = 1;
    for (size_t i = 0; i < name.n; i++)
        n += name.p[i] == delimiter;
    return n;
}

int folder_list_add(struct folder_list *l, struct slice name, int delimiter, unsigned attrs,
    enum folder_use use, struct err *err)
{
    if (name.n == 0 || name.n > FOLDER_NAME_MAX || slice_find(name, 0) >= 0 ||
        count_levels(name, delimiter) > FOLDER_LEVELS_MAX) {
        l->ignored++;
        return 0;
    }
    struct folder *f = folder_list_find(l, name);
    if (!f) {
        if (l->n == FOLDERS_MAX)
            return err_set(err, ERR_PERM, EX_DATAERR, "more than %d folders", FOLDERS_MAX);
        if (name.n > FOLDERS_OCTETS_MAX - l->octets)
            return err_set(err, ERR_PERM, EX_DATAERR, "more than %u octets of folders' names",
                FOLDERS_OCTETS_MAX);
        grow(l);
        l->octets += name.n;
        l->slots[slot_of(l, name)] = (uint32_t)l->n + 1;
        f = &l->v[l->n++];
        *f = (struct folder){.name = slice_make(slice_dup(name), name.n), .delimiter = delimiter};
    }
    f->attrs |= attrs;
    if (use != FOLDER_USE_NONE)
        f->use = use;
    return 0;
}

bool folder_is_own(const struct folder_list *l, const struct folder *f)
{
    for (size_t i = 0; i < l->n_foreign; i++) {
        struct slice p = l->foreign[i];
        if (p.n > 0 && slice_starts(f->name, p))
            return false;
        /* "Other Users/" hides the name "Other Users" itself as well. */
        if (p.n > 1 && slice_eq(f->name, slice_sub(p, 0, p.n - 1)))
            return false;
    }
    return true;
}
