/* SPDX-License-Identifier: ISC */
/*
 * folder: the folders of a pass, a window of them at a time: the source is asked about all of them
 * at once, and new messages are copied from one after the other without a stop in between.
 *
 * A listing that is shorter than the server's own count (EXISTS) is no witness of a deletion.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/apply.h"
#include "imapsync/copy/folder_parts.h"
#include "imapsync/copy/stream.h"

/* What follows on the source is about this folder, whichever was opened last. */
int folder_reopen(struct work *w, struct err *err)
{
    struct end_ticket t = {0};
    struct end_changes numbers;
    if (w->p->opened == w)
        return 0;
    end_changes_init(&numbers, &w->keywords);
    w->p->opened = w;
    w->c->from->ops->open(w->c->from,
        &(struct end_open){.folder = w->record->source.name,
            .is_only_opened = true,
            .uidvalidity = w->listing.uidvalidity},
        &numbers, &t);
    int result = end_check(w->c->from, &t, "cannot open the folder", err);
    end_changes_fini(&numbers);
    return result;
}

/* Keywords get their bits when they are first seen; the journal has to know them before a pair that
 * uses them is written. */
static int keep_keywords(struct work *w, struct err *err)
{
    if (w->keywords.n == w->n_keywords_known)
        return 0;
    w->n_keywords_known = w->keywords.n;
    return journal_keywords_put(w->c->journal, w->record->id, &w->keywords, err);
}

/* --- The plan ------------------------------------------------------------------------------ */

static void tell_withheld(struct work *w, bool can_remove)
{
    char text[160];
    BUG_ON(fmt_into(text, sizeof(text), "E-WITHHELD: %zu deletion%s: %s", w->plan.whole.n_withheld,
               w->plan.whole.n_withheld == 1 ? "" : "s",
               can_remove ? "too many at once"
                          : "the target cannot remove single messages (UIDPLUS)") != 0);
    w->p->counts->deletions_withheld += w->plan.whole.n_withheld;
    copy_report(w->c, w->record->source.name, 0, text);
}

static void tell_short(struct work *w)
{
    log_warn("listing_incomplete", log_slice("folder", w->record->source.name),
        log_u64("messages", w->listing.exists), log_u64("listed", w->listing.n));
    w->p->counts->folders_short++;
    copy_report(
        w->c, w->record->source.name, 0, "E-SHORT: the source lists fewer messages than it counts");
}

static void make_plan(struct work *w)
{
    bool is_whole = w->listing.is_sure;
    if (!is_whole)
        tell_short(w);
    struct folder_plan_input in = {.policy = w->p->policy,
        .listing = &w->listing,
        .pairs = w->pairs,
        .n_pairs = w->n_pairs,
        .is_sure = is_whole,
        .may_delete = w->c->options.delete_percent > 0,
        .can_remove = w->c->to->ops->can(w->c->to) & END_CAN_REMOVE,
        .deletions_max = w->p->deletions_left};
    folder_plan_make(&in, &w->plan);
    w->p->deletions_left -= w->plan.whole.n_of[PLAN_REMOVE];
    w->p->counts->messages_same += w->plan.whole.n_same;
    if (w->plan.whole.n_withheld > 0)
        tell_withheld(w, in.can_remove);
    /* The pairs have done their part; a large folder needs the room. */
    free(w->pairs);
    w->pairs = NULL;
    w->n_pairs = 0;
}

/* --- Copying ------------------------------------------------------------------------------ */

static void on_copied(void *arg, uint64_t octets)
{
    struct work *w = arg;
    w->p->counts->messages_copied++;
    w->p->counts->octets_copied += octets;
    w->c->events->progress(w->c->arg, w->p->counts);
}

static void on_reduced(void *arg, uint32_t uid, const char *why)
{
    struct work *w = arg;
    w->p->counts->messages_reduced++;
    copy_report(w->c, w->record->source.name, uid, why);
}

static void on_refused(void *arg, uint32_t uid, const char *why)
{
    struct work *w = arg;
    w->p->counts->messages_failed++;
    w->n_exceptions++;
    copy_report(w->c, w->record->source.name, uid, why);
}

static bool is_cancelled(void *arg)
{
    return copy_is_cancelled(arg);
}

static void on_missing(void *arg, uint32_t uid)
{
    struct work *w = arg;
    w->missing = mem_realloc_array(w->missing, w->n_missing + 1, sizeof(*w->missing));
    w->missing[w->n_missing++] = uid;
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
        on_refused(w, there.v[i].uid, "source: the server lists the message and gives no body");
    end_changes_fini(&there);
    return result;
}

static int make_folder(struct work *w, struct err *err)
{
    if (copy_folder_on_target(w->c, w->p, w->source, w->record, w->target, err) != 0)
        return -1;
    w->record->target.uidvalidity = w->target->uidvalidity;
    return journal_folder_put(w->c->journal, w->record, err);
}

/* Only when all that has changed was done.  Not with pairs that are gone: a later mirror has to
 * look at them. */
static int remember(struct work *w, struct err *err)
{
    struct journal_folder *r = w->record;
    struct slice token = buf_slice(&w->listing.token);
    if (w->n_exceptions > 0 || w->has_gone_pairs || !w->listing.is_sure ||
        w->plan.whole.n_withheld > 0 || slice_eq(token, r->source.token))
        return 0;
    journal_set(&r->source.token, token);
    return journal_folder_put(w->c->journal, r, err);
}

/* Whether the changes since the last pass are all that has to be looked at: then each message of
 * the journal is on both sides, and no outcome is open. */
static int may_ask_since(struct work *w, bool *may_out, struct err *err)
{
    const struct journal_folder *r = w->record;
    struct intent *intents = NULL;
    size_t n = 0;
    *may_out = false;
    if (r->source.token.n == 0 || r->source.uidvalidity == 0 ||
        r->target.uidvalidity != w->target->uidvalidity || folder_has_state(w, PAIR_GONE) ||
        folder_has_state(w, PAIR_SENT) || folder_has_state(w, PAIR_REFUSED))
        return 0;
    if (journal_intents(w->c->journal, r->id, INTENT_APPEND, &intents, &n, err) != 0)
        return -1;
    intents_free(intents, n);
    *may_out = n == 0;
    return 0;
}

/* A UIDVALIDITY that differs from the one that we know, or that the status has told, is looked at
 * twice by the end. */
static int ask(struct work *w, struct err *err)
{
    const struct journal_folder *r = w->record;
    uint32_t *known = mem_realloc_array(NULL, w->n_pairs + 1, sizeof(*known));
    bool may_ask_since_token;
    if (may_ask_since(w, &may_ask_since_token, err) != 0) {
        free(known);
        return -1;
    }
    for (size_t i = 0; i < w->n_pairs; i++)
        known[i] = w->pairs[i].src_uid;
    w->c->from->ops->open(w->c->from,
        &(struct end_open){.folder = r->source.name,
            .uidvalidity = r->source.uidvalidity ? r->source.uidvalidity : w->source->uidvalidity,
            .token = may_ask_since_token ? r->source.token : SLICE_NONE,
            .known = known,
            .n_known = w->n_pairs,
            .want = END_WANT_FLAGS | END_WANT_DATES},
        &w->listing, &w->asked);
    w->p->opened = w;
    free(known);
    return 0;
}

/* --- Folders of a window ------------------------------------------------------------------- */

static int begin(struct work *w, struct err *err)
{
    end_changes_init(&w->listing, &w->keywords);
    if (journal_keywords_get(w->c->journal, w->record->id, &w->keywords, err) != 0)
        return -1;
    w->n_keywords_known = w->keywords.n;
    return folder_load_pairs(w, err) == 0 ? ask(w, err) : -1;
}

/* The source has answered: what is to be done. */
static int decide(struct work *w, struct err *err)
{
    bool adopt;
    if (end_check(w->c->from, &w->asked, "cannot open the folder", err) != 0 ||
        keep_keywords(w, err) != 0)
        return -1;
    w->p->counts->keywords_lost += w->listing.flags_lost;
    if (apply_is_open(&w->p->open, w->record->id)) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL,
            "target: what an earlier pass has changed cannot be looked at");
        return err_scope_set(err, ERR_SCOPE_FOLDER);
    }
    if (folder_check_uidvalidity(w, &adopt, err) != 0 || folder_resolve_open(w, adopt, err) != 0 ||
        (folder_is_behind_flip(w) && folder_judge_late(w, err) != 0))
        return -1;
    w->has_gone_pairs = folder_has_state(w, PAIR_GONE);
    w->has_sent_pairs = folder_has_state(w, PAIR_SENT);
    make_plan(w);
    if (w->plan.n_copies > 0 && w->target->uidvalidity == 0 && make_folder(w, err) != 0)
        return -1;
    return 0;
}

/* Its new messages were copied. */
static int check_copied(struct work *w, const struct stream_folder *f, struct err *err)
{
    bool has_unknown_uids = f && f->has_unknown_uids;
    if (f && f->err.class == ERR_TEMP && f->err.scope == ERR_SCOPE_FOLDER && w->p->n_window > 1) {
        w->comes_again = true;
        return 0;
    }
    if (f && f->err.class != ERR_NONE) {
        *err = f->err;
        return -1;
    }
    if (check_missing(w, err) != 0 || copy_check_cancelled(w->c, err) != 0)
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

/* An error of one folder costs that folder. */
static int excuse(struct work *w, struct err *err)
{
    if (!copy_is_exception(w->c, err))
        return -1;
    w->is_over = true;
    w->p->counts->folders_failed++;
    copy_report(w->c, w->source->name, 0, err->text);
    err_clear(err);
    return 0;
}

static int stream_all(struct copy *c, struct pass *p, struct work *v, size_t n,
    struct stream_folder *folders, struct err *err)
{
    struct stream_job job = {.source = c->from,
        .target = c->to,
        .journal = c->journal,
        .suspects = &c->suspects,
        .folders = folders,
        .copied = on_copied,
        .reduced = on_reduced,
        .refused = on_refused,
        .missing = on_missing,
        .is_cancelled = is_cancelled,
        .arg = c};
    for (size_t i = 0; i < n; i++) {
        struct work *w = &v[i];
        if (w->is_over || w->plan.n_copies == 0)
            continue;
        job.is_opened = job.is_opened || (job.n_folders == 0 && p->opened == w);
        folders[job.n_folders++] = (struct stream_folder){.record = w->record,
            .listing = &w->listing,
            .tgt_uidnext = w->target->uidnext,
            .uids = w->plan.copies,
            .n_uids = w->plan.n_copies,
            .arg = w};
    }
    if (job.n_folders == 0)
        return 0;
    int result = stream_copy(&job, err);
    p->opened = NULL;
    return result;
}

static const struct stream_folder *streamed(
    const struct stream_folder *folders, size_t n, const struct work *w)
{
    for (size_t i = 0; i < n; i++) {
        if (folders[i].arg == w)
            return &folders[i];
    }
    return NULL;
}

static void on_exception(void *arg, uint32_t folder, uint32_t uid, const char *why)
{
    struct work *w = (struct work *)arg + folder;
    w->is_over = true;
    w->p->counts->folders_failed++;
    copy_report(w->c, w->source->name, uid, why);
}

static int apply(struct copy *c, struct pass *p, struct work *v, size_t n, struct err *err)
{
    struct folder_plan **plans = mem_zalloc((n + 1) * sizeof(struct folder_plan *));
    struct apply_folder *folders = mem_zalloc((n + 1) * sizeof(*folders));
    struct plan plan;
    for (size_t i = 0; i < n; i++) {
        plans[i] = v[i].is_over || v[i].comes_again ? NULL : &v[i].plan;
        folders[i] = (struct apply_folder){.record = v[i].record, .keywords = &v[i].keywords};
    }
    folder_plan_join(plans, n, &plan);
    struct apply_job job = {.target = c->to,
        .journal = c->journal,
        .plan = &plan,
        .folders = folders,
        .n_folders = n,
        .exception = on_exception,
        .arg = v};
    int result = apply_plan(&job, err);
    for (size_t i = 0; i < n; i++)
        v[i].n_exceptions += folders[i].is_left;
    p->counts->flags_changed += job.n_flagged;
    p->counts->messages_deleted += job.n_deleted;
    p->counts->messages_kept += job.n_kept;
    plan_fini(&plan);
    free(folders);
    free(plans);
    return result;
}

static int window(struct copy *c, struct pass *p, struct work *v, size_t n,
    struct stream_folder *folders, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        if (begin(&v[i], err) != 0)
            return -1;
    }
    for (size_t i = 0; i < n; i++) {
        if (decide(&v[i], err) != 0 && excuse(&v[i], err) != 0)
            return -1;
    }
    if (stream_all(c, p, v, n, folders, err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (!v[i].is_over && check_copied(&v[i], streamed(folders, n, &v[i]), err) != 0 &&
            excuse(&v[i], err) != 0)
            return -1;
        c->events->progress(c->arg, p->counts);
    }
    if (apply(c, p, v, n, err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (!v[i].is_over && !v[i].comes_again && remember(&v[i], err) != 0)
            return -1;
    }
    return 0;
}

/* What the first look has stored there is among it now. */
static int look_again(struct copy *c, struct pass *p, struct copy_job *job, struct err *err)
{
    struct end_ticket t = {0};
    if (job->target.uidvalidity != 0) {
        c->to->ops->status(c->to, &job->target, &t);
        if (end_wait(c->to, &t, err) != 0)
            return -1;
    }
    if (t.result != END_NO)
        return copy_folders(c, p, job, 1, err);
    p->counts->folders_failed++;
    copy_report(c, job->source->name, 0, t.err.text);
    return 0;
}

int copy_folders(struct copy *c, struct pass *p, struct copy_job *jobs, size_t n, struct err *err)
{
    struct work *v = mem_zalloc((n + 1) * sizeof(*v));
    struct stream_folder *folders = mem_zalloc((n + 1) * sizeof(*folders));
    for (size_t i = 0; i < n; i++)
        v[i] = (struct work){.c = c,
            .p = p,
            .source = jobs[i].source,
            .record = &jobs[i].record,
            .target = &jobs[i].target};
    p->opened = NULL;
    p->n_window = n;
    int result = window(c, p, v, n, folders, err);
    /* What is still on its way is answered into what is freed next. */
    if (result != 0 && !(c->from->ops->is_idle(c->from) && c->to->ops->is_idle(c->to))) {
        end_lose(c->from, err);
        end_lose(c->to, err);
    }
    for (size_t i = 0; i < n; i++) {
        struct err why = ERR_INIT;
        if (folder_tell_came(&v[i], &why) != 0 && result == 0) {
            *err = why;
            result = -1;
        }
        late_fini(&v[i].late);
        folder_plan_fini(&v[i].plan);
        end_changes_fini(&v[i].listing);
        keywords_fini(&v[i].keywords);
        free(v[i].pairs);
        free(v[i].missing);
    }
    /* Alone it is not opened twice. */
    for (size_t i = 0; result == 0 && i < n; i++) {
        if (v[i].comes_again)
            result = look_again(c, p, &jobs[i], err);
    }
    free(v);
    free(folders);
    return result;
}
