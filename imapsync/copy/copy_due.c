/* SPDX-License-Identifier: ISC */
/*
 * copy_due: one folder of a pass before its turn: whether it may have changed, and the little that
 * is kept of it until then.  What the journal has of it is read again when it comes.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/copy/due_parts.h"
#include "imapsync/copy/restored.h"

/* --- Looked at ---------------------------------------------------------------------------------
 */

/* The journal's record of the folder, or a new one with the mapped name. */
static int folder_record(struct copy *c, const struct pass *p, const struct folder *f,
    struct slice mapped, struct journal_folder *out, struct err *err)
{
    bool found = false;
    if (journal_folder_get(c->journal, f->name, out, &found, err) != 0)
        return -1;
    if (found)
        return 0;
    journal_set(&out->source.name, f->name);
    journal_set(&out->target.name, mapped);
    const struct folder *there = copy_find_target(p, out);
    out->source.numbers = restored_numbers(f);
    if (there)
        out->target.numbers = restored_numbers(there);
    return journal_folder_put(c->journal, out, err);
}

/* Behind a flip a folder is made for the mail that comes late to it, and only then; and for what
 * shows messages of others when there is one that is only there. */
static bool makes_it(
    const struct pass *p, const struct folder *f, const struct journal_folder *record)
{
    return !plan_policy(p->policy)->is_behind_flip &&
           (!(f->attrs & FOLDER_VIRTUAL) || record->target.uidvalidity != 0);
}

/* The target is looked at once the source has had something to tell; behind a flip only then.  The
 * first sweep has no second chance, and a server tells the numbers of the folder that the same
 * connection has had open as that has seen them. */
static bool is_unchanged(const struct copy *c, const struct pass *p, const struct journal_folder *r,
    const struct folder *source, const struct folder *target)
{
    return !p->is_fresh && !plan_policy(p->policy)->looks_at_all && !tell_is_due_in(c, r->id) &&
           c->from->ops->is_same(c->from, source, r->source.token) &&
           r->source.uidvalidity == source->uidvalidity &&
           r->target.uidvalidity == target->uidvalidity &&
           (plan_policy(p->policy)->is_behind_flip || r->target.token.n == 0 ||
               c->to->ops->is_same(c->to, target, r->target.token));
}

static bool is_news(struct slice id, struct slice known)
{
    return id.n > 0 && !slice_eq(id, known);
}

/* What tells the folders whatever they are called; written when it is first told. */
static int keep_ids(struct copy *c, const struct pass *p, const struct folder *f,
    struct journal_folder *record, struct err *err)
{
    const struct folder *t = copy_find_target(p, record);
    struct slice there = t ? t->id : SLICE_NONE;
    if (!is_news(f->id, record->source.mailboxid) && !is_news(there, record->target.mailboxid))
        return 0;
    if (f->id.n > 0)
        journal_set(&record->source.mailboxid, f->id);
    if (there.n > 0)
        journal_set(&record->target.mailboxid, there);
    return record->source.uidvalidity == 0 ? 0 : journal_folder_put(c->journal, record, err);
}

int due_prepare(struct copy *c, struct pass *p, const struct folder *f, struct slice mapped,
    struct copy_job *job, bool *has_changed_out, struct err *err)
{
    *job = (struct copy_job){.source = f};
    *has_changed_out = false;
    if (folder_record(c, p, f, mapped, &job->record, err) != 0)
        return -1;
    job->target.name = job->record.target.name;
    job->is_awaited = copy_is_making(p, job->record.target.name);
    if (!job->is_awaited && (copy_find_target(p, &job->record) || makes_it(p, f, &job->record)) &&
        copy_folder_on_target(c, p, f, &job->record, &job->target, err) != 0)
        return -1;
    if (keep_ids(c, p, f, &job->record, err) != 0)
        return -1;
    p->has_known = p->has_known || job->record.source.uidvalidity != 0;
    *has_changed_out = job->is_awaited || !is_unchanged(c, p, &job->record, f, &job->target);
    return 0;
}

/* --- Kept --------------------------------------------------------------------------------------
 */

void dues_init(struct dues *all, size_t max)
{
    *all = (struct dues){.v = mem_zalloc((max + 1) * sizeof(*all->v))};
}

void dues_fini(struct dues *all)
{
    for (size_t i = 0; i < all->n; i++)
        free(all->v[i].target);
    free(all->v);
    *all = (struct dues){0};
}

void due_add(struct dues *all, struct copy_job *job)
{
    struct due *d = &all->v[all->n++];
    *d = (struct due){.source = job->source,
        .id = job->record.id,
        .origin = (unsigned char)job->origin,
        .is_lost = job->is_lost,
        .is_awaited = job->is_awaited,
        .is_first = job->record.source.uidvalidity == 0};
    if (!job->is_awaited) {
        d->target = mem_zalloc(sizeof(*d->target));
        *d->target = job->target;
        d->target->name = SLICE_NONE;
    }
    journal_folder_fini(&job->record);
}

int due_take(struct copy *c, const struct pass *p, const struct due *d, struct copy_job *out,
    struct err *err)
{
    bool found;
    *out = (struct copy_job){.source = d->source,
        .origin = (enum folder_origin)d->origin,
        .is_lost = d->is_lost,
        .is_awaited = d->is_awaited};
    if (journal_folder_by_id(c->journal, d->id, &out->record, &found, err) != 0)
        return -1;
    if (!found) {
        err_set(err, ERR_TEMP, EX_DATAERR, "the journal has lost a folder in the middle of a pass");
        return err_scope_set(err, ERR_SCOPE_USER);
    }
    if (d->target)
        out->target = *d->target;
    out->target.name = out->record.target.name;
    /* Of a new one they are not written yet. */
    return d->is_lost ? 0 : keep_ids(c, p, d->source, &out->record, err);
}
