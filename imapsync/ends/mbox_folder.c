/* SPDX-License-Identifier: ISC */
/*
 * mbox_folder: a folder as it is now: all of its file is read, under its own lock.
 *
 * UIDs that the file does not say are given and kept under the lock of the list.  Where no list can
 * be kept, they are places in the file, and the UIDVALIDITY is made of what the file is: it is
 * another one as soon as anything changes, and messages are found again by content.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/ends/mbox_parts.h"

void mbox_folder_init(struct mbox_folder *f)
{
    *f = (struct mbox_folder){.fd = -1};
}

void mbox_folder_fini(struct mbox_folder *f)
{
    free((void *)(uintptr_t)f->name.p);
    io_close(&f->fd);
    mbox_scan_fini(&f->scan);
    mbox_list_fini(&f->list);
    free(f->order);
    mbox_folder_init(f);
}

/* --- States ------------------------------------------------------------------------------- */

bool mbox_same_stat(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Every change from now on can be seen by its time; `now` was taken before. */
static bool is_still(const struct stat *st, const struct timespec *now)
{
    return st->st_mtim.tv_sec < now->tv_sec ||
           (st->st_mtim.tv_sec == now->tv_sec && st->st_mtim.tv_nsec < now->tv_nsec);
}

static uint64_t state_of(const struct stat *st)
{
    uint64_t state = 0;
    disk_state_add_stat(&state, st);
    disk_state_add(&state, (uint64_t)st->st_size);
    return state;
}

static uint64_t mtime_ns(const struct stat *st)
{
    return (uint64_t)st->st_mtim.tv_sec * UINT64_C(1000000000) + (uint64_t)st->st_mtim.tv_nsec;
}

/* --- Reading ------------------------------------------------------------------------------ */

static ssize_t read_at(void *arg, uint64_t at, void *to, size_t n)
{
    return pread(*(int *)arg, to, n, (off_t)at);
}

/* What a clock showed here, as everybody but us writes it. */
static void date_mails(struct mbox_scan *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct mbox_mail *m = &s->v[i];
        time_t shown = (time_t)m->date_s;
        struct tm tm;
        if (!m->is_local || m->date_s == MBOX_NO_DATE || !gmtime_r(&shown, &tm))
            continue;
        tm.tm_isdst = -1;
        m->date_s = (int64_t)mktime(&tm);
        m->is_local = false;
    }
}

static int by_uid(const void *a, const void *b)
{
    const struct mbox_order *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

static void order(struct mbox_folder *f)
{
    free(f->order);
    f->order = mem_realloc_array(NULL, f->scan.n + 1, sizeof(*f->order));
    for (uint32_t i = 0; i < f->scan.n; i++)
        f->order[i] = (struct mbox_order){f->scan.v[i].uid, i};
    mem_sort(f->order, f->scan.n, sizeof(*f->order), by_uid);
}

struct mbox_mail *mbox_mail_find(const struct mbox_folder *f, uint32_t uid)
{
    const struct mbox_order key = {.uid = uid},
                            *at = mem_search(&key, f->order, f->scan.n, sizeof(key), by_uid);
    return at ? &f->scan.v[at->at] : NULL;
}

/* --- UIDs --------------------------------------------------------------------------------- */

static void number_by_place(struct mbox_folder *f)
{
    uint64_t h = state_of(&f->st);
    mbox_list_fini(&f->list);
    f->list.validity = (uint32_t)(h ^ h >> 32) | 1;
    for (uint32_t i = 0; i < f->scan.n; i++)
        f->scan.v[i].uid = i + 1;
    f->list.next = (uint32_t)f->scan.n + 1;
    f->labels = f->scan.n == 0 && !f->scan.has_pseudo; /* the first one will say it */
}

/* The file says less than all. */
static bool needs_list(const struct mbox_scan *s)
{
    bool needs = s->validity == 0;
    for (size_t i = 0; i < s->n && !needs; i++)
        needs = s->v[i].uid <= (i > 0 ? s->v[i - 1].uid : 0);
    return needs;
}

static enum disk_step give_uids(struct mbox_end *e, struct mbox_folder *f, bool is_still_now)
{
    struct err ignored = ERR_INIT;
    bool needs = needs_list(&f->scan), is_target = e->maker->makes;
    enum disk_step step =
        needs || is_target ? mbox_list_lock(e, f->name) : DISK_DONE; /* else it is only read */
    if (step == DISK_AGAIN)
        return step;
    mbox_list_load(e, f->name, &f->list);
    needs |= mbox_uids_give(&f->scan, &f->list, mbox_list_fresh(&f->list), &f->labels);
    f->list.size = (uint64_t)f->st.st_size;
    f->list.ino = (uint64_t)f->st.st_ino;
    f->list.mtime_ns = is_still_now ? mtime_ns(&f->st) : 0;
    if (needs && (step != DISK_DONE || mbox_list_save(e, f->name, &f->list, &ignored) != 0))
        number_by_place(f);
    else if (!needs && is_target && step == DISK_DONE)
        (void)!mbox_list_save(e, f->name, &f->list, &ignored); /* spares the next one the reading */
    if (step == DISK_DONE && (needs || is_target))
        mbox_list_unlock(e, f->name);
    return DISK_DONE;
}

/* --- Loading ------------------------------------------------------------------------------ */

static enum disk_step scan(
    struct mbox_end *e, int fd, const struct timespec *now, struct mbox_folder *f, struct err *err)
{
    if (fstat(fd, &f->st) != 0)
        return disk_no(err, errno, "cannot read it", f->name);
    mbox_scan_fini(&f->scan);
    mbox_scan_init(&f->scan, read_at, &fd);
    int r = mbox_scan_run(&f->scan, (uint64_t)f->st.st_size, err);
    f->scan.arg = NULL;
    if (r != 0) {
        err_wrap(err, "%.*s", SLICE_ARG(f->name));
        err_scope_set(err, ERR_SCOPE_FOLDER);
        return DISK_NO;
    }
    if (f->scan.n_torn > 0)
        mbox_say(f->name, "a message that is not whole, as we were stopped: left out");
    date_mails(&f->scan);
    enum disk_step step = give_uids(e, f, is_still(&f->st, now));
    if (step == DISK_DONE)
        order(f);
    return step;
}

enum disk_step mbox_folder_load_locked(
    struct mbox_end *e, struct slice name, int fd, struct mbox_folder *f, struct err *err)
{
    struct stat st;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (f->fd >= 0 && folder_same_name(f->name, name) && fstat(fd, &st) == 0 &&
        mbox_same_stat(&st, &f->st))
        return DISK_DONE;
    struct slice copy = disk_dup(name);
    mbox_folder_fini(f);
    f->name = copy;
    enum disk_step step = scan(e, fd, &now, f, err);
    if (step == DISK_DONE)
        f->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    return step;
}

/* It is as it was read, and nothing can have changed without being seen. */
static bool is_known(const struct mbox_folder *f, struct slice name, const struct stat *st)
{
    return f->fd >= 0 && f->state != 0 && f->state == state_of(st) &&
           folder_same_name(f->name, name) && mbox_same_stat(st, &f->st);
}

enum disk_step mbox_folder_load(
    struct mbox_end *e, struct slice name, bool settles, struct mbox_folder *f, struct err *err)
{
    struct mbox_place p;
    struct stat st, behind;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    int fd = mbox_place_find(e, name, false, &p) == 0 ? mbox_file_open(&p, O_RDONLY, &st) : -1;
    int errnum = errno;
    mbox_place_fini(&p);
    if (fd < 0)
        return disk_no(err, errnum, "cannot open it", name);
    if (is_known(f, name, &st)) {
        io_close(&fd);
        return DISK_DONE;
    }
    if (!is_still(&st, &now) && settles) {
        io_close(&fd);
        return DISK_AGAIN;
    }
    enum disk_step step = mbox_lock_read(fd);
    if (step == DISK_NO)
        (void)disk_no(err, errno, "cannot lock it", name);
    struct slice copy = disk_dup(name);
    mbox_folder_fini(f);
    f->name = copy;
    if (step == DISK_DONE)
        step = scan(e, fd, &now, f, err);
    if (step == DISK_DONE) {
        bool is_same = fstat(fd, &behind) == 0 && mbox_same_stat(&behind, &f->st);
        f->state = is_same && is_still(&f->st, &now) ? state_of(&f->st) : 0;
        if (!is_same && settles)
            step = DISK_AGAIN;
    }
    mbox_unlock_read(fd);
    if (step == DISK_DONE)
        f->fd = fd;
    else
        io_close(&fd);
    return step;
}

/* --- Numbers ------------------------------------------------------------------------------ */

static void fill_numbers(
    const struct mbox_list *l, uint64_t messages, uint64_t state, struct folder *out)
{
    out->messages = (uint32_t)messages;
    out->uidvalidity = l->validity;
    out->uidnext = l->next;
    out->modseq = state;
    out->has = FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY |
               (state ? FOLDER_HAS_MODSEQ : 0);
}

/* The list knows them, of the file as it is. */
static bool are_listed(struct mbox_end *e, struct folder *out)
{
    struct mbox_place p;
    struct mbox_list l = {0};
    struct stat st;
    int fd = mbox_place_find(e, out->name, false, &p) == 0 ? mbox_file_open(&p, O_RDONLY, &st) : -1;
    bool is = fd >= 0;
    mbox_place_fini(&p);
    io_close(&fd);
    if (is)
        mbox_list_load(e, out->name, &l);
    is &= l.validity != 0 && l.mtime_ns != 0 && l.size == (uint64_t)st.st_size &&
          l.ino == (uint64_t)st.st_ino && l.mtime_ns == mtime_ns(&st);
    if (is)
        fill_numbers(&l, l.count, state_of(&st), out);
    mbox_list_fini(&l);
    return is;
}

enum disk_step mbox_folder_numbers(struct mbox_end *e, struct folder *out, struct err *err)
{
    if (are_listed(e, out))
        return DISK_DONE;
    /* Kept, as the one who asks most often opens it next. */
    bool is_other = !folder_same_name(e->open.name, out->name);
    struct mbox_folder f;
    mbox_folder_init(&f);
    enum disk_step step = mbox_folder_load(e, out->name, false, is_other ? &f : &e->open, err);
    const struct mbox_folder *seen = is_other ? &f : &e->open;
    if (step == DISK_DONE)
        fill_numbers(&seen->list, seen->scan.n, seen->state, out);
    mbox_folder_fini(&f);
    return step;
}
