/* SPDX-License-Identifier: ISC */
/*
 * late: reads the messages that have no pair, a window at a time, and asks the journal for their
 * digests.  k equal messages that were known elsewhere make k of this folder known.
 */
#include "imapsync/copy/late.h"

#include <string.h>

#include "imapsync/copy/bodies.h"

#define WINDOW 100

struct seen {
    uint32_t folder;
    size_t here, elsewhere;
};

static void count(void *arg, uint32_t folder, const struct pair *p)
{
    struct seen *s = arg;
    (void)p;
    if (folder == s->folder)
        s->here++;
    else
        s->elsewhere++;
}

/* 1: known, 0: not, -1: error.  Those of this window that were found known are not written yet. */
static int is_known(
    struct late_job *job, const struct body *v, const bool *known, size_t at, struct err *err)
{
    struct seen s = {.folder = job->folder};
    if (!v[at].is_there)
        return 0;
    if (journal_by_digest(job->journal, v[at].digest, count, &s, err) != 0)
        return -1;
    for (size_t i = 0; i < at; i++)
        s.here += known[i] && memcmp(v[i].digest, v[at].digest, SHA256_SIZE) == 0;
    return s.elsewhere > s.here;
}

static int one_window(struct late_job *job, struct body *v, size_t n, struct err *err)
{
    bool known[WINDOW];
    if (bodies_digest(job->source, v, n, err) != 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        int r = is_known(job, v, known, i, err);
        if (r < 0)
            return -1;
        known[i] = r > 0;
    }
    journal_begin(job->journal);
    for (size_t i = 0; i < n; i++) {
        struct pair p = {.src_uid = v[i].uid, .state = PAIR_GONE};
        struct content c = {.has_digest = true};
        memcpy(c.digest, v[i].digest, SHA256_SIZE);
        if (known[i])
            journal_pair_put(job->journal, job->folder, &p, &c);
    }
    return journal_commit(job->journal, err);
}

int late_forget_known(struct late_job *job, struct err *err)
{
    struct body v[WINDOW];
    size_t n = 0, p = 0;
    int result = 0;
    for (size_t i = 0; result == 0 && i < job->listing->n; i++) {
        uint32_t uid = job->listing->v[i].uid;
        while (p < job->n_pairs && job->pairs[p].src_uid < uid)
            p++;
        if (p < job->n_pairs && job->pairs[p].src_uid == uid)
            continue;
        v[n++] = (struct body){.uid = uid};
        if (n == WINDOW) {
            result = one_window(job, v, n, err);
            n = 0;
        }
    }
    return result == 0 && n > 0 ? one_window(job, v, n, err) : result;
}
