/* SPDX-License-Identifier: ISC */
/*
 * mailboxes: NAMESPACE and LIST-STATUS (RFC 5258, 5819, 6154), or LIST, LSUB and pipelined STATUS
 * on servers of RFC 3501.
 *
 * A folder whose STATUS fails has none in the list; what needs it reports that folder.
 */
#include "imapsync/copy/mailboxes.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/imap/fault.h"

static void on_namespace(struct folder_list *l, const struct imap_response *r)
{
    struct slice parts[] = {r->personal, r->other, r->shared};
    struct imap_str prefix;
    int delimiter;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        /* Of several personal namespaces the first is where folders are made. */
        while (imap_namespace_next(&parts[i], &prefix, &delimiter)) {
            struct buf text;
            buf_init(&text, IMAP_MAILBOX_NAME_MAX);
            if (imap_str_add(prefix, &text) != 0 ||
                (i > 0 && l->n_foreign == FOLDER_PREFIXES_MAX)) {
                buf_fini(&text);
                continue;
            }
            size_t n = text.n;
            struct slice copy = slice_make(buf_steal_cstr(&text), n);
            if (i > 0) {
                l->foreign[l->n_foreign++] = copy;
            } else if (!l->personal.p) {
                l->personal = copy;
                l->delimiter = delimiter;
            } else {
                free((void *)(uintptr_t)copy.p);
            }
        }
    }
}

static void on_status(struct mailboxes_query *q, const struct imap_status_data *d)
{
    struct buf name;
    buf_init(&name, IMAP_MAILBOX_NAME_MAX);
    struct folder *f = NULL;
    if (imap_str_add(d->name, &name) == 0) {
        if (!q->only)
            f = folder_list_find(q->list, buf_slice(&name));
        else if (slice_eq_nocase(q->only->name, buf_slice(&name)))
            f = q->only;
    }
    if (f) {
        f->has_status = d->has;
        /* 0 is how we say that a folder is not there. */
        if (d->uidvalidity == 0)
            f->has_status &= ~(unsigned)IMAP_ITEM_UIDVALIDITY;
        f->uidvalidity = (uint32_t)d->uidvalidity;
        f->uidnext = (uint32_t)d->uidnext;
        f->messages = (uint32_t)d->messages;
        f->highestmodseq = d->highestmodseq;
    }
    buf_fini(&name);
}

static void on_lsub(struct folder_list *l, const struct imap_mailbox_data *m)
{
    struct buf name;
    buf_init(&name, IMAP_MAILBOX_NAME_MAX);
    /* Subscriptions outlive their folders: only those that LIST has shown count. */
    struct folder *f =
        imap_str_add(m->name, &name) == 0 ? folder_list_find(l, buf_slice(&name)) : NULL;
    if (f && !imap_words_have(m->attributes, "\\Noselect"))
        f->attrs |= FOLDER_SUBSCRIBED;
    buf_fini(&name);
}

static void on_untagged(void *arg, const struct imap_response *r)
{
    struct mailboxes_query *q = arg;
    if (r->kind == IMAP_KIND_MAILBOX_STATUS)
        on_status(q, &r->status_data);
    else if (q->only)
        return;
    else if (r->kind == IMAP_KIND_NAMESPACE)
        on_namespace(q->list, r);
    else if (r->kind == IMAP_KIND_LIST && q->result == 0)
        q->result = folder_list_add(q->list, &r->mailbox, &q->err);
    else if (r->kind == IMAP_KIND_LSUB)
        on_lsub(q->list, &r->mailbox);
}

static const struct imap_events events = {.untagged = on_untagged};

static void status_items(struct imap_client *client)
{
    imap_cmd_text(client, "(MESSAGES UIDNEXT UIDVALIDITY");
    imap_cmd_text(client, imap_client_has(client, IMAP_CAP_CONDSTORE) ? " HIGHESTMODSEQ)" : ")");
}

static void send_list(struct imap_client *client, struct imap_outcome *o)
{
    imap_cmd_begin(client, imap_outcome_set, o);
    imap_cmd_text(client, "LIST \"\" \"*\"");
    if (imap_client_has(client, IMAP_CAP_LIST_EXTENDED)) {
        imap_cmd_text(client, " RETURN (SUBSCRIBED");
        if (imap_client_has(client, IMAP_CAP_SPECIAL_USE))
            imap_cmd_text(client, " SPECIAL-USE");
        if (imap_client_has(client, IMAP_CAP_LIST_STATUS)) {
            imap_cmd_text(client, " STATUS ");
            status_items(client);
        }
        imap_cmd_text(client, ")");
    }
    imap_cmd_end(client);
}

static void send_status(struct imap_client *client, struct slice name, struct imap_outcome *o)
{
    imap_cmd_begin(client, imap_outcome_set, o);
    imap_cmd_text(client, "STATUS ");
    imap_cmd_astring(client, name);
    imap_cmd_text(client, " ");
    status_items(client);
    imap_cmd_end(client);
}

/* STATUS of all folders that have none yet, as many at once as the pipeline takes. */
static int status_all(struct imap_conn *c, struct folder_list *l, struct err *err)
{
    struct imap_client *client = imap_conn_client(c);
    struct imap_outcome ignored = {0};
    for (size_t i = 0; i < l->n; i++) {
        if (l->v[i].attrs & FOLDER_NOSELECT || l->v[i].has_status || !folder_is_own(l, &l->v[i]))
            continue;
        while (!imap_client_may_send(client)) {
            if (imap_conn_pump(&c, 1, err) != 0)
                return -1;
        }
        send_status(client, l->v[i].name, &ignored);
    }
    while (imap_client_pending(client) > 0) {
        if (imap_conn_pump(&c, 1, err) != 0)
            return -1;
    }
    return 0;
}

void mailboxes_ask(struct imap_conn *c, struct folder_list *out, struct mailboxes_query *q)
{
    struct imap_client *client = imap_conn_client(c);
    folder_list_init(out);
    *q = (struct mailboxes_query){.list = out};
    imap_conn_events(c, &events, q);
    q->names.is_done = !imap_client_has(client, IMAP_CAP_NAMESPACE);
    q->subscribed.is_done = imap_client_has(client, IMAP_CAP_LIST_EXTENDED);
    if (!q->names.is_done) {
        imap_cmd_begin(client, imap_outcome_set, &q->names);
        imap_cmd_text(client, "NAMESPACE");
        imap_cmd_end(client);
    }
    send_list(client, &q->folders);
    if (!q->subscribed.is_done) {
        imap_cmd_begin(client, imap_outcome_set, &q->subscribed);
        imap_cmd_text(client, "LSUB \"\" \"*\"");
        imap_cmd_end(client);
    }
}

int mailboxes_wait(struct imap_conn *c, struct mailboxes_query *q, struct err *err)
{
    int result = imap_conn_check(c, &q->folders, "cannot list the folders", err);
    if (result == 0)
        result = imap_conn_wait(c, &q->names, err);
    if (result == 0)
        result = imap_conn_wait(c, &q->subscribed, err);
    if (result == 0 && q->result != 0) {
        *err = q->err;
        result = -1;
    }
    if (result == 0)
        result = status_all(c, q->list, err);
    imap_conn_events(c, NULL, NULL);
    for (size_t i = 0; q->list->delimiter < 0 && i < q->list->n; i++)
        q->list->delimiter = q->list->v[i].delimiter;
    if (result != 0)
        folder_list_fini(q->list);
    return result;
}

int mailboxes_list(struct imap_conn *c, struct folder_list *out, struct err *err)
{
    struct mailboxes_query q;
    mailboxes_ask(c, out, &q);
    return mailboxes_wait(c, &q, err);
}

int mailboxes_status(struct imap_conn *c, struct folder *f, struct err *err)
{
    struct mailboxes_query q = {.only = f};
    struct imap_outcome o = {0};
    imap_conn_events(c, &events, &q);
    send_status(imap_conn_client(c), f->name, &o);
    int result = imap_conn_check(c, &o, "cannot look at the folder", err);
    imap_conn_events(c, NULL, NULL);
    if (result == 0 &&
        !(f->has_status & IMAP_ITEM_UIDVALIDITY && f->has_status & IMAP_ITEM_UIDNEXT))
        result = err_set(err, ERR_PEER, EX_PROTOCOL, "the server tells no UIDVALIDITY or UIDNEXT");
    if (result != 0)
        err_scope_set(err, ERR_SCOPE_FOLDER);
    return result;
}

static void send_create(
    struct imap_client *client, struct slice name, enum folder_use use, struct imap_outcome *o)
{
    imap_cmd_begin(client, imap_outcome_set, o);
    imap_cmd_text(client, "CREATE ");
    imap_cmd_astring(client, name);
    if (use != FOLDER_USE_NONE && imap_client_has(client, IMAP_CAP_CREATE_SPECIAL_USE))
        imap_cmd_f(client, " (USE (%s))", folder_use_name(use));
    imap_cmd_end(client);
}

static void send_subscribe(struct imap_client *client, struct slice name, struct imap_outcome *o)
{
    imap_cmd_begin(client, imap_outcome_set, o);
    imap_cmd_text(client, "SUBSCRIBE ");
    imap_cmd_astring(client, name);
    imap_cmd_end(client);
}

int mailboxes_create(struct imap_conn *c, struct slice name, enum folder_use use, struct err *err)
{
    struct imap_client *client = imap_conn_client(c);
    struct imap_outcome o = {0};
    send_create(client, name, use, &o);
    if (imap_conn_wait(c, &o, err) != 0)
        return -1;
    /* Some servers offer CREATE-SPECIAL-USE and refuse certain uses (RFC 6154 USEATTR). */
    if (o.status != IMAP_STATUS_OK && use != FOLDER_USE_NONE &&
        imap_client_has(client, IMAP_CAP_CREATE_SPECIAL_USE))
        return mailboxes_create(c, name, FOLDER_USE_NONE, err);
    if (imap_conn_check(c, &o, "cannot create the folder", err) != 0)
        return err_scope_set(err, ERR_SCOPE_FOLDER);
    return 0;
}

int mailboxes_subscribe(struct imap_conn *c, struct slice name, struct err *err)
{
    struct imap_outcome o = {0};
    send_subscribe(imap_conn_client(c), name, &o);
    if (imap_conn_check(c, &o, "cannot subscribe to the folder", err) != 0)
        return err_scope_set(err, ERR_SCOPE_FOLDER);
    return 0;
}

/* One folder of a wish, and what became of it. */
struct made {
    struct imap_outcome create, subscribe, status;
    struct folder folder; /* borrows the wish's name */
};

/* What the target says about folders that are being made. */
struct making {
    struct made *v;
    size_t n;
};

static void on_made(void *arg, const struct imap_response *r)
{
    struct making *m = arg;
    for (size_t i = 0; r->kind == IMAP_KIND_MAILBOX_STATUS && i < m->n; i++) {
        struct mailboxes_query q = {.only = &m->v[i].folder};
        on_status(&q, &r->status_data);
    }
}

static const struct imap_events make_events = {.untagged = on_made};

static int send_wishes(
    struct imap_conn *c, const struct mailboxes_wish *v, struct making *m, struct err *err)
{
    struct imap_client *client = imap_conn_client(c);
    for (size_t i = 0; i < m->n; i++) {
        struct made *d = &m->v[i];
        *d = (struct made){.folder = {.name = v[i].name, .use = v[i].use}};
        while (imap_client_pending(client) + 3 > IMAP_PIPELINE_MAX) {
            if (imap_conn_pump(&c, 1, err) != 0)
                return -1;
        }
        send_create(client, v[i].name, v[i].use, &d->create);
        if (v[i].is_subscribed)
            send_subscribe(client, v[i].name, &d->subscribe);
        send_status(client, v[i].name, &d->status);
    }
    while (imap_client_pending(client) > 0) {
        if (imap_conn_pump(&c, 1, err) != 0)
            return -1;
    }
    return 0;
}

static int add_made(const struct made *d, const struct mailboxes_wish *wish,
    struct folder_list *there, struct err *err)
{
    struct imap_mailbox_data data = {
        .delimiter = there->delimiter, .name = {.raw = d->folder.name}};
    if (d->create.status != IMAP_STATUS_OK || d->status.status != IMAP_STATUS_OK)
        return 0;
    if (folder_list_add(there, &data, err) != 0)
        return -1;
    struct folder *f = folder_list_find(there, d->folder.name);
    if (!f)
        return 0;
    f->use = d->folder.use;
    f->attrs = wish->is_subscribed && d->subscribe.status == IMAP_STATUS_OK ? FOLDER_SUBSCRIBED : 0;
    f->has_status = d->folder.has_status;
    f->uidvalidity = d->folder.uidvalidity;
    f->uidnext = d->folder.uidnext;
    f->messages = d->folder.messages;
    f->highestmodseq = d->folder.highestmodseq;
    return 0;
}

#define MAKE_AT_ONCE 64

int mailboxes_make(struct imap_conn *c, const struct mailboxes_wish *v, size_t n,
    struct folder_list *there, struct err *err)
{
    struct making m = {.v = mem_realloc_array(NULL, MAKE_AT_ONCE, sizeof(*m.v))};
    int result = 0;
    imap_conn_events(c, &make_events, &m);
    for (size_t i = 0; result == 0 && i < n; i += m.n) {
        m.n = n - i < MAKE_AT_ONCE ? n - i : MAKE_AT_ONCE;
        result = send_wishes(c, v + i, &m, err);
        for (size_t k = 0; result == 0 && k < m.n; k++)
            result = add_made(&m.v[k], &v[i + k], there, err);
    }
    imap_conn_events(c, NULL, NULL);
    free(m.v);
    return result;
}
