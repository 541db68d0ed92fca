/* SPDX-License-Identifier: ISC */
/*
 * copy_target: the target's folder for one of the source: made when it is not there, under a name
 * that the target takes, and subscribed to as the source's is.
 *
 * A name that is refused may be there all the same.  Where the target lists another one that only
 * differs in case, or in how its letters are composed, it is that one, for this server; if that is
 * another folder's, this one gets a name of its own.  Else what can be looked at is there, and the
 * listing does not show it, unless it has the UIDVALIDITY, UIDNEXT and number of messages of one
 * that is listed: then the server folds letters that we do not know how to (folder_is_twin()), and
 * both names are one folder.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/ends/limits.h"

static int make(struct copy *c, struct slice name, enum folder_use use, struct err *err)
{
    struct end_ticket t = {0};
    c->to->ops->make(c->to, name, use, &t);
    return end_check(c->to, &t, "cannot create the folder", err);
}

/* Whether another name could help: the refusal is about this one. */
static bool is_refused_name(const struct copy *c, const struct err *err)
{
    return err->scope == ERR_SCOPE_FOLDER && (err->class == ERR_PERM || err->class == ERR_PEER) &&
           err->code != EX_NOPERM && !c->to->ops->is_broken(c->to);
}

static bool is_anothers(const struct pass *p, struct slice name)
{
    for (size_t i = 0; i < p->map->n; i++) {
        if (p->map->names[i].p && folder_same_name(p->map->names[i], name))
            return true;
    }
    return false;
}

/* --- Names that a server takes for the same one ----------------------------------------------- */

struct twin {
    uint64_t hash;
    struct slice name; /* borrowed from the pass's lists */
    bool is_mapped;    /* a folder of the source has it */
};

struct twins {
    struct twin *v;
    size_t n;
};

static int by_hash(const void *a, const void *b)
{
    const struct twin *x = a, *y = b;
    return x->hash < y->hash ? -1 : x->hash > y->hash;
}

static uint64_t fold_hash(struct slice name)
{
    struct buf text;
    buf_init(&text, 16 * FOLDER_NAME_MAX);
    uint64_t hash = folder_fold(name, &text) == 0 ? folder_name_hash(buf_slice(&text)) : 0;
    buf_fini(&text);
    return hash;
}

static void add_twin(struct twins *t, struct slice name, bool is_mapped)
{
    t->v[t->n++] = (struct twin){fold_hash(name), name, is_mapped};
}

static const struct twins *twins_of(struct pass *p)
{
    if (p->twins)
        return p->twins;
    struct twins *t = mem_zalloc(sizeof(*t));
    t->v = mem_zalloc((p->there->n + p->map->n + 1) * sizeof(*t->v));
    for (size_t i = 0; i < p->map->n; i++) {
        if (p->map->names[i].p)
            add_twin(t, p->map->names[i], true);
    }
    for (size_t i = 0; i < p->there->n; i++) {
        if (folder_is_own(p->there, &p->there->v[i]))
            add_twin(t, p->there->v[i].name, false);
    }
    mem_sort(t->v, t->n, sizeof(*t->v), by_hash);
    return p->twins = t;
}

void copy_twins_fini(struct pass *p)
{
    if (p->twins)
        free(p->twins->v);
    free(p->twins);
    p->twins = NULL;
}

/* Of the names that the target may take for this one: one that it lists and that nobody has, or
 * else *is_anothers_out: a folder of the source has one. */
static struct twin *find_twin(struct pass *p, struct slice name, bool *is_anothers_out)
{
    const struct twins *all = twins_of(p);
    const struct twin wanted = {.hash = fold_hash(name)};
    const size_t first = mem_place(&wanted, all->v, all->n, sizeof(wanted), by_hash);
    struct twin *found = NULL;
    *is_anothers_out = false;
    for (size_t i = first; i < all->n && all->v[i].hash == wanted.hash; i++) {
        struct twin *t = &all->v[i];
        if (folder_same_name(t->name, name) || !folder_is_twin(t->name, name))
            continue;
        *is_anothers_out = *is_anothers_out || t->is_mapped;
        if (!t->is_mapped && !is_anothers(p, t->name))
            found = t;
    }
    return found;
}

/* --- Making it ------------------------------------------------------------------------------- */

static int rename_to(struct copy *c, const struct folder *f, struct journal_folder *record,
    struct slice name, struct err *err)
{
    log_info("folder_renamed", log_slice("folder", f->name), log_slice("to", name));
    journal_set(&record->target.name, name);
    return journal_folder_put(c->journal, record, err);
}

#define ALIKE_MAX 64 /* folders that are looked at, at most */

/* Whether it may be the folder whose name was refused, under another one: INBOX has one name. */
static bool may_be_alike(
    const struct folder_list *there, const struct folder *f, const struct folder *refused)
{
    if (f->attrs & FOLDER_NOSELECT || folder_is_inbox(f->name) || !folder_is_own(there, f) ||
        folder_same_name(f->name, refused->name))
        return false;
    return f->has & FOLDER_HAS_UIDVALIDITY ? f->uidvalidity == refused->uidvalidity
                                           : f->name.n == refused->name.n;
}

static bool has_same_numbers(const struct folder *a, const struct folder *b)
{
    return a->has == b->has && a->uidvalidity == b->uidvalidity && a->uidnext == b->uidnext &&
           a->messages == b->messages;
}

/* The listed folder that the server shows under the refused name as well; NULL: there is none.
 * Asked anew, for what was copied in this pass has changed the numbers. */
static int find_alike(struct copy *c, const struct folder_list *there, const struct folder *refused,
    const struct folder **out, struct err *err)
{
    size_t n_asked = 0;
    *out = NULL;
    for (size_t i = 0; i < there->n && !*out && n_asked < ALIKE_MAX; i++) {
        struct end_ticket t = {0};
        struct folder now = {.name = there->v[i].name};
        if (!may_be_alike(there, &there->v[i], refused))
            continue;
        n_asked++;
        c->to->ops->status(c->to, &now, &t);
        if (end_wait(c->to, &t, err) != 0)
            return -1;
        if (t.result == END_OK && has_same_numbers(&now, refused))
            *out = &there->v[i];
    }
    return 0;
}

/* 1: it is there, in place of the name that was refused; 0: it is not. */
static int find_unseen(struct copy *c, struct pass *p, const struct folder *f,
    struct journal_folder *record, struct err *err)
{
    bool is_twin_anothers;
    struct twin *twin = find_twin(p, record->target.name, &is_twin_anothers);
    if (twin) {
        twin->is_mapped = true;
        return rename_to(c, f, record, twin->name, err) == 0 ? 1 : -1;
    }
    if (is_twin_anothers)
        return 0;
    struct end_ticket t = {0};
    struct folder there = {.name = record->target.name};
    const struct folder *alike;
    c->to->ops->status(c->to, &there, &t);
    if (end_wait(c->to, &t, err) != 0)
        return -1;
    if (t.result != END_OK)
        return 0;
    if (find_alike(c, p->there, &there, &alike, err) != 0)
        return -1;
    if (alike && is_anothers(p, alike->name))
        return 0;
    return !alike || rename_to(c, f, record, alike->name, err) == 0 ? 1 : -1;
}

/* 1: it has one of the names that any target takes; 0: nor those.  What has it may be there from a
 * time whose journal is lost. */
static int fall_back(struct copy *c, struct pass *p, const struct folder *f,
    struct journal_folder *record, struct err *err)
{
    struct buf name;
    int result = 0;
    buf_init(&name, 32 * FOLDER_NAME_MAX);
    for (unsigned step = 0; result == 0 && step < FOLDER_FALLBACKS; step++) {
        struct err again = ERR_INIT;
        buf_clear(&name);
        folder_fallback(f, record->target.name, p->there, c->source->name, step, &name);
        if (is_anothers(p, buf_slice(&name)))
            continue;
        if (folder_list_find(p->there, buf_slice(&name)) ||
            make(c, buf_slice(&name), f->use, &again) == 0)
            result = rename_to(c, f, record, buf_slice(&name), err) == 0 ? 1 : -1;
        else if (c->to->ops->is_broken(c->to)) {
            *err = again;
            result = -1;
        }
    }
    buf_fini(&name);
    return result;
}

static int create(struct copy *c, struct pass *p, const struct folder *f,
    struct journal_folder *record, struct err *err)
{
    struct err other = ERR_INIT;
    if (make(c, record->target.name, f->use, err) == 0)
        return 0;
    if (!is_refused_name(c, err))
        return -1;
    int found = find_unseen(c, p, f, record, &other);
    if (found == 0)
        found = fall_back(c, p, f, record, &other);
    if (found > 0 && folder_list_find(p->there, record->target.name) == NULL &&
        folder_list_add(
            p->there, record->target.name, p->there->delimiter, 0, FOLDER_USE_NONE, &other) != 0)
        found = -1;
    if (found < 0)
        *err = other;
    return found > 0 ? 0 : -1;
}

struct folder *copy_find_target(const struct pass *p, const struct journal_folder *record)
{
    struct folder *t = folder_list_find(p->there, record->target.name);
    return t && !(t->attrs & FOLDER_NOSELECT) ? t : NULL;
}

/* Behind a flip the target's user does with his folders what he likes. */
static bool is_users(const struct pass *p, const struct journal_folder *record)
{
    return plan_policy(p->policy)->is_behind_flip &&
           (record->source.uidvalidity != 0 || record->target.uidvalidity != 0);
}

/* Mail without its subscription is worth more than neither. */
static int subscribe(struct copy *c, const struct pass *p, const struct folder *f,
    const struct journal_folder *record, struct err *err)
{
    struct end_ticket t = {0};
    c->to->ops->subscribe(c->to, record->target.name, true, &t);
    if (end_check(c->to, &t, "cannot subscribe to the folder", err) == 0)
        return 0;
    if (c->to->ops->is_broken(c->to))
        return -1;
    if (!copy_tell_folder(c, ITEM_SUBSCRIBE, f->name, err->text))
        p->counts->subscriptions_failed++;
    err_clear(err);
    return 0;
}

int copy_folder_on_target(struct copy *c, struct pass *p, const struct folder *f,
    struct journal_folder *record, struct folder *out, struct err *err)
{
    struct folder *t = copy_find_target(p, record);
    if (!t && create(c, p, f, record, err) != 0)
        return -1;
    t = t ? t : copy_find_target(p, record); /* under another name */
    if (!c->options.no_subscriptions && f->attrs & FOLDER_SUBSCRIBED &&
        !(t && (t->attrs & FOLDER_SUBSCRIBED || is_users(p, record))) &&
        subscribe(c, p, f, record, err) != 0)
        return -1;
    if (t) {
        *out = *t;
        out->name = record->target.name;
    }
    if (t && t->has & FOLDER_HAS_UIDVALIDITY && t->has & FOLDER_HAS_UIDNEXT)
        return 0;
    struct end_ticket ticket = {0};
    *out = (struct folder){.name = record->target.name, .delimiter = p->there->delimiter};
    c->to->ops->status(c->to, out, &ticket);
    return end_check(c->to, &ticket, "cannot look at the folder", err);
}
