/* SPDX-License-Identifier: ISC */
/* ledger_engine: what the engine does to messages on the target, judged at that moment. */
#include "imapsync/ends/flags.h"
#include "tests/sim/cover.h"
#include "tests/sim/ledger.h"

/* Sums over the folders of the target that may be the same one. */
static bool is_any(const struct ledger *l, const bool *of, uint8_t folder)
{
    uint16_t names = places_alike(&l->places, folder);
    bool is = false;
    for (unsigned f = 0; f < MODEL_FOLDERS; f++)
        is |= names & 1u << f && of[f];
    return is;
}

static unsigned born_for(const struct ledger *l, uint8_t folder, uint32_t content)
{
    uint16_t names = places_back(&l->places, folder);
    unsigned n = 0;
    for (unsigned f = 0; f < MODEL_FOLDERS; f++)
        n += names & 1u << f ? l->tally[f][content].born : 0;
    return n;
}

static unsigned deleted_for(const struct ledger *l, uint8_t folder, uint32_t content)
{
    uint16_t names = places_back(&l->places, folder);
    unsigned n = 0;
    for (unsigned f = 0; f < MODEL_FOLDERS; f++)
        n += names & 1u << f ? l->tally[f][content].deleted : 0;
    return n;
}

/* --- Copies that come ---------------------------------------------------------------------------
 */

/* Before the flip a folder that was replaced, and a journal that was lost, are begun anew by
 * content, and what a user of the target has removed cannot be told from what never came.  When the
 * sides were exchanged it is copied again, until a pass is through.  Which of k equal ones was
 * removed nobody knows either. */
static uint16_t may_come_again(const struct ledger *l, uint8_t folder, uint32_t content)
{
    const struct tally *t = &l->tally[folder][content];
    bool is_begun_anew = l->has_lost_journal || l->is_fresh || ledger_went_with_others(l, t) ||
                         is_any(l, l->is_renumbered, folder) ||
                         (born_for(l, folder, content) > 1 &&
                             (l->interruptions > 0 || l->target->quirks & QUIRK_STORES_NO));
    return is_begun_anew ? t->user_removed : t->unsure_removed;
}

/* Behind an exchange of the sides equal messages are joined anew, whatever folder they are in, and
 * moved to where they are then. */
static bool has_births_in_all(const struct ledger *l, uint32_t content)
{
    unsigned made = 0, born = 0;
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        const struct tally *t = &l->tally[f][content];
        made += t->made;
        born += (unsigned)t->born + t->late + t->engine_removed + may_come_again(l, f, content);
    }
    return made <= born;
}

/* Whether each copy that was put into a folder is of a message that has lived there, or may have
 * been put there again. */
static bool has_births(const struct ledger *l, uint32_t content)
{
    struct cover c = {.n_needs = MODEL_FOLDERS, .n_supplies = 3 * MODEL_FOLDERS};
    bool is_plain = true;
    if (l->is_fresh && l->life[content].lives > 1 && has_births_in_all(l, content))
        return true;
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        const struct tally *t = &l->tally[f][content];
        is_plain &= t->made <= t->born + t->late;
    }
    for (uint8_t f = 0; !is_plain && f < MODEL_FOLDERS; f++) {
        const struct tally *t = &l->tally[f][content];
        uint64_t alike = places_alike(&l->places, f);
        c.needs[f] = t->made;
        c.supplies[f] = t->born;
        c.supplies[MODEL_FOLDERS + f] = t->late;
        c.supplies[2 * MODEL_FOLDERS + f] = (uint16_t)(may_come_again(l, f, content) + t->again);
        c.by[f] = places_back(&l->places, f) | alike << MODEL_FOLDERS | alike << 2 * MODEL_FOLDERS;
    }
    return is_plain || cover_lacks(&c) == 0;
}

void ledger_not_fresh(struct ledger *l)
{
    bool was_fresh = l->is_fresh;
    l->is_fresh = false;
    for (uint32_t c = 0; was_fresh && c < MODEL_CONTENTS; c++) {
        if (has_births(l, c))
            continue;
        for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
            struct tally *t = &l->tally[f][c];
            int more = t->made - t->born - t->late;
            t->again = (uint8_t)(more > 0 ? more : 0);
        }
    }
}

/* Whether each copy that was removed from a folder is of a message that has left it. */
static bool has_deletions(const struct ledger *l, uint32_t content)
{
    struct cover c = {.n_needs = MODEL_FOLDERS, .n_supplies = MODEL_FOLDERS};
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        c.needs[f] = l->tally[f][content].engine_removed;
        c.supplies[f] = l->tally[f][content].deleted;
        c.by[f] = places_back(&l->places, f);
    }
    return cover_lacks(&c) == 0;
}

/* In which folder does not matter: of equal contents nobody knows which one is late.  A message
 * that was moved, copied or renamed on the source since is not late. */
static void came_late(struct ledger *l, uint8_t folder, uint32_t content)
{
    struct biography *b = &l->life[content];
    unsigned removed = 0;
    b->late_made++;
    if (b->late_made - b->late_remade <= b->late_born)
        return;
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        const struct tally *t = &l->tally[f][content];
        bool is_doubtful = (b->lives > 1 && l->interruptions > 0) || is_any(l, l->is_restored, f);
        removed += is_doubtful ? t->user_removed : t->unsure_removed;
    }
    if (b->late_remade < removed)
        b->late_remade++;
    else
        ledger_harm(l, HARM_RESURRECTED,
            "message %u in %s: %u copies made behind the flip of %u that came late", content,
            model_folder_name(folder), b->late_made, b->late_born);
}

/* One copy more in a folder. */
static void came(struct ledger *l, uint8_t folder, const struct message *m)
{
    struct tally *t = &l->tally[folder][m->content];
    t->made++;
    if (l->is_flipped)
        came_late(l, folder, m->content);
    if ((l->is_flipped && l->life[m->content].lives > 1) || has_births(l, m->content))
        return;
    enum harm h = t->user_removed > 0 ? HARM_RESURRECTED : HARM_DOUBLED;
    ledger_harm(l, h, "message %u in %s: %u copies made of %u that lived there", m->content,
        model_folder_name(folder), t->made, born_for(l, folder, m->content));
}

void ledger_engine_added(struct ledger *l, uint8_t folder, struct message *m)
{
    ledger_name(l, true, folder, m);
    came(l, folder, m);
}

/* \Deleted that is taken away is what is left of a removal that was cut off.  On one that was to go
 * then, or to move, nobody can tell it from its user's. */
static bool may_be_our_mark(const struct ledger *l, uint8_t folder, const struct message *m)
{
    bool is_cut_off = l->interruptions > 0 || is_any(l, l->is_replaced, folder);
    return m->has_our_mark || (is_cut_off && deleted_for(l, folder, m->content) > 0);
}

/* Flags that are otherwise than we have left them; what users of both sides have done alike is what
 * both have in common. */
static uint16_t apart_of(const struct ledger *l, const struct message *m)
{
    const struct biography *b = &l->life[m->content];
    uint16_t apart = m->apart;
    for (unsigned i = 0; i < MODEL_FLAGS; i++) {
        uint16_t bit = (uint16_t)(1u << i);
        if (m->flags & bit ? b->adds[i] > 0 : b->takes[i] > 0)
            apart &= (uint16_t)~bit;
    }
    return apart;
}

static bool is_forbidden(
    const struct ledger *l, uint8_t folder, const struct message *m, bool on, uint16_t bit)
{
    bool is_marked = bit == FLAG_DELETED;
    /* Before the engine knew that it is stored nobody could see it; and of equal messages that are
     * found again by content nobody knows which one it was. */
    bool is_one = l->life[m->content].lives <= 1 || !is_any(l, l->is_renumbered, folder);
    bool is_touched =
        apart_of(l, m) != 0 && m->touched_at < l->pass_began && !m->is_touched_early && is_one;
    if (!on && is_marked && may_be_our_mark(l, folder, m))
        return false;
    switch (l->rule) {
    case RULE_MIRROR:
        return false;
    case RULE_ARCHIVE:
    case RULE_SWEEP:
        return !on || is_marked;
    case RULE_BACKFILL:
        return true;
    case RULE_FIRST_SWEEP:
        return is_marked || (!on && is_touched);
    case RULE_REVERSE:
        return is_marked;
    }
    return true;
}

/* What was under way at a cut or a kill may be done once more: nobody can know that it was done. */
void ledger_engine_flagged(
    struct ledger *l, uint8_t folder, const struct message *m, unsigned flag, bool on)
{
    const struct biography *b = &l->life[m->content];
    uint16_t bit = (uint16_t)(1u << flag);
    /* The first half of a removal; went() judges it. */
    if (on && bit == FLAG_DELETED && deleted_for(l, folder, m->content) > 0)
        return;
    bool may_be_born = b->born_flags & bit && !(m->born_flags & bit);
    unsigned allowed = l->interruptions + l->was_begun_anew + is_any(l, l->is_renumbered, folder);
    /* One that went and came again with other flags is the same message for the engine, as is what
     * both sides have got. */
    allowed += (b->lives > 0 ? b->lives - 1U : 0) + b->got_by_both;
    /* Our mark is taken back when a removal was cut off. */
    if (!on && bit == FLAG_DELETED && m->has_our_mark)
        allowed += deleted_for(l, folder, m->content);
    unsigned done = on ? m->engine_adds[flag] : m->engine_takes[flag];
    allowed += on ? b->adds[flag] + may_be_born : b->takes[flag];
    if (m->is_copy && done > allowed)
        ledger_harm(l, HARM_FLAG_UNDONE, "message %u in %s: flag %u %s %u times, by users %u times",
            m->content, model_folder_name(folder), flag, on ? "added" : "taken away", done,
            on ? b->adds[flag] : b->takes[flag]);
    if (!m->is_copy && l->life[m->content].lives == 0)
        ledger_harm(l, HARM_FLAG_UNDONE, "message %u in %s is not ours, and its flags were changed",
            m->content, model_folder_name(folder));
    if (is_forbidden(l, folder, m, on, bit))
        ledger_harm(l, HARM_FLAG_UNDONE, "message %u in %s: flag %u %s, which may not be now",
            m->content, model_folder_name(folder), flag, on ? "added" : "taken away");
}

/* One copy less.  is_moved: it is somewhere else, as one would be that went on the source, by a
 * restore or not, and came there. */
static void went(struct ledger *l, uint8_t folder, const struct message *m, bool is_moved)
{
    struct tally *t = &l->tally[folder][m->content];
    t->engine_removed++;
    /* With the journal lost, one that the same content stands for on the other side is joined. */
    bool may_be_joined = l->is_turned && l->has_lost_journal && l->life[m->content].lives > 0;
    if (!m->is_copy && born_for(l, folder, m->content) == 0 && !may_be_joined) {
        ledger_harm(l, HARM_WRONG_DELETE, "message %u in %s belongs to a user of the target",
            m->content, model_folder_name(folder));
        return;
    }
    /* Where UIDs are not told, its like that a user of the target has put there may be taken for
     * the copy, which stays. */
    if (!m->is_copy && l->target->quirks & (QUIRK_NO_UIDPLUS | QUIRK_UIDS))
        t->orphans++;
    if (!has_deletions(l, m->content) && is_moved && t->restored > 0) {
        t->restored--;
        t->deleted++;
    }
    /* What the engine has put into Trash, whatever that is called since, it takes out again when
     * its message comes up elsewhere, or another folder is Trash. */
    struct tally *trash = &l->tally[LEDGER_TRASH][m->content];
    bool is_trash = places_alike(&l->places, folder) & 1u << LEDGER_TRASH;
    if (!has_deletions(l, m->content) && is_moved && is_trash && trash->trashed > 0) {
        trash->trashed--;
        t->deleted++;
    }
    if (!has_deletions(l, m->content) && is_moved && !m->is_copy && may_be_joined)
        t->deleted++;
    bool is_joined_anew = l->is_fresh && l->life[m->content].lives > 1;
    if (!is_joined_anew && !has_deletions(l, m->content))
        ledger_harm(l, HARM_WRONG_DELETE, "message %u in %s: %u removed, %u deleted on the source",
            m->content, model_folder_name(folder), t->engine_removed,
            deleted_for(l, folder, m->content));
    if (l->is_flipped)
        ledger_harm(l, HARM_WRONG_DELETE, "message %u in %s was removed behind the flip",
            m->content, model_folder_name(folder));
}

/* What a move that was cut off has left behind: the message is somewhere else, and marked the same.
 */
static bool has_followed(const struct ledger *l, const struct message *m)
{
    for (size_t i = 0; i < l->target->n; i++) {
        const struct mailbox *b = l->target->boxes[i];
        for (size_t k = 0; k < b->n; k++) {
            if (&b->v[k] != m && b->v[k].id == m->id &&
                (m->own & m->flags & ~FLAG_DELETED & ~b->v[k].flags) == 0)
                return true;
        }
    }
    return false;
}

void ledger_engine_removed(struct ledger *l, uint8_t folder, const struct message *m)
{
    const struct biography *b = &l->life[m->content];
    went(l, folder, m, false);
    /* The second half of a move that was cut off removes what is elsewhere by then. */
    if ((l->rule == RULE_REVERSE || l->rule == RULE_ARCHIVE) && !has_followed(l, m))
        ledger_harm(l, HARM_WRONG_DELETE, "message %u in %s was removed, and never may be",
            m->content, model_folder_name(folder));
    for (unsigned i = 0; i < MODEL_FLAGS; i++) {
        bool is_theirs = m->own & m->flags & (1u << i) && !(b->born_flags & (1u << i)) &&
                         b->adds[i] == 0 && 1u << i != FLAG_DELETED;
        if (is_theirs && m->touched_at < l->pass_began && !has_followed(l, m))
            ledger_harm(l, HARM_WRONG_DELETE, "message %u in %s was marked by a user of the target",
                m->content, model_folder_name(folder));
    }
}

void ledger_engine_moved_away(struct ledger *l, uint8_t from, const struct message *m)
{
    went(l, from, m, true);
}

/* On the way back nothing in Trash is one too many. */
void ledger_engine_copied(struct ledger *l, uint8_t to, const struct message *m)
{
    struct tally *t = &l->tally[to][m->content];
    if (l->rule == RULE_REVERSE && to == LEDGER_TRASH) {
        t->late++;
        t->trashed++;
    }
    came(l, to, m);
}

void ledger_engine_moved(struct ledger *l, uint8_t from, uint8_t to, const struct message *m)
{
    went(l, from, m, true);
    ledger_engine_copied(l, to, m);
}

void ledger_engine_renamed(struct ledger *l, uint8_t from, uint8_t to)
{
    places_renamed(&l->places, true, from, to);
    l->renamed_at[from] = l->tick;
    if (l->is_flipped)
        ledger_harm(
            l, HARM_WRONG_DELETE, "folder %s was renamed behind the flip", model_folder_name(from));
}
