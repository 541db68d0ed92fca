/* SPDX-License-Identifier: ISC */
/*
 * maildir_end: the life of the end, and who makes it.
 *
 * Nothing has to be waited for but other people's locks and the clock.  What is begun waits in the
 * queue all the same, and one call of advance() does one step of the first of them, so that the
 * other side of the copy has its turn and nobody is called back from inside a slot.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/ends/maildir_parts.h"

#define QUEUE_ROOM 64

/* --- The slots about itself --------------------------------------------------------------- */

static unsigned can(const struct end *end)
{
    (void)end;
    return END_CAN_TELL_UIDS | END_CAN_REMOVE | END_CAN_MOVE | END_CAN_BATCH | END_CAN_TELL_IDS;
}

static uint64_t size_max(const struct end *end)
{
    (void)end;
    return 0;
}

static size_t unsent(const struct end *end)
{
    (void)end;
    return 0;
}

static bool has_room(const struct end *end)
{
    const struct maildir_end *e = (const struct maildir_end *)end;
    size_t n = 0;
    for (const struct maildir_request *r = e->queue; r; r = r->next)
        n++;
    return n < QUEUE_ROOM;
}

static void set_pause(struct end *end, bool on)
{
    maildir_end_of(end)->is_paused = on;
}

static bool can_go_on(const struct maildir_end *e)
{
    if (!e->is_open || e->is_broken)
        return true;
    return e->queue && !e->queue->is_building && !(e->is_paused && e->queue->sink);
}

static void prepare(struct end *end, struct pollfd *fd, int *timeout_ms_out)
{
    const struct maildir_end *e = maildir_end_of(end);
    uint64_t now = clock_mono_ms();
    *fd = (struct pollfd){.fd = -1};
    *timeout_ms_out = !can_go_on(e) ? -1 : e->again_ms > now ? (int)(e->again_ms - now) : 0;
}

static void lose(struct end *end, const struct err *why)
{
    struct maildir_end *e = maildir_end_of(end);
    if (e->is_broken)
        return;
    e->why = *why;
    e->is_broken = true;
    maildir_lose_all(e);
}

static int broken(struct maildir_end *e, const struct err *why, struct err *err)
{
    struct err copy = *why;
    lose(&e->end, &copy);
    maildir_lose_all(e); /* what was begun on it since, without a turn of its own */
    *err = copy;
    return -1;
}

static int open_dir(struct maildir_end *e, struct err *err)
{
    struct maildir *m = &e->m;
    m->fd = open(e->maker->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (m->fd < 0 || fstat(m->fd, &m->st) != 0)
        return err_sys(err, errno, "%s: cannot open %s", e->end.label, e->maker->path);
    maildir_host(m);
    m->tmp = maildir_dir_open(m->fd, "tmp");
    if (!e->maker->makes_dir)
        return 0;
    /* cur/ is the last one: with it the folder is a Maildir. */
    static const char *const parts[] = {"tmp", "new", "cur"};
    for (size_t i = 0; i < 3; i++) {
        if (maildir_dir_make(m, m->fd, parts[i]) != 0 && errno != EEXIST)
            return err_sys(
                err, errno, "%s: cannot make %s in %s", e->end.label, parts[i], e->maker->path);
    }
    if (m->tmp < 0)
        m->tmp = maildir_dir_open(m->fd, "tmp");
    if (m->tmp < 0 || fsync(m->fd) != 0)
        return err_sys(err, errno, "%s: cannot use %s", e->end.label, e->maker->path);
    return 0;
}

/* --- Steps -------------------------------------------------------------------------------- */

static enum maildir_step do_step(struct maildir_end *e, struct maildir_request *r, struct err *err)
{
    if (r->needs_open && !e->is_opened) {
        err_set(err, ERR_TEMP, EX_TEMPFAIL, "the folder that it is about was not opened");
        err_scope_set(err, ERR_SCOPE_FOLDER);
        return MAILDIR_NO;
    }
    if (r->needs_writing && !e->is_for_writing) {
        err_set(err, ERR_PERM, EX_SOFTWARE, "the folder was opened for reading only");
        err_scope_set(err, ERR_SCOPE_FOLDER);
        return MAILDIR_NO;
    }
    return r->step(e, r, err);
}

static void again(struct maildir_end *e, struct maildir_request *r)
{
    struct err err = ERR_INIT;
    uint64_t now = clock_mono_ms();
    if (r->since_ms == 0)
        r->since_ms = now;
    e->again_ms = now + MAILDIR_AGAIN_MS;
    if (now - r->since_ms < MAILDIR_PATIENCE_MS)
        return;
    e->again_ms = 0;
    err_set(&err, ERR_TEMP, EX_TEMPFAIL, "another program has the lock %s", MAILDIR_LOCK);
    err_scope_set(&err, ERR_SCOPE_FOLDER);
    maildir_answer(e, END_NO, &err);
}

static int advance(struct end *end, short revents, bool *moved_out, struct err *err)
{
    struct maildir_end *e = maildir_end_of(end);
    struct err why = ERR_INIT;
    (void)revents;
    if (e->is_broken)
        return broken(e, &e->why, err);
    if (!e->is_open) {
        if (open_dir(e, &why) != 0)
            return broken(e, &why, err);
        e->is_open = true;
        *moved_out = true;
    }
    if (!can_go_on(e) || e->again_ms > clock_mono_ms())
        return 0;
    e->again_ms = 0;
    struct maildir_request *r = e->queue;
    switch (do_step(e, r, &why)) {
    case MAILDIR_DONE:
        maildir_answer(e, END_OK, NULL);
        break;
    case MAILDIR_NO:
        maildir_answer(e, END_NO, &why);
        break;
    case MAILDIR_AGAIN:
        again(e, r);
        return 0;
    case MAILDIR_LOST:
        return broken(e, &why, err);
    case MAILDIR_MORE:
        r->since_ms = 0;
        break;
    }
    *moved_out = true;
    /* A callback of the ticket may have lost it. */
    return e->is_broken ? broken(e, &e->why, err) : 0;
}

static bool is_open(const struct end *end)
{
    return ((const struct maildir_end *)end)->is_open;
}

static bool is_broken(const struct end *end)
{
    return ((const struct maildir_end *)end)->is_broken;
}

static bool is_silent(const struct end *end)
{
    (void)end;
    return false;
}

static bool is_idle(const struct end *end)
{
    return !((const struct maildir_end *)end)->queue;
}

static void leave(struct end *end)
{
    (void)end;
}

static void do_close(struct end *end)
{
    struct maildir_end *e = maildir_end_of(end);
    struct err err = ERR_INIT;
    err_set(&err, ERR_TEMP, EX_TEMPFAIL, "%s: closed before it was done", end->label);
    lose(end, &err);
    maildir_lose_all(e);
    maildir_folder_fini(&e->open);
    maildir_folder_fini(&e->target);
    io_close(&e->m.fd);
    io_close(&e->m.tmp);
    free(e);
}

static const struct end_ops ops = {
    .kind = "maildir",
    .can = can,
    .size_max = size_max,
    .is_same = maildir_is_same,
    .folders = maildir_folders,
    .status = maildir_status,
    .identify = maildir_identify,
    .make = maildir_make,
    .rename = maildir_rename,
    .subscribe = maildir_subscribe,
    .open = maildir_open,
    .read = maildir_read,
    .attributes = maildir_attributes,
    .append_begin = maildir_append_begin,
    .append_message = maildir_append_message,
    .append_octets = maildir_append_octets,
    .append_end = maildir_append_end,
    .unsent = unsent,
    .has_room = has_room,
    .flags = maildir_flags,
    .move = maildir_move,
    .remove = maildir_remove,
    .pause = set_pause,
    .prepare = prepare,
    .advance = advance,
    .is_open = is_open,
    .is_broken = is_broken,
    .is_silent = is_silent,
    .is_idle = is_idle,
    .lose = lose,
    .leave = leave,
    .close = do_close,
};

static struct end *make(const struct end_maker *m, const struct wait_limits *limits)
{
    struct maildir_end *e = mem_zalloc(sizeof(*e));
    e->end = (struct end){.ops = &ops, .label = m->label, .limits = limits};
    e->maker = (const struct maildir_maker *)m;
    e->m.fd = e->m.tmp = -1;
    maildir_folder_init(&e->open);
    maildir_folder_init(&e->target);
    return &e->end;
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
