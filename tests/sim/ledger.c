/* SPDX-License-Identifier: ISC */
/* ledger: see ledger.h.  In doubt it says nothing: what it says is a fault. */
#include "tests/sim/ledger.h"

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
    places_init(&l->places);
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

/* --- Who is who ---------------------------------------------------------------------------------
 */

void ledger_name(struct ledger *l, bool on_target, uint8_t folder, struct message *m)
{
    uint32_t serial = l->serials[on_target];
    m->serial = IDENTITIES_MAX;
    if (serial == IDENTITIES_MAX)
        return;
    m->serial = l->serials[on_target]++;
    l->identity[on_target][serial] = (struct identity){
        .content = (uint8_t)m->content, .been = (uint16_t)(on_target ? 0 : 1u << folder)};
}

static void is_in(struct ledger *l, bool on_target, uint8_t folder, const struct message *m)
{
    if (m->serial < IDENTITIES_MAX && !on_target)
        l->identity[0][m->serial].been |= (uint16_t)(1u << folder);
}

static void is_taken(struct ledger *l, uint8_t folder, const struct message *m)
{
    if (m->serial < IDENTITIES_MAX)
        l->identity[1][m->serial].lost_in |= (uint16_t)(1u << folder);
}

/* --- What users do ------------------------------------------------------------------------------
 */

static void appeared(struct ledger *l, uint8_t folder, uint32_t content)
{
    l->tally[folder][content].born++;
}

void ledger_user_added(struct ledger *l, bool on_target, uint8_t folder, struct message *m)
{
    ledger_name(l, on_target, folder, m);
    if (on_target)
        return;
    appeared(l, folder, m->content);
    l->life[m->content].late_born = (uint8_t)(l->life[m->content].late_born + l->is_flipped);
    l->life[m->content].lives++;
    l->life[m->content].born_flags |= m->flags;
}

/* On the way back: altered by the server that the source is now, and never read there (a backfill
 * compares nothing before its flip).  The marks know it as it was sent, so that it looks late in
 * another place, once. */
static bool is_unknown(const struct biography *b, const struct message *m)
{
    return m->is_altered && !b->late_copied && !b->late_moved;
}

void ledger_user_copied(struct ledger *l, bool on_target, uint8_t folder, struct message *m)
{
    struct biography *b = &l->life[m->content];
    uint8_t late_born = b->late_born;
    ledger_user_added(l, on_target, folder, m);
    /* Of one that is late there are two now.  Of one that is not, contents that are there more
     * often than ever before, as far as they do not stand where they were at the flip: nobody can
     * tell that from late mail. */
    bool is_doubtful = late_born > 0 || b->late_copied || b->late_moved || l->has_new_numbers ||
                       (l->is_flipped && is_unknown(b, m));
    b->late_born = (uint8_t)(late_born + is_doubtful);
    b->late_copied = l->is_flipped;
}

bool ledger_is_unsure(const struct ledger *l, const struct message *m)
{
    return m->is_copy && (m->is_unsure || m->answered_at == 0 || m->answered_at >= l->committed_at);
}

static bool has_unsure(const struct ledger *l, uint8_t folder, uint32_t content)
{
    for (size_t k = 0; k < l->target->n; k++) {
        const struct mailbox *b = l->target->boxes[k];
        for (size_t i = 0; l->places.of[folder] & 1u << b->name && i < b->n; i++) {
            if (b->v[i].content == content && ledger_is_unsure(l, &b->v[i]))
                return true;
        }
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
    m->is_unsure = ledger_is_unsure(l, m);
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

/* A rename that was cut off, and was renamed once more on the source before anybody looked: where
 * no ID tells, nobody knows it by its name any more (what is open). */
static void doubt_renames(struct ledger *l)
{
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++)
        l->is_renumbered[f] |= l->target->quirks & QUIRK_NO_IDS && l->renamed_at[f] != 0 &&
                               l->renamed_at[f] >= l->committed_at && !l->has_open;
}

void ledger_interrupted(struct ledger *l)
{
    l->interruptions++;
    ledger_unsure(l);
    doubt_renames(l);
}

void ledger_late(struct ledger *l, uint8_t folder, uint32_t content)
{
    l->tally[folder][content].late++;
    l->life[content].late_born = (uint8_t)(l->life[content].late_born + l->is_flipped);
}

void ledger_swallowed(struct ledger *l, uint32_t content)
{
    l->life[content].was_swallowed = true;
    l->swallowing = l->pass_began;
}

static void on_settled(struct ledger *l, struct message *m)
{
    (void)l;
    m->is_unsure = m->is_doubted = false;
}

/* What the target has lost of a folder may be most of it: then content tells what is there, and
 * what its user has removed since the look before went with the rest. */
static void on_seen_again(struct ledger *l)
{
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        for (uint32_t c = 0; c < MODEL_CONTENTS; c++) {
            struct tally *t = &l->tally[f][c];
            if (ledger_went_with_others(l, t))
                t->unsure_removed = t->user_removed;
        }
    }
    l->swallowing = 0;
}

bool ledger_went_with_others(const struct ledger *l, const struct tally *t)
{
    return l->swallowing != 0 && t->user_removed > 0 && t->removed_at >= l->swallowing;
}

void ledger_settled(struct ledger *l)
{
    if (l->swallowing != l->pass_began)
        on_seen_again(l);
    each_copy(l, on_settled);
    l->has_no_marks = false;
}

static void taken_away(struct ledger *l, bool on_target, uint8_t folder, const struct message *m)
{
    struct tally *t = &l->tally[folder][m->content];
    if (!on_target && has_unsure(l, folder, m->content))
        t->orphans++;
    if (!on_target) {
        t->deleted++;
        l->life[m->content].was_altered |= m->is_altered;
    } else {
        is_taken(l, folder, m);
    }
    if (on_target && m->is_copy) {
        t->user_removed++;
        t->removed_at = l->tick;
    }
    if (on_target && ledger_is_unsure(l, m))
        t->unsure_removed++;
}

/* While the last pass was looking, which may have seen it in two places, and has made two copies.
 */
static bool was_moved_now(const struct ledger *l, uint32_t content)
{
    return l->life[content].moved_in != 0 && l->life[content].moved_in == l->pass_began;
}

void ledger_user_removed(struct ledger *l, bool on_target, uint8_t folder, const struct message *m)
{
    taken_away(l, on_target, folder, m);
    if (!on_target)
        l->life[m->content].was_hasty |= was_moved_now(l, m->content);
    /* On the way back its copy stays in Trash, whatever that is called later. */
    if (!on_target && folder == LEDGER_TRASH && l->rule == RULE_REVERSE)
        l->tally[folder][m->content].orphans++;
}

/* Or is what is Trash on the target, whatever its users call it. */
static bool is_trash(const struct ledger *l, uint8_t folder)
{
    return folder == LEDGER_TRASH || l->places.of[folder] & 1u << LEDGER_TRASH;
}

void ledger_user_moved(
    struct ledger *l, bool on_target, uint8_t from, uint8_t to, const struct message *m)
{
    taken_away(l, on_target, from, m);
    if (on_target)
        return;
    struct biography *b = &l->life[m->content];
    appeared(l, to, m->content);
    is_in(l, on_target, to, m);
    b->was_hasty |= is_trash(l, to) && was_moved_now(l, m->content);
    b->moved_in = l->is_in_pass ? l->pass_began : b->moved_in;
    if (!l->is_flipped)
        return;
    /* Before the pass that makes the marks anew has read it: its content is not known as one that
     * was there. */
    if (b->late_copied || (l->has_no_marks && l->is_in_pass) || is_unknown(b, m))
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

/* Whose a folder is that is called something else on the source nobody knows any more. */
static void forget_names(struct ledger *l, uint8_t on_target)
{
    uint16_t names = places_alike(&l->places, on_target);
    for (uint8_t f = 0; names != 1u << on_target && f < MODEL_FOLDERS; f++) {
        for (uint32_t c = 0; names & 1u << f && c < MODEL_CONTENTS; c++)
            l->tally[f][c].late = (uint8_t)(l->tally[f][c].late + l->tally[f][c].made);
    }
}

/* Nobody has read what the server has made of them on an earlier way, and nothing tells them from
 * others. */
static void doubt_altered(struct ledger *l, uint8_t folder)
{
    const struct mailbox *b = server_find(l->source, folder);
    for (size_t i = 0; b && i < b->n; i++) {
        struct biography *life = &l->life[b->v[i].content];
        life->late_born = (uint8_t)(life->late_born + b->v[i].is_altered);
    }
}

void ledger_renumbered(struct ledger *l, bool on_target, uint8_t folder)
{
    if (on_target)
        l->is_renumbered[folder] = true;
    if (on_target && l->target->quirks & QUIRK_NO_IDS)
        forget_names(l, folder);
    else
        l->is_renumbered_here[folder] = true;
    if (!l->is_flipped)
        return;
    l->has_new_numbers = true;
    if (!on_target)
        doubt_altered(l, folder);
    for (uint32_t c = 0; c < MODEL_CONTENTS; c++)
        l->life[c].late_born = (uint8_t)(l->life[c].late_born + l->life[c].late_copied);
}

void ledger_replaced(struct ledger *l, uint8_t folder)
{
    l->is_replaced[folder] = true;
}

void ledger_restored(struct ledger *l, bool on_target, uint8_t folder)
{
    ledger_renumbered(l, on_target, folder);
    if (on_target)
        l->is_restored[folder] = true;
}

void ledger_restored_away(
    struct ledger *l, bool on_target, uint8_t folder, const struct message *m, bool is_known)
{
    struct tally *t = &l->tally[folder][m->content];
    struct biography *b = &l->life[m->content];
    if (!on_target)
        t->restored++;
    if (!on_target || !m->is_copy)
        return;
    /* Where nobody knows that it was there, it is as if its user had removed it. */
    bool is_moved = m->serial < IDENTITIES_MAX && l->identity[1][m->serial].lost_in != 0;
    if (l->is_flipped && (!is_known || m->is_detached || is_moved)) {
        ledger_user_removed(l, on_target, folder, m);
        return;
    }
    t->late++;
    b->late_born = (uint8_t)(b->late_born + l->is_flipped);
}

bool ledger_is_written(const struct ledger *l, const struct message *m)
{
    return m->is_copy && !m->is_doubted && !ledger_is_unsure(l, m);
}

void ledger_journal_lost(struct ledger *l)
{
    /* The second time what was done may be done once more. */
    if (l->has_lost_journal)
        ledger_interrupted(l);
    l->has_lost_journal = true;
    l->was_begun_anew |= !l->is_flipped;
    l->listed_at = 0;
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++)
        forget_names(l, f);
}

void ledger_marks_lost(struct ledger *l)
{
    l->has_no_marks = l->is_flipped;
}

bool ledger_is_known(const struct ledger *l, const struct mailbox *b)
{
    return !(l->target->quirks & QUIRK_NO_IDS) && b->made_at < l->listed_at;
}

/* Behind the flip the journal is lost, and no pass has been through since: whose they are nobody
 * will know. */
static void detach_copies(struct ledger *l, uint8_t folder)
{
    for (size_t i = 0; i < l->target->n; i++) {
        struct mailbox *b = l->target->boxes[i];
        for (size_t k = 0; l->places.of[folder] & 1u << b->name && k < b->n; k++)
            b->v[k].is_detached = true;
    }
}

/* What was in it is in another folder now, as far as anybody can tell. */
static void trash_renamed(struct ledger *l, uint8_t from)
{
    const struct mailbox *b = server_find(l->source, from);
    for (size_t i = 0; b && i < b->n; i++)
        l->life[b->v[i].content].went_with_trash++;
}

void ledger_renamed(struct ledger *l, bool on_target, uint8_t from, uint8_t to, bool is_known)
{
    if (!on_target && l->rule == RULE_REVERSE && is_trash(l, from) &&
        l->source->quirks & QUIRK_NO_IDS)
        trash_renamed(l, from);
    if (!on_target && l->is_flipped && l->has_lost_journal && l->listed_at == 0)
        detach_copies(l, from);
    if (!is_known)
        l->is_renumbered[from] = l->has_strangers = true;
    /* Another folder under its name has another UIDVALIDITY, and more is not known of either. */
    if (!on_target && l->source->quirks & QUIRK_NO_IDS)
        l->is_renumbered_here[from] = true;
    places_renamed(&l->places, on_target, from, to);
}

void ledger_flip(struct ledger *l, const struct server *source)
{
    for (uint32_t c = 0; c < MODEL_CONTENTS; c++) {
        int owed = 0;
        for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
            const struct tally *t = &l->tally[f][c];
            const struct mailbox *b = server_find(source, f);
            for (size_t i = 0; b && i < b->n; i++)
                owed += b->v[i].content == c;
            owed -= t->made - t->engine_removed;
        }
        l->life[c].late_born = (uint8_t)(owed > 0 ? owed : 0);
    }
    l->is_flipped = true;
}
