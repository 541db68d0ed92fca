/* SPDX-License-Identifier: ISC */
/*
 * cutthrough_content: DATA, the content as it comes, the dot and its answer.
 */
#include "base/mail/header.h"
#include "relay/cutthrough_parts.h"

void cutthrough_data(struct cutthrough *ct)
{
    if (ct->state == CUT_BROKEN) {
        cut_finish(ct, &ct->verdict, 1);
        return;
    }
    BUG_ON(ct->state != CUT_READY);
    ct->state = CUT_HEADER;
    cut_say(ct, 354, "", "go ahead, end with CRLF.CRLF");
}

static void encode(struct cutthrough *ct, struct slice canonical)
{
    struct answer a;

    if (data_encode(&ct->encoder, canonical, smtp_client_content(ct->client)) == 0)
        return;
    answer_set(&a, 451, "4.3.0", "server %s does not take the content", cut_server_name(ct));
    cut_release(ct, CUT_RELEASE_CLOSE);
    cut_refuse(ct, &a);
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
        answer_set(&a, 552, "5.3.4", "the message is too big for server %s", cut_server_name(ct));
    else if (cut_refuses_8bit(ct) && has_8bit(piece))
        answer_set(&a, 554, "5.6.3", "server %s takes no 8-bit content", cut_server_name(ct));
    else
        return false;
    cut_release(ct, how);
    cut_refuse(ct, &a);
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
        cut_release(ct, CUT_RELEASE_RESET);
        cut_refuse(ct, &a);
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
        cut_finish(ct, &ct->verdict, cut_end_answers(ct));
    else
        BUG_ON(ct->state != CUT_WAITING);
}

void cutthrough_judged(struct cutthrough *ct, const struct answer *refusal, struct slice prefix)
{
    BUG_ON(ct->state != CUT_HEADER);
    if (refusal) {
        cut_release(ct, CUT_RELEASE_RESET);
        cut_refuse(ct, refusal);
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

void cut_data_replied(struct cutthrough *ct, const struct smtp_reply *reply)
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
    answer_from_target(ANSWER_DATA, reply, cut_server_name(ct), &a);
    cut_release(ct, CUT_RELEASE_RESET);
    cut_refuse(ct, &a);
}

void cutthrough_claimed(struct cutthrough *ct, const struct answer *refusal)
{
    BUG_ON(ct->state != CUT_CLAIMING);
    if (refusal) {
        cut_release(ct, CUT_RELEASE_CLOSE);
        cut_refuse(ct, refusal);
        return;
    }
    ct->state = CUT_DOTTED;
    if (smtp_client_dot(ct->client) != 0) {
        struct answer a;
        answer_set(&a, 451, "4.3.0", "server %s does not take the content", cut_server_name(ct));
        ct->todo |= CUT_UNCLAIM;
        cut_release(ct, CUT_RELEASE_CLOSE);
        cut_refuse(ct, &a);
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
    answer_from_target(ANSWER_DOT, reply, cut_server_name(ct), &a);
    if (ct->state == CUT_DOTTED)
        ct->todo |= CUT_UNCLAIM;
    ct->todo &= ~(unsigned)CUT_CLAIM;
    cut_release(ct, CUT_RELEASE_CLOSE);
    cut_refuse(ct, &a);
}

void cut_dot_replied(struct cutthrough *ct, const struct smtp_client_event *ev)
{
    struct answer a;
    bool is_each = ct->servers[ct->server].is_lmtp && ct->client_is_lmtp;

    if (ev->is_early) {
        early_replied(ct, ev->reply);
        return;
    }
    BUG_ON(ct->state != CUT_DOTTED);
    answer_from_target(ANSWER_DOT, ev->reply, cut_server_name(ct), &a);
    ct->n_dotted++;
    if (!ev->is_last) {
        cut_answer(ct, &a, 1);
        return;
    }
    ct->todo |= CUT_UNCLAIM;
    cut_release(ct, ct->client->state == SMTP_CLIENT_DEAD ? CUT_RELEASE_CLOSE : CUT_RELEASE_KEEP);
    cut_finish(ct, &a, is_each ? 1 : cut_end_answers(ct));
}
