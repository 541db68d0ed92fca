/* SPDX-License-Identifier: ISC */
/* imap_folder: one folder, by its name: STATUS, CREATE, RENAME and SUBSCRIBE. */
#include <sysexits.h>

#include "imapsync/ends/imap_parts.h"
#include "imapsync/ends/limits.h"

enum step {
    STEP_MAKE = IMAP_STEP_OWN, /* with what the server may refuse */
    STEP_PLAIN,
};

/* --- Its numbers ---------------------------------------------------------------------------- */

void imap_status_items(struct imap_end *e)
{
    struct imap_client *client = e->client;
    imap_cmd_text(client, "(MESSAGES UIDNEXT UIDVALIDITY");
    if (e->end.wants_octets && imap_client_has(client, IMAP_CAP_STATUS_SIZE))
        imap_cmd_text(client, " SIZE");
    imap_cmd_text(client, imap_client_has(client, IMAP_CAP_CONDSTORE) ? " HIGHESTMODSEQ)" : ")");
}

void imap_status_take(struct folder *f, const struct imap_status_data *d)
{
    /* 0 is how we say that a folder is not there. */
    if (d->has & IMAP_ITEM_UIDVALIDITY && d->uidvalidity) {
        f->has |= FOLDER_HAS_UIDVALIDITY;
        f->uidvalidity = (uint32_t)d->uidvalidity;
    }
    if (d->has & IMAP_ITEM_UIDNEXT) {
        f->has |= FOLDER_HAS_UIDNEXT;
        f->uidnext = (uint32_t)d->uidnext;
    }
    if (d->has & IMAP_ITEM_MESSAGES) {
        f->has |= FOLDER_HAS_MESSAGES;
        f->messages = (uint32_t)d->messages;
    }
    if (d->has & IMAP_ITEM_HIGHESTMODSEQ) {
        f->has |= FOLDER_HAS_MODSEQ;
        f->modseq = d->highestmodseq;
    }
    if (d->has & IMAP_ITEM_SIZE) {
        f->has |= FOLDER_HAS_OCTETS;
        f->octets = d->size;
    }
}

/* --- What is asked and done ------------------------------------------------------------------ */

struct folder_request {
    struct imap_request r;
    struct folder *out;    /* STATUS */
    const char *command;   /* the others */
    struct slice name, to; /* owned */
    enum folder_use use;
};

static bool folder_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct folder_request *f = (struct folder_request *)r;
    struct buf name;
    bool is_mine = false;
    if (resp->kind != IMAP_KIND_MAILBOX_STATUS || !f->out)
        return false;
    buf_init(&name, FOLDER_NAME_MAX);
    if (imap_name_take(r->e, resp->status_data.name, &name) == 0)
        is_mine = folder_same_name(buf_slice(&name), f->name);
    if (is_mine)
        imap_status_take(f->out, &resp->status_data);
    buf_fini(&name);
    return is_mine;
}

static void folder_send(struct imap_request *r)
{
    struct folder_request *f = (struct folder_request *)r;
    struct imap_client *client = r->e->client;
    r->has_more = false;
    if (f->out) {
        imap_request_cmd(r, STEP_PLAIN);
        imap_request_about(r, f->name);
        imap_cmd_text(client, "STATUS ");
        imap_cmd_name(r->e, f->name);
        imap_cmd_text(client, " ");
        imap_status_items(r->e);
        imap_cmd_end(client);
        return;
    }
    imap_request_cmd(r, f->use != FOLDER_USE_NONE ? STEP_MAKE : STEP_PLAIN);
    imap_request_about(r, f->name);
    imap_cmd_text(client, f->command);
    imap_cmd_name(r->e, f->name);
    if (f->to.p) {
        imap_cmd_text(client, " ");
        imap_cmd_name(r->e, f->to);
    }
    if (f->use != FOLDER_USE_NONE)
        imap_cmd_f(client, " (USE (%s))", imap_use_word(f->use));
    imap_cmd_end(client);
}

static void folder_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    struct folder_request *f = (struct folder_request *)r;
    struct err err = ERR_INIT;
    (void)resp;
    /* Some servers offer CREATE-SPECIAL-USE and refuse certain uses (RFC 6154 USEATTR). */
    if (step == STEP_MAKE && o->status != IMAP_STATUS_OK) {
        f->use = FOLDER_USE_NONE;
        r->has_more = true;
        return;
    }
    if (o->status != IMAP_STATUS_OK) {
        imap_request_refuse(r, o, ERR_SCOPE_FOLDER);
    } else if (f->out && !(f->out->has & FOLDER_HAS_UIDVALIDITY)) {
        err_set(&err, ERR_PEER, EX_PROTOCOL, "the server tells no UIDVALIDITY");
        err_scope_set(&err, ERR_SCOPE_FOLDER);
        imap_request_fail(r, &err);
    }
}

static void folder_free(struct imap_request *r)
{
    struct folder_request *f = (struct folder_request *)r;
    imap_slice_free(&f->name);
    imap_slice_free(&f->to);
    imap_request_free_head(r);
}

static const struct imap_request_kind folder_kind = {
    folder_send, folder_untagged, folder_answered, folder_free};

static struct folder_request *folder_request(
    struct end *e, const char *command, struct slice name, struct end_ticket *t)
{
    struct folder_request *f = imap_request_new(imap_end_of(e), sizeof(*f), &folder_kind, t);
    f->command = command;
    f->name = imap_slice_copy(name);
    (void)imap_request_aside(&f->r, name);
    return f;
}

void imap_end_status(struct end *e, struct folder *out, struct end_ticket *t)
{
    struct folder_request *f = folder_request(e, NULL, out->name, t);
    f->out = out;
    out->has = 0;
    imap_request_begin(&f->r);
}

void imap_end_make(struct end *e, struct slice name, enum folder_use use, struct end_ticket *t)
{
    struct folder_request *f = folder_request(e, "CREATE ", name, t);
    if (imap_client_has(imap_end_of(e)->client, IMAP_CAP_CREATE_SPECIAL_USE))
        f->use = use;
    imap_request_begin(&f->r);
}

void imap_end_rename(struct end *e, struct slice name, struct slice to, struct end_ticket *t)
{
    struct folder_request *f = folder_request(e, "RENAME ", name, t);
    f->to = imap_slice_copy(to);
    imap_request_begin(&f->r);
}

void imap_end_subscribe(struct end *e, struct slice name, bool on, struct end_ticket *t)
{
    struct folder_request *f = folder_request(e, on ? "SUBSCRIBE " : "UNSUBSCRIBE ", name, t);
    imap_request_begin(&f->r);
}
