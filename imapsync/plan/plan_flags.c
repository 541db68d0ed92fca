/* SPDX-License-Identifier: ISC */
/*
 * plan_flags: three-way, bit by bit: base is what both sides last had in common.
 *
 *   the source has changed a flag    it is made on the target, as far as the policy says, and then
 *                                    both have it in common
 *   only the target has              nothing: it is its user's
 *   both have                        a flag has two states, so they agree
 *
 * A flag that does not last on the target is never sent, and is not common: on the way back its
 * user would have taken it away.
 */
#include "imapsync/plan/plan_parts.h"

bool plan_is_touched(const struct plan_three *t)
{
    struct flags more = flags_minus(&t->target, &t->base);
    unsigned changed = (unsigned)(t->target.system ^ t->base.system) & t->storable.system;
    more.system = 0;
    return changed != 0 || !flags_empty(&more);
}

/* Its user may have taken them away, or the server has never kept them: where nothing is taken away
 * but from what is as we gave it, that is one too many. */
static bool lacks_keywords(const struct plan_three *t)
{
    struct flags less = flags_minus(&t->base, &t->target);
    less.system = 0;
    less = flags_and(&less, &t->storable);
    return !flags_empty(&less);
}

void plan_flags(const struct plan_policy *policy, const struct plan_three *t, bool is_touched,
    struct flags *add_out, struct flags *remove_out, struct flags *now_out)
{
    bool may_add = policy->flags != PLAN_FLAGS_NONE;
    bool may_remove = policy->flags == PLAN_FLAGS_MIRROR ||
                      (policy->flags == PLAN_FLAGS_UNTOUCHED && !is_touched && !lacks_keywords(t));
    struct flags source = t->source;
    if (!policy->has_deleted)
        source.system =
            (uint8_t)((source.system & ~FLAG_DELETED) | (t->base.system & FLAG_DELETED));
    struct flags more = flags_minus(&source, &t->base), less = flags_minus(&t->base, &source);
    struct flags now = t->base, lost = t->base;
    *add_out = *remove_out = (struct flags){0};
    if (may_add) {
        *add_out = flags_minus(&more, &t->target);
        *add_out = flags_and(add_out, &t->storable);
        now = flags_or(&now, &more);
        lost = flags_or(&lost, &more);
    }
    if (may_remove) {
        *remove_out = flags_and(&less, &t->target);
        now = flags_minus(&now, &less);
    }
    lost = flags_minus(&lost, &t->target);
    lost = flags_minus(&lost, &t->storable);
    *now_out = flags_minus(&now, &lost);
}
