/* SPDX-License-Identifier: ISC */
/*
 * imap_folders: NAMESPACE and LIST-STATUS (RFC 5258, 5819, 6154), or LIST, LSUB and pipelined
 * STATUS on servers of RFC 3501, and on those that offer more and refuse it.
 *
 * What is open is left before: STATUS of it tells what this session has been told (RFC
 * 9051 6.3.11), so that a pass would not see what came since the one before.  NOOP would be too
 * weak: Dovecot puts it off behind what is pipelined.
 *
 * A folder whose STATUS fails has none in the list; what needs it reports that folder.
 *
 * A line that cannot be read may have been about any folder, so the list is not sure then.
 *
 * MAILBOXIDs are asked for by commands of their own: beside any other item Cyrus 3.6 shows freed
 * memory as the ID, any octets, and the right one only where it is alone.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/ends/aside.h"
#include "imapsync/ends/imap_parts.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/no_mail.h"

static const struct {
    const char *name;
    unsigned attr;
    enum folder_use use;
} words[] = {
    {"\\Archive", 0, FOLDER_USE_ARCHIVE},
    {"\\Drafts", 0, FOLDER_USE_DRAFTS},
    {"\\Junk", 0, FOLDER_USE_JUNK},
    {"\\Sent", 0, FOLDER_USE_SENT},
    {"\\Trash", 0, FOLDER_USE_TRASH},
    {"\\Noselect", FOLDER_NOSELECT, FOLDER_USE_NONE},
    {"\\NonExistent", FOLDER_NOSELECT, FOLDER_USE_NONE},
    {"\\Subscribed", FOLDER_SUBSCRIBED, FOLDER_USE_NONE},
    {"\\Noinferiors", FOLDER_NOINFERIORS, FOLDER_USE_NONE},
    {"\\All", FOLDER_VIRTUAL | FOLDER_ALL, FOLDER_USE_NONE},
    {"\\Flagged", FOLDER_VIRTUAL, FOLDER_USE_NONE},
    {"\\Important", FOLDER_VIRTUAL, FOLDER_USE_NONE},
};
#define N_WORDS (sizeof(words) / sizeof(words[0]))

const char *imap_use_word(enum folder_use use)
{
    size_t i = 0;
    while (i + 1 < N_WORDS && words[i].use != use)
        i++;
    return words[i].name;
}

enum step {
    STEP_LEAVE = IMAP_STEP_OWN,
    STEP_NAMESPACE,
    STEP_LIST,
    STEP_LSUB,
    STEP_LIST_IDS,
    STEP_STATUS,
    STEP_ID,
};

struct list_request {
    struct imap_request r;
    struct folder_list *out;
    enum step next;
    bool is_plain; /* LIST and LSUB without anything newer */
    bool is_listed;
    bool is_exchange;
    size_t at; /* next folder to ask the status of; behind the last one: for their IDs */
};

static void on_namespace(
    const struct imap_end *e, struct folder_list *l, const struct imap_response *r)
{
    struct slice parts[] = {r->personal, r->other, r->shared};
    struct imap_str prefix;
    int delimiter;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        /* Of several personal namespaces the first is where folders are made. */
        while (imap_namespace_next(&parts[i], &prefix, &delimiter)) {
            struct buf text;
            buf_init(&text, FOLDER_NAME_MAX);
            bool is_good = imap_name_take(e, prefix, &text) == 0;
            struct slice copy = imap_slice_copy(buf_slice(&text));
            buf_fini(&text);
            if (is_good && i > 0 && l->n_foreign < FOLDER_PREFIXES_MAX) {
                l->foreign[l->n_foreign++] = copy;
            } else if (is_good && i == 0 && !l->personal.p) {
                l->personal = copy;
                l->delimiter = delimiter;
            } else if (is_good && i == 0 && !l->shown.p &&
                       slice_starts_nocase(copy, SLICE_LIT("virtual")) && copy.n == 8) {
                l->shown = copy;
            } else {
                imap_slice_free(&copy);
            }
        }
    }
}

/* Whether it is in Dovecot's namespace for virtual folders, or stands for it. */
static bool is_virtual(const struct folder_list *l, struct slice name)
{
    return l->shown.n > 1 &&
           (slice_starts(name, l->shown) || slice_eq(name, slice_sub(l->shown, 0, l->shown.n - 1)));
}

static void on_list(struct list_request *l, const struct imap_response *resp)
{
    const struct imap_mailbox_data *m = &resp->mailbox;
    struct buf name;
    struct err err = ERR_INIT;
    unsigned attrs = 0;
    enum folder_use use = FOLDER_USE_NONE;
    buf_init(&name, FOLDER_NAME_MAX + 1);
    for (size_t i = 0; i < N_WORDS; i++) {
        if (!imap_words_have(m->attributes, words[i].name))
            continue;
        attrs |= words[i].attr;
        use = words[i].use != FOLDER_USE_NONE ? words[i].use : use;
    }
    /* The name, or a word of its attributes, is only a guess. */
    l->out->is_unsure = l->out->is_unsure || resp->is_odd;
    bool is_name = imap_name_take(l->r.e, m->name, &name) == 0;
    if (l->is_exchange && is_name && no_mail_is_name(buf_slice(&name), m->delimiter))
        attrs |= FOLDER_NO_MAIL;
    if (is_name && is_virtual(l->out, buf_slice(&name)))
        attrs |= FOLDER_VIRTUAL;
    if (!is_name)
        l->out->ignored++;
    else if (name.n == 0)
        ; /* the root, which some servers list */
    else if (folder_list_add(l->out, buf_slice(&name), m->delimiter, attrs, use, &err) != 0)
        imap_request_fail(&l->r, &err);
    buf_fini(&name);
}

static void on_lsub(
    const struct imap_end *e, struct folder_list *l, const struct imap_mailbox_data *m)
{
    struct buf name;
    buf_init(&name, FOLDER_NAME_MAX);
    /* Subscriptions outlive their folders: only those that LIST has shown count. */
    struct folder *f =
        imap_name_take(e, m->name, &name) == 0 ? folder_list_find(l, buf_slice(&name)) : NULL;
    if (f && !imap_words_have(m->attributes, "\\Noselect"))
        f->attrs |= FOLDER_SUBSCRIBED;
    buf_fini(&name);
}

/* Status of a folder of the list; of one that is not there it says nothing. */
static bool on_status(
    const struct imap_end *e, struct folder_list *l, const struct imap_status_data *d)
{
    struct buf name;
    buf_init(&name, FOLDER_NAME_MAX);
    struct folder *f =
        imap_name_take(e, d->name, &name) == 0 ? folder_list_find(l, buf_slice(&name)) : NULL;
    if (f)
        imap_status_take(f, d);
    if (f && d->has & IMAP_ITEM_MAILBOXID)
        folder_set_id(f, d->id);
    buf_fini(&name);
    return f != NULL;
}

static bool list_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct list_request *l = (struct list_request *)r;
    switch (resp->kind) {
    case IMAP_KIND_NAMESPACE:
        on_namespace(r->e, l->out, resp);
        return true;
    case IMAP_KIND_LIST:
        on_list(l, resp);
        return true;
    case IMAP_KIND_LSUB:
        on_lsub(r->e, l->out, &resp->mailbox);
        return true;
    case IMAP_KIND_MAILBOX_STATUS:
        return on_status(r->e, l->out, &resp->status_data);
    default:
        return false;
    }
}

static bool tells_ids(const struct imap_request *r)
{
    return imap_client_has(r->e->client, IMAP_CAP_OBJECTID);
}

static void compose_status(struct imap_request *r, enum step step, struct slice name)
{
    struct imap_client *client = r->e->client;
    imap_request_cmd(r, step);
    imap_request_about(r, name);
    imap_cmd_text(client, "STATUS ");
    imap_cmd_name(r->e, name);
    imap_cmd_text(client, " ");
    if (step == STEP_ID)
        imap_cmd_text(client, "(MAILBOXID)");
    else
        imap_status_items(r->e);
    imap_cmd_end(client);
}

static bool is_extended(const struct list_request *l)
{
    return !l->is_plain && imap_client_has(l->r.e->client, IMAP_CAP_LIST_EXTENDED);
}

/* Numbers in the list itself; not where a connection was lost then, since nobody knows at which
 * folder: asked for one by one they tell. */
static bool has_status(const struct list_request *l)
{
    const struct imap_end *e = l->r.e;
    return is_extended(l) && imap_client_has(e->client, IMAP_CAP_LIST_STATUS) &&
           !(e->end.aside && e->end.aside->without_status);
}

static void compose_list(struct list_request *l)
{
    struct imap_client *client = l->r.e->client;
    imap_request_cmd(&l->r, STEP_LIST);
    if (has_status(l))
        imap_request_lists(&l->r);
    imap_cmd_text(client, "LIST \"\" \"*\"");
    if (is_extended(l)) {
        imap_cmd_text(client, " RETURN (SUBSCRIBED");
        if (imap_client_has(client, IMAP_CAP_SPECIAL_USE))
            imap_cmd_text(client, " SPECIAL-USE");
        if (has_status(l)) {
            imap_cmd_text(client, " STATUS ");
            imap_status_items(l->r.e);
        }
        imap_cmd_text(client, ")");
    }
    imap_cmd_end(client);
}

static void compose_list_ids(struct list_request *l)
{
    imap_request_cmd(&l->r, STEP_LIST_IDS);
    imap_request_lists(&l->r);
    imap_cmd_text(l->r.e->client, "LIST \"\" \"*\" RETURN (STATUS (MAILBOXID))");
    imap_cmd_end(l->r.e->client);
}

/* Of the next folder that has none; has_more says whether there is another. */
static void next_status(struct list_request *l)
{
    struct folder_list *out = l->out;
    const size_t end = tells_ids(&l->r) ? 2 * out->n : out->n;
    for (; l->at < end; l->at++) {
        enum step step = l->at < out->n ? STEP_STATUS : STEP_ID;
        const struct folder *f = &out->v[l->at % out->n];
        bool has_it = step == STEP_STATUS ? f->has != 0 : f->id.n > 0;
        if (!(f->attrs & FOLDER_NOSELECT) && !has_it && !aside_has(l->r.e->end.aside, f->name) &&
            folder_is_own(out, f)) {
            compose_status(&l->r, step, f->name);
            l->at++;
            return;
        }
    }
    l->r.has_more = false;
}

static void list_send(struct imap_request *r)
{
    struct list_request *l = (struct list_request *)r;
    struct imap_client *client = r->e->client;
    switch (l->next) {
    case STEP_LEAVE:
        l->next = STEP_NAMESPACE;
        if (r->e->tail) {
            imap_compose_leave(r, STEP_LEAVE);
            break;
        }
        /* fall through */
    case STEP_NAMESPACE:
        l->next = STEP_LIST;
        if (imap_client_has(client, IMAP_CAP_NAMESPACE)) {
            imap_request_cmd(r, STEP_NAMESPACE);
            imap_cmd_text(client, "NAMESPACE");
            imap_cmd_end(client);
            break;
        }
        /* fall through */
    case STEP_LIST:
        compose_list(l);
        l->next = is_extended(l) ? STEP_STATUS : STEP_LSUB;
        if (has_status(l) && tells_ids(r))
            l->next = STEP_LIST_IDS;
        r->has_more = l->next != STEP_STATUS;
        r->is_final = has_status(l);
        break;
    case STEP_LIST_IDS:
        compose_list_ids(l);
        l->next = STEP_STATUS;
        r->has_more = false;
        break;
    case STEP_LSUB:
        imap_request_cmd(r, STEP_LSUB);
        imap_cmd_text(client, "LSUB \"\" \"*\"");
        imap_cmd_end(client);
        l->next = STEP_STATUS;
        r->has_more = false;
        break;
    case STEP_STATUS:
    case STEP_ID:
        next_status(l);
        break;
    }
}

static void list_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    struct list_request *l = (struct list_request *)r;
    (void)resp;
    if (step == STEP_LIST && o->status != IMAP_STATUS_OK && is_extended(l) && !r->e->is_leaving) {
        l->is_plain = true;
        l->next = STEP_LIST;
        r->has_more = true;
        return;
    }
    if (step == STEP_LIST && o->status != IMAP_STATUS_OK)
        imap_request_refuse(r, o, ERR_SCOPE_NONE);
    if (r->n_cmds == 0 && !r->has_more && !l->is_listed) {
        l->is_listed = true;
        for (size_t i = 0; l->out->delimiter < 0 && i < l->out->n; i++)
            l->out->delimiter = l->out->v[i].delimiter;
        /* Those that have no status yet. */
        r->has_more = r->result == END_OK && !r->e->is_leaving;
        l->out->unread = r->n_unread;
        l->out->is_unsure = l->out->is_unsure || r->n_unread > 0;
    }
}

static const struct imap_request_kind list_kind = {
    list_send, list_untagged, list_answered, imap_request_free_head};

void imap_end_folders(struct end *end, struct folder_list *out, struct end_ticket *t)
{
    struct imap_end *e = imap_end_of(end);
    struct list_request *l = imap_request_new(e, sizeof(*l), &list_kind, t);
    l->out = out;
    l->is_exchange = no_mail_is_exchange(slice_str(imap_client_greeting(l->r.e->client)));
    l->next = STEP_LEAVE;
    imap_request_begin(&l->r);
}
