/* SPDX-License-Identifier: ISC */
/*
 * stream: what batches.h says is to be done, done by one pair of ends and the journal.
 *
 * Several reads are on their way, so the source never waits for us, and their bodies go into
 * appends as they come (stream_ends.c).
 *
 * A source that dies inside a body ends the job with the target in the middle of a message: the
 * target is lost with it and drops what it has, which is why nothing is padded.
 *
 * What the target has answered by anything but OK is looked for there before more is concluded from
 * it: by UIDs from the target's UIDNEXT of before, and by content.
 */
#include "imapsync/stream/stream.h"

#include <stdlib.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/stream/stream_parts.h"

/* Of folders with a message or two there are many, and each costs the round trips of its read and
 * of its append: as many as a window of folders has are on their way at once. */
#define READS_MAX 128
#define APPENDS_MAX 128
#define READ_FEW 1000 /* messages of one read, unless they are small */
#define APPEND_OCTETS (4u << 20)
#define SENT_MAX 5000      /* messages of appends that are not answered */
#define SINGLE_READ_MAX 16 /* messages of one read where each is an append of its own */
#define SINGLES_MAX 40     /* appends of one message on their way */

/* --- Settling -------------------------------------------------------------------------------- */

/* -1: an end is lost, or the journal. */
static int settle(struct stream *s, const struct batches_todo *todo, struct err *err)
{
    struct err why = ERR_INIT;
    uint32_t *uids = mem_realloc_array(NULL, todo->n, sizeof(*uids));
    /* What the source sends now would want an append, and the target is busy. */
    s->is_settling = true;
    s->source->ops->pause(s->source, true);
    int result = settle_sent(&s->settle, stream_folder_of(s, todo->folder)->record, todo->since,
        todo->sent, todo->n, uids, &why);
    s->is_settling = false;
    bool is_lost = s->target->ops->is_broken(s->target) || s->source->ops->is_broken(s->source);
    bool is_over = result != 0 && (is_lost || why.scope == ERR_SCOPE_USER);
    if (is_over)
        *err = why;
    else
        batches_settled(s->batches, result == 0 ? uids : NULL, result == 0 ? NULL : &why);
    free(uids);
    return is_over ? -1 : 0;
}

/* --- Its turns ---------------------------------------------------------------------------- */

/* The folder's suspects go first, and only once. */
static void feed_first(struct stream *s, const struct stream_folder *f)
{
    batches_folder(s->batches, (uint32_t)s->fed, f->tgt_uidnext);
    free(s->suspects);
    suspects_give(s->job->suspects, f->record->id, s->batches, (uint32_t)s->fed, f->uids, f->n_uids,
        &s->suspects, &s->n_suspects);
    s->n_open += s->n_suspects;
}

static void feed(struct stream *s)
{
    while (!s->is_fed && batches_wants(s->batches)) {
        if (s->fed == s->n_mine && !stream_take_folder(s, &s->is_fed)) {
            if (s->is_fed)
                batches_close(s->batches);
            return;
        }
        const struct stream_folder *f = stream_folder_of(s, (uint32_t)s->fed);
        if (s->fed_uids == 0)
            feed_first(s, f);
        if (s->fed_uids == f->n_uids) {
            s->fed++;
            s->fed_uids = 0;
            continue;
        }
        size_t at = s->fed_uids++;
        uint32_t uid = f->uids[s->job->is_newest_first ? f->n_uids - 1 - at : at];
        const struct listed *m = end_changes_find(f->listing, uid);
        if (uids_have(s->suspects, s->n_suspects, uid))
            continue;
        s->n_open++;
        batches_add(s->batches,
            &(struct batches_message){
                .folder = (uint32_t)s->fed, .uid = uid, .has_extras = m && stream_has_extras(m)});
    }
}

static int step(struct stream *s, struct err *err)
{
    struct batches_todo todo;
    feed(s);
    batches_next(s->batches, &todo);
    switch (todo.what) {
    case BATCHES_RESULT:
        stream_put_result(s, &todo.result);
        s->n_open--;
        return 0;
    case BATCHES_FORGET:
        stream_drop_intent(s, &todo);
        return 0;
    case BATCHES_NOTE:
        stream_put_sent(s, &todo);
        return 0;
    case BATCHES_INTEND:
        stream_put_intent(s, &todo);
        return 0;
    case BATCHES_READ:
        if (stream_written(s, err) != 0)
            return -1;
        stream_read(s, &todo);
        return 0;
    case BATCHES_SETTLE:
        return stream_written(s, err) == 0 ? settle(s, &todo, err) : -1;
    case BATCHES_WAIT:
        if (!s->is_cancelled && s->job->is_cancelled(s->job->arg)) {
            s->is_cancelled = true;
            batches_cancel(s->batches);
            return 0;
        }
        s->waits = true;
        return stream_written(s, err);
    case BATCHES_OVER:
        s->is_over = true;
        if (todo.err)
            s->err = *todo.err;
        return stream_written(s, err);
    }
    return 0;
}

int stream_go(struct stream *s, struct err *err)
{
    int result = 0;
    s->waits = false;
    while (result == 0 && !s->waits && !s->is_over)
        result = step(s, err);
    /* The target is asked for room by what the source sends next. */
    s->source->ops->pause(s->source,
        !s->is_over &&
            (batches_is_full(s->batches) || s->target->ops->unsent(s->target) > STREAM_UNSENT_MAX));
    return result;
}

void stream_lose(struct stream *s, bool is_to_blame, const struct err *why)
{
    struct err ignored = ERR_INIT;
    bool has_lost = s->is_lost;
    end_lose(s->source, why);
    end_lose(s->target, why);
    /* Results that have come are worth keeping, whatever has broken. */
    if (s->is_over || stream_written(s, &ignored) != 0)
        return;
    batches_lost(s->batches, is_to_blame && has_lost ? s->lost : BATCHES_NEITHER, why);
    while (!s->is_over && step(s, &ignored) == 0)
        continue;
}

/* --- Its life ------------------------------------------------------------------------------- */

struct stream *stream_new(struct stream_all *all, struct end *source, struct end *target)
{
    bool is_batch = target->ops->can(target) & END_CAN_BATCH;
    const struct batches_limits limits = {
        .read_max = is_batch ? BATCHES_WINDOW_MAX : SINGLE_READ_MAX,
        .read_few = is_batch ? READ_FEW : 0,
        .read_octets = APPEND_OCTETS,
        .reads_max = is_batch ? READS_MAX : 2,
        .append_max = is_batch ? BATCHES_WINDOW_MAX : 1,
        .append_octets = APPEND_OCTETS,
        .appends_max = is_batch ? APPENDS_MAX : SINGLES_MAX,
        .sent_max = is_batch ? SENT_MAX : SINGLES_MAX,
        .size_max = target->ops->size_max(target)};
    struct stream *s = mem_zalloc(sizeof(*s));
    *s = (struct stream){.job = all->job,
        .all = all,
        .source = source,
        .target = target,
        .batches = batches_new(&limits),
        .sha = sha256_new(),
        .canon = canon_new(),
        .settle = {.target = target, .journal = all->job->journal}};
    batches_give_credit(s->batches, all->job->suspects->credit);
    return s;
}

static void keep_suspects(struct stream *s)
{
    uint32_t *ids = mem_realloc_array(NULL, s->n_mine + 1, sizeof(*ids));
    for (size_t i = 0; i < s->n_mine; i++)
        ids[i] = stream_folder_of(s, (uint32_t)i)->record->id;
    suspects_keep(s->job->suspects, ids, s->batches);
    free(ids);
}

void stream_discard(struct stream *s)
{
    s->source->ops->pause(s->source, false);
    for (size_t i = 0; i < s->fed + (s->fed_uids > 0); i++) {
        struct stream_folder *f = stream_folder_of(s, (uint32_t)i);
        const struct err *refused = batches_folder_err(s->batches, (uint32_t)i);
        if (refused)
            f->err = *refused;
        f->tgt_uidnext = batches_since(s->batches, (uint32_t)i);
    }
    while (s->appends)
        stream_forget_append(s->appends);
    while (s->windows)
        stream_forget_window(s, s->windows);
    keep_suspects(s);
    settle_fini(&s->settle);
    free(s->suspects);
    free(s->mine);
    batches_free(&s->batches);
    sha256_free(&s->sha);
    canon_free(&s->canon);
    free(s);
}
