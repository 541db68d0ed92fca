/* SPDX-License-Identifier: ISC */
/* model_append: messages that are stored, in time or behind a cut. */
#include <stdlib.h>

#include "base/core/mem.h"
#include "tests/sim/faults.h"
#include "tests/sim/model_parts.h"

/* --- What is asked for ---------------------------------------------------------------------------
 */

void model_append_begin(
    struct end *end, struct slice folder, struct end_uids *uids_out, struct end_ticket *t)
{
    struct request *r = model_request_new(end, APPEND, t);
    r->name = model_number(folder);
    r->uids_out = uids_out;
    model_of(end)->building = r;
    model_request_begin(model_of(end));
}

void model_append_message(struct end *end, const struct end_message *m)
{
    struct request *r = model_of(end)->building;
    if (!r)
        return; /* it has broken in between */
    r->messages = mem_realloc_array(r->messages, r->n_messages + 1, sizeof(*r->messages));
    struct appended *a = &r->messages[r->n_messages++];
    *a = (struct appended){.flags = model_bits(m->flags, m->keywords),
        .has_date = m->has_date && !fault_is(FAULT_APPEND_NO_DATE),
        .date_s = m->date_s,
        .size = m->size};
    if (fault_is(FAULT_APPEND_NO_FLAGS))
        a->flags = 0;
    buf_init(&a->octets, 8192);
}

void model_append_octets(struct end *end, struct slice octets)
{
    struct request *r = model_of(end)->building;
    if (!r)
        return;
    struct buf *b = &r->messages[r->n_messages - 1].octets;
    BUG_ON(buf_add(b, octets) != 0);
    if (fault_is(FAULT_APPEND_CUT) && b->n == r->messages[r->n_messages - 1].size && b->n > 30)
        buf_truncate(b, b->n - 2);
}

void model_append_end(struct end *end)
{
    struct request *r = model_of(end)->building;
    if (r) {
        for (size_t i = 0; i < r->n_messages; i++)
            BUG_ON(r->messages[i].octets.n != r->messages[i].size && !fault_is(FAULT_APPEND_CUT));
        r->is_whole = true;
    }
    model_of(end)->building = NULL;
}

/* --- What the server does ------------------------------------------------------------------------
 */

void model_messages_free(struct appended *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_fini(&v[i].octets);
    free(v);
}

/* Why the server would not take it; NULL: it does. */
static const char *fault_of(const struct model_end *e, const struct appended *a, uint32_t content)
{
    if (model_has(e, QUIRK_REFUSES) && content % 7 == 3)
        return "the content is refused";
    if (model_has(e, QUIRK_NO_KEYWORDS) && a->flags >= 32)
        return "no keywords here";
    if (model_has(e, QUIRK_LIMIT) && a->octets.n > SIZE_LIMIT)
        return "too large";
    return NULL;
}

static const struct message *equal_one(const struct mailbox *b, uint32_t content)
{
    for (size_t i = 0; i < b->n; i++) {
        if (b->v[i].content == content)
            return &b->v[i];
    }
    return NULL;
}

static uint32_t content_of(const struct appended *a)
{
    bool is_whole;
    int content = model_content(buf_slice(&a->octets), &is_whole);
    BUG_ON(content < 0);
    return (uint32_t)content;
}

/* The UID that it has. */
static uint32_t put_message(struct server *s, struct mailbox *b, const struct appended *a)
{
    bool is_whole;
    int content = model_content(buf_slice(&a->octets), &is_whole);
    BUG_ON(content < 0);
    const struct message *equal = s->quirks & QUIRK_ONCE ? equal_one(b, (uint32_t)content) : NULL;
    if (equal)
        return equal->uid;
    struct message *m =
        engine_add(s, b, (uint32_t)content, (uint16_t)(a->flags & ~s->refuses.drops));
    m->is_altered = !is_whole || (s->quirks & QUIRK_ALTERS) != 0;
    m->has_date = a->has_date && a->date_s == model_date(m->content);
    return m->uid;
}

/* given NULL: from `at` on. */
static void tell_uids(struct model_end *e, struct request *r, const struct mailbox *b, uint32_t at,
    const uint32_t *given)
{
    struct end_uids *u = r->uids_out;
    if (!u || model_has(e, QUIRK_NO_UIDPLUS))
        return;
    u->uidvalidity = b->uidvalidity;
    u->n = r->n_messages;
    u->v = mem_realloc_array(NULL, u->n + 1, sizeof(*u->v));
    for (size_t i = 0; i < u->n; i++)
        u->v[i] = given ? given[i] : at + (uint32_t)i;
    if (model_has(e, QUIRK_UIDS) && u->n > 1)
        u->n--;
    else if (model_has(e, QUIRK_UIDS))
        u->uidvalidity += 7;
}

void model_append(struct model_end *e, struct request *r)
{
    int name = r->name;
    if (fault_is(FAULT_APPEND_ELSEWHERE) && r->n_messages == 1)
        name = e->s->boxes[0]->name;
    struct mailbox *b = name < 0 ? NULL : server_find(e->s, (uint8_t)name);
    if (!b) {
        model_refuse(r, ERR_PERM, ERR_SCOPE_FOLDER, "no such folder");
        return;
    }
    for (size_t i = 0; i < r->n_messages; i++) {
        bool is_whole;
        int content = model_content(buf_slice(&r->messages[i].octets), &is_whole);
        const char *why =
            content < 0 ? "no message" : fault_of(e, &r->messages[i], (uint32_t)content);
        if (why) {
            model_refuse(r, ERR_PERM, ERR_SCOPE_NONE, why);
            return;
        }
    }
    model_tell_validity(e, b, true);
    uint32_t first = b->uidnext;
    bool is_lost = model_has(e, QUIRK_LOSES) && rng_one_in(&e->w->rng, 6);
    uint32_t *given = mem_zalloc((r->n_messages + 1) * sizeof(*given));
    for (size_t i = 0; i < r->n_messages && !is_lost; i++) {
        /* UIDs that do not ascend the engine would not believe. */
        size_t which = fault_is(FAULT_UIDS_SHUFFLED) ? r->n_messages - 1 - i : i;
        given[i] = put_message(e->s, b, &r->messages[which]);
    }
    for (size_t i = 0; i < r->n_messages && is_lost; i++)
        ledger_swallowed(e->s->ledger, content_of(&r->messages[i]));
    for (size_t i = 0; i < r->n_messages && fault_is(FAULT_APPEND_TWICE) && first % 5 == 4; i++)
        (void)put_message(e->s, b, &r->messages[i]);
    r->stored_in = b->name;
    r->first = first;
    r->behind = b->uidnext;
    if (is_lost)
        b->uidnext += (uint32_t)r->n_messages;
    world_story(e->w, "    target: %zu message%s %s %s (UID %u)", r->n_messages,
        r->n_messages == 1 ? "" : "s", is_lost ? "taken and lost in" : "stored in",
        model_folder_name(b->name), first);
    tell_uids(e, r, b, first, is_lost ? NULL : given);
    free(given);
    if (model_has(e, QUIRK_STORES_NO) && rng_one_in(&e->w->rng, 4)) {
        model_refuse(r, ERR_PERM, ERR_SCOPE_NONE, "stored, and says NO");
        if (r->uids_out)
            end_uids_fini(r->uids_out);
    }
}

void late_append_do(struct server *s, struct late_append *l)
{
    struct mailbox *b = l->folder < 0 ? NULL : server_find(s, (uint8_t)l->folder);
    for (size_t i = 0; b && i < l->n; i++) {
        bool is_whole;
        int content = model_content(buf_slice(&l->messages[i].octets), &is_whole);
        ledger_late(s->ledger, b->name, (uint32_t)content);
        (void)put_message(s, b, &l->messages[i]);
    }
    late_append_free(l);
}

void late_append_free(struct late_append *l)
{
    model_messages_free(l->messages, l->n);
    free(l);
}
