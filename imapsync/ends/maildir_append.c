/* SPDX-License-Identifier: ISC */
/*
 * maildir_append: storing messages.
 *
 * Octets go to files in DIR/tmp as they come.  When the batch is whole and has its turn, the files
 * are made durable, get their names in cur/ and then their UIDs, all under the folder's lock.  A
 * batch that cannot be stored to its end is taken back; one that is cut short by a kill leaves
 * whole messages, perhaps not all of them, and each without a UID or with its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/maildir_parts.h"

#define SINGLY 4 /* files of a batch that are made durable one by one; more of them at once */

struct maildir_message {
    char *tmp;  /* its name in tmp/; NULL: there is none any more */
    char *name; /* in cur/, once it was made */
    int fd;
    struct flags flags;
    bool has_date;
    int64_t date_s;
    uint64_t size, written, bare; /* bare: LFs that have no CR in front */
    unsigned char last;
    bool is_there; /* in cur/ */
};

static struct maildir_message *messages_of(const struct disk_request *r)
{
    return r->messages;
}

void maildir_messages_free(struct maildir_end *e, struct disk_request *r)
{
    for (size_t i = 0; i < r->n_messages; i++) {
        struct maildir_message *m = &messages_of(r)[i];
        io_close(&m->fd);
        if (m->tmp && !m->is_there)
            (void)unlinkat(e->m.tmp, m->tmp, 0);
        free(m->tmp);
        free(m->name);
    }
    free(r->messages);
    r->messages = NULL;
    r->n_messages = 0;
}

/* --- The parts of a batch ----------------------------------------------------------------- */

/* All octets are there: its date, as time of change; and the disk begins to write. */
static int finish(struct maildir_message *m)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = (time_t)m->date_s}};
    if (m->has_date && futimens(m->fd, times) != 0)
        return -1;
    (void)sync_file_range(m->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    return 0;
}

/* Not one descriptor for each message of a large batch. */
static void finish_some(struct disk_request *r)
{
    struct maildir_message *v = r->messages;
    for (size_t i = r->n_messages; r->n_messages >= SINGLY && i > 0 && v[i - 1].fd >= 0; i--) {
        if (finish(&v[i - 1]) != 0)
            disk_fail(r, errno, "cannot write a message");
        io_close(&v[i - 1].fd);
    }
}

void maildir_append_message(
    struct disk_end *d, struct disk_request *r, const struct end_message *message)
{
    struct maildir_end *e = maildir_end_of(d);
    struct buf name;
    finish_some(r);
    if (r->why.class != ERR_NONE)
        return;
    struct maildir_message *v = mem_realloc_array(r->messages, r->n_messages + 1, sizeof(*v));
    r->messages = v;
    struct maildir_message *m = &v[r->n_messages++];
    *m = (struct maildir_message){
        .fd = -1, .size = message->size, .has_date = message->has_date, .date_s = message->date_s};
    disk_take_flags(r, message->flags, message->keywords);
    m->flags = r->flags;
    buf_init(&name, MAILDIR_NAME_MAX);
    if (disk_unique(&e->m, &name) != 0)
        BUG("a name of ours");
    m->tmp = buf_steal_cstr(&name);
    m->fd = disk_file_make(&e->m, e->m.tmp, m->tmp, O_EXCL);
    if (m->fd < 0)
        disk_fail(r, errno, "cannot write a message");
}

void maildir_append_octets(struct disk_end *d, struct disk_request *r, struct slice octets)
{
    struct err why = ERR_INIT;
    struct maildir_message *v = r->messages, *m = &v[r->n_messages - 1];
    (void)d;
    m->bare += maildir_bare(octets, &m->last);
    m->written += octets.n;
    errno = EIO;
    if (io_write_all(m->fd, octets, &why) != 0)
        disk_fail(r, errno, "cannot write a message");
}

/* --- The whole ---------------------------------------------------------------------------- */

/* Each fsync() makes the disk empty its cache; syncfs() does so once, and writes what others have
 * written to this file system meanwhile. */
static int flush_all(struct maildir_end *e, struct disk_request *r)
{
    for (size_t i = 0; i < r->n_messages; i++) {
        if (messages_of(r)[i].fd >= 0 && finish(&messages_of(r)[i]) != 0)
            return -1;
    }
    if (r->n_messages > SINGLY)
        return syncfs(e->m.fd);
    for (size_t i = 0; i < r->n_messages; i++) {
        if (fsync(messages_of(r)[i].fd) != 0)
            return -1;
    }
    return 0;
}

static struct flags all_flags(const struct disk_request *r)
{
    struct flags all = {0};
    for (size_t i = 0; i < r->n_messages; i++)
        all = flags_or(&all, &messages_of(r)[i].flags);
    return all;
}

static int name_message(struct maildir_end *e, struct disk_request *r, struct maildir_message *m,
    uint32_t uid, struct buf *rows)
{
    struct buf base, name;
    bool lacks;
    buf_init(&base, MAILDIR_NAME_MAX);
    buf_init(&name, MAILDIR_NAME_MAX + 32);
    uint32_t letters = maildir_keywords_letters(&e->target, &m->flags, &r->keywords, &lacks);
    int result =
        buf_addf(&base, "%s,S=%llu,W=%llu", m->tmp, (unsigned long long)m->size,
            (unsigned long long)(m->size + m->bare)) == 0
            ? maildir_name_join(buf_slice(&base), SLICE_NONE, m->flags.system, letters, &name)
            : -1;
    if (result == 0)
        result = uidlist_add_row(rows, uid, SLICE_NONE, buf_slice(&base));
    m->name = buf_steal_cstr(&name);
    buf_fini(&base);
    return result;
}

static int rename_all(struct maildir_end *e, struct disk_request *r)
{
    for (size_t i = 0; i < r->n_messages; i++) {
        struct maildir_message *m = &messages_of(r)[i];
        if (renameat(e->m.tmp, m->tmp, e->target.cur, m->name) != 0)
            return -1;
        m->is_there = true;
    }
    return fsync(e->target.cur);
}

static void take_back(struct maildir_end *e, struct disk_request *r)
{
    for (size_t i = 0; i < r->n_messages; i++) {
        struct maildir_message *m = &messages_of(r)[i];
        if (m->is_there)
            (void)unlinkat(e->target.cur, m->name, 0);
    }
}

/* With the lock. */
static int store(struct maildir_end *e, struct disk_request *r, struct err *err)
{
    struct buf rows;
    struct flags all = all_flags(r);
    bool lacks;
    uint32_t first = e->target.list.next, next = first;
    /* Dovecot may have given letters since. */
    if (r->keywords.n > 0 && maildir_keywords_read(&e->target, err) != 0)
        return -1;
    (void)maildir_keywords_letters(&e->target, &all, &r->keywords, &lacks);
    if (lacks && maildir_keywords_add(&e->m, &e->target, &all, &r->keywords, err) != 0)
        return -1;
    buf_init(&rows, UIDLIST_MAX);
    int result = 0;
    for (size_t i = 0; i < r->n_messages && result == 0; i++)
        result = name_message(e, r, &messages_of(r)[i], next++, &rows);
    if (result != 0)
        err_set(err, ERR_PERM, EX_DATAERR, "a name is too long");
    else if (rename_all(e, r) != 0)
        result = (int)disk_no(err, errno, "cannot store a message", r->name);
    else
        result = maildir_folder_append(&e->target, buf_slice(&rows), next, err);
    buf_fini(&rows);
    if (result != 0)
        take_back(e, r);
    for (size_t i = 0; i < r->n_messages && result == 0 && r->uids_out; i++) {
        if (i == 0)
            *r->uids_out = (struct end_uids){.uidvalidity = e->target.list.validity,
                .v = mem_realloc_array(NULL, r->n_messages, sizeof(uint32_t)),
                .n = r->n_messages};
        r->uids_out->v[i] = first + (uint32_t)i;
    }
    return result == 0 ? 0 : -1;
}

enum disk_step maildir_append(struct disk_end *d, struct disk_request *r, struct err *err)
{
    struct maildir_end *e = maildir_end_of(d);
    for (size_t i = 0; i < r->n_messages; i++) {
        if (messages_of(r)[i].written != messages_of(r)[i].size)
            disk_fail(r, EIO, "a message is not whole");
    }
    if (r->why.class == ERR_NONE && r->at == 0 && flush_all(e, r) != 0)
        disk_fail(r, errno, "cannot write a message");
    r->at = 1; /* once, however often the lock is asked for */
    *err = r->why;
    if (r->why.class != ERR_NONE)
        return DISK_NO;
    enum disk_step step = maildir_target(e, r->name, err);
    if (step == DISK_DONE)
        step = maildir_folder_lock(&e->m, &e->target, err);
    if (step != DISK_DONE)
        return step;
    int result = store(e, r, err);
    maildir_folder_unlock(&e->target);
    if (result != 0 && err->scope == ERR_SCOPE_NONE)
        err_scope_set(err, ERR_SCOPE_FOLDER);
    return result == 0 ? DISK_DONE : DISK_NO;
}
