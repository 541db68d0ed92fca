/* SPDX-License-Identifier: ISC */
/*
 * late: places are judged one after the other; where the content has to tell, messages are read a
 * window at a time.  Each window is one transaction, so that a crash repeats no more than that: a
 * message that has become GONE is not judged again.
 */
#include "imapsync/copy/late.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/copy/bodies.h"

#define WINDOW 100

struct window {
    struct body v[WINDOW]; /* to be read */
    bool is_unknown[WINDOW];
    size_t n;
    uint32_t before[WINDOW];
    size_t n_before;
};

static void add_late(struct late_job *job, uint32_t uid)
{
    /* Grown in powers of two. */
    if ((job->n_late & (job->n_late - 1)) == 0)
        job->late =
            mem_realloc_array(job->late, job->n_late ? 2 * job->n_late : 1, sizeof(*job->late));
    job->late[job->n_late++] = uid;
}

static void put_gone(struct late_job *job, uint32_t uid, const struct body *read)
{
    struct pair gone = {.src_uid = uid, .state = PAIR_GONE};
    struct content c = {.has_digest = read != NULL};
    if (read)
        memcpy(c.digest, read->digest, SHA256_SIZE);
    journal_pair_put(job->journal, job->folder->id, &gone, read ? &c : NULL);
}

/* A message that cannot be read is neither late nor not: the copy will say what is wrong. */
static int judge_one(struct late_job *job, const struct body *b, bool is_unknown, struct err *err)
{
    bool is_late = true;
    if (!is_unknown && b->is_there &&
        job->judge->is_late(job->judge->arg, b->digest, &is_late, err) != 0)
        return -1;
    if (is_unknown)
        put_gone(job, b->uid, b->is_there ? b : NULL);
    else if (is_late)
        add_late(job, b->uid);
    else
        put_gone(job, b->uid, b);
    return 0;
}

static int finish(struct late_job *job, struct window *w, struct err *err)
{
    if (w->n > 0 && bodies_digest(job->source, w->v, w->n, err) != 0)
        return -1;
    int result = 0;
    journal_begin(job->journal);
    for (size_t i = 0; i < w->n_before; i++)
        put_gone(job, w->before[i], NULL);
    for (size_t i = 0; result == 0 && i < w->n; i++)
        result = judge_one(job, &w->v[i], w->is_unknown[i], err);
    w->n = w->n_before = 0;
    struct err first = *err;
    if (journal_commit(job->journal, err) != 0 && result == 0)
        return -1;
    if (result != 0)
        *err = first;
    return result;
}

static int place_of(const struct late_job *job, uint32_t uid, enum late_place *out, struct err *err)
{
    *out = LATE_UNKNOWN;
    return job->judge ? job->judge->place(job->judge->arg, job->folder->source.name,
                            job->listing->uidvalidity, uid, out, err)
                      : 0;
}

static int one(struct late_job *job, struct window *w, uint32_t uid, struct err *err)
{
    enum late_place place;
    if (place_of(job, uid, &place, err) != 0)
        return -1;
    if (place == LATE_OWED) {
        add_late(job, uid);
    } else if (place == LATE_BEFORE) {
        w->before[w->n_before++] = uid;
    } else {
        w->is_unknown[w->n] = place == LATE_UNKNOWN;
        w->v[w->n++] = (struct body){.uid = uid};
    }
    return w->n == WINDOW || w->n_before == WINDOW ? finish(job, w, err) : 0;
}

/* Each message without a pair. */
static int each(struct late_job *job,
    int (*f)(struct late_job *job, void *arg, uint32_t uid, struct err *err), void *arg,
    struct err *err)
{
    size_t p = 0;
    for (size_t i = 0; i < job->listing->n; i++) {
        uint32_t uid = job->listing->v[i].uid;
        while (p < job->n_pairs && job->pairs[p].src_uid < uid)
            p++;
        if ((p == job->n_pairs || job->pairs[p].src_uid != uid) && f(job, arg, uid, err) != 0)
            return -1;
    }
    return 0;
}

static int count_unknown(struct late_job *job, void *arg, uint32_t uid, struct err *err)
{
    size_t *n = arg;
    enum late_place place;
    if (place_of(job, uid, &place, err) != 0)
        return -1;
    *n += place == LATE_UNKNOWN;
    return 0;
}

static int into_window(struct late_job *job, void *arg, uint32_t uid, struct err *err)
{
    return one(job, arg, uid, err);
}

int late_look(const struct late_judge *judge, const struct journal_folder *folder,
    uint32_t uidvalidity, const struct end_changes *listing, struct err *err)
{
    uint32_t highest = listing->n > 0 ? listing->v[listing->n - 1].uid : 0;
    return judge
               ? judge->look(judge->arg, folder->id, folder->source.name, uidvalidity, highest, err)
               : 0;
}

int late_judge_all(struct late_job *job, struct err *err)
{
    struct window w = {.n = 0};
    size_t n_unknown = 0;
    int result = each(job, count_unknown, &n_unknown, err);
    if (result == 0 && n_unknown > 0)
        job->unknown(job->arg, n_unknown);
    if (result == 0)
        result = each(job, into_window, &w, err);
    if (result == 0 && (w.n > 0 || w.n_before > 0))
        result = finish(job, &w, err);
    job->n_late = uids_sort(job->late, job->n_late);
    return result;
}

void late_fini(struct late_job *job)
{
    free(job->late);
    job->late = NULL;
    job->n_late = 0;
}
