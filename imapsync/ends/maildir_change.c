/* SPDX-License-Identifier: ISC */
/*
 * maildir_change: flags, moves and removals.  Each is the renaming or removal of a file under
 * exactly the name that was seen: if somebody has changed its flags meanwhile, there is no file of
 * this name, and it is looked at once more.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/maildir_parts.h"

#define REFRESHES_MAX 16 /* per operation: whoever renames all the time does not hold us up */

bool maildir_refind(
    struct maildir_end *e, struct disk_request *r, uint32_t uid, struct maildir_file **out)
{
    struct err ignored = ERR_INIT;
    *out = NULL;
    if (r->n_refreshes++ >= REFRESHES_MAX || maildir_folder_refresh(&e->open, &ignored) != 0)
        return false;
    *out = maildir_file_find(&e->open, uid);
    return *out != NULL;
}

static int dir_of(const struct maildir_end *e, const struct maildir_file *v)
{
    return v->is_new ? e->open.new : e->open.cur;
}

/* Never over another file.  NFS knows no such renaming; names of ours are unique there as well. */
static int rename_file(int from, const char *name, int to, const char *new_name)
{
    if (renameat2(from, name, to, new_name, RENAME_NOREPLACE) == 0)
        return 0;
    return errno == EINVAL ? renameat(from, name, to, new_name) : -1;
}

/* --- Flags -------------------------------------------------------------------------------- */

static int new_name(
    struct maildir_end *e, const struct disk_request *r, struct slice old, struct buf *out)
{
    struct maildir_name parts;
    bool lacks;
    if (!maildir_name_split(old, &parts))
        return -1;
    uint32_t keywords = maildir_letters_keywords(parts.letters),
             change = maildir_keywords_letters(&e->open, &r->flags, &r->keywords, &lacks);
    uint8_t system = maildir_letters_system(parts.letters);
    keywords = r->on ? keywords | change : keywords & ~change;
    system = (uint8_t)(r->on ? system | r->flags.system : system & ~r->flags.system);
    buf_clear(out);
    return maildir_name_join(parts.base, parts.letters, system, keywords, out);
}

static int flag_one(struct maildir_end *e, struct disk_request *r, uint32_t uid, struct err *err)
{
    struct buf name;
    struct maildir_file *v = maildir_file_find(&e->open, uid);
    int result = 0;
    buf_init(&name, 2 * MAILDIR_NAME_MAX);
    while (v && result == 0) {
        struct slice old = slice_str(maildir_file_name(&e->open, v));
        if (new_name(e, r, old, &name) != 0) {
            result = (int)disk_no(err, ENAMETOOLONG, "cannot change flags", e->open.name);
        } else if (slice_eq(old, buf_slice(&name)) && !v->is_new) {
            struct stat st;
            if (fstatat(e->open.cur, buf_cstr(&name), &st, AT_SYMLINK_NOFOLLOW) == 0 ||
                !maildir_refind(e, r, uid, &v))
                break;
        } else if (rename_file(dir_of(e, v), (const char *)old.p, e->open.cur, buf_cstr(&name)) ==
                   0) {
            result = maildir_file_renamed(&e->open, v, buf_slice(&name));
            break;
        } else if (errno != ENOENT) {
            result = (int)disk_no(err, errno, "cannot change flags", e->open.name);
        } else if (!maildir_refind(e, r, uid, &v)) {
            break;
        }
    }
    buf_fini(&name);
    return result == 0 ? 0 : -1;
}

static enum disk_step give_letters(struct maildir_end *e, struct disk_request *r, struct err *err)
{
    bool lacks;
    (void)maildir_keywords_letters(&e->open, &r->flags, &r->keywords, &lacks);
    if (!lacks || !r->on)
        return DISK_DONE;
    enum disk_step step = maildir_folder_lock(&e->m, &e->open, err);
    if (step != DISK_DONE)
        return step;
    int result = maildir_keywords_add(&e->m, &e->open, &r->flags, &r->keywords, err);
    maildir_folder_unlock(&e->open);
    return result == 0 ? DISK_DONE : DISK_NO;
}

enum disk_step maildir_flags(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    enum disk_step step = give_letters(e, r, err);
    for (size_t i = 0; i < r->n && step == DISK_DONE; i++) {
        if (flag_one(e, r, r->uids[i], err) != 0)
            step = DISK_NO;
    }
    if (step == DISK_DONE && fsync(e->open.cur) != 0)
        step = disk_no(err, errno, "cannot change flags", e->open.name);
    return step;
}

/* --- Removing ----------------------------------------------------------------------------- */

static bool is_marked(const char *name)
{
    struct maildir_name parts;
    return maildir_name_split(slice_str(name), &parts) &&
           maildir_letters_system(parts.letters) & FLAG_DELETED;
}

enum disk_step maildir_remove(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    for (size_t i = 0; i < r->n; i++) {
        struct maildir_file *v = maildir_file_find(&e->open, r->uids[i]);
        while (v && is_marked(maildir_file_name(&e->open, v))) {
            if (unlinkat(dir_of(e, v), maildir_file_name(&e->open, v), 0) == 0)
                break;
            if (errno != ENOENT)
                return disk_no(err, errno, "cannot remove a message", e->open.name);
            if (!maildir_refind(e, r, r->uids[i], &v))
                break;
        }
    }
    if (fsync(e->open.cur) != 0 || fsync(e->open.new) != 0)
        return disk_no(err, errno, "cannot remove a message", e->open.name);
    return DISK_DONE;
}

/* --- Moving ------------------------------------------------------------------------------- */

/* As flags with a table, which the other folder has letters of its own for. */
static void flags_of(
    const struct maildir_folder *f, struct slice letters, struct keywords *names, struct flags *out)
{
    uint32_t has = maildir_letters_keywords(letters);
    *out = (struct flags){.system = maildir_letters_system(letters)};
    for (size_t i = 0; i < MAILDIR_KEYWORDS; i++) {
        int bit =
            has >> i & 1 && f->keywords[i] ? keywords_bit(names, slice_str(f->keywords[i])) : -1;
        if (bit >= 0)
            out->keywords[bit / 64] |= UINT64_C(1) << (bit % 64);
    }
}

/* A new base, as the old one may be in the other folder's list; the ID stays, in its row. */
static int place(struct maildir_end *e, struct slice old, struct buf *base, struct buf *name,
    struct buf *fields, struct err *err)
{
    struct maildir_name parts;
    struct keywords names = {0};
    struct flags flags;
    bool lacks;
    int r = maildir_name_split(old, &parts) ? 0 : -1;
    buf_clear(base);
    buf_clear(name);
    buf_clear(fields);
    flags_of(&e->open, parts.letters, &names, &flags);
    (void)maildir_keywords_letters(&e->target, &flags, &names, &lacks);
    if (r == 0 && lacks)
        r = maildir_keywords_add(&e->m, &e->target, &flags, &names, err);
    uint32_t letters = maildir_keywords_letters(&e->target, &flags, &names, &lacks);
    const struct uidlist_row *row = uidlist_find(&e->open.list, parts.base);
    struct slice id = row ? uidlist_id(row) : parts.base;
    ptrdiff_t comma = slice_find(parts.base, ',');
    if (r == 0)
        r = disk_unique(&e->m, base);
    if (r == 0 && comma >= 0)
        r = buf_add(base, slice_from(parts.base, (size_t)comma));
    if (r == 0 && slice_find(id, ' ') < 0)
        r = buf_addf(fields, "G%.*s", SLICE_ARG(id));
    if (r == 0)
        r = maildir_name_join(buf_slice(base), parts.letters, flags.system, letters, name);
    keywords_fini(&names);
    return r;
}

struct moving {
    struct buf base, name, fields, rows;
    uint32_t next;
};

static int move_one(struct maildir_end *e, struct disk_request *r, uint32_t uid, struct moving *m,
    uint32_t *uid_out, struct err *err)
{
    struct maildir_file *v = maildir_file_find(&e->open, uid);
    while (v) {
        const char *old = maildir_file_name(&e->open, v);
        if (place(e, slice_str(old), &m->base, &m->name, &m->fields, err) != 0) {
            return err->class == ERR_NONE
                       ? (int)disk_no(err, ENAMETOOLONG, "cannot move", e->open.name)
                       : -1;
        }
        if (rename_file(dir_of(e, v), old, e->target.cur, buf_cstr(&m->name)) == 0) {
            *uid_out = m->next++;
            return uidlist_add_row(&m->rows, *uid_out, buf_slice(&m->fields), buf_slice(&m->base));
        }
        if (errno != ENOENT)
            return (int)disk_no(err, errno, "cannot move a message", e->open.name);
        if (!maildir_refind(e, r, uid, &v))
            return 0;
    }
    return 0;
}

/* With the lock of the other folder.  What was moved gets its UID even when a later one fails. */
static int move_all(struct maildir_end *e, struct disk_request *r, uint32_t *uids, struct err *err)
{
    struct moving m = {.next = e->target.list.next};
    buf_init(&m.base, 2 * MAILDIR_NAME_MAX);
    buf_init(&m.name, 2 * MAILDIR_NAME_MAX);
    buf_init(&m.fields, 2 * MAILDIR_NAME_MAX);
    buf_init(&m.rows, UIDLIST_MAX);
    struct err why = ERR_INIT;
    int result = 0;
    for (size_t i = 0; i < r->n && result == 0; i++)
        result = move_one(e, r, r->uids[i], &m, &uids[i], err);
    if (m.rows.n > 0 && (fsync(e->target.cur) != 0 || maildir_folder_append(&e->target,
                                                          buf_slice(&m.rows), m.next, &why) != 0)) {
        memset(uids, 0, r->n * sizeof(*uids));
        if (why.class == ERR_NONE)
            (void)disk_no(&why, errno, "cannot move messages", e->open.name);
        *err = why;
        result = -1;
    }
    if (fsync(e->open.cur) != 0 || fsync(e->open.new) != 0)
        result = (int)disk_no(err, errno, "cannot move messages", e->open.name);
    buf_fini(&m.base);
    buf_fini(&m.name);
    buf_fini(&m.fields);
    buf_fini(&m.rows);
    return result == 0 ? 0 : -1;
}

enum disk_step maildir_move(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    if (folder_same_name(r->name, e->open.name))
        return disk_no(err, EINVAL, "it is in this folder", r->name);
    enum disk_step step = maildir_target(e, r->name, err);
    if (step == DISK_DONE)
        step = maildir_folder_lock(&e->m, &e->target, err);
    if (step != DISK_DONE)
        return step;
    uint32_t *uids = mem_zalloc((r->n + 1) * sizeof(*uids));
    if (maildir_keywords_read(&e->target, err) != 0 || move_all(e, r, uids, err) != 0)
        step = DISK_NO;
    maildir_folder_unlock(&e->target);
    if (r->uids_out)
        *r->uids_out =
            (struct end_uids){.uidvalidity = e->target.list.validity, .v = uids, .n = r->n};
    else
        free(uids);
    if (step == DISK_NO && err->scope == ERR_SCOPE_NONE)
        err_scope_set(err, ERR_SCOPE_FOLDER);
    return step;
}
