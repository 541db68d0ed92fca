/* SPDX-License-Identifier: ISC */
/* maildir_end: the Maildir as a kind of files, and who makes it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/ends/maildir_parts.h"

static int begin(struct disk_end *d, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    struct disk *m = &e->m;
    m->fd = open(e->maker->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->fd < 0 || fstat(m->fd, &m->st) != 0)
        return err_sys(err, errno, "%s: cannot open %s", d->end.label, e->maker->path);
    disk_host(m);
    m->tmp = disk_dir_open(m->fd, "tmp");
    if (!e->maker->makes_dir)
        return 0;
    /* cur/ is the last one: with it the folder is a Maildir. */
    static const char *const parts[] = {"tmp", "new", "cur"};
    for (size_t i = 0; i < 3; i++) {
        if (disk_dir_make(m, m->fd, parts[i]) != 0 && errno != EEXIST)
            return err_sys(
                err, errno, "%s: cannot make %s in %s", d->end.label, parts[i], e->maker->path);
    }
    if (m->tmp < 0)
        m->tmp = disk_dir_open(m->fd, "tmp");
    if (m->tmp < 0 || fsync(m->fd) != 0)
        return err_sys(err, errno, "%s: cannot use %s", d->end.label, e->maker->path);
    maildir_tmp_clean(m);
    return 0;
}

static void fini(struct disk_end *d)
{
    struct maildir_end *e = maildir_end_of(d);
    maildir_folder_fini(&e->open);
    maildir_folder_fini(&e->target);
    io_close(&e->m.fd);
    io_close(&e->m.tmp);
}

static void forget(struct disk_end *d, struct disk_request *r)
{
    maildir_body_free(r);
    maildir_messages_free(maildir_end_of(d), r);
}

/* Somebody may have renamed or replaced the folder. */
static bool is_there_still(const struct maildir_end *e)
{
    struct buf dir;
    struct stat there, ours;
    buf_init(&dir, MAILDIR_NAME_MAX);
    bool is = maildir_folder_dir(e->target.name, &dir) == 0 &&
              fstatat(e->m.fd, buf_cstr(&dir), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
              fstat(e->target.fd, &ours) == 0 && there.st_ino == ours.st_ino;
    buf_fini(&dir);
    return is;
}

enum disk_step maildir_target(struct maildir_end *e, struct slice name, struct err *err)
{
    if (e->has_target && folder_same_name(e->target.name, name) && is_there_still(e))
        return DISK_DONE;
    enum disk_step step = maildir_folder_open(&e->m, name, &e->target, err);
    e->has_target = step == DISK_DONE;
    return step;
}

void maildir_say(struct slice folder, struct slice file, const char *why)
{
    disk_say(&maildir_kind, folder, file, why);
}

const struct disk_kind maildir_kind = {
    .name = "maildir",
    .odd = "maildir_odd",
    .can = END_CAN_TELL_UIDS | END_CAN_REMOVE | END_CAN_MOVE | END_CAN_BATCH | END_CAN_TELL_IDS,
    .begin = begin,
    .fini = fini,
    .forget = forget,
    .is_same = disk_token_is_same,
    .folders = maildir_folders,
    .status = maildir_status,
    .identify = maildir_identify,
    .quota = maildir_quota,
    .make = maildir_make,
    .rename = maildir_rename,
    .subscribe = maildir_subscribe,
    .open = maildir_open,
    .read = maildir_read,
    .attributes = maildir_attributes,
    .append = maildir_append,
    .flags = maildir_flags,
    .move = maildir_move,
    .remove = maildir_remove,
    .append_message = maildir_append_message,
    .append_octets = maildir_append_octets,
};

static struct end *make(const struct end_maker *m, const struct wait_limits *limits)
{
    struct maildir_end *e = mem_zalloc(sizeof(*e));
    disk_end_init(&e->disk, &maildir_kind, m->label, limits);
    e->maker = (const struct maildir_maker *)m;
    e->m.fd = e->m.tmp = -1;
    maildir_folder_init(&e->open);
    maildir_folder_init(&e->target);
    return &e->disk.end;
}

/* --- The maker ---------------------------------------------------------------------------- */

/* Whether there is nothing in it but what a Maildir begins with. */
static bool is_blank(const char *path)
{
    DIR *dir = opendir(path);
    bool is = dir != NULL;
    for (struct dirent *d; is && (d = readdir(dir)) != NULL;) {
        is = strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0 ||
             strcmp(d->d_name, "tmp") == 0 || strcmp(d->d_name, "new") == 0;
    }
    if (dir)
        (void)closedir(dir);
    return is;
}

static int check(struct maildir_maker *m, struct err *err)
{
    struct buf cur;
    struct stat st;
    buf_init(&cur, PATH_MAX);
    int r = io_path(&cur, m->path, "cur");
    bool is = r == 0 && stat(buf_cstr(&cur), &st) == 0 && S_ISDIR(st.st_mode);
    buf_fini(&cur);
    if (is || (m->makes_dir && is_blank(m->path)))
        return 0;
    return err_set(err, ERR_PERM, EX_USAGE, "%s is no Maildir: it has no folder cur", m->path);
}

int maildir_maker_init(
    struct maildir_maker *m, const char *label, const char *path, bool makes_dir, struct err *err)
{
    struct buf name;
    *m = (struct maildir_maker){.makes_dir = makes_dir};
    if (makes_dir && mkdir(path, 0700) != 0 && errno != EEXIST)
        return err_sys(err, errno, "cannot make %s", path);
    m->path = realpath(path, NULL);
    if (!m->path)
        return err_sys(err, errno, "cannot find %s", path);
    buf_init(&name, PATH_MAX + 16);
    if (check(m, err) != 0 || buf_addf(&name, "maildir:%s", m->path) != 0) {
        buf_fini(&name);
        maildir_maker_fini(m);
        return -1;
    }
    m->name = buf_steal_cstr(&name);
    m->maker = (struct end_maker){.label = label, .user = m->path, .name = m->name, .make = make};
    return 0;
}

void maildir_maker_fini(struct maildir_maker *m)
{
    free(m->path);
    mem_free_string(&m->name);
    *m = (struct maildir_maker){0};
}
