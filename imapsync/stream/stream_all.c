/* SPDX-License-Identifier: ISC */
/*
 * stream_all: a job: its folders go to the pairs of ends, and these on beside each other.
 *
 * Each pair is taken as far as it can go before the next one's turn, and what it has told is in the
 * journal then: no transaction has anything of two of them.  The first one that is lost, or is told
 * that nothing more can be done, ends the job for all: in the one case all connections are closed,
 * in the other what is on its way is answered first.
 */
#include "imapsync/stream/stream.h"

#include "base/core/mem.h"
#include "imapsync/stream/stream_parts.h"

bool stream_take_folder(struct stream *s, bool *is_last_out)
{
    struct stream_all *all = s->all;
    bool has_others = all->n > 1 || stream_more_comes(all);
    *is_last_out = all->next == all->job->n_folders;
    /* Who has enough to do leaves the next one to the others. */
    if (*is_last_out || (has_others && s->n_open >= all->job->more->messages))
        return false;
    if ((s->n_mine & (s->n_mine - 1)) == 0)
        s->mine = mem_realloc_array(s->mine, s->n_mine > 0 ? 2 * s->n_mine : 1, sizeof(*s->mine));
    s->mine[s->n_mine++] = (uint32_t)all->next++;
    return true;
}

/* Nothing else is begun. */
static void end_early(struct stream_all *all)
{
    all->next = all->job->n_folders;
    for (size_t i = 0; i < all->n; i++) {
        if (!all->v[i]->is_over)
            batches_cancel(all->v[i]->batches);
    }
}

/* Until all of them wait, or are over.  -1: *failed_out is lost. */
static int go(struct stream_all *all, struct stream **failed_out, struct err *err)
{
    for (size_t i = 0; i < all->n; i++) {
        struct stream *s = all->v[i];
        if (s->is_over)
            continue;
        if (stream_go(s, err) != 0) {
            *failed_out = s;
            return -1;
        }
        if (s->err.class == ERR_NONE || err->class != ERR_NONE)
            continue;
        *err = s->err;
        end_early(all);
        i = SIZE_MAX; /* the others have news */
    }
    return 0;
}

static bool is_over(const struct stream_all *all)
{
    for (size_t i = 0; i < all->n; i++) {
        if (!all->v[i]->is_over)
            return false;
    }
    return true;
}

/* A further pair that has nothing to do any more is kept open as long as it is there. */
static bool is_needed(const struct stream_all *all, size_t i)
{
    const struct stream *s = all->v[i];
    return i == 0 || !s->is_over;
}

static bool is_whole(const struct stream *s)
{
    return !s->source->ops->is_broken(s->source) && !s->target->ops->is_broken(s->target);
}

/* -1: all are lost, *failed_out (NULL: none of them) by itself. */
static int pump(struct stream_all *all, struct stream **failed_out, struct err *err)
{
    /* The targets first: what the source has just sent goes on when it has been judged. */
    struct end *ends[END_PUMP_MAX], *broken;
    struct err why = ERR_INIT;
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++) {
        if (!is_needed(all, i) && !is_whole(all->v[i]))
            continue;
        ends[n++] = all->v[i]->target;
        ends[n++] = all->v[i]->source;
    }
    n += stream_more_ends(all, ends + n);
    if (end_pump_apart(ends, n, &broken, &why) == 0 ||
        (broken && stream_more_is_gone(all, broken, &why)))
        return 0;
    for (size_t i = 0; broken && i < all->n; i++) {
        struct stream *s = all->v[i];
        if (s->source != broken && s->target != broken)
            continue;
        if (!is_needed(all, i))
            return 0;
        *failed_out = s;
        end_lose(s->target, &why);
        end_lose(s->source, &why);
    }
    *err = why;
    return -1;
}

static int run(struct stream_all *all, struct err *err)
{
    struct stream *failed = NULL;
    /* why: what it ends early for. */
    struct err why = ERR_INIT;
    int result = 0;
    do {
        stream_more_join(all);
        result = go(all, &failed, &why);
    } while (result == 0 && !is_over(all) && (result = pump(all, &failed, &why)) == 0);
    if (why.class != ERR_NONE)
        *err = why;
    if (result == 0)
        return why.class == ERR_NONE ? 0 : -1;
    for (size_t i = 0; i < all->n; i++) {
        /* Our own limits are nobody's fault. */
        stream_lose(all->v[i], all->v[i] == failed && why.scope == ERR_SCOPE_HOST, &why);
    }
    return -1;
}

int stream_copy(struct stream_job *job, struct err *err)
{
    struct stream_all all = {.job = job};
    size_t credit = 0;
    all.v[all.n++] = stream_new(&all, job->source, job->target);
    all.v[0]->opened = job->is_opened ? &job->folders[0] : NULL;
    stream_more_begin(&all);
    int result = run(&all, err);
    /* Nothing is set aside while there are several: each has its own, and one of them tells. */
    for (size_t i = 0; i < all.n; i++) {
        stream_discard(all.v[i]);
        credit = job->suspects->credit > credit ? job->suspects->credit : credit;
    }
    job->suspects->credit = credit;
    stream_more_end(&all);
    return result;
}
