/* SPDX-License-Identifier: ISC */
/*
 * turn: see turn.h.  Killed anywhere in between it is done again: an intent goes in the transaction
 * that writes what became of it.
 *
 * Of a message whose intent does not say what was sent (killed in the milliseconds before that)
 * nobody knows the content; alone.h reads it where it is.
 */
#include "imapsync/copy/turn.h"

#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/apply/apply_parts.h"

static const struct intent_sent *sent_of(const struct intent *i, uint32_t uid)
{
    for (size_t k = 0; k < i->n_sent; k++) {
        if (i->sent[k].uid == uid)
            return &i->sent[k];
    }
    return NULL;
}

/* Of one intent, in the journal's eyes of before: a pair that the receiver has said OK to and whose
 * UID it has not told. */
static int end_append(struct journal *j, const struct intent *i, struct err *err)
{
    bool *has_pair = mem_zalloc(i->n + 1);
    int result = 0;
    for (size_t k = 0; result == 0 && k < i->n; k++) {
        struct pair p;
        result = journal_pair_get(j, i->folder, i->uids[k], 0, &p, &has_pair[k], err);
    }
    if (result != 0) {
        free(has_pair);
        return result;
    }
    journal_begin(j);
    for (size_t k = 0; k < i->n; k++) {
        const struct intent_sent *s = sent_of(i, i->uids[k]);
        struct pair p = {.src_uid = i->uids[k], .state = PAIR_SENT};
        struct content content = {.since = i->tgt_uidnext};
        if (has_pair[k])
            continue;
        if (s) {
            p.flags = s->flags;
            content = s->content;
            content.since = i->tgt_uidnext;
        }
        journal_pair_put(j, i->folder, &p, &content);
    }
    journal_intent_del(j, i->folder, i->id);
    free(has_pair);
    return journal_commit(j, err);
}

static int end_appends(struct journal *j, struct err *err)
{
    struct intent *v;
    size_t n;
    if (journal_intents(j, 0, INTENT_APPEND, &v, &n, err) != 0)
        return -1;
    int result = 0;
    for (size_t i = 0; result == 0 && i < n; i++)
        result = end_append(j, &v[i], err);
    intents_free(v, n);
    return result;
}

int turn(struct copy *c, const struct folder_list *from, struct apply_open *open, struct err *err)
{
    struct journal *j = c->journal;
    journal_exchange(j);
    int result = apply_settle(c->from, j, from, open, err);
    if (result == 0)
        result = end_appends(j, err);
    journal_exchange(j);
    if (result != 0)
        return -1;
    return open->n == 0 ? journal_turn(j, err) : 0;
}
