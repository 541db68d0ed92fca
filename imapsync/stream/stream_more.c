/* SPDX-License-Identifier: ISC */
/*
 * stream_more: further pairs of ends.  A server may have no room for another connection, or no time
 * for it now: so nobody waits for one, and one that does not come is only told.
 *
 * Before one joins, each side is asked for a folder that the job's own ends know.  A connection may
 * end somewhere else: at a replica that does not have yet what was just made, or, with an
 * authorisation that is ignored, in another mailbox.
 */
#include "imapsync/stream/stream.h"

#include <sysexits.h>

#include "imapsync/stream/stream_parts.h"

static size_t wanted(const struct stream_job *job)
{
    const struct stream_more *more = job->more;
    uint64_t messages = 0;
    /* What may have killed a connection is looked for alone. */
    if (!more || job->suspects->first ||
        !(job->source->ops->can(job->source) & job->target->ops->can(job->target) & END_CAN_SHARE))
        return 0;
    for (size_t i = 0; i < job->n_folders; i++)
        messages += job->folders[i].n_uids;
    uint64_t n = messages / more->messages;
    n = n < job->n_folders ? n : job->n_folders; /* pairs, with the job's own */
    n = n > 0 ? n - 1 : 0;
    n = n < more->n ? n : more->n;
    return n < STREAM_MORE_MAX ? (size_t)n : STREAM_MORE_MAX;
}

static struct end *make(const struct end_maker *m, const struct stream_more *more, struct end *as)
{
    struct end *e = m->make(m, more->limits);
    e->aside = as->aside;
    return e;
}

void stream_more_begin(struct stream_all *all)
{
    struct stream_job *job = all->job;
    for (size_t n = wanted(job); all->n_joiners < n; all->n_joiners++) {
        struct stream_joiner *j = &all->joiners[all->n_joiners];
        j->source = make(job->more->source, job->more, job->source);
        j->target = make(job->more->target, job->more, job->target);
        end_beside(j->source, j->target);
    }
    if (job->more)
        job->more->n_begun = all->n_joiners;
}

static bool is_coming(const struct stream_joiner *j)
{
    return j->source && !j->has_joined;
}

bool stream_more_comes(const struct stream_all *all)
{
    for (size_t i = 0; i < all->n_joiners; i++) {
        if (is_coming(&all->joiners[i]))
            return true;
    }
    return false;
}

static void close_both(struct stream_all *all, struct stream_joiner *j)
{
    struct end *both[] = {j->source, j->target};
    struct end *own[] = {all->job->source, all->job->target};
    for (size_t i = 0; i < 2; i++) {
        own[i]->n_odd += both[i]->n_odd;
        own[i]->n_unread += both[i]->n_unread;
    }
    j->source = j->target = NULL;
    end_close_all(both, 2);
}

static void give_up(struct stream_all *all, struct stream_joiner *j, const struct err *why)
{
    if (all->job->more->err.class == ERR_NONE)
        all->job->more->err = *why;
    end_lose(j->source, why);
    end_lose(j->target, why);
    close_both(all, j);
}

static void ask(struct stream_all *all, struct stream_joiner *j)
{
    const struct stream_folder *f = &all->job->folders[all->next];
    j->is_asked = true;
    j->here = (struct folder){.name = f->record->source.name};
    j->there = (struct folder){.name = f->record->target.name};
    j->source_validity = f->listing->uidvalidity;
    j->target_validity = f->record->target.uidvalidity;
    j->source->ops->status(j->source, &j->here, &j->ticket);
    j->target->ops->status(j->target, &j->there, &j->target_ticket);
}

/* Whether it has answered as it has to; -1: it never will. */
static int is_ready(const struct stream_joiner *j, struct err *err)
{
    const struct end_ticket *tickets[] = {&j->ticket, &j->target_ticket};
    for (size_t i = 0; i < 2; i++) {
        if (tickets[i]->result == END_PENDING)
            return 0;
        if (tickets[i]->result != END_OK) {
            *err = tickets[i]->err;
            return -1;
        }
    }
    if (j->here.uidvalidity == j->source_validity && j->there.uidvalidity == j->target_validity)
        return 1;
    err_set(err, ERR_TEMP, EX_TEMPFAIL, "another connection shows another mailbox, or none yet");
    return -1;
}

void stream_more_join(struct stream_all *all)
{
    for (size_t i = 0; i < all->n_joiners; i++) {
        struct stream_joiner *j = &all->joiners[i];
        struct err why = ERR_INIT;
        if (!is_coming(j) || all->next == all->job->n_folders ||
            !j->source->ops->is_open(j->source) || !j->target->ops->is_open(j->target))
            continue;
        if (!j->is_asked)
            ask(all, j);
        int ready = is_ready(j, &why);
        if (ready < 0)
            give_up(all, j, &why);
        if (ready <= 0)
            continue;
        j->has_joined = true;
        all->job->more->n_joined++;
        all->v[all->n++] = stream_new(all, j->source, j->target);
    }
}

size_t stream_more_ends(const struct stream_all *all, struct end **ends)
{
    size_t n = 0;
    for (size_t i = 0; i < all->n_joiners; i++) {
        if (!is_coming(&all->joiners[i]))
            continue;
        ends[n++] = all->joiners[i].target;
        ends[n++] = all->joiners[i].source;
    }
    return n;
}

bool stream_more_is_gone(struct stream_all *all, const struct end *broken, const struct err *why)
{
    for (size_t i = 0; i < all->n_joiners; i++) {
        struct stream_joiner *j = &all->joiners[i];
        if (!is_coming(j) || (j->source != broken && j->target != broken))
            continue;
        give_up(all, j, why);
        return true;
    }
    return false;
}

void stream_more_end(struct stream_all *all)
{
    for (size_t i = 0; i < all->n_joiners; i++) {
        if (all->joiners[i].source)
            close_both(all, &all->joiners[i]);
    }
}
