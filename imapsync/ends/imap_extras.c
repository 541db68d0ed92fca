/* SPDX-License-Identifier: ISC */
/*
 * imap_extras: what a folder has beside its messages: GETACL and SETACL (RFC 4314), GETMETADATA and
 * SETMETADATA (RFC 5464), where "" is the mailbox as a whole.
 *
 * A value with NUL is not sent: it would have to be a literal8, whose octets a server that does not
 * know them would take for commands.
 */
#include "imapsync/ends/imap_parts.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/named.h"
#include "imapsync/imap/token.h"

struct extra_request {
    struct imap_request r;
    bool is_acl;
    struct named_list *out;         /* of what is asked; NULL: one is set */
    struct slice name, what, value; /* owned */
};

static void send_one(struct extra_request *q)
{
    struct imap_client *client = q->r.e->client;
    imap_cmd_text(client, q->is_acl ? "SETACL " : "SETMETADATA ");
    imap_cmd_name(q->r.e, q->name);
    imap_cmd_text(client, q->is_acl ? " " : " (");
    imap_cmd_astring(client, q->what);
    imap_cmd_text(client, " ");
    imap_cmd_astring(client, q->value);
    imap_cmd_text(client, q->is_acl ? "" : ")");
}

static void extra_send(struct imap_request *r)
{
    struct extra_request *q = (struct extra_request *)r;
    struct imap_client *client = r->e->client;
    r->has_more = false;
    if (!q->out && slice_find(q->value, '\0') >= 0) {
        imap_request_cannot(r, "the value has a NUL in it, and cannot be sent");
        return;
    }
    imap_request_cmd(r, IMAP_STEP_OWN);
    imap_request_about(r, q->name);
    if (!q->out) {
        send_one(q);
    } else if (q->is_acl) {
        imap_cmd_text(client, "GETACL ");
        imap_cmd_name(r->e, q->name);
    } else {
        imap_cmd_f(client, "GETMETADATA (DEPTH infinity MAXSIZE %u) ", METADATA_VALUE_MAX);
        imap_cmd_name(r->e, q->name);
        /* Of the whole Dovecot 2.3 tells only what is named, or below what is named but the top. */
        imap_cmd_text(client,
            q->name.n > 0 ? " (/private /shared)" : " (/private /private/comment /private/vendor)");
    }
    imap_cmd_end(client);
}

static bool add_one(struct imap_cur *c, bool is_acl, struct named_list *out)
{
    struct imap_str who, what = {.is_nil = true};
    struct buf name, value;
    bool is_good = imap_cur_astring(c, &who) && imap_cur_blanks(c) &&
                   (is_acl ? imap_cur_astring(c, &what) : imap_cur_nstring(c, &what));
    buf_init(&name, FOLDER_NAME_MAX);
    buf_init(&value, IMAP_LITERAL_INLINE_MAX);
    is_good = is_good && imap_str_add(who, &name) == 0 && imap_str_add(what, &value) == 0;
    if (is_good && !what.is_nil)
        named_list_add(out, buf_slice(&name), buf_slice(&value));
    buf_fini(&name);
    buf_fini(&value);
    return is_good;
}

static bool is_about(const struct extra_request *q, struct imap_str told)
{
    struct buf name;
    buf_init(&name, FOLDER_NAME_MAX);
    bool is = imap_name_take(q->r.e, told, &name) == 0 &&
              (q->name.n == 0 ? name.n == 0 : folder_same_name(buf_slice(&name), q->name));
    buf_fini(&name);
    return is;
}

static bool extra_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct extra_request *q = (struct extra_request *)r;
    if (resp->kind != (q->is_acl ? IMAP_KIND_ACL : IMAP_KIND_METADATA) || !q->out ||
        !is_about(q, resp->mailbox.name))
        return false;
    struct imap_cur c = imap_cur_make(resp->list);
    bool is_good = !resp->is_odd;
    while (is_good && !imap_cur_is_over(&c))
        is_good = add_one(&c, q->is_acl, q->out) && (imap_cur_blanks(&c) || imap_cur_is_over(&c));
    r->n_unread += !is_good;
    return true;
}

static void extra_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    struct extra_request *q = (struct extra_request *)r;
    (void)step;
    if (o->status != IMAP_STATUS_OK) {
        imap_request_refuse(r, o, ERR_SCOPE_FOLDER);
        if (o->code == IMAP_CODE_METADATA) /* "TOOMANY" */
            err_wrap(&r->err, "%.*s", SLICE_ARG(slice_trim(resp->code.list)));
    } else if (q->out && r->n_unread > 0) {
        imap_request_unread(r);
    } else if (q->out && o->code == IMAP_CODE_METADATA) {
        q->out->is_cut = true;
    }
}

static void extra_free(struct imap_request *r)
{
    struct extra_request *q = (struct extra_request *)r;
    imap_slice_free(&q->name);
    imap_slice_free(&q->what);
    imap_slice_free(&q->value);
    imap_request_free_head(r);
}

static const struct imap_request_kind extra_kind = {
    extra_send, extra_untagged, extra_answered, extra_free};

static struct extra_request *request(
    struct end *e, bool is_acl, struct slice name, struct end_ticket *t)
{
    struct extra_request *q = imap_request_new(imap_end_of(e), sizeof(*q), &extra_kind, t);
    q->is_acl = is_acl;
    q->name = imap_slice_copy(name);
    (void)imap_request_aside(&q->r, name);
    return q;
}

static void ask(struct extra_request *q, struct named_list *out)
{
    q->out = out;
    imap_request_begin(&q->r);
}

static void set(struct extra_request *q, struct slice what, struct slice value)
{
    q->what = imap_slice_copy(what);
    q->value = imap_slice_copy(value);
    imap_request_begin(&q->r);
}

void imap_end_acl(struct end *e, struct slice name, struct named_list *out, struct end_ticket *t)
{
    ask(request(e, true, name, t), out);
}

void imap_end_set_acl(struct end *e, struct slice name, struct slice identifier,
    struct slice rights, struct end_ticket *t)
{
    set(request(e, true, name, t), identifier, rights);
}

void imap_end_metadata(
    struct end *e, struct slice name, struct named_list *out, struct end_ticket *t)
{
    ask(request(e, false, name, t), out);
}

void imap_end_set_metadata(
    struct end *e, struct slice name, struct slice entry, struct slice value, struct end_ticket *t)
{
    set(request(e, false, name, t), entry, value);
}
