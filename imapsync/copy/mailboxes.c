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

#include "imapsync/imap/fault.h"

struct collect {
    struct folder_list *list;
    struct folder *only; /* STATUS of this folder, and nothing else */
    bool has_namespace;
    bool is_lsub;
    int result;
    struct err err;
};

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

static void on_status(struct collect *x, const struct imap_status_data *d)
{
    struct buf name;
    buf_init(&name, IMAP_MAILBOX_NAME_MAX);
    struct folder *f = NULL;
    if (imap_str_add(d->name, &name) == 0) {
        if (!x->only)
            f = folder_list_find(x->list, buf_slice(&name));
        else if (slice_eq_nocase(x->only->name, buf_slice(&name)))
            f = x->only;
    }
    if (f) {
        f->has_status = d->has;
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
    struct collect *x = arg;
    if (r->kind == IMAP_KIND_MAILBOX_STATUS)
        on_status(x, &r->status_data);
    else if (x->only)
        return;
    else if (r->kind == IMAP_KIND_NAMESPACE)
        on_namespace(x->list, r);
    else if (r->kind == IMAP_KIND_LIST && x->result == 0)
        x->result = folder_list_add(x->list, &r->mailbox, &x->err);
    else if (r->kind == IMAP_KIND_LSUB)
        on_lsub(x->list, &r->mailbox);
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

static int list_all(struct imap_conn *c, struct collect *x, struct err *err)
{
    struct imap_client *client = imap_conn_client(c);
    struct imap_outcome names = {0}, list = {0}, lsub = {0};
    bool has_namespace = imap_client_has(client, IMAP_CAP_NAMESPACE);
    bool is_extended = imap_client_has(client, IMAP_CAP_LIST_EXTENDED);
    if (has_namespace) {
        imap_cmd_begin(client, imap_outcome_set, &names);
        imap_cmd_text(client, "NAMESPACE");
        imap_cmd_end(client);
    }
    send_list(client, &list);
    if (!is_extended) {
        imap_cmd_begin(client, imap_outcome_set, &lsub);
        imap_cmd_text(client, "LSUB \"\" \"*\"");
        imap_cmd_end(client);
    }
    if (imap_conn_check(c, &list, "cannot list the folders", err) != 0 ||
        (has_namespace && imap_conn_wait(c, &names, err) != 0) ||
        (!is_extended && imap_conn_wait(c, &lsub, err) != 0))
        return -1;
    if (x->result != 0) {
        *err = x->err;
        return -1;
    }
    return status_all(c, x->list, err);
}

int mailboxes_list(struct imap_conn *c, struct folder_list *out, struct err *err)
{
    struct collect x = {.list = out};
    folder_list_init(out);
    imap_conn_events(c, &events, &x);
    int result = list_all(c, &x, err);
    imap_conn_events(c, NULL, NULL);
    for (size_t i = 0; out->delimiter < 0 && i < out->n; i++)
        out->delimiter = out->v[i].delimiter;
    if (result != 0)
        folder_list_fini(out);
    return result;
}

int mailboxes_status(struct imap_conn *c, struct folder *f, struct err *err)
{
    struct collect x = {.only = f};
    struct imap_outcome o = {0};
    imap_conn_events(c, &events, &x);
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

int mailboxes_create(struct imap_conn *c, struct slice name, enum folder_use use, struct err *err)
{
    struct imap_client *client = imap_conn_client(c);
    struct imap_outcome o = {0};
    imap_cmd_begin(client, imap_outcome_set, &o);
    imap_cmd_text(client, "CREATE ");
    imap_cmd_astring(client, name);
    if (use != FOLDER_USE_NONE && imap_client_has(client, IMAP_CAP_CREATE_SPECIAL_USE))
        imap_cmd_f(client, " (USE (%s))", folder_use_name(use));
    imap_cmd_end(client);
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
    struct imap_client *client = imap_conn_client(c);
    struct imap_outcome o = {0};
    imap_cmd_begin(client, imap_outcome_set, &o);
    imap_cmd_text(client, "SUBSCRIBE ");
    imap_cmd_astring(client, name);
    imap_cmd_end(client);
    if (imap_conn_check(c, &o, "cannot subscribe to the folder", err) != 0)
        return err_scope_set(err, ERR_SCOPE_FOLDER);
    return 0;
}
