/* SPDX-License-Identifier: ISC */
/*
 * copy_target: the target's folder for one of the source: made when it is not there, under a name
 * that the target takes, and subscribed to as the source's is.
 */
#include "base/core/log.h"
#include "imapsync/copy/copy_parts.h"
#include "imapsync/ends/limits.h"

static int make(struct copy *c, struct slice name, enum folder_use use, struct err *err)
{
    struct end_ticket t = {0};
    c->to->ops->make(c->to, name, use, &t);
    return end_check(c->to, &t, "cannot create the folder", err);
}

/* Creates the folder.  A target that refuses a character of its name gets one without, and the
 * journal keeps the new name. */
static int create(struct copy *c, const struct pass *p, const struct folder *f,
    struct journal_folder *record, struct err *err)
{
    if (make(c, record->target.name, f->use, err) == 0)
        return 0;
    struct buf name;
    struct err again = ERR_INIT;
    int result = -1;
    buf_init(&name, 16 * FOLDER_NAME_MAX);
    if (err->class == ERR_PERM && err->scope == ERR_SCOPE_FOLDER &&
        folder_safe_name(record->target.name, p->map, p->there, &name) &&
        make(c, buf_slice(&name), f->use, &again) == 0) {
        journal_set(&record->target.name, buf_slice(&name));
        log_info(
            "folder_renamed", log_slice("folder", f->name), log_slice("to", record->target.name));
        /* The next name that comes out the same has to see this one. */
        result = folder_list_add(
            p->there, record->target.name, p->there->delimiter, 0, FOLDER_USE_NONE, err);
        if (result == 0)
            result = journal_folder_put(c->journal, record, err);
    }
    buf_fini(&name);
    return result;
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

int copy_folder_on_target(struct copy *c, const struct pass *p, const struct folder *f,
    struct journal_folder *record, struct folder *out, struct err *err)
{
    struct folder *t = copy_find_target(p, record);
    bool is_there = t != NULL;
    if (!is_there && create(c, p, f, record, err) != 0)
        return -1;
    if (!c->options.no_subscriptions && f->attrs & FOLDER_SUBSCRIBED &&
        !(t && (t->attrs & FOLDER_SUBSCRIBED || is_users(p, record))) &&
        subscribe(c, p, f, record, err) != 0)
        return -1;
    if (is_there) {
        *out = *t;
        out->name = record->target.name;
    }
    if (is_there && t->has & FOLDER_HAS_UIDVALIDITY && t->has & FOLDER_HAS_UIDNEXT)
        return 0;
    struct end_ticket ticket = {0};
    *out = (struct folder){.name = record->target.name, .delimiter = p->there->delimiter};
    c->to->ops->status(c->to, out, &ticket);
    return end_check(c->to, &ticket, "cannot look at the folder", err);
}
