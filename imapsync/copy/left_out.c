/* SPDX-License-Identifier: ISC */
/*
 * left_out: the user's own folders that are not copied, each of them an item: those that rules
 * leave out, which whoever has made the rules has accepted by that, and those in which the server
 * keeps something else than mail, which nobody has said anything about.
 */
#include "imapsync/copy/copy_parts.h"

static bool is_left_out(
    const struct copy *c, const struct folder_list *from, const struct folder *f)
{
    return !(f->attrs & FOLDER_NOSELECT) && folder_is_own(from, f) &&
           !folder_is_mapped(from, f, &c->options.folders) &&
           !(f->has & FOLDER_HAS_MESSAGES && f->messages == 0);
}

void copy_tell_left_out(struct copy *c, struct pass *p, const struct folder_list *from)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct folder *f = &from->v[i];
        if (!is_left_out(c, from, f))
            continue;
        const bool is_other = folder_rules_choose(&c->options.folders, f) == FOLDER_HAS_NO_MAIL;
        p->counts->folders_left_out++;
        p->counts->messages_left_out += f->messages;
        (void)copy_tell(c, &(struct copy_finding){.code = ITEM_LEFT_OUT,
                               .folder = f->name,
                               .n = f->messages,
                               .accepted_by = is_other ? NULL : "include and exclude",
                               .why = is_other ? "the server keeps no mail in it; --include takes "
                                                 "it along"
                                               : "a rule leaves it out"});
    }
}
