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

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
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
static int finish(struct late_job *job, struct window *w, struct err *err)
{
    if (w->n > 0 && bodies_digest(job->source, w->v, w->n, err) != 0)
        return -1;
    journal_begin(job->journal);
    for (size_t i = 0; i < w->n_before; i++)
        put_gone(job, w->before[i], NULL);
    for (size_t i = 0; i < w->n; i++) {
        const struct body *b = &w->v[i];
        if (w->is_unknown[i]) {
            put_gone(job, b->uid, b->is_there ? b : NULL);
            job->n_unknown++;
        } else if (b->is_there && !job->judge->is_late(job->judge->arg, b->digest)) {
            put_gone(job, b->uid, b);
        } else {
            add_late(job, b->uid);
        }
    }
    w->n = w->n_before = 0;
    return journal_commit(job->journal, err);
}

static int one(struct late_job *job, struct window *w, uint32_t uid, struct err *err)
{
    enum late_place place = LATE_UNKNOWN;
    if (job->judge && job->judge->place(job->judge->arg, job->folder->source.name,
                          job->listing->uidvalidity, uid, &place, err) != 0)
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

int late_judge_all(struct late_job *job, struct err *err)
{
    struct window w = {.n = 0};
    size_t p = 0;
    int result = 0;
    for (size_t i = 0; result == 0 && i < job->listing->n; i++) {
        uint32_t uid = job->listing->v[i].uid;
        while (p < job->n_pairs && job->pairs[p].src_uid < uid)
            p++;
        if (p == job->n_pairs || job->pairs[p].src_uid != uid)
            result = one(job, &w, uid, err);
    }
    if (result == 0 && (w.n > 0 || w.n_before > 0))
        result = finish(job, &w, err);
    if (job->n_late > 0)
        mem_sort(job->late, job->n_late, sizeof(*job->late), by_number);
    return result;
}

int late_came(struct late_job *job, struct err *err)
{
    for (size_t i = 0, p = 0; i < job->n_late; i++) {
        struct content c;
        bool found;
        while (p < job->n_pairs && job->pairs[p].src_uid < job->late[i])
            p++;
        if (p == job->n_pairs || job->pairs[p].src_uid != job->late[i] ||
            (job->pairs[p].state != PAIR_STORED && job->pairs[p].state != PAIR_SENT))
            continue;
        if (journal_content(job->journal, job->folder->id, job->late[i], &c, &found, err) != 0)
            return -1;
        if (found && c.has_digest &&
            job->judge->came(job->judge->arg, job->folder->source.name, job->listing->uidvalidity,
                job->late[i], c.digest, err) != 0)
            return -1;
    }
    return 0;
}

void late_fini(struct late_job *job)
{
    free(job->late);
    job->late = NULL;
    job->n_late = 0;
}
