/* SPDX-License-Identifier: ISC */
/*
 * imap_told: what a server tells while a folder is opened.
 *
 * What comes before "[CLOSED]" is about the folder that was open before (RFC 7162 3.2.11), and so
 * is every FETCH and EXPUNGE before the answer to EXAMINE, unless QRESYNC was asked for.
 *
 * What cannot be is not believed: a number that nothing has is not expunged, more messages than are
 * there have not vanished, and nothing vanishes for who has not asked for QRESYNC.  A folder that
 * was counted too high is listed once more; one too low would hide what the listing leaves out.
 */
#include <sysexits.h>

#include "imapsync/ends/imap_open.h"
#include "imapsync/ends/limits.h"

#define UNCOUNTED_MAX 10000 /* messages that may be listed before anything has counted them */

void imap_told_clear(struct open_request *q)
{
    struct end_changes *c = q->out;
    end_changes_clear(c);
    buf_clear(&c->folder_id);
    c->uidvalidity = c->uidnext = c->exists = 0;
    c->modseq = 0;
    c->storable = FLAG_ANSWERED | FLAG_DELETED | FLAG_DRAFT | FLAG_FLAGGED | FLAG_SEEN;
    c->takes_keywords = true;
    buf_clear(&c->kept_words);
    c->flags_lost = 0;
    buf_clear(&c->lost_words);
    q->exists = 0;
    q->is_counted = false;
    q->most_exists = 0;
    q->n_gone = 0;
}

static void take_permanent(struct end_changes *c, struct slice list)
{
    struct keywords none = {0};
    struct flags f;
    flags_parse(list, &none, &f);
    keywords_fini(&none);
    c->storable = f.system;
    c->takes_keywords = imap_words_have(list, "\\*");
    buf_clear(&c->kept_words);
    for (struct slice word; !c->takes_keywords && imap_word_next(&list, &word);) {
        if (word.p[0] != '\\' &&
            (buf_add(&c->kept_words, word) != 0 || buf_add_byte(&c->kept_words, ' ') != 0))
            c->takes_keywords = true;
    }
}

static void take_code(struct open_request *q, const struct imap_code *code)
{
    struct end_changes *c = q->out;
    switch (code->kind) {
    case IMAP_CODE_CLOSED:
        imap_told_clear(q);
        q->is_ours = q->way == OPEN_WAY_QRESYNC;
        break;
    case IMAP_CODE_UIDVALIDITY:
        c->uidvalidity = code->number <= UINT32_MAX ? (uint32_t)code->number : 0;
        break;
    case IMAP_CODE_UIDNEXT:
        c->uidnext = code->number <= UINT32_MAX ? (uint32_t)code->number : 0;
        break;
    case IMAP_CODE_HIGHESTMODSEQ:
        c->modseq = code->number;
        break;
    case IMAP_CODE_NOMODSEQ:
        c->modseq = 0;
        break;
    case IMAP_CODE_MAILBOXID:
        buf_clear(&c->folder_id);
        if (code->list.n <= OBJECT_ID_MAX)
            BUG_ON(buf_add(&c->folder_id, code->list) != 0);
        break;
    case IMAP_CODE_PERMANENTFLAGS:
        take_permanent(c, code->list);
        break;
    default:
        break;
    }
}

static void fail_too_many(struct open_request *q)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_PERM, EX_DATAERR, "more than %u messages", (unsigned)MESSAGES_MAX);
    err_scope_set(&err, ERR_SCOPE_FOLDER);
    imap_request_fail(&q->r, &err);
}

/* However often it tells the same ones. */
static bool has_too_many(struct open_request *q)
{
    const uint64_t most = (uint64_t)q->most_exists + UNCOUNTED_MAX;
    if (q->out->n > most && q->out->is_disordered)
        end_changes_finish(q->out);
    return q->out->n > most;
}

static void fail_endless(struct open_request *q)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_PEER, EX_PROTOCOL, "the server lists more messages than it counts (%u)",
        (unsigned)q->most_exists);
    err_scope_set(&err, ERR_SCOPE_FOLDER);
    imap_request_fail(&q->r, &err);
}

static void take_uids(struct open_request *q, struct uid_range range)
{
    q->out->is_brief = true;
    if (!end_changes_add_uids(q->out, range))
        fail_too_many(q);
}

static void take_fetch(struct open_request *q, const struct imap_fetch_data *f)
{
    struct listed m;
    if (imap_open_is_brief(q)) {
        if (q->is_open && !q->is_only_opened && f->has & IMAP_FETCH_UID)
            take_uids(q, (struct uid_range){f->uid, f->uid});
        return;
    }
    /* "n:*" names the last message even when it is below n (RFC 9051 sequence-set). */
    if (!(q->is_open || q->is_ours) || q->is_only_opened || q->r.result != END_OK ||
        !imap_listed(q->out, f, &m) || m.uid < q->from)
        return;
    if (!end_changes_add(q->out, &m))
        fail_too_many(q);
    else if (has_too_many(q))
        fail_endless(q);
}

/* The known ones of a range. */
static void range_vanished(struct open_request *q, struct uid_range range)
{
    uint32_t uid = range.first - 1;
    while ((uid = uid_set_next(&q->known, uid)) != 0 && uid <= range.last)
        end_changes_add_vanished(q->out, uid);
}

static void take_vanished(struct open_request *q, struct slice set, bool is_earlier)
{
    struct uid_range range;
    if (!(q->is_open || (q->is_ours && is_earlier)))
        return;
    while (uids_next(&set, &range) > 0) {
        uint64_t n = (uint64_t)range.last - range.first + 1;
        range_vanished(q, range);
        if (!is_earlier)
            q->exists -= n <= q->exists ? (uint32_t)n : 0;
        else if (range.first < q->token.uidnext)
            q->n_gone += (range.last < q->token.uidnext ? range.last : q->token.uidnext - 1) -
                         range.first + UINT64_C(1);
    }
}

static void take_present(struct open_request *q, struct uid_range range)
{
    if (imap_open_is_brief(q)) {
        take_uids(q, range);
    } else if (range.last - range.first >= MESSAGES_MAX - q->n_present) {
        fail_too_many(q);
    } else {
        uid_set_add_range(&q->present, range);
        q->n_present += range.last - range.first + 1;
    }
}

bool imap_told(struct imap_request *r, const struct imap_response *resp)
{
    struct open_request *q = (struct open_request *)r;
    struct uid_range range;
    struct slice set = resp->set;
    switch (resp->kind) {
    case IMAP_KIND_FETCH:
        q->n_heard += resp->number >= q->heard && resp->number - q->heard < q->by_parts;
        take_fetch(q, &resp->fetch);
        return true;
    case IMAP_KIND_EXISTS:
        if (q->most_exists < resp->number)
            q->most_exists = resp->number;
        /* Later ones are new messages, which the listing may leave out. */
        if (q->is_open)
            return true;
        q->exists = q->out->exists = resp->number;
        q->is_counted = true;
        return true;
    case IMAP_KIND_EXPUNGE:
        /* Behind those are the new ones. */
        if (q->is_open && resp->number > 0 && resp->number <= q->exists)
            q->exists--;
        return true;
    case IMAP_KIND_VANISHED:
        if (r->e->has_qresync)
            take_vanished(q, resp->set, resp->is_earlier);
        return true;
    case IMAP_KIND_ESEARCH:
        while (uids_next(&set, &range) > 0)
            take_present(q, range);
        return true;
    case IMAP_KIND_STATUS:
        if (!q->is_open)
            take_code(q, &resp->code);
        return true;
    default:
        return false;
    }
}
