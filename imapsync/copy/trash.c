/* SPDX-License-Identifier: ISC */
/* trash: see trash.h. */
#include "imapsync/copy/trash.h"

#include "imapsync/ends/limits.h"

static const char *const names[] = {"Trash", "Deleted Items", "Deleted Messages"};

/* Its name without the namespace, or INBOX, before it; empty: it is deeper. */
static struct slice plain_name(const struct folder_list *l, const struct folder *f)
{
    struct slice rest = f->name;
    if (l->personal.n > 0 && rest.n > l->personal.n && slice_starts(rest, l->personal))
        return slice_from(rest, l->personal.n);
    if (f->delimiter >= 0 && rest.n > 6 && folder_is_inbox(slice_sub(rest, 0, 5)) &&
        rest.p[5] == (unsigned char)f->delimiter)
        return slice_from(rest, 6);
    return l->personal.n == 0 ? rest : SLICE_NONE;
}

static bool may_be_it(const struct folder_list *l, const struct folder *f)
{
    return !(f->attrs & (FOLDER_NOSELECT | FOLDER_VIRTUAL)) && folder_is_own(l, f);
}

const struct folder *trash_find(const struct folder_list *there)
{
    for (size_t i = 0; i < there->n; i++) {
        if (there->v[i].use == FOLDER_USE_TRASH && may_be_it(there, &there->v[i]))
            return &there->v[i];
    }
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        for (size_t i = 0; i < there->n; i++) {
            if (may_be_it(there, &there->v[i]) &&
                slice_eq_nocase(plain_name(there, &there->v[i]), slice_str(names[k])))
                return &there->v[i];
        }
    }
    return NULL;
}

static int make(struct end *target, struct folder_list *there, struct slice name, struct err *err)
{
    struct end_ticket make = {0}, subscribe = {0};
    struct folder f = {.name = name};
    struct end_ticket status = {0};
    target->ops->make(target, name, FOLDER_USE_TRASH, &make);
    target->ops->subscribe(target, name, true, &subscribe);
    target->ops->status(target, &f, &status);
    if (end_drain(target, err) != 0 ||
        end_check(target, &make, "cannot create a folder for what was removed", err) != 0 ||
        folder_list_add(there, name, there->delimiter, FOLDER_SUBSCRIBED, FOLDER_USE_TRASH, err) !=
            0)
        return -1;
    struct folder *made = folder_list_find(there, name);
    if (made && status.result == END_OK) {
        made->has = f.has;
        made->uidvalidity = f.uidvalidity;
        made->uidnext = f.uidnext;
        made->messages = f.messages;
        made->modseq = f.modseq;
    }
    return 0;
}

int trash_make(struct end *target, struct folder_list *there, struct err *err)
{
    struct buf name;
    buf_init(&name, FOLDER_NAME_MAX);
    int result = 0;
    if (buf_add(&name, there->personal) != 0 || buf_add_str(&name, names[0]) != 0)
        result = err_set(err, ERR_PERM, 0, "the namespace is too long");
    if (result == 0)
        result = make(target, there, buf_slice(&name), err);
    buf_fini(&name);
    return result;
}
