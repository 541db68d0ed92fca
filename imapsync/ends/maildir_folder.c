/* SPDX-License-Identifier: ISC */
/*
 * maildir_folder: a folder as it is now, and giving UIDs.
 *
 * UIDs are given, and the list is written, only under Dovecot's lock, which is held for a moment
 * and never while we wait.  Rows are appended when the files have their names: whoever is stopped
 * in between leaves files without UIDs, as a delivery does, and the next one who looks gives them
 * some.  A list without a header is made anew, under another UIDVALIDITY; one with lines that
 * cannot be read is written anew from the others, as another program that appended to a torn line
 * would spoil both.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/ends/maildir_parts.h"

#define NAMES_MAX ((size_t)1 << 30)
#define ODD_MAX 65536

void maildir_folder_init(struct maildir_folder *f)
{
    *f = (struct maildir_folder){.fd = -1, .cur = -1, .new = -1};
    uidlist_init(&f->list);
    buf_init(&f->names, NAMES_MAX);
    buf_init(&f->odd, ODD_MAX);
}

void maildir_folder_fini(struct maildir_folder *f)
{
    free((void *)(uintptr_t)f->name.p);
    io_close(&f->fd);
    io_close(&f->cur);
    io_close(&f->new);
    uidlist_fini(&f->list);
    free(f->v);
    buf_fini(&f->names);
    buf_fini(&f->odd);
    for (size_t i = 0; i < MAILDIR_KEYWORDS; i++)
        mem_free_string(&f->keywords[i]);
    maildir_folder_init(f);
}

enum disk_step maildir_folder_open(
    struct disk *m, struct slice name, struct maildir_folder *f, struct err *err)
{
    struct buf dir;
    maildir_folder_fini(f);
    f->name = disk_dup(name);
    buf_init(&dir, MAILDIR_NAME_MAX);
    int errnum = ENOENT;
    if (maildir_folder_dir(name, &dir) == 0) {
        f->fd = disk_dir_open(m->fd, buf_cstr(&dir));
        f->cur = f->fd >= 0 ? disk_dir_open(f->fd, "cur") : -1;
        f->new = f->cur >= 0 ? disk_dir_open(f->fd, "new") : -1;
        errnum = errno;
    }
    buf_fini(&dir);
    if (f->new >= 0)
        return DISK_DONE;
    return disk_no(
        err, errnum, f->fd < 0 ? "cannot open it" : "it is no Maildir: cur or new", name);
}

/* --- Giving UIDs -------------------------------------------------------------------------- */

const char *maildir_file_name(const struct maildir_folder *f, const struct maildir_file *v)
{
    return (const char *)f->names.p + f->names.off + v->at;
}

struct aged {
    const char *name;
    struct maildir_file file;
};

/* By the time in the name, as far as it has one, then by name. */
static int by_age(const void *a, const void *b)
{
    const char *p = ((const struct aged *)a)->name, *q = ((const struct aged *)b)->name;
    size_t m = 0, n = 0;
    while (ascii_is_digit((unsigned char)p[m]))
        m++;
    while (ascii_is_digit((unsigned char)q[n]))
        n++;
    return m != n ? (m < n ? -1 : 1) : strcmp(p, q);
}

/* The first n. */
static void sort_by_age(struct maildir_folder *f, size_t n)
{
    struct aged *v = mem_realloc_array(NULL, n + 1, sizeof(*v));
    for (size_t i = 0; i < n; i++)
        v[i] = (struct aged){maildir_file_name(f, &f->v[i]), f->v[i]};
    mem_sort(v, n, sizeof(*v), by_age);
    for (size_t i = 0; i < n; i++)
        f->v[i] = v[i].file;
    free(v);
}

static int by_uid(const void *a, const void *b)
{
    const struct maildir_file *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static void sort_by_uid(struct maildir_folder *f)
{
    mem_sort(f->v, f->n, sizeof(*f->v), by_uid);
}

static size_t unlisted(const struct maildir_folder *f)
{
    size_t n = 0;
    for (size_t i = 0; i < f->n; i++)
        n += f->v[i].uid == 0;
    return n;
}

/* Two files of one name have one row: the second one is left out. */
static void drop_twins(struct maildir_folder *f, size_t n)
{
    struct maildir_name last = {0}, parts;
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++) {
        const char *name = maildir_file_name(f, &f->v[i]);
        if (i < n && maildir_name_split(slice_str(name), &parts)) {
            if (kept > 0 && slice_eq(last.base, parts.base)) {
                maildir_leave_out(f, name);
                continue;
            }
            last = parts;
        }
        f->v[kept++] = f->v[i];
    }
    f->n = kept;
}

/* With the lock, of what has just been read. */
static int give_uids(struct disk *m, struct maildir_folder *f, struct err *err)
{
    struct buf rows;
    struct maildir_name parts;
    size_t n = unlisted(f);
    bool is_new = f->list.validity == 0;
    if (is_new && maildir_validity(m, &f->list.validity, err) != 0)
        return -1;
    sort_by_uid(f);
    sort_by_age(f, n);
    drop_twins(f, n);
    if (f->list.next >= UIDLIST_UID_MAX - MESSAGES_MAX)
        return err_set(err, ERR_PERM, EX_DATAERR, "there are no UIDs left");
    n = unlisted(f);
    buf_init(&rows, UIDLIST_MAX);
    int r = 0;
    uint32_t next = f->list.next;
    for (size_t i = 0; i < n && r == 0; i++) {
        f->v[i].uid = next++;
        if (!maildir_name_split(slice_str(maildir_file_name(f, &f->v[i])), &parts))
            BUG("a name that was split before");
        r = uidlist_add_row(&rows, f->v[i].uid, SLICE_NONE, parts.base);
    }
    sort_by_uid(f);
    if (r != 0)
        err_set(err, ERR_PERM, EX_DATAERR, "the list of UIDs is too large");
    else if (is_new || !maildir_list_is_sound(&f->list)) {
        f->list.next = next;
        r = maildir_list_write(m, f, buf_slice(&rows), err);
    } else if (n > 0) {
        r = maildir_folder_append(f, buf_slice(&rows), next, err);
    }
    buf_fini(&rows);
    return r;
}

static enum disk_step take_lock(struct disk *m, struct maildir_folder *f, struct err *err)
{
    int r = disk_lock(m, f->fd, MAILDIR_LOCK, err);
    if (r < 0)
        err_scope_set(err, ERR_SCOPE_FOLDER);
    return r == 0 ? DISK_DONE : r > 0 ? DISK_AGAIN : DISK_NO;
}

void maildir_folder_unlock(struct maildir_folder *f)
{
    disk_unlock(f->fd, MAILDIR_LOCK);
}

enum disk_step maildir_folder_lock(struct disk *m, struct maildir_folder *f, struct err *err)
{
    struct stat now;
    enum disk_step step = take_lock(m, f, err);
    if (step != DISK_DONE)
        return step;
    bool is_known = f->list.validity != 0 && !f->list.is_torn &&
                    fstatat(f->fd, MAILDIR_UIDLIST, &now, AT_SYMLINK_NOFOLLOW) == 0 &&
                    now.st_ino == f->list_st.st_ino && now.st_size == f->list_st.st_size &&
                    now.st_mtim.tv_sec == f->list_st.st_mtim.tv_sec &&
                    now.st_mtim.tv_nsec == f->list_st.st_mtim.tv_nsec;
    int r = is_known ? 0 : maildir_list_read(f, err);
    if (r == 0 && !maildir_list_is_sound(&f->list))
        r = maildir_scan(f, err) == 0 ? give_uids(m, f, err) : -1;
    if (r == 0 && f->list.next < UIDLIST_UID_MAX - MESSAGES_MAX)
        return DISK_DONE;
    if (r == 0)
        err_set(err, ERR_PERM, EX_DATAERR, "there are no UIDs left");
    maildir_folder_unlock(f);
    err_scope_set(err, ERR_SCOPE_FOLDER);
    return DISK_NO;
}

/* --- Loading ------------------------------------------------------------------------------ */

static void tell_odd(struct maildir_folder *f)
{
    struct slice rest = buf_slice(&f->odd), name;
    while (slice_split(&rest, 0, &name)) {
        if (name.n > 0)
            maildir_say(
                f->name, name, "a name that no list can hold, or that another file has: left out");
    }
}

static int look(struct maildir_folder *f, struct err *err)
{
    if (maildir_list_read(f, err) != 0 || maildir_keywords_read(f, err) != 0)
        return -1;
    return maildir_scan(f, err);
}

int maildir_folder_refresh(struct maildir_folder *f, struct err *err)
{
    struct maildir_look before, behind;
    int r = 0;
    for (int tries = 0; tries < 4 && r == 0; tries++) {
        r = maildir_look_begin(f, &before) == 0 && maildir_list_read(f, err) == 0
                ? maildir_scan(f, err)
                : -1;
        if (r == 0 && maildir_look_begin(f, &behind) == 0 && maildir_look_is_same(&before, &behind))
            break;
    }
    sort_by_uid(f);
    return r;
}

static int load_locked(struct disk *m, struct maildir_folder *f, struct err *err)
{
    int r = look(f, err);
    if (r == 0 && (unlisted(f) > 0 || !maildir_list_is_sound(&f->list)))
        r = give_uids(m, f, err);
    return r;
}

enum disk_step maildir_folder_load(
    struct disk *m, struct slice name, bool settles, struct maildir_folder *f, struct err *err)
{
    struct maildir_look before, behind;
    enum disk_step step = maildir_folder_open(m, name, f, err);
    if (step != DISK_DONE)
        return step;
    if (maildir_look_begin(f, &before) != 0)
        return disk_no(err, errno, "cannot read it", name);
    bool is_still = maildir_look_is_still(&before);
    if (!is_still && settles)
        return DISK_AGAIN;
    int r = look(f, err);
    if (r == 0 && (unlisted(f) > 0 || !maildir_list_is_sound(&f->list))) {
        step = take_lock(m, f, err);
        if (step == DISK_AGAIN)
            return step;
        r = step == DISK_DONE ? load_locked(m, f, err) : -1;
        if (step == DISK_DONE)
            maildir_folder_unlock(f);
    }
    if (r != 0) {
        err_scope_set(err, ERR_SCOPE_FOLDER);
        return DISK_NO;
    }
    bool is_same = maildir_look_begin(f, &behind) == 0 && maildir_look_is_same(&before, &behind);
    if (!is_same && settles)
        return DISK_AGAIN;
    sort_by_uid(f);
    tell_odd(f);
    f->is_sure = is_same && f->odd.n == 0;
    f->state = is_same && is_still ? maildir_look_state(f, &before) : 0;
    return DISK_DONE;
}

static void fill_numbers(
    const struct maildir_folder *f, size_t n, uint64_t state, struct folder *out)
{
    out->messages = n < UINT32_MAX ? (uint32_t)n : 0;
    out->uidvalidity = f->list.validity;
    out->uidnext = f->list.next;
    out->modseq = state;
    out->has = FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY |
               (state ? FOLDER_HAS_MODSEQ : 0);
}

enum disk_step maildir_folder_numbers(
    struct disk *m, bool with_id, struct folder *out, struct err *err)
{
    struct maildir_folder f;
    struct maildir_look l;
    maildir_folder_init(&f);
    enum disk_step step = maildir_folder_open(m, out->name, &f, err);
    if (step == DISK_DONE && maildir_look_begin(&f, &l) != 0)
        step = disk_no(err, errno, "cannot read it", out->name);
    if (step == DISK_DONE && maildir_list_read(&f, err) != 0)
        step = DISK_NO;
    if (step == DISK_DONE && maildir_list_is_sound(&f.list)) {
        size_t n = maildir_count(&f);
        fill_numbers(&f, n, maildir_look_state(&f, &l), out);
    } else if (step == DISK_DONE) {
        step = maildir_folder_load(m, out->name, false, &f, err);
        if (step == DISK_DONE)
            fill_numbers(&f, f.n, f.state, out);
    }
    if (step == DISK_DONE && with_id)
        folder_set_id(out, f.list.guid);
    maildir_folder_fini(&f);
    return step;
}

/* --- Files -------------------------------------------------------------------------------- */

struct maildir_file *maildir_file_find(const struct maildir_folder *f, uint32_t uid)
{
    const struct maildir_file key = {.uid = uid};
    return mem_search(&key, f->v, f->n, sizeof(*f->v), by_uid);
}

int maildir_file_renamed(struct maildir_folder *f, struct maildir_file *v, struct slice name)
{
    v->at = (uint32_t)f->names.n;
    v->n = (uint8_t)name.n;
    v->is_new = false;
    return buf_add(&f->names, name) == 0 && buf_add_byte(&f->names, 0) == 0 ? 0 : -1;
}
