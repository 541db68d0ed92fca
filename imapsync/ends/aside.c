/* SPDX-License-Identifier: ISC */
/* aside: see aside.h. */
#include "imapsync/ends/aside.h"

#include <stdlib.h>
#include <sysexits.h>

#include "imapsync/ends/name.h"

static void drop(struct slice *s)
{
    free((void *)(uintptr_t)s->p);
    *s = SLICE_NONE;
}

bool aside_has(const struct aside *a, struct slice name)
{
    for (size_t i = 0; a && i < a->n; i++) {
        if (folder_same_name(a->v[i], name))
            return true;
    }
    return false;
}

bool aside_note(struct aside *a, const struct end *e, bool reads_count)
{
    bool is_new = e->lost_in_list && !a->without_status;
    a->without_status = a->without_status || e->lost_in_list;
    if (e->lost_at.n == 0 || (e->lost_reading && !reads_count))
        return is_new;
    bool is_again = a->last.n > 0 && folder_same_name(a->last, e->lost_at);
    drop(&a->last);
    a->last = slice_make(slice_dup(e->lost_at), e->lost_at.n);
    if (!is_again || a->n == ASIDE_MAX || aside_has(a, e->lost_at))
        return is_new;
    a->v[a->n++] = a->last;
    a->last = SLICE_NONE;
    return true;
}

int aside_refuse(struct err *err)
{
    err_set(err, ERR_PERM, EX_UNAVAILABLE,
        "the connection is lost whenever something is asked about it");
    return err_scope_set(err, ERR_SCOPE_FOLDER);
}

void aside_fini(struct aside *a)
{
    drop(&a->last);
    while (a->n > 0)
        drop(&a->v[--a->n]);
}
