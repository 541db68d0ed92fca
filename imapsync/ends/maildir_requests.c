/* SPDX-License-Identifier: ISC */
/* maildir_requests: the queue of operations, and what all of them use. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/ends/maildir_parts.h"

/* --- Requests ----------------------------------------------------------------------------- */

struct slice maildir_dup(struct slice s)
{
    return slice_make(slice_dup(s), s.n);
}

static void free_slice(struct slice s)
{
    free((void *)(uintptr_t)s.p);
}

static void request_free(struct maildir_end *e, struct maildir_request *r)
{
    free_slice(r->name);
    free_slice(r->to);
    free(r->uids);
    uid_set_fini(&r->known);
    buf_fini(&r->token);
    keywords_fini(&r->keywords);
    maildir_body_free(&r->body);
    maildir_messages_free(e, r);
    free(r);
}

struct maildir_request *maildir_request_new(struct end *end, struct end_ticket *t,
    enum maildir_step (*step)(struct maildir_end *, struct maildir_request *, struct err *))
{
    struct maildir_request *r = mem_zalloc(sizeof(*r)), **last = &maildir_end_of(end)->queue;
    r->ticket = t;
    r->step = step;
    buf_init(&r->token, END_TOKEN_MAX);
    while (*last)
        last = &(*last)->next;
    *last = r;
    t->result = END_PENDING;
    return r;
}

void maildir_take_uids(struct maildir_request *r, const uint32_t *uids, size_t n)
{
    r->uids = mem_realloc_array(NULL, n + 1, sizeof(*uids));
    if (n > 0)
        memcpy(r->uids, uids, n * sizeof(*uids));
    r->n = n;
}

/* Only the keywords that these flags have. */
void maildir_take_flags(
    struct maildir_request *r, const struct flags *flags, const struct keywords *names)
{
    r->flags = (struct flags){.system = flags->system};
    for (size_t i = 0; names && i < names->n; i++) {
        if (!(flags->keywords[i / 64] >> (i % 64) & 1))
            continue;
        int bit = keywords_bit(&r->keywords, slice_str(names->names[i]));
        if (bit >= 0)
            r->flags.keywords[bit / 64] |= UINT64_C(1) << (bit % 64);
    }
}

void maildir_answer(struct maildir_end *e, enum end_result result, const struct err *err)
{
    struct maildir_request *r = e->queue;
    e->queue = r->next;
    if (e->building == r)
        e->building = NULL;
    end_answer(r->ticket, result, err);
    request_free(e, r);
}

void maildir_lose_all(struct maildir_end *e)
{
    const struct err why = e->why;
    while (e->queue)
        maildir_answer(e, END_LOST, &why);
}

void maildir_request_begin(struct end *end)
{
    if (maildir_end_of(end)->is_broken)
        maildir_lose_all(maildir_end_of(end));
}

/* --- What all operations use -------------------------------------------------------------- */

void maildir_say(struct slice folder, struct slice file, const char *why)
{
    log_warn(
        "maildir_odd", log_slice("folder", folder), log_slice("file", file), log_str("why", why));
}

enum maildir_step maildir_no(struct err *err, int errnum, const char *what, struct slice folder)
{
    err_sys(err, errnum, "%.*s: %s", SLICE_ARG(folder), what);
    err_scope_set(err, errnum == ENOSPC || errnum == EDQUOT ? ERR_SCOPE_USER : ERR_SCOPE_FOLDER);
    return MAILDIR_NO;
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

enum maildir_step maildir_target(struct maildir_end *e, struct slice name, struct err *err)
{
    if (e->has_target && folder_same_name(e->target.name, name) && is_there_still(e))
        return MAILDIR_DONE;
    enum maildir_step step = maildir_folder_open(&e->m, name, &e->target, err);
    e->has_target = step == MAILDIR_DONE;
    return step;
}
