/* SPDX-License-Identifier: ISC */
/*
 * listing: FETCH responses into an array.  A server may answer in any order, twice, or about
 * messages that nobody asked for: the array is sorted at the end, the last word about a UID
 * counts, and a response without a UID says nothing.
 */
#include "imapsync/copy/listing.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/imap/fault.h"

void listing_init(struct listing *l, struct keywords *keywords)
{
    *l = (struct listing){.keywords = keywords};
}

void listing_fini(struct listing *l)
{
    free(l->v);
    *l = (struct listing){0};
}

void listing_add(struct listing *l, const struct imap_fetch_data *f)
{
    if (!(f->has & IMAP_FETCH_UID) || l->is_overfull)
        return;
    if (l->n == IMAP_MESSAGES_MAX) {
        l->is_overfull = true;
        return;
    }
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap + l->cap / 2 : 256;
        l->v = mem_realloc_array(l->v, l->cap, sizeof(*l->v));
    }
    struct listed *m = &l->v[l->n];
    *m = (struct listed){.uid = f->uid};
    m->size = f->size > UINT32_MAX ? UINT32_MAX : (uint32_t)f->size;
    m->has_date = f->has & IMAP_FETCH_INTERNALDATE &&
                  listing_parse_date(f->internal_date, &m->date_s, &m->zone_min);
    l->flags_lost += flags_parse(f->flags, l->keywords, &m->flags);
    if (l->n > 0 && l->v[l->n - 1].uid >= m->uid)
        l->is_disordered = true;
    l->n++;
}

static int by_uid(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    return x->uid < y->uid ? -1 : x->uid > y->uid;
}

int listing_finish(struct listing *l, struct err *err)
{
    if (l->is_overfull)
        return err_set(err, ERR_PERM, EX_DATAERR, "more than %u messages", IMAP_MESSAGES_MAX);
    if (!l->is_disordered)
        return 0;
    mem_sort(l->v, l->n, sizeof(*l->v), by_uid);
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++) {
        if (kept > 0 && l->v[kept - 1].uid == l->v[i].uid)
            kept--;
        l->v[kept++] = l->v[i];
    }
    l->n = kept;
    l->is_disordered = false;
    return 0;
}

bool listing_is_whole(const struct listing *l)
{
    return l->n + l->n_expunged >= l->opened_with;
}

const struct listed *listing_find(const struct listing *l, uint32_t uid)
{
    struct listed key = {.uid = uid};
    return l->n > 0 ? mem_search(&key, l->v, l->n, sizeof(key), by_uid) : NULL;
}

static void on_untagged(void *arg, const struct imap_response *r)
{
    struct listing *l = arg;
    if (r->kind == IMAP_KIND_FETCH) {
        listing_add(l, &r->fetch);
    } else if (r->kind == IMAP_KIND_EXISTS) {
        l->exists = r->number;
        if (l->n == 0 && l->n_expunged == 0)
            l->opened_with = r->number;
    } else if (r->kind == IMAP_KIND_EXPUNGE) {
        l->n_expunged++;
    } else if (r->kind == IMAP_KIND_STATUS) {
        if (r->code.kind == IMAP_CODE_UIDVALIDITY && r->code.number <= UINT32_MAX)
            l->uidvalidity = (uint32_t)r->code.number;
        if (r->code.kind == IMAP_CODE_UIDNEXT && r->code.number <= UINT32_MAX)
            l->uidnext = (uint32_t)r->code.number;
        if (r->code.kind == IMAP_CODE_HIGHESTMODSEQ)
            l->highestmodseq = r->code.number;
    }
}

static const struct imap_events events = {.untagged = on_untagged};

int listing_fetch(struct imap_conn *c, struct slice folder, uint32_t from, const char *items,
    struct listing *out, struct err *err)
{
    struct imap_client *client = imap_conn_client(c);
    struct imap_outcome examine = {0}, fetch = {0};
    imap_conn_events(c, &events, out);
    imap_cmd_begin(client, imap_outcome_set, &examine);
    imap_cmd_text(client, "EXAMINE ");
    imap_cmd_astring(client, folder);
    imap_cmd_end(client);
    imap_cmd_begin(client, imap_outcome_set, &fetch);
    imap_cmd_f(client, "UID FETCH %u:* (UID %s)", from, items);
    imap_cmd_end(client);
    int result = imap_conn_wait(c, &fetch, err);
    if (result == 0 && imap_conn_check(c, &examine, "cannot open the folder", err) != 0) {
        err_scope_set(err, ERR_SCOPE_FOLDER);
        result = -1;
    }
    /* An empty folder: some servers answer NO to "1:*" there. */
    if (result == 0 && out->exists > 0 &&
        imap_conn_check(c, &fetch, "cannot list the messages", err) != 0) {
        err_scope_set(err, ERR_SCOPE_FOLDER);
        result = -1;
    }
    imap_conn_events(c, NULL, NULL);
    if (result != 0)
        return -1;
    /* Of no use: UIDs mean nothing without it.  Other folders may be better. */
    if (out->uidvalidity == 0)
        result = err_set(err, ERR_PEER, EX_PROTOCOL, "%s: the server tells no UIDVALIDITY",
            imap_conn_place(c)->label);
    else
        result = listing_finish(out, err);
    return result == 0 ? 0 : err_scope_set(err, ERR_SCOPE_FOLDER);
}
