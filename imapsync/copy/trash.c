/* SPDX-License-Identifier: ISC */
/* trash: see trash.h. */
#include "imapsync/copy/trash.h"

#include <sysexits.h>

#include "imapsync/plan/folder_special.h"
#include "imapsync/ends/limits.h"

const struct folder *trash_find(const struct folder_list *there)
{
    return folder_of_use(there, FOLDER_USE_TRASH);
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
    if (buf_add(&name, there->personal) != 0 || buf_add_str(&name, "Trash") != 0)
        result = err_set(err, ERR_PERM, 0, "the namespace is too long");
    if (result == 0)
        result = make(target, there, buf_slice(&name), err);
    buf_fini(&name);
    return result;
}

/* --- In the journal ----------------------------------------------------------------------------
 */

struct search {
    struct journal *journal;
    struct slice name;
    uint32_t id;
    int result;
    struct err err;
};

/* What a folder was under an earlier UIDVALIDITY has the name that it had then, whatever that is
 * called now. */
static void on_folder(void *arg, const struct journal_folder *f)
{
    struct search *s = arg;
    bool is_past;
    if (s->result != 0 || !folder_same_name(f->target.name, s->name))
        return;
    s->result = journal_folder_is_past(s->journal, f, &is_past, &s->err);
    if (!is_past)
        s->id = f->id;
}

/* found_out: the journal's folder with this name on the target. */
static int search(struct journal *j, struct slice name, struct journal_folder *out, bool *found_out,
    struct err *err)
{
    struct search s = {.journal = j, .name = name, .err = ERR_INIT};
    *found_out = false;
    if (journal_folders_each(j, on_folder, &s, err) != 0)
        return -1;
    if (s.result != 0) {
        *err = s.err;
        return -1;
    }
    return s.id != 0 ? journal_folder_by_id(j, s.id, out, found_out, err) : 0;
}

/* What the status of a folder tells in which nobody has written yet need not last (Courier). */
static int open_it(
    struct end *target, const struct folder *trash, uint32_t *uidvalidity_out, struct err *err)
{
    struct end_ticket t = {0};
    struct keywords none = {0};
    struct end_changes there;
    end_changes_init(&there, &none);
    target->ops->open(target,
        &(struct end_open){.folder = trash->name, .is_for_writing = true, .is_only_opened = true},
        &there, &t);
    int result = end_check(target, &t, "cannot open the folder for what was removed", err);
    *uidvalidity_out = there.uidvalidity;
    end_changes_fini(&there);
    keywords_fini(&none);
    return result;
}

/* A name that no folder of the source has in the journal. */
static int name_it(struct journal *j, struct slice like, struct slice *owned, struct err *err)
{
    struct buf name;
    bool found = true;
    int result = 0;
    buf_init(&name, FOLDER_NAME_MAX);
    if (buf_add(&name, like) != 0)
        result = err_set(err, ERR_PERM, 0, "the name of Trash is too long");
    while (result == 0 && found) {
        struct journal_folder of;
        result = journal_folder_get(j, buf_slice(&name), &of, &found, err);
        journal_folder_fini(&of);
        if (result == 0 && found && buf_add_str(&name, "~") != 0)
            result = err_set(err, ERR_PERM, 0, "the name of Trash is too long");
    }
    if (result == 0)
        journal_set(owned, buf_slice(&name));
    buf_fini(&name);
    return result;
}

/* Whether the source has one for it, so that the next pass will look at it. */
static bool is_listed(
    const struct journal_folder *f, const struct journal_folder *lost, size_t n_lost)
{
    bool is = f->source.uidvalidity != 0;
    for (size_t i = 0; i < n_lost; i++)
        is = is && lost[i].id != f->id;
    return is;
}

int trash_record(struct end *target, struct journal *j, const struct folder *trash,
    const struct journal_folder *lost, size_t n_lost, struct journal_folder *out, struct err *err)
{
    uint32_t uidvalidity;
    bool found;
    if (open_it(target, trash, &uidvalidity, err) != 0 ||
        search(j, trash->name, out, &found, err) != 0)
        return -1;
    if (found && out->target.uidvalidity == uidvalidity)
        return 0;
    /* The pass has looked at another one, and the next one will look at this. */
    if (found && is_listed(out, lost, n_lost)) {
        journal_folder_fini(out);
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: Trash was replaced meanwhile", target->label);
        return err_scope_set(err, ERR_SCOPE_FOLDER);
    }
    if (!found && name_it(j, trash->name, &out->source.name, err) != 0)
        return -1;
    if (found && journal_folder_detach(j, out->id, PAIR_GONE, false, err) != 0)
        return -1;
    journal_set(&out->target.name, trash->name);
    journal_set(&out->target.mailboxid, trash->id);
    journal_set(&out->target.token, SLICE_NONE);
    out->target.uidvalidity = uidvalidity;
    return journal_folder_put(j, out, err);
}
