/* SPDX-License-Identifier: ISC */
/* maildir_folders: which folders there are, and making, renaming and subscribing them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/os/io.h"
#include "base/core/mem.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/maildir_parts.h"
#include "imapsync/ends/maildir_size.h"

static const struct disk_subscriptions subscriptions = {"subscriptions", '.'};

enum disk_step maildir_subscribe(struct disk_end *d, struct disk_request *r, struct err *err)
{
    return disk_subscriptions_change(&maildir_end_of(d)->m, &subscriptions, r->name, r->on, err);
}

/* --- Listing ------------------------------------------------------------------------------ */

static bool exists(int at, const char *dir, const char *name)
{
    struct buf path;
    struct stat st;
    buf_init(&path, 2 * MAILDIR_NAME_MAX);
    bool is = buf_addf(&path, "%s/%s", dir, name) == 0 &&
              fstatat(at, buf_cstr(&path), &st, AT_SYMLINK_NOFOLLOW) == 0;
    buf_fini(&path);
    return is;
}

/* A folder that has lost its cur/ is one, and cannot be opened; other programs' folders are none.
 */
static bool is_folder(int at, const char *dir)
{
    return exists(at, dir, "cur") || exists(at, dir, "new") || exists(at, dir, "maildirfolder");
}

static int add_folder(
    struct maildir_end *e, struct folder_list *l, const char *dir, struct err *err)
{
    struct stat st;
    struct slice name;
    if (fstatat(e->m.fd, dir, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    if (S_ISLNK(st.st_mode) && exists(e->m.fd, dir, "cur")) {
        maildir_say(slice_str(dir), SLICE_NONE, "a link to a folder: left out");
        l->ignored++;
    }
    if (!S_ISDIR(st.st_mode) || !is_folder(e->m.fd, dir))
        return 0;
    if (!maildir_folder_name(slice_str(dir), &name)) {
        maildir_say(slice_str(dir), SLICE_NONE, "no name of a folder in modified UTF-7: left out");
        l->ignored++;
        return 0;
    }
    return folder_list_add(l, name, '.', 0, FOLDER_USE_NONE, err);
}

static int list_names(struct maildir_end *e, struct folder_list *l, struct err *err)
{
    int fd = disk_dir_open(e->m.fd, ".");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        io_close(&fd);
        return err_sys(err, errno, "cannot list the folders");
    }
    int r = folder_list_add(l, SLICE_LIT("INBOX"), '.', 0, FOLDER_USE_NONE, err);
    for (struct dirent *d; r == 0 && (d = readdir(dir)) != NULL;) {
        if (d->d_name[0] == '.' && strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            r = add_folder(e, l, d->d_name, err);
    }
    (void)closedir(dir);
    l->delimiter = '.';
    return r == 0 ? disk_subscriptions_list(&e->m, &subscriptions, l, err) : -1;
}

/* The numbers of some of them with each step. */
enum disk_step maildir_folders(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    struct folder_list *l = r->list;
    if (r->at == 0 && l->n == 0 && list_names(e, l, err) != 0)
        return DISK_NO;
    for (size_t i = 0; i < 64 && r->at < l->n; i++, r->at++) {
        struct err why = ERR_INIT;
        enum disk_step step = maildir_folder_numbers(&e->m, true, &l->v[r->at], &why);
        if (step == DISK_AGAIN)
            return step;
        if (step == DISK_NO)
            maildir_say(l->v[r->at].name, SLICE_NONE, why.text);
    }
    return r->at < l->n ? DISK_MORE : DISK_DONE;
}

enum disk_step maildir_status(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    return maildir_folder_numbers(&e->m, false, r->status, err);
}

/* --- Making and renaming ------------------------------------------------------------------ */

/* Whole, list of UIDs included, before it gets its name. */
static int fill_folder(struct maildir_end *e, const char *aside, struct err *err)
{
    static const char *const parts[] = {"tmp", "new", "cur"};
    struct buf text;
    char guid[MAILDIR_GUID + 1];
    uint32_t validity;
    maildir_guid(guid);
    if (maildir_validity(&e->m, &validity, err) != 0)
        return -1;
    int at = disk_dir_make(&e->m, e->m.tmp, aside) == 0 ? disk_dir_open(e->m.tmp, aside) : -1;
    int r = at >= 0 ? 0 : -1;
    for (size_t i = 0; i < 3 && r == 0; i++)
        r = disk_dir_make(&e->m, at, parts[i]);
    int marker = r == 0 ? disk_file_make(&e->m, at, "maildirfolder", 0) : -1;
    if (marker < 0)
        r = err_sys(err, errno, "cannot make a folder");
    io_close(&marker);
    buf_init(&text, 256);
    if (r == 0)
        r = uidlist_add_header(&text, validity, 1, slice_str(guid));
    if (r == 0)
        r = disk_small_write(&e->m, at, MAILDIR_UIDLIST, buf_slice(&text), err);
    buf_fini(&text);
    io_close(&at);
    return r;
}

void maildir_drop_aside(const struct disk *m, const char *aside)
{
    static const char *const parts[] = {MAILDIR_UIDLIST, "maildirfolder", "tmp", "new", "cur"};
    int at = disk_dir_open(m->tmp, aside);
    for (size_t i = 0; i < 5 && at >= 0; i++)
        (void)unlinkat(at, parts[i], i < 2 ? 0 : AT_REMOVEDIR);
    io_close(&at);
    (void)unlinkat(m->tmp, aside, AT_REMOVEDIR);
}

/* An empty folder of that name, which nothing knows, gives way. */
enum disk_step maildir_make(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    struct buf dir, aside;
    buf_init(&dir, MAILDIR_NAME_MAX);
    buf_init(&aside, MAILDIR_NAME_MAX);
    enum disk_step step = DISK_DONE;
    if (maildir_folder_dir(r->name, &dir) != 0)
        step = disk_no(err, EINVAL, "a Maildir can have no such folder", r->name);
    else if (folder_is_inbox(r->name) || is_folder(e->m.fd, buf_cstr(&dir)))
        step = disk_no(err, EEXIST, "cannot make it", r->name);
    else if (disk_unique(&e->m, &aside) != 0)
        BUG("a short name");
    else if (fill_folder(e, buf_cstr(&aside), err) != 0)
        step = DISK_NO;
    else if (renameat(e->m.tmp, buf_cstr(&aside), e->m.fd, buf_cstr(&dir)) != 0 ||
             fsync(e->m.fd) != 0)
        step = disk_no(err, errno, "cannot make it", r->name);
    if (step != DISK_DONE && aside.n > 0)
        maildir_drop_aside(&e->m, buf_cstr(&aside));
    if (step != DISK_DONE && err->scope == ERR_SCOPE_NONE)
        err_scope_set(err, ERR_SCOPE_FOLDER);
    buf_fini(&dir);
    buf_fini(&aside);
    return step;
}

/* Directories of the folders below one, each with a NUL behind it. */
static int list_below(struct maildir_end *e, const char *dir_name, struct buf *out)
{
    size_t n = strlen(dir_name);
    int fd = disk_dir_open(e->m.fd, ".");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        io_close(&fd);
        return -1;
    }
    int r = 0;
    for (struct dirent *d; r == 0 && (d = readdir(dir)) != NULL;) {
        if (strncmp(d->d_name, dir_name, n) == 0 && d->d_name[n] == '.')
            r = buf_add(out, slice_make(d->d_name, strlen(d->d_name) + 1));
    }
    (void)closedir(dir);
    return r;
}

static int rename_one(struct maildir_end *e, const char *from, const char *to)
{
    return renameat2(e->m.fd, from, e->m.fd, to, RENAME_NOREPLACE);
}

/* Folders below it first: one who is stopped in between finds the folder under its old name. */
static enum disk_step rename_all(struct maildir_end *e, const struct disk_request *r,
    const char *from, const char *to, struct err *err)
{
    struct buf below, name;
    struct slice rest, dir;
    buf_init(&below, FOLDERS_OCTETS_MAX);
    buf_init(&name, MAILDIR_NAME_MAX);
    enum disk_step step = DISK_DONE;
    if (list_below(e, from, &below) != 0)
        step = disk_no(err, errno, "cannot list the folders below it", r->name);
    rest = buf_slice(&below);
    while (step == DISK_DONE && slice_split(&rest, 0, &dir) && dir.n > 0) {
        buf_clear(&name);
        if (buf_addf(&name, "%s%s", to, (const char *)dir.p + strlen(from)) != 0)
            step = disk_no(err, ENAMETOOLONG, "cannot rename a folder below it", r->name);
        else if (rename_one(e, (const char *)dir.p, buf_cstr(&name)) != 0)
            step = disk_no(err, errno, "cannot rename a folder below it", r->name);
    }
    if (step == DISK_DONE && (rename_one(e, from, to) != 0 || fsync(e->m.fd) != 0))
        step = disk_no(err, errno, "cannot rename it", r->name);
    buf_fini(&below);
    buf_fini(&name);
    return step;
}

enum disk_step maildir_rename(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    struct buf from, to;
    struct stat st;
    buf_init(&from, MAILDIR_NAME_MAX);
    buf_init(&to, MAILDIR_NAME_MAX);
    enum disk_step step;
    if (maildir_folder_dir(r->name, &from) != 0 || maildir_folder_dir(r->to, &to) != 0 ||
        folder_is_inbox(r->name) || folder_is_inbox(r->to))
        step = disk_no(err, EINVAL, "cannot rename it", r->name);
    else if (fstatat(e->m.fd, buf_cstr(&from), &st, AT_SYMLINK_NOFOLLOW) != 0)
        step = disk_no(err, errno, "cannot rename it", r->name);
    else if (fstatat(e->m.fd, buf_cstr(&to), &st, AT_SYMLINK_NOFOLLOW) == 0)
        step = disk_no(err, EEXIST, "cannot rename it", r->name);
    else
        step = rename_all(e, r, buf_cstr(&from), buf_cstr(&to), err);
    buf_fini(&from);
    buf_fini(&to);
    return step;
}

/* However its path is written. */
enum disk_step maildir_identify(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    (void)err;
    BUG_ON(buf_addf(r->identity, "%llx-%llx", (unsigned long long)e->m.st.st_dev,
               (unsigned long long)e->m.st.st_ino) != 0);
    return DISK_DONE;
}

#define SIZES "maildirsize"
#define SIZES_MAX ((size_t)1 << 20) /* programs begin it anew at 5,120 octets */

/* Where nobody keeps a quota there is no such file. */
enum disk_step maildir_quota(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct buf text;
    buf_init(&text, 2 * SIZES_MAX);
    if (disk_small_read(maildir_end_of(d)->m.fd, SIZES, SIZES_MAX, &text, NULL, err) == 0)
        maildir_size_take(buf_slice(&text), r->quota);
    err_clear(err);
    buf_fini(&text);
    return DISK_DONE;
}
