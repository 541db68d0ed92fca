/* SPDX-License-Identifier: ISC */
/*
 * apply: STORE by groups of equal changes, and deletion of single UIDs.
 *
 * Flags are only added and removed (+FLAGS, -FLAGS), never set, so what the target's user has done
 * to other flags stays.  A message is deleted with UID STORE and UID EXPUNGE (RFC 4315) of exactly
 * the UIDs that the plan names; without UIDPLUS it names none, since EXPUNGE alone would take
 * messages that are not ours.  UIDs are only good for one UIDVALIDITY, and hours may lie between
 * the STATUS and the SELECT: a folder that was replaced meanwhile is left alone.  The journal
 * follows each answer, and every step can be repeated: a deletion is an intent before it is begun.
 */
#include "imapsync/copy/apply.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "imapsync/copy/listing.h"
#include "imapsync/imap/uids.h"

#define GROUP_MAX 200 /* UIDs in one command */

static void store(struct apply_job *job, const uint32_t *uids, size_t n, const char *how,
    const struct flags *flags, struct imap_outcome *o)
{
    struct imap_client *client = imap_conn_client(job->target);
    struct buf set, list;
    buf_init(&set, 16 * GROUP_MAX);
    buf_init(&list, 64u << 10);
    BUG_ON(uids_write(&set, uids, n) != 0 || flags_format(flags, job->keywords, &list) != 0);
    *o = (struct imap_outcome){0};
    imap_cmd_begin(client, imap_outcome_set, o);
    imap_cmd_f(client, "UID STORE %s %sFLAGS.SILENT (%s)", buf_cstr(&set), how, buf_cstr(&list));
    imap_cmd_end(client);
    buf_fini(&set);
    buf_fini(&list);
}

/* One group: the same change for up to GROUP_MAX messages. */
static int change_flags(
    struct apply_job *job, const struct plan_flags *v, size_t n, struct err *err)
{
    uint32_t uids[GROUP_MAX];
    struct imap_outcome add = {.is_done = true}, remove = {.is_done = true};
    for (size_t i = 0; i < n; i++)
        uids[i] = v[i].tgt_uid;
    if (!flags_empty(&v->add))
        store(job, uids, n, "+", &v->add, &add);
    if (!flags_empty(&v->remove))
        store(job, uids, n, "-", &v->remove, &remove);
    if (imap_conn_wait(job->target, &add, err) != 0 ||
        imap_conn_wait(job->target, &remove, err) != 0 ||
        imap_conn_check(job->target, &add, "cannot change flags", err) != 0 ||
        imap_conn_check(job->target, &remove, "cannot change flags", err) != 0)
        return err_scope_set(err, ERR_SCOPE_FOLDER);
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

static int all_flags(struct apply_job *job, struct err *err)
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

static void on_untagged(void *arg, const struct imap_response *r)
{
    if (r->kind == IMAP_KIND_FETCH)
        listing_add(arg, &r->fetch);
}

static const struct imap_events events = {.untagged = on_untagged};

static int flags_of(struct apply_job *job, const struct plan_deletion *v, size_t n,
    struct listing *out, struct err *err)
{
    struct imap_client *client = imap_conn_client(job->target);
    struct imap_outcome o = {0};
    uint32_t uids[GROUP_MAX];
    struct buf set;
    buf_init(&set, 16 * GROUP_MAX);
    for (size_t i = 0; i < n; i++)
        uids[i] = v[i].tgt_uid;
    BUG_ON(uids_write(&set, uids, n) != 0);
    imap_conn_events(job->target, &events, out);
    imap_cmd_begin(client, imap_outcome_set, &o);
    imap_cmd_f(client, "UID FETCH %s (UID FLAGS)", buf_cstr(&set));
    imap_cmd_end(client);
    int result = imap_conn_check(job->target, &o, "cannot read flags", err);
    imap_conn_events(job->target, NULL, NULL);
    buf_fini(&set);
    return result == 0 ? listing_finish(out, err) : err_scope_set(err, ERR_SCOPE_FOLDER);
}

/* UIDs that an earlier run has begun to delete: \Deleted on them may be ours. */
static bool is_begun(const struct apply_job *job, uint32_t uid)
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
    const struct apply_job *job, const struct listed *l, const struct flags *ours)
{
    struct flags more = flags_minus(&l->flags, ours);
    unsigned changed = l->flags.system ^ ours->system;
    if (is_begun(job, l->uid)) {
        more.system &= (uint8_t)~FLAG_DELETED;
        changed &= ~(unsigned)FLAG_DELETED;
    }
    return changed != 0 || !flags_empty(&more);
}

static int expunge(struct apply_job *job, const uint32_t *uids, size_t n, struct err *err)
{
    struct imap_client *client = imap_conn_client(job->target);
    struct imap_outcome flag, gone = {0};
    struct flags deleted = {.system = FLAG_DELETED};
    struct buf set;
    if (n == 0)
        return 0;
    buf_init(&set, 16 * GROUP_MAX);
    BUG_ON(uids_write(&set, uids, n) != 0);
    store(job, uids, n, "+", &deleted, &flag);
    imap_cmd_begin(client, imap_outcome_set, &gone);
    imap_cmd_f(client, "UID EXPUNGE %s", buf_cstr(&set));
    imap_cmd_end(client);
    buf_fini(&set);
    if (imap_conn_wait(job->target, &flag, err) == 0 &&
        imap_conn_check(job->target, &gone, "cannot delete messages", err) == 0 &&
        imap_conn_check(job->target, &flag, "cannot delete messages", err) == 0)
        return 0;
    return err_scope_set(err, ERR_SCOPE_FOLDER);
}

static int write_intent(struct apply_job *job, struct intent *i, struct err *err)
{
    journal_begin(job->journal);
    journal_intent_put(job->journal, job->folder->id, i);
    return journal_commit(job->journal, err);
}

static int delete_some(
    struct apply_job *job, const struct plan_deletion *v, size_t n, struct err *err)
{
    uint32_t uids[GROUP_MAX];
    size_t n_uids = 0, n_kept = 0;
    struct listing there;
    listing_init(&there, job->keywords);
    int result = flags_of(job, v, n, &there, err);
    for (size_t i = 0; result == 0 && i < n; i++) {
        const struct listed *l = listing_find(&there, v[i].tgt_uid);
        if (l && is_touched(job, l, &v[i].flags))
            n_kept++;
        else if (l)
            uids[n_uids++] = v[i].tgt_uid;
    }
    listing_fini(&there);
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

static void on_selected(void *arg, const struct imap_response *r)
{
    uint64_t *uidvalidity = arg;
    if (r->kind == IMAP_KIND_STATUS && r->code.kind == IMAP_CODE_UIDVALIDITY)
        *uidvalidity = r->code.number;
}

static const struct imap_events select_events = {.untagged = on_selected};

static int select_folder(struct apply_job *job, struct err *err)
{
    struct imap_client *client = imap_conn_client(job->target);
    struct imap_outcome o = {0};
    uint64_t uidvalidity = 0;
    imap_conn_events(job->target, &select_events, &uidvalidity);
    imap_cmd_begin(client, imap_outcome_set, &o);
    imap_cmd_text(client, "SELECT ");
    imap_cmd_astring(client, job->folder->target.name);
    imap_cmd_end(client);
    int result = imap_conn_check(job->target, &o, "cannot open the folder", err);
    imap_conn_events(job->target, NULL, NULL);
    if (result == 0 && uidvalidity != job->folder->target.uidvalidity)
        result = err_set(err, ERR_TEMP, EX_TEMPFAIL,
            "target: the folder was replaced while it was copied (UIDVALIDITY)");
    return result == 0 ? 0 : err_scope_set(err, ERR_SCOPE_FOLDER);
}

/* What an earlier run has begun is in the plan again, since its pairs are there until the end. */
static int all_deletions(struct apply_job *job, struct err *err)
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

int apply_plan(struct apply_job *job, struct err *err)
{
    const struct folder_plan *p = job->plan;
    if (p->n_flags == 0 && p->n_deletions == 0)
        return 0;
    if (select_folder(job, err) != 0)
        return -1;
    if (all_flags(job, err) != 0)
        return -1;
    return p->n_deletions > 0 ? all_deletions(job, err) : 0;
}
