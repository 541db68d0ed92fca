/* SPDX-License-Identifier: ISC */
/* cover: see cover.h.  A bipartite flow by augmenting paths; the numbers are small. */
#include "tests/sim/cover.h"

#include <stdbool.h>

struct flow {
    const struct cover *c;
    uint16_t given[COVER_MAX][COVER_MAX]; /* by supply, to need */
    uint16_t used[COVER_MAX];             /* of each supply */
    uint64_t tried;
};

/* One unit more for this need, if need be by giving another one its share from elsewhere. */
static bool augment(struct flow *f, size_t need)
{
    for (size_t s = 0; s < f->c->n_supplies; s++) {
        uint64_t bit = UINT64_C(1) << s;
        if (!(f->c->by[need] & bit) || f->tried & bit)
            continue;
        f->tried |= bit;
        bool is_free = f->used[s] < f->c->supplies[s];
        for (size_t other = 0; !is_free && other < f->c->n_needs; other++) {
            if (f->given[s][other] == 0 || !augment(f, other))
                continue;
            f->given[s][other]--;
            f->used[s]--;
            is_free = true;
        }
        if (!is_free)
            continue;
        f->given[s][need]++;
        f->used[s]++;
        return true;
    }
    return false;
}

unsigned cover_lacks(const struct cover *c)
{
    struct flow f = {.c = c};
    unsigned lacks = 0;
    for (size_t n = 0; n < c->n_needs; n++) {
        for (uint16_t k = 0; k < c->needs[n]; k++) {
            f.tried = 0;
            if (!augment(&f, n))
                lacks++;
        }
    }
    return lacks;
}
