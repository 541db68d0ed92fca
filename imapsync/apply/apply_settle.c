/* SPDX-License-Identifier: ISC */
/*
 * apply_settle: after a kill or a cut nobody knows which of the changes that were begun were made.
 * The target knows.
 *
 *   FLAGS    what it now has of them is from then on what both sides have in common, so that
 *            neither are our own flags taken for the user's, nor is one that was changed back
 *            meanwhile taken for one that never changed
 *   DELETE   our mark is taken off what is still there: whether it is to go is for the next plan,
 *            and one that its user has touched since is not to bear it.  The pairs of what is gone
 *            are forgotten: its message may be new elsewhere, and come again
 *   MOVE     apply_settle_move.c
 *
 * A folder that has another UIDVALIDITY now, or is not there, has nothing under the intents' UIDs.
 * Its pairs will be looked for by content (resolve.h), and what they have in common is then what
 * they and the target say.  So they are told all that may have been changed, and what was not is
 * left out of it.
 *
 * Behind it an intent is open of those folders only that are in apply_open.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/apply/apply_parts.h"

struct question {
    struct intent *intents; /* of one folder, borrowed */
    size_t n;
    struct journal_folder record;
    struct keywords keywords;
    bool is_void; /* the folder, or the one that it was, is not there */
    bool is_open; /* the target does not say */
    struct end_changes there;
    struct end_ticket opened, *told; /* told: one for each intent */
};

static int begin(struct question *q, struct end *target, struct journal *journal,
    const struct folder_list *there, struct err *err)
{
    uint32_t id = q->intents[0].folder;
    bool found;
    if (journal_folder_by_id(journal, id, &q->record, &found, err) != 0 ||
        journal_keywords_get(journal, id, &q->keywords, err) != 0)
        return -1;
    q->is_void =
        q->record.target.uidvalidity == 0 || !folder_list_find(there, q->record.target.name);
    if (q->is_void)
        return 0;
    if (end_room(target, err) != 0)
        return -1;
    target->ops->open(target,
        &(struct end_open){.folder = q->record.target.name, .is_only_opened = true}, &q->there,
        &q->opened);
    for (size_t i = 0; i < q->n; i++) {
        if (end_room(target, err) != 0)
            return -1;
        q->told[i].result = END_PENDING;
        target->ops->attributes(
            target, q->intents[i].uids, q->intents[i].n, END_WANT_FLAGS, &q->there, &q->told[i]);
    }
    return 0;
}

/* --- What is so, for the journal ------------------------------------------------------------- */

static struct flags choose(
    const struct flags *mask, const struct flags *yes, const struct flags *no)
{
    struct flags in = flags_and(yes, mask), out = flags_minus(no, mask);
    return flags_or(&in, &out);
}

int apply_forget_numbers(struct journal *j, struct journal_folder *f, struct err *err)
{
    if (f->id == 0 || f->target.uidvalidity == 0)
        return 0;
    f->target.uidvalidity = 0;
    journal_set(&f->target.token, SLICE_NONE);
    return journal_folder_put(j, f, err);
}

/* Of flags that were being changed: those that may have been are no longer what they were. */
static void settle_flags(
    const struct question *q, const struct intent *i, const struct listed *l, struct pair *p)
{
    struct flags mask = flags_or(&i->add, &i->remove);
    if (q->is_void)
        p->flags = flags_or(&p->flags, &mask);
    else if (l)
        p->flags = choose(&mask, &l->flags, &p->flags);
}

/* Of a removal.  false: the pair goes. */
static bool settle_removal(const struct question *q, const struct listed *l, struct pair *p)
{
    p->is_marked = q->is_void;
    return q->is_void || l;
}

/* For every pair: a target that keeps equal messages once has several with the same number. */
static void settle_pairs(struct question *q, const struct intent *i, struct pair *pairs, size_t n,
    struct journal *journal)
{
    uint32_t *uids = mem_realloc_array(NULL, i->n + 1, sizeof(*uids));
    if (i->n > 0)
        memcpy(uids, i->uids, i->n * sizeof(*uids));
    size_t n_uids = uids_sort(uids, i->n);
    for (size_t k = 0; k < n; k++) {
        struct pair *p = &pairs[k];
        if (p->tgt_uid == 0 || !uids_have(uids, n_uids, p->tgt_uid))
            continue;
        const struct listed *l = end_changes_find(&q->there, p->tgt_uid);
        bool stays = true;
        if (i->kind == INTENT_FLAGS)
            settle_flags(q, i, l, p);
        else
            stays = settle_removal(q, l, p);
        if (stays)
            journal_pair_put(journal, q->record.id, p, NULL);
        else if (p->src_uid != 0)
            journal_pair_del(journal, q->record.id, p->src_uid);
        else
            journal_copy_del(journal, q->record.id, p->tgt_uid);
    }
    free(uids);
}

/* One that both sides had before is nobody's mark. */
static bool is_our_mark(const struct listed *l, const struct pair *pairs, size_t n)
{
    bool is = l && l->flags.system & FLAG_DELETED;
    for (size_t i = 0; is && i < n; i++)
        is = pairs[i].tgt_uid != l->uid || !(pairs[i].flags.system & FLAG_DELETED);
    return is;
}

/* Those of the removals that are there and bear a mark; owned by the caller. */
static uint32_t *marked_ones(
    const struct question *q, const struct pair *pairs, size_t n, size_t *n_out)
{
    uint32_t *v = NULL;
    *n_out = 0;
    for (size_t i = 0; i < q->n && !q->is_void; i++) {
        const struct intent *x = &q->intents[i];
        if (x->kind != INTENT_DELETE)
            continue;
        v = mem_realloc_array(v, *n_out + x->n + 1, sizeof(*v));
        for (size_t u = 0; u < x->n; u++) {
            if (is_our_mark(end_changes_find(&q->there, x->uids[u]), pairs, n))
                v[(*n_out)++] = x->uids[u];
        }
    }
    return v;
}

int apply_take_marks(struct apply_settling *s, const uint32_t *removed, size_t n_removed,
    const uint32_t *kept, size_t n_kept, bool *is_open_out, struct err *err)
{
    struct end *e = s->target;
    struct end_ticket t[4] = {
        {.result = END_OK}, {.result = END_OK}, {.result = END_OK}, {.result = END_OK}};
    struct end_changes numbers;
    const struct flags deleted = {.system = FLAG_DELETED};
    struct end_flags mark = {.flags = &deleted, .keywords = s->keywords};
    if (n_removed + n_kept == 0)
        return 0;
    end_changes_init(&numbers, s->keywords);
    t[0].result = END_PENDING;
    e->ops->open(e,
        &(struct end_open){.folder = s->folder->target.name,
            .is_for_writing = true,
            .is_only_opened = true,
            .uidvalidity = s->folder->target.uidvalidity},
        &numbers, &t[0]);
    if (n_removed > 0) {
        t[1].result = t[2].result = END_PENDING;
        e->ops->flags(e, removed, n_removed, &mark, NULL, &t[1]);
        e->ops->remove(e, removed, n_removed, &t[2]);
    }
    mark.is_removal = true;
    if (n_kept > 0) {
        t[3].result = END_PENDING;
        e->ops->flags(e, kept, n_kept, &mark, NULL, &t[3]);
    }
    int result = end_drain(e, err);
    end_changes_fini(&numbers);
    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
        *is_open_out = *is_open_out || t[i].result != END_OK;
    return result;
}

static void close_intents(const struct question *q, enum intent_kind kind, struct journal *journal)
{
    for (size_t i = 0; i < q->n; i++) {
        if (q->intents[i].kind == kind)
            journal_intent_del(journal, q->intents[i].folder, q->intents[i].id);
    }
}

static int settle_pairs_of_all(struct question *q, struct journal *journal, struct pair *pairs,
    size_t n, bool is_over, struct err *err)
{
    journal_begin(journal);
    for (size_t i = 0; i < q->n; i++) {
        if (q->intents[i].kind != INTENT_MOVE)
            settle_pairs(q, &q->intents[i], pairs, n, journal);
    }
    close_intents(q, INTENT_FLAGS, journal);
    if (is_over)
        close_intents(q, INTENT_DELETE, journal);
    return journal_commit(journal, err);
}

static int settle_removals(struct question *q, struct apply_settling *s, struct err *err)
{
    struct pair *pairs;
    size_t n_pairs, n;
    if (journal_pairs_all(s->journal, q->intents[0].folder, &pairs, &n_pairs, err) != 0)
        return -1;
    uint32_t *marked = marked_ones(q, pairs, n_pairs, &n);
    int result = 0;
    if (q->is_void)
        result = apply_forget_numbers(s->journal, &q->record, err);
    if (result == 0)
        result = settle_pairs_of_all(q, s->journal, pairs, n_pairs, n == 0, err);
    if (result == 0 && n > 0)
        result = apply_take_marks(s, NULL, 0, marked, n, &q->is_open, err);
    free(marked);
    free(pairs);
    if (result != 0 || n == 0 || q->is_open)
        return result;
    journal_begin(s->journal);
    close_intents(q, INTENT_DELETE, s->journal);
    return journal_commit(s->journal, err);
}

static int settle_moves(struct question *q, struct apply_settling *s, struct err *err)
{
    for (size_t i = 0; i < q->n && !q->is_open; i++) {
        if (q->intents[i].kind == INTENT_MOVE &&
            apply_settle_move(s, &q->intents[i], &q->is_open, err) != 0)
            return -1;
    }
    return 0;
}

static void add_open(struct apply_open *out, uint32_t folder)
{
    out->folders = mem_realloc_array(out->folders, out->n + 1, sizeof(*out->folders));
    out->folders[out->n++] = folder;
}

/* What is moved into another folder may be there, so neither can be planned. */
static void tell_open(const struct question *q, const struct end *target, struct apply_open *out)
{
    log_warn("outcome_unknown", log_str("at", target->label),
        log_slice("folder", q->record.target.name));
    add_open(out, q->record.id);
    for (size_t i = 0; i < q->n; i++) {
        if (q->intents[i].kind == INTENT_MOVE)
            add_open(out, q->intents[i].to);
    }
}

static int finish(struct question *q, struct end *target, struct journal *journal,
    const struct folder_list *there, struct apply_open *out, struct err *err)
{
    for (size_t i = 0; i < q->n && !q->is_void; i++)
        q->is_open = q->is_open || q->opened.result != END_OK || q->told[i].result != END_OK;
    if (!q->is_void && !q->is_open)
        q->is_void = q->there.uidvalidity != q->record.target.uidvalidity;
    if (q->is_void)
        end_changes_clear(&q->there);
    if (!q->is_open) {
        struct apply_settling s = {
            target, journal, there, &q->record, &q->keywords, &q->there, q->is_void};
        if (settle_removals(q, &s, err) != 0)
            return -1;
        if (settle_moves(q, &s, err) != 0)
            return -1;
    }
    if (q->is_open)
        tell_open(q, target, out);
    return 0;
}

/* --- All of them --------------------------------------------------------------------------------
 */

#define FOLDERS_AT_ONCE 128

static int some(struct question *v, size_t n, struct end *target, struct journal *journal,
    const struct folder_list *there, struct apply_open *out, struct err *err)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < n; i++)
        result = begin(&v[i], target, journal, there, err);
    if (result == 0)
        result = end_drain(target, err);
    else if (!target->ops->is_idle(target))
        end_lose(target, err);
    for (size_t i = 0; result == 0 && i < n; i++) {
        end_changes_finish(&v[i].there);
        result = finish(&v[i], target, journal, there, out, err);
    }
    for (size_t i = 0; i < n; i++) {
        end_changes_fini(&v[i].there);
        keywords_fini(&v[i].keywords);
        journal_folder_fini(&v[i].record);
        free(v[i].told);
    }
    return result;
}

int apply_settle(struct end *target, struct journal *journal, const struct folder_list *there,
    struct apply_open *out, struct err *err)
{
    struct intent *intents;
    size_t n;
    if (journal_intents_all(journal, &intents, &n, err) != 0)
        return -1;
    struct question *v = mem_zalloc(FOLDERS_AT_ONCE * sizeof(*v));
    int result = 0;
    for (size_t i = 0; result == 0 && i < n;) {
        size_t folders = 0;
        memset(v, 0, FOLDERS_AT_ONCE * sizeof(*v));
        for (; i < n && folders < FOLDERS_AT_ONCE; folders++) {
            struct question *q = &v[folders];
            q->intents = &intents[i];
            while (i < n && intents[i].folder == q->intents[0].folder) {
                q->n++;
                i++;
            }
            q->told = mem_zalloc(q->n * sizeof(*q->told));
            end_changes_init(&q->there, &q->keywords);
        }
        result = some(v, folders, target, journal, there, out, err);
    }
    free(v);
    intents_free(intents, n);
    return result;
}

bool apply_is_open(const struct apply_open *o, uint32_t folder)
{
    for (size_t i = 0; i < o->n; i++) {
        if (o->folders[i] == folder)
            return true;
    }
    return false;
}

void apply_open_fini(struct apply_open *o)
{
    free(o->folders);
    *o = (struct apply_open){0};
}
