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
#include "imapsync/copy/shown.h"

bool folder_tell(struct work *w, enum item_code code, uint32_t uid, uint64_t n, const char *why)
{
    return copy_tell(w->c, &(struct copy_finding){.code = code,
                               .folder = w->record->source.name,
                               .uid = uid,
                               .uidvalidity = uid ? w->listing.uidvalidity : 0,
                               .n = n,
                               .message = uid ? end_changes_find(&w->listing, uid) : NULL,
                               .why = why});
}

void folder_told(struct work *w, enum item_code code, uint32_t uid, const char *why)
{
    w->n_exceptions++;
    if (folder_tell(w, code, uid, 0, why))
        return;
    w->p->counts->messages_failed++;
    w->done.failed++;
}

int folder_excuse(struct work *w, struct err *err)
{
    if (!copy_is_exception(w->c, err))
        return -1;
    w->is_over = true;
    copy_folder_failed(w->c, w->p, ITEM_FOLDER, w->source->name, err->text);
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
int folder_may_ask_since(struct work *w, bool *may_out, struct err *err)
{
    const struct journal_folder *r = w->record;
    struct intent *intents = NULL;
    size_t n = 0;
    *may_out = false;
    if (w->is_awaited || w->p->is_fresh || r->source.uidvalidity == 0 ||
        r->target.uidvalidity != w->target->uidvalidity || folder_has_state(w, PAIR_GONE) ||
        folder_has_state(w, PAIR_LOST) || folder_has_state(w, PAIR_SENT) ||
        folder_has_state(w, PAIR_REFUSED))
        return 0;
    if (journal_intents(w->c->journal, r->id, INTENT_APPEND, &intents, &n, err) != 0)
        return -1;
    intents_free(intents, n);
    *may_out = n == 0;
    return 0;
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

int folder_leave_shown(struct work *w, struct err *err)
{
    struct shown s;
    struct pass *p = w->p;
    int result = shown_begin(&s, w->c, p->from, w->source, p->changed, p->n_changed, err);
    s.learns = p->learns;
    if (result == 0 && !p->learns)
        result = shown_find_news(&s, p->works, w, err);
    if (result == 0)
        result = shown_sift(&s, &w->listing, err);
    if (result == 0 && s.n_unread > 0) {
        w->n_exceptions++;
        if (!folder_tell(w, ITEM_UNREAD, 0, s.n_unread,
                "messages could not be read: whether they are in other folders nobody knows"))
            p->counts->messages_failed += s.n_unread;
    }
    p->opened = NULL;
    shown_end(&s);
    /* Behind a flip what is not copied is to be remembered too, so nothing is left for later. */
    return result == 0 && folder_is_behind_flip(w) ? folder_whole(w, err) : result;
}

/* What has come since the folders were listed, and has no pair: leaves it to the next pass. */
static void leave_from(struct work *w, uint32_t from)
{
    struct end_changes *l = &w->listing;
    struct uid_set before = {0};
    for (uint32_t uid = uid_set_next(&l->uids, 0); uid != 0 && uid < from;)
        uid = (uid_set_add(&before, uid), uid_set_next(&l->uids, uid));
    uid_set_join(&before);
    uid_set_fini(&l->uids);
    l->uids = before;
    l->n_uids = uid_set_size(&before);
    while (l->n > 0 && l->v[l->n - 1].uid >= from)
        l->n--;
}

/* What is moved to Trash while folders are looked at may be seen there, and where it was as well:
 * it would be copied, and then its copy goes there too.  The next pass sees where it has come from.
 */
static int leave_just_moved(struct work *w, struct err *err)
{
    const struct folder *f = w->source;
    const struct end_changes *l = &w->listing;
    uint32_t from = f->uidnext, known, ignored;
    if (w->is_lost || !folder_is_trash(w) || !(f->has & FOLDER_HAS_UIDNEXT) || f->uidvalidity == 0)
        return 0;
    /* Under other numbers nothing tells what has just come. */
    if (f->uidvalidity != l->uidvalidity) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: the folder was replaced meanwhile (UIDVALIDITY)",
            w->c->from->label);
        return err_scope_set(err, ERR_SCOPE_FOLDER);
    }
    if (journal_highest(w->c->journal, w->record->id, &known, &ignored, err) != 0)
        return -1;
    from = from <= known ? known + 1 : from;
    if (uid_set_last(&l->uids) < from && (l->n == 0 || l->v[l->n - 1].uid < from))
        return 0;
    w->n_exceptions++;
    leave_from(w, from);
    return 0;
}

int folder_answered(struct work *w, struct err *err)
{
    bool adopt;
    if (folder_take_answers(w, err) != 0 || (w->is_shown && folder_leave_shown(w, err) != 0) ||
        leave_just_moved(w, err) != 0 || folder_keep_keywords(w, err) != 0 ||
        check_outcomes(w, err) != 0)
        return -1;
    /* Behind a flip: where its messages are now, they are not late. */
    if (w->is_lost && w->record->target.is_restored && folder_find_again(w, err) != 0)
        return -1;
    if (w->is_lost && folder_is_behind_flip(w) && folder_resolve_open(w, false, err) != 0)
        return -1;
    if (w->is_lost)
        return find_contents(w, err) == 0 ? folder_sift(w, err) : -1;
    w->p->counts->keywords_lost += w->listing.flags_lost;
    if (folder_tell_unkept(w, err) != 0)
        return -1;
    bool is_first = w->record->source.uidvalidity == 0;
    if (folder_check_uidvalidity(w, &adopt, err) != 0 || folder_resolve_open(w, adopt, err) != 0)
        return -1;
    /* Where nothing has ever come there is nothing to be seen.  One that was restored as a target
     * has no numbers as a source, and yet has pairs. */
    bool is_seen = w->target_told.is_asked ? w->there.is_sure
                                           : (is_first && w->n_pairs == 0) || adopt ||
                                                 w->is_found_again || w->target->uidnext == 1;
    w->p->is_unseen = w->p->is_unseen || !is_seen;
    if (find_contents(w, err) != 0)
        return -1;
    w->has_sent_pairs = folder_has_state(w, PAIR_SENT);
    w->has_gone_pairs = folder_has_state(w, PAIR_GONE) || folder_has_state(w, PAIR_LOST);
    return folder_sift(w, err) == 0 ? folder_complete(w, err) : -1;
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
        folder_told(w, ITEM_UNREADABLE, there.v[i].uid,
            "source: the server lists the message and gives no body");
    end_changes_fini(&there);
    return result;
}

int folder_copied(struct work *w, struct err *err)
{
    const struct stream_folder *f = w->streamed;
    bool has_unknown_uids = f && f->has_unknown_uids;
    if (f)
        w->next_there = f->tgt_uidnext;
    if (f && f->err.class == ERR_TEMP && f->err.scope == ERR_SCOPE_FOLDER && w->p->n_window > 1) {
        w->comes_again = true;
        return 0;
    }
    if (f && f->err.class != ERR_NONE) {
        *err = f->err;
        return -1;
    }
    if (check_missing(w, err) != 0 || folder_check_stored(w, err) != 0)
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

/* Both tokens together: what one side has told may be done on the other.  The target's is from
 * before our own changes, which come again as changes that nothing follows from. */
int folder_remember(struct work *w, struct err *err)
{
    struct journal_folder *r = w->record;
    if (w->is_lost && r->target.is_restored)
        return folder_found_again(w, err);
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
    free(w->checks);
    uid_set_fini(&w->filtered);
    uid_set_fini(&w->in_doubt);
    end_changes_fini(&w->kept);
}
