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

/* --- Effects: what the server does --------------------------------------------------------------
 */

/* Somebody wants to know its UIDVALIDITY, which only lasts once it is_kept. */
void model_tell_validity(struct model_end *e, struct mailbox *b, bool is_kept)
{
    if (!model_has(e, QUIRK_FIRST_OPEN) || b->is_kept)
        return;
    b->uidvalidity = ++e->s->uidvalidity_last;
    b->is_kept = is_kept;
    if (!e->s->is_target)
        e->s->ledger->is_renumbered_here[b->name] = true;
}

static void put_numbers(struct model_end *e, const struct mailbox *b, struct folder *f)
{
    f->has = FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY;
    f->uidvalidity = b->uidvalidity;
    f->uidnext = b->uidnext;
    f->messages = (uint32_t)b->n;
    if (!model_has(e, QUIRK_NO_CONDSTORE)) {
        f->has |= FOLDER_HAS_MODSEQ;
        f->modseq = b->modseq;
    }
}

/* What a session has been told of the folder that it has open: with each answer about it, not with
 * each change of others. */
static void look(struct model_end *e)
{
    const struct mailbox *b = e->open_name < 0 ? NULL : server_find(e->s, (uint8_t)e->open_name);
    if (b && b->uidvalidity == e->open_validity)
        put_numbers(e, b, &e->view);
}

/* Of the folder that is open that is what this session knows (RFC 9051 6.3.11: STATUS is not for
 * the selected mailbox), with Dovecot; what the engine makes of it is open. */
static void put_status(struct model_end *e, struct mailbox *b, struct folder *f)
{
    model_tell_validity(e, b, false);
    if (e->open_name != b->name || e->open_validity != b->uidvalidity || !e->w->h->has_open) {
        put_numbers(e, b, f);
        return;
    }
    f->has = e->view.has;
    f->uidvalidity = e->view.uidvalidity;
    f->uidnext = e->view.uidnext;
    f->messages = e->view.messages;
    f->modseq = e->view.modseq;
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
        unsigned attrs = (b->is_subscribed ? FOLDER_SUBSCRIBED : 0u) |
                         (b->is_shown ? FOLDER_VIRTUAL | FOLDER_ALL : 0u);
        BUG_ON(folder_list_add(l, name, '/', attrs, FOLDER_USE_NONE, &err) != 0);
        put_status(e, b, folder_list_find(l, name));
        char id[16];
        folder_id(e, b, id);
        folder_set_id(folder_list_find(l, name), slice_str(id));
    }
    if (e->w->ledger.is_in_pass)
        server_listed(e->s);
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
    if (e->s->refuses.makes) {
        e->s->refuses.n++;
        model_refuse(r, ERR_PERM, ERR_SCOPE_FOLDER, "no more folders");
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
    if (fault_is(FAULT_RENAME_FORGOTTEN))
        return;
    if (fault_is(FAULT_RENAME_ELSEWHERE) && server_may_rename(e->s, b, MODEL_FOLDERS - 1))
        r->to = MODEL_FOLDERS - 1;
    world_story(e->w, "    target: folder %s renamed to %s", model_folder_name(b->name),
        model_folder_name((uint8_t)r->to));
    server_rename(e->s, b, (uint8_t)r->to, true);
}

struct mailbox *model_opened(struct model_end *e, struct request *r)
{
    struct mailbox *b = e->open_name < 0 ? NULL : server_find(e->s, (uint8_t)e->open_name);
    if (b && b->uidvalidity == e->open_validity)
        return b;
    if (b && (r->kind == MOVE || r->kind == REMOVE || r->kind == FLAGS))
        ledger_replaced(e->s->ledger, b->name);
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

static void tell_vanished(const struct mailbox *b, const struct request *r)
{
    struct end_changes *c = r->changes;
    for (size_t i = 0; i < r->n; i++) {
        if (!mailbox_find(b, r->uids[i]))
            end_changes_add_vanished(c, r->uids[i]);
    }
}

static void miss(struct end_changes *c, const struct request *r)
{
    struct uid_set known = uid_set_of(r->uids, r->n);
    end_changes_miss(c, &known);
    uid_set_fini(&known);
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
    for (size_t i = 0; i < b->n - left_out; i++) {
        if (b->v[i].uid < r->open.from || b->v[i].modseq <= since)
            continue;
        if (is_brief)
            BUG_ON(!end_changes_add_uids(c, (struct uid_range){b->v[i].uid, b->v[i].uid}));
        else
            model_tell(e, &b->v[i], r->open.want, c);
    }
    c->is_brief = is_brief;
    c->is_whole = since == 0 && r->open.from <= 1;
    c->is_sure = left_out == 0 || (fault_is(FAULT_LISTING_SHORT));
    if (since > 0)
        tell_vanished(b, r);
    else
        miss(c, r);
    if (!model_has(e, QUIRK_NO_TOKENS) && c->is_sure)
        model_put_token(b, &c->token);
}

/* As imap_open.c: it stays closed, and what is asked of it opens it first, which sees whether it is
 * still the one that was listed. */
static bool tell_as_listed(struct model_end *e, struct request *r)
{
    struct end_changes *c = r->changes;
    struct mailbox then = {.uidvalidity = r->listed.uidvalidity,
        .uidnext = r->listed.uidnext,
        .modseq = r->listed.modseq};
    if (!r->is_listed_empty || model_has(e, QUIRK_NO_TOKENS | QUIRK_NO_CONDSTORE))
        return false;
    c->uidvalidity = then.uidvalidity;
    c->uidnext = then.uidnext;
    c->modseq = then.modseq;
    c->exists = 0;
    c->is_whole = c->is_sure = true;
    model_put_token(&then, &c->token);
    e->open_name = r->name;
    e->open_validity = then.uidvalidity;
    return true;
}

static void do_open(struct model_end *e, struct request *r)
{
    struct mailbox *b = r->name < 0 ? NULL : server_find(e->s, (uint8_t)r->name);
    struct end_changes *c = r->changes;
    e->open_name = -1;
    if (tell_as_listed(e, r))
        return;
    if (!b) {
        model_refuse(r, ERR_PERM, ERR_SCOPE_FOLDER, "no such folder");
        return;
    }
    /* One that is not the expected one the end looks at twice, then makes it last (imap_open.c). */
    bool is_looked_at_twice = r->open.uidvalidity != 0 && !r->open.is_only_opened;
    model_tell_validity(e, b, r->open.is_for_writing || is_looked_at_twice);
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
    /* EXAMINE says that nothing lasts: PERMANENTFLAGS () (RFC 9051 7.1). */
    c->storable = r->open.is_for_writing ? 31 : 0;
    c->takes_keywords = r->open.is_for_writing && !model_has(e, QUIRK_NO_KEYWORDS);
    r->modseq_then = b->modseq;
    if (r->open.is_only_opened)
        return;
    list(e, r, b);
    if (e->w->ledger.is_in_pass) {
        server_known(&e->w->source);
        server_known(&e->w->target);
    }
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

static void do_read(struct model_end *e, struct request *r)
{
    (void)model_opened(e, r);
}

static void do_identify(struct model_end *e, struct request *r)
{
    const struct mailbox *inbox = server_find(e->s, 0);
    if (inbox && !model_has(e, QUIRK_NO_IDS))
        BUG_ON(buf_addf(r->identity, "%s-%u", e->end.label, inbox->id) != 0);
}

static void do_quota(struct model_end *e, struct request *r)
{
    const struct quota *q = &e->s->quota;
    uint64_t octets = q->hidden_octets, messages = q->hidden_messages;
    struct buf text;
    if (!q->is_told)
        return;
    buf_init(&text, 4096);
    for (size_t i = 0; i < e->s->n; i++) {
        const struct mailbox *b = e->s->boxes[i];
        messages += b->n;
        for (size_t k = 0; k < b->n; k++) {
            model_octets(b->v[k].content, &text);
            octets += text.n;
        }
    }
    buf_fini(&text);
    end_amount_add(&r->quota->octets, octets, q->octets);
    end_amount_add(&r->quota->messages, messages, q->messages);
}

static bool effect(struct model_end *e, struct request *r)
{
    switch (r->kind) {
    case FOLDERS:
        do_folders(e, r);
        return true;
    case STATUS:
        do_status(e, r);
        return true;
    case IDENTIFY:
        do_identify(e, r);
        return true;
    case QUOTA:
        do_quota(e, r);
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
            model_append(e, r);
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

bool model_effect(struct model_end *e, struct request *r)
{
    bool is_done = effect(e, r);
    bool is_about = r->kind == OPEN || r->kind == READ || r->kind == ATTRIBUTES ||
                    r->kind == FLAGS || r->kind == MOVE || r->kind == REMOVE ||
                    (r->kind == APPEND && r->stored_in == e->open_name);
    if (is_about)
        look(e);
    return is_done;
}
