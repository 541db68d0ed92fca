/* SPDX-License-Identifier: ISC */
/* copy_names_there: which of the target's folders the journal's ones are, whatever they are called.
 */
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

/* What is listed is this one's. */
static bool is_its(const struct folder *t, const struct journal_end *its)
{
    if (t->id.n > 0 && its->mailboxid.n > 0)
        return slice_eq(t->id, its->mailboxid);
    return its->uidvalidity != 0 && its->uidvalidity == t->uidvalidity &&
           slice_eq(its->name, t->name);
}

bool copy_is_anothers(const struct folder_list *there, const struct journal_folder *known,
    size_t n_known, const struct journal_folder *f)
{
    const struct folder *t = folder_list_find(there, f->target.name);
    bool is = false;
    if (!t || is_its(t, &f->target))
        return false;
    for (size_t i = 0; !is && i < n_known; i++)
        is = is_its(t, &known[i].target);
    return is;
}
