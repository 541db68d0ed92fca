/* SPDX-License-Identifier: ISC */
/*
 * known: what the journal tells of the pairs of a folder without reading them is what they say.  A
 * pass believes it, so it is looked at each time that it is asked for.
 */
#include <stdlib.h>

#include "imapsync/journal/journal.h"
#include "tests/sim/faults.h"

static bool has_same(const struct uid_set *a, const struct uid_set *b)
{
    uint32_t x = 0, y = 0;
    do {
        x = uid_set_next(a, x);
        y = uid_set_next(b, y);
    } while (x == y && x != 0);
    return x == y;
}

static int add_pairs(struct journal *j, uint32_t folder, struct journal_known *to, struct err *err)
{
    struct uid_set stored = {0};
    struct pair *v;
    size_t n;
    if (journal_pairs(j, folder, &v, &n, err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        bool is_stored = v[i].state == PAIR_STORED;
        to->states |= 1U << v[i].state;
        to->n_stored += is_stored;
        uid_set_add(&to->source, v[i].src_uid);
        uid_set_add(is_stored ? &stored : &to->odd, v[i].src_uid);
        if (is_stored)
            uid_set_add(&to->target, v[i].tgt_uid);
    }
    free(v);
    uid_set_join(&to->source);
    uid_set_join(&to->target);
    uid_set_join(&to->odd);
    uid_set_join(&stored);
    to->has_twins = uid_set_size(&stored) != uid_set_size(&to->target);
    uid_set_fini(&stored);
    return 0;
}

/* Whether there is a pair for each that is said to stand alone.  There may be more: nothing else
 * tells of these. */
static int has_alone(
    struct journal *j, uint32_t folder, const struct uid_set *alone, struct err *err)
{
    for (uint32_t uid = uid_set_next(alone, 0); uid != 0; uid = uid_set_next(alone, uid)) {
        struct pair p;
        bool found;
        if (journal_pair_get(j, folder, 0, uid, &p, &found, err) != 0)
            return -1;
        if (!found)
            return 0;
    }
    return 1;
}

int __real_journal_known_get(
    struct journal *j, uint32_t folder, struct journal_known *out, struct err *err);
int __wrap_journal_known_get(
    struct journal *j, uint32_t folder, struct journal_known *out, struct err *err);
int __wrap_journal_known_get(
    struct journal *j, uint32_t folder, struct journal_known *out, struct err *err)
{
    struct journal_known pairs = {0};
    int r = __real_journal_known_get(j, folder, out, err);
    if (r != 0 || fault_planted != FAULT_NONE) {
        if (r == 0 && fault_is(FAULT_KNOWN_FORGOTTEN) && out->source.n > 0)
            out->source.v[out->source.n - 1].bits = 1;
        return r;
    }
    r = add_pairs(j, folder, &pairs, err);
    int alone = r == 0 ? has_alone(j, folder, &out->alone, err) : -1;
    if (r == 0 && alone >= 0)
        BUG_ON(alone == 0 || pairs.states != out->states || pairs.n_stored != out->n_stored ||
               !has_same(&pairs.source, &out->source) || !has_same(&pairs.target, &out->target) ||
               !has_same(&pairs.odd, &out->odd) || pairs.has_twins != out->has_twins);
    journal_known_fini(&pairs);
    return r == 0 && alone < 0 ? -1 : r;
}
