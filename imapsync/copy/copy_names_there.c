/* SPDX-License-Identifier: ISC */
/* copy_names_there: which of the target's folders the journal's ones are, by their MAILBOXIDs. */
#include "imapsync/copy/copy_parts.h"

struct slice copy_name_there(const struct folder_list *there, const struct journal_folder *f)
{
    const struct slice id = f->target.mailboxid;
    const struct folder *t = folder_list_find(there, f->target.name);
    if (id.n == 0 || (t && (t->id.n == 0 || slice_eq(t->id, id))))
        return f->target.name;
    for (size_t i = 0; i < there->n; i++) {
        if (slice_eq(there->v[i].id, id))
            return there->v[i].name;
    }
    return f->target.name;
}

bool copy_is_anothers(const struct folder_list *there, const struct journal_folder *known,
    size_t n_known, const struct journal_folder *f)
{
    const struct folder *t = f->target.uidvalidity == 0 && f->target.mailboxid.n == 0
                                 ? folder_list_find(there, f->target.name)
                                 : NULL;
    for (size_t i = 0; t && t->id.n > 0 && i < n_known; i++) {
        if (slice_eq(known[i].target.mailboxid, t->id))
            return true;
    }
    return false;
}
