/* SPDX-License-Identifier: ISC */
/*
 * imap_store: changing flags and removing messages of the folder that is open.
 *
 * Where somebody wants to know what came of it, the server tells the flags of each message with its
 * answer; else it is asked to be silent.
 *
 * Flags are only added and removed (+FLAGS, -FLAGS), never set, so what others have done to other
 * flags stays; where nobody else may have done anything, UNCHANGEDSINCE (RFC 7162 3.1.3) says so.
 * A message is removed by UID EXPUNGE (RFC 4315) of exactly the UIDs that were asked for, which
 * spares those that bear no mark.  Without UIDPLUS nothing is removed, since EXPUNGE alone would
 * take messages that somebody else has marked.
 *
 * A server with a MESSAGELIMIT is asked once more, in portions of its number, for all of them:
 * flags that are there already, and messages that are gone, do no harm, and what UNCHANGEDSINCE
 * then finds changed by us comes back as modified.
 *
 * Both may leave behind a SELECT whose answer has not come, when the folder was what it was a
 * moment ago: a folder that is replaced in this moment gets flags that it should not have, and
 * loses nothing, since what is to be removed was marked by an earlier command.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/ends/imap_parts.h"

enum step { STEP_STORE = IMAP_STEP_OWN };

struct store_request {
    struct imap_request r;
    uint32_t *uids; /* owned, ascending */
    size_t n, sent;
    bool was_cut; /* a command was done for a part of its messages only */
    struct imap_rest rest;
    char *change; /* "+FLAGS.SILENT (...)", owned; NULL: remove() */
    struct end_uids *modified;
    struct end_changes *there; /* flags(), or NULL */
};

static void store_send(struct imap_request *r)
{
    struct store_request *q = (struct store_request *)r;
    struct imap_client *client = r->e->client;
    struct buf set;
    buf_init(&set, IMAP_SET_MAX);
    q->sent += imap_set_some(r->e, &set, q->uids + q->sent, q->n - q->sent);
    imap_request_cmd(r, STEP_STORE);
    if (q->change)
        imap_cmd_f(client, "UID STORE %s %s", buf_cstr(&set), q->change);
    else
        imap_cmd_f(client, "UID EXPUNGE %s", buf_cstr(&set));
    imap_cmd_end(client);
    buf_fini(&set);
    r->has_more = q->sent < q->n;
}

/* Ours of the set, behind those of the commands before. */
static void take_modified(struct store_request *q, struct slice set)
{
    struct end_uids *u = q->modified;
    struct uid_range range;
    if (!u)
        return;
    u->uidvalidity = q->r.opened->uidvalidity;
    while (uids_next(&set, &range) > 0) {
        for (size_t i = 0; i < q->n; i++) {
            if (q->uids[i] < range.first || q->uids[i] > range.last)
                continue;
            u->v = mem_realloc_array(u->v, u->n + 1, sizeof(*u->v));
            u->v[u->n++] = q->uids[i];
        }
    }
    u->n = uids_sort(u->v, u->n);
}

/* Those of others are not kept, so there cannot be too many. */
static bool store_untagged(struct imap_request *r, const struct imap_response *resp)
{
    struct store_request *q = (struct store_request *)r;
    struct listed m;
    if (!q->there || resp->kind != IMAP_KIND_FETCH || !(resp->fetch.has & IMAP_FETCH_UID) ||
        !uids_have(q->uids, q->n, resp->fetch.uid) || !imap_listed(q->there, &resp->fetch, &m))
        return false;
    return end_changes_add(q->there, &m);
}

static void store_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    struct store_request *q = (struct store_request *)r;
    (void)step;
    if (resp->code.kind == IMAP_CODE_MODIFIED)
        take_modified(q, resp->code.set);
    if (imap_rest_was_cut(o))
        q->was_cut = true;
    else if (o->status != IMAP_STATUS_OK)
        imap_request_refuse(r, o, ERR_SCOPE_FOLDER);
    if (!q->was_cut || r->n_cmds > 0 || r->has_more)
        return;
    q->was_cut = false;
    q->sent = 0;
    if (imap_rest_goes_on(&q->rest, r->e, q->n))
        r->has_more = true;
    else
        imap_rest_refuse(r);
}

static void store_free(struct imap_request *r)
{
    struct store_request *q = (struct store_request *)r;
    free(q->uids);
    free(q->change);
    imap_request_free_head(r);
}

static const struct imap_request_kind store_kind = {
    store_send, store_untagged, store_answered, store_free};

static struct store_request *store_request(
    struct end *end, const uint32_t *uids, size_t n, struct end_ticket *t)
{
    struct store_request *q = imap_request_new(imap_end_of(end), sizeof(*q), &store_kind, t);
    q->uids = imap_uids_copy(uids, n, &q->n);
    imap_rest_begin(&q->rest, q->r.e, q->n);
    q->r.may_be_early = true;
    imap_request_to_change(&q->r);
    return q;
}

void imap_end_flags(struct end *end, const uint32_t *uids, size_t n, const struct end_flags *f,
    struct end_uids *modified_out, struct end_ticket *t)
{
    struct store_request *q = store_request(end, uids, n, t);
    struct buf text;
    buf_init(&text, 64u << 10);
    if (f->unchanged_since > 0)
        BUG_ON(buf_addf(&text, "(UNCHANGEDSINCE %llu) ", (unsigned long long)f->unchanged_since));
    BUG_ON(
        buf_addf(&text, "%sFLAGS%s (", f->is_removal ? "-" : "+", f->there ? "" : ".SILENT") != 0 ||
        flags_format(f->flags, f->keywords, &text) != 0 || buf_add_byte(&text, ')') != 0);
    q->change = buf_steal_cstr(&text);
    q->modified = modified_out;
    q->there = f->there;
    if (f->unchanged_since > 0 && !(end->ops->can(end) & END_CAN_GUARD))
        imap_request_cannot(&q->r, "the server does not know who has changed flags (no CONDSTORE)");
    imap_request_begin(&q->r);
}

void imap_end_remove(struct end *end, const uint32_t *uids, size_t n, struct end_ticket *t)
{
    struct store_request *q = store_request(end, uids, n, t);
    if (!(end->ops->can(end) & END_CAN_REMOVE))
        imap_request_cannot(&q->r, "the server cannot remove single messages (no UIDPLUS)");
    imap_request_begin(&q->r);
}
