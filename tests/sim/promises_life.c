/* SPDX-License-Identifier: ISC */
/* promises_life: order, tickets and errors of an end, and opening folders. */
#include <string.h>
#include <sysexits.h>

#include "tests/sim/promises.h"

/* --- Order, tickets, errors ------------------------------------------------------------------ */

#define QUEUED 6

struct order {
    struct end_ticket t[QUEUED];
    size_t seen[QUEUED], n, calls[QUEUED];
};

static void note(void *arg, struct end_ticket *t)
{
    struct order *o = arg;
    size_t i = (size_t)(t - o->t);
    o->calls[i]++;
    if (o->n < QUEUED)
        o->seen[o->n++] = i;
}

static void begin_some(
    struct promise *p, struct order *o, struct folder *status, struct end_changes *c)
{
    static const struct flags seen = {.system = FLAG_SEEN};
    const struct end_flags how = {.flags = &seen, .keywords = &p->keywords};
    struct end *e = p->a;
    for (size_t i = 0; i < QUEUED; i++) {
        o->t[i].done = note;
        o->t[i].arg = o;
    }
    *status = (struct folder){.name = THERE};
    end_changes_init(c, &p->keywords);
    e->ops->status(e, status, &o->t[0]);
    e->ops->flags(e, p->uids, 1, &how, NULL, &o->t[1]);
    e->ops->attributes(e, p->uids, 2, END_WANT_FLAGS, c, &o->t[2]);
    e->ops->subscribe(e, HERE, true, &o->t[3]);
    e->ops->status(e, status, &o->t[4]);
    e->ops->flags(e, p->uids + 1, 1, &how, NULL, &o->t[5]);
}

static void in_order(struct promise *p)
{
    struct order o = {0};
    struct folder f;
    struct end_changes c;
    struct err err = ERR_INIT;
    begin_some(p, &o, &f, &c);
    CHECK(!p->a->ops->is_idle(p->a));
    CHECK(end_drain(p->a, &err) == 0);
    CHECK(p->a->ops->is_idle(p->a) && p->a->ops->has_room(p->a));
    CHECK(o.n == QUEUED);
    for (size_t i = 0; i < QUEUED; i++)
        CHECK(o.seen[i] == i && o.calls[i] == 1 && o.t[i].result == END_OK);
    /* The first change of flags was before the question, the second one behind it. */
    CHECK(c.n == 2 && c.v[0].flags.system == FLAG_SEEN && c.v[1].flags.system == 0);
    end_changes_fini(&c);
}

static void behind_a_refused_open(struct promise *p)
{
    static const struct flags deleted = {.system = FLAG_DELETED};
    const struct end_flags how = {.flags = &deleted, .keywords = &p->keywords};
    struct end_ticket t[4] = {0};
    struct end_changes bad, good;
    end_changes_init(&bad, &p->keywords);
    end_changes_init(&good, &p->keywords);
    struct end *e = p->a;
    e->ops->open(e,
        &(struct end_open){.folder = NOWHERE, .is_for_writing = true, .want = END_WANT_FLAGS}, &bad,
        &t[0]);
    e->ops->flags(e, p->uids, MESSAGES, &how, NULL, &t[1]);
    e->ops->remove(e, p->uids, MESSAGES, &t[2]);
    e->ops->open(e, &(struct end_open){.folder = HERE, .want = END_WANT_FLAGS}, &good, &t[3]);
    CHECK(promise_answer(e, &t[3]) == END_OK);
    CHECK(t[0].result == END_NO && t[1].result == END_NO && t[2].result == END_NO);
    CHECK(t[0].err.scope == ERR_SCOPE_FOLDER);
    CHECK(good.n == MESSAGES && good.v[0].flags.system == 0);
    end_changes_fini(&bad);
    end_changes_fini(&good);
}

static void what_is_read_is_copied(struct promise *p)
{
    char name[] = "Moved";
    uint32_t uid = p->uids[0];
    struct flags f = {.system = FLAG_FLAGGED};
    const struct end_flags how = {.flags = &f, .keywords = &p->keywords};
    struct end_ticket t[2] = {0};
    struct end_changes c;
    end_changes_init(&c, &p->keywords);
    p->a->ops->flags(p->a, &uid, 1, &how, NULL, &t[0]);
    uid = p->uids[1];
    f.system = FLAG_DELETED;
    p->a->ops->open(
        p->a, &(struct end_open){.folder = slice_str(name), .want = END_WANT_FLAGS}, &c, &t[1]);
    memset(name, 'x', sizeof(name) - 1);
    CHECK(promise_answer(p->a, &t[0]) == END_OK && promise_answer(p->a, &t[1]) == END_OK);
    CHECK(c.exists == 0);
    end_changes_fini(&c);
    CHECK(promise_look(p, p->a, &(struct end_open){.want = END_WANT_FLAGS}, &c) == END_OK);
    CHECK(c.v[0].flags.system == FLAG_FLAGGED && c.v[1].flags.system == 0);
    end_changes_fini(&c);
}

static void closing_answers(struct promise *p)
{
    struct order o = {0};
    struct folder f;
    struct end_changes c;
    begin_some(p, &o, &f, &c);
    end_close(&p->a);
    for (size_t i = 0; i < QUEUED; i++)
        CHECK(o.calls[i] == 1 && (o.t[i].result == END_LOST || o.t[i].result == END_OK));
    CHECK(o.t[QUEUED - 1].result == END_LOST && o.t[QUEUED - 1].err.class == ERR_TEMP);
    end_changes_fini(&c);
}

static void losing_answers(struct promise *p)
{
    struct order o = {0};
    struct folder f;
    struct end_changes c;
    struct err why = ERR_INIT, err = ERR_INIT;
    struct end_ticket late = {0}, later = {0};
    bool moved = false;
    err_set(&why, ERR_TEMP, EX_TEMPFAIL, "because");
    begin_some(p, &o, &f, &c);
    end_lose(p->a, &why);
    for (size_t i = 0; i < QUEUED; i++)
        CHECK(o.calls[i] == 1 && o.t[i].result == END_LOST && strstr(o.t[i].err.text, "because"));
    CHECK(p->a->ops->is_broken(p->a) && p->a->ops->is_idle(p->a));
    /* At once, whoever asks. */
    p->a->ops->status(p->a, &f, &late);
    CHECK(late.result == END_LOST && strstr(late.err.text, "because"));
    CHECK(p->a->ops->is_idle(p->a));
    p->a->ops->append_begin(p->a, HERE, NULL, &later);
    CHECK(later.result == END_LOST);
    p->a->ops->append_message(p->a, &(struct end_message){.size = 3});
    p->a->ops->append_octets(p->a, SLICE_LIT("abc"));
    p->a->ops->append_end(p->a);
    CHECK(end_drain(p->a, &err) == -1 && strstr(err.text, "because"));
    CHECK(p->a->ops->advance(p->a, 0, &moved, &err) == -1);
    end_changes_fini(&c);
}

static void a_no_is_about_one(struct promise *p)
{
    struct end_ticket t[4] = {0};
    struct folder none = {.name = NOWHERE}, here = {.name = THERE};
    struct end *e = p->a;
    e->ops->status(e, &none, &t[0]);
    e->ops->make(e, HERE, FOLDER_USE_NONE, &t[1]);
    e->ops->rename(e, NOWHERE, SLICE_LIT("Later"), &t[2]);
    e->ops->status(e, &here, &t[3]);
    CHECK(promise_answer(e, &t[3]) == END_OK && here.has & FOLDER_HAS_UIDNEXT);
    for (size_t i = 0; i < 3; i++)
        CHECK(t[i].result == END_NO && t[i].err.class != ERR_NONE && t[i].err.text[0]);
    CHECK(promise_put(e, NOWHERE, 0, 1, NULL) == END_NO);
    CHECK(!e->ops->is_broken(e));
}

struct again {
    struct end *e;
    struct folder f;
    struct end_ticket first, second;
};

static void begin_another(void *arg, struct end_ticket *t)
{
    struct again *g = arg;
    (void)t;
    g->e->ops->status(g->e, &g->f, &g->second);
}

static void done_may_begin(struct promise *p)
{
    struct again g = {.e = p->a, .f = {.name = THERE}};
    struct err err = ERR_INIT;
    g.first.done = begin_another;
    g.first.arg = &g;
    p->a->ops->status(p->a, &g.f, &g.first);
    CHECK(end_drain(p->a, &err) == 0);
    CHECK(g.first.result == END_OK && g.second.result == END_OK);
}

/* --- Opening ---------------------------------------------------------------------------------- */

static void only_opened(struct promise *p)
{
    struct end_changes c;
    const struct end_open o = {
        .is_only_opened = true, .want = END_WANT_FLAGS, .uidvalidity = p->validity};
    CHECK(promise_look(p, p->a, &o, &c) == END_OK);
    CHECK(c.n == 0 && c.exists == MESSAGES && c.uidvalidity == p->validity);
    CHECK(c.storable == 0);
    CHECK(c.uidnext == 0 || c.uidnext > p->uids[MESSAGES - 1]);
    end_changes_fini(&c);
}

static void opened_for_writing(struct promise *p)
{
    struct end_changes c;
    CHECK(
        promise_look(p, p->a, &(struct end_open){.is_for_writing = true, .want = 1}, &c) == END_OK);
    CHECK(c.storable == 31 && c.takes_keywords && c.n == MESSAGES);
    end_changes_fini(&c);
}

static void another_uidvalidity(struct promise *p)
{
    static const struct flags deleted = {.system = FLAG_DELETED};
    const struct end_flags how = {.flags = &deleted, .keywords = &p->keywords};
    struct end_changes c;
    struct end_ticket t = {0};
    const uint32_t other = p->validity + 1000;
    CHECK(promise_look(p, p->a, &(struct end_open){.is_only_opened = true, .uidvalidity = other},
              &c) == END_NO);
    end_changes_fini(&c);
    CHECK(promise_look(p, p->a,
              &(struct end_open){.is_for_writing = true, .want = 1, .uidvalidity = other},
              &c) == END_NO);
    end_changes_fini(&c);
    p->a->ops->flags(p->a, p->uids, 1, &how, NULL, &t);
    CHECK(promise_answer(p->a, &t) == END_NO);
    CHECK(promise_look(p, p->a, &(struct end_open){.want = END_WANT_FLAGS, .uidvalidity = other},
              &c) == END_OK);
    CHECK(c.is_whole && c.uidvalidity == p->validity);
    CHECK(c.n == MESSAGES && c.v[0].flags.system == 0);
    end_changes_fini(&c);
}

static void all_that_is_wanted(struct promise *p)
{
    struct end_changes c;
    struct buf octets;
    const unsigned want = END_WANT_FLAGS | END_WANT_DATES | END_WANT_SIZES | END_WANT_IDS;
    CHECK(promise_look(p, p->a, &(struct end_open){.want = want}, &c) == END_OK);
    buf_init(&octets, 4096);
    for (size_t i = 0; i < c.n; i++) {
        model_octets((uint32_t)i, &octets);
        CHECK(c.v[i].has_flags && c.v[i].has_date && c.v[i].has_size);
        CHECK(c.v[i].date_s == model_date((uint32_t)i));
        CHECK((end_changes_id(&c, i).n > 0) == promise_can(p, END_CAN_TELL_IDS));
        CHECK(i == 0 || c.v[i].uid > c.v[i - 1].uid);
    }
    CHECK((c.folder_id.n > 0) == promise_can(p, END_CAN_TELL_IDS));
    CHECK(c.token.n <= END_TOKEN_MAX);
    buf_fini(&octets);
    end_changes_fini(&c);
    CHECK(
        promise_look(p, p->a, &(struct end_open){.want = want, .from = p->uids[2]}, &c) == END_OK);
    CHECK(c.n == 2 && c.v[0].uid == p->uids[2] && !c.is_whole);
    end_changes_fini(&c);
}

/* Somebody else marks the first and removes the second; a third one comes. */
static void others_change(struct promise *p)
{
    struct end_ticket t = {0};
    CHECK(promise_write(p, p->b, HERE) == END_OK);
    CHECK(promise_mark(p->b, p->uids[0], FLAG_SEEN, true, 0, NULL) == END_OK);
    CHECK(promise_mark(p->b, p->uids[1], FLAG_DELETED, true, 0, NULL) == END_OK);
    p->b->ops->remove(p->b, &p->uids[1], 1, &t);
    CHECK(promise_answer(p->b, &t) == END_OK);
    CHECK(promise_put(p->b, HERE, 40, 1, NULL) == END_OK);
}

static void changes_since_a_token(struct promise *p)
{
    struct end_changes c;
    struct buf token;
    buf_init(&token, END_TOKEN_MAX);
    CHECK(promise_look(p, p->a, &(struct end_open){.want = END_WANT_FLAGS}, &c) == END_OK);
    CHECK(buf_add(&token, buf_slice(&c.token)) == 0);
    end_changes_fini(&c);
    others_change(p);
    struct uid_set known = uid_set_of(p->uids, MESSAGES);
    const struct end_open o = {.want = END_WANT_FLAGS,
        .uidvalidity = p->validity,
        .token = buf_slice(&token),
        .known = &known};
    CHECK(promise_look(p, p->a, &o, &c) == END_OK);
    uid_set_fini(&known);
    const struct listed *m = end_changes_find(&c, p->uids[0]);
    CHECK(m && m->flags.system == FLAG_SEEN);
    CHECK(!end_changes_find(&c, p->uids[1]));
    CHECK(c.n > 0 && c.v[c.n - 1].uid > p->uids[MESSAGES - 1] && c.v[c.n - 1].has_flags);
    CHECK(c.is_sure && c.n_vanished == 1 && c.vanished[0] == p->uids[1]);
    CHECK(c.exists == MESSAGES);
    CHECK(c.is_whole ? c.n == MESSAGES : c.n >= 2);
    end_changes_fini(&c);
    buf_fini(&token);
}

static void same_as_the_token(struct promise *p)
{
    struct end_changes c, other;
    struct folder f = {.name = HERE};
    struct end_ticket t[2] = {0};
    CHECK(promise_look(p, p->a, &(struct end_open){.want = END_WANT_FLAGS}, &c) == END_OK);
    /* Of the folder that is open a server tells what this session knows. */
    CHECK(promise_look(p, p->a, &(struct end_open){.folder = THERE, .is_only_opened = true},
              &other) == END_OK);
    end_changes_fini(&other);
    p->a->ops->status(p->a, &f, &t[0]);
    CHECK(promise_answer(p->a, &t[0]) == END_OK);
    CHECK(f.messages == MESSAGES && f.uidnext > p->uids[MESSAGES - 1]);
    CHECK(
        !promise_can(p, END_CAN_TELL_CHANGES) || p->a->ops->is_same(p->a, &f, buf_slice(&c.token)));
    others_change(p);
    p->a->ops->status(p->a, &f, &t[1]);
    CHECK(promise_answer(p->a, &t[1]) == END_OK);
    CHECK(!p->a->ops->is_same(p->a, &f, buf_slice(&c.token)));
    CHECK(!p->a->ops->is_same(p->a, &f, SLICE_NONE));
    end_changes_fini(&c);
}

const struct promise_row promises_life[] = {
    {"operations take effect, and are answered, in the order in which they were begun", in_order},
    {"what is behind a refused open() is refused, without effect", behind_a_refused_open},
    {"what is only read is copied by the slot", what_is_read_is_copied},
    {"close() answers all that are left, each once", closing_answers},
    {"lose() answers all, and what is begun behind it is answered at once", losing_answers},
    {"a NO is about one operation: the end is as good as before", a_no_is_about_one},
    {"done() may begin operations", done_may_begin},
    {"a folder that is only opened tells its numbers", only_opened},
    {"a folder that is opened for writing tells which flags last", opened_for_writing},
    {"another UIDVALIDITY is a NO for writing, and voids everything for reading",
        another_uidvalidity},
    {"each message has all that was asked for", all_that_is_wanted},
    {"open() with a token tells what has changed, and what has vanished", changes_since_a_token},
    {"is_same() says so only when nothing has changed", same_as_the_token},
    {NULL, NULL},
};
