/* SPDX-License-Identifier: ISC */
/* model: see model.h. */
#include "tests/sim/model.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/err.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/ends/flags.h"
#include "tests/sim/ledger.h"

static const char *const names[MODEL_FOLDERS] = {"INBOX", "Sent", "Trash", "Work", "Work/Old",
    "Archive", "Lists", "work", "Moved", "Moved/Old", "Later", "Drafts"};

const char *model_folder_name(uint8_t name)
{
    return names[name % MODEL_FOLDERS];
}

int model_folder_number(const char *name, size_t n)
{
    for (int i = 0; i < MODEL_FOLDERS; i++) {
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0)
            return i;
    }
    return -1;
}

/* --- Contents ----------------------------------------------------------------------------- */

#define SUBJECT "Subject: "
#define ALTERED "X-Seen-By: a scanner\r\n"

void model_octets(uint32_t content, struct buf *out)
{
    buf_clear(out);
    int result = buf_addf(out, SUBJECT "%u\r\n\r\n", content);
    for (uint32_t i = 0; i < content % 5; i++)
        result |= buf_addf(out, "line %u of %u\r\n", i, content);
    BUG_ON(result != 0);
}

int model_content(struct slice octets, bool *is_whole_out)
{
    struct buf want;
    uint64_t content = 0;
    struct slice rest = octets;
    if (slice_starts(rest, SLICE_LIT(ALTERED)))
        rest = slice_from(rest, sizeof(ALTERED) - 1);
    if (!slice_starts(rest, SLICE_LIT(SUBJECT)))
        return -1;
    size_t i = sizeof(SUBJECT) - 1;
    while (i < rest.n && ascii_is_digit(rest.p[i]) && content < MODEL_CONTENTS)
        content = 10 * content + (uint64_t)(rest.p[i++] - '0');
    if (content >= MODEL_CONTENTS)
        return -1;
    buf_init(&want, 4096);
    model_octets((uint32_t)content, &want);
    *is_whole_out = slice_eq(buf_slice(&want), octets);
    buf_fini(&want);
    return (int)content;
}

int64_t model_date(uint32_t content)
{
    return INT64_C(1500000000) + (int64_t)content * 3607;
}

/* --- Folders -------------------------------------------------------------------------------- */

void server_init(struct server *s, bool is_target, uint32_t quirks, struct ledger *ledger)
{
    *s = (struct server){.is_target = is_target,
        .quirks = quirks,
        .uidvalidity_last = is_target ? 5000 : 1000,
        .ledger = ledger};
}

static void box_free(struct mailbox *b)
{
    free(b->v);
    free(b);
}

void server_fini(struct server *s)
{
    for (size_t i = 0; i < s->n; i++)
        box_free(s->boxes[i]);
    s->n = 0;
}

struct mailbox *server_find(const struct server *s, uint8_t name)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->boxes[i]->name == name)
            return s->boxes[i];
    }
    return NULL;
}

struct mailbox *server_make(struct server *s, uint8_t name)
{
    struct mailbox *b = mem_zalloc(sizeof(*b));
    BUG_ON(s->n == MODEL_FOLDERS || server_find(s, name));
    b->name = name;
    b->id = ++s->id_last;
    b->uidvalidity = ++s->uidvalidity_last;
    b->is_back = b->is_owing = false;
    b->is_numbered = true;
    b->named = 0;
    b->uidnext = 1;
    b->modseq = 1;
    b->made_at = s->ledger->tick;
    s->boxes[s->n++] = b;
    return b;
}

void server_drop(struct server *s, struct mailbox *b)
{
    for (size_t i = 0; i < b->n; i++)
        ledger_user_removed(s->ledger, s->is_target, b->name, &b->v[i]);
    for (size_t i = 0; i < s->n; i++) {
        if (s->boxes[i] == b) {
            s->boxes[i] = s->boxes[--s->n];
            break;
        }
    }
    box_free(b);
}

uint8_t model_folder_below(uint8_t of)
{
    char name[64];
    BUG_ON(fmt_into(name, sizeof(name), "%s/Old", names[of]) != 0);
    int below = model_folder_number(name, strlen(name));
    return below < 0 ? MODEL_FOLDERS : (uint8_t)below;
}

static void rename_one(struct server *s, struct mailbox *b, uint8_t name, bool by_engine)
{
    bool is_known = by_engine || !s->is_target || ledger_is_known(s->ledger, b);
    if (by_engine)
        ledger_engine_renamed(s->ledger, b->name, name);
    else
        ledger_renamed(s->ledger, s->is_target, b->name, name, is_known);
    for (size_t i = 0; i < b->n; i++) {
        if (!by_engine && (!s->is_target || !is_known))
            ledger_user_moved(s->ledger, s->is_target, b->name, name, &b->v[i]);
        /* A folder that its user made, as far as anybody can tell. */
        b->v[i].is_copy &= is_known;
    }
    b->name = name;
}

bool server_may_rename(const struct server *s, const struct mailbox *b, uint8_t name)
{
    uint8_t below = model_folder_below(b->name), there = model_folder_below(name);
    if (b->name == 0 || name == 0 || server_find(s, name))
        return false;
    if (below == MODEL_FOLDERS || !server_find(s, below))
        return true;
    return there != MODEL_FOLDERS && !server_find(s, there);
}

void server_rename(struct server *s, struct mailbox *b, uint8_t name, bool by_engine)
{
    uint8_t below = model_folder_below(b->name);
    struct mailbox *child = below == MODEL_FOLDERS ? NULL : server_find(s, below);
    rename_one(s, b, name, by_engine);
    if (child)
        rename_one(s, child, model_folder_below(name), by_engine);
}

void server_renumber(struct server *s, struct mailbox *b)
{
    b->uidvalidity = ++s->uidvalidity_last;
    b->renumbered_at = s->ledger->tick;
    b->uidnext = 1;
    b->modseq++;
    for (size_t i = 0; i < b->n; i++) {
        b->v[i].uid = b->uidnext++;
        b->v[i].is_detached |= s->is_target && s->ledger->is_flipped;
        b->v[i].modseq = b->modseq;
    }
    ledger_renumbered(s->ledger, s->is_target, b->name);
}

/* --- Restores -------------------------------------------------------------------------------- */

void server_restore(struct server *s, struct mailbox *b, size_t n)
{
    BUG_ON(n == 0 || n > b->n);
    for (size_t i = b->n - n; i < b->n; i++)
        ledger_restored_away(s->ledger, s->is_target, b->name, &b->v[i], b->is_through);
    b->is_back = b->is_owing = b->is_numbered = true;
    b->was_listed = false;
    b->n -= n;
    b->uidnext = b->v[b->n].uid;
    b->modseq = 1;
    for (size_t i = 0; i < b->n; i++)
        b->modseq = b->v[i].modseq > b->modseq ? b->v[i].modseq : b->modseq;
    ledger_restored(s->ledger, s->is_target, b->name);
}

bool server_tells(
    const struct server *s, const struct mailbox *b, uint32_t uidnext, uint64_t modseq)
{
    if (b->known.uidvalidity != b->uidvalidity)
        return false;
    return uidnext < b->known.uidnext || uidnext <= b->named ||
           (!(s->quirks & QUIRK_NO_CONDSTORE) && modseq < b->known.modseq);
}

bool server_may_change(const struct server *s, const struct mailbox *b, uint32_t added)
{
    return !b->is_back || server_tells(s, b, b->uidnext + added, b->modseq + 1);
}

void server_listed(struct server *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct mailbox *b = s->boxes[i];
        b->listed = (struct numbers){b->uidvalidity, b->uidnext, b->modseq};
        b->was_listed = true;
    }
}

void server_known(struct server *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct mailbox *b = s->boxes[i];
        if (!b->was_listed)
            continue;
        /* What it remembers under the numbers of before a restore it looks for by content. */
        if (b->is_back)
            b->named = 0;
        b->known = b->listed;
        b->is_back = b->was_listed = false;
    }
}

void server_forgotten(struct server *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct mailbox *b = s->boxes[i];
        b->known = b->listed = (struct numbers){0};
        b->named = 0;
        b->is_back = b->was_listed = b->is_owing = b->is_numbered = b->is_through = false;
    }
}

bool server_is_owing(const struct server *s)
{
    bool is = false;
    for (size_t i = 0; i < s->n; i++)
        is |= s->boxes[i]->is_owing;
    return is;
}

bool server_is_numbered(const struct server *s)
{
    bool is = false;
    for (size_t i = 0; i < s->n; i++)
        is |= s->boxes[i]->is_numbered;
    return is;
}

void server_settled(struct server *s)
{
    for (size_t i = 0; i < s->n; i++) {
        s->boxes[i]->is_owing &= s->boxes[i]->is_back;
        s->boxes[i]->is_numbered = s->boxes[i]->is_owing;
        s->boxes[i]->is_through = true;
    }
}

/* --- Messages -------------------------------------------------------------------------------- */

struct message *mailbox_find(const struct mailbox *b, uint32_t uid)
{
    size_t low = 0, high = b->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (b->v[mid].uid < uid)
            low = mid + 1;
        else
            high = mid;
    }
    return low < b->n && b->v[low].uid == uid ? &b->v[low] : NULL;
}

static struct message *add(struct mailbox *b, uint32_t content, uint16_t flags)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 16;
        b->v = mem_realloc_array(b->v, b->cap, sizeof(*b->v));
    }
    struct message *m = &b->v[b->n++];
    *m = (struct message){.uid = b->uidnext++,
        .content = content,
        .flags = flags,
        .born_flags = flags,
        .has_date = true,
        .modseq = ++b->modseq};
    return m;
}

static void take_out(struct mailbox *b, struct message *m)
{
    size_t at = (size_t)(m - b->v);
    memmove(m, m + 1, (b->n - at - 1) * sizeof(*m));
    b->n--;
    b->modseq++;
}

/* --- Users ---------------------------------------------------------------------------------- */

struct message *user_add(struct server *s, struct mailbox *b, uint32_t content, uint16_t flags)
{
    struct message *m = add(b, content, flags);
    m->id = ++s->id_last;
    b->came_at = s->ledger->tick;
    ledger_user_added(s->ledger, s->is_target, b->name, m);
    return m;
}

void user_flag(
    struct server *s, struct mailbox *b, struct message *m, uint16_t flag, bool on, uint32_t tick)
{
    if (((m->flags & flag) != 0) == on)
        return;
    m->flags = (uint16_t)(on ? m->flags | flag : m->flags & ~flag);
    m->own = (uint16_t)(on ? m->own | flag : m->own & ~flag);
    m->apart ^= flag;
    m->users |= flag;
    m->has_our_mark = m->has_our_mark && flag != FLAG_DELETED;
    m->touched_at = tick;
    m->is_touched_early = s->is_target && ledger_is_unsure(s->ledger, m);
    m->modseq = ++b->modseq;
    ledger_user_flagged(s->ledger, s->is_target, m, flag, on);
}

void user_remove(struct server *s, struct mailbox *b, struct message *m)
{
    ledger_user_removed(s->ledger, s->is_target, b->name, m);
    take_out(b, m);
}

struct message *user_copy(
    struct server *s, struct mailbox *b, struct message *m, struct mailbox *to)
{
    struct message old = *m;
    (void)b;
    struct message *c = add(to, old.content, old.flags);
    to->came_at = s->ledger->tick;
    c->is_altered = old.is_altered;
    c->has_our_mark = old.has_our_mark;
    c->id = old.id;
    ledger_user_copied(s->ledger, s->is_target, to->name, c);
    return c;
}

struct message *user_move(
    struct server *s, struct mailbox *b, struct message *m, struct mailbox *to)
{
    struct message old = *m;
    ledger_user_moved(s->ledger, s->is_target, b->name, to->name, m);
    take_out(b, m);
    struct message *c = add(to, old.content, old.flags);
    to->came_at = s->ledger->tick;
    c->is_altered = old.is_altered;
    c->has_our_mark = old.has_our_mark;
    c->id = old.id;
    c->serial = old.serial;
    c->users = old.users;
    return c;
}

/* --- The engine ------------------------------------------------------------------------------- */

struct message *engine_add(struct server *s, struct mailbox *b, uint32_t content, uint16_t flags)
{
    struct message *m = add(b, content, flags);
    m->is_copy = true;
    /* Under numbers that the pass does not know. */
    bool is_numbered = (b->is_numbered && !b->is_owing) ||
                       (b->renumbered_at != 0 && b->renumbered_at >= s->ledger->pass_began);
    m->is_detached = s->ledger->is_flipped && is_numbered;
    m->is_doubted = b->came_at != 0 && b->came_at >= s->ledger->pass_began;
    m->id = ++s->id_last;
    ledger_engine_added(s->ledger, b->name, m);
    return m;
}

void engine_flag(struct server *s, struct mailbox *b, struct message *m, uint16_t flags, bool on)
{
    uint16_t before = m->flags;
    for (unsigned i = 0; i < MODEL_FLAGS; i++) {
        uint16_t flag = (uint16_t)(1u << i);
        if (!(flags & flag) || ((m->flags & flag) != 0) == on)
            continue;
        m->flags = (uint16_t)(on ? m->flags | flag : m->flags & ~flag);
        if (on)
            m->engine_adds[i]++;
        else
            m->engine_takes[i]++;
        m->own &= (uint16_t)~flag;
        ledger_engine_flagged(s->ledger, b->name, m, i, on);
        m->apart &= (uint16_t)~flag;
        m->has_our_mark = flag == FLAG_DELETED ? on : m->has_our_mark;
    }
    if (m->flags != before)
        m->modseq = ++b->modseq;
}

void engine_remove(struct server *s, struct mailbox *b, struct message *m)
{
    ledger_engine_removed(s->ledger, b->name, m);
    take_out(b, m);
}

void engine_remove_moved(struct server *s, struct mailbox *b, struct message *m)
{
    ledger_engine_moved_away(s->ledger, b->name, m);
    take_out(b, m);
}

/* Whoever has stored the message, and what was done to it, goes with it. */
static struct message *add_like(struct mailbox *to, const struct message *old)
{
    struct message *m = add(to, old->content, old->flags);
    uint32_t uid = m->uid;
    uint64_t modseq = m->modseq;
    *m = *old;
    m->uid = uid;
    m->modseq = modseq;
    m->answered_at = 0;
    return m;
}

struct message *engine_copy(
    struct server *s, struct mailbox *b, struct message *m, struct mailbox *to)
{
    struct message old = *m;
    (void)b;
    struct message *c = add_like(to, &old);
    ledger_engine_copied(s->ledger, to->name, c);
    return c;
}

struct message *engine_move(
    struct server *s, struct mailbox *b, struct message *m, struct mailbox *to)
{
    struct message old = *m;
    ledger_engine_moved(s->ledger, b->name, to->name, &old);
    take_out(b, m);
    return add_like(to, &old);
}
