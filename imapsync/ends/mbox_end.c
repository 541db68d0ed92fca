/* SPDX-License-Identifier: ISC */
/* mbox_end: the mbox as a kind of files, and who makes it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/ends/mbox_parts.h"

/* --- Where it is -------------------------------------------------------------------------- */

/* "inbox" as Dovecot has it, or however it is written. */
static int find_inbox_name(int fd, char *out, size_t size)
{
    int again = disk_dir_open(fd, ".");
    DIR *dir = again >= 0 ? fdopendir(again) : NULL;
    struct stat st;
    bool is = false;
    if (!dir) {
        io_close(&again);
        return -1;
    }
    for (struct dirent *d; !is && (d = readdir(dir)) != NULL;) {
        is = folder_is_inbox(slice_str(d->d_name)) &&
             fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
             fmt_into(out, size, "%s", d->d_name) == 0;
    }
    (void)closedir(dir);
    return is ? 0 : 1;
}

static int make_inbox(struct mbox_end *e, struct err *err)
{
    int fd = disk_file_make(&e->m, e->inbox.dir, e->inbox.name, O_EXCL);
    if (fd < 0 || fsync(fd) != 0 || fsync(e->inbox.dir) != 0) {
        io_close(&fd);
        return err_sys(err, errno, "%s: cannot make INBOX, %s", e->disk.end.label, e->inbox.name);
    }
    io_close(&fd);
    return 0;
}

static int inbox_in_dir(struct mbox_end *e, struct err *err)
{
    int r = find_inbox_name(e->m.fd, e->inbox.name, sizeof(e->inbox.name));
    if (r < 0)
        return err_sys(err, errno, "%s: cannot read %s", e->disk.end.label, e->maker->dir);
    if (r > 0 && !e->maker->makes)
        return 0;
    e->inbox.dir = fcntl(e->m.fd, F_DUPFD_CLOEXEC, 0);
    if (e->inbox.dir < 0)
        return err_sys(err, errno, "%s: cannot use %s", e->disk.end.label, e->maker->dir);
    if (r == 0)
        return 0;
    if (fmt_into(e->inbox.name, sizeof(e->inbox.name), "inbox") != 0)
        BUG("a short name");
    return make_inbox(e, err);
}

static int inbox_elsewhere(struct mbox_end *e, struct err *err)
{
    const char *path = e->maker->inbox, *slash = strrchr(path, '/');
    char *dir = slice_dup(slice_make(path, (size_t)(slash - path) + 1));
    struct stat st;
    e->inbox.dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(dir);
    if (e->inbox.dir < 0 || fmt_into(e->inbox.name, sizeof(e->inbox.name), "%s", slash + 1) != 0)
        return err_sys(err, errno, "%s: cannot open %s", e->disk.end.label, path);
    bool is = fstatat(e->inbox.dir, e->inbox.name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (e->m.fd < 0)
        (void)(is ? (e->m.st = st, 0) : fstat(e->inbox.dir, &e->m.st));
    return is || !e->maker->makes ? 0 : make_inbox(e, err);
}

static int begin(struct disk_end *d, struct err *err)
{
    struct mbox_end *e = mbox_end_of(d);
    const struct mbox_maker *maker = e->maker;
    if (maker->dir) {
        e->m.fd = open(maker->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (e->m.fd < 0 || fstat(e->m.fd, &e->m.st) != 0)
            return err_sys(err, errno, "%s: cannot open %s", d->end.label, maker->dir);
    }
    disk_host(&e->m);
    return maker->inbox ? inbox_elsewhere(e, err) : inbox_in_dir(e, err);
}

/* --- The kind ----------------------------------------------------------------------------- */

static void fini(struct disk_end *d)
{
    struct mbox_end *e = mbox_end_of(d);
    mbox_folder_fini(&e->open);
    mbox_tail_fini(&e->tail);
    mbox_place_fini(&e->inbox);
    io_close(&e->lists);
    io_close(&e->m.fd);
}

static void forget(struct disk_end *d, struct disk_request *r)
{
    (void)d;
    mbox_body_free(r);
    mbox_batch_free(r);
}

const struct disk_kind mbox_kind = {
    .name = "mbox",
    .odd = "mbox_odd",
    .can = END_CAN_TELL_UIDS | END_CAN_REMOVE | END_CAN_BATCH,
    .begin = begin,
    .fini = fini,
    .forget = forget,
    .is_same = disk_token_is_same,
    .folders = mbox_folders,
    .status = mbox_status,
    .identify = mbox_identify,
    .make = mbox_make,
    .rename = mbox_rename,
    .subscribe = mbox_subscribe,
    .open = mbox_open,
    .read = mbox_read,
    .attributes = mbox_attributes,
    .append_message = mbox_append_message,
    .append_octets = mbox_append_octets,
    .append = mbox_append,
    .flags = mbox_flags,
    .move = mbox_move,
    .remove = mbox_remove,
};

static struct end *make(const struct end_maker *m, const struct wait_limits *limits)
{
    struct mbox_end *e = mem_zalloc(sizeof(*e));
    disk_end_init(&e->disk, &mbox_kind, m->label, limits);
    e->maker = (const struct mbox_maker *)m;
    e->m.fd = e->m.tmp = e->lists = e->inbox.dir = -1;
    mbox_folder_init(&e->open);
    return &e->disk.end;
}

/* --- The maker ---------------------------------------------------------------------------- */

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* One that need not be there: its folder does. */
static char *real_file(const char *path)
{
    char *real = realpath(path, NULL);
    const char *slash = strrchr(path, '/');
    if (real)
        return is_file(real) ? real : (free(real), NULL);
    char *dir = slash ? slice_dup(slice_make(path, (size_t)(slash - path) + 1)) : mem_strdup(".");
    char *real_dir = realpath(dir, NULL);
    struct buf out;
    buf_init(&out, PATH_MAX);
    if (real_dir && io_path(&out, real_dir, slash ? slash + 1 : path) == 0)
        real = buf_steal_cstr(&out);
    buf_fini(&out);
    free(real_dir);
    free(dir);
    return real;
}

/* Nobody who means a Maildir, or something else, gets mboxes between its files. */
static int check_dir(const char *path, bool makes, struct err *err)
{
    struct buf cur;
    struct stat st;
    buf_init(&cur, PATH_MAX);
    bool is_maildir =
        io_path(&cur, path, "cur") == 0 && stat(buf_cstr(&cur), &st) == 0 && S_ISDIR(st.st_mode);
    buf_fini(&cur);
    (void)makes;
    if (is_maildir)
        return err_set(err, ERR_PERM, EX_USAGE, "%s is a Maildir: say maildir:%s", path, path);
    return 0;
}

static int find_paths(struct mbox_maker *m, const char *where, struct err *err)
{
    struct slice all = slice_str(where);
    ptrdiff_t colon = slice_search(all, SLICE_LIT(":INBOX="));
    char *dir = slice_dup(colon >= 0 ? slice_sub(all, 0, (size_t)colon) : all);
    const char *inbox = colon >= 0 ? where + colon + 7 : NULL;
    int r = 0;
    if (colon < 0 && is_file(dir)) {
        m->inbox = real_file(dir);
    } else {
        if (m->makes && mkdir(dir, 0700) != 0 && errno != EEXIST)
            r = err_sys(err, errno, "cannot make %s", dir);
        m->dir = r == 0 ? realpath(dir, NULL) : NULL;
        if (r == 0 && !m->dir)
            r = err_sys(err, errno, "cannot find %s", dir);
        if (r == 0)
            r = check_dir(m->dir, m->makes, err);
        m->inbox = r == 0 && inbox ? real_file(inbox) : NULL;
    }
    if (r == 0 && (inbox || !m->dir) && !m->inbox)
        r = err_set(err, ERR_PERM, EX_USAGE, "%s: INBOX is no file", where);
    free(dir);
    return r;
}

int mbox_maker_init(
    struct mbox_maker *m, const char *label, const char *where, bool makes, struct err *err)
{
    struct buf name;
    *m = (struct mbox_maker){.makes = makes};
    buf_init(&name, (size_t)2 * PATH_MAX + 16);
    int r = find_paths(m, where, err);
    if (r == 0)
        r = buf_addf(&name, "mbox:%s%s%s", m->dir ? m->dir : "",
            m->dir && m->inbox ? ":INBOX=" : "", m->inbox ? m->inbox : "");
    if (r != 0) {
        buf_fini(&name);
        mbox_maker_fini(m);
        return -1;
    }
    m->name = buf_steal_cstr(&name);
    m->maker = (struct end_maker){
        .label = label, .user = m->dir ? m->dir : m->inbox, .name = m->name, .make = make};
    return 0;
}

void mbox_maker_fini(struct mbox_maker *m)
{
    free(m->dir);
    free(m->inbox);
    mem_free_string(&m->name);
    *m = (struct mbox_maker){0};
}
