/* SPDX-License-Identifier: ISC */
/* imap_end: what an IMAP server can, and the life of its end. */
#include "imapsync/ends/imap_end.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/ends/imap_parts.h"
#include "imapsync/ends/imap_token.h"

static unsigned can(const struct end *end)
{
    const struct imap_end *e = (const struct imap_end *)end;
    unsigned n = 0;
    if (imap_client_has(e->client, IMAP_CAP_UIDPLUS))
        n |= END_CAN_TELL_UIDS | END_CAN_REMOVE;
    /* Where each literal has to be asked for, messages of one command would wait for each other;
     * and a MESSAGELIMIT is one of APPEND too. */
    if (imap_client_has(e->client, IMAP_CAP_MULTIAPPEND | IMAP_CAP_LITERAL_PLUS) &&
        imap_client_limits(e->client).messages == 0)
        n |= END_CAN_BATCH;
    if (imap_client_has(e->client, IMAP_CAP_MOVE) || imap_client_has(e->client, IMAP_CAP_UIDPLUS))
        n |= END_CAN_MOVE;
    if (imap_client_has(e->client, IMAP_CAP_CONDSTORE))
        n |= END_CAN_TELL_CHANGES | END_CAN_GUARD;
    if (imap_client_has(e->client, IMAP_CAP_OBJECTID))
        n |= END_CAN_TELL_IDS;
    if (imap_client_has(e->client, IMAP_CAP_GMAIL))
        n |= END_CAN_TELL_EMAILIDS;
    if (imap_client_has(e->client, IMAP_CAP_ACL))
        n |= END_CAN_ACL;
    if (imap_client_has(e->client, IMAP_CAP_RIGHTS))
        n |= END_CAN_NEW_RIGHTS;
    if (imap_client_has(e->client, IMAP_CAP_METADATA))
        n |= END_CAN_METADATA;
    if (imap_client_has(e->client, IMAP_CAP_METADATA_SERVER))
        n |= END_CAN_METADATA_ALL;
    if (e->size_max > 0)
        n |= END_CAN_CHECK_SIZE;
    return n | END_CAN_SHARE;
}

static uint64_t size_max(const struct end *end)
{
    return ((const struct imap_end *)end)->size_max;
}

static bool is_same(const struct end *end, const struct folder *f, struct slice token)
{
    struct imap_token t;
    (void)end;
    return imap_token_unpack(token, &t) && imap_token_is_same(&t, f);
}

static size_t unsent(const struct end *end)
{
    return imap_client_unsent(((const struct imap_end *)end)->client);
}

static bool has_room(const struct end *end)
{
    const struct imap_end *e = (const struct imap_end *)end;
    if (e->is_broken)
        return true; /* whatever is begun is answered at once */
    for (const struct imap_request *r = e->requests; r; r = r->next) {
        if (r->has_more || (r->is_barrier && !imap_request_is_complete(r)))
            return false;
    }
    return imap_requests_may_send(e) && imap_client_pending(e->client) + 2 < IMAP_COMMANDS_MAX;
}

static void set_pause(struct end *e, bool on)
{
    imap_conn_pause(imap_end_of(e)->conn, on);
}

static bool is_open(const struct end *end)
{
    return ((const struct imap_end *)end)->is_open;
}

static bool is_silent(const struct end *end)
{
    return imap_conn_broken(((const struct imap_end *)end)->conn) == IMAP_BROKEN_SILENT;
}

static bool is_broken(const struct end *end)
{
    const struct imap_end *e = (const struct imap_end *)end;
    return e->is_broken || e->has_failed;
}

static void prepare(struct end *end, struct pollfd *fd, int *timeout_ms)
{
    struct imap_end *e = imap_end_of(end);
    *fd = (struct pollfd){.fd = -1};
    *timeout_ms = is_broken(end) || imap_request_is_complete(e->requests) ? 0 : -1;
    if (*timeout_ms < 0)
        imap_conn_prepare(e->conn, fd, timeout_ms);
}

static void lose(struct end *end, const struct err *why)
{
    struct imap_end *e = imap_end_of(end);
    if (e->is_broken)
        return;
    e->err = *why;
    e->is_broken = true;
    if (e->conn)
        imap_conn_abandon(e->conn);
    imap_requests_lose(e, why);
}

static int broken(struct imap_end *e, const struct err *why, struct err *err)
{
    *err = *why;
    lose(&e->end, err);
    return -1;
}

static void enabled(void *arg, const struct imap_response *resp)
{
    (void)arg, (void)resp; /* "* ENABLED" tells what it has come to */
}

/* Nothing waits for it: until the answer is there the end does without. */
static void enable(struct imap_end *e)
{
    if (!imap_client_has(e->client, IMAP_CAP_ENABLE | IMAP_CAP_QRESYNC))
        return;
    imap_cmd_begin(e->client, enabled, NULL);
    imap_cmd_text(e->client, "ENABLE QRESYNC");
    imap_cmd_end(e->client);
}

void imap_end_recognise(struct imap_end *e, struct slice id)
{
    struct slice greeting = slice_str(imap_client_greeting(e->client));
    const struct profile *p = e->manner->profile;
    if (!p)
        p = profile_recognise(slice_str(e->place->host), greeting, id);
    if (p == e->profile)
        return;
    e->profile = p;
    imap_manner_apply(e->manner, p, e->place);
}

/* What it says itself, and what is known of its kind: the smaller one, as long as it is open. */
static uint64_t largest_message(const struct imap_end *e)
{
    uint64_t told = imap_client_limits(e->client).append, known = e->profile->message_max;
    return told > 0 && (known == 0 || told < known) ? told : known;
}

/* Signed in: what has been begun meanwhile goes now. */
static void opened(struct imap_end *e)
{
    e->is_open = true;
    imap_conn_events(e->conn, &imap_end_events, e);
    /* Nothing about folders or messages has been asked yet, so none of that is lost. */
    e->end.n_odd += imap_conn_n_odd(e->conn);
    imap_end_recognise(e, SLICE_NONE);
    e->size_max = largest_message(e);
    enable(e);
    imap_requests_flush(e);
}

/* In the same flight as the last commands, if their answers cannot lead to others. */
static void try_to_leave(struct imap_end *e)
{
    bool is_ready = e->wants_to_leave && !e->is_leaving;
    for (const struct imap_request *r = e->requests; r && is_ready; r = r->next)
        is_ready = !r->has_more && r->is_final;
    if (!is_ready)
        return;
    e->is_leaving = true;
    imap_conn_leave(e->conn);
    /* What else is on its way, such as ENABLE, is nobody's question. */
    if (!e->requests)
        imap_conn_leave_soon(e->conn);
}

static int advance(struct end *end, short revents, bool *moved_out, struct err *err)
{
    struct imap_end *e = imap_end_of(end);
    struct err why = ERR_INIT;
    if (e->is_broken || e->has_failed)
        return broken(e, &e->err, err);
    imap_requests_flush(e);
    imap_requests_settle(e, moved_out);
    if (imap_conn_advance(e->conn, revents, moved_out, &why) != 0) {
        /* Many servers close as soon as they have said BYE. */
        if (!e->is_leaving)
            return broken(e, &why, err);
        *moved_out = true;
        lose(end, &why);
        return 0;
    }
    if (e->has_failed)
        return broken(e, &e->err, err);
    if (!e->is_open && imap_conn_is_ready(e->conn))
        opened(e);
    imap_requests_flush(e); /* what could not be said before, by the server's pace */
    try_to_leave(e);
    return 0;
}

static bool is_idle(const struct end *end)
{
    const struct imap_end *e = (const struct imap_end *)end;
    return !e->requests && (!e->wants_to_leave || (e->is_leaving && imap_conn_has_left(e->conn)));
}

static void leave(struct end *end)
{
    struct imap_end *e = imap_end_of(end);
    e->wants_to_leave = true;
    imap_requests_flush(e);
    try_to_leave(e);
}

static void do_close(struct end *end)
{
    struct imap_end *e = imap_end_of(end);
    struct err err = ERR_INIT;
    imap_conn_events(e->conn, NULL, NULL);
    err_set(&err, ERR_TEMP, EX_TEMPFAIL, "%s: closed before the answer came", end->label);
    if (!e->is_leaving || !is_idle(end))
        lose(end, &err);
    imap_conn_close(&e->conn);
    while (e->cmds) {
        struct imap_cmd *c = e->cmds;
        e->cmds = c->next;
        imap_slice_free(&c->about);
        free(c);
    }
    imap_slice_free(&end->lost_at);
    imap_opened_unref(&e->tail);
    imap_opened_unref(&e->last_opened);
    free(e);
}

static const struct end_ops ops = {
    .kind = "imap",
    .can = can,
    .size_max = size_max,
    .is_same = is_same,
    .folders = imap_end_folders,
    .status = imap_end_status,
    .identify = imap_end_identify,
    .quota = imap_end_quota,
    .make = imap_end_make,
    .rename = imap_end_rename,
    .subscribe = imap_end_subscribe,
    .open = imap_end_open,
    .read = imap_end_read,
    .headers = imap_end_headers,
    .acl = imap_end_acl,
    .set_acl = imap_end_set_acl,
    .metadata = imap_end_metadata,
    .set_metadata = imap_end_set_metadata,
    .attributes = imap_end_attributes,
    .append_begin = imap_end_append_begin,
    .append_message = imap_end_append_message,
    .append_octets = imap_end_append_octets,
    .append_end = imap_end_append_end,
    .unsent = unsent,
    .has_room = has_room,
    .flags = imap_end_flags,
    .move = imap_end_move,
    .remove = imap_end_remove,
    .pause = set_pause,
    .prepare = prepare,
    .advance = advance,
    .is_open = is_open,
    .is_broken = is_broken,
    .is_silent = is_silent,
    .is_idle = is_idle,
    .lose = lose,
    .leave = leave,
    .close = do_close,
};

static struct end *make(const struct end_maker *m, const struct wait_limits *limits)
{
    const struct imap_end_maker *im = (const struct imap_end_maker *)m;
    struct imap_end *e = mem_zalloc(sizeof(*e));
    e->end = (struct end){.ops = &ops, .label = im->place->label, .limits = limits};
    e->place = im->place;
    e->manner = &im->manner;
    e->conn = imap_conn_start(im->place, limits);
    e->client = imap_conn_client(e->conn);
    return &e->end;
}

static unsigned n_avoided(const struct end_maker *m)
{
    const struct imap_avoided *a = ((const struct imap_end_maker *)m)->place->avoided;
    return a ? a->n : 0;
}

int imap_end_maker_init(struct imap_end_maker *m, const struct imap_place *place, struct err *err)
{
    buf_init(&m->name, 4096);
    /* A server of the configuration keeps its name when it gets another address or port. */
    int r = place->is_named ? buf_addf(&m->name, "server %s, mailbox %s", place->label, place->user)
                            : buf_addf(&m->name, "imap://%s@%s:%u/", place->user, place->host,
                                  (unsigned)place->port);
    m->place = place;
    m->maker = (struct end_maker){
        .label = place->label, .user = place->user, .make = make, .n_avoided = n_avoided};
    if (r != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "a name is too long");
    m->maker.name = buf_cstr(&m->name);
    return 0;
}

void imap_end_maker_fini(struct imap_end_maker *m)
{
    buf_fini(&m->name);
}
