/* SPDX-License-Identifier: ISC */
/*
 * batches_toy: a source and a target of a few lines around batches, which do anything that is
 * allowed to them, and which count.  Every choice is an octet of the input; where that has ended it
 * is 0, which is always the choice that goes on well, so that every run comes to its end.
 *
 * What is checked, whatever the ends do:
 *   - each message has one result, and that is true of the target;
 *   - no message is sent again behind an OK, nor while the outcome of an earlier send is not
 *     settled; so none is ever on the target twice, also on one that stores and says NO;
 *   - what is on its way or unsettled is covered by an intent, and an intent is only forgotten when
 *     nothing of it is;
 *   - no limit is exceeded, except by a message that is alone;
 *   - jobs come to an end in a number of steps that their messages bound;
 *   - without trouble of other kinds only the culprit suffers.
 *
 * A lost connection ends a job.  Another one begins, as a pass behind it would: what was sent is
 * looked for where its intent says so, suspects go first, and what has its result stays out.
 *
 * The log, for tables that a person can read:
 *   I12 R12 F12   intent, read, end of an intent
 *   A12+ A12-     append, answered OK or NO       S1.3  settled: 1 and 3 are there, 2 is not
 *   1s 1n 1p      stored; stored, no UID told; stored without its extras
 *   1r 1m 1a 1o   refused, missing, set aside, open      X  a connection is lost
 *   |             the next job
 */
#ifndef TESTS_UNIT_BATCHES_TOY_H
#define TESTS_UNIT_BATCHES_TOY_H

#include <stdlib.h>
#include <string.h>
#include "base/core/buf.h"
#include "imapsync/stream/batches.h"

enum toy_kind {
    TOY_GOOD = 'g',
    TOY_EXTRAS = 'e',      /* good, with keywords */
    TOY_ABSENT = 'm',      /* listed, no body */
    TOY_UNREADABLE = 'u',  /* the source refuses to give it */
    TOY_SOURCE_DIES = 'k', /* when it is read */
    TOY_REFUSED = 'r',     /* by the target, whatever is done */
    TOY_PICKY = 'p',       /* by the target, unless it comes without its extras */
    TOY_TARGET_DIES = 't', /* when it has come */
    TOY_NO_FOLDER = 'f',   /* refused, with its folder */
    TOY_QUOTA = 'q',       /* refused, with all that the user may still get */
    TOY_LARGE = 'l',       /* larger than the target says to take */
};
#define TOY_KINDS "gggggggggggggggggeemukrrptlfq"

enum toy_target { TOY_ATOMIC, TOY_STORES_BEFORE, TOY_STORES_ALL, TOY_TARGETS };

enum toy_send { SEND_NEVER, SEND_ON_ITS_WAY, SEND_UNSETTLED, SEND_OK, SEND_NOT_THERE };

#define TOY_MESSAGES_MAX 64
#define TOY_FOLDERS_MAX 3
#define TOY_IN_FLIGHT_MAX 16
#define TOY_WINDOW_MAX 10 /* of the limits that a world has */
#define TOY_SIZE_MAX 1000
#define TOY_IDLE_MAX 4

struct toy_message {
    enum toy_kind kind;
    uint32_t folder, size;
    enum toy_send send;
    uint32_t window; /* whose intent covers it; 0: none */
    unsigned n_stored, n_results;
    uint32_t tgt_uid; /* the last one */
    enum batches_outcome outcome;
    bool is_over;  /* no job needs to look at it again */
    bool is_given; /* to this job, as a suspect */
};

struct toy_read {
    uint32_t window;
    size_t n, served;
    uint32_t uids[TOY_WINDOW_MAX];
};

struct toy_append {
    uint32_t number, folder;
    bool is_plain, is_open;
    uint64_t octets;
    size_t n;
    uint32_t uids[TOY_WINDOW_MAX];
};

struct toy {
    struct batches *b;
    struct batches_limits limits;
    struct toy_message m[TOY_MESSAGES_MAX + 1]; /* by UID, over all folders */
    size_t n, n_folders, fed, n_copied, n_killers;
    enum toy_target target;
    bool is_lost;               /* this job has lost its connections */
    size_t n_before;            /* n_copied when it began */
    unsigned n_idle;            /* jobs in a row that copied nothing and found nothing out */
    bool tells_uids, has_noise; /* noise: anything may be lost, refused, unknown, cancelled */
    const uint8_t *in;
    size_t left;
    struct toy_read reads[TOY_IN_FLIGHT_MAX];
    size_t n_reads;
    struct toy_append appends[TOY_IN_FLIGHT_MAX];
    size_t n_appends;
    bool is_open, is_in_body;
    bool has_trouble; /* of other kinds than a message's own */
    uint32_t settling[TOY_MESSAGES_MAX];
    size_t n_settling;
    uint32_t next_tgt_uid;
    size_t steps, losses;
    struct buf log;
};

/* Of the test: says what is wrong and ends. */
static void toy_failed(struct toy *t, const char *what);

#define TOY_CHECK(t, condition)                                                                    \
    do {                                                                                           \
        if (!(condition))                                                                          \
            toy_failed(t, #condition);                                                             \
    } while (0)

static inline unsigned toy_choose(struct toy *t, unsigned n)
{
    if (t->left == 0)
        return 0;
    t->left--;
    return *t->in++ % n;
}

/* One time in n, and never without noise. */
static inline bool toy_mishap(struct toy *t, unsigned n)
{
    if (!t->has_noise || toy_choose(t, n) != n - 1)
        return false;
    t->has_trouble = true;
    return true;
}

static inline void toy_say(struct toy *t, char what)
{
    char text[3] = {what, 0, 0};
    if (t->log.n > 0 && what != '+' && what != '-')
        BUG_ON(buf_add_str(&t->log, " ") != 0);
    BUG_ON(buf_add_str(&t->log, text) != 0);
}

static inline void toy_say_uid(struct toy *t, uint32_t uid, char behind)
{
    char text[3] = {(char)('0' + uid % 10), behind, 0};
    BUG_ON(buf_add_str(&t->log, text) != 0);
}

static inline void toy_say_uids(struct toy *t, char what, const uint32_t *uids, size_t n)
{
    toy_say(t, what);
    for (size_t i = 0; i < n; i++)
        toy_say_uid(t, uids[i], 0);
}

static inline bool toy_has_extras(const struct toy_message *m)
{
    return m->kind == TOY_EXTRAS || m->kind == TOY_PICKY;
}

static inline bool toy_kills(const struct toy_message *m)
{
    return m->kind == TOY_SOURCE_DIES || m->kind == TOY_TARGET_DIES;
}

static inline bool toy_never_takes(const struct toy_message *m)
{
    return m->kind == TOY_REFUSED || m->kind == TOY_NO_FOLDER || m->kind == TOY_QUOTA;
}

/* --- The journal ---------------------------------------------------------------------------- */

static inline void toy_intend(struct toy *t, const struct batches_todo *todo)
{
    uint64_t octets = 0;
    toy_say_uids(t, 'I', todo->uids, todo->n);
    TOY_CHECK(t, todo->n > 0 && todo->n <= t->limits.read_max);
    for (size_t i = 0; i < todo->n; i++) {
        struct toy_message *m = &t->m[todo->uids[i]];
        octets += m->size;
        TOY_CHECK(t, m->folder == todo->folder && m->n_results == 0);
        TOY_CHECK(t, m->send == SEND_NEVER || m->send == SEND_NOT_THERE);
        TOY_CHECK(t, i == 0 || todo->uids[i - 1] < todo->uids[i]);
        m->window = todo->window;
    }
    TOY_CHECK(t, todo->n == 1 || octets <= t->limits.read_octets);
}

static inline void toy_forget(struct toy *t, uint32_t window)
{
    toy_say(t, 'F');
    for (uint32_t uid = 1; uid <= t->n; uid++) {
        struct toy_message *m = &t->m[uid];
        if (m->window != window)
            continue;
        toy_say_uid(t, uid, 0);
        TOY_CHECK(t, m->send != SEND_ON_ITS_WAY && m->send != SEND_UNSETTLED);
        TOY_CHECK(t, m->send != SEND_OK || m->n_results == 1);
        m->window = 0;
    }
}

static inline void toy_result(struct toy *t, const struct batches_result *r)
{
    struct toy_message *m = &t->m[r->uid];
    static const char letters[] = {'s', 'n', 'r', 'm', 'a', 'o'};
    char letter = letters[r->outcome];
    if (r->is_plain && (letter == 's' || letter == 'n'))
        letter = 'p';
    if (t->log.n > 0)
        BUG_ON(buf_add_str(&t->log, " ") != 0);
    toy_say_uid(t, r->uid, letter);
    TOY_CHECK(t, r->uid > 0 && r->uid <= t->n && r->folder == m->folder);
    TOY_CHECK(t, m->n_results++ == 0);
    m->outcome = r->outcome;
    t->n_copied += r->outcome == BATCHES_STORED || r->outcome == BATCHES_SENT;
    switch (r->outcome) {
    case BATCHES_STORED:
        TOY_CHECK(t, r->tgt_uid == m->tgt_uid);
        TOY_CHECK(t, m->n_stored == 1 && r->tgt_uid >= r->since);
        TOY_CHECK(t, r->sent.uid == r->uid && r->sent.digest[0] == (unsigned char)r->uid);
        return;
    case BATCHES_SENT:
        TOY_CHECK(t, m->send == SEND_OK && m->n_stored == 1 && m->tgt_uid >= r->since);
        return;
    case BATCHES_REFUSED:
        TOY_CHECK(t, m->n_stored == 0 && r->why);
        TOY_CHECK(t, m->kind == TOY_REFUSED || m->kind == TOY_UNREADABLE || m->kind == TOY_LARGE ||
                         t->has_trouble);
        return;
    case BATCHES_MISSING:
        TOY_CHECK(t, m->n_stored == 0 && m->kind == TOY_ABSENT);
        return;
    case BATCHES_ASIDE:
        TOY_CHECK(t, m->n_stored == 0 && r->why);
        TOY_CHECK(t, toy_kills(m) || t->has_trouble);
        return;
    case BATCHES_OPEN:
        TOY_CHECK(t, r->why && (t->has_trouble || t->is_lost));
        return;
    }
}

/* --- Connections ------------------------------------------------------------------------------ */

static inline void toy_store(struct toy *t, uint32_t uid)
{
    t->m[uid].n_stored++;
    t->m[uid].tgt_uid = t->next_tgt_uid++;
    TOY_CHECK(t, t->m[uid].n_stored == 1);
}

/* What was on its way may have arrived; what was broken off has not. */
static inline void toy_lose(struct toy *t, enum batches_side side)
{
    struct err err = ERR_INIT;
    err_set(&err, ERR_TEMP, 75, "lost");
    toy_say(t, 'X');
    t->losses++;
    t->is_lost = true;
    t->n_settling = 0;
    for (size_t i = 0; i < t->n_appends; i++) {
        struct toy_append *a = &t->appends[i];
        bool arrives = !a->is_open && t->has_noise && toy_choose(t, 3) == 2;
        for (size_t k = 0; k < a->n; k++) {
            struct toy_message *m = &t->m[a->uids[k]];
            if (arrives && !toy_never_takes(m) && m->kind != TOY_TARGET_DIES &&
                !(m->kind == TOY_PICKY && !a->is_plain))
                toy_store(t, a->uids[k]);
            if (m->send == SEND_ON_ITS_WAY)
                m->send = SEND_UNSETTLED;
        }
        if (a->is_open && t->is_in_body)
            t->m[a->uids[a->n - 1]].send = SEND_NOT_THERE;
    }
    t->n_reads = t->n_appends = 0;
    t->is_open = t->is_in_body = false;
    batches_lost(t->b, side, &err);
}

/* --- The target ---------------------------------------------------------------------------------
 */

static inline void toy_end_append(struct toy *t, bool ends)
{
    if (!ends)
        return;
    TOY_CHECK(t, t->is_open);
    t->is_open = false;
    if (t->n_appends > 0)
        t->appends[t->n_appends - 1].is_open = false;
}

static inline bool toy_refuses(struct toy *t, const struct toy_append *a, size_t i)
{
    const struct toy_message *m = &t->m[a->uids[i]];
    return toy_never_takes(m) || (m->kind == TOY_PICKY && !a->is_plain);
}

static inline void toy_answer(struct toy *t, const struct err *err)
{
    struct toy_append a = t->appends[0];
    uint32_t uids[TOY_WINDOW_MAX];
    toy_say_uids(t, 'A', a.uids, a.n);
    toy_say(t, err ? '-' : '+');
    t->n_appends--;
    memmove(t->appends, t->appends + 1, t->n_appends * sizeof(a));
    for (size_t i = 0; i < a.n; i++) {
        t->m[a.uids[i]].send = err ? SEND_UNSETTLED : SEND_OK;
        uids[i] = t->m[a.uids[i]].tgt_uid;
    }
    batches_appended(t->b, a.number, t->tells_uids ? uids : NULL, t->tells_uids ? a.n : 0, err);
}

static inline void toy_target_step(struct toy *t)
{
    struct toy_append *a = &t->appends[0];
    size_t bad = 0;
    struct err err = ERR_INIT;
    err_set(&err, ERR_PERM, 69, "refused");
    for (size_t i = 0; i < a->n; i++) {
        if (t->m[a->uids[i]].kind == TOY_TARGET_DIES) {
            toy_lose(t, BATCHES_TARGET);
            return;
        }
    }
    if (toy_mishap(t, 60)) {
        toy_lose(t, BATCHES_TARGET);
        return;
    }
    while (bad < a->n && !toy_refuses(t, a, bad))
        bad++;
    bool is_refused = bad < a->n;
    enum toy_kind kind = is_refused ? t->m[a->uids[bad]].kind : TOY_GOOD;
    if (kind == TOY_NO_FOLDER || kind == TOY_QUOTA) {
        t->has_trouble = true;
        err_scope_set(&err, kind == TOY_QUOTA ? ERR_SCOPE_USER : ERR_SCOPE_FOLDER);
    }
    if (!is_refused && toy_mishap(t, 50)) {
        is_refused = true;
        bad = toy_choose(t, (unsigned)a->n);
        err_scope_set(&err, ERR_SCOPE_NONE + (enum err_scope)toy_choose(t, 5));
        err.class = toy_choose(t, 3) == 2 ? ERR_TEMP : ERR_PERM;
    }
    for (size_t i = 0; i < a->n; i++) {
        bool is_kept = t->target == TOY_STORES_ALL || (t->target == TOY_STORES_BEFORE && i < bad);
        if ((!is_refused || is_kept) && !toy_never_takes(&t->m[a->uids[i]]))
            toy_store(t, a->uids[i]);
    }
    toy_answer(t, is_refused ? &err : NULL);
}

static inline void toy_settle(struct toy *t)
{
    uint32_t found[TOY_MESSAGES_MAX];
    size_t n = t->n_settling;
    struct err err = ERR_INIT;
    err_set(&err, ERR_TEMP, 75, "cannot look");
    t->n_settling = 0;
    if (toy_mishap(t, 30)) {
        toy_lose(t, BATCHES_TARGET);
        return;
    }
    if (toy_mishap(t, 30)) {
        batches_settled(t->b, NULL, &err);
        return;
    }
    toy_say(t, 'S');
    for (size_t i = 0; i < n; i++) {
        struct toy_message *m = &t->m[t->settling[i]];
        found[i] = m->tgt_uid;
        m->send = found[i] > 0 ? SEND_OK : SEND_NOT_THERE;
        if (toy_mishap(t, 30)) {
            found[i] = UINT32_MAX;
            m->send = SEND_UNSETTLED;
        }
        if (m->send == SEND_OK)
            toy_say_uid(t, t->settling[i], 0);
        else
            BUG_ON(buf_add_str(&t->log, ".") != 0);
    }
    batches_settled(t->b, found, NULL);
}

/* --- The source
 * ------------------------------------------------------------------------------------ */

static inline void toy_body(struct toy *t, struct toy_read *r, uint32_t uid)
{
    struct toy_message *m = &t->m[uid];
    uint64_t size = m->kind == TOY_LARGE ? TOY_SIZE_MAX + 1 : m->size;
    toy_end_append(t, batches_body_next(t->b, r->window, size));
    struct batches_verdict v =
        batches_body(t->b, r->window, uid, size, !(t->has_noise && toy_choose(t, 20) == 19));
    if (!v.is_taken)
        return;
    TOY_CHECK(t, m->send == SEND_NEVER || m->send == SEND_NOT_THERE);
    TOY_CHECK(t, m->window == r->window && m->n_results == 0 && v.folder == m->folder);
    TOY_CHECK(t, size <= TOY_SIZE_MAX && v.begins == !t->is_open);
    if (v.begins) {
        TOY_CHECK(t, t->n_appends < t->limits.appends_max);
        t->appends[t->n_appends++] = (struct toy_append){
            .number = v.append, .folder = v.folder, .is_plain = v.is_plain, .is_open = true};
        t->is_open = true;
    }
    t->is_in_body = true;
    m->send = SEND_ON_ITS_WAY;
    struct toy_append *a = t->n_appends > 0 ? &t->appends[t->n_appends - 1] : NULL;
    TOY_CHECK(t, a && a->number == v.append && a->is_plain == v.is_plain);
    TOY_CHECK(t, a->is_open && a->folder == v.folder);
    a->uids[a->n++] = uid;
    a->octets += size;
    TOY_CHECK(t, a->n <= t->limits.append_max);
    TOY_CHECK(t, a->n == 1 || a->octets <= t->limits.append_octets);
    size_t n = 0;
    for (size_t i = 0; i < t->n_appends; i++)
        n += t->appends[i].n;
    TOY_CHECK(t, n <= t->limits.sent_max);
}

static inline void toy_read_over(struct toy *t, const struct err *err)
{
    uint32_t window = t->reads[0].window;
    t->n_reads--;
    memmove(t->reads, t->reads + 1, t->n_reads * sizeof(*t->reads));
    toy_end_append(t, batches_read_over(t->b, window, err));
}

static inline void toy_source_step(struct toy *t)
{
    struct toy_read *r = &t->reads[0];
    struct err err = ERR_INIT;
    if (toy_mishap(t, 80)) {
        toy_lose(t, toy_choose(t, 2) == 0 ? BATCHES_SOURCE : BATCHES_NEITHER);
        return;
    }
    if (t->is_in_body) {
        unsigned char digest[SHA256_SIZE] = {0};
        const struct canon canon = {.text = {1}};
        const struct toy_append *a = &t->appends[t->n_appends - 1];
        digest[0] = (unsigned char)a->uids[a->n - 1];
        if (t->m[a->uids[a->n - 1]].kind == TOY_SOURCE_DIES) {
            toy_lose(t, BATCHES_SOURCE);
            return;
        }
        t->is_in_body = false;
        toy_end_append(t, batches_body_end(t->b, digest, &canon));
        return;
    }
    if (r->served == r->n) {
        toy_read_over(t, NULL);
        return;
    }
    uint32_t uid = r->uids[r->served++];
    if (toy_mishap(t, 100)) {
        err_set(&err, ERR_PERM, 69, "cannot be read");
        err_scope_set(&err, ERR_SCOPE_NONE + (enum err_scope)toy_choose(t, 5));
        toy_read_over(t, &err);
    } else if (t->m[uid].kind == TOY_UNREADABLE) {
        err_set(&err, ERR_PERM, 69, "cannot be read");
        toy_read_over(t, &err);
    } else if (t->m[uid].kind != TOY_ABSENT) {
        toy_body(t, r, uid);
    }
}

/* --- A run
 * -------------------------------------------------------------------------------------------- */

static inline void toy_feed(struct toy *t)
{
    while (batches_wants(t->b) && t->fed < t->n) {
        const struct toy_message *m = &t->m[++t->fed];
        struct batches_message fed = {.folder = m->folder,
            .uid = (uint32_t)t->fed,
            .size = m->size,
            .has_extras = toy_has_extras(m)};
        if (!m->is_over && !m->is_given)
            batches_add(t->b, &fed);
    }
    if (t->fed == t->n)
        batches_close(t->b);
}

static inline void toy_event(struct toy *t)
{
    bool has_source = t->n_reads > 0, has_target = t->n_appends > 0 && !t->appends[0].is_open;
    if (t->has_noise && toy_choose(t, 200) == 199) {
        t->has_trouble = true;
        batches_cancel(t->b);
    } else if (t->n_settling > 0 && (toy_choose(t, 2) == 0 || !has_source)) {
        toy_settle(t);
    } else if (has_source && (!has_target || toy_choose(t, 3) < 2)) {
        toy_source_step(t);
    } else if (has_target) {
        toy_target_step(t);
    } else {
        toy_failed(t, "it waits for nothing");
    }
}

/* false: it is over. */
static inline bool toy_step(struct toy *t)
{
    struct batches_todo todo;
    toy_feed(t);
    batches_next(t->b, &todo);
    /* Each message costs a bounded number of steps, each loss of a connection some more. */
    TOY_CHECK(t, ++t->steps < 2000 + 200 * t->n + 100 * t->losses);
    TOY_CHECK(t, t->losses <= 20 + 4 * t->n || t->has_noise);
    switch (todo.what) {
    case BATCHES_WAIT:
        toy_event(t);
        return true;
    case BATCHES_RESULT:
        toy_result(t, &todo.result);
        return true;
    case BATCHES_FORGET:
        toy_forget(t, todo.window);
        return true;
    case BATCHES_NOTE:
        for (size_t i = 0; i < todo.n; i++)
            TOY_CHECK(t, t->m[todo.sent[i].uid].send == SEND_ON_ITS_WAY);
        return true;
    case BATCHES_INTEND:
        toy_intend(t, &todo);
        return true;
    case BATCHES_READ: {
        toy_say_uids(t, 'R', todo.uids, todo.n);
        TOY_CHECK(t, t->n_reads < t->limits.reads_max);
        struct toy_read *r = &t->reads[t->n_reads++];
        *r = (struct toy_read){.window = todo.window, .n = todo.n};
        memcpy(r->uids, todo.uids, todo.n * sizeof(*todo.uids));
        for (size_t i = 0; i < todo.n; i++)
            TOY_CHECK(t, t->m[todo.uids[i]].window == todo.window);
        return true;
    }
    case BATCHES_SETTLE:
        TOY_CHECK(t, !t->is_open && t->n_settling == 0 && todo.n > 0);
        t->n_settling = todo.n;
        for (size_t i = 0; i < todo.n; i++) {
            const struct toy_message *m = &t->m[todo.sent[i].uid];
            t->settling[i] = todo.sent[i].uid;
            TOY_CHECK(t, m->send == SEND_UNSETTLED && m->folder == todo.folder);
            TOY_CHECK(t, m->tgt_uid == 0 || m->tgt_uid >= todo.since);
            TOY_CHECK(t, todo.sent[i].digest[0] == (unsigned char)todo.sent[i].uid);
        }
        for (size_t i = 0; i < t->n_appends; i++)
            TOY_CHECK(t, t->appends[i].folder != todo.folder);
        return true;
    case BATCHES_OVER:
        break;
    }
    return false;
}

/* Behind a job: each message that it was given has its result. */
static inline void toy_check_job(struct toy *t)
{
    for (uint32_t uid = 1; uid <= t->n; uid++) {
        const struct toy_message *m = &t->m[uid];
        TOY_CHECK(t, m->n_results == 1 || (uid > t->fed && (t->has_trouble || t->is_lost)));
        TOY_CHECK(t, m->n_stored <= 1);
        if (m->n_results == 1 && m->outcome == BATCHES_OPEN && m->send == SEND_UNSETTLED)
            TOY_CHECK(t, m->window != 0);
        else
            TOY_CHECK(
                t, m->window == 0 || m->outcome == BATCHES_OPEN || t->has_trouble || t->is_lost);
    }
}

static inline void toy_check_end(struct toy *t)
{
    for (uint32_t uid = 1; uid <= t->n; uid++) {
        /* More killers than what was copied: perhaps it is not they. */
        TOY_CHECK(t, t->m[uid].is_over || t->has_trouble || t->n_copied < t->n_killers);
    }
}

/* Whoever settles the intents of a job that was lost finds out what is there. */
static inline void toy_resolve(struct toy *t, struct toy_message *m)
{
    bool is_told = m->n_results == 1 && m->outcome != BATCHES_OPEN;
    if (m->send == SEND_UNSETTLED || m->send == SEND_ON_ITS_WAY)
        m->send = m->n_stored > 0 ? SEND_OK : SEND_NOT_THERE;
    bool is_found = m->send == SEND_OK && !is_told;
    m->is_over = is_told || is_found;
    t->n_copied += is_found;
    m->window = 0;
    m->n_results = m->is_over;
    m->is_given = false;
}

static inline void toy_begin(struct toy *t)
{
    t->b = batches_new(&t->limits);
    for (size_t i = 0; i <= t->n_folders; i++)
        batches_folder(t->b, (uint32_t)i, 1000);
    t->fed = 0;
    t->n_before = t->n_copied;
    t->is_lost = false;
}

/* What the job before has left under suspicion; whether it knows more than the one before it. */
static inline bool toy_hand_on(struct toy *t, struct batches *before)
{
    struct batches_suspects s;
    size_t n_left = 0;
    bool is_narrower = false;
    while (batches_suspects(before, &s)) {
        size_t n = 0;
        TOY_CHECK(t, s.strikes > 0 && s.n > 0 && s.n <= BATCHES_WINDOW_MAX);
        n_left += s.n;
        is_narrower = is_narrower || (s.strikes > 1 && batches_credit(before) > 0);
        for (size_t i = 0; i < s.n; i++) {
            struct toy_message *m = &t->m[s.v[i].uid];
            if (m->is_over)
                continue;
            m->is_given = true;
            s.v[n++] = s.v[i];
        }
        s.n = n;
        if (n > 0)
            batches_add_suspects(t->b, &s);
    }
    TOY_CHECK(t, n_left <= t->n);
    return is_narrower;
}

/* false: there is nothing more to be done, or too often nothing came of it. */
static inline bool toy_next_job(struct toy *t)
{
    struct batches *before = t->b;
    bool was_lost = t->is_lost;
    for (uint32_t uid = 1; uid <= t->n; uid++)
        toy_resolve(t, &t->m[uid]);
    bool has_copied = t->n_copied > t->n_before;
    toy_begin(t);
    batches_give_credit(t->b, batches_credit(before));
    bool is_narrower = toy_hand_on(t, before);
    batches_free(&before);
    t->n_idle = has_copied || is_narrower ? 0 : t->n_idle + 1;
    if (was_lost && t->n_idle < TOY_IDLE_MAX)
        toy_say(t, '|');
    return was_lost && t->n_idle < TOY_IDLE_MAX;
}

/* kinds: a letter for each message, in folders that a space divides. */
static inline void toy_init(struct toy *t, const struct batches_limits *limits, const char *kinds)
{
    t->limits = *limits;
    t->limits.size_max = TOY_SIZE_MAX;
    t->next_tgt_uid = 1000;
    buf_init(&t->log, 1u << 20);
    for (; *kinds; kinds++) {
        if (*kinds == ' ') {
            t->n_folders++;
            continue;
        }
        t->m[++t->n] = (struct toy_message){.kind = (enum toy_kind)(unsigned char)*kinds,
            .folder = (uint32_t)t->n_folders,
            .size = 100};
        t->n_killers += toy_kills(&t->m[t->n]);
    }
    toy_begin(t);
}

static inline void toy_run(struct toy *t)
{
    do {
        while (toy_step(t))
            ;
        toy_check_job(t);
    } while (toy_next_job(t));
    toy_check_end(t);
}

static inline void toy_fini(struct toy *t)
{
    batches_free(&t->b);
    buf_fini(&t->log);
}

/* A world from octets: its limits, its messages, its target, and then what happens. */
static inline void toy_play(const uint8_t *in, size_t n)
{
    char kinds[TOY_MESSAGES_MAX + TOY_FOLDERS_MAX + 1] = "";
    struct toy *t = calloc(1, sizeof(*t));
    size_t len = 0, spaces = 0;
    t->in = in;
    t->left = n;
    unsigned shape = toy_choose(t, 8), single = toy_choose(t, 3);
    struct batches_limits limits = {.read_max = 1 + toy_choose(t, 9),
        .read_octets = 1 + 100 * toy_choose(t, 12),
        .reads_max = 1 + toy_choose(t, 3),
        .append_max = single == 2 ? 1 : 1 + toy_choose(t, 9),
        .append_octets = 1 + 100 * toy_choose(t, 12),
        .appends_max = 1 + toy_choose(t, 4),
        .sent_max = 1 + toy_choose(t, 20),
        .read_few = toy_choose(t, 4)};
    enum toy_target target = (enum toy_target)toy_choose(t, TOY_TARGETS);
    bool tells_uids = toy_choose(t, 3) < 2, has_noise = toy_choose(t, 3) == 2;
    size_t want = 1 + toy_choose(t, TOY_MESSAGES_MAX);
    for (size_t i = 0; i < want; i++) {
        if (i > 0 && spaces + 1 < TOY_FOLDERS_MAX && toy_choose(t, 8) == 7) {
            kinds[len++] = ' ';
            spaces++;
        }
        kinds[len++] = TOY_KINDS[shape == 0 ? 0 : toy_choose(t, sizeof(TOY_KINDS) - 1)];
    }
    toy_init(t, &limits, kinds);
    for (uint32_t uid = 1; uid <= t->n; uid++)
        t->m[uid].size = 1 + 13 * toy_choose(t, 60);
    t->target = target;
    t->tells_uids = tells_uids;
    t->has_noise = has_noise;
    toy_run(t);
    toy_fini(t);
    free(t);
}

#endif
