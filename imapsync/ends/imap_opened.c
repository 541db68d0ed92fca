/* SPDX-License-Identifier: ISC */
/* imap_opened: which folder is open when all that was sent is done, and how another one is. */
#include <stdlib.h>

#include "imapsync/ends/imap_parts.h"
#include "imapsync/imap/fault.h"

struct imap_opened *imap_opened_ref(struct imap_opened *o)
{
    if (o)
        o->refs++;
    return o;
}

void imap_opened_unref(struct imap_opened **o)
{
    if (*o && --(*o)->refs == 0) {
        imap_slice_free(&(*o)->name);
        free(*o);
    }
    *o = NULL;
}

void imap_opened_refuse(struct imap_opened *o, const struct err *err)
{
    if (o->is_refused)
        return;
    o->is_refused = true;
    o->is_confirmed = false;
    o->err = *err;
    if (!imap_fault_is_throttled(err))
        err_scope_set(&o->err, ERR_SCOPE_FOLDER);
}

static void set_tail(struct imap_end *e, struct imap_opened *o)
{
    if (e->tail)
        e->tail->is_confirmed = false;
    struct imap_opened *old = e->tail;
    e->tail = imap_opened_ref(o);
    imap_opened_unref(&old);
}

void imap_compose_open(struct imap_request *r, unsigned step, bool is_for_writing)
{
    set_tail(r->e, r->opened);
    imap_request_cmd(r, step);
    imap_cmd_text(r->e->client, is_for_writing ? "SELECT " : "EXAMINE ");
    imap_cmd_name(r->e, r->opened->name);
}

static void compose_bare(struct imap_request *r, unsigned step, const char *command)
{
    imap_request_cmd(r, step);
    imap_cmd_text(r->e->client, command);
    imap_cmd_end(r->e->client);
}

void imap_compose_leave(struct imap_request *r, unsigned step)
{
    struct imap_end *e = r->e;
    bool is_for_writing = e->tail->is_for_writing;
    if (is_for_writing && imap_client_has(e->client, IMAP_CAP_UNSELECT)) {
        compose_bare(r, step, "UNSELECT");
    } else {
        if (is_for_writing) {
            imap_request_cmd(r, step);
            imap_cmd_text(e->client, "EXAMINE ");
            imap_cmd_name(e, e->tail->name);
            imap_cmd_end(e->client);
        }
        compose_bare(r, step, "CLOSE");
    }
    set_tail(e, NULL);
}
