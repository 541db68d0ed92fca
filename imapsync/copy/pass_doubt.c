/* SPDX-License-Identifier: ISC */
/*
 * pass_doubt: a batch whose outcome is not known may be on the target.  As long as its folder
 * cannot be looked at, a message of it that was moved on the source since looks as if it came late.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"

static void add(struct works *all, const struct intent *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i].n_sent; k++) {
            all->in_doubt =
                mem_realloc_array(all->in_doubt, all->n_in_doubt + 1, sizeof(*all->in_doubt));
            memcpy(all->in_doubt[all->n_in_doubt++], v[i].sent[k].content.digest, SHA256_SIZE);
        }
    }
}

int pass_find_in_doubt(struct works *all, struct err *err)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct work *w = &all->v[i];
        struct intent *v;
        size_t n;
        if (!w->is_over || !folder_is_behind_flip(w))
            continue;
        if (journal_intents(all->c->journal, w->record->id, INTENT_APPEND, &v, &n, err) != 0)
            return -1;
        add(all, v, n);
        intents_free(v, n);
    }
    return 0;
}

size_t pass_in_doubt(void *works, const unsigned char *digest)
{
    const struct works *all = works;
    size_t n = 0;
    for (size_t i = 0; i < all->n_in_doubt; i++)
        n += memcmp(all->in_doubt[i], digest, SHA256_SIZE) == 0;
    return n;
}
