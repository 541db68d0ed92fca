/* SPDX-License-Identifier: ISC */
/*
 * names_renames: folders that were renamed, on the target and in the journal.
 *
 * A rename is made on the target first and then written, both names at once.  Killed in between,
 * the next pass finds the target's folder under the new name, with the UIDVALIDITY that it had, or
 * by its MAILBOXID, when the source has another name by then: all of them are written before.
 * Behind renames the target is listed again and the rest planned from that: its users may have
 * renamed folders as well, and what they were called then would be made again.  So it is behind the
 * first one that is refused, since what was to be renamed may have another name.
 *
 * A rename that the target refuses is done without: the journal forgets which folder it is, the new
 * name becomes a folder of its own, and the messages move there, as they do without MAILBOXIDs. The
 * plan is made again then, since what was to happen below and behind that name is something else.
 */
#include <stdlib.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/names_parts.h"

/* Killed behind a rename: the target's folder has the name that it was to have. */
int names_heal(struct naming *w, struct err *err)
{
    for (size_t i = 0; i < w->from->n; i++) {
        const struct folder *f = &w->from->v[i];
        struct journal_folder *r = w->map->names[i].p ? names_find(w, w->ids, f->id) : NULL;
        if (!r || folder_same_name(r->source.name, f->name) || r->target.uidvalidity == 0 ||
            folder_list_find(w->p->there, r->target.name))
            continue;
        const struct folder *t = folder_list_find(w->p->there, w->map->names[i]);
        if (!t || t->uidvalidity != r->target.uidvalidity)
            continue;
        journal_set(&r->source.name, f->name);
        journal_set(&r->target.name, t->name);
        if (journal_folder_put(w->c->journal, r, err) != 0)
            return -1;
    }
    return 0;
}

/* --- Renames ------------------------------------------------------------------------------- */

static void tell_renamed(const struct naming *w, const struct plan_name_op *op)
{
    if (w->c->events->renamed)
        w->c->events->renamed(w->c->arg, op->from, op->to);
}

/* In a dry run the target's folder, and what is below it, keeps its name. */
static int pretend(
    struct naming *w, const struct plan_name_op *op, struct slice source, struct err *err)
{
    struct journal_folder *k = &w->known[op->known];
    if (op->kind == PLAN_RENAME)
        tell_renamed(w, op);
    if (source.n > 0)
        journal_set(&k->source.name, source);
    return journal_folder_put(w->c->journal, k, err) == 0 ? 1 : -1;
}

/* 1: done, 0: refused. */
static int rename_there(struct naming *w, const struct plan_name_op *op, struct err *err)
{
    struct end *e = w->c->to;
    struct end_ticket t = {0};
    e->ops->rename(e, op->from, op->to, &t);
    if (end_check(e, &t, "cannot rename the folder", err) == 0) {
        log_info("folder_renamed", log_slice("folder", op->from), log_slice("to", op->to));
        tell_renamed(w, op);
        return 1;
    }
    if (e->ops->is_broken(e))
        return -1;
    log_warn(
        "folder_not_renamed", log_slice("folder", op->from), log_slice("to", op->to), log_err(err));
    err_clear(err);
    return 0;
}

/* It is only known by its name from now on, and the source does not list that. */
static int give_up(struct naming *w, struct journal_folder *k, struct err *err)
{
    w->p->counts->folders_not_renamed++;
    journal_set(&k->source.mailboxid, SLICE_NONE);
    return journal_folder_put(w->c->journal, k, err);
}

/* What had this name there is gone, or it would not be free: where no MAILBOXID tells, one that is
 * renamed may have its UIDVALIDITY as well. */
static int lose_name(struct naming *w, const struct plan_name_op *op, struct err *err)
{
    for (size_t i = 0; i < w->n_known; i++) {
        struct journal_end *t = &w->known[i].target;
        if (i == op->known || t->mailboxid.n > 0 || t->uidvalidity == 0 ||
            !slice_eq(t->name, op->to))
            continue;
        t->uidvalidity = 0;
        if (journal_folder_put(w->c->journal, &w->known[i], err) != 0)
            return -1;
    }
    return 0;
}

/* Both names of a folder.  source: its new one, or empty.  1: done, 0: refused. */
static int name_one(
    struct naming *w, const struct plan_name_op *op, struct slice source, struct err *err)
{
    struct journal_folder *k = &w->known[op->known];
    if (w->c->options.is_dry && (op->kind == PLAN_RENAME || op->witness == PLAN_W_PARENT))
        return pretend(w, op, source, err);
    if (op->kind == PLAN_RENAME && lose_name(w, op, err) != 0)
        return -1;
    int done = op->kind == PLAN_RENAME ? rename_there(w, op, err) : 1;
    if (done < 0)
        return -1;
    if (done == 0)
        return w->has_listed_again ? give_up(w, k, err) : 0;
    if (op->kind == PLAN_RENAME)
        w->has_renamed = true;
    journal_set(&k->target.name, op->to);
    if (source.n > 0)
        journal_set(&k->source.name, source);
    return journal_folder_put(w->c->journal, k, err) == 0 ? 1 : -1;
}

/* Those of the target.  source: new names of the source's side, by known folder; what has been
 * written is taken out. */
static int name_kind(struct naming *w, const struct plan_folders *plan, enum plan_kind kind,
    struct slice *source, struct err *err)
{
    int result = 1;
    for (size_t i = 0; result == 1 && i < plan->n_ops; i++) {
        const struct plan_name_op *op = &plan->ops[i];
        if (op->kind != kind || !op->is_target)
            continue;
        result = name_one(w, op, source[op->known], err);
        source[op->known] = SLICE_NONE;
    }
    return result;
}

/* Those that were listed since the folders were made, for what is renamed and what is below it. */
static int keep_ids(struct naming *w, struct err *err)
{
    bool has_begun = false;
    for (size_t i = 0; i < w->n_known; i++) {
        struct journal_end *t = &w->known[i].target;
        const struct folder *there = t->uidvalidity != 0 && t->mailboxid.n == 0
                                         ? folder_list_find(w->p->there, t->name)
                                         : NULL;
        if (!there || there->id.n == 0 || there->uidvalidity != t->uidvalidity)
            continue;
        if (!has_begun)
            journal_begin(w->c->journal);
        has_begun = true;
        journal_set(&t->mailboxid, there->id);
        journal_folder_note(w->c->journal, &w->known[i]);
    }
    return has_begun ? journal_commit(w->c->journal, err) : 0;
}

static bool has_renames(const struct plan_folders *plan)
{
    bool has = false;
    for (size_t i = 0; i < plan->n_ops; i++)
        has |= plan->ops[i].kind == PLAN_RENAME;
    return has;
}

/* The target's names first: see above.  1: done, 0: one was refused, and the rest is open. */
int names_follow(struct naming *w, const struct plan_folders *plan, struct err *err)
{
    struct slice *source = mem_zalloc((w->n_known + 1) * sizeof(*source));
    int result;
    if (has_renames(plan) && keep_ids(w, err) != 0) {
        free(source);
        return -1;
    }
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct plan_name_op *op = &plan->ops[i];
        if (op->kind == PLAN_NAME && !op->is_target)
            source[op->known] = op->to;
    }
    /* What a rename takes along has its new name only then. */
    result = name_kind(w, plan, PLAN_RENAME, source, err);
    if (result == 1)
        result = name_kind(w, plan, PLAN_NAME, source, err);
    for (size_t i = 0; result == 1 && i < w->n_known; i++) {
        if (source[i].n == 0)
            continue;
        journal_set(&w->known[i].source.name, source[i]);
        result = journal_folder_put(w->c->journal, &w->known[i], err) == 0 ? 1 : -1;
    }
    free(source);
    return result;
}
