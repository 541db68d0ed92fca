/* SPDX-License-Identifier: ISC */
/*
 * copy_names: the folders of a pass, before anything in them is looked at: which of the journal's
 * each listed one is, what was renamed, what has to be made, and what the source does not list any
 * more.  plan_folders() decides; here and in names_renames.c it is done.
 *
 * A folder that the source does not list stays on the target: a listing that lacks a folder is more
 * often a right that was taken away than a wish.  What it had is looked for among what is new, so a
 * rename that no MAILBOXID tells becomes a move of its messages.
 */
#include <stdlib.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/names_parts.h"

/* --- What the journal knows ---------------------------------------------------------------- */

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
        /* As many as are listed, but for those that are new or lost. */
        w->room = w->room ? 2 * w->room : w->from->n + 64;
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
        bool is_past = true;
        if (result == 0)
            result = journal_folder_is_past(w->c->journal, &w->known[i], &is_past, err);
        if (!is_past)
            w->known[kept++] = w->known[i];
        else
            journal_folder_fini(&w->known[i]);
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
    return slice_order(((const struct key *)a)->text, ((const struct key *)b)->text);
}

/* Of MAILBOXIDs only those that were told: most servers tell none. */
static void sort_known(struct naming *w)
{
    size_t n_ids = 0;
    for (size_t i = 0; i < w->n_known; i++)
        n_ids += w->known[i].source.mailboxid.n > 0;
    w->names = mem_realloc_array(w->names, w->n_known + 1, sizeof(*w->names));
    w->ids = mem_realloc_array(w->ids, n_ids + 1, sizeof(*w->ids));
    w->n_ids = 0;
    for (size_t i = 0; i < w->n_known; i++) {
        const struct journal_end *source = &w->known[i].source;
        w->names[i] = (struct key){folder_plain_name(source->name), (uint32_t)i};
        if (source->mailboxid.n > 0)
            w->ids[w->n_ids++] = (struct key){source->mailboxid, (uint32_t)i};
    }
    mem_sort(w->names, w->n_known, sizeof(*w->names), by_text);
    mem_sort(w->ids, w->n_ids, sizeof(*w->ids), by_text);
}

struct journal_folder *names_find(const struct naming *w, const struct key *v, struct slice text)
{
    const size_t n = v == w->ids ? w->n_ids : w->n_known;
    const struct key wanted = {.text = text};
    const struct key *hit = text.n > 0 ? mem_search(&wanted, v, n, sizeof(*v), by_text) : NULL;
    return hit ? &w->known[hit->at] : NULL;
}

/* --- Names for all ------------------------------------------------------------------------- */

/* What has a name keeps it, unless the journal gives that to another one. */
static void map_again(struct naming *w)
{
    struct folder_map map;
    folder_map_make(&(struct folder_mapping){.source = w->from,
                        .target = w->p->there,
                        .kept = w->kept,
                        .given = w->map,
                        .salt = w->c->source->name,
                        .rules = &w->c->options.folders},
        &map);
    folder_map_fini(w->map);
    *w->map = map;
}

static struct journal_folder *known_by_name(const struct naming *w, size_t i)
{
    const struct folder *f = &w->from->v[i];
    struct journal_folder *k = names_find(w, w->names, folder_plain_name(f->name));
    return k && may_be(k->source.mailboxid, f->id) ? k : NULL;
}

static bool is_anothers(const struct naming *w, const struct journal_folder *k)
{
    return copy_is_anothers(w->p->there, w->known, w->n_known, k);
}

/* What is not on the target, where another one has its name by now, gets one of its own. */
static int give_names(struct naming *w, struct err *err)
{
    map_again(w);
    for (size_t i = 0; i < w->from->n; i++) {
        struct journal_folder *k = names_find(w, w->ids, w->from->v[i].id);
        k = k ? k : known_by_name(w, i);
        if (!k || !w->map->names[i].p || !is_anothers(w, k) ||
            slice_eq(k->target.name, w->map->names[i]))
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
        w->kept[i] = k && !is_anothers(w, k) ? copy_name_there(w->p->there, k) : SLICE_NONE;
    }
    return give_names(w, err);
}

/* Behind follow() the names are those of the journal. */
static int keep_new_names(struct naming *w, struct err *err)
{
    for (size_t i = 0; i < w->from->n; i++) {
        const struct journal_folder *k =
            names_find(w, w->names, folder_plain_name(w->from->v[i].name));
        w->kept[i] = k && !is_anothers(w, k) ? k->target.name : SLICE_NONE;
    }
    return give_names(w, err);
}

static bool is_copied(const struct naming *w, size_t i)
{
    return w->map->names[i].p && !(w->from->v[i].attrs & (FOLDER_NOSELECT | FOLDER_VIRTUAL));
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

/* Listed, and not looked at, or only behind all others (shown.h). */
static bool is_left_out(const struct naming *w, const struct journal_folder *k)
{
    const struct folder *f = folder_list_find(w->from, k->source.name);
    return f && !(f->attrs & FOLDER_NOSELECT) && may_be(k->source.mailboxid, f->id) &&
           (f->attrs & FOLDER_VIRTUAL || !folder_is_mapped(w->from, f, &w->c->options.folders));
}

static void take_lost(struct naming *w, const struct plan_folders *plan)
{
    struct pass *p = w->p;
    p->lost = mem_zalloc((plan->n_lost + 1) * sizeof(*p->lost));
    /* It may be in what could not be read. */
    for (size_t i = 0; i < plan->n_lost && !w->from->is_unsure; i++) {
        struct journal_folder *k = &w->known[plan->lost[i]];
        if ((k->source.uidvalidity == 0 && !p->finds_alone) || is_left_out(w, k))
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
    int result = names_follow(w, &plan, err);
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
    w.kept = mem_zalloc((from->n + 1) * sizeof(*w.kept));
    struct plan_listed *source = mem_zalloc((from->n + 1) * sizeof(*source));
    struct plan_names in = {
        .policy = p->policy, .delimiter = p->there->delimiter, .source = source};
    int result = journal_folders_each(c->journal, on_folder, &w, err);
    if (result == 0)
        result = drop_superseded(&w, err);
    if (result != 0)
        goto done;
    sort_known(&w);
    if (keep_names(&w, err) != 0 || names_heal(&w, err) != 0) {
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
    free(w.kept);
    free(source);
    return result;
}
