/* SPDX-License-Identifier: ISC */
/*
 * cutthrough: see cutthrough.h for the states and the rules.
 *
 * Every input function ends with a state and a set of things to do; nothing is called back.  "What
 * we do on entering a state" is in the small verbs (answer, release, refuse, connect), "what an
 * event means" in the functions of the inputs.
 *
 * Known weakness: a connection that dies between an accepted RCPT and DATA is not replaced; the
 * client hears 451 and comes again.
 */
#include "relay/cutthrough.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/core/mem.h"
#include "base/mail/header.h"

/* A piece of content may follow the last byte that fits. */
#define HEADER_SLACK (128u << 10)
#define DECISIONS_KEEP 4 /* so many recipients have their place for life: 2 KiB each */

static const char *const state_names[] = {"idle", "mail", "held", "connecting", "asked", "ready",
    "broken", "header", "waiting", "body", "claiming", "dotted", "refused"};
_Static_assert(sizeof(state_names) / sizeof(*state_names) == CUT_STATES, "a name for each state");

const char *cutthrough_state_name(enum cutthrough_state state)
{
    return state_names[state];
}

/* --- Verbs ----------------------------------------------------------------------------------- */

static void answer(struct cutthrough *ct, const struct answer *a, size_t times)
{
    ct->answer = *a;
    ct->n_answers = (uint32_t)times;
    ct->todo |= CUT_ANSWER;
}

static void say(struct cutthrough *ct, int code, const char *enhanced, const char *text)
{
    struct answer a;

    answer_set(&a, code, enhanced, "%s", text);
    answer(ct, &a, 1);
}

static void release(struct cutthrough *ct, enum cutthrough_release how)
{
    if (!ct->client)
        return;
    ct->client = NULL;
    ct->release = how;
    ct->todo &= ~(unsigned)CUT_FLUSH; /* the next owner flushes */
    ct->todo |= CUT_RELEASE;
}

/* Back to where the next RCPT may come. */
static void end_rcpt(struct cutthrough *ct)
{
    ct->state = ct->n_decisions > 0 ? CUT_READY : CUT_MAIL;
    if (!ct->client && ct->n_decisions == 0)
        ct->server = CONF_SERVER_NONE;
}

static void connect_target(struct cutthrough *ct, bool fresh)
{
    ct->wants_fresh = fresh;
    ct->todo |= CUT_CONNECT;
    ct->state = CUT_CONNECTING;
}

/* How many answers the end of the content wants. */
static size_t end_answers(const struct cutthrough *ct)
{
    return ct->client_is_lmtp ? ct->n_decisions : 1;
}

static void finish(struct cutthrough *ct, const struct answer *a, size_t times)
{
    answer(ct, a, times);
    ct->state = CUT_IDLE;
    buf_fini(&ct->header);
}

/* The message is refused: now when the client waits for it, else behind the end of its content. */
static void refuse(struct cutthrough *ct, const struct answer *a)
{
    ct->verdict = *a;
    ct->state = CUT_REFUSED;
    if (ct->is_ended)
        finish(ct, a, end_answers(ct));
}

static const char *server_name(const struct cutthrough *ct)
{
    return ct->servers[ct->server].name;
}

/* --- The envelope ---------------------------------------------------------------------------- */

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
    ct->header_scanned = ct->n_header = 0;
    ct->n_content = ct->n_prefix = 0;
    data_encoder_init(&ct->encoder);
    ct->state = CUT_MAIL;
    say(ct, 250, "2.1.0", "OK");
}

static bool refuses_8bit(const struct cutthrough *ct)
{
    return ct->servers[ct->server].refuses_8bit &&
           (ct->client->caps & SMTP_CLIENT_CAP_8BITMIME) == 0;
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
            answer_set(a, 552, "5.3.4", "the message is too big for server %s", server_name(ct));
        return true;
    }
    if (ct->is_8bit && refuses_8bit(ct)) {
        answer_set(a, 554, "5.6.3", "server %s takes no 8-bit content", server_name(ct));
        return true;
    }
    return false;
}

/* MAIL, when it was not sent yet, and RCPT for the pending decision leave together. */
static void ask_target(struct cutthrough *ct)
{
    uint64_t size = ct->size > 0 ? ct->size + ct->room : 0;
    struct answer a;

    if (is_unsuitable(ct, &a)) {
        if (!ct->is_mail_sent)
            release(ct, CUT_RELEASE_KEEP);
        end_rcpt(ct);
        answer(ct, &a, 1);
        return;
    }
    ct->todo |= CUT_FLUSH;
    ct->state = CUT_ASKED;
    if ((ct->is_mail_sent ||
            smtp_client_mail(ct->client, buf_slice(&ct->sender), size, ct->is_8bit) == 0) &&
        smtp_client_rcpt(ct->client, slice_str(ct->pending.address)) == 0) {
        ct->is_mail_sent = true;
        return;
    }
    /* The address is one that the map made, or the sender came by other rules than the target's. */
    answer_set(&a, 451, "4.3.5", "this address cannot be handed to server %s", server_name(ct));
    if (ct->n_decisions == 0)
        release(ct, CUT_RELEASE_RESET);
    end_rcpt(ct);
    answer(ct, &a, 1);
}

static void deliver(struct cutthrough *ct)
{
    const struct decision *d = &ct->pending;

    if (ct->n_decisions > 0) {
        bool is_lmtp = ct->servers[d->server].is_lmtp;
        size_t max = !is_lmtp ? SIZE_MAX : ct->client_is_lmtp ? SMTP_CLIENT_LMTP_RCPTS_MAX : 1;
        if (d->server != ct->server || ct->n_decisions >= max) {
            end_rcpt(ct);
            say(ct, 452, "4.5.3",
                d->server != ct->server ? "another server, send it in a transaction of its own"
                                        : "one recipient at a time for this server");
            return;
        }
    } else if (ct->client && ct->server != d->server) {
        release(ct, CUT_RELEASE_RESET);
    }
    ct->server = d->server;
    if (ct->client)
        ask_target(ct);
    else
        connect_target(ct, false);
}

void cutthrough_rcpt(struct cutthrough *ct, const struct decision *d, size_t room)
{
    struct answer a;

    if (ct->state == CUT_BROKEN) {
        answer(ct, &ct->verdict, 1);
        return;
    }
    BUG_ON(ct->state != CUT_MAIL && ct->state != CUT_READY && ct->state != CUT_HELD);
    ct->pending = *d;
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
    end_rcpt(ct);
    answer(ct, &a, 1);
}

void cutthrough_hold_over(struct cutthrough *ct)
{
    struct answer a;

    BUG_ON(ct->state != CUT_HELD);
    answer_from_decision(&ct->pending, &a);
    end_rcpt(ct);
    answer(ct, &a, 1);
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
    answer_from_target_error(server_name(ct), why, &a);
    end_rcpt(ct);
    answer(ct, &a, 1);
}

static void accept_pending(struct cutthrough *ct)
{
    if (ct->n_decisions == ct->decisions_cap) {
        ct->decisions_cap = ct->decisions_cap ? 2 * ct->decisions_cap : 1;
        ct->decisions = mem_realloc_array(ct->decisions, ct->decisions_cap, sizeof(*ct->decisions));
    }
    ct->decisions[ct->n_decisions++] = ct->pending;
}

/* A pooled connection is of no use, and nobody was accepted on it: once, a fresh one takes over.
 * It is closed, else the pool could give it out again, to us first. */
static bool replace(struct cutthrough *ct)
{
    if (!ct->is_reused || ct->was_replaced || ct->n_decisions > 0)
        return false;
    release(ct, CUT_RELEASE_CLOSE);
    ct->was_replaced = true;
    connect_target(ct, true);
    return true;
}

/* "451 4.4.2 timeout": said of the connection, if not of nothing in particular (RFC 3463 3.5). */
static bool is_about_connection(const struct smtp_reply *reply)
{
    return reply->code / 100 == 4 &&
           (reply->enhanced[0] == '\0' || memcmp(reply->enhanced, "4.4.", 4) == 0);
}

static void mail_replied(struct cutthrough *ct, const struct smtp_reply *reply)
{
    struct answer a;

    if (ct->state != CUT_ASKED || reply->code / 100 == 2)
        return;
    answer_from_target(ANSWER_MAIL, reply, server_name(ct), &a);
    /* A refusal that does not pass is our trouble: "503 hello first" behind a long pause. */
    if ((is_about_connection(reply) || a.code != reply->code) && replace(ct))
        return;
    /* The RCPT behind it is refused too; its reply goes to the pool. */
    release(ct, CUT_RELEASE_RESET);
    end_rcpt(ct);
    answer(ct, &a, 1);
}

static void rcpt_replied(struct cutthrough *ct, const struct smtp_reply *reply)
{
    struct answer a;

    BUG_ON(ct->state != CUT_ASKED);
    answer_from_target(
        ct->n_decisions > 0 ? ANSWER_RCPT_MORE : ANSWER_RCPT, reply, server_name(ct), &a);
    if (answer_is_positive(&a))
        accept_pending(ct);
    end_rcpt(ct);
    answer(ct, &a, 1);
}

/* --- The content ----------------------------------------------------------------------------- */

void cutthrough_data(struct cutthrough *ct)
{
    if (ct->state == CUT_BROKEN) {
        finish(ct, &ct->verdict, 1);
        return;
    }
    BUG_ON(ct->state != CUT_READY);
    ct->state = CUT_HEADER;
    say(ct, 354, "", "go ahead, end with CRLF.CRLF");
}

static void encode(struct cutthrough *ct, struct slice canonical)
{
    struct answer a;

    if (data_encode(&ct->encoder, canonical, smtp_client_content(ct->client)) == 0)
        return;
    answer_set(&a, 451, "4.3.0", "server %s does not take the content", server_name(ct));
    release(ct, CUT_RELEASE_CLOSE);
    refuse(ct, &a);
}

static bool has_8bit(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] >= 0x80)
            return true;
    return false;
}

/* What has come so far, up to this piece, does not suit the target: then it is refused. */
static bool refuse_unsuitable(
    struct cutthrough *ct, struct slice piece, enum cutthrough_release how)
{
    uint64_t max = ct->client->size_max;
    struct answer a;

    if (max > 0 && ct->n_prefix + ct->n_content > max)
        answer_set(&a, 552, "5.3.4", "the message is too big for server %s", server_name(ct));
    else if (refuses_8bit(ct) && has_8bit(piece))
        answer_set(&a, 554, "5.6.3", "server %s takes no 8-bit content", server_name(ct));
    else
        return false;
    release(ct, how);
    refuse(ct, &a);
    return true;
}

static void look_for_header(struct cutthrough *ct)
{
    struct answer a;

    ct->n_header = header_end(buf_slice(&ct->header), &ct->header_scanned);
    if (ct->n_header == 0 && ct->is_ended)
        ct->n_header = ct->header.n;
    if (ct->n_header > ct->header_size_max ||
        (ct->n_header == 0 && ct->header.n >= ct->header_size_max)) {
        answer_set(&a, 552, "5.3.4", "the header is too big");
        release(ct, CUT_RELEASE_RESET);
        refuse(ct, &a);
    } else if (ct->n_header > 0 || ct->is_ended) {
        ct->todo |= CUT_JUDGE;
    }
}

void cutthrough_content(struct cutthrough *ct, struct slice canonical)
{
    ct->n_content += canonical.n;
    switch (ct->state) {
    case CUT_HEADER:
        if (refuse_unsuitable(ct, canonical, CUT_RELEASE_RESET))
            return;
        if (buf_add(&ct->header, canonical) != 0)
            BUG("the header buffer holds a piece more than the largest header");
        look_for_header(ct);
        return;
    case CUT_BODY:
    case CUT_WAITING:
        if (refuse_unsuitable(ct, canonical, CUT_RELEASE_CLOSE))
            return;
        if (ct->state == CUT_BODY)
            ct->todo |= CUT_FLUSH;
        encode(ct, canonical);
        return;
    case CUT_REFUSED:
        return;
    case CUT_IDLE:
    case CUT_MAIL:
    case CUT_HELD:
    case CUT_CONNECTING:
    case CUT_ASKED:
    case CUT_READY:
    case CUT_BROKEN:
    case CUT_CLAIMING:
    case CUT_DOTTED:
    case CUT_STATES:
        break;
    }
    BUG("content out of order");
}

static void claim(struct cutthrough *ct)
{
    ct->state = CUT_CLAIMING;
    ct->todo |= CUT_CLAIM;
}

void cutthrough_end(struct cutthrough *ct)
{
    ct->is_ended = true;
    if (ct->state == CUT_HEADER)
        look_for_header(ct);
    else if (ct->state == CUT_BODY)
        claim(ct);
    else if (ct->state == CUT_REFUSED)
        finish(ct, &ct->verdict, end_answers(ct));
    else
        BUG_ON(ct->state != CUT_WAITING);
}

void cutthrough_judged(struct cutthrough *ct, const struct answer *refusal, struct slice prefix)
{
    BUG_ON(ct->state != CUT_HEADER);
    if (refusal) {
        release(ct, CUT_RELEASE_RESET);
        refuse(ct, refusal);
        return;
    }
    ct->n_prefix = prefix.n;
    if (refuse_unsuitable(ct, SLICE_NONE, CUT_RELEASE_RESET))
        return;
    if (smtp_client_data(ct->client) != 0)
        BUG("nothing is pending before DATA");
    ct->state = CUT_WAITING;
    ct->todo |= CUT_FLUSH;
    encode(ct, prefix);
    if (ct->state == CUT_WAITING)
        encode(ct, buf_slice(&ct->header));
    buf_fini(&ct->header);
}

static void data_replied(struct cutthrough *ct, const struct smtp_reply *reply)
{
    struct answer a;

    BUG_ON(ct->state != CUT_WAITING);
    if (reply->code == 354) {
        ct->state = CUT_BODY;
        if (ct->is_ended)
            claim(ct);
        else
            ct->todo |= CUT_FLUSH;
        return;
    }
    answer_from_target(ANSWER_DATA, reply, server_name(ct), &a);
    release(ct, CUT_RELEASE_RESET);
    refuse(ct, &a);
}

void cutthrough_claimed(struct cutthrough *ct, const struct answer *refusal)
{
    BUG_ON(ct->state != CUT_CLAIMING);
    if (refusal) {
        release(ct, CUT_RELEASE_CLOSE);
        refuse(ct, refusal);
        return;
    }
    ct->state = CUT_DOTTED;
    if (smtp_client_dot(ct->client) != 0) {
        struct answer a;
        answer_set(&a, 451, "4.3.0", "server %s does not take the content", server_name(ct));
        ct->todo |= CUT_UNCLAIM;
        release(ct, CUT_RELEASE_CLOSE);
        refuse(ct, &a);
        return;
    }
    ct->todo |= CUT_FLUSH;
}

/* --- The answer to the dot ------------------------------------------------------------------- */

/* The target gave the message up before it had the dot, so it has not stored it. */
static void early_replied(struct cutthrough *ct, const struct smtp_reply *reply)
{
    struct answer a;

    BUG_ON(ct->state != CUT_BODY && ct->state != CUT_CLAIMING && ct->state != CUT_DOTTED);
    answer_from_target(ANSWER_DOT, reply, server_name(ct), &a);
    if (ct->state == CUT_DOTTED)
        ct->todo |= CUT_UNCLAIM;
    ct->todo &= ~(unsigned)CUT_CLAIM;
    release(ct, CUT_RELEASE_CLOSE);
    refuse(ct, &a);
}

static void dot_replied(struct cutthrough *ct, const struct smtp_client_event *ev)
{
    struct answer a;
    bool is_each = ct->servers[ct->server].is_lmtp && ct->client_is_lmtp;

    if (ev->is_early) {
        early_replied(ct, ev->reply);
        return;
    }
    BUG_ON(ct->state != CUT_DOTTED);
    answer_from_target(ANSWER_DOT, ev->reply, server_name(ct), &a);
    ct->n_dotted++;
    if (!ev->is_last) {
        answer(ct, &a, 1);
        return;
    }
    ct->todo |= CUT_UNCLAIM;
    release(ct, ct->client->state == SMTP_CLIENT_DEAD ? CUT_RELEASE_CLOSE : CUT_RELEASE_KEEP);
    finish(ct, &a, is_each ? 1 : end_answers(ct));
}

/* --- Trouble --------------------------------------------------------------------------------- */

static void target_lost(struct cutthrough *ct, const struct err *why)
{
    struct answer a;

    answer_from_target_error(server_name(ct), why, &a);
    if (ct->state == CUT_ASKED && replace(ct))
        return;
    release(ct, CUT_RELEASE_CLOSE);
    switch (ct->state) {
    case CUT_ASKED:
        answer(ct, &a, 1);
        if (ct->n_decisions == 0) {
            end_rcpt(ct);
            return;
        }
        ct->verdict = a;
        ct->state = CUT_BROKEN;
        return;
    case CUT_MAIL:
        ct->server = CONF_SERVER_NONE;
        return;
    case CUT_HELD:
        /* The RCPT that waits finds out when it is decided. */
        if (ct->n_decisions == 0) {
            ct->server = CONF_SERVER_NONE;
            return;
        }
        ct->todo &= ~(unsigned)CUT_HOLD;
        answer(ct, &a, 1);
        ct->verdict = a;
        ct->state = CUT_BROKEN;
        return;
    case CUT_READY:
        ct->verdict = a;
        ct->state = CUT_BROKEN;
        return;
    case CUT_HEADER:
    case CUT_WAITING:
    case CUT_BODY:
    case CUT_CLAIMING:
        ct->todo &= ~(unsigned)(CUT_JUDGE | CUT_CLAIM);
        refuse(ct, &a);
        return;
    case CUT_DOTTED:
        ct->is_ambiguous = true;
        ct->todo |= CUT_UNCLAIM;
        finish(ct, &a, end_answers(ct) - (ct->client_is_lmtp ? ct->n_dotted : 0));
        return;
    case CUT_IDLE:
    case CUT_CONNECTING:
    case CUT_BROKEN:
    case CUT_REFUSED:
    case CUT_STATES:
        break;
    }
    BUG("a connection that is not ours");
}

void cutthrough_target_event(struct cutthrough *ct, const struct smtp_client_event *ev)
{
    switch (ev->kind) {
    case SMTP_CLIENT_MAIL_REPLY:
        mail_replied(ct, ev->reply);
        return;
    case SMTP_CLIENT_RCPT_REPLY:
        rcpt_replied(ct, ev->reply);
        return;
    case SMTP_CLIENT_DATA_REPLY:
        data_replied(ct, ev->reply);
        return;
    case SMTP_CLIENT_DOT_REPLY:
        dot_replied(ct, ev);
        return;
    case SMTP_CLIENT_FAILED:
        target_lost(ct, ev->err);
        return;
    case SMTP_CLIENT_MORE:
    case SMTP_CLIENT_READY:
    case SMTP_CLIENT_STARTTLS:
    case SMTP_CLIENT_RSET_REPLY:
    case SMTP_CLIENT_QUIT_REPLY:
        break;
    }
    BUG("an event that belongs to the pool");
}

void cutthrough_abort(struct cutthrough *ct)
{
    switch (ct->state) {
    case CUT_IDLE:
    case CUT_DOTTED:
        return;
    case CUT_MAIL:
    case CUT_HELD:
    case CUT_CONNECTING:
    case CUT_ASKED:
    case CUT_READY:
    case CUT_BROKEN:
    case CUT_HEADER:
    case CUT_REFUSED:
        release(ct, CUT_RELEASE_RESET);
        break;
    case CUT_WAITING:
    case CUT_BODY:
    case CUT_CLAIMING:
        release(ct, CUT_RELEASE_CLOSE);
        break;
    case CUT_STATES:
        BUG("no such state");
    }
    ct->todo &= (unsigned)CUT_RELEASE;
    ct->state = CUT_IDLE;
    buf_fini(&ct->header);
}

/* --- Life ------------------------------------------------------------------------------------ */

enum cutthrough_action cutthrough_next(struct cutthrough *ct)
{
    unsigned first = ct->todo & (~ct->todo + 1);

    ct->todo &= ~first;
    return (enum cutthrough_action)first;
}

void cutthrough_forget(struct cutthrough *ct)
{
    BUG_ON(ct->state != CUT_IDLE);
    if (ct->decisions_cap <= DECISIONS_KEEP)
        return;
    free(ct->decisions);
    ct->decisions = NULL;
    ct->n_decisions = ct->decisions_cap = 0;
}

size_t cutthrough_backlog(const struct cutthrough *ct)
{
    return ct->client ? ct->client->content.n : 0;
}

void cutthrough_init(struct cutthrough *ct, const struct cutthrough_server *servers,
    size_t header_size_max, bool client_is_lmtp)
{
    *ct = (struct cutthrough){.servers = servers,
        .header_size_max = header_size_max,
        .client_is_lmtp = client_is_lmtp,
        .server = CONF_SERVER_NONE};
    buf_init(&ct->sender, ADDRESS_MAX);
    buf_init(&ct->header, header_size_max + HEADER_SLACK);
}

void cutthrough_fini(struct cutthrough *ct)
{
    BUG_ON(ct->client);
    free(ct->decisions);
    buf_fini(&ct->sender);
    buf_fini(&ct->header);
}
