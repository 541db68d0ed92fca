/* SPDX-License-Identifier: ISC */
/*
 * turn: the sides are exchanged.  What the oracle knew of both sides takes over: which messages of
 * what is the target now had a copy on the other side, under which names folders are known there,
 * and what users have changed that the other side has not been told.
 */
#include <string.h>

#include "imapsync/ends/flags.h"
#include "tests/sim/world.h"

#define REFUSING (QUIRK_REFUSES | QUIRK_LIMIT | QUIRK_NO_KEYWORDS)

/* What its users have made of flags since they were given is still to be carried. */
static void take_flags(struct ledger *l, const struct message *m)
{
    struct biography *b = &l->life[m->content];
    for (unsigned i = 0; i < MODEL_FLAGS; i++) {
        if (!(m->users & 1u << i))
            continue;
        if (m->flags & 1u << i)
            b->adds[i]++;
        else
            b->takes[i]++;
    }
}

static void take_source(struct world *w)
{
    for (size_t i = 0; i < w->source.n; i++) {
        struct mailbox *b = w->source.boxes[i];
        for (size_t k = 0; k < b->n; k++) {
            b->v[k].is_copy = false;
            ledger_user_added(&w->ledger, false, b->name, &b->v[k]);
            take_flags(&w->ledger, &b->v[k]);
        }
    }
}

/* Whether one like it was ever sent to where the source is now.  What the server there has lost
 * behind its OK looks like what its user has removed. */
static bool was_copied(const struct ledger *before, uint32_t content)
{
    bool was = before->life[content].was_swallowed;
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++)
        was |= before->tally[f][content].made > 0;
    return was;
}

/* Whether both sides have got one like it: which is the copy of which content has told, or not. */
static bool was_on_both(const struct ledger *before, uint32_t content)
{
    bool was = false;
    for (uint32_t s = 0; s < before->serials[1]; s++)
        was |= before->identity[1][s].content == content;
    return was && before->life[content].lives > 0;
}

/* Whether its copy there may be in another place by now, or away: one like it was taken away, or
 * there are several. */
static bool may_have_left(const struct world *w, const struct ledger *before, uint32_t content)
{
    bool may = before->serials[1] == IDENTITIES_MAX || w->ledger.life[content].lives > 1;
    for (uint32_t s = 0; s < before->serials[1]; s++)
        may |= before->identity[1][s].content == content && before->identity[1][s].lost_in != 0;
    return may;
}

/* A copy that stands for a message that is there, or was: as if the engine had made it. */
static void take_target(struct world *w, const struct ledger *before, struct mailbox *to)
{
    for (size_t i = 0; i < to->n; i++) {
        struct message *m = &to->v[i];
        struct tally *t = &w->ledger.tally[to->name][m->content];
        bool is_ours = was_copied(before, m->content);
        bool is_gone = (is_ours || was_on_both(before, m->content)) && t->made >= t->born;
        m->is_copy = is_gone || t->made < t->born;
        m->own = 0;
        m->apart = 0;
        m->touched_at = 0;
        m->users = (uint16_t)(m->users | (m->flags & FLAG_DELETED)); /* it has not travelled */
        m->answered_at = 0;
        m->is_unsure = false;
        m->has_date = true;
        m->born_flags = m->flags;
        memset(m->engine_adds, 0, sizeof(m->engine_adds));
        memset(m->engine_takes, 0, sizeof(m->engine_takes));
        if (is_gone || (m->is_copy && may_have_left(w, before, m->content))) {
            ledger_user_added(&w->ledger, false, to->name, m);
            ledger_user_removed(&w->ledger, false, to->name, m);
        }
        /* Both sides have got it, and what is in different places, or the other server has refused,
         * or its own has not listed, was not read, and is not known as the same. */
        bool may_be_unread = w->source.quirks & REFUSING || w->target.quirks & QUIRK_SHORT;
        w->ledger.life[m->content].got_by_both |= m->is_copy && !is_ours;
        if (m->is_copy && !is_ours && (is_gone || may_be_unread)) {
            t->late++;
            w->ledger.life[m->content].may_be_two = true;
        }
        if (m->is_copy)
            ledger_engine_added(&w->ledger, to->name, m);
        else
            ledger_user_added(&w->ledger, true, to->name, m);
    }
}

static void take_folders(struct ledger *l, const struct ledger *before)
{
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        l->places.of[f] = places_back(&before->places, f);
        l->is_renumbered[f] = before->is_renumbered_here[f];
        l->is_renumbered_here[f] = before->is_renumbered[f];
    }
    l->has_strangers = before->has_strangers;
    l->listed_at = before->listed_at;
}

void world_turn(struct world *w, bool has_journal)
{
    world_settle_late(w);
    const struct ledger before = w->ledger;
    struct server new = w->target;
    w->target = w->source;
    w->source = new;
    w->source.is_target = false;
    w->target.is_target = true;
    ledger_init(&w->ledger);
    w->ledger.tick = w->tick;
    w->ledger.committed_at = before.committed_at;
    w->ledger.has_open = w->h->has_open;
    w->ledger.has_lost_journal = !has_journal || before.has_lost_journal;
    w->ledger.was_begun_anew = w->ledger.has_lost_journal;
    w->ledger.source = &w->source;
    w->ledger.target = &w->target;
    w->ledger.is_short = before.is_short;
    w->ledger.is_fresh = w->ledger.is_turned = true;
    if (has_journal)
        take_folders(&w->ledger, &before);
    take_source(w);
    for (uint32_t c = 0; c < MODEL_CONTENTS; c++) {
        if (w->ledger.life[c].lives < before.life[c].lives)
            w->ledger.life[c].lives = before.life[c].lives;
    }
    for (size_t i = 0; i < w->target.n; i++)
        take_target(w, &before, w->target.boxes[i]);
    if (!has_journal) {
        server_forgotten(&w->source);
        server_forgotten(&w->target);
    }
}
