/* SPDX-License-Identifier: ISC */
/* promises_help: see promises.h. */
#include "tests/sim/promises.h"

#include <stdio.h>

void promise_check(struct promise *p, bool is, const char *what)
{
    if (!is && !p->is_broken)
        (void)printf("    %s\n", what);
    p->is_broken |= !is;
}
enum end_result promise_answer(struct end *e, const struct end_ticket *t)
{
    struct err err = ERR_INIT;
    return end_wait(e, t, &err) == 0 ? t->result : END_LOST;
}

enum end_result promise_put(
    struct end *e, struct slice folder, uint32_t first, size_t n, struct end_uids *uids)
{
    struct keywords none = {0};
    struct flags f = {0};
    struct buf octets;
    enum end_result result = END_OK;
    size_t each = e->ops->can(e) & END_CAN_BATCH ? n : 1;
    buf_init(&octets, 4096);
    for (size_t i = 0; i < n && result == END_OK; i += each) {
        struct end_ticket t = {0};
        struct end_uids given = {0};
        e->ops->append_begin(e, folder, &given, &t);
        for (size_t k = i; k < i + each; k++) {
            uint32_t content = first + (uint32_t)k;
            model_octets(content, &octets);
            const struct end_message m = {.flags = &f,
                .keywords = &none,
                .has_date = true,
                .date_s = model_date(content),
                .size = octets.n};
            e->ops->append_message(e, &m);
            e->ops->append_octets(e, buf_slice(&octets));
        }
        e->ops->append_end(e);
        result = promise_answer(e, &t);
        if (uids && each == n)
            *uids = given;
        else
            end_uids_fini(&given);
    }
    buf_fini(&octets);
    return result;
}

enum end_result promise_look(
    struct promise *p, struct end *e, const struct end_open *o, struct end_changes *c)
{
    struct end_ticket t = {0};
    struct end_open mine = *o;
    if (mine.folder.n == 0)
        mine.folder = HERE;
    end_changes_init(c, &p->keywords);
    e->ops->open(e, &mine, c, &t);
    return promise_answer(e, &t);
}

enum end_result promise_write(struct promise *p, struct end *e, struct slice folder)
{
    struct end_changes c;
    enum end_result r = promise_look(p, e,
        &(struct end_open){.folder = folder, .is_for_writing = true, .is_only_opened = true}, &c);
    end_changes_fini(&c);
    return r;
}

size_t promise_count(struct promise *p, struct end *e, struct slice folder)
{
    struct end_changes c;
    enum end_result r =
        promise_look(p, e, &(struct end_open){.folder = folder, .want = END_WANT_FLAGS}, &c);
    size_t n = r == END_OK ? c.n : SIZE_MAX;
    end_changes_fini(&c);
    return n;
}

enum end_result promise_mark(
    struct end *e, uint32_t uid, uint8_t flag, bool on, uint64_t since, struct end_uids *modified)
{
    struct end_ticket t = {0};
    struct keywords none = {0};
    struct flags f = {.system = flag};
    const struct end_flags how = {
        .is_removal = !on, .flags = &f, .keywords = &none, .unchanged_since = since};
    e->ops->flags(e, &uid, 1, &how, modified, &t);
    return promise_answer(e, &t);
}

static void empty(struct promise *p, struct slice folder)
{
    struct end *e = p->a;
    struct end_changes c;
    struct end_ticket made = {0}, removed = {0};
    e->ops->make(e, folder, FOLDER_USE_NONE, &made);
    (void)promise_answer(e, &made);
    (void)promise_look(
        p, e, &(struct end_open){.folder = folder, .is_for_writing = true, .want = 1}, &c);
    for (size_t i = 0; i < c.n; i++)
        (void)promise_mark(e, c.v[i].uid, FLAG_DELETED, true, 0, NULL);
    for (size_t i = 0; i < c.n; i++) {
        removed = (struct end_ticket){0};
        e->ops->remove(e, &c.v[i].uid, 1, &removed);
        (void)promise_answer(e, &removed);
    }
    end_changes_fini(&c);
}

void promise_fill(struct promise *p)
{
    struct end_changes c;
    empty(p, HERE);
    empty(p, THERE);
    CHECK(promise_put(p->a, HERE, 0, MESSAGES, NULL) == END_OK);
    CHECK(promise_look(p, p->a, &(struct end_open){.want = END_WANT_FLAGS}, &c) == END_OK);
    CHECK(c.n == MESSAGES && c.is_whole && c.is_sure);
    for (size_t i = 0; i < c.n && i < MESSAGES; i++)
        p->uids[i] = c.v[i].uid;
    p->validity = c.uidvalidity;
    end_changes_fini(&c);
    CHECK(promise_write(p, p->a, HERE) == END_OK);
}

bool promise_can(const struct promise *p, unsigned what)
{
    return (p->a->ops->can(p->a) & what) == what;
}
