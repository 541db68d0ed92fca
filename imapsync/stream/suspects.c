/* SPDX-License-Identifier: ISC */
/* suspects: in memory, since a process that ends leaves its intents in the journal. */
#include "imapsync/stream/suspects.h"

#include <stdlib.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"

struct suspects_group {
    struct suspects_group *next;
    uint32_t folder;
    struct batches_suspects of;
};

void suspects_init(struct suspects *s)
{
    *s = (struct suspects){.credit = 1};
}

void suspects_fini(struct suspects *s)
{
    while (s->first) {
        struct suspects_group *next = s->first->next;
        free(s->first);
        s->first = next;
    }
}

void suspects_keep(struct suspects *s, const uint32_t *ids, struct batches *b)
{
    struct suspects_group *g = mem_zalloc(sizeof(*g)), **end = &s->first;
    while (*end)
        end = &(*end)->next;
    while (batches_suspects(b, &g->of)) {
        g->folder = ids[g->of.v[0].folder];
        s->n_narrowed += g->of.strikes > 1 && batches_credit(b) > 0;
        *end = g;
        end = &g->next;
        g = mem_zalloc(sizeof(*g));
    }
    free(g);
    s->credit = batches_credit(b);
}

void suspects_give(struct suspects *s, uint32_t folder, struct batches *b, uint32_t as,
    const uint32_t *uids, size_t n_uids, uint32_t **given_out, size_t *n_given_out)
{
    uint32_t *given = NULL;
    size_t n_given = 0;
    for (struct suspects_group **at = &s->first; *at;) {
        struct suspects_group *g = *at;
        size_t n = 0;
        if (g->folder != folder) {
            at = &g->next;
            continue;
        }
        given = mem_realloc_array(given, n_given + g->of.n, sizeof(*given));
        for (size_t i = 0; i < g->of.n; i++) {
            if (!uids_have(uids, n_uids, g->of.v[i].uid))
                continue;
            g->of.v[n] = g->of.v[i];
            g->of.v[n++].folder = as;
            given[n_given++] = g->of.v[i].uid;
        }
        g->of.n = n;
        if (n > 0)
            batches_add_suspects(b, &g->of);
        *at = g->next;
        free(g);
    }
    *n_given_out = given ? uids_sort(given, n_given) : 0;
    *given_out = given;
}

bool suspects_are_unsent(const struct suspects *s, uint32_t folder, uint32_t uid)
{
    for (const struct suspects_group *g = s->first; g; g = g->next) {
        for (size_t i = 0; g->folder == folder && g->of.is_unsent && i < g->of.n; i++) {
            if (g->of.v[i].uid == uid)
                return true;
        }
    }
    return false;
}
