/* SPDX-License-Identifier: ISC */
/* oracle: see oracle.h.  In doubt it says nothing: what it says is a fault. */
#include "tests/sim/oracle.h"

#include <string.h>

#include "base/core/err.h"
#include "imapsync/ends/flags.h"

static const char *const harms[HARMS] = {"none", "LOST", "DOUBLED", "RESURRECTED", "FLAG UNDONE",
    "FLAG MISSED", "WRONG DELETE", "CORRUPT", "NO QUIET"};

const char *harm_name(enum harm h)
{
    return harms[h];
}

void ledger_init(struct ledger *l)
{
    *l = (struct ledger){0};
}

void ledger_harm(struct ledger *l, enum harm h, const char *fmt, ...)
{
    va_list ap;
    if (l->harm != HARM_NONE)
        return;
    l->harm = h;
    va_start(ap, fmt);
    struct buf text;
    buf_init(&text, sizeof(l->text));
    BUG_ON(buf_vaddf(&text, fmt, ap) != 0 ||
           fmt_into(l->text, sizeof(l->text), "%s", buf_cstr(&text)) != 0);
    buf_fini(&text);
    va_end(ap);
}

struct count {
    unsigned n;
    const struct message *only;
};

static struct count count(const struct mailbox *b, uint32_t content)
{
    struct count c = {0};
    for (size_t i = 0; b && i < b->n; i++) {
        if (b->v[i].content == content) {
            c.n++;
            c.only = &b->v[i];
        }
    }
    return c;
}

static void appeared(struct ledger *l, uint8_t folder, uint32_t content)
{
    struct tally *t = &l->tally[folder][content];
    t->born++;
    t->born_before_flip = (uint8_t)(t->born_before_flip + !l->is_flipped);
}

void ledger_user_added(struct ledger *l, bool on_target, uint8_t folder, const struct message *m)
{
    if (on_target)
        return;
    appeared(l, folder, m->content);
    l->life[m->content].late_born = (uint8_t)(l->life[m->content].late_born + l->is_flipped);
    l->life[m->content].lives++;
    l->life[m->content].born_flags |= m->flags;
}

void ledger_user_copied(struct ledger *l, bool on_target, uint8_t folder, const struct message *m)
{
    struct biography *b = &l->life[m->content];
    uint8_t late_born = b->late_born;
    ledger_user_added(l, on_target, folder, m);
    /* Of one that is late there are two now.  Of one that is not, contents that are there more
     * often than ever before, as far as they do not stand where they were at the flip: nobody can
     * tell that from late mail. */
    bool is_doubtful = late_born > 0 || b->late_copied || b->late_moved || l->has_new_numbers;
    b->late_born = (uint8_t)(late_born + is_doubtful);
    b->late_copied = l->is_flipped;
}

/* Whether the engine cannot know yet that it is stored: not told, or not written down. */
static bool is_unsure(const struct ledger *l, const struct message *m)
{
    return m->is_copy && (m->is_unsure || m->answered_at == 0 || m->answered_at >= l->committed_at);
}

static bool has_unsure(const struct ledger *l, uint8_t folder, uint32_t content)
{
    const struct mailbox *b = server_find(l->target, folder);
    for (size_t i = 0; b && i < b->n; i++) {
        if (b->v[i].content == content && is_unsure(l, &b->v[i]))
            return true;
    }
    return false;
}

static void each_copy(struct ledger *l, void (*f)(struct ledger *l, struct message *m))
{
    for (size_t i = 0; i < l->target->n; i++) {
        struct mailbox *b = l->target->boxes[i];
        for (size_t k = 0; k < b->n; k++) {
            if (b->v[k].is_copy)
                f(l, &b->v[k]);
        }
    }
}

static void on_interrupted(struct ledger *l, struct message *m)
{
    m->is_unsure = is_unsure(l, m);
    for (uint8_t f = 0; m->is_unsure && f < MODEL_FOLDERS; f++) {
        struct tally *t = &l->tally[f][m->content];
        int more = t->made - t->user_removed - t->engine_removed - (t->born - t->deleted);
        if (more > t->orphans)
            t->orphans = (uint8_t)more;
    }
}

void ledger_unsure(struct ledger *l)
{
    each_copy(l, on_interrupted);
}

void ledger_interrupted(struct ledger *l)
{
    l->interruptions++;
    ledger_unsure(l);
}

void ledger_late(struct ledger *l, uint8_t folder, uint32_t content)
{
    l->tally[folder][content].late++;
    l->life[content].late_born = (uint8_t)(l->life[content].late_born + l->is_flipped);
}

static void on_settled(struct ledger *l, struct message *m)
{
    (void)l;
    m->is_unsure = false;
}

void ledger_settled(struct ledger *l)
{
    each_copy(l, on_settled);
}

void ledger_user_removed(struct ledger *l, bool on_target, uint8_t folder, const struct message *m)
{
    struct tally *t = &l->tally[folder][m->content];
    if (!on_target && has_unsure(l, folder, m->content))
        t->orphans++;
    if (!on_target)
        t->deleted++;
    else if (m->is_copy)
        t->user_removed++;
    else
        t->others_removed++;
    if (on_target && is_unsure(l, m))
        t->unsure_removed++;
}

void ledger_user_moved(
    struct ledger *l, bool on_target, uint8_t from, uint8_t to, const struct message *m)
{
    ledger_user_removed(l, on_target, from, m);
    if (on_target)
        return;
    struct biography *b = &l->life[m->content];
    appeared(l, to, m->content);
    if (!l->is_flipped)
        return;
    /* Late mail that is moved behind the back of a pass is seen in both places, and behind a kill
     * the marks may not have it (what is open). */
    bool is_open = (l->is_in_pass || l->interruptions > 0) && (b->late_born > 0 || b->late_moved) &&
                   !l->has_open;
    if (is_open || b->late_copied)
        b->late_born++;
    b->late_moved = true;
}

void ledger_user_flagged(
    struct ledger *l, bool on_target, const struct message *m, uint16_t flag, bool on)
{
    if (on_target)
        return;
    for (unsigned i = 0; i < MODEL_FLAGS; i++) {
        if (flag == 1u << i && on)
            l->life[m->content].adds[i]++;
        else if (flag == 1u << i)
            l->life[m->content].takes[i]++;
    }
}

void ledger_renumbered(struct ledger *l, bool on_target, uint8_t folder)
{
    if (on_target)
        l->is_renumbered[folder] = true;
    else
        l->is_renumbered_here[folder] = true;
    if (!l->is_flipped)
        return;
    l->has_new_numbers = true;
    for (uint32_t c = 0; c < MODEL_CONTENTS; c++)
        l->life[c].late_born = (uint8_t)(l->life[c].late_born + l->life[c].late_copied);
}

void ledger_renamed(struct ledger *l, uint8_t from, uint8_t to)
{
    l->is_renumbered[from] = l->is_renumbered[to] = true;
}

void ledger_flip(struct ledger *l, const struct server *source)
{
    for (uint32_t c = 0; c < MODEL_CONTENTS; c++) {
        int owed = 0;
        for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
            const struct tally *t = &l->tally[f][c];
            owed += (int)count(server_find(source, f), c).n - (t->made - t->engine_removed);
        }
        l->life[c].late_born = (uint8_t)(owed > 0 ? owed : 0);
    }
    l->is_flipped = true;
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
        removed += b->lives > 1 && l->interruptions > 0 ? t->user_removed : t->unsure_removed;
    }
    if (b->late_remade < removed)
        b->late_remade++;
    else
        ledger_harm(l, HARM_RESURRECTED,
            "message %u in %s: %u copies made behind the flip of %u that came late", content,
            model_folder_name(folder), b->late_made, b->late_born);
}

static bool has_more_births(const struct ledger *l, uint32_t content)
{
    int made = 0, born = 0;
    for (unsigned f = 0; f < MODEL_FOLDERS; f++) {
        const struct tally *t = &l->tally[f][content];
        bool is_begun_anew = l->is_renumbered[f] || l->has_lost_journal || l->interruptions > 0;
        made += t->made - t->remade;
        born += t->born + t->late + (is_begun_anew ? t->user_removed : t->unsure_removed);
    }
    return made <= born;
}

/* One copy more in a folder. */
static void came(struct ledger *l, uint8_t folder, const struct message *m)
{
    struct tally *t = &l->tally[folder][m->content];
    bool is_begun_anew = l->is_renumbered[folder] || l->has_lost_journal;
    t->made++;
    if (l->is_flipped) {
        came_late(l, folder, m->content);
        return;
    }
    /* Before the flip a folder that was replaced, and a journal that was lost, are begun anew by
     * content, and what a user of the target has removed cannot be told from what never came. */
    if (t->made - t->remade <= t->born + t->late)
        return;
    /* Which of k equal ones was removed nobody knows. */
    is_begun_anew |= t->born > 1 && l->interruptions > 0;
    if (t->remade < (is_begun_anew ? t->user_removed : t->unsure_removed)) {
        t->remade++;
        return;
    }
    if (l->has_own_names && has_more_births(l, m->content))
        return;
    enum harm h = t->user_removed > 0 ? HARM_RESURRECTED : HARM_DOUBLED;
    ledger_harm(l, h, "message %u in %s: %u copies made of %u that lived", m->content,
        model_folder_name(folder), t->made, t->born);
}

void ledger_engine_added(struct ledger *l, uint8_t folder, struct message *m)
{
    came(l, folder, m);
}

/* \Deleted that is taken away is what is left of a removal that was cut off. */
static bool is_forbidden(const struct ledger *l, const struct message *m, bool on, uint16_t bit)
{
    bool is_marked = bit == FLAG_DELETED;
    bool is_touched = m->users != 0 && m->touched_at < l->pass_began;
    if (!on && is_marked && l->interruptions > 0)
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
        /* The engine does not look at the target's flags before (what is open). */
        return is_marked || (!on && is_touched && l->has_open);
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
    if (on && bit == FLAG_DELETED && l->tally[folder][m->content].deleted > 0)
        return;
    bool may_be_born = b->born_flags & bit && !(m->born_flags & bit);
    unsigned allowed = l->interruptions + l->has_lost_journal + l->is_renumbered[folder];
    /* One that went and came again with other flags is the same message for the engine. */
    allowed += b->lives > 0 ? b->lives - 1 : 0;
    unsigned done = on ? m->engine_adds[flag] : m->engine_takes[flag];
    allowed += on ? b->adds[flag] + may_be_born : b->takes[flag];
    if (m->is_copy && done > allowed)
        ledger_harm(l, HARM_FLAG_UNDONE, "message %u in %s: flag %u %s %u times, by users %u times",
            m->content, model_folder_name(folder), flag, on ? "added" : "taken away", done,
            on ? b->adds[flag] : b->takes[flag]);
    if (!m->is_copy && l->life[m->content].lives == 0)
        ledger_harm(l, HARM_FLAG_UNDONE, "message %u in %s is not ours, and its flags were changed",
            m->content, model_folder_name(folder));
    if (is_forbidden(l, m, on, bit))
        ledger_harm(l, HARM_FLAG_UNDONE, "message %u in %s: flag %u %s, which may not be now",
            m->content, model_folder_name(folder), flag, on ? "added" : "taken away");
}

static bool has_more_deletions(const struct ledger *l, uint32_t content)
{
    int removed = 0, deleted = 0;
    for (unsigned f = 0; f < MODEL_FOLDERS; f++) {
        removed += l->tally[f][content].engine_removed;
        deleted += l->tally[f][content].deleted;
    }
    return removed <= deleted;
}

/* One copy less. */
static void went(struct ledger *l, uint8_t folder, const struct message *m)
{
    struct tally *t = &l->tally[folder][m->content];
    t->engine_removed++;
    if (!m->is_copy && t->born == 0) {
        ledger_harm(l, HARM_WRONG_DELETE, "message %u in %s belongs to a user of the target",
            m->content, model_folder_name(folder));
        return;
    }
    if (t->engine_removed > t->deleted && !(l->has_own_names && has_more_deletions(l, m->content)))
        ledger_harm(l, HARM_WRONG_DELETE, "message %u in %s: %u removed, %u deleted on the source",
            m->content, model_folder_name(folder), t->engine_removed, t->deleted);
    if (l->is_flipped)
        ledger_harm(l, HARM_WRONG_DELETE, "message %u in %s was removed behind the flip",
            m->content, model_folder_name(folder));
}

/* What goes to Trash on the way back, for which nothing was moved on the source. */
#define TRASH 2

/* What a move that was cut off has left behind: the message is somewhere else, and marked the same.
 */
static bool has_followed(const struct ledger *l, const struct message *m)
{
    for (size_t i = 0; i < l->target->n; i++) {
        const struct mailbox *b = l->target->boxes[i];
        for (size_t k = 0; k < b->n; k++) {
            if (&b->v[k] != m && b->v[k].id == m->id && (m->own & m->flags & ~b->v[k].flags) == 0)
                return true;
        }
    }
    return false;
}

void ledger_engine_removed(struct ledger *l, uint8_t folder, const struct message *m)
{
    const struct biography *b = &l->life[m->content];
    went(l, folder, m);
    if (l->rule == RULE_ARCHIVE || l->rule == RULE_REVERSE)
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
    went(l, from, m);
}

void ledger_engine_moved(struct ledger *l, uint8_t from, uint8_t to, const struct message *m)
{
    went(l, from, m);
    if (l->rule == RULE_REVERSE && to == TRASH && l->tally[to][m->content].born == 0)
        l->tally[to][m->content].late++;
    came(l, to, m);
}

/* Also what its user has put there goes with it. */
void ledger_engine_renamed(struct ledger *l, uint8_t from, uint8_t to, const struct message *m)
{
    struct tally *old = &l->tally[from][m->content], *now = &l->tally[to][m->content];
    if (l->is_flipped)
        ledger_harm(
            l, HARM_WRONG_DELETE, "folder %s was renamed behind the flip", model_folder_name(from));
    if (!m->is_copy || old->made == 0)
        return;
    old->made--;
    now->made++;
    if (now->made > now->born + now->late)
        now->late++; /* its original is gone */
}

/* --- After quiet ------------------------------------------------------------------------------ */

static bool is_told(const struct ledger *l, uint8_t folder, uint32_t content)
{
    return l->is_told_all || l->is_told[folder] || l->is_given_up[folder] ||
           l->tally[folder][content].told > 0;
}

static void judge_flags(struct ledger *l, uint8_t folder, uint32_t content,
    const struct message *from, const struct message *to)
{
    uint16_t missed = (uint16_t)(from->flags & ~to->flags & ~to->users);
    if (l->target->quirks & QUIRK_NO_KEYWORDS)
        missed &= 31;
    if (l->rule != RULE_MIRROR)
        missed &= (uint16_t)~FLAG_DELETED;
    uint16_t left = (uint16_t)(to->flags & ~from->flags & ~to->users);
    /* Stored behind a kill that came before the record of what was sent: which flags it was given
     * nobody knows (what is open). */
    if (l->tally[folder][content].late > 0 && !l->has_open)
        left = 0;
    /* A copy that was found by content may have had flags before we came to it. */
    if (l->has_lost_journal || l->is_renumbered[folder] || l->rule != RULE_MIRROR)
        left = 0;
    if ((missed | left) && !is_told(l, folder, content))
        ledger_harm(l, HARM_FLAG_MISSED, "message %u in %s: flags %x on the source, %x on its copy",
            content, model_folder_name(folder), from->flags, to->flags);
}

/* Users of the target may have removed it before it was moved on the source. */
static unsigned removed_anywhere(const struct ledger *l, uint32_t content)
{
    unsigned n = 0;
    for (unsigned f = 0; f < MODEL_FOLDERS; f++)
        n += l->tally[f][content].user_removed + l->tally[f][content].others_removed;
    return n;
}

static void judge_content(struct ledger *l, uint8_t folder, uint32_t content,
    const struct mailbox *source, const struct mailbox *target)
{
    struct tally *t = &l->tally[folder][content];
    struct count from = count(source, content), to = count(target, content);
    bool is_sure =
        !l->has_lost_journal && !l->is_renumbered[folder] && !l->is_renumbered_here[folder];
    /* Without UIDPLUS nothing can be removed, and after a kill nobody says so (what is open). */
    if (l->target->quirks & (QUIRK_NO_UIDPLUS | QUIRK_UIDS) &&
        (l->interruptions > 0 || l->is_short))
        is_sure = false;
    if (!l->is_flipped && !l->has_own_names && from.n > to.n + removed_anywhere(l, content) &&
        !is_told(l, folder, content))
        ledger_harm(l, HARM_LOST,
            "message %u in %s: %u on the source, %u on the target, %u removed", content,
            model_folder_name(folder), from.n, to.n, t->user_removed);
    /* Behind the flip a copy stays; and one whose message went before anybody knew that it had been
     * stored belongs to nobody. */
    if (is_sure && l->rule == RULE_MIRROR && source && to.n > from.n + t->orphans + t->late &&
        t->born > 0 && to.only->is_copy && to.only->users == 0 && to.n == 1 &&
        !is_told(l, folder, content))
        ledger_harm(l, HARM_RESURRECTED, "message %u in %s: deleted on the source, and still there",
            content, model_folder_name(folder));
    if (from.n == 1 && to.n == 1 && t->born == 1 && t->made == 1 && !l->is_flipped &&
        l->life[content].lives == 1 && to.only->is_copy)
        judge_flags(l, folder, content, from.only, to.only);
    if (to.n > 0 && to.only->is_copy && (to.only->is_altered || !to.only->has_date) &&
        !is_told(l, folder, content))
        ledger_harm(l, HARM_CORRUPT, "message %u in %s: %s", content, model_folder_name(folder),
            to.only->is_altered ? "the copy has other octets" : "the copy has another date");
}

/* Behind the flip users of both sides sort their mail into other folders: a message has to be
 * somewhere.  A content that came twice is not judged (docs/simulation.md, what is open). */
static void judge_everywhere(
    struct ledger *l, uint32_t content, const struct server *source, const struct server *target)
{
    unsigned from = 0, to = 0, removed = 0;
    bool has_told = false;
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        unsigned here = count(server_find(source, f), content).n;
        from += here;
        to += count(server_find(target, f), content).n;
        removed += l->tally[f][content].user_removed + l->tally[f][content].others_removed;
        /* What was given up in one folder is so wherever its user puts it. */
        has_told |= (here > 0 && is_told(l, f, content)) ||
                    (l->is_given_up[f] && l->tally[f][content].born > 0);
    }
    if (from > to + removed && l->life[content].lives == 1 && !has_told)
        ledger_harm(l, HARM_LOST, "message %u: %u on the source, %u on the target, %u removed",
            content, from, to, removed);
}

void oracle_judge(struct ledger *l, const struct server *source, const struct server *target)
{
    for (uint32_t c = 0; (l->is_flipped || l->has_own_names) && c < MODEL_CONTENTS; c++)
        judge_everywhere(l, c, source, target);
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        const struct mailbox *from = server_find(source, f), *to = server_find(target, f);
        for (uint32_t c = 0; c < MODEL_CONTENTS; c++) {
            if (l->life[c].lives > 0)
                judge_content(l, f, c, from, to);
        }
    }
}
