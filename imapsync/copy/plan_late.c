/* SPDX-License-Identifier: ISC */
/*
 * plan_late: behind a flip the target is its user's, and what he has deleted or moved there is not
 * to come back because it stands on the source under another number.  So a message without a pair
 * is only late
 *
 *   - above the mark of its folder, or in a folder that has none (it is new, or numbered anew), and
 *   - when the source now has its content more often than it ever had.
 *
 * Below the mark everything was listed, and is known: either it was copied, or it is owed.  Where
 * of n equal ones fewer are late, it is those that stand last, above a mark before all others.
 */
#include "imapsync/copy/plan_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/os/hmac.h"
#include "base/mail/uids.h"

struct candidate {
    const unsigned char *digest;
    bool has_mark;
    size_t at;
};

static int by_digest(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int r = memcmp(x->digest, y->digest, SHA256_SIZE);
    if (r == 0 && x->has_mark != y->has_mark)
        r = x->has_mark ? 1 : -1;
    return r != 0 ? r : x->at < y->at ? -1 : x->at > y->at;
}

static void not_late(struct plan_draft *d, struct plan_fresh *f, enum plan_witness witness)
{
    plan_add(d, PLAN_GONE, witness, f->folder)->src_uid = f->uid;
    f->is_judged = true;
}

/* false: its content has to tell. */
static bool judge_by_mark(struct plan_draft *d, struct plan_fresh *f)
{
    const struct plan_folder *folder = &d->in->folders[f->folder];
    if (f->uid <= folder->mark) {
        if (uids_have(folder->owed, folder->n_owed, f->uid))
            plan_copy(d, f, PLAN_W_OWED);
        else
            not_late(d, f, PLAN_W_BELOW_MARK);
        return true;
    }
    if (d->policy->late == PLAN_LATE_MARK)
        plan_copy(d, f, PLAN_W_LATE);
    else if (!d->in->seen)
        not_late(d, f, PLAN_W_UNKNOWN);
    else
        return false;
    return true;
}

/* How many of the journal's messages with this content the source has lost meanwhile. */
static size_t lost_of(const struct candidate *lost, size_t n_lost, const unsigned char *digest)
{
    size_t first = 0, end = n_lost, n = 0;
    while (first < end) {
        size_t mid = first + (end - first) / 2;
        if (memcmp(lost[mid].digest, digest, SHA256_SIZE) < 0)
            first = mid + 1;
        else
            end = mid;
    }
    while (first + n < n_lost && memcmp(lost[first + n].digest, digest, SHA256_SIZE) == 0)
        n++;
    return n;
}

static void judge_group(struct plan_draft *d, const struct candidate *v, size_t n, size_t n_lost)
{
    size_t there = 0, ever = 0;
    d->in->seen(d->in->arg, v->digest, &there, &ever);
    size_t now = (there > n_lost ? there - n_lost : 0) + n;
    size_t late = now > ever ? now - ever : 0;
    if (late > n)
        late = n;
    for (size_t i = 0; i < n; i++) {
        struct plan_fresh *f = &d->source.fresh[v[i].at];
        if (i < n - late)
            not_late(d, f, PLAN_W_SEEN);
        else
            plan_copy(d, f, PLAN_W_LATE);
    }
}

static void judge_by_content(struct plan_draft *d, struct candidate *v, size_t n)
{
    const struct plan_match *m = &d->source;
    struct candidate *lost = mem_realloc_array(NULL, m->n_lost + 1, sizeof(*lost));
    size_t n_lost = 0;
    for (size_t i = 0; i < m->n_lost; i++) {
        if (m->lost[i].pair.digest && m->lost[i].pair.src_uid != 0)
            lost[n_lost++] = (struct candidate){.digest = m->lost[i].pair.digest, .at = i};
    }
    mem_sort(lost, n_lost, sizeof(*lost), by_digest);
    mem_sort(v, n, sizeof(*v), by_digest);
    for (size_t i = 0; i < n;) {
        size_t k = 1;
        while (i + k < n && memcmp(v[i].digest, v[i + k].digest, SHA256_SIZE) == 0)
            k++;
        judge_group(d, &v[i], k, lost_of(lost, n_lost, v[i].digest));
        i += k;
    }
    free(lost);
}

void plan_late(struct plan_draft *d)
{
    struct candidate *v;
    size_t n = 0;
    if (d->policy->late == PLAN_LATE_ALL)
        return;
    v = mem_realloc_array(NULL, d->source.n_fresh + 1, sizeof(*v));
    for (size_t i = 0; i < d->source.n_fresh; i++) {
        struct plan_fresh *f = &d->source.fresh[i];
        if (f->is_taken || f->is_judged || judge_by_mark(d, f))
            continue;
        struct plan_message message = plan_message_of(d, false, f);
        if (message.digest) {
            v[n++] = (struct candidate){message.digest, d->in->folders[f->folder].mark > 0, i};
        } else if (message.is_unreadable) {
            plan_copy(d, f, PLAN_W_LATE);
            plan_withhold_last(d, PLAN_R_UNREADABLE);
        } else {
            plan_ask(d, false, f);
        }
    }
    if (d->out->n_asks == 0)
        judge_by_content(d, v, n);
    free(v);
}
