/* SPDX-License-Identifier: ISC */
/*
 * copy_restored: which folders of either side went back, before anything is done by their UIDs.
 *
 * What both sides have listed raises the suspicion, and opening the folder confirms it: of one that
 * this connection has open a server may list what that session knows (RFC 9051 6.3.11).  Who
 * restores ends all sessions, so what was not so when the folders were listed is not so in this
 * pass.
 *
 * It is written down, with what is forgotten because of it, and stays until the pairs have been
 * found again (folder_known.c), so that a kill repeats that.
 */
#include <stdlib.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/copy/restored.h"

#define AT_ONCE 64 /* folders that are opened */

/* One side of a folder. */
struct side {
    struct journal_folder *record;
    struct journal_end *of;   /* of the record */
    const struct folder *now; /* as it is listed */
    uint32_t uid;             /* the highest one that a pair names */
    bool is_target, is_suspect;
};

/* It is opened. */
struct question {
    struct side *side;
    struct keywords keywords;
    struct end_changes numbers;
    struct end_ticket ticket;
};

static bool went_back(const struct side *s, const struct record_numbers *now)
{
    const struct restored_known known = {
        .uidvalidity = s->of->uidvalidity, .uid = s->uid, .numbers = s->of->numbers};
    return restored(&known, now);
}

/* --- Opening ---------------------------------------------------------------------------------- */

static int begin(struct copy *c, struct question *q, struct err *err)
{
    struct side *s = q->side;
    struct end *e = s->is_target ? c->to : c->from;
    if (end_room(e, err) != 0)
        return -1;
    e->ops->open(e,
        &(struct end_open){
            .folder = s->now->name, .is_for_writing = s->is_target, .is_only_opened = true},
        &q->numbers, &q->ticket);
    return 0;
}

/* One that cannot be opened has its turn later, and says why then. */
static void confirm(struct question *q)
{
    const struct record_numbers now = {.uidvalidity = q->numbers.uidvalidity,
        .uidnext = q->numbers.uidnext,
        .modseq = q->numbers.modseq};
    q->side->is_suspect = q->ticket.result != END_OK || went_back(q->side, &now);
}

static int confirm_some(struct copy *c, struct question *v, size_t n, struct err *err)
{
    int result = 0;
    for (size_t i = 0; result == 0 && i < n; i++)
        result = begin(c, &v[i], err);
    if (result == 0 && (end_drain(c->from, err) != 0 || end_drain(c->to, err) != 0))
        result = -1;
    /* What is still on its way is answered into what is freed next. */
    if (result != 0) {
        end_lose(c->from, err);
        end_lose(c->to, err);
    }
    for (size_t i = 0; i < n; i++) {
        if (result == 0)
            confirm(&v[i]);
        end_changes_fini(&v[i].numbers);
        keywords_fini(&v[i].keywords);
    }
    return result;
}

/* --- What is written -------------------------------------------------------------------------- */

static void note_restored(struct copy *c, struct side *s)
{
    struct journal_folder *r = s->record;
    log_warn("folder_restored", log_str("at", s->is_target ? c->to->label : c->from->label),
        log_slice("folder", s->of->name));
    s->of->is_restored = true;
    journal_set(&r->source.token, SLICE_NONE);
    journal_set(&r->target.token, SLICE_NONE);
    /* What is done by UIDs there asks for it first. */
    if (s->is_target)
        s->of->uidvalidity = 0;
}

/* true: something of it has changed. */
static bool note(struct copy *c, struct side *s)
{
    const struct record_numbers now = restored_numbers(s->now);
    /* Restored, and replaced before that was looked at. */
    if (s->of->is_restored && now.uidvalidity != 0 &&
        now.uidvalidity != s->of->numbers.uidvalidity) {
        s->of->is_restored = false;
        (void)restored_raise(&s->of->numbers, &now);
        return true;
    }
    /* Found when it was the source. */
    if (s->of->is_restored && s->is_target && s->of->uidvalidity != 0) {
        s->of->uidvalidity = 0;
        return true;
    }
    if (s->of->is_restored)
        return false;
    if (!s->is_suspect)
        return restored_raise(&s->of->numbers, &now);
    note_restored(c, s);
    return true;
}

static int note_all(struct copy *c, struct side *v, size_t n, struct err *err)
{
    bool has_begun = false;
    for (size_t i = 0; i < n; i++) {
        if (!note(c, &v[i]))
            continue;
        if (!has_begun)
            journal_begin(c->journal);
        has_begun = true;
        journal_folder_note(c->journal, v[i].record);
    }
    return has_begun ? journal_commit(c->journal, err) : 0;
}

/* --- All of them ------------------------------------------------------------------------------ */

static void add(struct side *v, size_t *n, struct journal_folder *r, bool is_target,
    const struct folder *now, uint32_t uid)
{
    if (!now)
        return;
    struct side *s = &v[(*n)++];
    *s = (struct side){.record = r,
        .of = is_target ? &r->target : &r->source,
        .now = now,
        .uid = uid,
        .is_target = is_target};
    const struct record_numbers numbers = restored_numbers(now);
    s->is_suspect = !s->of->is_restored && went_back(s, &numbers);
}

static int add_both(struct copy *c, const struct pass *p, const struct folder_list *from,
    struct journal_folder *r, struct side *v, size_t *n, struct err *err)
{
    uint32_t source = 0, target = 0;
    if (r->id == 0)
        return 0;
    if (journal_highest(c->journal, r->id, &source, &target, err) != 0)
        return -1;
    add(v, n, r, false, folder_list_find(from, r->source.name), source);
    add(v, n, r, true, copy_find_target(p, r), target);
    return 0;
}

static int confirm_all(struct copy *c, struct side *v, size_t n, struct err *err)
{
    struct question some[AT_ONCE];
    size_t n_asked = 0;
    for (size_t i = 0; i < n; i++) {
        if (v[i].is_suspect) {
            struct question *q = &some[n_asked++];
            *q = (struct question){.side = &v[i]};
            end_changes_init(&q->numbers, &q->keywords);
        }
        if (n_asked == 0 || (n_asked < AT_ONCE && i + 1 < n))
            continue;
        if (confirm_some(c, some, n_asked, err) != 0)
            return -1;
        n_asked = 0;
    }
    return 0;
}

int copy_find_restored(struct copy *c, struct pass *p, const struct folder_list *from,
    struct journal_folder *known, size_t n_known, struct err *err)
{
    struct side *v = mem_zalloc((2 * (n_known + p->n_lost) + 1) * sizeof(*v));
    size_t n = 0;
    int result = 0;
    for (size_t i = 0; result == 0 && i < n_known; i++)
        result = add_both(c, p, from, &known[i], v, &n, err);
    for (size_t i = 0; result == 0 && i < p->n_lost; i++)
        result = add_both(c, p, from, &p->lost[i], v, &n, err);
    if (result == 0)
        result = confirm_all(c, v, n, err);
    if (result == 0)
        result = note_all(c, v, n, err);
    free(v);
    return result;
}
