/* SPDX-License-Identifier: ISC */
/* oracle: see oracle.h. */
#include "tests/sim/oracle.h"

#include <string.h>

#include "imapsync/ends/flags.h"
#include "tests/sim/cover.h"

/* What is told of a folder is told under its name on the source. */
static bool is_told(const struct ledger *l, uint8_t folder, uint32_t content)
{
    return l->is_told_all || l->is_told[folder] || l->is_given_up[folder] ||
           l->tally[folder][content].told > 0;
}

static bool is_told_there(const struct ledger *l, uint8_t on_target, uint32_t content)
{
    uint16_t names = places_back(&l->places, on_target);
    bool is = is_told(l, on_target, content);
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++)
        is |= names & 1u << f && is_told(l, f, content);
    return is;
}

/* --- Whether it is there --------------------------------------------------------------------- */

/* Messages of one content on the target, those that are there no more among them; one for each
 * folder, if a move was cut off between its two halves. */
struct there {
    uint32_t serial[COVER_MAX / 2];
    uint16_t in[COVER_MAX / 2]; /* the folder where it is, as a bit */
    uint16_t many[COVER_MAX / 2];
    bool is_other[COVER_MAX / 2]; /* another half of an earlier one */
    size_t n;
    bool is_all;
};

static void add_there(struct there *t, uint32_t serial, uint8_t folder)
{
    const uint16_t in = (uint16_t)(1u << folder);
    for (size_t i = 0; i < t->n; i++) {
        if (t->serial[i] != serial || (t->in[i] != 0 && t->in[i] != in))
            continue;
        t->in[i] = in;
        t->many[i]++;
        return;
    }
    t->is_all = t->is_all && t->n < COVER_MAX / 2;
    if (!t->is_all)
        return;
    t->serial[t->n] = serial;
    t->in[t->n] = in;
    t->is_other[t->n] = true;
    t->many[t->n++] = 1;
}

static struct there find_there(
    const struct ledger *l, const struct server *target, uint32_t content)
{
    struct there t = {.is_all = l->serials[1] < IDENTITIES_MAX};
    for (uint32_t s = 0; s < l->serials[1]; s++) {
        if (l->identity[1][s].content != content)
            continue;
        if (t.n < COVER_MAX / 2)
            t.serial[t.n++] = s;
        else
            t.is_all = false;
    }
    for (size_t i = 0; i < target->n; i++) {
        const struct mailbox *b = target->boxes[i];
        for (size_t k = 0; k < b->n; k++) {
            if (b->v[k].content == content && b->v[k].serial < IDENTITIES_MAX)
                add_there(&t, b->v[k].serial, b->name);
        }
    }
    return t;
}

/* Those which a message of the source may be, or may have been until a user there took it away.
 * Behind the flip users of both sides sort their mail into other folders: it has to be somewhere.
 */
static uint64_t stand_ins(
    const struct ledger *l, const struct there *t, const struct message *m, uint8_t folder)
{
    uint16_t been = 0, now = l->places.of[folder];
    uint64_t bits = 0;
    /* Which of equal ones was taken away nobody knows, nor which one has moved when one goes and
     * another one comes. */
    for (uint32_t s = 0; s < l->serials[0]; s++)
        been |= l->identity[0][s].content == m->content ? l->identity[0][s].been : 0;
    uint16_t once = places_of_all(&l->places, been);
    if (l->is_flipped)
        now = once = 0xffff;
    /* One that was taken away to another folder is one less here, and one more there. */
    for (size_t i = 0; i < t->n; i++) {
        bits |= t->in[i] & now ? UINT64_C(1) << 2 * i : 0;
        bits |= l->identity[1][t->serial[i]].lost_in & once ? UINT64_C(2) << 2 * i : 0;
    }
    return bits;
}

/* What was given up in one folder is so wherever its user puts it. */
static bool is_given_up(const struct ledger *l, const struct message *m)
{
    uint16_t been = m->serial < IDENTITIES_MAX ? l->identity[0][m->serial].been : 0;
    bool is = false;
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++)
        is |= been & 1u << f && l->is_given_up[f];
    return is;
}

static void judge_lost(
    struct ledger *l, uint32_t content, const struct server *source, const struct server *target)
{
    const struct there t = find_there(l, target, content);
    struct cover c = {.n_supplies = 2 * t.n};
    const char *where = NULL;
    for (size_t i = 0; i < t.n; i++) {
        /* One that is kept once is the copy of all of them. */
        uint16_t of = target->quirks & QUIRK_ONCE ? COVER_MAX : 1;
        c.supplies[2 * i] = (uint16_t)(of * t.many[i]);
        c.supplies[2 * i + 1] =
            t.is_other[i]
                ? 0
                : (uint16_t)(of * __builtin_popcount(l->identity[1][t.serial[i]].lost_in));
    }
    for (size_t i = 0; i < source->n; i++) {
        const struct mailbox *b = source->boxes[i];
        for (size_t k = 0; k < b->n && c.n_needs < COVER_MAX; k++) {
            const struct message *m = &b->v[k];
            if (m->content != content || is_told(l, b->name, content) || is_given_up(l, m))
                continue;
            c.needs[c.n_needs] = 1;
            c.by[c.n_needs++] = stand_ins(l, &t, m, b->name);
            where = model_folder_name(b->name);
        }
    }
    unsigned lacks = t.is_all ? cover_lacks(&c) : 0;
    /* Under the name that such a folder had may be another one by now (what is open). */
    if (l->has_strangers && !l->has_open)
        return;
    /* Behind the flip a content that came twice is not judged (docs/simulation.md, what is open).
     */
    if (lacks == 0 || (l->is_flipped && l->life[content].lives > 1 && !l->has_open))
        return;
    ledger_harm(l, HARM_LOST, "message %u (one is in %s): %zu on the source, %u not on the target",
        content, where, c.n_needs, lacks);
}

/* --- Whether it is there no more ------------------------------------------------------------- */

/* Of equal messages that were joined anew one had \Deleted, which did not travel on the way back:
 * the copy of another one looks as if its user had taken that away. */
static bool lacks_mark(const struct ledger *l, const struct message *m)
{
    return l->is_turned && l->life[m->content].born_flags & FLAG_DELETED &&
           !(m->flags & FLAG_DELETED);
}

/* Copies of it that nobody has touched, and that have to have an original. */
static uint16_t untouched(const struct ledger *l, const struct mailbox *b, uint32_t content)
{
    uint16_t n = 0;
    bool is_touched = false;
    for (size_t i = 0; i < b->n; i++) {
        const struct message *m = &b->v[i];
        if (m->content != content)
            continue;
        n = (uint16_t)(n + (m->is_copy && m->users == 0));
        is_touched |= !m->is_copy || m->users != 0 || lacks_mark(l, m);
    }
    /* Of equal ones nobody knows which was touched. */
    return is_touched && l->life[content].lives > 1 ? 0 : n;
}

/* Behind the flip a copy stays; and one whose message went before anybody knew that it had been
 * stored belongs to nobody. */
static bool is_sure(const struct ledger *l, const struct server *source, const struct mailbox *b)
{
    uint16_t names = places_back(&l->places, b->name);
    bool is_there = false, is_same = true;
    /* A folder that the source does not list stays, and the engine says so. */
    if (l->has_vanished && !server_find(source, b->name))
        return false;
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        if (!(names & 1u << f))
            continue;
        is_there |= server_find(source, f) != NULL;
        is_same &= !l->is_renumbered[f] && !l->is_renumbered_here[f];
    }
    /* Without UIDPLUS nothing can be removed, and after a kill nobody says so (what is open). */
    bool can_remove = !(l->target->quirks & (QUIRK_NO_UIDPLUS | QUIRK_UIDS)) ||
                      (l->interruptions == 0 && !l->is_short);
    bool is_trash = places_alike(&l->places, b->name) & 1u << LEDGER_TRASH;
    bool follows = l->rule == RULE_MIRROR || (l->rule == RULE_REVERSE && !is_trash);
    return follows && !l->has_lost_journal && can_remove && is_there && is_same;
}

static void judge_left(
    struct ledger *l, uint32_t content, const struct server *source, const struct server *target)
{
    struct cover c = {.n_needs = MODEL_FOLDERS, .n_supplies = 2 * MODEL_FOLDERS};
    const char *where = NULL;
    for (size_t i = 0; i < source->n; i++) {
        for (size_t k = 0; k < source->boxes[i]->n; k++)
            c.supplies[source->boxes[i]->name] =
                (uint16_t)(c.supplies[source->boxes[i]->name] +
                           (source->boxes[i]->v[k].content == content));
    }
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        const struct tally *t = &l->tally[f][content];
        c.supplies[MODEL_FOLDERS + f] = (uint16_t)(t->orphans + t->late);
        c.by[f] = places_back(&l->places, f) | (uint64_t)places_alike(&l->places, f)
                                                   << MODEL_FOLDERS;
    }
    for (size_t i = 0; i < target->n; i++) {
        const struct mailbox *b = target->boxes[i];
        if (!is_sure(l, source, b) || is_told_there(l, b->name, content))
            continue;
        c.needs[b->name] = untouched(l, b, content);
        where = c.needs[b->name] > 0 ? model_folder_name(b->name) : where;
    }
    unsigned lacks = where ? cover_lacks(&c) : 0;
    if (lacks > 0)
        ledger_harm(l, HARM_RESURRECTED,
            "message %u in %s: not there on the source any more, and %u copies still are", content,
            where, lacks);
}

/* Into a folder whose numbers never last nothing can be followed (what is open). */
static bool has_closed(const struct server *source)
{
    bool has = false;
    for (size_t i = 0; i < source->n; i++)
        has |= source->quirks & QUIRK_FIRST_OPEN && !source->boxes[i]->is_kept;
    return has;
}

/* On the way back: one that its user has removed, or moved there between the looks at two folders,
 * is in Trash once, and once more for each time that it went away with the whole of a Trash whose
 * ID is not told.  Where nothing can be moved, or not by its size, or is not told to be there, or
 * is altered, its copy goes there each time that it is moved. */
static void judge_trash(struct ledger *l, uint32_t content, const struct server *target)
{
    const struct mailbox *b = server_find(target, LEDGER_TRASH);
    unsigned n = 0;
    bool is_moved = !(l->target->quirks & (QUIRK_NO_UIDPLUS | QUIRK_UIDS)) &&
                    !(l->source->quirks & (QUIRK_SIZES | QUIRK_SHORT)) && !has_closed(l->source);
    bool is_ours = l->rule == RULE_REVERSE && is_moved && l->life[content].lives == 1 &&
                   !l->has_lost_journal && !l->life[content].may_be_two &&
                   !l->life[content].was_altered && (l->has_open || !l->life[content].was_hasty);
    for (size_t i = 0; b && i < b->n; i++) {
        n += b->v[i].content == content;
        is_ours &= b->v[i].content != content || (b->v[i].is_copy && b->v[i].users == 0);
    }
    if (is_ours && n > 1U + l->life[content].went_with_trash)
        ledger_harm(l, HARM_DOUBLED, "message %u is %u times in Trash", content, n);
}

/* --- Whether it is as it should be ----------------------------------------------------------- */

static void judge_flags(struct ledger *l, uint8_t folder, uint32_t content,
    const struct message *from, const struct message *to)
{
    uint16_t missed = (uint16_t)(from->flags & ~to->flags & ~to->users);
    if (l->target->quirks & QUIRK_NO_KEYWORDS)
        missed &= 31;
    if (l->rule != RULE_MIRROR)
        missed &= (uint16_t)~FLAG_DELETED;
    /* With the journal went what the sides had in common, and this does not travel behind a flip.
     */
    if (l->is_turned && l->has_lost_journal)
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

struct only {
    const struct message *m;
    uint8_t folder;
    unsigned n;
};

static struct only only_one(const struct server *s, uint32_t content)
{
    struct only o = {0};
    for (size_t i = 0; i < s->n; i++) {
        const struct mailbox *b = s->boxes[i];
        for (size_t k = 0; k < b->n; k++) {
            if (b->v[k].content != content)
                continue;
            o = (struct only){&b->v[k], b->name, o.n + 1};
        }
    }
    return o;
}

/* It has what the source has, altered on an earlier way, or its message is not there any more. */
static bool is_as_there(const struct server *source, const struct message *copy)
{
    bool is_there = false, is_altered = false;
    for (size_t i = 0; i < source->n; i++) {
        const struct mailbox *b = source->boxes[i];
        for (size_t k = 0; k < b->n; k++) {
            is_there |= b->v[k].content == copy->content;
            is_altered |= b->v[k].content == copy->content && b->v[k].is_altered;
        }
    }
    return !is_there || (is_altered && copy->has_date);
}

/* What is not on the source any more nobody can compare. */
static void judge_whole(struct ledger *l, const struct server *source, const struct mailbox *b)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct message *m = &b->v[i];
        if (!m->is_copy || (!m->is_altered && m->has_date) || l->life[m->content].lives == 0 ||
            is_told_there(l, b->name, m->content) || is_as_there(source, m))
            continue;
        ledger_harm(l, HARM_CORRUPT, "message %u in %s: %s", m->content, model_folder_name(b->name),
            m->is_altered ? "the copy has other octets" : "the copy has another date");
    }
}

/* Users of the target have removed a copy: the one that is left need not be the one of the pair. */
static bool has_lost_a_copy(const struct ledger *l, uint32_t content)
{
    unsigned n = 0;
    for (size_t i = 0; i < MODEL_FOLDERS; i++)
        n += l->tally[i][content].user_removed;
    return n > 0;
}

void oracle_judge(struct ledger *l, const struct server *source, const struct server *target)
{
    for (uint32_t c = 0; c < MODEL_CONTENTS; c++) {
        if (l->life[c].lives == 0)
            continue;
        struct only from = only_one(source, c), to = only_one(target, c);
        judge_lost(l, c, source, target);
        judge_left(l, c, source, target);
        judge_trash(l, c, target);
        if (from.n == 1 && to.n == 1 && l->life[c].lives == 1 && to.m->is_copy && !l->is_flipped &&
            !has_lost_a_copy(l, c) && l->places.of[from.folder] & 1u << to.folder)
            judge_flags(l, from.folder, c, from.m, to.m);
    }
    for (size_t i = 0; i < target->n; i++)
        judge_whole(l, source, target->boxes[i]);
}
