/* SPDX-License-Identifier: ISC */
/*
 * cutthrough: see cutthrough.h for the states and the rules.
 *
 * Every input function ends with a state and a set of things to do; nothing is called back.  "What
 * we do on entering a state" is in the small verbs (answer, release, refuse, connect) here, "what
 * an event means" in the functions of the inputs: cutthrough_envelope.c, cutthrough_content.c, and
 * here what may come in any state.
 *
 * Known weakness: a connection that dies between an accepted RCPT and DATA is not replaced; the
 * client hears 451 and comes again.
 */
#include <stdint.h>
#include <stdlib.h>

#include "relay/cutthrough_parts.h"

/* A piece of content may follow the last byte that fits. */
#define HEADER_SLACK (128u << 10)
#define DECISIONS_KEEP 4 /* so many recipients have their place for life */

static const char *const state_names[] = {"idle", "mail", "held", "connecting", "asked", "ready",
    "broken", "header", "waiting", "body", "claiming", "dotted", "refused"};
_Static_assert(sizeof(state_names) / sizeof(*state_names) == CUT_STATES, "a name for each state");

const char *cutthrough_state_name(enum cutthrough_state state)
{
    return state_names[state];
}

/* --- Verbs ----------------------------------------------------------------------------------- */

void cut_answer(struct cutthrough *ct, const struct answer *a, size_t times)
{
    ct->answer = *a;
    ct->n_answers = (uint32_t)times;
    ct->todo |= CUT_ANSWER;
}

void cut_say(struct cutthrough *ct, int code, const char *enhanced, const char *text)
{
    struct answer a;

    answer_set(&a, code, enhanced, "%s", text);
    cut_answer(ct, &a, 1);
}

void cut_release(struct cutthrough *ct, enum cutthrough_release how)
{
    if (!ct->client)
        return;
    ct->client = NULL;
    ct->release = how;
    ct->todo &= ~(unsigned)CUT_FLUSH; /* the next owner flushes */
    ct->todo |= CUT_RELEASE;
}

void cut_end_rcpt(struct cutthrough *ct)
{
    ct->state = ct->n_decisions > 0 ? CUT_READY : CUT_MAIL;
    if (!ct->client && ct->n_decisions == 0)
        ct->server = CONF_SERVER_NONE;
}

void cut_connect_target(struct cutthrough *ct, bool fresh)
{
    ct->wants_fresh = fresh;
    ct->todo |= CUT_CONNECT;
    ct->state = CUT_CONNECTING;
}

size_t cut_end_answers(const struct cutthrough *ct)
{
    return ct->client_is_lmtp ? ct->n_decisions : 1;
}

void cut_finish(struct cutthrough *ct, const struct answer *a, size_t times)
{
    cut_answer(ct, a, times);
    ct->state = CUT_IDLE;
    buf_fini(&ct->header);
}

void cut_refuse(struct cutthrough *ct, const struct answer *a)
{
    ct->verdict = *a;
    ct->state = CUT_REFUSED;
    if (ct->is_ended)
        cut_finish(ct, a, cut_end_answers(ct));
}

const char *cut_server_name(const struct cutthrough *ct)
{
    return ct->servers[ct->server].name;
}

bool cut_refuses_8bit(const struct cutthrough *ct)
{
    return ct->servers[ct->server].refuses_8bit &&
           (ct->client->caps & SMTP_CLIENT_CAP_8BITMIME) == 0;
}

/* --- Trouble --------------------------------------------------------------------------------- */

static void target_lost(struct cutthrough *ct, const struct err *why)
{
    struct answer a;

    answer_from_target_error(cut_server_name(ct), why, &a);
    if (ct->state == CUT_ASKED && cut_replace(ct))
        return;
    cut_release(ct, CUT_RELEASE_CLOSE);
    switch (ct->state) {
    case CUT_ASKED:
        cut_answer(ct, &a, 1);
        if (ct->n_decisions == 0) {
            cut_end_rcpt(ct);
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
        cut_answer(ct, &a, 1);
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
        cut_refuse(ct, &a);
        return;
    case CUT_DOTTED:
        ct->is_ambiguous = true;
        ct->todo |= CUT_UNCLAIM;
        cut_finish(ct, &a, cut_end_answers(ct) - (ct->client_is_lmtp ? ct->n_dotted : 0));
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
        cut_mail_replied(ct, ev->reply);
        return;
    case SMTP_CLIENT_RCPT_REPLY:
        cut_rcpt_replied(ct, ev->reply);
        return;
    case SMTP_CLIENT_DATA_REPLY:
        cut_data_replied(ct, ev->reply);
        return;
    case SMTP_CLIENT_DOT_REPLY:
        cut_dot_replied(ct, ev);
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
        cut_release(ct, CUT_RELEASE_RESET);
        break;
    case CUT_WAITING:
    case CUT_BODY:
    case CUT_CLAIMING:
        cut_release(ct, CUT_RELEASE_CLOSE);
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
    ct->n_decisions = 0;
    ct->pending = (struct decision){0};
    arena_free(&ct->pending_mem);
    arena_free(&ct->mem);
    if (ct->decisions_cap <= DECISIONS_KEEP)
        return;
    free(ct->decisions);
    ct->decisions = NULL;
    ct->decisions_cap = 0;
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
    buf_init(&ct->asked_as, ADDRESS_MAX);
    buf_init(&ct->header, header_size_max + HEADER_SLACK);
}

void cutthrough_fini(struct cutthrough *ct)
{
    BUG_ON(ct->client);
    free(ct->decisions);
    arena_free(&ct->pending_mem);
    arena_free(&ct->mem);
    buf_fini(&ct->sender);
    buf_fini(&ct->asked_as);
    buf_fini(&ct->header);
}
