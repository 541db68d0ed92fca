/* SPDX-License-Identifier: ISC */
/*
 * cutthrough_envelope: MAIL, RCPT, and how a transaction comes to its target.
 */
#include "base/core/mem.h"
#include "relay/cutthrough_parts.h"

/* More than any setting allows recipients. */
#define DECISIONS_MEM_MAX ((size_t)1 << 30)

void cutthrough_mail(struct cutthrough *ct, const struct smtp_command *mail)
{
    BUG_ON(ct->state != CUT_IDLE || ct->client);
    buf_clear(&ct->sender);
    if (buf_add(&ct->sender, mail->mailbox) != 0)
        BUG("the grammar bounds an address");
    ct->size = mail->has_size ? mail->size : 0;
    ct->is_8bit = mail->is_8bit;
    ct->server = CONF_SERVER_NONE;
    ct->was_replaced = ct->is_ended = ct->is_ambiguous = false;
    ct->n_decisions = ct->n_dotted = 0;
    if (ct->mem)
        arena_reset(ct->mem);
    ct->header_scanned = ct->n_header = 0;
    ct->n_content = ct->n_prefix = 0;
    data_encoder_init(&ct->encoder);
    ct->state = CUT_MAIL;
    cut_say(ct, 250, "2.1.0", "OK");
}

/* What is known of the message does not suit the target. */
static bool is_unsuitable(const struct cutthrough *ct, struct answer *a)
{
    uint64_t max = ct->client->size_max, room = ct->room + CUT_ROOM_EACH * ct->n_decisions;

    if (ct->size > 0 && max > 0 && (room > max || ct->size > max - room)) {
        /* It suited the recipients before: a transaction without them has the room. */
        if (ct->n_decisions > 0)
            answer_set(a, 452, "4.5.3", "too many recipients for a message of this size");
        else
            answer_set(
                a, 552, "5.3.4", "the message is too big for server %s", cut_server_name(ct));
        return true;
    }
    if (ct->is_8bit && cut_refuses_8bit(ct)) {
        answer_set(a, 554, "5.6.3", "server %s takes no 8-bit content", cut_server_name(ct));
        return true;
    }
    return false;
}

/* Of the pending recipient.  What comes from nobody is a report, and stays from nobody: one to an
 * owner could come back for ever. */
static struct slice sender_of(const struct cutthrough *ct)
{
    const char *owner = ct->pending.deliveries[0].errors_to;
    return owner && ct->sender.n > 0 ? slice_str(owner) : buf_slice(&ct->sender);
}

static bool has_other_sender(const struct cutthrough *ct)
{
    return ct->is_mail_sent && !slice_eq(sender_of(ct), buf_slice(&ct->asked_as));
}

/* MAIL, when it was not sent yet, and RCPT for the pending decision leave together. */
static void ask_target(struct cutthrough *ct)
{
    uint64_t size = ct->size > 0 ? ct->size + ct->room : 0;
    struct answer a;

    if (is_unsuitable(ct, &a)) {
        if (!ct->is_mail_sent)
            cut_release(ct, CUT_RELEASE_KEEP);
        cut_end_rcpt(ct);
        cut_answer(ct, &a, 1);
        return;
    }
    ct->todo |= CUT_FLUSH;
    ct->state = CUT_ASKED;
    if (!ct->is_mail_sent) {
        buf_clear(&ct->asked_as);
        if (buf_add(&ct->asked_as, sender_of(ct)) != 0)
            buf_clear(&ct->asked_as); /* no address: the target's engine refuses it below */
    }
    if ((ct->is_mail_sent || smtp_client_mail(ct->client, sender_of(ct), size, ct->is_8bit) == 0) &&
        smtp_client_rcpt(ct->client, slice_str(ct->pending.deliveries[0].address)) == 0) {
        ct->is_mail_sent = true;
        return;
    }
    /* The address is one that the map made, or the sender came by other rules than the target's. */
    answer_set(&a, 451, "4.3.5", "this address cannot be handed to server %s", cut_server_name(ct));
    if (ct->n_decisions == 0)
        cut_release(ct, CUT_RELEASE_RESET);
    cut_end_rcpt(ct);
    cut_answer(ct, &a, 1);
}

static void deliver(struct cutthrough *ct)
{
    const struct decide_delivery *d = &ct->pending.deliveries[0];

    if (ct->n_decisions > 0) {
        bool is_lmtp = ct->servers[d->server].is_lmtp;
        size_t max = !is_lmtp ? SIZE_MAX : ct->client_is_lmtp ? SMTP_CLIENT_LMTP_RCPTS_MAX : 1;
        bool is_apart = d->server != ct->server || has_other_sender(ct);
        if (is_apart || ct->n_decisions >= max) {
            const char *why =
                d->server != ct->server ? "another server, send it in a transaction of its own"
                : is_apart              ? "errors go elsewhere, send it in a transaction of its own"
                                        : "one recipient at a time for this server";
            cut_end_rcpt(ct);
            cut_say(ct, 452, "4.5.3", why);
            return;
        }
    } else if (ct->client && (ct->server != d->server || has_other_sender(ct))) {
        cut_release(ct, CUT_RELEASE_RESET);
    }
    ct->server = d->server;
    if (ct->client)
        ask_target(ct);
    else
        cut_connect_target(ct, false);
}

/* A recipient that is held is decided again and again, so what was kept goes each time. */
static void keep_pending(struct cutthrough *ct, const struct decision *d)
{
    if (!ct->pending_mem) {
        ct->pending_mem = arena_new(DECIDE_MEM_MAX);
        ct->mem = arena_new(DECISIONS_MEM_MAX);
    }
    arena_reset(ct->pending_mem);
    if (decision_copy(d, ct->pending_mem, &ct->pending) != 0)
        BUG("one decision fits");
}

void cutthrough_rcpt(struct cutthrough *ct, const struct decision *d, size_t room)
{
    struct answer a;

    if (ct->state == CUT_BROKEN) {
        cut_answer(ct, &ct->verdict, 1);
        return;
    }
    BUG_ON(ct->state != CUT_MAIL && ct->state != CUT_READY && ct->state != CUT_HELD);
    keep_pending(ct, d);
    ct->room = room;
    switch (d->kind) {
    case DECIDE_DELIVER:
        deliver(ct);
        return;
    case DECIDE_HOLD:
        ct->state = CUT_HELD;
        ct->todo |= CUT_HOLD;
        return;
    case DECIDE_REJECT:
    case DECIDE_DEFER:
        answer_from_decision(d, &a);
        break;
    case DECIDE_NOT_OURS:
        answer_set(&a, 550, "5.7.1", "relaying denied: this domain is not served here");
        break;
    }
    cut_end_rcpt(ct);
    cut_answer(ct, &a, 1);
}

void cutthrough_hold_over(struct cutthrough *ct)
{
    struct answer a;

    BUG_ON(ct->state != CUT_HELD);
    answer_from_decision(&ct->pending, &a);
    cut_end_rcpt(ct);
    cut_answer(ct, &a, 1);
}

void cutthrough_target(
    struct cutthrough *ct, struct smtp_client *client, bool is_reused, const struct err *why)
{
    BUG_ON(ct->state != CUT_CONNECTING);
    if (client) {
        ct->client = client;
        ct->is_reused = is_reused;
        ct->is_mail_sent = false;
        ask_target(ct);
        return;
    }
    struct answer a;
    answer_from_target_error(cut_server_name(ct), why, &a);
    cut_end_rcpt(ct);
    cut_answer(ct, &a, 1);
}

static void accept_pending(struct cutthrough *ct)
{
    if (ct->n_decisions == ct->decisions_cap) {
        ct->decisions_cap = ct->decisions_cap ? 2 * ct->decisions_cap : 1;
        ct->decisions = mem_realloc_array(ct->decisions, ct->decisions_cap, sizeof(*ct->decisions));
    }
    if (decision_copy(&ct->pending, ct->mem, &ct->decisions[ct->n_decisions++]) != 0)
        BUG("the recipients of a transaction are limited");
}

bool cut_replace(struct cutthrough *ct)
{
    if (!ct->is_reused || ct->was_replaced || ct->n_decisions > 0)
        return false;
    cut_release(ct, CUT_RELEASE_CLOSE);
    ct->was_replaced = true;
    cut_connect_target(ct, true);
    return true;
}

/* "451 4.4.2 timeout": said of the connection, if not of nothing in particular (RFC 3463 3.5). */
static bool is_about_connection(const struct smtp_reply *reply)
{
    return reply->code / 100 == 4 &&
           (reply->enhanced[0] == '\0' || memcmp(reply->enhanced, "4.4.", 4) == 0);
}

void cut_mail_replied(struct cutthrough *ct, const struct smtp_reply *reply)
{
    struct answer a;

    if (ct->state != CUT_ASKED || reply->code / 100 == 2)
        return;
    answer_from_target(ANSWER_MAIL, reply, cut_server_name(ct), &a);
    /* A refusal that does not pass is our trouble: "503 hello first" behind a long pause. */
    if ((is_about_connection(reply) || a.code != reply->code) && cut_replace(ct))
        return;
    /* The RCPT behind it is refused too; its reply goes to the pool. */
    cut_release(ct, CUT_RELEASE_RESET);
    cut_end_rcpt(ct);
    cut_answer(ct, &a, 1);
}

void cut_rcpt_replied(struct cutthrough *ct, const struct smtp_reply *reply)
{
    struct answer a;

    BUG_ON(ct->state != CUT_ASKED);
    answer_from_target(
        ct->n_decisions > 0 ? ANSWER_RCPT_MORE : ANSWER_RCPT, reply, cut_server_name(ct), &a);
    if (answer_is_positive(&a))
        accept_pending(ct);
    cut_end_rcpt(ct);
    cut_answer(ct, &a, 1);
}
