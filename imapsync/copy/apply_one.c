/* SPDX-License-Identifier: ISC */
/*
 * apply_one: flags by groups of equal changes, and deletion of single UIDs.
 *
 * Flags are only added and removed, never set, so what the target's user has done to other flags
 * stays.  Exactly the messages that the plan names are deleted; for an end that cannot do that it
 * names none.  UIDs are only good for one UIDVALIDITY, and hours
 * may lie between the status and the opening: a folder that was replaced meanwhile is left alone.
 * The journal follows each answer, and every step can be repeated: a deletion is an intent before
 * it is begun.
 */
#include "imapsync/copy/apply_one.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/clock.h"

#define GROUP_MAX 200 /* UIDs in one command */

static void store(struct apply_one_job *job, const uint32_t *uids, size_t n, bool is_removal,
    const struct flags *flags, struct end_ticket *t)
{
    const struct end_flags f = {
        .is_removal = is_removal, .flags = flags, .keywords = job->keywords};
    *t = (struct end_ticket){0};
    job->target->ops->flags(job->target, uids, n, &f, NULL, t);
}

/* One group: the same change for up to GROUP_MAX messages. */
static int change_flags(
    struct apply_one_job *job, const struct plan_flags *v, size_t n, struct err *err)
{
    uint32_t uids[GROUP_MAX];
    struct end_ticket add = {.result = END_OK}, remove = {.result = END_OK};
    for (size_t i = 0; i < n; i++)
        uids[i] = v[i].tgt_uid;
    if (!flags_empty(&v->add))
        store(job, uids, n, false, &v->add, &add);
    if (!flags_empty(&v->remove))
        store(job, uids, n, true, &v->remove, &remove);
    if (end_wait(job->target, &remove, err) != 0 ||
        end_check(job->target, &add, "cannot change flags", err) != 0 ||
        end_check(job->target, &remove, "cannot change flags", err) != 0)
        return -1;
    journal_begin(job->journal);
    for (size_t i = 0; i < n; i++) {
        struct pair p = {.src_uid = v[i].src_uid,
            .tgt_uid = v[i].tgt_uid,
            .state = PAIR_STORED,
            .flags = v[i].now};
        journal_pair_put(job->journal, job->folder->id, &p, NULL);
    }
    job->n_flagged += n;
    return journal_commit(job->journal, err);
}

static int all_flags(struct apply_one_job *job, struct err *err)
{
    const struct folder_plan *p = job->plan;
    for (size_t i = 0; i < p->n_flags;) {
        size_t n = 1;
        while (i + n < p->n_flags && n < GROUP_MAX &&
               flags_eq(&p->flags[i].add, &p->flags[i + n].add) &&
               flags_eq(&p->flags[i].remove, &p->flags[i + n].remove))
            n++;
        if (change_flags(job, &p->flags[i], n, err) != 0)
            return -1;
        i += n;
    }
    return 0;
}

/* --- Deletions ------------------------------------------------------------------------- */

static int flags_of(struct apply_one_job *job, const struct plan_deletion *v, size_t n,
    struct end_changes *out, struct err *err)
{
    struct end_ticket t = {0};
    uint32_t uids[GROUP_MAX];
    for (size_t i = 0; i < n; i++)
        uids[i] = v[i].tgt_uid;
    job->target->ops->attributes(job->target, uids, n, END_WANT_FLAGS, out, &t);
    if (end_check(job->target, &t, "cannot read flags", err) == 0)
        return 0;
    return err_scope_set(err, ERR_SCOPE_FOLDER);
}

/* UIDs that an earlier run has begun to delete: \Deleted on them may be ours. */
static bool is_begun(const struct apply_one_job *job, uint32_t uid)
{
    for (size_t i = 0; i < job->n_begun; i++) {
        for (size_t k = 0; k < job->begun[i].n; k++) {
            if (job->begun[i].uids[k] == uid)
                return true;
        }
    }
    return false;
}

/* Whether someone has touched our copy: another system flag, or a keyword more than we gave it. */
static bool is_touched(
    const struct apply_one_job *job, const struct listed *l, const struct flags *ours)
{
    struct flags more = flags_minus(&l->flags, ours);
    unsigned changed = l->flags.system ^ ours->system;
    if (is_begun(job, l->uid)) {
        more.system &= (uint8_t)~FLAG_DELETED;
        changed &= ~(unsigned)FLAG_DELETED;
    }
    return changed != 0 || !flags_empty(&more);
}

static int expunge(struct apply_one_job *job, const uint32_t *uids, size_t n, struct err *err)
{
    struct end_ticket t = {0};
    if (n == 0)
        return 0;
    job->target->ops->remove(job->target, uids, n, &t);
    return end_check(job->target, &t, "cannot delete messages", err);
}

static int write_intent(struct apply_one_job *job, struct intent *i, struct err *err)
{
    journal_begin(job->journal);
    journal_intent_put(job->journal, job->folder->id, i);
    return journal_commit(job->journal, err);
}

static int delete_some(
    struct apply_one_job *job, const struct plan_deletion *v, size_t n, struct err *err)
{
    uint32_t uids[GROUP_MAX];
    size_t n_uids = 0, n_kept = 0;
    struct end_changes there;
    end_changes_init(&there, job->keywords);
    int result = flags_of(job, v, n, &there, err);
    for (size_t i = 0; result == 0 && i < n; i++) {
        const struct listed *l = end_changes_find(&there, v[i].tgt_uid);
        if (l && is_touched(job, l, &v[i].flags))
            n_kept++;
        else if (l)
            uids[n_uids++] = v[i].tgt_uid;
    }
    end_changes_fini(&there);
    /* Cut between the mark and the expunge, the next run knows whose mark it is. */
    struct intent intent = {
        .kind = INTENT_DELETE, .time_ms = clock_wall_ms(), .uids = uids, .n = n_uids};
    if (result != 0 || (n_uids > 0 && write_intent(job, &intent, err) != 0) ||
        expunge(job, uids, n_uids, err) != 0)
        return -1;
    journal_begin(job->journal);
    if (n_uids > 0)
        journal_intent_del(job->journal, job->folder->id, intent.id);
    for (size_t i = 0; i < n; i++)
        journal_pair_del(job->journal, job->folder->id, v[i].src_uid);
    job->n_deleted += n_uids;
    job->n_kept += n_kept;
    return journal_commit(job->journal, err);
}

static int open_folder(struct apply_one_job *job, struct err *err)
{
    struct end_ticket t = {0};
    struct end_changes c;
    end_changes_init(&c, job->keywords);
    job->target->ops->open(job->target,
        &(struct end_open){.folder = job->folder->target.name,
            .is_for_writing = true,
            .is_only_opened = true,
            .uidvalidity = job->folder->target.uidvalidity},
        &c, &t);
    int result = end_check(job->target, &t, "cannot open the folder", err);
    end_changes_fini(&c);
    return result;
}

/* What an earlier run has begun is in the plan again, since its pairs are there until the end. */
static int all_deletions(struct apply_one_job *job, struct err *err)
{
    const struct folder_plan *p = job->plan;
    if (journal_intents(
            job->journal, job->folder->id, INTENT_DELETE, &job->begun, &job->n_begun, err) != 0)
        return -1;
    int result = 0;
    for (size_t i = 0; result == 0 && i < p->n_deletions; i += GROUP_MAX) {
        size_t n = p->n_deletions - i < GROUP_MAX ? p->n_deletions - i : GROUP_MAX;
        result = delete_some(job, &p->deletions[i], n, err);
    }
    if (result == 0 && job->n_begun > 0) {
        journal_begin(job->journal);
        for (size_t i = 0; i < job->n_begun; i++)
            journal_intent_del(job->journal, job->folder->id, job->begun[i].id);
        result = journal_commit(job->journal, err);
    }
    intents_free(job->begun, job->n_begun);
    job->begun = NULL;
    job->n_begun = 0;
    return result;
}

int apply_one(struct apply_one_job *job, struct err *err)
{
    const struct folder_plan *p = job->plan;
    if (p->n_flags == 0 && p->n_deletions == 0)
        return 0;
    if (open_folder(job, err) != 0)
        return -1;
    if (all_flags(job, err) != 0)
        return -1;
    return p->n_deletions > 0 ? all_deletions(job, err) : 0;
}
