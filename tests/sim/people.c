/* SPDX-License-Identifier: ISC */
/* people: what users of both servers do, and who runs these servers. */
#include "imapsync/ends/flags.h"
#include "tests/sim/world.h"

/* --- Which one
 * ------------------------------------------------------------------------------------ */

static struct mailbox *some_box(struct server *s, uint32_t a)
{
    return s->n > 0 ? s->boxes[a % s->n] : NULL;
}

static struct mailbox *box_with_mail(struct server *s, uint32_t a)
{
    for (size_t i = 0; i < s->n; i++) {
        struct mailbox *b = s->boxes[(a + i) % s->n];
        if (b->n > 0)
            return b;
    }
    return NULL;
}

static uint8_t free_name(const struct server *s, uint32_t a)
{
    for (uint32_t i = 0; i < MODEL_FOLDERS; i++) {
        uint8_t name = (uint8_t)((a + i) % MODEL_FOLDERS);
        if (!server_find(s, name))
            return name;
    }
    return MODEL_FOLDERS;
}

/* --- What people do ------------------------------------------------------------------------------
 */

/* Users of the source use some flags, those of the target all of them. */
static uint16_t source_flag(uint32_t b)
{
    static const uint16_t v[] = {
        FLAG_SEEN, FLAG_SEEN, FLAG_ANSWERED, FLAG_DRAFT, 32, 64, FLAG_DELETED};
    return v[b % 7];
}

static uint16_t target_flag(uint32_t b)
{
    static const uint16_t v[] = {
        FLAG_SEEN, FLAG_FLAGGED, FLAG_ANSWERED, 128, 256, 32, FLAG_DELETED};
    return v[b % 7];
}

static const char *side(const struct server *s)
{
    return s->is_target ? "target" : "source";
}

static bool deliver(struct world *w, struct server *s, const struct action *x, bool again)
{
    struct mailbox *b = some_box(s, x->a);
    uint32_t content = again && w->contents > 0 ? x->b % w->contents : w->contents;
    uint16_t flags = x->b % 3 == 0 ? source_flag(x->b / 3) : 0;
    if (!b || content == MODEL_CONTENTS || !server_may_change(s, b, 1))
        return false;
    if (content == w->contents)
        w->contents++;
    const struct message *m = user_add(s, b, content, flags);
    world_story(w, "  %s: message %u arrives in %s (UID %u, flags %x)", side(s), content,
        model_folder_name(b->name), m->uid, flags);
    return true;
}

static bool flag(struct world *w, struct server *s, const struct action *x)
{
    struct mailbox *b = box_with_mail(s, x->a);
    if (!b || !server_may_change(s, b, 0))
        return false;
    struct message *m = &b->v[x->b % b->n];
    uint16_t bit = s->is_target ? target_flag(x->b >> 8) : source_flag(x->b >> 8);
    bool on = !(m->flags & bit);
    if (bit >= 32 && s->quirks & QUIRK_NO_KEYWORDS)
        return false;
    user_flag(s, b, m, bit, on, w->tick);
    world_story(w, "  %s: its user %s flag %x of UID %u (message %u) in %s", side(s),
        on ? "adds" : "takes away", bit, m->uid, m->content, model_folder_name(b->name));
    return true;
}

static bool delete (struct world *w, struct server *s, const struct action *x)
{
    struct mailbox *b = box_with_mail(s, x->a);
    if (!b || !server_may_change(s, b, 0))
        return false;
    struct message *m = &b->v[x->b % b->n];
    world_story(w, "  %s: its user removes UID %u (message %u) from %s", side(s), m->uid,
        m->content, model_folder_name(b->name));
    user_remove(s, b, m);
    return true;
}

/* Most mail programs delete by moving to Trash. */
static struct mailbox *goes_to(struct server *s, const struct action *x)
{
    struct mailbox *trash = server_find(s, LEDGER_TRASH);
    return trash && (x->b >> 16) % 3 == 0 ? trash : some_box(s, x->b >> 8);
}

static bool move(struct world *w, struct server *s, const struct action *x)
{
    struct mailbox *b = box_with_mail(s, x->a), *to = goes_to(s, x);
    if (!b || b == to || !server_may_change(s, b, 0) || !server_may_change(s, to, 1))
        return false;
    struct message *m = &b->v[x->b % b->n];
    uint32_t uid = m->uid;
    const struct message *c = user_move(s, b, m, to);
    world_story(w, "  %s: its user moves UID %u (message %u) from %s to %s (UID %u)", side(s), uid,
        c->content, model_folder_name(b->name), model_folder_name(to->name), c->uid);
    return true;
}

static bool copy(struct world *w, struct server *s, const struct action *x)
{
    struct mailbox *b = box_with_mail(s, x->a), *to = some_box(s, x->b >> 8);
    if (!b || !server_may_change(s, to, 1))
        return false;
    struct message *m = &b->v[x->b % b->n];
    uint32_t uid = m->uid;
    const struct message *c = user_copy(s, b, m, to);
    world_story(w, "  %s: its user copies UID %u (message %u) from %s to %s (UID %u)", side(s), uid,
        c->content, model_folder_name(b->name), model_folder_name(to->name), c->uid);
    return true;
}

static bool make(struct world *w, const struct action *x)
{
    uint8_t name = free_name(&w->source, x->a);
    if (name == MODEL_FOLDERS || w->source.n > 6)
        return false;
    /* The target's folder of this name is another one's (what is open). */
    bool is_anothers = places_back(&w->ledger.places, name) & ~(1u << name);
    if (is_anothers && server_find(&w->target, name) && !w->h->has_open)
        return false;
    server_make(&w->source, name);
    world_story(w, "  source: folder %s is made", model_folder_name(name));
    return true;
}

/* Behind the flip: what has another name or other numbers there is its user's, and what was lost by
 * a restore before is not looked for. */
static bool may_replace(const struct world *w, const struct server *s, const struct mailbox *b)
{
    return !(s->is_target && w->ledger.is_flipped && b->is_owing);
}

/* Both sides with new numbers between two looks (what is open). */
static bool may_renumber(const struct world *w, const struct server *s)
{
    const struct server *other = s->is_target ? &w->source : &w->target;
    return w->h->has_open || !w->ledger.is_flipped || !server_is_numbered(other);
}

static bool rename_box(struct world *w, struct server *s, const struct action *x)
{
    struct mailbox *b = some_box(s, x->a);
    uint8_t name = free_name(s, x->b);
    if (!b || b->name == 0 || name == MODEL_FOLDERS || name == 0 ||
        !server_may_rename(s, b, name) || !may_replace(w, s, b))
        return false;
    /* Two folders of the source are one on the target then (what is open). */
    const struct server *there = s->is_target ? &w->source : &w->target;
    if (server_find(there, name) && !w->h->has_open)
        return false;
    world_story(w, "  %s: its user renames %s to %s", side(s), model_folder_name(b->name),
        model_folder_name(name));
    server_rename(s, b, name, false);
    return true;
}

static bool renumber(struct world *w, struct server *s, const struct action *x)
{
    struct mailbox *b = some_box(s, x->a);
    if (!b || !may_replace(w, s, b) || !may_renumber(w, s))
        return false;
    server_renumber(s, b);
    world_story(w, "  %s: folder %s has the new UIDVALIDITY %u", side(s),
        model_folder_name(b->name), b->uidvalidity);
    return true;
}

/* Mail may come before anybody looks again, also more than was lost. */
static bool restore(struct world *w, struct server *s, const struct action *x)
{
    struct mailbox *b = box_with_mail(s, x->a);
    if (!b || !may_renumber(w, s))
        return false;
    const uint32_t tells_none = QUIRK_NO_UIDPLUS | QUIRK_UIDS | QUIRK_STORES_NO | QUIRK_LATE;
    uint32_t lost = 1 + x->b % (uint32_t)b->n, more = (x->b >> 8) % (2 * lost + 1);
    for (size_t i = 0; i < b->n && !(s->quirks & tells_none); i++)
        b->named = ledger_is_written(&w->ledger, &b->v[i]) ? b->v[i].uid : b->named;
    /* Nobody could tell, or nobody asks. */
    if (!server_tells(s, b, b->v[b->n - lost].uid, UINT64_MAX))
        return false;
    world_restart(w, s->is_target);
    server_restore(s, b, lost);
    world_story(w, "  %s: folder %s is restored without its last %u, UIDNEXT %u", side(s),
        model_folder_name(b->name), lost, b->uidnext);
    for (uint32_t i = 0; i < more && w->contents < MODEL_CONTENTS && server_may_change(s, b, 1);
         i++) {
        const struct message *m = user_add(s, b, w->contents++, 0);
        world_story(w, "  %s: message %u arrives in %s (UID %u)", side(s), m->content,
            model_folder_name(b->name), m->uid);
    }
    return true;
}

static bool drop(struct world *w, struct server *s, const struct action *x)
{
    struct mailbox *b = some_box(s, x->a);
    if (!b || b->name == 0 || !may_replace(w, s, b))
        return false;
    world_story(w, "  %s: its user removes the folder %s", side(s), model_folder_name(b->name));
    w->ledger.is_renumbered[b->name] = true;
    server_drop(s, b);
    return true;
}

void people_act(struct world *w, const struct action *x)
{
    /* Behind the flip some still work on the source: another device, a shared folder. */
    bool is_there = w->ledger.is_flipped && (x->a >> 8) % 4 > 0;
    struct server *users = is_there ? &w->target : &w->source;
    switch (x->what) {
    case ACT_DELIVER:
        (void)deliver(w, &w->source, x, false);
        break;
    case ACT_AGAIN:
        (void)deliver(w, &w->source, x, true);
        break;
    case ACT_FLAG:
        (void)flag(w, users, x);
        break;
    case ACT_DELETE:
        (void)delete (w, users, x);
        break;
    case ACT_MOVE:
        (void)move(w, users, x);
        break;
    case ACT_MAKE:
        (void)make(w, x);
        break;
    case ACT_RENAME:
        (void)rename_box(w, users, x);
        break;
    case ACT_COPY:
        (void)copy(w, users, x);
        break;
    case ACT_RENUMBER:
        (void)renumber(w, &w->source, x);
        break;
    case ACT_DROP:
        (void)drop(w, &w->source, x);
        break;
    case ACT_TGT_ADD:
        (void)deliver(w, &w->target, x, false);
        break;
    case ACT_TGT_FLAG:
        (void)flag(w, &w->target, x);
        break;
    case ACT_TGT_DELETE:
        (void)delete (w, &w->target, x);
        break;
    case ACT_TGT_MOVE:
        (void)move(w, &w->target, x);
        break;
    case ACT_TGT_RENUMBER:
        (void)renumber(w, &w->target, x);
        break;
    case ACT_TGT_RENAME:
        (void)rename_box(w, &w->target, x);
        break;
    case ACT_TGT_DROP:
        (void)drop(w, &w->target, x);
        break;
    case ACT_RESTORE:
        (void)restore(w, &w->source, x);
        break;
    case ACT_TGT_RESTORE:
        (void)restore(w, &w->target, x);
        break;
    case ACT_CUT_SOURCE:
    case ACT_CUT_TARGET:
    case ACT_KILL:
    case ACT_KILL_AT_COMMIT:
    case ACT_KILL_BEHIND_COMMIT:
    case ACT_JOURNAL_LOST:
    case ACT_FLIP:
    case ACT_BACK:
        break; /* nothing that people do */
    }
}
