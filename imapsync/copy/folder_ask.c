/* SPDX-License-Identifier: ISC */
/*
 * folder_ask: one folder's questions to both sides, all of them begun before any is answered: what
 * has changed, and of what the target has only just got or has never been opened its numbers.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "imapsync/copy/folder_parts.h"

/* Behind a flip all that is there counts: plan_late.c. */
static bool is_large(const struct work *w, const struct folder *status)
{
    return status->messages > w->c->options.portion && !folder_is_behind_flip(w);
}

/* What the pairs are called on both sides, and which states they have. */
static int survey(struct work *w, struct journal_known *known, struct err *err)
{
    if (journal_known_get(w->c->journal, w->record->id, known, err) != 0)
        return -1;
    w->states = known->states;
    w->n_alone = w->p->finds_alone ? uid_set_size(&known->alone) : 0;
    if (w->n_alone > 0)
        uid_set_join_with(&known->target, &known->alone);
    return 0;
}

/* Whether its listing may count: for a folder that is made in this pass, in a first one.  Where
 * nothing has a copy yet, nothing that has moved since could seem to be gone. */
static bool may_be_as_listed(const struct work *w)
{
    const struct journal_folder *r = w->record;
    return w->is_awaited && r->source.uidvalidity == 0 && !r->source.is_restored && !w->is_shown &&
           !w->p->has_known && !w->p->is_fresh && !folder_is_behind_flip(w) && w->states == 0 &&
           w->n_alone == 0;
}

/* A UIDVALIDITY that differs from the one that we know, or that the status has told, is looked at
 * twice by the end. */
static void ask_source(struct work *w, bool may_ask_since_token, const struct uid_set *known)
{
    const struct journal_folder *r = w->record;
    /* What is new may have been moved here, which its size tells first.  In a listing of all it
     * would cost more than the question. */
    bool is_followed = (may_ask_since_token && r->source.token.n > 0) ||
                       (r->source.uidvalidity == 0 && w->p->has_known);
    w->source_told.is_asked = true;
    if (w->is_shown)
        may_ask_since_token = is_followed = false;
    w->c->from->ops->open(w->c->from,
        &(struct end_open){.folder = r->source.name,
            .uidvalidity = r->source.uidvalidity ? r->source.uidvalidity : w->source->uidvalidity,
            .token = may_ask_since_token ? r->source.token : SLICE_NONE,
            .is_brief = w->is_shown || is_large(w, w->source),
            .known = known,
            .listed = may_be_as_listed(w) ? w->source : NULL,
            .want = folder_wants(w) | (is_followed ? END_WANT_SIZES : 0)},
        &w->listing, &w->source_told.ticket);
    w->p->opened = w;
}

/* What its users have done to what is ours.  For writing, since which flags last there only SELECT
 * tells. */
static void ask_target(struct work *w, bool may_ask_since_token, const struct uid_set *known)
{
    const struct journal_folder *r = w->record;
    w->target_told.is_asked = true;
    w->c->to->ops->open(w->c->to,
        &(struct end_open){.folder = r->target.name,
            .is_for_writing = true,
            .uidvalidity = r->target.uidvalidity,
            .token = may_ask_since_token ? r->target.token : SLICE_NONE,
            .is_brief = is_large(w, w->target),
            .known = known,
            .want = END_WANT_FLAGS},
        &w->there, &w->target_told.ticket);
}

/* An empty folder that the target had before we came need not have a UIDVALIDITY that lasts before
 * somebody writes there (Courier): opened for writing it tells the one that it keeps.  One that is
 * not empty is looked at message by message anyway. */
static void ask_numbers(struct work *w)
{
    const struct folder *t = w->target;
    if (w->is_lost || w->is_awaited || t->uidvalidity == 0 || t->uidnext > 1 ||
        t->uidvalidity == w->record->target.uidvalidity || !folder_list_find(w->p->there, t->name))
        return;
    w->first_open.result = END_PENDING;
    w->c->to->ops->open(w->c->to,
        &(struct end_open){.folder = t->name, .is_for_writing = true, .is_only_opened = true},
        &w->there, &w->first_open);
}

static int take_numbers(struct work *w, struct err *err)
{
    if (end_check(w->c->to, &w->first_open, "cannot open the folder", err) != 0)
        return -1;
    if (w->there.uidvalidity != 0) {
        w->target->uidvalidity = w->there.uidvalidity;
        w->target->uidnext = w->there.uidnext;
        end_changes_fini(&w->there);
        end_changes_init(&w->there, &w->keywords);
    }
    return 0;
}

/* What has become of it.  One that could not be made is tried once more, under a name that the
 * target takes. */
static int take_made(struct work *w, struct err *err)
{
    bool was_made = copy_find_target(w->p, w->record) != NULL;
    w->is_awaited = false;
    if (copy_folder_on_target(w->c, w->p, w->source, w->record, w->target, err) != 0)
        return -1;
    if (was_made)
        return 0;
    ask_numbers(w);
    return end_wait(w->c->to, &w->first_open, err);
}

int folder_ask(struct work *w, struct err *err)
{
    const struct journal_folder *r = w->record;
    struct journal_known known = {0};
    bool may_ask_since_token;
    w->source_told = (struct told){.of = w, .end = w->c->from, .changes = &w->listing};
    w->target_told = (struct told){.of = w, .end = w->c->to, .changes = &w->there};
    w->first_open = (struct end_ticket){.result = END_OK};
    end_changes_init(&w->listing, &w->keywords);
    end_changes_init(&w->there, &w->keywords);
    if (journal_keywords_get(w->c->journal, r->id, &w->keywords, err) != 0)
        return -1;
    w->n_keywords_known = w->keywords.n;
    w->has_all_pairs = false;
    int result = survey(w, &known, err);
    if (result == 0)
        result = folder_may_ask_since(w, &may_ask_since_token, err);
    w->listing.is_sure = w->is_lost;
    w->listing.uidvalidity = w->is_lost ? r->source.uidvalidity : 0;
    if (result == 0 && !w->is_lost)
        ask_source(w, may_ask_since_token, &known.source);
    if (result == 0)
        ask_numbers(w);
    /* The source has it anew, and what the target has of the one before stands alone. */
    bool is_known = r->source.uidvalidity != 0 || w->states != 0 || w->n_alone > 0;
    if (result == 0 && !w->is_awaited && is_known && r->target.uidvalidity != 0 &&
        r->target.uidvalidity == w->target->uidvalidity)
        ask_target(w, may_ask_since_token, &known.target);
    journal_known_fini(&known);
    return result;
}

/* The name may have been given to another folder since it was listed; under one that is new to us
 * no UIDVALIDITY tells. */
static int check_id(
    const struct end_changes *told, struct slice listed, const char *label, struct err *err)
{
    struct slice id = buf_slice(&told->folder_id);
    if (id.n == 0 || listed.n == 0 || slice_eq(id, listed))
        return 0;
    err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: the folder was replaced meanwhile (MAILBOXID)", label);
    return err_scope_set(err, ERR_SCOPE_FOLDER);
}

int folder_take_answers(struct work *w, struct err *err)
{
    /* None may be on its way when the folder is given up. */
    if ((w->target_told.is_asked && end_wait(w->c->to, &w->target_told.ticket, err) != 0) ||
        end_wait(w->c->to, &w->first_open, err) != 0 ||
        (w->source_told.is_asked &&
            end_check(w->c->from, &w->source_told.ticket, "cannot open the folder", err) != 0) ||
        (w->is_awaited && take_made(w, err) != 0))
        return -1;
    if (check_id(&w->listing, w->record->source.mailboxid, w->c->from->label, err) != 0)
        return -1;
    if (!w->target_told.is_asked)
        return take_numbers(w, err);
    if (end_check(w->c->to, &w->target_told.ticket, "cannot open the folder", err) != 0 ||
        check_id(&w->there, w->record->target.mailboxid, w->c->to->label, err) != 0)
        return -1;
    if (w->there.uidvalidity == w->record->target.uidvalidity)
        return 0;
    err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: the folder was replaced meanwhile (UIDVALIDITY)",
        w->c->to->label);
    return err_scope_set(err, ERR_SCOPE_FOLDER);
}
