/* SPDX-License-Identifier: ISC */
/*
 * folder: one folder of a pass: it is asked what has changed, what is in doubt is settled, and when
 * its new messages were copied it is told what became of them.
 *
 * A listing that is shorter than the server's own count (EXISTS) is no witness of a deletion.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/copy/alone.h"
#include "imapsync/copy/folder_parts.h"

#define SURVEY_AT_ONCE 5000 /* pairs */

void folder_told(struct work *w, uint32_t uid, const char *why)
{
    w->p->counts->messages_failed++;
    w->n_exceptions++;
    copy_report(w->c, w->record->source.name, uid, why);
}

int folder_excuse(struct work *w, struct err *err)
{
    if (!copy_is_exception(w->c, err))
        return -1;
    w->is_over = true;
    w->p->counts->folders_failed++;
    copy_report(w->c, w->source->name, 0, err->text);
    err_clear(err);
    return 0;
}

int folder_reopen(struct work *w, struct err *err)
{
    struct end_ticket t = {0};
    struct end_changes numbers;
    if (w->p->opened == w)
        return 0;
    end_changes_init(&numbers, &w->keywords);
    folder_begin_open(w, &w->source_told, &numbers, &t);
    int result = end_check(w->c->from, &t, "cannot open the folder", err);
    end_changes_fini(&numbers);
    return result;
}

int folder_keep_keywords(struct work *w, struct err *err)
{
    if (w->keywords.n == w->n_keywords_known)
        return 0;
    w->n_keywords_known = w->keywords.n;
    return journal_keywords_put(w->c->journal, w->record->id, &w->keywords, err);
}

/* --- What has changed ----------------------------------------------------------------------- */

/* Whether the changes since the last pass are all that has to be looked at: then each message of
 * the journal is on both sides, or is not to be looked for, and no outcome is open. */
static int may_ask_since(struct work *w, bool *may_out, struct err *err)
{
    const struct journal_folder *r = w->record;
    struct intent *intents = NULL;
    size_t n = 0;
    *may_out = false;
    if (w->is_awaited || w->p->is_fresh || r->source.uidvalidity == 0 ||
        r->target.uidvalidity != w->target->uidvalidity || folder_has_state(w, PAIR_GONE) ||
        folder_has_state(w, PAIR_SENT) || folder_has_state(w, PAIR_REFUSED))
        return 0;
    if (journal_intents(w->c->journal, r->id, INTENT_APPEND, &intents, &n, err) != 0)
        return -1;
    intents_free(intents, n);
    *may_out = n == 0;
    return 0;
}

/* Behind a flip all that is there counts: plan_late.c. */
static bool is_large(const struct work *w, const struct folder *status)
{
    return status->messages > w->c->options.portion && !folder_is_behind_flip(w);
}

static int survey_alone(struct work *w, struct uid_set *target, struct err *err)
{
    struct pair *v;
    int result = journal_alone(w->c->journal, w->record->id, &v, &w->n_alone, err);
    for (size_t i = 0; i < w->n_alone; i++)
        uid_set_add(target, v[i].tgt_uid);
    free(v);
    return result;
}

/* What the pairs are called on both sides, and which states they have. */
static int survey(struct work *w, struct uid_set *source, struct uid_set *target, struct err *err)
{
    struct journal_walk walk = {0};
    int r;
    w->states = w->last_known = 0;
    w->n_alone = 0;
    while ((r = journal_walk(w->c->journal, w->record->id, &walk, SURVEY_AT_ONCE, err)) == 1) {
        for (size_t i = 0; i < walk.n; i++) {
            w->states |= 1U << walk.v[i].state;
            uid_set_add(source, walk.v[i].src_uid);
            w->last_known = walk.v[i].src_uid;
            if (walk.v[i].tgt_uid != 0)
                uid_set_add(target, walk.v[i].tgt_uid);
        }
    }
    journal_walk_fini(&walk);
    if (r == 0 && w->p->finds_alone)
        r = survey_alone(w, target, err);
    uid_set_join(source);
    uid_set_join(target);
    return r;
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
    w->c->from->ops->open(w->c->from,
        &(struct end_open){.folder = r->source.name,
            .uidvalidity = r->source.uidvalidity ? r->source.uidvalidity : w->source->uidvalidity,
            .token = may_ask_since_token ? r->source.token : SLICE_NONE,
            .is_brief = is_large(w, w->source),
            .known = known,
            .want = END_WANT_FLAGS | END_WANT_DATES | (is_followed ? END_WANT_SIZES : 0)},
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
    struct uid_set source = {0}, target = {0};
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
    int result = survey(w, &source, &target, err);
    if (result == 0)
        result = may_ask_since(w, &may_ask_since_token, err);
    w->listing.is_sure = w->is_lost;
    w->listing.uidvalidity = w->is_lost ? r->source.uidvalidity : 0;
    if (result == 0 && !w->is_lost)
        ask_source(w, may_ask_since_token, &source);
    uid_set_fini(&source);
    if (result == 0)
        ask_numbers(w);
    if (result == 0 && !w->is_awaited && r->source.uidvalidity != 0 && r->target.uidvalidity != 0 &&
        r->target.uidvalidity == w->target->uidvalidity)
        ask_target(w, may_ask_since_token, &target);
    uid_set_fini(&target);
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

static int check_answers(struct work *w, struct err *err)
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

/* What was removed, and what was changed, may be so or not: nobody could look. */
static int check_outcomes(struct work *w, struct err *err)
{
    if (!apply_is_open(&w->p->open, w->record->id))
        return 0;
    err_set(
        err, ERR_TEMP, EX_TEMPFAIL, "target: what an earlier pass has changed cannot be looked at");
    return err_scope_set(err, ERR_SCOPE_FOLDER);
}

/* Of what stands alone on the target, for the plan. */
static int find_contents(struct work *w, struct err *err)
{
    return w->p->finds_alone ? alone_read(w, err) : 0;
}

int folder_answered(struct work *w, struct err *err)
{
    bool adopt;
    if (check_answers(w, err) != 0 || folder_keep_keywords(w, err) != 0 ||
        check_outcomes(w, err) != 0)
        return -1;
    /* Behind a flip: where its messages are now, they are not late. */
    if (w->is_lost && folder_is_behind_flip(w) && folder_resolve_open(w, false, err) != 0)
        return -1;
    if (w->is_lost)
        return find_contents(w, err) == 0 ? folder_sift(w, err) : -1;
    w->p->counts->keywords_lost += w->listing.flags_lost;
    bool is_first = w->record->source.uidvalidity == 0;
    if (folder_check_uidvalidity(w, &adopt, err) != 0 || folder_resolve_open(w, adopt, err) != 0)
        return -1;
    /* Where nothing has ever come there is nothing to be seen. */
    bool is_seen =
        w->target_told.is_asked ? w->there.is_sure : is_first || adopt || w->target->uidnext == 1;
    w->p->is_unseen = w->p->is_unseen || !is_seen;
    if (find_contents(w, err) != 0)
        return -1;
    w->has_sent_pairs = folder_has_state(w, PAIR_SENT);
    w->has_gone_pairs = folder_has_state(w, PAIR_GONE);
    return folder_sift(w, err);
}

static void told_fini(struct told *t)
{
    free(t->vanished);
    free(t->read);
    free(t->still);
    *t = (struct told){0};
}

static void forget_answers(struct work *w)
{
    told_fini(&w->source_told);
    told_fini(&w->target_told);
    uid_set_fini(&w->fresh);
    uid_set_fini(&w->foreign);
    end_changes_fini(&w->listing);
    end_changes_fini(&w->there);
    keywords_fini(&w->keywords);
}

int folder_look_again(struct work *w, struct err *err)
{
    forget_answers(w);
    w->keywords = (struct keywords){0};
    if (folder_ask(w, err) != 0)
        return -1;
    return folder_answered(w, err);
}

int folder_reconcile(struct work *w, struct err *err)
{
    /* Written first, so that a crash in the middle of forgetting repeats it. */
    w->record->target.uidvalidity = 0;
    journal_set(&w->record->target.token, SLICE_NONE);
    if (journal_folder_put(w->c->journal, w->record, err) != 0)
        return -1;
    return folder_look_again(w, err);
}

/* --- Its copies ----------------------------------------------------------------------------- */

int folder_make(struct work *w, struct err *err)
{
    if (copy_folder_on_target(w->c, w->p, w->source, w->record, w->target, err) != 0)
        return -1;
    w->record->target.uidvalidity = w->target->uidvalidity;
    return journal_folder_put(w->c->journal, w->record, err);
}

/* Messages without a body: those that the source still lists are exceptions, the others have been
 * expunged while we were reading. */
static int check_missing(struct work *w, struct err *err)
{
    struct end_ticket t = {0};
    struct end_changes there;
    if (w->n_missing == 0)
        return 0;
    if (folder_reopen(w, err) != 0)
        return -1;
    end_changes_init(&there, &w->keywords);
    w->c->from->ops->attributes(w->c->from, w->missing, w->n_missing, 0, &there, &t);
    int result = end_wait(w->c->from, &t, err);
    for (size_t i = 0; result == 0 && i < there.n; i++)
        folder_told(w, there.v[i].uid, "source: the server lists the message and gives no body");
    end_changes_fini(&there);
    return result;
}

int folder_copied(struct work *w, struct err *err)
{
    const struct stream_folder *f = w->streamed;
    bool has_unknown_uids = f && f->has_unknown_uids;
    if (f && f->err.class == ERR_TEMP && f->err.scope == ERR_SCOPE_FOLDER && w->p->n_window > 1) {
        w->comes_again = true;
        return 0;
    }
    if (f && f->err.class != ERR_NONE) {
        *err = f->err;
        return -1;
    }
    if (check_missing(w, err) != 0 || folder_check_dates(w, err) != 0)
        return -1;
    /* A target that tells no UIDs is asked what it has now. */
    if (has_unknown_uids &&
        (folder_load_pairs(w, err) != 0 || folder_resolve_open(w, false, err) != 0))
        return -1;
    if ((w->has_sent_pairs || has_unknown_uids) &&
        (folder_load_pairs(w, err) != 0 || folder_tell_vanished(w, err) != 0))
        return -1;
    return 0;
}

static bool is_new(struct slice token, struct slice known)
{
    return token.n > 0 && !slice_eq(token, known);
}

/* Both tokens together: what one side has told may be done on the other.  The target's is from
 * before our own changes, which come again as changes that nothing follows from. */
/* What went away on the target behind a flip is looked for when its user is on the source again,
 * though nothing has changed there since. */
static int forget_token(struct work *w, struct err *err)
{
    struct journal_folder *r = w->record;
    if (w->is_lost || r->source.token.n == 0)
        return 0;
    journal_set(&r->source.token, SLICE_NONE);
    return journal_folder_put(w->c->journal, r, err);
}

/* Those of before the roles were exchanged tell what is new to the other side. */
static int forget_tokens(struct work *w, struct err *err)
{
    journal_set(&w->record->target.token, SLICE_NONE);
    return forget_token(w, err);
}

int folder_remember(struct work *w, struct err *err)
{
    struct journal_folder *r = w->record;
    if (w->has_gone_pairs)
        return forget_token(w, err);
    struct slice source = buf_slice(&w->listing.token), target = buf_slice(&w->there.token);
    bool has_target = w->target_told.is_asked && is_new(target, r->target.token);
    if (w->p->is_fresh && w->n_exceptions > 0)
        return forget_tokens(w, err);
    if (w->is_lost || w->n_exceptions > 0 || !w->listing.is_sure ||
        (w->target_told.is_asked && !w->there.is_sure) ||
        !(is_new(source, r->source.token) || has_target))
        return 0;
    journal_set(&r->source.token, source);
    if (has_target)
        journal_set(&r->target.token, target);
    return journal_folder_put(w->c->journal, r, err);
}

void folder_work_fini(struct work *w)
{
    forget_answers(w);
    free(w->pairs);
    free(w->facts);
    free(w->copies);
    free(w->missing);
    free(w->dated);
}
