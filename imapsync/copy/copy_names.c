/* SPDX-License-Identifier: ISC */
/*
 * copy_names: the folders of a pass, before anything in them is looked at: which of the journal's
 * each listed one is, what was renamed, what has to be made, and what the source does not list any
 * more.  plan_folders() decides; here it is done.
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
 *
 * A folder that the source does not list stays on the target: a listing that lacks a folder is more
 * often a right that was taken away than a wish.  What it had is looked for among what is new, so a
 * rename that no MAILBOXID tells becomes a move of its messages.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/copy_parts.h"

/* --- What the journal knows ---------------------------------------------------------------- */

struct key {
    struct slice text;
    uint32_t at;
};

struct naming {
    struct copy *c;
    struct pass *p;
    const struct folder_list *from;
    struct folder_map *map;
    struct journal_folder *known;
    size_t n_known, room;
    struct key *names, *ids; /* of the source, of the known ones; sorted */
    uint32_t *listed_at;     /* of the plan's folders of the source: position in from */
    bool has_renamed, has_listed_again;
};

static void copy_side(struct journal_end *to, const struct journal_end *from)
{
    journal_set(&to->name, from->name);
    journal_set(&to->mailboxid, from->mailboxid);
    journal_set(&to->token, from->token);
    to->uidvalidity = from->uidvalidity;
    to->numbers = from->numbers;
    to->is_restored = from->is_restored;
}

static void on_folder(void *arg, const struct journal_folder *f)
{
    struct naming *w = arg;
    if (w->n_known == w->room) {
        w->room = w->room ? 2 * w->room : 64;
        w->known = mem_realloc_array(w->known, w->room, sizeof(*w->known));
    }
    struct journal_folder *k = &w->known[w->n_known++];
    *k = (struct journal_folder){.id = f->id};
    copy_side(&k->source, &f->source);
    copy_side(&k->target, &f->target);
}

/* What a folder was under an earlier UIDVALIDITY, behind a flip, is kept beside what it is. */
static int drop_superseded(struct naming *w, struct err *err)
{
    size_t kept = 0;
    int result = 0;
    for (size_t i = 0; i < w->n_known; i++) {
        struct journal_folder now = {0};
        bool found = false;
        if (result == 0)
            result = journal_folder_get(w->c->journal, w->known[i].source.name, &now, &found, err);
        if (result == 0 && found && now.id == w->known[i].id)
            w->known[kept++] = w->known[i];
        else
            journal_folder_fini(&w->known[i]);
        journal_folder_fini(&now);
    }
    w->n_known = kept;
    return result;
}

static bool may_be(struct slice a, struct slice b)
{
    return a.n == 0 || b.n == 0 || slice_eq(a, b);
}

static int by_text(const void *a, const void *b)
{
    const struct slice *x = &((const struct key *)a)->text, *y = &((const struct key *)b)->text;
    size_t n = x->n < y->n ? x->n : y->n;
    int r = n > 0 ? memcmp(x->p, y->p, n) : 0;
    return r != 0 ? r : x->n < y->n ? -1 : x->n > y->n;
}

static struct slice plain_name(struct slice name)
{
    return folder_is_inbox(name) ? SLICE_LIT("INBOX") : name;
}

static void sort_known(struct naming *w)
{
    w->names = mem_realloc_array(w->names, w->n_known + 1, sizeof(*w->names));
    w->ids = mem_realloc_array(w->ids, w->n_known + 1, sizeof(*w->ids));
    for (size_t i = 0; i < w->n_known; i++) {
        w->names[i] = (struct key){plain_name(w->known[i].source.name), (uint32_t)i};
        w->ids[i] = (struct key){w->known[i].source.mailboxid, (uint32_t)i};
    }
    mem_sort(w->names, w->n_known, sizeof(*w->names), by_text);
    mem_sort(w->ids, w->n_known, sizeof(*w->ids), by_text);
}

static struct journal_folder *find(const struct naming *w, const struct key *v, struct slice text)
{
    const struct key wanted = {.text = text};
    const struct key *hit =
        text.n > 0 ? mem_search(&wanted, v, w->n_known, sizeof(*v), by_text) : NULL;
    return hit ? &w->known[hit->at] : NULL;
}

/* --- Names for all ------------------------------------------------------------------------- */

static struct journal_folder *known_by_name(const struct naming *w, size_t i)
{
    const struct folder *f = &w->from->v[i];
    struct journal_folder *k = w->map->names[i].p ? find(w, w->names, plain_name(f->name)) : NULL;
    return k && may_be(k->source.mailboxid, f->id) ? k : NULL;
}

static bool is_anothers(const struct naming *w, const struct journal_folder *k)
{
    return copy_is_anothers(w->p->there, w->known, w->n_known, k);
}

/* What is not on the target, where another one has its name by now, gets one of its own. */
static int give_names(struct naming *w, struct err *err)
{
    folder_map_settle(w->map);
    for (size_t i = 0; i < w->from->n; i++) {
        struct journal_folder *k = w->map->names[i].p ? find(w, w->ids, w->from->v[i].id) : NULL;
        k = k ? k : known_by_name(w, i);
        if (!k || !is_anothers(w, k) || slice_eq(k->target.name, w->map->names[i]))
            continue;
        journal_set(&k->target.name, w->map->names[i]);
        if (journal_folder_put(w->c->journal, k, err) != 0)
            return -1;
    }
    return 0;
}

/* Folders that have been copied before keep the names that they were given then. */
static int keep_names(struct naming *w, struct err *err)
{
    for (size_t i = 0; i < w->from->n; i++) {
        const struct journal_folder *k = known_by_name(w, i);
        if (k && !is_anothers(w, k))
            folder_map_keep(w->map, i, copy_name_there(w->p->there, k));
    }
    return give_names(w, err);
}

static bool is_copied(const struct naming *w, size_t i)
{
    return w->map->names[i].p && !(w->from->v[i].attrs & FOLDER_NOSELECT);
}

/* Killed behind a rename: the target's folder has the name that it was to have. */
static int heal(struct naming *w, struct err *err)
{
    for (size_t i = 0; i < w->from->n; i++) {
        const struct folder *f = &w->from->v[i];
        struct journal_folder *r = w->map->names[i].p ? find(w, w->ids, f->id) : NULL;
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

/* 1: done, 0: refused. */
static int rename_there(struct naming *w, const struct plan_name_op *op, struct err *err)
{
    struct end *e = w->c->to;
    struct end_ticket t = {0};
    e->ops->rename(e, op->from, op->to, &t);
    if (end_check(e, &t, "cannot rename the folder", err) == 0) {
        log_info("folder_renamed", log_slice("folder", op->from), log_slice("to", op->to));
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
static int name_all(struct naming *w, const struct plan_folders *plan, struct err *err)
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

/* --- New folders ---------------------------------------------------------------------------- */

static int make_folders(struct naming *w, const struct plan_folders *plan, struct err *err)
{
    for (size_t i = 0; i < plan->n_ops; i++) {
        const struct plan_name_op *op = &plan->ops[i];
        if (op->kind != PLAN_MAKE)
            continue;
        const struct folder *f = &w->from->v[w->listed_at[op->source]];
        copy_make_add(
            w->p, op->to, f->use, !w->c->options.no_subscriptions && f->attrs & FOLDER_SUBSCRIBED);
    }
    return copy_make_begin(w->c, w->p, err);
}

/* The target's list with the names that it has now. */
static int list_again(struct naming *w, struct err *err)
{
    struct end_ticket t = {0};
    folder_list_fini(w->p->there);
    folder_list_init(w->p->there);
    w->c->to->ops->folders(w->c->to, w->p->there, &t);
    return end_check(w->c->to, &t, "cannot list the folders", err);
}

/* --- All of it ------------------------------------------------------------------------------- */

static void take_lost(struct naming *w, const struct plan_folders *plan)
{
    struct pass *p = w->p;
    p->lost = mem_zalloc((plan->n_lost + 1) * sizeof(*p->lost));
    for (size_t i = 0; i < plan->n_lost; i++) {
        struct journal_folder *k = &w->known[plan->lost[i]];
        if (k->source.uidvalidity == 0 && !p->finds_alone)
            continue;
        p->lost[p->n_lost++] = *k;
        *k = (struct journal_folder){0};
    }
}

/* 1: done, 0: once more; a target that lists what it had before is not asked for ever. */
static int follow(struct naming *w, const struct plan_names *in, struct err *err)
{
    struct plan_folders plan;
    plan_folders(in, &plan);
    w->has_renamed = false;
    int result = name_all(w, &plan, err);
    if (result >= 0 && (w->has_renamed || (result == 0 && !w->has_listed_again))) {
        result = w->has_listed_again ? result : 0;
        w->has_listed_again = true;
        if (list_again(w, err) != 0)
            result = -1;
    }
    if (result == 1 && make_folders(w, &plan, err) != 0)
        result = -1;
    if (result == 1)
        take_lost(w, &plan);
    plan_folders_fini(&plan);
    return result;
}

/* Behind follow() the names are those of the journal. */
static int keep_new_names(struct naming *w, struct err *err)
{
    for (size_t i = 0; i < w->from->n; i++) {
        const struct journal_folder *k =
            w->map->names[i].p ? find(w, w->names, plain_name(w->from->v[i].name)) : NULL;
        if (k && is_anothers(w, k))
            w->map->is_kept[i] = false;
        else if (k && k->target.name.n > 0)
            folder_map_keep(w->map, i, k->target.name);
    }
    return give_names(w, err);
}

/* What is known now, planned and done.  1: done, 0: once more. */
static int name_and_make(struct naming *w, struct plan_names *in, struct err *err)
{
    const size_t n_there = w->p->there->n;
    struct plan_known *known = mem_zalloc((w->n_known + 1) * sizeof(*known));
    struct plan_name *target = mem_zalloc((n_there + 1) * sizeof(*target));
    for (size_t i = 0; i < w->n_known; i++)
        known[i] = (struct plan_known){{w->known[i].source.name, w->known[i].source.mailboxid},
            {w->known[i].target.name, w->known[i].target.mailboxid}};
    for (size_t i = 0; i < n_there; i++)
        target[i] = (struct plan_name){w->p->there->v[i].name, w->p->there->v[i].id};
    in->known = known;
    in->n_known = w->n_known;
    in->target = target;
    in->n_target = n_there;
    int result = follow(w, in, err);
    free(known);
    free(target);
    return result;
}

int copy_names(struct copy *c, struct pass *p, const struct folder_list *from,
    struct folder_map *map, struct err *err)
{
    struct naming w = {.c = c, .p = p, .from = from, .map = map};
    struct plan_listed *source = mem_zalloc((from->n + 1) * sizeof(*source));
    struct plan_names in = {
        .policy = p->policy, .delimiter = p->there->delimiter, .source = source};
    int result = journal_folders_each(c->journal, on_folder, &w, err);
    if (result == 0)
        result = drop_superseded(&w, err);
    if (result != 0)
        goto done;
    sort_known(&w);
    if (keep_names(&w, err) != 0 || heal(&w, err) != 0) {
        result = -1;
        goto done;
    }
    w.listed_at = mem_realloc_array(NULL, from->n + 1, sizeof(*w.listed_at));
    for (size_t i = 0; i < from->n; i++) {
        if (!is_copied(&w, i))
            continue;
        w.listed_at[in.n_source] = (uint32_t)i;
        source[in.n_source++] =
            (struct plan_listed){{from->v[i].name, from->v[i].id}, map->names[i]};
    }
    while ((result = name_and_make(&w, &in, err)) == 0) {
    }
    if (result == 1) {
        sort_known(&w);
        result = keep_new_names(&w, err) == 0 ? 1 : -1;
    }
    result = result == 1 ? copy_find_restored(c, p, from, w.known, w.n_known, err) : -1;
done:
    for (size_t i = 0; i < w.n_known; i++)
        journal_folder_fini(&w.known[i]);
    free(w.known);
    free(w.names);
    free(w.ids);
    free(w.listed_at);
    free(source);
    return result;
}
