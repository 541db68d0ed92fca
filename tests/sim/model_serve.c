/* SPDX-License-Identifier: ISC */
/* model_serve: what the server does when the turn of a request has come. */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "tests/sim/faults.h"
#include "tests/sim/model_parts.h"

/* --- Flags ---------------------------------------------------------------------------------- */

static struct flags flags_of(uint16_t bits, struct keywords *k)
{
    struct flags f = {.system = (uint8_t)(bits & 31)};
    for (unsigned i = 0; i < MODEL_KEYWORDS; i++) {
        char name[8] = {'k', (char)('0' + i)};
        int bit = bits & (32u << i) ? keywords_bit(k, slice_str(name)) : -1;
        if (bit >= 0)
            f.keywords[bit / 64] |= UINT64_C(1) << bit % 64;
    }
    return f;
}

uint16_t model_bits(const struct flags *f, const struct keywords *k)
{
    uint16_t bits = f->system & 31;
    for (size_t i = 0; i < k->n; i++) {
        unsigned at = (unsigned)(k->names[i][1] - '0');
        if (f->keywords[i / 64] & UINT64_C(1) << i % 64 && at < MODEL_KEYWORDS)
            bits = (uint16_t)(bits | 32u << at);
    }
    return bits;
}

void model_refuse(struct request *r, enum err_class class, enum err_scope scope, const char *why)
{
    r->result = END_NO;
    err_set(&r->err, class, class == ERR_TEMP ? EX_TEMPFAIL : EX_UNAVAILABLE, "%s", why);
    err_scope_set(&r->err, scope);
}

void model_messages_free(struct appended *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_fini(&v[i].octets);
    free(v);
}

/* --- Effects: what the server does --------------------------------------------------------------
 */

/* Somebody wants to know its UIDVALIDITY, which only lasts once it is_kept. */
static void tell_validity(struct model_end *e, struct mailbox *b, bool is_kept)
{
    if (!model_has(e, QUIRK_FIRST_OPEN) || b->is_kept)
        return;
    b->uidvalidity = ++e->s->uidvalidity_last;
    b->is_kept = is_kept;
}

static void put_status(struct model_end *e, struct mailbox *b, struct folder *f)
{
    tell_validity(e, b, false);
    f->has = FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY;
    f->uidvalidity = b->uidvalidity;
    f->uidnext = b->uidnext;
    f->messages = (uint32_t)b->n;
    if (!model_has(e, QUIRK_NO_CONDSTORE)) {
        f->has |= FOLDER_HAS_MODSEQ;
        f->modseq = b->modseq;
    }
}

/* MAILBOXID */
static void folder_id(const struct model_end *e, const struct mailbox *b, char out[16])
{
    out[0] = '\0';
    BUG_ON(!model_has(e, QUIRK_NO_IDS) && fmt_into(out, 16, "F%u", b->id) != 0);
}

static void do_folders(struct model_end *e, struct request *r)
{
    struct folder_list *l = r->list;
    struct err err;
    size_t n = e->s->n;
    l->delimiter = '/';
    if (fault_is(FAULT_FOLDER_SKIPPED) && !e->s->is_target && n > 1)
        n--;
    for (size_t i = 0; i < n; i++) {
        struct mailbox *b = e->s->boxes[i];
        struct slice name = slice_str(model_folder_name(b->name));
        unsigned attrs = b->is_subscribed ? FOLDER_SUBSCRIBED : 0;
        BUG_ON(folder_list_add(l, name, '/', attrs, FOLDER_USE_NONE, &err) != 0);
        put_status(e, b, folder_list_find(l, name));
        char id[16];
        folder_id(e, b, id);
        folder_set_id(folder_list_find(l, name), slice_str(id));
    }
}

static void do_status(struct model_end *e, struct request *r)
{
    struct mailbox *b = r->name < 0 ? NULL : server_find(e->s, (uint8_t)r->name);
    if (b)
        put_status(e, b, r->status);
    else
        model_refuse(r, ERR_PERM, ERR_SCOPE_FOLDER, "no such folder");
}

static void do_make(struct model_end *e, struct request *r)
{
    if (r->name < 0 || server_find(e->s, (uint8_t)r->name)) {
        model_refuse(r, ERR_PERM, ERR_SCOPE_FOLDER, "it is there already");
        return;
    }
    server_make(e->s, (uint8_t)r->name)->is_kept = true;
    world_story(e->w, "    target: folder %s made", model_folder_name((uint8_t)r->name));
}

static void do_rename(struct model_end *e, struct request *r)
{
    struct mailbox *b = r->name < 0 ? NULL : server_find(e->s, (uint8_t)r->name);
    if (!b || r->to < 0 || !server_may_rename(e->s, b, (uint8_t)r->to)) {
        model_refuse(r, ERR_PERM, ERR_SCOPE_FOLDER, "no such folder, or it is there already");
        return;
    }
    world_story(e->w, "    target: folder %s renamed to %s", model_folder_name(b->name),
        model_folder_name((uint8_t)r->to));
    server_rename(e->s, b, (uint8_t)r->to, true);
}

struct mailbox *model_opened(struct model_end *e, struct request *r)
{
    struct mailbox *b = e->open_name < 0 ? NULL : server_find(e->s, (uint8_t)e->open_name);
    if (b && b->uidvalidity == e->open_validity)
        return b;
    model_refuse(r, ERR_TEMP, ERR_SCOPE_FOLDER, "the folder is not open, or not there any more");
    return NULL;
}

static void listed(struct model_end *e, const struct message *m, unsigned want, struct keywords *k,
    struct listed *out)
{
    struct buf octets;
    *out = (struct listed){.uid = m->uid};
    if (want & END_WANT_FLAGS) {
        out->has_flags = true;
        out->flags = flags_of(m->flags, k);
    }
    if (want & END_WANT_DATES) {
        out->has_date = true;
        out->date_s = model_date(m->content);
    }
    if (want & END_WANT_SIZES) {
        buf_init(&octets, 4096);
        model_octets(m->content, &octets);
        out->has_size = true;
        out->size = (uint32_t)octets.n + (model_has(e, QUIRK_SIZES) ? m->uid % 3 : 0);
        buf_fini(&octets);
    }
}

void model_tell(struct model_end *e, const struct message *m, unsigned want, struct end_changes *c)
{
    struct listed l;
    char id[16];
    listed(e, m, want, c->keywords, &l);
    BUG_ON(!end_changes_add(c, &l));
    if (!(want & END_WANT_IDS) || model_has(e, QUIRK_NO_IDS))
        return;
    BUG_ON(fmt_into(id, sizeof(id), "M%u", m->id) != 0);
    end_changes_add_id(c, m->uid, slice_str(id));
}

void model_put_token(const struct mailbox *b, struct buf *out)
{
    buf_clear(out);
    BUG_ON(buf_addf(out, "%u %lu %u", b->uidvalidity, (unsigned long)b->modseq, b->uidnext) != 0);
}

bool model_token(struct slice token, struct model_token *out)
{
    struct slice rest = token, part;
    uint64_t v[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        if (!slice_split(&rest, ' ', &part) || num_u64(part, 0, UINT64_MAX, &v[i]) != 0)
            return false;
    }
    *out = (struct model_token){(uint32_t)v[0], (uint32_t)v[2], v[1]};
    return true;
}

/* The MODSEQ of then; 0: the token is void. */
static uint64_t token_modseq(const struct request *r, const struct mailbox *b)
{
    struct model_token t;
    if (!model_token(r->open.token, &t) || t.uidvalidity != b->uidvalidity ||
        t.modseq > b->modseq || t.uidnext > b->uidnext)
        return 0;
    return t.modseq;
}

static bool has_new_uids(const struct request *r, const struct mailbox *b)
{
    struct model_token t;
    return model_token(r->open.token, &t) &&
           (t.uidvalidity != b->uidvalidity || t.uidnext > b->uidnext);
}

static void tell_vanished(const struct mailbox *b, const struct request *r)
{
    struct end_changes *c = r->changes;
    c->vanished = mem_realloc_array(c->vanished, r->n + 1, sizeof(*c->vanished));
    for (size_t i = 0; i < r->n; i++) {
        if (!mailbox_find(b, r->uids[i]))
            c->vanished[c->n_vanished++] = r->uids[i];
    }
}

static void list(struct model_end *e, struct request *r, const struct mailbox *b)
{
    struct end_changes *c = r->changes;
    bool has_deltas = !model_has(e, QUIRK_NO_TOKENS | QUIRK_NO_CONDSTORE);
    uint64_t then = token_modseq(r, b), since = has_deltas ? then : 0;
    bool is_short = model_has(e, QUIRK_SHORT) && !e->w->is_quiet && since == 0 && b->n > 2 &&
                    rng_one_in(&e->w->rng, 3);
    size_t left_out = is_short ? 1 + rng_below(&e->w->rng, (uint32_t)b->n - 1) : 0;
    bool is_brief = r->open.is_brief && since == 0 && r->open.from <= 1;
    c->is_reset =
        has_new_uids(r, b) || (r->open.uidvalidity && r->open.uidvalidity != b->uidvalidity);
    for (size_t i = 0; i < b->n - left_out; i++) {
        if (b->v[i].uid < r->open.from || b->v[i].modseq <= since)
            continue;
        if (is_brief)
            BUG_ON(!end_changes_add_uid(c, b->v[i].uid));
        else
            model_tell(e, &b->v[i], r->open.want, c);
    }
    c->is_brief = is_brief;
    c->is_whole = since == 0 && r->open.from <= 1;
    c->is_sure = left_out == 0 || (fault_is(FAULT_LISTING_SHORT));
    if (since > 0)
        tell_vanished(b, r);
    else
        end_changes_miss(c, r->uids, r->n);
    if (!model_has(e, QUIRK_NO_TOKENS) && c->is_sure)
        model_put_token(b, &c->token);
}

static void do_open(struct model_end *e, struct request *r)
{
    struct mailbox *b = r->name < 0 ? NULL : server_find(e->s, (uint8_t)r->name);
    struct end_changes *c = r->changes;
    e->open_name = -1;
    if (!b) {
        model_refuse(r, ERR_PERM, ERR_SCOPE_FOLDER, "no such folder");
        return;
    }
    tell_validity(e, b, r->open.is_for_writing);
    c->uidvalidity = b->uidvalidity;
    if (fault_is(FAULT_UIDVALIDITY_IGNORED) && r->open.uidvalidity)
        c->uidvalidity = r->open.uidvalidity;
    if ((r->open.is_for_writing || r->open.is_only_opened) && r->open.uidvalidity &&
        r->open.uidvalidity != c->uidvalidity) {
        model_refuse(r, ERR_TEMP, ERR_SCOPE_FOLDER, "the folder was replaced meanwhile");
        return;
    }
    e->open_name = r->name;
    e->open_validity = b->uidvalidity;
    char id[16];
    folder_id(e, b, id);
    buf_clear(&c->folder_id);
    BUG_ON(buf_add_str(&c->folder_id, id) != 0);
    c->uidnext = b->uidnext;
    c->exists = (uint32_t)b->n;
    c->modseq = model_has(e, QUIRK_NO_CONDSTORE) ? 0 : b->modseq;
    c->storable = 31;
    c->takes_keywords = !model_has(e, QUIRK_NO_KEYWORDS);
    r->modseq_then = b->modseq;
    if (!r->open.is_only_opened)
        list(e, r, b);
}

static void do_attributes(struct model_end *e, struct request *r)
{
    const struct mailbox *b = model_opened(e, r);
    for (size_t i = 0; b && i < r->n; i++) {
        const struct message *m = mailbox_find(b, r->uids[i]);
        struct message copy;
        if (!m)
            continue;
        copy = *m;
        if (fault_is(FAULT_REMOVE_TOUCHED) && e->s->is_target)
            copy.flags = (uint16_t)((m->flags & ~m->users) | (m->born_flags & m->users));
        model_tell(e, &copy, r->want, r->changes);
    }
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

/* The UID that it has. */
static uint32_t put_message(struct server *s, struct mailbox *b, const struct appended *a)
{
    bool is_whole;
    int content = model_content(buf_slice(&a->octets), &is_whole);
    BUG_ON(content < 0);
    const struct message *equal = s->quirks & QUIRK_ONCE ? equal_one(b, (uint32_t)content) : NULL;
    if (equal)
        return equal->uid;
    struct message *m = engine_add(s, b, (uint32_t)content, a->flags);
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
    for (size_t i = 0; i < u->n && fault_is(FAULT_UIDS_SHUFFLED); i++)
        u->v[i] = at + (uint32_t)(u->n - 1 - i);
    if (model_has(e, QUIRK_UIDS) && u->n > 1)
        u->n--;
    else if (model_has(e, QUIRK_UIDS))
        u->uidvalidity += 7;
}

static void do_append(struct model_end *e, struct request *r)
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
    tell_validity(e, b, true);
    uint32_t first = b->uidnext;
    bool is_lost = model_has(e, QUIRK_LOSES) && rng_one_in(&e->w->rng, 6);
    uint32_t *given = mem_zalloc((r->n_messages + 1) * sizeof(*given));
    for (size_t i = 0; i < r->n_messages && !is_lost; i++)
        given[i] = put_message(e->s, b, &r->messages[i]);
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

static void do_read(struct model_end *e, struct request *r)
{
    (void)model_opened(e, r);
}

bool model_effect(struct model_end *e, struct request *r)
{
    switch (r->kind) {
    case FOLDERS:
        do_folders(e, r);
        return true;
    case STATUS:
        do_status(e, r);
        return true;
    case MAKE:
        do_make(e, r);
        return true;
    case RENAME:
        do_rename(e, r);
        return true;
    case SUBSCRIBE: {
        struct mailbox *b = r->name < 0 ? NULL : server_find(e->s, (uint8_t)r->name);
        if (b)
            b->is_subscribed = r->on;
        return true;
    }
    case OPEN:
        do_open(e, r);
        return true;
    case READ:
        do_read(e, r);
        return true;
    case ATTRIBUTES:
        do_attributes(e, r);
        return true;
    case APPEND:
        if (r->is_whole)
            do_append(e, r);
        return r->is_whole;
    case FLAGS:
        model_flags(e, r);
        return true;
    case MOVE:
        return model_move(e, r);
    case REMOVE:
        model_remove(e, r);
        return true;
    }
    return true;
}

void late_append_do(struct server *s, struct late_append *l)
{
    struct mailbox *b = l->folder < 0 ? NULL : server_find(s, (uint8_t)l->folder);
    for (size_t i = 0; b && i < l->n; i++) {
        bool is_whole;
        int content = model_content(buf_slice(&l->messages[i].octets), &is_whole);
        ledger_late(s->ledger, b->name, (uint32_t)content);
        put_message(s, b, &l->messages[i]);
    }
    late_append_free(l);
}
