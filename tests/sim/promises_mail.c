/* SPDX-License-Identifier: ISC */
/* promises_mail: reading and changing messages. */
#include <stdlib.h>

#include "tests/sim/promises.h"

/* --- Reading ---------------------------------------------------------------------------------- */

struct reader {
    uint32_t uids[8];
    size_t n, octets[8], sizes[8];
    uint32_t refuse;
};

static bool body_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct reader *r = arg;
    if (uid == r->refuse)
        return false;
    if (r->n == 8)
        abort();
    r->uids[r->n] = uid;
    r->sizes[r->n] = (size_t)size;
    r->octets[r->n] = 0;
    return true;
}

static void body_data(void *arg, struct slice octets)
{
    struct reader *r = arg;
    r->octets[r->n] += octets.n;
}

static void body_end(void *arg, uint32_t uid)
{
    struct reader *r = arg;
    if (uid == r->uids[r->n])
        r->n++;
}

static void bodies(struct promise *p)
{
    static const struct end_sink sink = {body_begin, body_data, body_end};
    const uint32_t asked[] = {p->uids[0], p->uids[1], p->uids[2], p->uids[MESSAGES - 1] + 900};
    struct reader r = {.refuse = p->uids[1]};
    struct end_ticket t = {0};
    struct buf octets;
    buf_init(&octets, 4096);
    p->a->ops->read(p->a, asked, 4, &sink, &r, &t);
    CHECK(promise_answer(p->a, &t) == END_OK);
    CHECK(r.n == 2 && r.uids[0] != r.uids[1]);
    for (size_t i = 0; i < r.n; i++) {
        CHECK(r.uids[i] == p->uids[0] || r.uids[i] == p->uids[2]);
        model_octets(r.uids[i] == p->uids[0] ? 0 : 2, &octets);
        CHECK(r.octets[i] == octets.n && r.sizes[i] == octets.n);
    }
    buf_fini(&octets);
}

static void attributes_keep_the_rest(struct promise *p)
{
    struct end_changes c;
    struct end_ticket t = {0};
    CHECK(promise_look(p, p->a, &(struct end_open){.want = END_WANT_FLAGS, .from = p->uids[3]},
              &c) == END_OK);
    uint32_t exists = c.exists, uidnext = c.uidnext, validity = c.uidvalidity;
    uint64_t modseq = c.modseq;
    size_t n_token = c.token.n;
    const uint32_t asked[] = {p->uids[0], p->uids[3] + 900};
    p->a->ops->attributes(p->a, asked, 2, END_WANT_DATES | END_WANT_SIZES, &c, &t);
    CHECK(promise_answer(p->a, &t) == END_OK);
    const struct listed *m = end_changes_find(&c, p->uids[0]);
    CHECK(m && m->has_date && m->has_size && m->date_s == model_date(0));
    CHECK(!end_changes_find(&c, p->uids[3] + 900));
    CHECK(c.exists == exists && c.uidnext == uidnext && c.uidvalidity == validity &&
          c.modseq == modseq && c.token.n == n_token);
    end_changes_fini(&c);
}

/* --- Changing --------------------------------------------------------------------------------- */

static void uids_of_what_is_stored(struct promise *p)
{
    struct end_uids u = {0};
    struct end_changes c;
    CHECK(promise_put(p->a, THERE, 10, promise_can(p, END_CAN_BATCH) ? 3 : 1, &u) == END_OK);
    CHECK(promise_look(p, p->a, &(struct end_open){.folder = THERE, .want = END_WANT_DATES}, &c) ==
          END_OK);
    CHECK(c.n == (promise_can(p, END_CAN_BATCH) ? 3 : 1));
    CHECK(u.n == (promise_can(p, END_CAN_TELL_UIDS) ? c.n : 0));
    CHECK(u.n == 0 ? u.uidvalidity == 0 : u.uidvalidity == c.uidvalidity);
    for (size_t i = 0; i < u.n && i < c.n; i++)
        CHECK(u.v[i] == c.v[i].uid && c.v[i].date_s == model_date(10 + (uint32_t)i));
    end_uids_fini(&u);
    end_changes_fini(&c);
}

static void flags_of_what_is_not_there(struct promise *p)
{
    static const struct flags seen = {.system = FLAG_SEEN};
    const struct end_flags how = {.flags = &seen, .keywords = &p->keywords};
    const uint32_t asked[] = {p->uids[0], p->uids[MESSAGES - 1] + 900};
    struct end_ticket t = {0};
    struct end_uids modified = {0};
    p->a->ops->flags(p->a, asked, 2, &how, &modified, &t);
    CHECK(promise_answer(p->a, &t) == END_OK && modified.n == 0);
    CHECK(promise_mark(p->a, p->uids[0], FLAG_FLAGGED, true, 0, NULL) == END_OK);
    CHECK(promise_mark(p->a, p->uids[0], FLAG_SEEN, false, 0, NULL) == END_OK);
    struct end_changes c;
    CHECK(promise_look(p, p->a, &(struct end_open){.want = END_WANT_FLAGS}, &c) == END_OK);
    CHECK(c.n == MESSAGES && c.v[0].flags.system == FLAG_FLAGGED);
    end_changes_fini(&c);
    end_uids_fini(&modified);
}

static void guarded_flags(struct promise *p)
{
    struct end_changes c;
    struct end_uids modified = {0};
    if (!promise_can(p, END_CAN_GUARD))
        return;
    CHECK(
        promise_look(p, p->a, &(struct end_open){.is_for_writing = true, .want = 1}, &c) == END_OK);
    uint64_t then = c.modseq;
    end_changes_fini(&c);
    CHECK(then > 0);
    CHECK(promise_write(p, p->b, HERE) == END_OK);
    CHECK(promise_mark(p->b, p->uids[1], FLAG_SEEN, true, 0, NULL) == END_OK);
    CHECK(promise_mark(p->a, p->uids[0], FLAG_FLAGGED, true, then, &modified) == END_OK);
    CHECK(modified.n == 0);
    CHECK(promise_mark(p->a, p->uids[1], FLAG_FLAGGED, true, then, &modified) != END_LOST);
    CHECK(modified.n == 1 && modified.v[0] == p->uids[1]);
    end_uids_fini(&modified);
    CHECK(promise_look(p, p->a, &(struct end_open){.want = END_WANT_FLAGS}, &c) == END_OK);
    CHECK(c.v[0].flags.system == FLAG_FLAGGED && c.v[1].flags.system == FLAG_SEEN);
    end_changes_fini(&c);
}

static void moved(struct promise *p)
{
    struct end_uids u = {0};
    struct end_ticket t = {0}, no = {0};
    struct end_changes c;
    /* The later one first, and one that is not there. */
    const uint32_t asked[] = {p->uids[2], p->uids[0], p->uids[MESSAGES - 1] + 900};
    if (!promise_can(p, END_CAN_MOVE))
        return;
    CHECK(promise_mark(p->a, p->uids[2], FLAG_FLAGGED, true, 0, NULL) == END_OK);
    p->a->ops->move(p->a, asked, 2, NOWHERE, NULL, &no);
    CHECK(promise_answer(p->a, &no) == END_NO);
    CHECK(promise_count(p, p->a, HERE) == MESSAGES);
    CHECK(promise_write(p, p->a, HERE) == END_OK);
    p->a->ops->move(p->a, asked, 3, THERE, &u, &t);
    CHECK(promise_answer(p->a, &t) == END_OK);
    CHECK(promise_count(p, p->a, HERE) == MESSAGES - 2);
    CHECK(promise_look(p, p->a,
              &(struct end_open){.folder = THERE, .want = END_WANT_FLAGS | END_WANT_DATES},
              &c) == END_OK);
    CHECK(c.n == 2);
    CHECK(u.n == 0 || (u.n == 3 && u.v[2] == 0 && u.uidvalidity == c.uidvalidity));
    for (size_t i = 0; i < 2 && u.n == 3; i++) {
        const struct listed *m = end_changes_find(&c, u.v[i]);
        CHECK(m && m->date_s == model_date(i == 0 ? 2 : 0) &&
              m->flags.system == (i == 0 ? FLAG_FLAGGED : 0));
    }
    end_uids_fini(&u);
    end_changes_fini(&c);
}

static void removed(struct promise *p)
{
    struct end_ticket t = {0};
    struct end_changes c;
    /* The first is marked and named, the second only named, the third only marked. */
    CHECK(promise_mark(p->a, p->uids[0], FLAG_DELETED, true, 0, NULL) == END_OK);
    CHECK(promise_mark(p->a, p->uids[2], FLAG_DELETED, true, 0, NULL) == END_OK);
    p->a->ops->remove(p->a, p->uids, 2, &t);
    CHECK(promise_answer(p->a, &t) == (promise_can(p, END_CAN_REMOVE) ? END_OK : END_NO));
    CHECK(promise_look(p, p->a, &(struct end_open){.want = END_WANT_FLAGS}, &c) == END_OK);
    CHECK(c.n == (promise_can(p, END_CAN_REMOVE) ? MESSAGES - 1 : MESSAGES));
    CHECK(end_changes_find(&c, p->uids[1]) && end_changes_find(&c, p->uids[2]));
    end_changes_fini(&c);
}

static void listed_folders(struct promise *p)
{
    struct folder_list l;
    struct end_ticket t = {0};
    folder_list_init(&l);
    p->a->ops->folders(p->a, &l, &t);
    CHECK(promise_answer(p->a, &t) == END_OK);
    const struct folder *f = folder_list_find(&l, HERE), *to = folder_list_find(&l, THERE);
    CHECK(f && to && !folder_list_find(&l, NOWHERE));
    CHECK(f && f->messages == MESSAGES && f->uidvalidity == p->validity && f->uidnext > 0);
    CHECK(f && (f->id.n > 0) == promise_can(p, END_CAN_TELL_IDS));
    folder_list_fini(&l);
}

const struct promise_row promises_mail[] = {
    {"each body comes once, or is left out", bodies},
    {"attributes() keeps the other fields", attributes_keep_the_rest},
    {"append() tells one UID for each message, or none", uids_of_what_is_stored},
    {"flags() adds or takes away, and passes over what is not there", flags_of_what_is_not_there},
    {"flags() leaves alone what others have changed since", guarded_flags},
    {"move() takes flags and date along, and tells UIDs as they were asked for", moved},
    {"remove() removes what is marked and named", removed},
    {"folders() tells all of them, with their status", listed_folders},
    {NULL, NULL},
};
