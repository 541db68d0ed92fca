/* SPDX-License-Identifier: ISC */
/*
 * pass_owed: what a restore of the target has taken is owed wherever the source has it now.  Where
 * the source has numbered the folder anew as well, and the message is not there any more, that is
 * only known under the numbers of before, in a folder of the journal that has no name any more.
 * As soon as a pair of this content names a copy nothing is owed: of equal ones nobody could say
 * which.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"

struct lost_pairs {
    uint32_t *folders; /* for each of them; owned */
    size_t n;
    bool has_copy;
};

static void take(void *arg, uint32_t folder, const struct pair *p)
{
    struct lost_pairs *l = arg;
    l->has_copy = l->has_copy || p->tgt_uid != 0 || p->state == PAIR_SENT;
    if (p->state != PAIR_LOST)
        return;
    l->folders = mem_realloc_array(l->folders, l->n + 1, sizeof(*l->folders));
    l->folders[l->n++] = folder;
}

static int has_name(struct journal *j, uint32_t folder, bool *out, struct err *err)
{
    struct journal_folder was = {0}, now = {0};
    bool found = false;
    int result = journal_folder_by_id(j, folder, &was, &found, err);
    if (result == 0 && found)
        result = journal_folder_get(j, was.source.name, &now, &found, err);
    *out = found && now.id == folder;
    journal_folder_fini(&was);
    journal_folder_fini(&now);
    return result;
}

int pass_owed(struct works *all, const unsigned char *digest, size_t *n_out, struct err *err)
{
    struct journal *j = all->c->journal;
    struct lost_pairs l = {0};
    *n_out = 0;
    int result = journal_by_digest(j, digest, take, &l, err);
    for (size_t i = 0; result == 0 && !l.has_copy && i < l.n; i++) {
        bool is_named;
        result = has_name(j, l.folders[i], &is_named, err);
        *n_out += !is_named;
    }
    free(l.folders);
    return result;
}
