/* SPDX-License-Identifier: ISC */
/*
 * imap_append: APPEND, or MULTIAPPEND (RFC 3502), as its octets come.
 *
 * Courier refuses to store into a folder that the same connection has open read-only, so such a
 * folder is left first.  CLOSE expunges nothing there (RFC 9051 6.4.1).  GNU imap4d loses what is
 * stored into a folder that the same connection has open for writing; it has no UIDPLUS.
 *
 * It may be answered before its end, with a NO.  A literal that was announced without asking is
 * sent to its last octet all the same: the server counts them, and would take commands for octets.
 *
 * A server that talks only UTF-8 (UTF8=ONLY) refuses a message with UTF-8 in its header that is not
 * said to be one; whether it is one is not known before its octets come, so each is (RFC 6855 4).
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/mail/uids.h"
#include "imapsync/ends/date.h"
#include "imapsync/ends/imap_parts.h"

enum step { STEP_LEAVE = IMAP_STEP_OWN, STEP_APPEND };

struct append_request {
    struct imap_request r;
    struct slice folder; /* owned */
    struct end_uids *out;
    size_t n; /* messages */
    bool is_utf8;
};

static bool is_in_the_way(const struct imap_end *e, struct slice folder)
{
    return e->tail && folder_same_name(e->tail->name, folder) &&
           !(e->tail->is_for_writing && imap_client_has(e->client, IMAP_CAP_UIDPLUS));
}

static void append_send(struct imap_request *r)
{
    struct append_request *q = (struct append_request *)r;
    struct imap_end *e = r->e;
    if (is_in_the_way(e, q->folder)) {
        imap_compose_leave(r, STEP_LEAVE);
        return;
    }
    imap_request_cmd(r, STEP_APPEND);
    imap_cmd_text(e->client, "APPEND ");
    imap_cmd_name(e, q->folder);
    e->append = r; /* has_more until append_end() */
}

static void take_uids(struct append_request *q, const struct imap_code *code)
{
    size_t n = 0;
    uint32_t *v;
    if (code->kind != IMAP_CODE_APPENDUID || code->number == 0 || code->number > UINT32_MAX)
        return;
    v = mem_realloc_array(NULL, q->n, sizeof(*v));
    /* Another number of UIDs than of messages says nothing. */
    if (uids_read(code->set, v, q->n, &n) == 0 && n == q->n)
        *q->out = (struct end_uids){.uidvalidity = (uint32_t)code->number, .v = v, .n = n};
    else
        free(v);
}

static void append_answered(struct imap_request *r, unsigned step, const struct imap_outcome *o,
    const struct imap_response *resp)
{
    struct append_request *q = (struct append_request *)r;
    if (step == STEP_LEAVE)
        return;
    if (r->e->append == r) { /* refused at a literal: what is left of it goes nowhere */
        r->e->append = NULL;
        r->e->is_append_over = true;
        r->has_more = false;
    }
    if (o->status != IMAP_STATUS_OK)
        imap_request_refuse(r, o, ERR_SCOPE_NONE);
    else if (q->out && q->n > 0)
        take_uids(q, &resp->code);
}

static void append_free(struct imap_request *r)
{
    struct append_request *q = (struct append_request *)r;
    imap_slice_free(&q->folder);
    imap_request_free_head(r);
}

static const struct imap_request_kind append_kind = {
    append_send, NULL, append_answered, append_free};

void imap_end_append_begin(
    struct end *end, struct slice folder, struct end_uids *uids_out, struct end_ticket *t)
{
    struct imap_end *e = imap_end_of(end);
    struct append_request *q = imap_request_new(e, sizeof(*q), &append_kind, t);
    q->r.is_urgent = true;
    q->folder = imap_slice_copy(folder);
    q->out = uids_out;
    q->is_utf8 = imap_client_has(e->client, IMAP_CAP_UTF8_ONLY);
    imap_request_begin(&q->r);
    BUG_ON(!e->append && !e->is_broken); /* see has_room() */
}

/* Behind its octets. */
static void end_message(const struct append_request *q)
{
    if (q->is_utf8 && q->n > 0)
        imap_cmd_text(q->r.e->client, ")");
}

/* [SP flag-list] [SP date-time] SP literal */
void imap_end_append_message(struct end *end, const struct end_message *m)
{
    struct imap_end *e = imap_end_of(end);
    struct buf text;
    e->literal_left = 0;
    if (!e->append)
        return; /* it has been answered */
    e->literal_left = m->size;
    struct append_request *q = (struct append_request *)e->append;
    end_message(q);
    q->n++;
    buf_init(&text, 64u << 10);
    if (m->flags)
        BUG_ON(flags_format(m->flags, m->keywords, &text) != 0);
    if (text.n > 0)
        imap_cmd_f(e->client, " (%s)", buf_cstr(&text));
    buf_clear(&text);
    if (m->has_date) {
        BUG_ON(date_format(m->date_s, m->zone_min, &text) != 0);
        imap_cmd_f(e->client, " \"%s\"", buf_cstr(&text));
    }
    buf_fini(&text);
    imap_cmd_text(e->client, " ");
    if (q->is_utf8)
        imap_cmd_literal_utf8(e->client, m->size);
    else
        imap_cmd_literal(e->client, m->size);
}

void imap_end_append_octets(struct end *end, struct slice octets)
{
    struct imap_end *e = imap_end_of(end);
    if (octets.n <= e->literal_left)
        imap_cmd_octets(e->client, octets);
    e->literal_left -= octets.n <= e->literal_left ? octets.n : e->literal_left;
}

void imap_end_append_end(struct end *end)
{
    struct imap_end *e = imap_end_of(end);
    e->literal_left = 0;
    if (e->append) {
        end_message((struct append_request *)e->append);
        e->append->has_more = false;
    }
    if (e->append || e->is_append_over)
        imap_cmd_end(e->client);
    e->append = NULL;
    e->is_append_over = false;
}
