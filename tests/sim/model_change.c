/* SPDX-License-Identifier: ISC */
/* model_change: flags, moves and removals by UID, as the server does them. */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "tests/sim/faults.h"
#include "tests/sim/model_parts.h"

static bool is_guarded(const struct request *r, const struct message *m)
{
    return r->unchanged_since && m->modseq > r->unchanged_since;
}

static void tell_modified(struct request *r, const struct mailbox *b, uint32_t uid)
{
    struct end_uids *u = r->uids_out;
    if (!u || fault_is(FAULT_MODIFIED_IGNORED))
        return;
    u->uidvalidity = b->uidvalidity;
    u->v = mem_realloc_array(u->v, u->n + 1, sizeof(*u->v));
    u->v[u->n++] = uid;
    u->n = uids_sort(u->v, u->n);
}

/* Of all of it. */
static bool refuses(struct model_end *e, struct request *r, const struct mailbox *b, bool is_one)
{
    struct refusals *no = &e->s->refuses;
    bool has = r->kind == FLAGS && r->flags & (r->on ? no->set : no->take);
    for (size_t i = 0; is_one && !has && i < r->n; i++) {
        const struct message *m = mailbox_find(b, r->uids[i]);
        has = m && m->content < 64 && no->contents >> m->content & 1;
    }
    if (!has)
        return false;
    no->n++;
    model_refuse(r, ERR_PERM, ERR_SCOPE_FOLDER, "not this one");
    return true;
}

void model_flags(struct model_end *e, struct request *r)
{
    struct mailbox *b = model_opened(e, r);
    bool on = r->on || fault_is(FAULT_FLAGS_INVERTED);
    if (b && refuses(e, r, b, e->s->refuses.flags))
        return;
    if (on && r->flags & e->s->refuses.drops) {
        e->s->refuses.n_dropped++;
        r->flags = (uint16_t)(r->flags & ~e->s->refuses.drops);
    }
    for (size_t i = 0; b && i < r->n; i++) {
        struct message *m = mailbox_find(b, r->uids[i]);
        if (!m)
            continue;
        if (is_guarded(r, m)) {
            tell_modified(r, b, m->uid);
            continue;
        }
        world_story(e->w, "    target: UID %u (message %u) in %s: flags %x %s", m->uid, m->content,
            model_folder_name(b->name), r->flags, on ? "added" : "taken away");
        if (fault_is(FAULT_FLAGS_SET) && on)
            engine_flag(e->s, b, m, (uint16_t)~r->flags, false);
        engine_flag(e->s, b, m, r->flags, on);
        if (r->changes)
            model_tell(e, m, END_WANT_FLAGS, r->changes);
    }
}

/* --- Moves --------------------------------------------------------------------------------- */

static void tell_moved(const struct model_end *e, struct request *r, const struct mailbox *to,
    uint32_t was, uint32_t uid)
{
    struct end_uids *u = r->uids_out;
    if (!u || model_has(e, QUIRK_NO_UIDPLUS))
        return;
    if (u->n == 0) {
        *u = (struct end_uids){.uidvalidity = to->uidvalidity, .n = r->n};
        u->v = mem_zalloc(r->n * sizeof(*u->v));
    }
    for (size_t i = 0; i < r->n; i++) {
        if (r->uids[i] == was)
            u->v[i] = uid;
    }
}

/* What became of one of them, in the order of the folder. */
static void move_one(struct model_end *e, struct request *r, struct mailbox *b, struct message *m,
    struct mailbox *to)
{
    bool is_atomic = !model_has(e, QUIRK_NO_MOVE) && !fault_is(FAULT_MOVE_STAYS);
    uint32_t was = m->uid;
    world_story(e->w, "    target: UID %u (message %u) %s from %s to %s", was, m->content,
        is_atomic ? "moved" : "copied", model_folder_name(b->name), model_folder_name(to->name));
    if (fault_is(FAULT_BACK_TRASH_TWICE) && to->name == LEDGER_TRASH &&
        e->w->ledger.rule == RULE_REVERSE)
        (void)engine_copy(e->s, b, m, to);
    const struct message *now =
        is_atomic ? engine_move(e->s, b, m, to) : engine_copy(e->s, b, m, to);
    if (fault_is(FAULT_MOVE_NO_FLAGS))
        to->v[to->n - 1].flags = 0;
    tell_moved(e, r, to, was, now->uid);
}

static void mark(struct mailbox *b, struct message *m)
{
    if (m->flags & FLAG_DELETED)
        return;
    m->flags |= FLAG_DELETED;
    m->has_our_mark = true;
    m->modseq = ++b->modseq;
}

/* RFC 6851; where there is no MOVE it is COPY, STORE and EXPUNGE, with time in between. */
bool model_move(struct model_end *e, struct request *r)
{
    struct mailbox *b = model_opened(e, r);
    struct mailbox *to = r->to < 0 ? NULL : server_find(e->s, (uint8_t)r->to);
    bool is_atomic = !model_has(e, QUIRK_NO_MOVE);
    if (b && !is_atomic && model_has(e, QUIRK_NO_UIDPLUS))
        model_refuse(r, ERR_PERM, ERR_SCOPE_FOLDER, "no MOVE, no UIDPLUS");
    else if (b && !to && r->step == 0)
        model_refuse(r, ERR_PERM, ERR_SCOPE_FOLDER, "no such folder");
    if (r->result != END_OK || (r->step == 0 && refuses(e, r, b, e->s->refuses.moves)))
        return true;
    uint32_t *uids = mem_realloc_array(NULL, r->n, sizeof(*uids));
    memcpy(uids, r->uids, r->n * sizeof(*uids));
    size_t n = uids_sort(uids, r->n);
    if (r->step == 0) {
        r->stored_in = to->name;
        r->first = to->uidnext;
    }
    for (size_t i = 0; i < n; i++) {
        struct message *m = mailbox_find(b, uids[i]);
        if (!m)
            continue;
        if (r->step == 0)
            move_one(e, r, b, m, to);
        else if (r->step == 1)
            mark(b, m);
        else if (m->flags & FLAG_DELETED)
            engine_remove_moved(e->s, b, m);
    }
    free(uids);
    if (r->step == 0)
        r->behind = to->uidnext;
    return ++r->step > 2 || is_atomic;
}

void model_remove(struct model_end *e, struct request *r)
{
    struct mailbox *b = model_opened(e, r);
    if (!b || model_has(e, QUIRK_NO_UIDPLUS)) {
        model_refuse(r, ERR_PERM, ERR_SCOPE_FOLDER, "UID EXPUNGE is not known here");
        return;
    }
    if (refuses(e, r, b, e->s->refuses.removals))
        return;
    for (size_t i = 0; i < r->n; i++) {
        struct message *m = mailbox_find(b, r->uids[i]);
        if (!m || !(m->flags & FLAG_DELETED))
            continue;
        world_story(e->w, "    target: UID %u (message %u) removed from %s", m->uid, m->content,
            model_folder_name(b->name));
        engine_remove(e->s, b, m);
    }
}
