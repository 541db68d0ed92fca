/* SPDX-License-Identifier: ISC */
/*
 * apply_settle: after a kill or a cut nobody knows which of the changes that were begun were made.
 * The target knows: what it now has of a change of flags is from then on what both sides have in
 * common, so that neither are our own flags taken for the user's, nor is one that was changed back
 * meanwhile taken for one that never changed.  A removal is over when its messages are gone or bear
 * no mark; else it stays open, so that the next plan knows whose mark it is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/apply_parts.h"

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

struct search {
    uint32_t id;
    struct journal_folder *out;
};

static void take_folder(void *arg, const struct journal_folder *f)
{
    struct search *s = arg;
    if (f->id != s->id)
        return;
    s->out->id = f->id;
    journal_set(&s->out->source.name, f->source.name);
    journal_set(&s->out->target.name, f->target.name);
    s->out->source.uidvalidity = f->source.uidvalidity;
    s->out->target.uidvalidity = f->target.uidvalidity;
}

int apply_folder_by_id(struct journal *j, uint32_t id, struct journal_folder *out, struct err *err)
{
    struct search s = {id, out};
    return journal_folders_each(j, take_folder, &s, err);
}

static int begin(struct question *q, struct end *target, struct journal *journal,
    const struct folder_list *there, struct err *err)
{
    uint32_t id = q->intents[0].folder;
    if (apply_folder_by_id(journal, id, &q->record, err) != 0 ||
        journal_keywords_get(journal, id, &q->keywords, err) != 0)
        return -1;
    q->is_void = q->record.id == 0 || q->record.target.uidvalidity == 0 ||
                 !folder_list_find(there, q->record.target.name);
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
    in.system = (uint8_t)(in.system | out.system);
    for (size_t i = 0; i < FLAGS_WORDS; i++)
        in.keywords[i] = in.keywords[i] | out.keywords[i];
    return in;
}

static struct flags both(const struct flags *a, const struct flags *b)
{
    return choose(a, a, b);
}

/* For every pair: a target that keeps equal messages once has several with the same number. */
static void settle_flags(struct question *q, const struct intent *i, struct pair *pairs, size_t n,
    struct journal *journal)
{
    struct flags mask = both(&i->add, &i->remove);
    for (size_t k = 0; k < n; k++) {
        struct pair *p = &pairs[k];
        const struct listed *l = NULL;
        for (size_t u = 0; u < i->n && p->state == PAIR_STORED && !l; u++) {
            if (i->uids[u] == p->tgt_uid)
                l = end_changes_find(&q->there, p->tgt_uid);
        }
        if (!l)
            continue;
        p->flags = choose(&mask, &l->flags, &p->flags);
        journal_pair_put(journal, q->record.id, p, NULL);
    }
}

static bool is_removal_over(const struct question *q, const struct intent *i)
{
    for (size_t u = 0; u < i->n; u++) {
        const struct listed *l = end_changes_find(&q->there, i->uids[u]);
        if (l && l->flags.system & FLAG_DELETED)
            return false;
    }
    return true;
}

/* What we have removed is no copy of anything: its message may be new elsewhere, and come again. */
static void forget_removed(struct question *q, const struct intent *i, const struct pair *pairs,
    size_t n, struct journal *journal)
{
    for (size_t k = 0; k < n; k++) {
        const struct pair *p = &pairs[k];
        bool is_named = false;
        for (size_t u = 0; u < i->n && p->tgt_uid != 0; u++)
            is_named = is_named || i->uids[u] == p->tgt_uid;
        if (is_named && !end_changes_find(&q->there, p->tgt_uid))
            journal_pair_del(journal, q->record.id, p->src_uid);
    }
}

static int settle_one(struct question *q, struct journal *journal, struct err *err)
{
    struct pair *pairs = NULL;
    size_t n = 0;
    if (!q->is_void && journal_pairs(journal, q->record.id, &pairs, &n, err) != 0)
        return -1;
    journal_begin(journal);
    for (size_t i = 0; i < q->n; i++) {
        const struct intent *x = &q->intents[i];
        if (!q->is_void && x->kind == INTENT_FLAGS)
            settle_flags(q, x, pairs, n, journal);
        if (!q->is_void && x->kind == INTENT_DELETE)
            forget_removed(q, x, pairs, n, journal);
        if (q->is_void || x->kind == INTENT_FLAGS ||
            (x->kind == INTENT_DELETE && is_removal_over(q, x)))
            journal_intent_del(journal, x->folder, x->id);
    }
    free(pairs);
    return journal_commit(journal, err);
}

static int settle_moves(
    struct question *q, struct apply_settling *s, bool *is_open_out, struct err *err)
{
    for (size_t i = 0; i < q->n && !*is_open_out; i++) {
        if (q->intents[i].kind == INTENT_MOVE &&
            apply_settle_move(s, &q->intents[i], is_open_out, err) != 0)
            return -1;
    }
    return 0;
}

static int finish(struct question *q, struct end *target, struct journal *journal,
    const struct folder_list *there, struct apply_open *out, struct err *err)
{
    for (size_t i = 0; i < q->n && !q->is_void; i++)
        q->is_open = q->is_open || q->opened.result != END_OK || q->told[i].result != END_OK;
    if (!q->is_void && !q->is_open)
        q->is_void = q->there.uidvalidity != q->record.target.uidvalidity;
    if (!q->is_open) {
        struct apply_settling s = {target, journal, there, &q->record, &q->keywords, &q->there};
        if (settle_one(q, journal, err) != 0)
            return -1;
        if (!q->is_void && settle_moves(q, &s, &q->is_open, err) != 0)
            return -1;
    }
    if (!q->is_open)
        return 0;
    log_warn("outcome_unknown", log_str("at", target->label),
        log_slice("folder", q->record.target.name));
    out->folders = mem_realloc_array(out->folders, out->n + 1, sizeof(*out->folders));
    out->folders[out->n++] = q->record.id;
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
    *out = (struct apply_open){0};
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
