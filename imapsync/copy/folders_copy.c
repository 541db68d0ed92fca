/* SPDX-License-Identifier: ISC */
/*
 * folders_copy: the copies of a plan, over all its folders, and what is done with each result.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"
#include "imapsync/stream/stream.h"

static void on_copied(void *arg, uint32_t uid, uint64_t octets)
{
    struct work *w = arg;
    const struct listed *l = end_changes_find(&w->listing, uid);
    const struct copy_message m = {.folder = w->record->source.name,
        .uid = uid,
        .octets = octets,
        .has_date = l && l->has_date,
        .date_s = l ? l->date_s : 0};
    w->p->counts->messages_copied++;
    w->p->counts->octets_copied += octets;
    w->done.copied++;
    w->done.octets += octets;
    if (w->c->events->message)
        w->c->events->message(w->c->arg, &m);
    w->c->events->progress(w->c->arg, w->p->counts);
}

static void on_reduced(void *arg, uint32_t uid, bool lacks_flags, const char *date)
{
    struct work *w = arg;
    bool is_open = false;
    if (lacks_flags)
        is_open |= !folder_tell(w, ITEM_FLAG, uid, 0,
            "stored without keywords: the target refused the message with them");
    if (date)
        is_open |= !folder_tell(w, ITEM_DATE, uid, 0, date);
    w->p->counts->messages_reduced += is_open;
}

static void on_refused(void *arg, uint32_t uid, enum item_code code, const char *why)
{
    folder_told(arg, code, uid, why);
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

static void on_check(void *arg, const struct stream_check *k)
{
    struct work *w = arg;
    if ((w->n_checks & (w->n_checks - 1)) == 0)
        w->checks =
            mem_realloc_array(w->checks, w->n_checks ? 2 * w->n_checks : 1, sizeof(*w->checks));
    w->checks[w->n_checks++] = (struct check){.src_uid = k->uid,
        .tgt_uid = k->tgt_uid,
        .has_odd_date = k->has_odd_date,
        .is_plain = k->is_plain};
}

static void choose_sample(struct works *all)
{
    if (!all->p->has_known && !all->c->is_sampled)
        memset(all->c->unchecked, FOLDER_SAMPLE, sizeof(all->c->unchecked));
    all->c->is_sampled = true;
}

_Static_assert(
    COPY_CONNECTIONS_MAX == 1 + STREAM_MORE_MAX, "the stream has room for as many connections");

/* What was not to be had is not asked for again; and what breaks connections is looked for with
 * one.
 */
static void note_more(struct copy *c, const struct stream_more *more, int result)
{
    if (more->err.class != ERR_NONE) {
        log_warn("fewer_connections", log_str("user", c->source->user),
            log_u64("wanted", 1 + more->n_begun), log_u64("used", 1 + more->n_joined),
            log_err(&more->err));
        c->n_more = more->n_joined;
    } else if (more->n_begun > 0) {
        log_info("connections", log_str("user", c->source->user),
            log_u64("wanted", 1 + more->n_begun), log_u64("used", 1 + more->n_joined));
    }
    if (result != 0 && more->n_joined > 0)
        c->n_more = 0;
}

int folders_copy(struct works *all, struct stream_folder *folders, struct err *err)
{
    struct copy *c = all->c;
    struct stream_more more = {.source = c->source,
        .target = c->target,
        .limits = c->options.limits,
        .n = c->n_more,
        .messages = c->options.connection_messages};
    choose_sample(all);
    struct stream_job job = {.source = c->from,
        .target = c->to,
        .journal = c->journal,
        .suspects = &c->suspects,
        .more = &more,
        .folders = folders,
        .is_newest_first = c->options.is_newest_first,
        .copied = on_copied,
        .reduced = on_reduced,
        .refused = on_refused,
        .missing = on_missing,
        .check = on_check,
        .unchecked = c->unchecked,
        .is_cancelled = is_cancelled,
        .arg = c};
    for (size_t i = 0; i < all->n; i++) {
        struct work *w = &all->v[i];
        if (w->is_over || !w->is_needed)
            continue;
        if (w->target->uidvalidity == 0 && folder_make(w, err) != 0) {
            if (folder_excuse(w, err) != 0)
                return -1;
            continue;
        }
        if (w->n_copies == 0)
            continue;
        job.is_opened = job.is_opened || (job.n_folders == 0 && all->p->opened == w);
        w->streamed = &folders[job.n_folders++];
        *w->streamed = (struct stream_folder){.record = w->record,
            .listing = &w->listing,
            .tgt_uidnext = w->next_there > 0 ? w->next_there : w->target->uidnext,
            .uids = w->copies,
            .n_uids = w->n_copies,
            .arg = w};
    }
    if (pass_ask_kept(all, err) != 0)
        return -1;
    if (job.n_folders == 0)
        return 0;
    int result = stream_copy(&job, err);
    note_more(c, &more, result);
    all->p->opened = NULL;
    return result;
}

int folders_after_copies(struct works *all, struct err *err)
{
    for (size_t i = 0; i < all->n; i++) {
        struct work *w = &all->v[i];
        if (copy_check_cancelled(all->c, err) != 0)
            return -1;
        if (!w->is_over && folder_copied(w, err) != 0 && folder_excuse(w, err) != 0)
            return -1;
    }
    return 0;
}
