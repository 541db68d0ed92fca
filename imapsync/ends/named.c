/* SPDX-License-Identifier: ISC */
/* named: see named.h. */
#include "imapsync/ends/named.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/core/mem.h"

void named_list_add(struct named_list *l, struct slice name, struct slice value)
{
    if (l->n == NAMED_MAX || name.n + value.n > NAMED_OCTETS_MAX - l->octets) {
        l->is_cut = true;
        return;
    }
    l->octets += name.n + value.n;
    l->v = mem_realloc_array(l->v, l->n + 1, sizeof(*l->v));
    l->v[l->n++] =
        (struct named){slice_make(slice_dup(name), name.n), slice_make(slice_dup(value), value.n)};
}

const struct named *named_list_find(const struct named_list *l, struct slice name)
{
    for (size_t i = 0; i < l->n; i++) {
        if (slice_eq(l->v[i].name, name))
            return &l->v[i];
    }
    return NULL;
}

void named_list_fini(struct named_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free((void *)(uintptr_t)l->v[i].name.p);
        free((void *)(uintptr_t)l->v[i].value.p);
    }
    free(l->v);
    *l = (struct named_list){0};
}
