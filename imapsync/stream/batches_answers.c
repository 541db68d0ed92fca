/* SPDX-License-Identifier: ISC */
/*
 * batches_answers: bodies into appends, and what the answers to them mean.
 *
 * UIDs that an append has given raise the UID from which a later one is looked for, so that a
 * settlement looks at little.  That of an append is fixed with its own answer: answers come in the
 * order of the appends, so all that was told by then is older.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/stream/batches_parts.h"

static struct window *find_window(struct batches *b, uint32_t number)
{
    struct window *w = b->windows;
    while (w && w->number != number)
        w = w->next;
    return w;
}

size_t batches_unanswered(const struct batches *b, size_t *n_appends_out)
{
    size_t n = 0;
    *n_appends_out = 0;
    for (const struct append *a = b->appends; a; a = a->next) {
        if (!a->is_answered) {
            n += a->n;
            ++*n_appends_out;
        }
    }
    return n;
}

static bool is_unsettled_in(const struct batches *b, uint32_t folder)
{
    for (const struct append *a = b->appends; a; a = a->next) {
        if (a->is_unsettled && a->window->folder == folder)
            return true;
    }
    return false;
}

bool batches_has_unsettled(const struct batches *b)
{
    for (const struct append *a = b->appends; a; a = a->next) {
        if (a->is_unsettled)
            return true;
    }
    return false;
}

void batches_append_free(struct batches *b, struct append *a)
{
    struct append **at = &b->appends;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    a->window->n_appends--;
    free(a->tgt_uids);
    free(a->sent);
    free(a);
}

/* --- Bodies ------------------------------------------------------------------------------------
 */

/* Nothing more goes into the open append; true: there was one. */
static bool end_open(struct batches *b)
{
    struct append *a = b->open;
    if (!a)
        return false;
    a->is_open = false;
    b->open = NULL;
    if (a->is_answered)
        batches_append_over(b, a);
    return true;
}

bool batches_body_next(struct batches *b, uint32_t window, uint64_t size)
{
    const struct append *a = b->open;
    if (!a || b->is_in_body)
        return false;
    if (a->window->number == window && !a->is_answered && a->n < b->limits.append_max &&
        a->octets < b->limits.append_octets && size <= b->limits.append_octets - a->octets &&
        !is_unsettled_in(b, a->window->folder))
        return false;
    return end_open(b);
}

static bool has_place(const struct batches *b, const struct window *w)
{
    size_t n_appends, sent = batches_unanswered(b, &n_appends);
    if (b->is_stopped || b->folders[w->folder].is_refused || is_unsettled_in(b, w->folder))
        return false;
    return sent < b->limits.sent_max && (b->open || n_appends < b->limits.appends_max);
}

struct batches_verdict batches_body(
    struct batches *b, uint32_t window, uint32_t uid, uint64_t size, bool has_room)
{
    struct batches_verdict v = {0};
    struct window *w = find_window(b, window);
    BUG_ON(b->is_in_body || (b->open && b->open->window != w));
    if (!w || w->state != WINDOW_READING)
        return v;
    /* They mostly come as they were asked for. */
    size_t at = w->came, tried = 0;
    for (; tried < w->n && (w->items[at].uid != uid || w->states[at] != ITEM_ASKED); tried++)
        at = (at + 1) % w->n;
    if (tried == w->n)
        return v;
    w->came = (at + 1) % w->n;
    if (b->limits.size_max > 0 && size > b->limits.size_max) {
        w->states[at] = ITEM_TOO_BIG;
        return v;
    }
    if (!has_room || !has_place(b, w)) {
        w->states[at] = ITEM_LATER;
        return v;
    }
    if (!b->open) {
        struct append *a = mem_zalloc(sizeof(*a)), **end = &b->appends;
        while (*end)
            end = &(*end)->next;
        *end = b->open = a;
        a->number = ++b->last_append;
        a->window = w;
        a->is_open = true;
        w->n_appends++;
        v.begins = true;
    }
    struct append *a = b->open;
    a->at[a->n] = (uint16_t)at;
    if (a->n == a->cap) {
        a->cap = a->cap ? 2 * a->cap : 8;
        a->sent = mem_realloc_array(a->sent, a->cap, sizeof(*a->sent));
    }
    a->sent[a->n++] = (struct batches_sent){.uid = uid, .size = size};
    w->states[at] = ITEM_TAKEN;
    b->n_bodies++;
    b->octets_of_bodies += size;
    b->is_in_body = true;
    v.is_taken = true;
    v.is_plain = w->is_plain;
    v.folder = w->folder;
    v.append = a->number;
    return v;
}

bool batches_body_end(
    struct batches *b, const unsigned char digest[SHA256_SIZE], const struct canon *canon)
{
    struct append *a = b->open;
    BUG_ON(!b->is_in_body);
    b->is_in_body = false;
    memcpy(a->sent[a->n - 1].digest, digest, SHA256_SIZE);
    a->sent[a->n - 1].canon = *canon;
    a->octets += a->sent[a->n - 1].size;
    if (a->is_answered || a->n >= b->limits.append_max || a->octets >= b->limits.append_octets)
        return end_open(b);
    return false;
}

bool batches_read_over(struct batches *b, uint32_t window, const struct err *err)
{
    struct window *w = find_window(b, window);
    if (!w || w->state != WINDOW_READING)
        return false;
    BUG_ON(b->is_in_body && b->open->window == w);
    w->state = WINDOW_READ;
    if (err) {
        w->is_refused = true;
        w->err = *err;
        /* A source's trouble with one message often looks like trouble with everything. */
        if (err->is_wide)
            return b->open && b->open->window == w && end_open(b);
        if (err->scope == ERR_SCOPE_FOLDER)
            batches_refuse_folder(b, w->folder, err);
        else if (err->scope == ERR_SCOPE_USER)
            batches_stop(b, err);
    }
    return b->open && b->open->window == w && end_open(b);
}

bool batches_is_full(const struct batches *b)
{
    size_t n_appends, n = batches_unanswered(b, &n_appends);
    n_appends -= b->open && !b->open->is_answered;
    return n >= b->limits.sent_max || n_appends >= b->limits.appends_max;
}

/* --- Answers
 * -------------------------------------------------------------------------------------- */

/* UIDs ascend in the order in which messages came; what does not says nothing. */
static bool is_uids(const uint32_t *v, size_t n, size_t want)
{
    if (!v || n != want)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (v[i] == 0 || v[i] == UINT32_MAX || (i > 0 && v[i] <= v[i - 1]))
            return false;
    }
    return true;
}

/* Those that come next.  Others are those of messages that were there before, or are skipped: then
 * somebody else's may have come in between, or may yet get a UID that was told as ours.
 * Where the target has told no UIDNEXT the first ones say where its numbers begin. */
static bool are_next(const struct append *a)
{
    return (a->since == 0 || a->tgt_uids[0] == a->since) &&
           a->tgt_uids[a->n - 1] - a->tgt_uids[0] == a->n - 1;
}

static void store(struct batches *b, struct append *a, size_t i, uint32_t tgt_uid)
{
    struct batches_result r = {.outcome = tgt_uid > 0 ? BATCHES_STORED : BATCHES_SENT,
        .tgt_uid = tgt_uid,
        .since = a->since,
        .is_doubtful = a->tgt_uids && !are_next(a),
        .sent = a->sent[i]};
    batches_tell_item(b, a->window, a->at[i], r, NULL);
    a->window->states[a->at[i]] = ITEM_DONE;
}

void batches_append_over(struct batches *b, struct append *a)
{
    struct folder_state *f = &b->folders[a->window->folder];
    a->since = f->since;
    if (!a->is_ok) {
        a->is_unsettled = true;
        if (batches_reach(&a->err) == REACH_FOLDER)
            batches_refuse_folder(b, a->window->folder, &a->err);
        else if (batches_reach(&a->err) == REACH_JOB)
            batches_stop(b, &a->err);
        return;
    }
    for (size_t i = 0; i < a->n; i++)
        store(b, a, i, a->tgt_uids ? a->tgt_uids[i] : 0);
    if (a->tgt_uids && are_next(a))
        f->since = a->tgt_uids[a->n - 1] + 1;
    batches_append_free(b, a);
}

void batches_appended(
    struct batches *b, uint32_t append, const uint32_t *tgt_uids, size_t n, const struct err *err)
{
    struct append *a = b->appends;
    while (a && a->number != append)
        a = a->next;
    if (!a || a->is_answered)
        return;
    a->is_answered = true;
    if (err) {
        a->err = *err;
    } else if (a->is_open) {
        /* Nobody can have taken what was not there: like a refusal, it is looked at. */
        err_set(&a->err, ERR_PEER, EX_PROTOCOL, "OK before the message was sent");
    } else {
        a->is_ok = true;
        if (is_uids(tgt_uids, n, a->n)) {
            a->tgt_uids = mem_realloc_array(NULL, n, sizeof(*tgt_uids));
            memcpy(a->tgt_uids, tgt_uids, n * sizeof(*tgt_uids));
        }
    }
    if (!a->is_open)
        batches_append_over(b, a);
}

/* --- Settlements
 * ------------------------------------------------------------------------------------ */

/* Everything in the folder has been answered, and the target is between two appends. */
static bool is_quiet(const struct batches *b, uint32_t folder)
{
    for (const struct append *a = b->appends; a; a = a->next) {
        if (a->is_open || (!a->is_answered && a->window->folder == folder))
            return false;
    }
    return true;
}

static bool is_asked_about(const struct batches *b, const struct append *a)
{
    return a->is_unsettled && a->window->folder == b->settling;
}

bool batches_next_settlement(struct batches *b, struct batches_todo *out)
{
    const struct append *a = b->appends;
    while (a && !(a->is_unsettled && is_quiet(b, a->window->folder)))
        a = a->next;
    if (b->is_settling || !a)
        return false;
    b->is_settling = true;
    b->settling = a->window->folder;
    b->n_asked = 0;
    *out = (struct batches_todo){.what = BATCHES_SETTLE, .folder = b->settling, .since = a->since};
    for (; a; a = a->next) {
        if (!is_asked_about(b, a))
            continue;
        b->asked = mem_realloc_array(b->asked, b->n_asked + a->n, sizeof(*b->asked));
        memcpy(b->asked + b->n_asked, a->sent, a->n * sizeof(*a->sent));
        b->n_asked += a->n;
        out->since = a->since < out->since ? a->since : out->since;
    }
    out->sent = b->asked;
    out->n = b->n_asked;
    return true;
}

static void leave_open(struct batches *b, struct append *a, size_t i, const char *why)
{
    struct batches_result r = {
        .outcome = BATCHES_OPEN, .code = ITEM_DOUBT, .since = a->since, .sent = a->sent[i]};
    batches_tell_item(b, a->window, a->at[i], r, why);
    a->window->states[a->at[i]] = ITEM_DONE;
    a->window->keeps_intent = true;
}

void batches_leave_open(struct batches *b, struct append *a, const char *why)
{
    for (size_t i = 0; i < a->n; i++)
        leave_open(b, a, i, why);
    batches_append_free(b, a);
}

static void refuse(struct batches *b, struct append *a, uint16_t at)
{
    struct window *w = a->window;
    batches_tell_item(b, w, at,
        (struct batches_result){.outcome = BATCHES_REFUSED,
            .code = a->err.scope == ERR_SCOPE_MESSAGE ? ITEM_SIZE : ITEM_REFUSED,
            .sent = a->sent[0]},
        a->err.text);
    batches_widen(b, w->folder, &a->err);
}

/* What was sent and is not there, n of a->n. */
static void not_there(struct batches *b, struct append *a, const uint16_t *at, size_t n)
{
    struct window *w = a->window;
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++)
        w->states[at[i]] = ITEM_DONE;
    if (batches_reach(&a->err) != REACH_MESSAGE)
        batches_come_again(b, w, at, n, w->is_plain);
    else if (n > 1)
        batches_halve(b, w, at, n);
    else if (a->n > 1)
        batches_come_again(b, w, at, n, w->is_plain);
    else if (!w->is_plain && w->items[at[0]].has_extras && a->err.scope != ERR_SCOPE_MESSAGE)
        batches_come_again(b, w, at, n, true);
    else
        refuse(b, a, at[0]);
}

void batches_settled(struct batches *b, const uint32_t *tgt_uids, const struct err *err)
{
    size_t next = 0;
    if (!b->is_settling)
        return;
    b->is_settling = false;
    for (struct append *a = b->appends, *after; a; a = after) {
        uint16_t missing[BATCHES_WINDOW_MAX];
        size_t n = 0;
        after = a->next;
        if (!is_asked_about(b, a))
            continue;
        if (!tgt_uids) {
            batches_leave_open(b, a, err->text);
            continue;
        }
        for (size_t i = 0; i < a->n; i++, next++) {
            if (tgt_uids[next] == 0)
                missing[n++] = a->at[i];
            else if (tgt_uids[next] == UINT32_MAX)
                leave_open(b, a, i, "it may be on the target already, and nobody can tell");
            else
                store(b, a, i, tgt_uids[next]);
        }
        not_there(b, a, missing, n);
        batches_append_free(b, a);
    }
}
