/* SPDX-License-Identifier: ISC */
/*
 * pass_flags: flags, and changes of single messages, that the target does not take: what of the
 * plan rests because of it, and how it is told.
 *
 * Of a message that lacks flags (E-FLAG) no keywords are sent before it is due again, and never if
 * that was accepted; what else its user does to its flags is done.  While it rests the folder's
 * tokens stay where they are, so that it is told again when it is due.
 *
 * A message that the target does not let go (E-WITHHELD) is neither moved nor removed before it is
 * due again, whatever the source's user does with it next, and never if that was accepted.  Its
 * copy, its pair and the folders' tokens stay as they are behind a NO, so that each plan has seen
 * where its message is by then; flags are changed where the copy is.  What is not a message of the
 * source, or was many at once, is tried with each pass.
 */
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"

/* The change without the keywords that it adds, as one more of the plan's. */
static uint32_t without_keywords(struct plan *p, uint32_t change)
{
    struct plan_change less = p->changes[change];
    struct flags dropped = less.add;
    dropped.system = 0;
    less.add = flags_minus(&less.add, &dropped);
    less.now = flags_minus(&less.now, &dropped);
    p->changes = mem_realloc_array(p->changes, p->n_changes + 1, sizeof(*p->changes));
    p->changes[p->n_changes] = less;
    return (uint32_t)p->n_changes++;
}

static bool is_empty(const struct plan_change *c)
{
    return flags_empty(&c->add) && flags_empty(&c->remove);
}

/* What is tried again counts as mended until it is told once more. */
static int expect(struct works *all, const struct plan_op *op, struct err *err)
{
    const struct item_key key = {
        all->planned[op->folder]->record->source.name, op->src_uid, ITEM_FLAG};
    return copy_tell_mended(all->c, &key, err);
}

int pass_rest_flags(struct works *all, struct err *err)
{
    struct plan *p = &all->plan;
    size_t kept = 0;
    uint32_t last = 0, less = 0;
    bool has_less = false;
    if (all->c->tell.n_flags == 0)
        return 0;
    for (size_t i = 0; i < p->n_ops; i++) {
        struct plan_op op = p->ops[i];
        struct work *w = all->planned[op.folder];
        enum tell_fate fate;
        bool is_known = op.kind == PLAN_FLAGS && op.src_uid != 0 &&
                        tell_flags_fate(all->c, w->record->id, op.src_uid, &fate);
        if (is_known && fate == TELL_DUE) {
            if (expect(all, &op, err) != 0)
                return -1;
        } else if (is_known) {
            if (!has_less || last != op.change)
                less = without_keywords(p, op.change);
            has_less = true;
            last = op.change;
            op.change = less;
            w->n_exceptions += fate == TELL_RESTS;
        }
        if (!is_known || !is_empty(&p->changes[op.change]))
            p->ops[kept++] = op;
    }
    p->n_ops = kept;
    return 0;
}

/* One that has rested is tried as one that was refused alone, and not as the first of all. */
void pass_rest_held(struct works *all)
{
    struct plan *p = &all->plan;
    size_t kept = 0;
    if (all->c->tell.n_held == 0)
        return;
    for (size_t i = 0; i < p->n_ops; i++) {
        struct plan_op *op = &p->ops[i];
        struct work *w = all->planned[op->folder];
        bool goes = op->kind == PLAN_MOVE || op->kind == PLAN_TRASH || op->kind == PLAN_REMOVE;
        enum tell_fate fate = TELL_DUE;
        op->was_refused = goes && tell_held_fate(all->c, w->record->id, op->src_uid, &fate);
        if (fate == TELL_DUE) {
            p->ops[kept++] = *op;
            continue;
        }
        copy_tell_rests(
            all->c, &(struct item_key){w->record->source.name, op->src_uid, ITEM_HELD_BACK});
        pass_leave_op(all, op);
        w->p->has_failed = true;
        w->p->counts->deletions_withheld += fate == TELL_RESTS;
    }
    p->n_ops = kept;
}

/* --- What lasts --------------------------------------------------------------------------------
 */

static void add_names(
    struct buf *out, const char *what, const struct flags *f, const struct keywords *k)
{
    BUG_ON(!flags_empty(f) && (buf_add_str(out, what) != 0 || flags_format(f, k, out) != 0));
}

/* All of the folder's keywords, whichever message has them. */
static struct flags all_keywords(const struct keywords *k)
{
    struct flags f = {0};
    for (size_t i = 0; i < k->n; i++)
        f.keywords[i / 64] |= UINT64_C(1) << i % 64;
    return f;
}

static size_t count(const struct flags *f)
{
    size_t n = (size_t)__builtin_popcount(f->system);
    for (size_t i = 0; i < FLAGS_WORDS; i++)
        n += (size_t)__builtin_popcountll(f->keywords[i]);
    return n;
}

static void tell_unkept(struct work *w, const struct flags *unkept)
{
    struct buf text;
    buf_init(&text, 64u << 10);
    w->p->counts->keywords_lost += count(unkept);
    add_names(&text, "the target's folder keeps none of these: ", unkept, &w->keywords);
    if (w->listing.flags_lost > 0)
        BUG_ON(buf_addf(&text, "%sthere is no room for these, or they are no keywords: %s",
                   text.n > 0 ? "; " : "",
                   w->listing.lost_words.n > 0 ? buf_cstr(&w->listing.lost_words) : "(no names)") !=
               0);
    folder_tell(w, ITEM_KEYWORD, 0, 0, buf_cstr(&text));
    buf_fini(&text);
}

/* What a part of the messages has is told with all that the folder has, so that the words of an
 * item do not depend on who was told last. */
static int tell_beyond(struct work *w, const struct flags *storable, struct err *err)
{
    const struct end_changes *c = &w->listing;
    bool is_whole = c->is_whole && !c->is_brief;
    struct flags unkept = {0};
    for (size_t i = 0; i < c->n; i++)
        unkept = flags_or(&unkept, &c->v[i].flags);
    unkept = flags_minus(&unkept, storable);
    unkept.system &= (uint8_t)~FLAG_DELETED;
    if (!flags_empty(&unkept) && !is_whole) {
        struct flags all = all_keywords(&w->keywords);
        all = flags_minus(&all, storable);
        unkept = flags_or(&unkept, &all);
    }
    if (!flags_empty(&unkept) || c->flags_lost > 0) {
        tell_unkept(w, &unkept);
        return 0;
    }
    const struct item_key key = {w->record->source.name, 0, ITEM_KEYWORD};
    return is_whole ? copy_tell_mended(w->c, &key, err) : 0;
}

int folder_tell_unkept(struct work *w, struct err *err)
{
    struct flags storable;
    memset(&storable, 0xff, sizeof(storable));
    if (w->target_told.is_asked)
        storable = end_changes_storable(&w->there);
    return tell_beyond(w, &storable, err);
}

/* Only keywords are in doubt: nearly every server keeps all system flags, and a folder more would
 * have to be opened for each. */
static bool is_in_doubt(const struct work *w)
{
    const struct flags all = all_keywords(&w->keywords);
    for (size_t i = 0; w->streamed && !w->target_told.is_asked && i < w->n_copies; i++) {
        const struct listed *l = end_changes_find(&w->listing, w->copies[i]);
        struct flags f = l ? flags_and(&l->flags, &all) : (struct flags){0};
        if (!flags_empty(&f))
            return true;
    }
    return false;
}

static int take_kept(struct work *w, struct err *err)
{
    struct flags storable;
    if (end_wait(w->c->to, &w->kept_told, err) != 0)
        return -1;
    if (w->kept_told.result != END_OK)
        return 0; /* an append says why */
    storable = end_changes_storable(&w->kept);
    storable.system = UINT8_MAX;
    if (tell_beyond(w, &storable, err) != 0)
        return -1;
    for (size_t i = 0; i < w->n_copies; i++) {
        struct listed *l = (struct listed *)(uintptr_t)end_changes_find(&w->listing, w->copies[i]);
        if (l)
            l->flags = flags_and(&l->flags, &storable);
    }
    return 0;
}

int pass_ask_kept(struct works *all, struct err *err)
{
    struct end *to = all->c->to;
    for (size_t i = 0; i < all->n; i++) {
        struct work *w = &all->v[i];
        if (!is_in_doubt(w))
            continue;
        if (end_room(to, err) != 0)
            return -1;
        if (!w->has_kept)
            end_changes_init(&w->kept, &w->keywords);
        w->has_kept = true;
        w->kept_told = (struct end_ticket){0};
        to->ops->open(to,
            &(struct end_open){
                .folder = w->record->target.name, .is_for_writing = true, .is_only_opened = true},
            &w->kept, &w->kept_told);
    }
    for (size_t i = 0; i < all->n; i++) {
        if (all->v[i].has_kept && take_kept(&all->v[i], err) != 0)
            return -1;
    }
    return 0;
}

/* --- Told --------------------------------------------------------------------------------------
 */

void folder_tell_dropped(struct work *w, uint32_t uid, size_t n, const struct flags *what)
{
    struct buf text;
    buf_init(&text, 64u << 10);
    add_names(&text, "the target does not keep ", what, &w->keywords);
    BUG_ON(buf_add_str(&text, ": it says OK, and they are not there") != 0);
    folder_tell(w, ITEM_FLAG, uid, uid ? 0 : n, buf_cstr(&text));
    buf_fini(&text);
}

static bool tell_held(struct work *w, const struct apply_spared *s, const char *why)
{
    return copy_tell(w->c, &(struct copy_finding){.code = ITEM_HELD_BACK,
                               .folder = w->record->source.name,
                               .uid = s->uid,
                               .uidvalidity = s->uid ? w->record->source.uidvalidity : 0,
                               .n = s->uid ? 0 : s->n,
                               .why = why,
                               .never_rests = s->has_no_place});
}

void pass_spared(void *arg, const struct apply_spared *s)
{
    const struct works *all = arg;
    struct work *w = all->planned[s->folder];
    struct buf text;
    buf_init(&text, 64u << 10);
    if (s->is_flag) {
        add_names(&text, "the target does not set ", &s->add, &w->keywords);
        add_names(&text, "the target does not take away ", &s->remove, &w->keywords);
        BUG_ON(buf_addf(&text, ": %s", s->why) != 0);
        folder_tell(w, ITEM_FLAG, s->uid, s->uid ? 0 : s->n, buf_cstr(&text));
    } else {
        BUG_ON(buf_addf(&text, "the target does not let it go: %s", s->why) != 0);
        if (!tell_held(w, s, buf_cstr(&text)))
            w->p->counts->deletions_withheld += s->n;
    }
    buf_fini(&text);
}
