/* SPDX-License-Identifier: ISC */
/*
 * disk_slots: each slot as a request with a copy of what it was asked; the kind's step does it in
 * its turn.  And what all steps use.
 */
#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/ends/disk.h"

/* --- What all operations use -------------------------------------------------------------- */

struct slice disk_dup(struct slice s)
{
    return slice_make(slice_dup(s), s.n);
}

static void take_uids(struct disk_request *r, const uint32_t *uids, size_t n)
{
    r->uids = mem_realloc_array(NULL, n + 1, sizeof(*uids));
    if (n > 0)
        memcpy(r->uids, uids, n * sizeof(*uids));
    r->n = n;
}

/* Only the keywords that these flags have. */
void disk_take_flags(
    struct disk_request *r, const struct flags *flags, const struct keywords *names)
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

void disk_say(const struct disk_kind *kind, struct slice folder, struct slice file, const char *why)
{
    log_warn(kind->odd, log_slice("folder", folder), log_slice("file", file), log_str("why", why));
}

/* What is so whenever it is tried. */
static bool is_for_ever(int errnum)
{
    return errnum == EINVAL || errnum == ENAMETOOLONG || errnum == ENOTDIR || errnum == EISDIR ||
           errnum == EEXIST || errnum == ELOOP || errnum == EOPNOTSUPP;
}

enum disk_step disk_no(struct err *err, int errnum, const char *what, struct slice folder)
{
    err_sys(err, errnum, "%.*s: %s", SLICE_ARG(folder), what);
    if (is_for_ever(errnum))
        err->class = ERR_PERM;
    err_scope_set(err, errnum == ENOSPC || errnum == EDQUOT ? ERR_SCOPE_USER : ERR_SCOPE_FOLDER);
    return DISK_NO;
}

void disk_fail(struct disk_request *r, int errnum, const char *what)
{
    if (r->why.class == ERR_NONE)
        (void)disk_no(&r->why, errnum, what, r->name);
}

enum disk_step disk_open_check(const struct disk_request *r, uint32_t validity, struct err *err)
{
    const struct end_open *o = &r->open;
    bool is_other = o->uidvalidity != 0 && o->uidvalidity != validity;
    if (!is_other || !(o->is_for_writing || o->is_only_opened))
        return DISK_DONE;
    err_set(err, ERR_TEMP, EX_TEMPFAIL, "%.*s: its UIDVALIDITY is another one", SLICE_ARG(r->name));
    err_scope_set(err, ERR_SCOPE_FOLDER);
    return DISK_NO;
}

/* --- Folders ------------------------------------------------------------------------------ */

static const struct disk_kind *kind_of(struct end *end)
{
    return disk_end_of(end)->kind;
}

void disk_slot_folders(struct end *end, struct folder_list *out, struct end_ticket *t)
{
    disk_request_new(end, t, kind_of(end)->folders)->list = out;
    disk_request_begin(end);
}

void disk_slot_status(struct end *end, struct folder *out, struct end_ticket *t)
{
    disk_request_new(end, t, kind_of(end)->status)->status = out;
    disk_request_begin(end);
}

void disk_slot_identify(struct end *end, struct buf *out, struct end_ticket *t)
{
    disk_request_new(end, t, kind_of(end)->identify)->identity = out;
    disk_request_begin(end);
}

static enum disk_step no_quota(struct disk_end *e, struct disk_request *r, struct err *err)
{
    (void)e, (void)r, (void)err;
    return DISK_DONE;
}

void disk_slot_quota(struct end *end, struct end_quota *out, struct end_ticket *t)
{
    const struct disk_kind *kind = kind_of(end);
    disk_request_new(end, t, kind->quota ? kind->quota : no_quota)->quota = out;
    disk_request_begin(end);
}

void disk_slot_make(struct end *end, struct slice name, enum folder_use use, struct end_ticket *t)
{
    (void)use; /* files have no place for it */
    disk_request_new(end, t, kind_of(end)->make)->name = disk_dup(name);
    disk_request_begin(end);
}

void disk_slot_rename(struct end *end, struct slice name, struct slice to, struct end_ticket *t)
{
    struct disk_request *r = disk_request_new(end, t, kind_of(end)->rename);
    r->name = disk_dup(name);
    r->to = disk_dup(to);
    disk_request_begin(end);
}

void disk_slot_subscribe(struct end *end, struct slice name, bool on, struct end_ticket *t)
{
    struct disk_request *r = disk_request_new(end, t, kind_of(end)->subscribe);
    r->name = disk_dup(name);
    r->on = on;
    disk_request_begin(end);
}

/* --- Reading ------------------------------------------------------------------------------ */

void disk_slot_open(
    struct end *end, const struct end_open *o, struct end_changes *out, struct end_ticket *t)
{
    struct disk_request *r = disk_request_new(end, t, kind_of(end)->open);
    r->name = disk_dup(o->folder);
    r->open = *o;
    r->changes = out;
    if (o->known)
        uid_set_copy(&r->known, o->known);
    if (o->token.n > END_TOKEN_MAX || buf_add(&r->token, o->token) != 0)
        buf_clear(&r->token);
    disk_request_begin(end);
}

void disk_slot_read(struct end *end, const uint32_t *uids, size_t n, const struct end_sink *sink,
    void *arg, struct end_ticket *t)
{
    struct disk_request *r = disk_request_new(end, t, kind_of(end)->read);
    take_uids(r, uids, n);
    r->needs_open = true;
    r->sink = sink;
    r->sink_arg = arg;
    disk_request_begin(end);
}

void disk_slot_attributes(struct end *end, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct end_ticket *t)
{
    struct disk_request *r = disk_request_new(end, t, kind_of(end)->attributes);
    take_uids(r, uids, n);
    r->needs_open = true;
    r->want = want;
    r->changes = out;
    disk_request_begin(end);
}

/* --- Changing ----------------------------------------------------------------------------- */

void disk_slot_append_begin(
    struct end *end, struct slice folder, struct end_uids *uids_out, struct end_ticket *t)
{
    struct disk_request *r = disk_request_new(end, t, kind_of(end)->append);
    r->name = disk_dup(folder);
    r->uids_out = uids_out;
    r->is_building = true;
    disk_end_of(end)->building = r;
    disk_request_begin(end);
}

/* What is wrong with one of a batch is wrong with all of it: the rest need not be kept. */
static struct disk_request *building(struct end *end)
{
    struct disk_request *r = disk_end_of(end)->building;
    return r && r->why.class == ERR_NONE ? r : NULL;
}

void disk_slot_append_message(struct end *end, const struct end_message *m)
{
    struct disk_request *r = building(end);
    if (r)
        kind_of(end)->append_message(disk_end_of(end), r, m);
}

void disk_slot_append_octets(struct end *end, struct slice octets)
{
    struct disk_request *r = building(end);
    if (r && r->n_messages > 0)
        kind_of(end)->append_octets(disk_end_of(end), r, octets);
}

void disk_slot_append_end(struct end *end)
{
    struct disk_end *e = disk_end_of(end);
    if (e->building)
        e->building->is_building = false;
    e->building = NULL;
}

void disk_slot_flags(struct end *end, const uint32_t *uids, size_t n, const struct end_flags *f,
    struct end_uids *modified_out, struct end_ticket *t)
{
    struct disk_request *r = disk_request_new(end, t, kind_of(end)->flags);
    (void)modified_out; /* nothing is guarded: can() says so */
    take_uids(r, uids, n);
    r->needs_open = r->needs_writing = true;
    r->on = !f->is_removal;
    disk_take_flags(r, f->flags, f->keywords);
    disk_request_begin(end);
}

void disk_slot_move(struct end *end, const uint32_t *uids, size_t n, struct slice folder,
    struct end_uids *uids_out, struct end_ticket *t)
{
    struct disk_request *r = disk_request_new(end, t, kind_of(end)->move);
    take_uids(r, uids, n);
    r->needs_open = r->needs_writing = true;
    r->name = disk_dup(folder);
    r->uids_out = uids_out;
    disk_request_begin(end);
}

void disk_slot_remove(struct end *end, const uint32_t *uids, size_t n, struct end_ticket *t)
{
    struct disk_request *r = disk_request_new(end, t, kind_of(end)->remove);
    take_uids(r, uids, n);
    r->needs_open = r->needs_writing = true;
    disk_request_begin(end);
}
