/* SPDX-License-Identifier: ISC */
/* mbox_folders: which folders there are, and making, renaming and subscribing them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/mbox_parts.h"

static const struct disk_subscriptions subscriptions = {".subscriptions", '/'};

enum disk_step mbox_subscribe(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct mbox_end *e = mbox_end_of(d);
    if (e->m.fd < 0)
        return DISK_DONE; /* one file has no place for it */
    return disk_subscriptions_change(&e->m, &subscriptions, r->name, r->on, err);
}

void mbox_say(struct slice folder, const char *why)
{
    disk_say(&mbox_kind, folder, SLICE_NONE, why);
}

/* --- Listing ------------------------------------------------------------------------------ */

struct listing {
    struct mbox_end *e;
    struct folder_list *l;
    struct buf path; /* of the folder that is being listed, with "/" behind it */
    unsigned depth;
};

/* Empty, or with a message at its beginning. */
static bool looks_like_mbox(int at, const char *name)
{
    unsigned char octets[64];
    int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd >= 0 ? pread(fd, octets, sizeof(octets), 0) : -1;
    struct slice s = slice_make(octets, n > 0 ? (size_t)n : 0);
    bool is_denied = fd < 0; /* it is told as one that cannot be opened */
    io_close(&fd);
    while (s.n > 0 && (s.p[0] == '\n' || s.p[0] == '\r'))
        s = slice_from(s, 1);
    return is_denied || s.n == 0 || slice_starts(s, SLICE_LIT("From "));
}

static bool is_inbox_file(const struct mbox_end *e, const char *name)
{
    struct stat a, b;
    return e->inbox.dir >= 0 && fstatat(e->m.fd, name, &a, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(e->inbox.dir, e->inbox.name, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
           a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

static int list_dir(struct listing *g, int fd, struct err *err);

static int list_below(struct listing *g, int at, const char *name, struct err *err)
{
    size_t n = g->path.n;
    int fd = g->depth < FOLDER_LEVELS_MAX ? disk_dir_open(at, name) : -1;
    int r = 0;
    if (fd < 0) {
        mbox_say(slice_str(name), "a folder that cannot be read: left out");
        g->l->ignored++;
        return 0;
    }
    if (buf_addf(&g->path, "%s/", name) == 0) {
        g->depth++;
        r = list_dir(g, fd, err);
        g->depth--;
    } else {
        io_close(&fd);
    }
    buf_truncate(&g->path, n);
    return r;
}

static int add_file(struct listing *g, int at, const char *name, struct err *err)
{
    struct buf full;
    int r = 0;
    if (g->depth == 0 && is_inbox_file(g->e, name))
        return 0;
    buf_init(&full, FOLDER_NAME_MAX);
    bool fits = buf_add(&full, buf_slice(&g->path)) == 0 && buf_add_str(&full, name) == 0;
    if (!fits || !mbox_name_is_sound(buf_slice(&full)) || folder_is_inbox(buf_slice(&full))) {
        mbox_say(slice_str(name), "no name of a folder in modified UTF-7: left out");
        g->l->ignored++;
    } else if (looks_like_mbox(at, name)) {
        r = folder_list_add(g->l, buf_slice(&full), '/', 0, FOLDER_USE_NONE, err);
    } else {
        mbox_say(buf_slice(&full), "a file that is no mbox: left out");
    }
    buf_fini(&full);
    return r;
}

/* fd is closed. */
static int list_dir(struct listing *g, int fd, struct err *err)
{
    struct stat st;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        io_close(&fd);
        return err_sys(err, errno, "cannot list the folders");
    }
    int r = 0;
    for (struct dirent *d; r == 0 && (d = readdir(dir)) != NULL;) {
        if (mbox_name_is_hidden(d->d_name) ||
            fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(st.st_mode))
            r = list_below(g, dirfd(dir), d->d_name, err);
        else if (S_ISREG(st.st_mode))
            r = add_file(g, dirfd(dir), d->d_name, err);
        else if (S_ISLNK(st.st_mode))
            mbox_say(slice_str(d->d_name), "a link: left out");
    }
    (void)closedir(dir);
    return r;
}

static int list_names(struct mbox_end *e, struct folder_list *l, struct err *err)
{
    struct listing g = {.e = e, .l = l};
    int r = 0;
    l->delimiter = '/';
    if (e->inbox.dir >= 0)
        r = folder_list_add(l, SLICE_LIT("INBOX"), '/', 0, FOLDER_USE_NONE, err);
    if (e->m.fd < 0 || r != 0)
        return r;
    buf_init(&g.path, FOLDER_NAME_MAX);
    r = list_dir(&g, disk_dir_open(e->m.fd, "."), err);
    buf_fini(&g.path);
    return r == 0 ? disk_subscriptions_list(&e->m, &subscriptions, l, err) : -1;
}

/* The numbers of some of them with each step. */
enum disk_step mbox_folders(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct mbox_end *e = mbox_end_of(d);
    struct folder_list *l = r->list;
    if (r->at == 0 && l->n == 0 && list_names(e, l, err) != 0)
        return DISK_NO;
    for (size_t i = 0; i < 8 && r->at < l->n; i++, r->at++) {
        struct err why = ERR_INIT;
        enum disk_step step = mbox_folder_numbers(e, &l->v[r->at], &why);
        if (step == DISK_AGAIN)
            return step;
        if (step == DISK_NO)
            mbox_say(l->v[r->at].name, why.text);
    }
    return r->at < l->n ? DISK_MORE : DISK_DONE;
}

enum disk_step mbox_status(struct disk_end *d, struct disk_request *r, struct err *err)
{
    return mbox_folder_numbers(mbox_end_of(d), r->status, err);
}

/* However its path is written.  A file alone is another one when it was written anew. */
enum disk_step mbox_identify(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct mbox_end *e = mbox_end_of(d);
    (void)err;
    if (e->m.fd >= 0)
        BUG_ON(buf_addf(r->identity, "%llx-%llx", (unsigned long long)e->m.st.st_dev,
                   (unsigned long long)e->m.st.st_ino) != 0);
    return DISK_DONE;
}

/* --- Making and renaming ------------------------------------------------------------------ */

static enum disk_step make_file(
    struct mbox_end *e, const struct mbox_place *p, struct slice name, struct err *err)
{
    struct mbox_list l = {0};
    /* What was there before under this name had other UIDs. */
    mbox_list_load(e, name, &l);
    uint32_t fresh = mbox_list_fresh(&l);
    mbox_list_fini(&l);
    l = (struct mbox_list){.validity = fresh, .next = 1};
    int fd = disk_file_make(&e->m, p->dir, p->name, O_EXCL);
    if (fd < 0)
        return disk_no(err, errno, "cannot make it", name);
    io_close(&fd);
    if (fsync(p->dir) != 0)
        return disk_no(err, errno, "cannot make it", name);
    return mbox_list_save(e, name, &l, err) == 0 || e->m.fd < 0 ? DISK_DONE : DISK_NO;
}

enum disk_step mbox_make(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct mbox_end *e = mbox_end_of(d);
    struct mbox_place p = {.dir = -1};
    enum disk_step step;
    if (folder_is_inbox(r->name))
        step = disk_no(err, EEXIST, "cannot make it", r->name);
    else if (mbox_place_find(e, r->name, true, &p) != 0)
        step = disk_no(err, errno, "an mbox can have no such folder", r->name);
    else
        step = make_file(e, &p, r->name, err);
    mbox_place_fini(&p);
    if (step == DISK_NO && err->scope == ERR_SCOPE_NONE)
        err_scope_set(err, ERR_SCOPE_FOLDER);
    return step;
}

enum disk_step mbox_rename(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct mbox_end *e = mbox_end_of(d);
    struct mbox_place from = {.dir = -1}, to = {.dir = -1};
    struct stat st;
    enum disk_step step = DISK_DONE;
    errno = EINVAL;
    bool is = !folder_is_inbox(r->name) && !folder_is_inbox(r->to) &&
              mbox_place_find(e, r->name, false, &from) == 0 &&
              fstatat(from.dir, from.name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
              mbox_place_find(e, r->to, true, &to) == 0 &&
              renameat2(from.dir, from.name, to.dir, to.name, RENAME_NOREPLACE) == 0;
    if (!is)
        step = disk_no(err, errno, "cannot rename it", r->name);
    else if (S_ISREG(st.st_mode))
        mbox_list_rename(e, r->name, r->to);
    if (step == DISK_DONE && (fsync(from.dir) != 0 || fsync(to.dir) != 0))
        step = disk_no(err, errno, "cannot rename it", r->name);
    mbox_place_fini(&from);
    mbox_place_fini(&to);
    return step;
}
