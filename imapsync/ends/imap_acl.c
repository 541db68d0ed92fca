/* SPDX-License-Identifier: ISC */
/* imap_acl: GETACL and SETACL (RFC 4314). */
#include "imapsync/ends/acl.h"
#include "imapsync/ends/imap_parts.h"
#include "imapsync/ends/limits.h"
#include "imapsync/imap/token.h"

struct acl_request {
    struct imap_request r;
    struct acl_list *out;                  /* GETACL */
    struct slice name, identifier, rights; /* owned */
};

static void acl_send(struct imap_request *r)
{
    struct acl_request *q = (struct acl_request *)r;
    struct imap_client *client = r->e->client;
    r->has_more = false;
    imap_request_cmd(r, IMAP_STEP_OWN);
    imap_cmd_text(client, q->out ? "GETACL " : "SETACL ");
    imap_cmd_name(r->e, q->name);
    if (!q->out) {
        imap_cmd_text(client, " ");
        imap_cmd_astring(client, q->identifier);
        imap_cmd_text(client, " ");
        imap_cmd_astring(client, q->rights);
    }
    imap_cmd_end(client);
}

static bool add_entry(struct imap_cur *c, struct acl_list *out)
{
    struct imap_str who, what;
    struct buf identifier, rights;
    bool is_good = imap_cur_astring(c, &who) && imap_cur_blanks(c) && imap_cur_astring(c, &what);
    buf_init(&identifier, FOLDER_NAME_MAX);
    buf_init(&rights, FOLDER_NAME_MAX);
    is_good = is_good && imap_str_add(who, &identifier) == 0 && imap_str_add(what, &rights) == 0 &&
              acl_list_add(out, buf_slice(&identifier), buf_slice(&rights));
    buf_fini(&identifier);
    buf_fini(&rights);
    return is_good;
}

static bool acl_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct acl_request *q = (struct acl_request *)r;
    struct buf name;
    if (resp->kind != IMAP_KIND_ACL || !q->out)
        return false;
    buf_init(&name, FOLDER_NAME_MAX);
    bool is_mine = imap_name_take(r->e, resp->mailbox.name, &name) == 0 &&
                   folder_same_name(buf_slice(&name), q->name);
    buf_fini(&name);
    struct imap_cur c = imap_cur_make(resp->list);
    while (is_mine && !imap_cur_is_over(&c) && add_entry(&c, q->out)) {
    }
    return is_mine;
}

static void acl_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    (void)step, (void)resp;
    if (o->status != IMAP_STATUS_OK)
        imap_request_refuse(r, o, ERR_SCOPE_FOLDER);
}

static void acl_free(struct imap_request *r)
{
    struct acl_request *q = (struct acl_request *)r;
    imap_slice_free(&q->name);
    imap_slice_free(&q->identifier);
    imap_slice_free(&q->rights);
    imap_request_free_head(r);
}

static const struct imap_request_kind acl_kind = {acl_send, acl_untagged, acl_answered, acl_free};

void imap_end_acl(struct end *e, struct slice name, struct acl_list *out, struct end_ticket *t)
{
    struct acl_request *q = imap_request_new(imap_end_of(e), sizeof(*q), &acl_kind, t);
    q->name = imap_slice_copy(name);
    q->out = out;
    imap_request_begin(&q->r);
}

void imap_end_set_acl(struct end *e, struct slice name, struct slice identifier,
    struct slice rights, struct end_ticket *t)
{
    struct acl_request *q = imap_request_new(imap_end_of(e), sizeof(*q), &acl_kind, t);
    q->name = imap_slice_copy(name);
    q->identifier = imap_slice_copy(identifier);
    q->rights = imap_slice_copy(rights);
    imap_request_begin(&q->r);
}
