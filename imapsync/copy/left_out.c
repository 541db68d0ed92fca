/* SPDX-License-Identifier: ISC */
/*
 * left_out: folders that only show messages of others (\All, \Flagged) are not copied, and that is
 * said.  It is not always true: where mail is archived by taking it out of all folders, as Gmail
 * does it, \All is the only place where it is.  Which messages these are only their contents would
 * tell; that there are some the numbers prove when such a folder has more than all others together.
 */
#include "base/core/log.h"
#include "base/core/num.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/copy/policy.h"

void copy_tell_left_out(struct copy *c, struct pass *p, const struct folder_list *from)
{
    const uint64_t elsewhere = p->counts->messages_total;
    uint64_t most = 0;
    if (plan_policy(p->policy)->is_behind_flip)
        return;
    for (size_t i = 0; i < from->n; i++) {
        const struct folder *f = &from->v[i];
        if (!(f->attrs & FOLDER_VIRTUAL) || f->attrs & FOLDER_NOSELECT || f->messages == 0 ||
            !folder_is_own(from, f))
            continue;
        p->counts->folders_left_out++;
        if (!c->has_told_left_out)
            log_info("folder_left_out", log_str("user", c->source->user),
                log_slice("folder", f->name), log_u64("messages", f->messages));
        if (f->messages <= elsewhere)
            continue;
        char why[200];
        BUG_ON(fmt_into(why, sizeof(why),
                   "E-LEFT-OUT: it shows %llu messages and all other folders have %llu: what is "
                   "nowhere else is not copied",
                   (unsigned long long)f->messages, (unsigned long long)elsewhere) != 0);
        copy_report(c, f->name, 0, why);
        if (f->messages - elsewhere > most)
            most = f->messages - elsewhere;
    }
    p->counts->messages_left_out = most;
    c->has_told_left_out = true;
}
